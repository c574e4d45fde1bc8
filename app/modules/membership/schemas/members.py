"""The wire shapes of loyalty members and of what they do with points."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import MoneyOut
from app.kernel.schemas import Input, Output, Page, RecordInput, RecordOutput, ShortText, patch_of
from app.kernel.time_zones import TimeZone
from app.modules.membership.models.programmes import AdjustmentStatus, BurnStatus, MemberStatus, TierReason
from app.modules.membership.schemas.programmes import Key, Points

ReferralCodeText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=8, max_length=40),
    Field(examples=["K7WQ2MXH94TD"]),
]
CardNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{8,19}$")]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


Standing = Literal["active", "suspended", "closed"]


class LoyaltyMemberCreate(RecordInput):
    """An account or a contact joins a programme; each does so once."""

    programme_id: UUID | None = Field(None, description="Absent: the only one that is active.")
    account_id: UUID | None = None
    contact_id: UUID | None = Field(None, description="Either an account or a contact.")
    number: CardNumber | None = Field(
        None,
        description="The card's number, of which the last digit checks the others (Luhn). Absent: a new one.",
    )
    since: date | None = Field(None, description="Orders from this day on earn. Absent: today.")
    status: Standing = "active"
    birthday: date | None = None
    time_zone: TimeZone | None = Field(
        None, description="Where their days begin and end. Absent: the contact's, or the company's."
    )
    referral_code: ReferralCodeText | None = Field(
        None, description="Of the member who brought them in. Fraud does not keep them from joining."
    )


class _Changeable(RecordInput):
    status: Standing = "active"
    birthday: date | None = None
    time_zone: TimeZone | None = None


LoyaltyMemberUpdate = patch_of(_Changeable, "LoyaltyMemberUpdate")


class LoyaltyMemberRead(RecordOutput):
    """A member as stored. Balances are in points; `points` can be spent."""

    programme_id: UUID
    account_id: UUID | None
    contact_id: UUID | None
    number: str
    status: MemberStatus
    since: date
    birthday: date | None
    time_zone: str | None = Field(description="Absent: the company's.")
    tier: str | None
    tier_since: date | None
    tier_until: date | None
    points: int
    points_pending: int
    points_reserved: int
    points_debt: int = Field(
        description="Taken back by returns beyond what was left; the next points pay it."
    )
    points_qualifying: int
    rfm_class: str | None
    rfm_scores: str | None = Field(description="Recency, frequency and amount, each from 1 to 5: `543`.")
    value_class: str | None
    rfm_explanation: dict[str, Any] | None
    rfm_at: datetime | None


class BurnInput(Input):
    """Spend points; with `reserve` they are only kept until the burn is committed or released."""

    points: Points
    order_id: UUID | None = Field(None, description="An order of this member's that they pay for.")
    reserve: bool = False
    note: Note | None = None


class BurnRead(Output):
    """Points spent or kept; `restored` is what returns brought back."""

    id: UUID
    order_id: UUID | None
    status: BurnStatus
    points: int
    restored: int
    worth: MoneyOut
    note: str | None
    created_at: datetime
    settled_at: datetime | None


class TransferInput(Input):
    """Give points to another member of the programme; they keep the day on which they expire."""

    to_member_id: UUID
    points: Points
    note: Note | None = None


class TransferRead(Output):
    transaction_id: UUID
    points: int
    left: int


class AdjustmentInput(Input):
    """Give points, or take them, for a reason."""

    points: int = Field(ge=-1_000_000_000, le=1_000_000_000, examples=[100])
    qualifying_points: int = Field(0, ge=-1_000_000_000, le=1_000_000_000)
    reason: Note
    chosen_ids: Annotated[list[UUID], Field(max_length=20)] = Field(
        default_factory=list, description="Approvers, for steps that leave the choice to whoever asks."
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.points and not self.qualifying_points:
            raise PydanticCustomError("no_points", "An adjustment is of some points")
        return self


class AdjustmentRead(Output):
    id: UUID
    points: int
    qualifying_points: int
    reason: str
    status: AdjustmentStatus
    requested_by: UUID | None
    created_at: datetime
    decided_at: datetime | None
    amount: MoneyOut | None = Field(description="Of a wallet; absent where points are adjusted.")


class EarnInput(Input):
    """Something that a member did, for which the programme's rules give points; once for each reference."""

    event: Key = Field(examples=["review"])
    reference: ShortText = Field(description="What it was about: the same one earns once.")


class EarnRead(Output):
    """`spendable` points are pending until `pending_until`, absent at once."""

    earning_id: UUID
    spendable: int
    qualifying: int
    pending_until: date | None


class LedgerMovement(Output):
    """What a transaction did to one account of the member."""

    account: Literal["available", "pending", "reserved", "debt", "qualifying"]
    points: int


class LedgerTransactionRead(Output):
    id: UUID
    kind: str
    order_id: UUID | None
    note: str | None
    made_by: UUID | None
    at: datetime
    movements: list[LedgerMovement]


class LedgerPage(Page[LedgerTransactionRead]):
    """Newest first."""


class LotRead(Output):
    """Points that came together; pending ones can be spent from `matures_on`."""

    id: UUID
    earned_on: date
    matures_on: date | None
    expires_on: date | None
    points: int
    remaining: int


class Lots(Output):
    """What is left, in the order in which it is spent; pending points last."""

    data: list[LotRead]


class BurnPage(Page[BurnRead]):
    """Newest first."""


class AdjustmentPage(Page[AdjustmentRead]):
    """Newest first."""


class TierChangeRead(Output):
    id: UUID
    from_tier: str | None
    to_tier: str | None
    reason: TierReason
    until: date | None
    at: datetime


class TierChangePage(Page[TierChangeRead]):
    """Newest first."""
