"""What a company may use: its plan as the kernel sees it, with no prices and no words.

`app.tenants.billing` works an allowance out of the subscription and keeps it in `kernel.allowances`; it travels with
the tenant's profile, so that asking for a limit costs an attribute. Without one nothing is limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from app.kernel.errors import Forbidden, TooManyRequests


class LimitName(StrEnum):
    """What plans limit: what is kept (`records`, `seats`, `storage_bytes`), and what is used in a month."""

    RECORDS = "records"
    SEATS = "seats"
    STORAGE_BYTES = "storage_bytes"
    API_CALLS = "api_calls"
    MESSAGES = "messages"

    @property
    def metered(self) -> bool:
        """Whether it begins anew each month."""
        return self in (LimitName.API_CALLS, LimitName.MESSAGES)


METRICS: Final[Mapping[LimitName, str]] = {
    LimitName.RECORDS: "records.kept",
    LimitName.STORAGE_BYTES: "storage.kept",
    LimitName.API_CALLS: "api.calls",
    LimitName.MESSAGES: "messages.sent",
}
"""The metric that counts against each limit; seats are counted by who takes them."""
KEPT: Final = ("records.kept", "storage.kept")
"""Metrics of what is kept: their sum since ever is what there is."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `value`; a hard limit refuses what goes beyond. `lifted_by` is the cheapest plan that allows more."""

    value: int
    hard: bool
    lifted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one company may use. `missing` are features that its plan does not have, with the plan that has them."""

    plan: str = ""
    weight: int = 1
    requests_per_minute: int | None = None
    limits: Mapping[str, Limit] = field(default_factory=dict)
    missing: Mapping[str, str | None] = field(default_factory=dict)
    period_start: datetime | None = None
    period_end: datetime | None = None
    hard_calls: int | None = None
    """The hard limit of `api_calls`, which every request asks for."""
    near_records: bool = False
    """Whether so few records are left to a hard limit that each one is counted."""

    def hard(self, name: LimitName) -> Limit | None:
        """The limit of that name if going beyond is refused."""
        found = self.limits.get(name)
        return found if found is not None and found.hard else None

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> Allowance:
        """From a row of `kernel.allowances` as JSON; unlimited where there is none."""
        if row is None:
            return UNLIMITED
        limits = {name: Limit(**given) for name, given in row["limits"].items()}
        calls = limits.get(LimitName.API_CALLS)
        return cls(
            plan=row["plan"],
            weight=row["weight"],
            requests_per_minute=row["requests_per_minute"],
            limits=limits,
            missing=row["missing"],
            period_start=datetime.fromisoformat(row["period_start"]).astimezone(UTC),
            period_end=datetime.fromisoformat(row["period_end"]).astimezone(UTC),
            hard_calls=calls.value if calls is not None and calls.hard else None,
            near_records=row["near_records"],
        )


UNLIMITED: Final = Allowance()


class PlanLimitReached(Forbidden):
    """Carries `limit` (its name), `allowed`, `used`, `plan`, and `lifted_by`: the plan that allows more, or null."""

    code = "plan_limit_reached"
    title = "The company's plan does not allow more of this"

    @classmethod
    def of(cls, name: LimitName, *, used: int, allowance: Allowance) -> PlanLimitReached:
        return cls(_said(name, used, allowance), **_members(name, used, allowance))


class PlanCallsUsedUp(TooManyRequests):
    """As `plan_limit_reached`, for API calls, which are possible again in the next month of the plan."""

    code = "plan_calls_used_up"
    title = "The API calls of the company's plan are used up until the next period"

    @classmethod
    def of(cls, *, used: int, allowance: Allowance, seconds: int) -> PlanCallsUsedUp:
        name = LimitName.API_CALLS
        return cls(
            _said(name, used, allowance),
            headers={"Retry-After": str(seconds)},
            **_members(name, used, allowance),
        )


class PlanFeatureMissing(Forbidden):
    """Carries `feature`, `plan`, and `lifted_by`: the plan that has it, or null."""

    code = "plan_feature_missing"
    title = "The company's plan does not include this"

    @classmethod
    def of(cls, feature: str, allowance: Allowance) -> PlanFeatureMissing:
        other = allowance.missing.get(feature)
        offer = f" {other} does." if other else ""
        return cls(
            f"The plan {allowance.plan} does not include {feature}.{offer}",
            feature=feature,
            plan=allowance.plan,
            lifted_by=other,
        )


def require_feature(allowance: Allowance, feature: str) -> None:
    """Raises: PlanFeatureMissing."""
    if feature in allowance.missing:
        raise PlanFeatureMissing.of(feature, allowance)


def _said(name: LimitName, used: int, allowance: Allowance) -> str:
    limit = allowance.limits[name]
    offer = f" {limit.lifted_by} allows more." if limit.lifted_by else ""
    return f"The plan {allowance.plan} allows {limit.value:,} {name.replace('_', ' ')}; {used:,} are used.{offer}"


def _members(name: LimitName, used: int, allowance: Allowance) -> dict[str, Any]:
    limit = allowance.limits[name]
    return {
        "limit": name.value,
        "allowed": limit.value,
        "used": used,
        "plan": allowance.plan,
        "lifted_by": limit.lifted_by,
    }
