"""The wire shapes of lines, competitors, the committee, the team and its splits."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Url
from app.kernel.decimals import DecimalOut, Percent, decimal_field, decimal_text
from app.kernel.money import MoneyIn, MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.opportunities.models.selling import (
    Attitude,
    CommitteeRole,
    SplitKind,
    TeamAccess,
    ThreatLevel,
)
from app.modules.opportunities.schemas import Amount, Code

Quantity = Annotated[str, *decimal_field(r"^[0-9]{1,12}(\.[0-9]{1,6})?$", "3")]
"""A plain decimal number as text, to six decimals."""


class OpportunityLineCreate(Input):
    """Something offered: a product of the catalogue, or whatever is named. A discount is a percentage or a sum."""

    product_id: UUID | None = None
    product_name: ShortText | None = Field(None, description="Required without a product; else its name.")
    description: LongText | None = None
    quantity: Quantity
    unit_price: UnitPriceIn | None = Field(
        None, description="Required without a product; else its price for the opportunity's account."
    )
    discount_percent: Percent | None = None
    discount_amount: MoneyIn | None = None
    position: int | None = Field(None, ge=0, le=10_000, description="Absent means last.")

    @model_validator(mode="after")
    def _sound(self) -> OpportunityLineCreate:
        if self.product_id is None and (self.product_name is None or self.unit_price is None):
            raise PydanticCustomError(
                "required", "Name a product of the catalogue, or what it is and its price"
            )
        if self.discount_percent is not None and self.discount_amount is not None:
            raise PydanticCustomError("one_discount", "A discount is a percentage or a sum, not both")
        return self


class OpportunityLineUpdate(Input):
    """Changes to a line; absent fields stay as they are. A discount of one kind takes the place of the other.

    Another product brings its name, unless one is given, and not its price.
    """

    product_id: UUID | None = None
    product_name: ShortText | None = None
    description: LongText | None = None
    quantity: Quantity | None = None
    unit_price: UnitPriceIn | None = None
    discount_percent: Percent | None = None
    discount_amount: MoneyIn | None = None
    position: int | None = Field(None, ge=0, le=10_000)

    @model_validator(mode="after")
    def _sound(self) -> OpportunityLineUpdate:
        for name in self.model_fields_set & {"product_name", "quantity", "unit_price", "position"}:
            if getattr(self, name) is None:
                raise PydanticCustomError("required", "A line keeps its product, quantity, price and place")
        if self.discount_percent is not None and self.discount_amount is not None:
            raise PydanticCustomError("one_discount", "A discount is a percentage or a sum, not both")
        return self


class OpportunityLineRead(Output):
    """A line. `amount` is quantity x price less the discount, rounded once, half up; null where hidden from you."""

    id: UUID
    version: int
    position: int
    product_id: UUID | None
    product_name: str
    description: str | None
    quantity: DecimalOut
    unit_price: UnitPriceOut | None
    discount_percent: DecimalOut | None
    discount_amount: MoneyOut | None
    amount: MoneyOut | None


class OpportunityLines(Output):
    """An opportunity's lines in their order, and what they add up to."""

    data: list[OpportunityLineRead]
    amount: MoneyOut | None


class CompetitorCreate(RecordInput):
    """Somebody who sells what we sell."""

    name: ShortText
    website: Url | None = None
    strengths: LongText | None = None
    weaknesses: LongText | None = None
    price_notes: LongText | None = None


CompetitorUpdate = patch_of(CompetitorCreate)


class CompetitorRead(RecordOutput):
    """A competitor."""

    name: str
    website: str | None
    strengths: str | None
    weaknesses: str | None
    price_notes: str | None


class RivalInput(Input):
    """A competitor who is after the same deal."""

    competitor_id: UUID
    threat_level: ThreatLevel = ThreatLevel.MEDIUM
    price: Amount | None = Field(None, description="What they ask, as far as we know.")
    note: LongText | None = None


