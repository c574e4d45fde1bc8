"""Pages of codes and uses, a member's own coupons, and baskets tried for somebody who asks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import NEWEST, fetch_page, order_by
from app.kernel.money import Money
from app.kernel.positions import MAX_LIMIT
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.membership.models.coupons import CouponBatch, CouponCode, CouponStatus, UseStatus
from app.modules.membership.schemas.coupons import (
    BasketInput,
    Batches,
    BatchRead,
    CouponCodePage,
    CouponCodeRead,
    CouponUsePage,
    CouponUseRead,
    EvaluatedCoupon,
    EvaluatedLine,
    Evaluation,
    MemberCouponRead,
    MemberCoupons,
)
from app.modules.membership.services.coupons.codes import ISSUE
from app.modules.membership.services.coupons.definitions import CouponService
from app.modules.membership.services.coupons.finding import Buyer
from app.modules.membership.services.coupons.pricing import CouponPricing, Tried
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.orders.interface import BasketLine

_CODE_FIELDS = tuple(CouponCodeRead.model_fields)


class CouponReading:
    """What belongs to coupons. Raises `NotFound` for one that the actor does not see."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def batches(self, id: UUID) -> Batches:
        await CouponService(self._uow).get(id, action=ISSUE)
        statement = self._uow.select(CouponBatch).where(CouponBatch.coupon_id == id)
        rows = await self._uow.all(statement.order_by(CouponBatch.id.desc()))
        return Batches(data=[read_batch(row) for row in rows])

    async def codes(self, id: UUID, *, code: str | None, limit: int, cursor: str | None) -> CouponCodePage:
        """Newest first. Raises `InvalidCursor`."""
        await CouponService(self._uow).get(id, action=ISSUE)
        wanted = None if code is None else code.strip().upper()
        bind = Bindings(self._uow.tenant_id, id, wanted)
        name = f"coupon_codes:{id}:{wanted}"
        found = await fetch_page(self._uow, _CODES, bind, NEWEST, name=name, limit=limit, cursor=cursor)
        return CouponCodePage(data=[_code(row) for row in found.rows], **found.onward)

    async def uses(self, id: UUID, *, limit: int, cursor: str | None) -> CouponUsePage:
        """Newest first. Raises `InvalidCursor`."""
        await CouponService(self._uow).get(id)
        bind = Bindings(self._uow.tenant_id, id)
        name = f"coupon_uses:{id}"
        found = await fetch_page(self._uow, _USES, bind, _NEWEST_USE, name=name, limit=limit, cursor=cursor)
        return CouponUsePage(data=[_use(row) for row in found.rows], **found.onward)

    async def of_member(self, id: UUID) -> MemberCoupons:
        """A member's own codes, newest first."""
        await LoyaltyMemberService(self._uow).get(id)
        rows = await self._uow.fetch(_OF_MEMBER, self._uow.tenant_id, id, MAX_LIMIT)
        return MemberCoupons(
            data=[
                MemberCouponRead(
                    **{name: row[name] for name in _CODE_FIELDS},
                    name=row["name"],
                    name_zh=row["name_zh"],
                    status=CouponStatus(row["status"]),
                )
                for row in rows
            ]
        )

    async def evaluate(self, body: BasketInput) -> Evaluation:
        """Try codes on a basket. Raises `Invalid` for who and what is not there, and other currencies."""
        buyer = await self._buyer(body)
        errors = [
            FieldError(f"/lines/{place}/amount/currency", "other_currency", f"It is in {body.currency}.")
            for place, line in enumerate(body.lines)
            if line.amount.currency != body.currency
        ]
        products = {line.product_id for line in body.lines if line.product_id is not None}
        known = await self._uow.of(Catalog).get_many(products) if products else {}
        errors += [
            FieldError(f"/lines/{place}/product_id", "unknown_reference", "There is no such product.")
            for place, line in enumerate(body.lines)
            if line.product_id is not None and line.product_id not in known
        ]
        errors += [
            FieldError(f"/lines/{place}/quantity", "not_positive", "More than nothing.")
            for place, line in enumerate(body.lines)
            if not Decimal(line.quantity)
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        lines = [
            BasketLine(
                product_id=line.product_id,
                quantity=Decimal(line.quantity),
                amount=line.amount.amount_minor,
            )
            for line in body.lines
        ]
        codes = list(dict.fromkeys(body.coupon_codes))
        tried = await CouponPricing(self._uow).tried(codes, lines, buyer)
        return _evaluation(tried, codes, lines, body.currency)

    async def _buyer(self, body: BasketInput) -> Buyer:
        account_id, contact_id = body.account_id, body.contact_id
        if body.member_id is not None:
            member = (await LoyaltyMemberService(self._uow).get_many([body.member_id])).get(body.member_id)
            if member is None:
                raise Invalid.at("/member_id", "unknown_reference", "There is no such member.")
            account_id, contact_id = account_id or member.account_id, contact_id or member.contact_id
        customers = self._uow.of(Customers)
        if account_id is not None and account_id not in await customers.get_many([account_id]):
            raise Invalid.at("/account_id", "unknown_reference", "There is no such account.")
        if contact_id is not None and contact_id not in await customers.get_contacts([contact_id]):
            raise Invalid.at("/contact_id", "unknown_reference", "There is no such contact.")
        return Buyer(account_id=account_id, contact_id=contact_id, currency=body.currency)


def _evaluation(tried: Tried, codes: Sequence[str], lines: Sequence[BasketLine], currency: str) -> Evaluation:
    off = [sum(one.discounts[place] for one in tried.given) for place in range(len(lines))]
    amount, discount = sum(line.amount for line in lines), sum(off)

    def money(minor: int) -> Money:
        return Money(minor, currency)

    def coupon(code: str, discounts: Sequence[int], *, applies: bool) -> EvaluatedCoupon:
        found = tried.found.get(code)
        return EvaluatedCoupon(
            code=code,
            coupon_id=None if found is None else found.row["id"],
            name=None if found is None else found.row["name"],
            applies=applies,
            reason=None if applies else tried.refused[code],
            discount=money(sum(discounts)),
            lines=[money(one) for one in discounts],
        )

    given = [coupon(one.offer.code, one.discounts, applies=True) for one in tried.given]
    nothing = [0] * len(lines)
    others = [coupon(code, nothing, applies=False) for code in codes if code in tried.refused]
    return Evaluation(
        amount=money(amount),
        discount=money(discount),
        left=money(amount - discount),
        coupons=given + others,
        lines=[
            EvaluatedLine(amount=money(line.amount), discount=money(less), left=money(line.amount - less))
            for line, less in zip(lines, off, strict=True)
        ],
    )


def read_batch(row: CouponBatch) -> BatchRead:
    """The wire form."""
    return BatchRead(**{name: getattr(row, name) for name in BatchRead.model_fields})


def read_code(row: CouponCode) -> CouponCodeRead:
    """The wire form."""
    return CouponCodeRead(**{name: getattr(row, name) for name in _CODE_FIELDS})


def _code(row: Any) -> CouponCodeRead:
    return CouponCodeRead(**{name: row[name] for name in _CODE_FIELDS})


def _use(row: Any) -> CouponUseRead:
    plain = {name: row[name] for name in CouponUseRead.model_fields if name not in ("status", "amount")}
    return CouponUseRead(
        **plain, status=UseStatus(row["status"]), amount=Money(row["amount"], row["currency"])
    )


_CODES = """
SELECT * FROM membership.coupon_codes WHERE tenant_id = $1 AND coupon_id = $2 AND ($3::text IS NULL OR code = $3)"""
_USES = """
SELECT u.*, c.code FROM membership.coupon_uses u
JOIN membership.coupon_codes c ON c.tenant_id = u.tenant_id AND c.id = u.code_id
WHERE u.tenant_id = $1 AND u.coupon_id = $2"""
_NEWEST_USE = order_by({"u.id": Kind.UUID}, falling=True)
_OF_MEMBER = """
SELECT c.*, p.name, p.name_zh, p.status FROM membership.coupon_codes c
JOIN membership.coupons p ON p.tenant_id = c.tenant_id AND p.id = c.coupon_id
WHERE c.tenant_id = $1 AND c.member_id = $2 ORDER BY c.id DESC LIMIT $3"""
