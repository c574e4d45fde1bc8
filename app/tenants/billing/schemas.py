"""Wire schemas of seats and usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from app.kernel.decimals import DecimalOut
from app.kernel.money import Money, MoneyOut
from app.kernel.schemas import Input, Output
from app.tenants.billing.periods import BillingInterval
from app.tenants.billing.plans import Plan, PlanPrice

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Metric = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=60),
    Field(examples=["pages.rendered"]),
]
Value = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,12})?$"),
    Field(examples=["1"], description="How much, as a decimal."),
]


class UsageData(Input):
    value: Value = "1"


class CloudEvent(Input):
    """Something used, as CloudEvents 1.0 in structured mode say it: `type` is the metric."""

    specversion: Literal["1.0"] = "1.0"
    id: Name = Field(examples=["render-7f2c"], description="With `source` it names the event for ever.")
    source: Name = Field(examples=["/renderer/eu-1"])
    type: Metric
    time: AwareDatetime | None = Field(None, description="Absent: when it arrives.")
    subject: Name | None = Field(None, description="Whom or what it was for; `unique` counts these.")
    datacontenttype: Literal["application/json"] = "application/json"
    data: UsageData = UsageData()


class UsageBatch(Input):
    events: Annotated[list[CloudEvent], Field(min_length=1, max_length=1_000)]


class UsageResult(Output):
    """What became of one event."""

    id: str
    source: str
    status: Literal["accepted", "duplicate", "conflict", "out_of_time"]
    duplicate: bool


class UsageAnswer(Output):
    results: list[UsageResult] = Field(description="In the order of the events.")
    accepted: int
    duplicates: int
    failed: int


class MetricRead(Output):
    """What a metric came to, in every way that a price may count it; as decimals."""

    metric: str
    count: int
    sum: DecimalOut
    max: DecimalOut
    latest: DecimalOut
    unique: int = Field(description="How many subjects.")
    weighted_sum: DecimalOut = Field(
        description="Each value for the share of the period from its time on; to twelve decimals."
    )


class SpanRead(Output):
    start: datetime
    end: datetime


class UsageRead(Output):
    """What a period of whole hours came to."""

    period: SpanRead
    metrics: list[MetricRead]


class UsageEventRead(Output):
    """An event as it was reported."""

    source: str
    event_id: str
    metric: str
    at: datetime
    value: DecimalOut
    subject: str | None
    received_at: datetime


class SeatChangeRead(Output):
    at: datetime
    member_id: UUID
    change: int = Field(description="+1 where a member took a seat, -1 where one left it.")
    occupied: int = Field(description="Seats taken from then on.")


class SeatsRead(Output):
    """Who takes seats: active members with any role but that of a viewer."""

    period: SpanRead
    opening: int = Field(description="Seats taken when the period begins.")
    occupied: int = Field(description="Seats taken at its end, or now.")
    seat_seconds: int = Field(description="Seats x seconds of the period so far.")
    changes: list[SeatChangeRead]


def twelve_places(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-12))


# -- plans and bills -----------------------------------------------------------------------------------------


class PriceList(Output):
    plans: list[Plan]


class ChosenPlan(Output):
    """A plan as it was when it was chosen, at the price that applies."""

    plan: str
    plan_version: int
    name_en: str
    name_zh: str
    price: PlanPrice
    since: datetime


class SubscriptionRead(Output):
    """What the company subscribes to, the period at hand, and what follows when that is over."""

    current: ChosenPlan
    period: SpanRead
    pending: ChosenPlan | None


class SubscriptionChangeInput(Input):
    plan: Annotated[str, StringConstraints(max_length=40), Field(examples=["professional"])]
    interval: BillingInterval | None = Field(None, description="Absent: as it is.")


class BillLineRead(Output):
    """quantity x unit x factor = amount, rounded half up once; usage is rated by the plan's price of the metric.

    Anybody can do the sum again: `price` names the price by which it was made, `events` leads to what was counted.
    """

    position: int
    kind: Literal["flat", "seats", "usage", "commitment", "withdrawn"]
    what: str = Field(
        description="The plan, the metric that was used, or the bill of which something was voided or credited."
    )
    price: str = Field(
        description="Plan, its version, currency and interval.", examples=["professional/1/USD/monthly"]
    )
    quantity: DecimalOut = Field(description="Negative: given back.")
    unit: DecimalOut | None = Field(description="In major units.")
    start: datetime
    end: datetime
    factor: str = Field(description="The share of the period, as a fraction.", examples=["14/31"])
    amount: MoneyOut
    discount: MoneyOut = Field(description="The line's share of what coupons take off.")
    tax: MoneyOut = Field(description="On what is left of it.")
    events: str | None = Field(
        description="Where in the API the events behind it are.",
        examples=["/v1/billing/seats?start=2027-04-01T00:00:00Z&end=2027-05-01T00:00:00Z"],
    )


def line_read(line: Mapping[str, Any], currency: str) -> BillLineRead:
    """A line as a bill keeps it, over the wire."""
    money = {name: Money(line[name], currency) for name in ("amount", "discount", "tax")}
    moments = {name: datetime.fromisoformat(line[name]) for name in ("start", "end")}
    quantity, unit = Decimal(line["quantity"]), line["unit"]
    numbers = {"quantity": quantity, "unit": None if unit is None else Decimal(unit)}
    return BillLineRead(**{**line, **money, **moments, **numbers})


class UpcomingInvoice(Output):
    """The bill that the period at hand ends with."""

    period: SpanRead
    following: SpanRead
    lines: list[BillLineRead]
    subtotal: MoneyOut
    discount: MoneyOut = Field(description="What coupons take off.")
    tax: MoneyOut
    total: MoneyOut = Field(description="As it stands, tax included.")
    forecast: MoneyOut = Field(description="If usage goes on as it did in this period.")