class RivalUpdate(Input):
    """Changes to what is known of a competitor in this deal."""

    threat_level: ThreatLevel | None = None
    price: Amount | None = None
    note: LongText | None = None

    @model_validator(mode="after")
    def _sound(self) -> RivalUpdate:
        if "threat_level" in self.model_fields_set and self.threat_level is None:
            raise PydanticCustomError("required", "A competitor is a threat of some level")
        return self


class RivalRead(Output):
    """A competitor met in an opportunity; `won` where the deal was lost to them."""

    id: UUID
    version: int
    competitor_id: UUID
    competitor_name: str
    threat_level: ThreatLevel
    price: MoneyOut | None
    note: str | None
    won: bool


class Rivals(Output):
    data: list[RivalRead]


class WinRate(Output):
    """How we fare against one competitor. `win_rate` is won / (won + lost to them), null before either."""

    competitor_id: UUID
    competitor_name: str
    met: int = Field(description="Opportunities in which they were met.")
    open: int
    won: int
    lost: int = Field(description="Lost to whomever.")
    lost_to_them: int
    win_rate: float | None


class WinRates(Output):
    """By competitor, those met most first, over the opportunities that you see."""

    data: list[WinRate]


class SeatInput(Input):
    """A contact with a say in the deal."""

    contact_id: UUID
    role: CommitteeRole
    attitude: Attitude = Attitude.UNKNOWN
    is_primary: bool = Field(False, description="Takes the place of the present one.")
    note: LongText | None = None


class SeatUpdate(Input):
    """Changes to a contact's part."""

    role: CommitteeRole | None = None
    attitude: Attitude | None = None
    is_primary: bool | None = None
    note: LongText | None = None

    @model_validator(mode="after")
    def _sound(self) -> SeatUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set - {"note"}):
            raise PydanticCustomError("required", "Nothing but the note may be null")
        return self


class SeatRead(Output):
    """A contact's part in the deal."""

    id: UUID
    version: int
    contact_id: UUID
    contact_name: str | None
    role: CommitteeRole
    attitude: Attitude
    is_primary: bool
    note: str | None


class CommitteeRead(Output):
    """Those with a say, by role."""

    data: list[SeatRead]


class TeamMemberInput(Input):
    """A member who works on the deal; they see it from now on, and change it with access `write`."""

    member_id: UUID
    role: Code = Field(examples=["presales"])
    access: TeamAccess = TeamAccess.READ


class TeamMemberUpdate(Input):
    """Changes to a member's part."""

    role: Code | None = None
    access: TeamAccess | None = None

    @model_validator(mode="after")
    def _sound(self) -> TeamMemberUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise PydanticCustomError("required", "Nothing of a part may be null")
        return self


class TeamMemberRead(Output):
    """A member's part and shares in the deal."""

    id: UUID
    version: int
    member_id: UUID
    member_name: str | None
    role: str
    access: TeamAccess
    created_at: datetime


class SplitRead(Output):
    member_id: UUID
    member_name: str | None
    percent: DecimalOut


class OpportunityTeam(Output):
    """Who works on the deal, and who is credited with which part of it."""

    owner_id: UUID | None
    owner_name: str | None
    data: list[TeamMemberRead]
    revenue: list[SplitRead] = Field(description="None, or parts that add up to exactly 100.")
    overlay: list[SplitRead]


class SplitInput(Input):
    member_id: UUID
    percent: Percent


class SplitsInput(Input):
    """All shares of one kind, replaced whole. Revenue adds up to exactly 100, or is left empty."""

    kind: SplitKind
    splits: Annotated[list[SplitInput], Field(max_length=50)]

    @model_validator(mode="after")
    def _sound(self) -> SplitsInput:
        members = [split.member_id for split in self.splits]
        if len(set(members)) != len(members):
            raise PydanticCustomError("duplicate_member", "Each member has one share of a kind")
        if any(Decimal(split.percent) == 0 for split in self.splits):
            raise PydanticCustomError("empty_share", "A share of nothing is left out")
        total = sum((Decimal(split.percent) for split in self.splits), Decimal(0))
        if self.kind is SplitKind.REVENUE and self.splits and total != 100:
            raise PydanticCustomError(
                "not_a_hundred", "Revenue adds up to exactly 100, not {total}", {"total": decimal_text(total)}
            )
        return self
