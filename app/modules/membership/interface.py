"""What other modules may know of membership: who is a member, and paying with points, coupons and stored value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCard:
    """One membership as others show it; points are whole numbers, spendable now."""

    id: UUID
    programme_id: UUID
    programme: str
    number: str
    account_id: UUID | None
    contact_id: UUID | None
    tier: str | None
    points: int
    since: date


class Memberships(Protocol):
    """Members of loyalty programmes of the tenant at hand, as far as the actor sees them."""

    async def of(
        self, account_ids: Collection[UUID], contact_ids: Collection[UUID] = ()
    ) -> Mapping[UUID, list[MemberCard]]:
        """Memberships by account or contact id; those without any are absent. One statement."""


class InsufficientPoints(Conflict):
    """Carries `available` and `wanted`."""

    code = "insufficient_points"
    title = "There are not so many points to spend"


class MemberEnrolled(Event):
    """An account or a contact joined a programme."""

    type: ClassVar[str] = "membership.loyalty_member.enrolled.v1"
    object: ClassVar[str] = "loyalty_member"

    programme_id: UUID
    account_id: UUID | None
    contact_id: UUID | None
    number: str


class PointsEarned(Event):
    """Points were credited; `pending_until` says when they can be spent."""

    type: ClassVar[str] = "membership.loyalty_member.points_earned.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None
    pending_until: date | None


class PointsBurned(Event):
    type: ClassVar[str] = "membership.loyalty_member.points_burned.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None


class TierChanged(Event):
    type: ClassVar[str] = "membership.loyalty_member.tier_changed.v1"
    object: ClassVar[str] = "loyalty_member"

    from_tier: str | None
    to_tier: str | None
    reason: str


class ClassChanged(Event):
    """A member's group by recency, frequency and amount changed."""

    type: ClassVar[str] = "membership.loyalty_member.class_changed.v1"
    object: ClassVar[str] = "loyalty_member"

    from_class: str | None
    to_class: str
