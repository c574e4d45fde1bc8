"""`/v1/billing`: what a company uses, and who takes its seats."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import AwareDatetime

from app.kernel.allowances import METRICS
from app.kernel.errors import BadRequest, Conflict, Invalid, InvalidCursor, problems
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import fetch_page, order_by
from app.kernel.money import Money
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import KernelDep, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.tenants.billing.computing import line_documents
from app.tenants.billing.histories import Held
from app.tenants.billing.metering import AHEAD, PAST, Meter, UsageEvent
from app.tenants.billing.periods import BillingInterval, Period, period_at, seconds_between
from app.tenants.billing.plans import price_list
from app.tenants.billing.schemas import (
    ChosenPlan,
    CloudEvent,
    Metric,
    MetricRead,
    PriceList,
    SeatChangeRead,
    SeatsRead,
    SpanRead,
    SubscriptionChangeInput,
    SubscriptionRead,
    UpcomingInvoice,
    UsageAnswer,
    UsageBatch,
    UsageEventRead,
    UsageRead,
    UsageResult,
    line_read,
    twelve_places,
)
from app.tenants.billing.seats import Seats
from app.tenants.billing.subscriptions import SamePlan, Subscribed, Subscriptions

router = Router(prefix="/v1/billing", tags=["billing"])
_AS_REPORTED: Final = order_by({"at": Kind.DATETIME, "source": Kind.TEXT, "event_id": Kind.TEXT})
plans_router = Router(prefix="/v1/plans", tags=["billing"])
HOUR = timedelta(hours=1)
LONGEST = timedelta(days=366)

Start = Annotated[
    AwareDatetime | None, Query(description="A full hour; absent: when this month began (UTC).")
]
End = Annotated[
    AwareDatetime | None, Query(description="A full hour, not in it; absent: a month after the start.")
]


class UsageConflict(Conflict):
    """An event's name is taken by another one."""

    code = "usage_conflict"
    title = "An event of this source and id says something else"


COUNTED_HERE: Final = frozenset(METRICS.values()) | {
    "export.rows", "import.rows", "leads.captured", "records.created", "storage.byte_hours",
}  # fmt: skip
"""Metrics that the product counts of itself."""


class UsageOutOfTime(BadRequest):
    code = "usage_out_of_time"
    title = f"Usage is reported at most {PAST.days} days later and {AHEAD.seconds // 60} minutes ahead"


class NoSuchPeriod(BadRequest):
    code = "no_such_period"
    title = "A period is of whole hours, forwards, and of 366 days at most"


@router.post(
    "/usage-events",
    access="usage:report",
    status_code=202,
    responses={207: {"model": UsageAnswer, "description": "Some events failed; the others are counted."}}
    | problems(UsageConflict, UsageOutOfTime),
)
async def report_usage(body: UsageBatch, uow: Uow, response: Response) -> UsageAnswer:
    """Report up to 1,000 events of usage, each counted once however often it is sent.

    An event that was taken before answers `duplicate`. Where some of several fail the answer is 207 and the others
    are counted; a single event that fails is refused.
    """
    events = [_event(given, uow) for given in body.events]
    _refuse_taking_back(events)
    outcomes = await Meter(uow).take(events)
    if len(outcomes) == 1:
        _refuse(outcomes[0])
    failed = sum(outcome in ("conflict", "out_of_time") for outcome in outcomes)
    response.status_code = 207 if failed else 202
    return UsageAnswer(
        results=[
            UsageResult(
                id=event.id,
                source=event.source,
                status=outcome,  # type: ignore[arg-type]
                duplicate=outcome == "duplicate",
            )
            for event, outcome in zip(events, outcomes, strict=True)
        ],
        accepted=outcomes.count("accepted"),
        duplicates=outcomes.count("duplicate"),
        failed=failed,
    )


