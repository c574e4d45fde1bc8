"""Plans: what a seat, a month and each use cost. Whoever runs the product may bring a price list of their own.

A plan that was chosen is kept with the subscription as it was; a new version of it in the price list is another
plan to choose, and changes nobody's bill by itself.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from app.kernel.allowances import LimitName
from app.kernel.decimals import decimal_field
from app.kernel.money import Currency
from app.kernel.schemas import Output
from app.tenants.billing.aggregation import Aggregation
from app.tenants.billing.periods import BillingInterval
from app.tenants.billing.rating import Rate, RatingModel, Tier

BUILT_IN = Path(__file__).with_name("plans.json")
UnitAmount = Annotated[str, *decimal_field(r"^[0-9]{1,12}(\.[0-9]{1,12})?$", "0.004")]
PlanFeature = Literal["approvals", "webhooks"]
Quantity = Annotated[str, *decimal_field(r"^[0-9]{1,15}(\.[0-9]{1,12})?$", "1000")]


class PlanTier(Output):
    """Quantities up to `up_to`, with it; null: all the rest."""

    up_to: Quantity | None = None
    unit: UnitAmount = "0"
    flat: UnitAmount = "0"


class UsagePrice(Output):
    """What the use of a metric costs; units of it that are included are free."""

    metric: str
    aggregation: Aggregation
    model: RatingModel
    unit: UnitAmount = Field("0", description="Per unit, or of `package` per package begun.")
    included: Quantity = "0"
    package_size: Quantity = "1"
    tiers: list[PlanTier] = Field(default_factory=list)

    @model_validator(mode="after")
    def _sound(self) -> UsagePrice:
        tops = [Decimal(tier.up_to) if tier.up_to is not None else None for tier in self.tiers]
        rising = all(low is not None and (high is None or low < high) for low, high in pairwise(tops))
        tiered = self.model in (RatingModel.GRADUATED, RatingModel.VOLUME)
        if tiered and not (tops and rising and tops[-1] is None):
            raise ValueError("tiers rise, and the last one has no end")
        if Decimal(self.package_size) <= 0:
            raise ValueError("a package holds something")
        return self

    @property
    def rate(self) -> Rate:
        return Rate(
            self.model,
            unit=Decimal(self.unit),
            included=Decimal(self.included),
            package_size=Decimal(self.package_size),
            tiers=tuple(
                Tier(None if t.up_to is None else Decimal(t.up_to), Decimal(t.unit), Decimal(t.flat))
                for t in self.tiers
            ),
        )


class Timing(StrEnum):
    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


class PlanPrice(Output):
    """A plan's price in one currency and for one interval; amounts in major units."""

    currency: Currency
    interval: BillingInterval
    flat: UnitAmount = Field("0", description="For the company, each period.")
    seat: UnitAmount = Field(description="For each seat, each period.")
    timing: Timing = Field(
        Timing.IN_ADVANCE, description="Whether these two are paid when a period begins, or when it is over."
    )
    minimum_seats: int = Field(0, ge=0, description="So many seats are paid at least.")
    free_seats: int = Field(0, ge=0, description="So many of them cost nothing.")
    minimum_commitment: UnitAmount = Field("0", description="Usage of a period is filled up to this.")
    usage: list[UsagePrice] = Field(default_factory=list)

    def yearly(self, seats: int) -> Decimal:
        """What so many paid seats and the flat amount come to in a year; tells dearer plans from cheaper ones."""
        return (Decimal(self.flat) + seats * Decimal(self.seat)) * (12 // self.interval.months)


class PlanLimit(Output):
    """At most so much: a hard limit refuses what goes beyond, a soft one only warns."""

    limit: int = Field(ge=0)
    enforcement: Literal["soft", "hard"] = "hard"


class PlanLimits(Output):
    """What a plan allows; absent is unlimited. Records, seats and storage are kept, others begin anew each month."""

    records: PlanLimit | None = Field(None, description="Records of all types that are not deleted.")
    seats: PlanLimit | None = Field(None, description="Active members with any role but that of a viewer.")
    storage_bytes: PlanLimit | None = Field(None, description="Files and kept documents together.")
    api_calls: PlanLimit | None = Field(None, description="Requests with a token or key, each month.")
    messages: PlanLimit | None = Field(None, description="Mails to customers, each month.")

    def by_name(self) -> dict[LimitName, PlanLimit]:
        """Those that limit something."""
        found = {name: getattr(self, name.value) for name in LimitName}
        return {name: limit for name, limit in found.items() if limit is not None}


class Plan(Output):
    """A version of a plan. What a plan of an older price list did not say yet is unlimited and included."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    version: int = Field(ge=1)
    name_en: str
    name_zh: str
    features: dict[PlanFeature, bool] = Field(
        default_factory=dict, description="What is not named is included."
    )
    limits: PlanLimits = Field(default_factory=PlanLimits)
    requests_per_minute: int | None = Field(
        None, ge=1, description="Null: as many as the installation allows everybody at least."
    )
    worker_share: int = Field(
        1, ge=1, le=100, description="Weight of the company's background work beside that of others."
    )
    prices: list[PlanPrice] = Field(min_length=1)

    def price(self, currency: str, interval: BillingInterval) -> PlanPrice | None:
        return next((p for p in self.prices if (p.currency, p.interval) == (currency, interval)), None)


@lru_cache(maxsize=4)
def price_list(path: Path | None = None) -> tuple[Plan, ...]:
    """The plans on offer, cheapest first: those of a JSON file, or our own.

    Raises: OSError; ValidationError, which says what in the file is wrong.
    """
    plans = TypeAdapter(tuple[Plan, ...]).validate_json((path or BUILT_IN).read_bytes())
    if len({plan.key for plan in plans}) != len(plans) or not plans:
        raise ValueError("a price list names each plan once, and at least one")
    return plans
