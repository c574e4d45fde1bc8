"""The wire shapes of coupons, their codes, and baskets that they are tried on."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.benefits import MOST_CODES, CouponCode
from app.kernel.decimals import DecimalOut, Percent, decimal_field
from app.kernel.money import Currency, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output, Page, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.membership.models.coupons import (
    BenefitKind,
    CouponStatus,
    Distribution,
    OnReturn,
    UseStatus,
)
from app.modules.membership.schemas.programmes import Key

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
BasketQuantity = Annotated[str, *decimal_field(r"^[0-9]{1,9}(\.[0-9]{1,4})?$", "2")]


class CouponCreate(RecordInput):
    """What a coupon gives, to whom, and how often. What it gives is fixed once it is active."""

    name: ShortText
    name_zh: ShortText | None = None
    distribution: Distribution = Distribution.SHARED
    code: CouponCode | None = Field(None, min_length=3, description="Of a shared one: what everybody enters.")
    benefit: BenefitKind
    currency: Currency | None = Field(None, description="Absent: the company's. It holds for no other.")
    percent: Percent | None = Field(None, description="Kind percent: what comes off.")
    amount: MoneyIn | None = Field(
        None, description="Kind amount: what comes off. Kind fixed_price: what each unit costs."
    )
    free_quantity: int | None = Field(
        None, ge=1, le=10_000, description="Kind free_product: so many units of the products cost nothing."
    )
    maximum_discount: MoneyIn | None = Field(None, description="It never takes off more than this.")
    minimum_spend: MoneyIn | None = Field(
        None,
        description="What the lines that it is about come to at least, their own discounts off; of a free "
        "product the other lines.",
    )
    valid_from: date | None = None
    valid_until: date | None = Field(None, description="The last day.")
    valid_days: int | None = Field(
        None, ge=1, le=3650, description="Of a personal one: how many days an issued code lasts."
    )
    product_ids: Annotated[list[UUID], Field(max_length=500)] = Field(
        default_factory=list, description="Only lines with these products."
    )
    category_ids: Annotated[list[UUID], Field(max_length=100)] = Field(
        default_factory=list, description="Only lines with products of these categories; or of `product_ids`."
    )
    programme_id: UUID | None = Field(None, description="Only for members of this loyalty programme.")
    tiers: Annotated[list[Key], Field(max_length=20)] = Field(
        default_factory=list, description="Only for members of the programme in one of these tiers."
    )
    first_order_only: bool = Field(False, description="Only for accounts that never had an order confirmed.")
    exclusive: bool = Field(False, description="It does not go with any other.")
    stacking_group: Key | None = Field(None, description="Of one group only one coupon goes on an order.")
    priority: int = Field(0, ge=-1000, le=1000, description="The higher is taken off first.")
    customer_limit: Count | None = Field(None, description="How often an account may use it.")
    total_limit: Count | None = Field(None, description="How often it may be used at all.")
    budget: MoneyIn | None = Field(None, description="All that it may take off altogether.")
    on_return: OnReturn = Field(
        OnReturn.KEEP,
        description="When all of an order came back, `give_back` gives back the use and the budget.",
    )


CouponUpdate = patch_of(CouponCreate)


class CouponRead(RecordOutput):
    """A coupon as stored, and how far it is used up."""

    name: str
    name_zh: str | None
    status: CouponStatus
    distribution: Distribution
    code: str | None
    benefit: BenefitKind
    currency: str
    percent: DecimalOut | None
    amount: MoneyOut | None
    free_quantity: int | None
    maximum_discount: MoneyOut | None
    minimum_spend: MoneyOut | None
    valid_from: date | None
    valid_until: date | None
    valid_days: int | None
    product_ids: list[UUID]
    category_ids: list[UUID]
    programme_id: UUID | None
    tiers: list[str]
    first_order_only: bool
    exclusive: bool
    stacking_group: str | None
    priority: int
    customer_limit: int | None
    total_limit: int | None
    budget: MoneyOut | None
    on_return: OnReturn
    codes: int = Field(description="How many codes stand for it.")
    uses: int = Field(description="How often it is reserved or redeemed.")
    spent: MoneyOut = Field(description="What it took off, reservations included.")


class BatchInput(Input):
    """So many codes that nobody can guess; each counts once."""

    count: int = Field(ge=1, le=100_000, examples=[100])
    prefix: Annotated[
        str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9-]{0,12}$")
    ] = Field("", examples=["SPRING-"])


class BatchRead(Output):
    """A batch of codes; the job makes them."""

    id: UUID
    coupon_id: UUID
    prefix: str
    wanted: int
    made: int
    job_id: UUID
    created_at: datetime


class Batches(Output):
    """All batches of a coupon, the newest first."""

    data: list[BatchRead]


class IssueInput(Input):
    """Give a member a code of their own."""

    member_id: UUID
    valid_until: date | None = Field(None, description="Absent: `valid_days` of the coupon from today on.")
    reference: ShortText | None = Field(
        None, description="What it is for: the same member gets one for it only once."
    )


class CouponCodeRead(Output):
    """A code, and how often it was used."""

    id: UUID
    coupon_id: UUID
    batch_id: UUID | None
    member_id: UUID | None
    code: str
    reference: str | None
    valid_until: date | None
    use_limit: int | None
    uses: int
    created_at: datetime


class CouponCodePage(Page[CouponCodeRead]):
    """Codes, newest first."""


class MemberCouponRead(CouponCodeRead):
    """A member's own code with what it is for."""

    name: str
    name_zh: str | None
    status: CouponStatus


