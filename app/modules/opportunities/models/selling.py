"""What an opportunity is made of: lines, competitors, the buyer's committee, our team and its shares."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, Versioned, module_ref, one_of


class ThreatLevel(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class CommitteeRole(StrEnum):
    """What somebody on the buyer's side does for or against the deal."""

    DECISION_MAKER = "decision_maker"
    ECONOMIC_BUYER = "economic_buyer"
    TECHNICAL_BUYER = "technical_buyer"
    CHAMPION = "champion"
    INFLUENCER = "influencer"
    USER = "user"
    GATEKEEPER = "gatekeeper"
    BLOCKER = "blocker"
    OTHER = "other"


class Attitude(StrEnum):
    UNKNOWN = "unknown"
    SUPPORTER = "supporter"
    NEUTRAL = "neutral"
    OPPONENT = "opponent"


class TeamAccess(StrEnum):
    READ = "read"
    WRITE = "write"


class SplitKind(StrEnum):
    """Revenue is shared out whole; overlay credits those who helped, in any sum."""

    REVENUE = "revenue"
    OVERLAY = "overlay"


class Line(Versioned):
    """Something offered, at a price. `amount` is quantity x price less the discount, rounded once."""

    __tablename__ = "lines"
    __table_args__ = ({"schema": "opportunities"},)

    opportunity_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    product_name: Mapped[str]
    description: Mapped[str | None]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]  # major units of `currency`, to 8 decimals
    discount_percent: Mapped[Decimal | None]
    discount_amount: Mapped[int | None]  # minor units of `currency`
    amount: Mapped[int]  # minor units of `currency`
    currency: Mapped[str]


class Competitor(RecordTable):
    """Somebody who sells what we sell."""

    __tablename__ = "competitors"
    __table_args__ = ({"schema": "opportunities"},)

    name: Mapped[str]
    website: Mapped[str | None]
    strengths: Mapped[str | None]
    weaknesses: Mapped[str | None]
    price_notes: Mapped[str | None]


class Rival(Versioned):
    """A competitor met in an opportunity."""

    __tablename__ = "rivals"
    __table_args__ = (one_of("threat_level", ThreatLevel), {"schema": "opportunities"})

    opportunity_id: Mapped[UUID]
    competitor_id: Mapped[UUID]
    threat_level: Mapped[str]
    price: Mapped[int | None]  # minor units of `price_currency`
    price_currency: Mapped[str | None]
    note: Mapped[str | None]


class CommitteeSeat(Versioned):
    """A contact with a say in the deal."""

    __tablename__ = "committee"
    __table_args__ = (
        one_of("role", CommitteeRole),
        one_of("attitude", Attitude),
        {"schema": "opportunities"},
    )

    opportunity_id: Mapped[UUID]
    contact_id: Mapped[UUID] = module_ref("customers.contacts", on_delete="keep")
    role: Mapped[str]
    attitude: Mapped[str]
    is_primary: Mapped[bool]
    note: Mapped[str | None]


class TeamMember(Versioned):
    """A member who works on the deal beside its owner."""

    __tablename__ = "team_members"
    __table_args__ = (one_of("access", TeamAccess), {"schema": "opportunities"})

    opportunity_id: Mapped[UUID]
    member_id: Mapped[UUID] = module_ref("tenants.members", on_delete="keep")
    role: Mapped[str]
    access: Mapped[str]


class Split(TenantOwned):
    """A member's percentage of the deal; those of kind revenue are none or add up to 100."""

    __tablename__ = "splits"
    __table_args__ = (one_of("kind", SplitKind), {"schema": "opportunities"})

    opportunity_id: Mapped[UUID]
    member_id: Mapped[UUID] = module_ref("tenants.members", on_delete="keep")
    kind: Mapped[str]
    percent: Mapped[Decimal]
