"""Trials: what is used in one is not billed, and the first period begins where it ends, at a full hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.kernel.uow import UnitOfWork
from app.tenants.billing.subscriptions import OBJECT, SubscriptionChange, Subscriptions


def this_hour(moment: datetime) -> datetime:
    """The full hour that a moment lies in: bills count usage by the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def next_hour(moment: datetime) -> datetime:
    """The full hour at or after a moment."""
    hour = this_hour(moment)
    return hour if hour == moment else hour + timedelta(hours=1)


async def begin_billing(uow: UnitOfWork, trial_ends_at: datetime, *, trying: bool) -> dict[str, Any]:
    """End the trial of the tenant at hand, now or where it was to end if that is past; what its row says then.

    The plan that was chosen last holds from there on, and its periods are counted from there. A trial that the
    account outlived without `trying`, suspended or cancelled, is not billed for that while.
    """
    start = trial_ends_at if trying and trial_ends_at <= uow.now else this_hour(uow.now)
    subscribed = await Subscriptions(uow).current()
    held = subscribed.pending or subscribed.held
    for row in await uow.all(uow.select(SubscriptionChange)):
        await uow.delete(row, audit=OBJECT)
    await uow.insert(
        SubscriptionChange,
        audit=OBJECT,
        effective_at=start,
        anchor=start,
        plan=held.plan.model_dump(mode="json"),
        currency=held.price.currency,
        interval=held.price.interval.value,
        chosen_at=uow.now,
        chosen_by=None,
    )
    return {"billed_from": start, "trial_ends_at": min(trial_ends_at, start)}
