"""Coupons, the codes that stand for them, and what was granted on them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import RecordTable, TenantOwned, module_ref, one_of

_SCHEMA = {"schema": "membership"}
_DERIVED = {"derived": True}


class CouponStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class Distribution(StrEnum):
    """One code for everybody, many codes that each count once, or codes of single members."""

    SHARED = "shared"
    BATCH = "batch"
    PERSONAL = "personal"


class BenefitKind(StrEnum):
    """What comes off: a part, an amount, what a unit costs beyond a price, or the price of so many units."""

    PERCENT = "percent"
    AMOUNT = "amount"
    FIXED_PRICE = "fixed_price"
    FREE_PRODUCT = "free_product"


class OnReturn(StrEnum):
    """What becomes of a use when all that it was for came back."""

    KEEP = "keep"
    GIVE_BACK = "give_back"


class UseStatus(StrEnum):
    """`returned` is a use given back by a return, `released` one that never came to be or was cancelled."""

    RESERVED = "reserved"
    REDEEMED = "redeemed"
    RELEASED = "released"
    RETURNED = "returned"


class Coupon(RecordTable):
    """What a coupon gives, to whom, and how often. Amounts are in minor units of `currency`.

    `uses` and `spent` count what is reserved and redeemed; constraints keep them within `total_limit` and `budget`.
    `amount` is what comes off, or with a fixed price what a unit costs.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        one_of("status", CouponStatus),
        one_of("distribution", Distribution),
        one_of("on_return", OnReturn),
        _SCHEMA,
    )

    name: Mapped[str]
    name_zh: Mapped[str | None]
    status: Mapped[str]
    distribution: Mapped[str]
    code: Mapped[str | None]
    benefit: Mapped[str]
    currency: Mapped[str]
    percent: Mapped[Decimal | None]
    amount: Mapped[int | None]
    free_quantity: Mapped[int | None]
    maximum_discount: Mapped[int | None]
    minimum_spend: Mapped[int | None]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    valid_days: Mapped[int | None]
    product_ids: Mapped[list[UUID]]
    category_ids: Mapped[list[UUID]]
    programme_id: Mapped[UUID | None]
    tiers: Mapped[list[str]]
    first_order_only: Mapped[bool]
    exclusive: Mapped[bool]
    stacking_group: Mapped[str | None]
    priority: Mapped[int]
    customer_limit: Mapped[int | None]
    total_limit: Mapped[int | None]
    budget: Mapped[int | None]
    on_return: Mapped[str]
    codes: Mapped[int] = mapped_column(info=_DERIVED)
    uses: Mapped[int] = mapped_column(info=_DERIVED)
    spent: Mapped[int] = mapped_column(info=_DERIVED)
    used_at: Mapped[datetime] = mapped_column(info=_DERIVED)


class CouponBatch(TenantOwned):
    """An order for many codes; `made` of the `wanted` are there."""

    __tablename__ = "coupon_batches"
    __table_args__ = (_SCHEMA,)

    coupon_id: Mapped[UUID]
    prefix: Mapped[str]
    wanted: Mapped[int]
    made: Mapped[int]
    job_id: Mapped[UUID]
    made_by: Mapped[UUID | None]
    created_at: Mapped[datetime]


class CouponCode(TenantOwned):
    """What a customer types in: one code of all coupons, with a letter in it, which no card's number has."""

    __tablename__ = "coupon_codes"
    __table_args__ = (_SCHEMA,)

    coupon_id: Mapped[UUID]
    batch_id: Mapped[UUID | None]
    member_id: Mapped[UUID | None]
    code: Mapped[str]
    reference: Mapped[str | None]
    valid_until: Mapped[date | None]
    use_limit: Mapped[int | None]
    uses: Mapped[int]
    created_at: Mapped[datetime]


class CouponUse(TenantOwned):
    """A coupon on an order: reserved while it is a draft, redeemed once it is confirmed."""

    __tablename__ = "coupon_uses"
    __table_args__ = (one_of("status", UseStatus), _SCHEMA)

    coupon_id: Mapped[UUID]
    code_id: Mapped[UUID]
    order_id: Mapped[UUID] = module_ref("orders.orders", on_delete="keep")
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="keep")
    status: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    made_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
