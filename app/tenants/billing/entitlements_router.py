"""`/v1/billing/entitlements`: what the plan includes and how much of it is used."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from pydantic import Field

from app.kernel.allowances import LimitName
from app.kernel.decimals import DecimalOut
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Output
from app.tenants.billing.entitlements import EntitlementsOfTenant, UsedLimit

router = Router(prefix="/v1/billing", tags=["billing"])


class MonthRead(Output):
    start: datetime
    end: datetime


class EntitlementRead(Output):
    """One limit of the plan."""

    limit: LimitName
    counts: Literal["kept", "month"] = Field(description="What is kept now, or what was used in the month.")
    enforcement: Literal["soft", "hard"] = Field(description="Whether what goes beyond is refused.")
    allowed: int
    used: int
    share: DecimalOut = Field(
        description="used / allowed, to four decimals, rounded down.", examples=["0.8125"]
    )
    lifted_by: str | None = Field(description="The cheapest plan that allows more; null: none does.")


class MissingFeature(Output):
    feature: str
    lifted_by: str | None = Field(description="The cheapest plan that has it.")


class EntitlementsRead(Output):
    """What the plan at hand limits and leaves out; what is not named is unlimited and included."""

    plan: str
    month: MonthRead = Field(description="In which metered limits count, whatever the interval of the bills.")
    requests_per_minute: int | None = Field(
        description="Null: as many as this installation allows everybody at least."
    )
    worker_share: int = Field(description="Weight of the company's background work beside that of others.")
    limits: list[EntitlementRead]
    missing_features: list[MissingFeature]


@router.get("/entitlements", access="usage:read", while_suspended=True, spare_calls=True)
async def get_entitlements(uow: Uow) -> EntitlementsRead:
    """What the company's plan allows, how much of it is used, and which plan lifts each limit.

    API calls that a process has counted within the last minute are not in it yet.
    """
    entitlements = EntitlementsOfTenant(uow)
    allowance = entitlements.allowance
    return EntitlementsRead(
        plan=allowance.plan,
        month=MonthRead(start=allowance.period_start or uow.now, end=allowance.period_end or uow.now),
        requests_per_minute=allowance.requests_per_minute,
        worker_share=allowance.weight,
        limits=[_limit(found) for found in await entitlements.all()],
        missing_features=[
            MissingFeature(feature=name, lifted_by=other) for name, other in sorted(allowance.missing.items())
        ],
    )


def _limit(found: UsedLimit) -> EntitlementRead:
    limit = found.limit
    share = Decimal(found.used) / limit.value if limit.value else Decimal(1)
    return EntitlementRead(
        limit=found.name,
        counts="month" if found.name.metered else "kept",
        enforcement="hard" if limit.hard else "soft",
        allowed=limit.value,
        used=found.used,
        share=share.quantize(Decimal("0.0001"), ROUND_DOWN),
        lifted_by=limit.lifted_by,
    )
