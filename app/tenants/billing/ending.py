"""When a company leaves, and when it comes back: until when it is billed, and from when on again.

An end counts from the second in which the account is cancelled. Whoever comes back before its last bill is due never
left; later, periods are counted anew from the hour of coming back, and nothing is charged for the time between.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped

from app.kernel.locks import lock_name
from app.kernel.models import TenantOwned
from app.kernel.uow import UnitOfWork
from app.tenants.billing.amounts import GRACE
from app.tenants.billing.histories import read_history
from app.tenants.billing.periods import whole_hour
from app.tenants.billing.subscriptions import OBJECT, Subscriptions

_OPEN = "SELECT 1 FROM tenants.subscription_ends WHERE tenant_id = $1 AND settled_at IS NULL LIMIT 1"
_BILLED = "SELECT 1 FROM tenants.bills WHERE tenant_id = $1 AND period_end >= $2 LIMIT 1"


class SubscriptionEnd(TenantOwned):
    """The company left, and came back at `resumed_at`; `settled_at` says that all is billed until it left."""

    __tablename__ = "subscription_ends"
    __table_args__ = ({"schema": "tenants"},)
    ended_at: Mapped[datetime]
    resumed_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


async def end_billing(uow: UnitOfWork, at: datetime) -> None:
    """Let nothing be charged from `at` on. A trial that is left has nothing to end.

    The caller holds the company's billing.
    """
    await lock_name(uow, OBJECT)
    history = await read_history(uow)
    at = at.replace(microsecond=0)
    returned = [end.resumed for end in history.ends if end.resumed is not None]
    if returned and at <= returned[-1]:
        at = returned[-1] + timedelta(seconds=1)
    if at > history.opening.end:
        await uow.insert(SubscriptionEnd, audit=OBJECT, ended_at=at, resumed_at=None, settled_at=None)


async def resume_billing(uow: UnitOfWork) -> None:
    """Take the end back, or let periods begin anew with this hour, at what was chosen last.

    The caller holds the company's billing.
    """
    await lock_name(uow, OBJECT)
    end = await uow.first(uow.select(SubscriptionEnd).where(SubscriptionEnd.resumed_at.is_(None)))
    if end is None:
        return
    billed = await uow.fetchrow(_BILLED, uow.tenant_id, end.ended_at)
    if uow.now < end.ended_at + GRACE and billed is None:
        await uow.delete(end, audit=OBJECT)
        return
    start = max(whole_hour(uow.now), end.ended_at + timedelta(seconds=1))
    await uow.update(end, audit=OBJECT, resumed_at=start)
    await Subscriptions(uow).restart(start, since=end.ended_at)


async def unsettled(uow: UnitOfWork) -> bool:
    """Whether the company left, and its last bill is not made yet."""
    return await uow.fetchrow(_OPEN, uow.tenant_id) is not None