@router.get("/usage-events", access="usage:read", responses=problems(InvalidCursor))
async def list_usage_events(
    uow: Uow,
    metric: Annotated[Metric, Query(description="Of this metric.", examples=["pages.rendered"])],
    start: Annotated[AwareDatetime | None, Query(description="From then on.")] = None,
    end: Annotated[AwareDatetime | None, Query(description="Until before then.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[UsageEventRead]:
    """The events behind a metric as they were reported, oldest first."""
    found = await fetch_page(
        uow,
        "SELECT source, event_id, metric, at, value, subject, received_at FROM tenants.usage_events"
        " WHERE tenant_id = $1 AND metric = $2 AND at >= coalesce($3, '-infinity'::timestamptz)"
        " AND at < coalesce($4, 'infinity'::timestamptz)",
        Bindings(uow.tenant_id, metric, start, end),
        _AS_REPORTED,
        name=f"usage_events {metric} {start} {end}",
        limit=limit,
        cursor=cursor,
    )
    return found.page(lambda row: UsageEventRead(**row))


@router.get("/usage", access="usage:read", while_cancelled=True, responses=problems(NoSuchPeriod))
async def get_usage(uow: Uow, start: Start = None, end: End = None) -> UsageRead:
    """What was used in a period, by metric: what the product counted of itself, and what was reported.

    What the product counts of itself shows within a minute or two.
    """
    period = _period(uow, start, end)
    metrics = [
        MetricRead(
            metric=used.metric,
            count=used.count,
            sum=used.sum,
            max=used.max,
            latest=used.latest,
            unique=used.unique,
            weighted_sum=twelve_places(
                Decimal(used.weighted_sum.numerator) / Decimal(used.weighted_sum.denominator)
            ),
        )
        for used in await Meter(uow).of_period(period)
    ]
    return UsageRead(period=SpanRead(start=period.start, end=period.end), metrics=metrics)


@router.get("/seats", access="usage:read", while_cancelled=True, responses=problems(NoSuchPeriod))
async def get_seats(uow: Uow, start: Start = None, end: End = None) -> SeatsRead:
    """Who took a seat in a period, from when to when, to the second."""
    period = _period(uow, start, end)
    history = await Seats(uow).history(period)
    until = min(period.end, max(period.start, uow.now))
    taken, since, used = history.opening, period.start, 0
    for change in history.changes:
        used += taken * seconds_between(since, change.at)
        taken, since = change.occupied, change.at
    used += taken * max(0, seconds_between(since, until))
    return SeatsRead(
        period=SpanRead(start=period.start, end=period.end),
        opening=history.opening,
        occupied=taken,
        seat_seconds=used,
        changes=[
            SeatChangeRead(at=c.at, member_id=c.member_id, change=c.change, occupied=c.occupied)
            for c in history.changes
        ],
    )


@plans_router.get("", access="public", own_transaction=True)
async def list_plans(kernel: KernelDep, response: Response) -> PriceList:
    """The plans on offer, cheapest first, with every price: for a price page."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return PriceList(plans=list(price_list(kernel.settings.price_list)))


@router.get("/subscription", access="usage:read", while_cancelled=True, spare_calls=True)
async def get_subscription(uow: Uow) -> SubscriptionRead:
    """What the company subscribes to."""
    return subscription_read(await Subscriptions(uow).current())


@router.put("/subscription", access="subscription:manage", spare_calls=True, responses=problems(SamePlan))
async def change_subscription(body: SubscriptionChangeInput, uow: Uow) -> SubscriptionRead:
    """Choose a plan.

    A dearer one holds at once, and what is left of the period is charged and credited to the second; a cheaper one,
    or another interval, holds from the next period on. Choosing the plan at hand takes a choice for later back.
    """
    return subscription_read(await Subscriptions(uow).change(body.plan, body.interval))


@router.get("/upcoming-invoice", access="usage:read", while_cancelled=True)
async def get_upcoming_invoice(uow: Uow) -> UpcomingInvoice:
    """The bill that the period at hand ends with, line by line, as it stands and as it is likely to be."""
    upcoming = await Subscriptions(uow).upcoming()
    stands = upcoming.stands
    totals = stands.amounts.totals

    def money(minor: int) -> Money:
        return Money(minor, stands.currency)

    return UpcomingInvoice(
        period=SpanRead(start=stands.over.start, end=stands.over.end),
        following=SpanRead(start=stands.following.start, end=stands.following.end),
        lines=[line_read(line, stands.currency) for line in line_documents(stands)],
        subtotal=money(totals.subtotal),
        discount=money(totals.header_discount),
        tax=money(totals.tax),
        total=money(totals.total),
        forecast=money(upcoming.forecast.amounts.totals.total),
    )


def subscription_read(found: Subscribed) -> SubscriptionRead:
    return SubscriptionRead(
        current=_chosen(found.held),
        period=SpanRead(start=found.period.start, end=found.period.end),
        pending=None if found.pending is None else _chosen(found.pending),
    )


def _chosen(held: Held) -> ChosenPlan:
    return ChosenPlan(
        plan=held.plan.key,
        plan_version=held.plan.version,
        name_en=held.plan.name_en,
        name_zh=held.plan.name_zh,
        price=held.price,
        since=held.at,
    )


def _event(given: CloudEvent, uow: UnitOfWork) -> UsageEvent:
    return UsageEvent(
        source=given.source,
        id=given.id,
        metric=given.type,
        at=given.time or uow.now,
        said_at=given.time,
        value=Decimal(given.data.value),
        subject=given.subject,
    )


def _refuse_taking_back(events: Sequence[UsageEvent]) -> None:
    """What the product counts is billed and limited by: nobody reports less of it. Raises: Invalid."""
    for place, event in enumerate(events):
        if event.value < 0 and event.metric in COUNTED_HERE:
            raise Invalid.at(
                f"/events/{place}/data/value",
                "out_of_range",
                f"{event.metric} is never less than was counted.",
            )


def _refuse(outcome: str) -> None:
    if outcome == "conflict":
        raise UsageConflict
    if outcome == "out_of_time":
        raise UsageOutOfTime


def _period(uow: UnitOfWork, start: datetime | None, end: datetime | None) -> Period:
    """Raises: NoSuchPeriod."""
    first = start or uow.now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = end or period_at(first, BillingInterval.MONTHLY, first).end
    whole = all(moment.astimezone(UTC).timestamp() % HOUR.seconds == 0 for moment in (first, last))
    if not whole or not timedelta(0) < last - first <= LONGEST:
        raise NoSuchPeriod
    return Period(first, last)