class MemberCoupons(Output):
    """A member's own codes, newest first, at most 200."""

    data: list[MemberCouponRead]


class CouponUseRead(Output):
    """A coupon on an order."""

    id: UUID
    coupon_id: UUID
    code: str
    order_id: UUID
    account_id: UUID
    status: UseStatus
    amount: MoneyOut
    created_at: datetime
    settled_at: datetime | None


class CouponUsePage(Page[CouponUseRead]):
    """Uses, newest first."""


class Reason(StrEnum):
    """Why a coupon does not apply."""

    UNKNOWN_CODE = "unknown_code"
    NOT_ACTIVE = "not_active"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    OTHER_CURRENCY = "other_currency"
    USED_UP = "used_up"
    CUSTOMER_LIMIT = "customer_limit"
    BUDGET_EXHAUSTED = "budget_exhausted"
    MINIMUM_SPEND = "minimum_spend"
    NO_MATCHING_LINES = "no_matching_lines"
    FIRST_ORDER_ONLY = "first_order_only"
    NOT_A_MEMBER = "not_a_member"
    OTHER_TIER = "other_tier"
    ANOTHER_MEMBER = "another_member"
    NOT_COMBINABLE = "not_combinable"
    NOTHING_LEFT = "nothing_left"


class BasketLineInput(Input):
    """Something in a basket: `amount` is for all of it, its own discounts off."""

    product_id: UUID | None = None
    quantity: BasketQuantity
    amount: MoneyIn


class BasketInput(Input):
    """A basket that codes are tried on. Nothing is reserved."""

    account_id: UUID | None = Field(None, description="May be left out with a member, who is or has one.")
    contact_id: UUID | None = None
    member_id: UUID | None = Field(None, description="The loyalty member who buys.")
    currency: Currency
    coupon_codes: Annotated[list[CouponCode], Field(min_length=1, max_length=MOST_CODES)]
    lines: Annotated[list[BasketLineInput], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.account_id is None and self.member_id is None:
            raise PydanticCustomError("buyer_required", "Say whose basket it is: an account or a member")
        return self


class EvaluatedCoupon(Output):
    """One code on a basket: what it takes off which line, or why it does not apply."""

    code: str
    coupon_id: UUID | None
    name: str | None
    applies: bool
    reason: Reason | None
    discount: MoneyOut
    lines: list[MoneyOut] = Field(description="By line, as they were sent; they sum to `discount`.")


class EvaluatedLine(Output):
    amount: MoneyOut
    discount: MoneyOut
    left: MoneyOut


class Evaluation(Output):
    """A basket with its coupons, in the order in which they are taken off, then those that do not apply."""

    amount: MoneyOut
    discount: MoneyOut
    left: MoneyOut
    coupons: list[EvaluatedCoupon]
    lines: list[EvaluatedLine]
