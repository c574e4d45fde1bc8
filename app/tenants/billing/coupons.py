"""Coupons: whoever runs the product makes them, companies redeem them, and bills take them off before tax."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from app.kernel.errors import Conflict, Invalid, NotFound
from app.kernel.models import TenantOwned
from app.kernel.money import InvalidMoney, parse_major
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import control_transaction
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.subscriptions import Subscriptions


class CouponUsedUp(Conflict):
    code = "coupon_used_up"
    title = "This coupon has been redeemed as often as it may be, or is no longer valid"


class CouponExists(Conflict):
    code = "coupon_exists"
    title = "There is a coupon of this code"


class CouponRedemption(TenantOwned):
    """A coupon as it was when the company redeemed it; what was promised then does not change."""

    __tablename__ = "coupon_redemptions"
    __table_args__ = (UniqueConstraint("tenant_id", "code"), {"schema": "tenants"})
    code: Mapped[str]
    kind: Mapped[str]
    value: Mapped[Decimal]
    currency: Mapped[str | None]
    duration: Mapped[str]
    months: Mapped[int | None]
    redeemed_at: Mapped[datetime]
    redeemed_by: Mapped[UUID | None]


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """`value` percent, or an amount in major units of `currency`: off one bill, those of some months, or all."""

    code: str
    kind: Literal["percent", "amount"]
    value: Decimal
    currency: str | None = None
    duration: Literal["once", "repeating", "forever"] = "once"
    months: int | None = None
    max_redemptions: int | None = None
    valid_until: datetime | None = None


async def create_coupon(kernel: Kernel, new: NewCoupon) -> None:
    """Offer a coupon. Raises: Invalid for one that makes no sense; CouponExists."""
    _check(new)
    async with control_transaction(kernel) as uow:
        row = await uow.fetchrow(
            "INSERT INTO tenants.coupons (code, kind, value, currency, duration, months, max_redemptions, redeemed,"
            " valid_until, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)"
            " ON CONFLICT DO NOTHING RETURNING code",
            new.code,
            new.kind,
            new.value,
            new.currency,
            new.duration,
            new.months,
            new.max_redemptions,
            new.valid_until,
            uow.now,
        )
        if row is None:
            raise CouponExists


async def redeem_coupon(uow: UnitOfWork, code: str) -> CouponRedemption:
    """Redeem a coupon for the tenant at hand, in a control transaction; redeemed before, it stays as it is.

    Raises: NotFound; CouponUsedUp; Invalid for an amount in another currency than the company pays in.
    """
    await hold_billing(uow)
    before = await uow.first(uow.select(CouponRedemption).where(CouponRedemption.code == code))
    if before is not None:
        return before
    # One statement claims it: of many who try for the last one, the row's lock lets one have it.
    coupon = await uow.fetchrow(
        "UPDATE tenants.coupons SET redeemed = redeemed + 1 WHERE code = $1"
        " AND (max_redemptions IS NULL OR redeemed < max_redemptions)"
        " AND (valid_until IS NULL OR valid_until > $2)"
        " RETURNING code, kind, value, currency, duration, months",
        code,
        uow.now,
    )
    if coupon is None:
        known = await uow.fetchrow("SELECT code FROM tenants.coupons WHERE code = $1", code)
        raise CouponUsedUp if known else NotFound
    paid_in = (await Subscriptions(uow).current()).held.price.currency
    if coupon["currency"] not in (None, paid_in):
        raise Invalid.at(
            "/code", "other_currency", f"The coupon is in {coupon['currency']}, your bills in {paid_in}."
        )
    return await uow.insert(
        CouponRedemption,
        audit="billing_coupon",
        **dict(coupon),
        redeemed_at=uow.now,
        redeemed_by=uow.actor.member_id,
    )


def _check(new: NewCoupon) -> None:
    """Raises: Invalid."""
    if not 1 <= len(new.code) <= 60 or not new.code.isprintable():
        raise Invalid.at("/code", "invalid", "A code has 1 to 60 characters.")
    if new.value <= 0 or (new.kind == "percent" and new.value > 100):
        raise Invalid.at(
            "/value", "out_of_range", "A coupon takes off more than nothing and at most everything."
        )
    if (new.kind == "amount") != (new.currency is not None):
        raise Invalid.at("/currency", "invalid", "An amount has a currency, a percentage none.")
    if new.currency is not None:
        try:
            parse_major(f"{new.value:f}", new.currency)
        except InvalidMoney as error:
            raise Invalid.at("/value", "invalid", str(error)) from None
    if (new.duration == "repeating") != (new.months is not None) or (new.months or 1) < 1:
        raise Invalid.at(
            "/months", "invalid", "A repeating coupon says for how many months, another does not."
        )
    if new.max_redemptions is not None and new.max_redemptions < 1:
        raise Invalid.at("/max_redemptions", "out_of_range", "A coupon can be redeemed once at least.")
