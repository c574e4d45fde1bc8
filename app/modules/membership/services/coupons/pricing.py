"""Trying coupons on a basket: which apply, what they take off each line, and why others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.membership.models.coupons import BenefitKind
from app.modules.membership.schemas.coupons import Reason
from app.modules.membership.services.coupons.finding import Buyer, Finding, Found, refusal
from app.modules.membership.services.coupons.stacking import Amount, Given, Offer, combined
from app.modules.orders.interface import BasketLine


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. `found` are all codes that are there."""

    given: tuple[Given, ...]
    refused: Mapping[str, Reason]
    found: Mapping[str, Found]


class CouponPricing:
    """Tries coupons; nothing is reserved."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._finding = Finding(uow)

    async def tried(self, codes: Sequence[str], lines: Sequence[BasketLine], buyer: Buyer) -> Tried:
        """A number of statements that depends neither on codes nor on lines: at most four."""
        found = await self._finding.behind(codes, buyer)
        known = await self._finding.circumstances(found, buyer)
        refused = {code: Reason.UNKNOWN_CODE for code in codes if code not in {one.code for one in found}}
        holding = []
        for one in found:
            reason = refusal(one, buyer, known)
            if reason is None:
                holding.append(one)
            else:
                refused[one.code] = reason
        categories = await self._categories(holding, lines)
        offers = []
        for one in holding:
            places = _places(one, lines, categories)
            reason = _of_basket(one, lines, places)
            if reason is None:
                offers.append(_offer(one, places))
            else:
                refused[one.code] = reason
        amounts = [Amount(line.quantity, line.amount) for line in lines]
        done = combined(offers, amounts, buyer.currency)
        return Tried(done.given, {**refused, **done.refused}, {one.code: one for one in found})

    async def _categories(
        self, found: Sequence[Found], lines: Sequence[BasketLine]
    ) -> Mapping[UUID, UUID | None]:
        products = {line.product_id for line in lines if line.product_id is not None}
        if not products or not any(one.row["category_ids"] for one in found):
            return {}
        known = await self._uow.of(Catalog).get_many(products)
        return {id: product.category_id for id, product in known.items()}


def _places(
    found: Found, lines: Sequence[BasketLine], categories: Mapping[UUID, UUID | None]
) -> tuple[int, ...]:
    """The indexes of the lines that a coupon is about."""
    products, groups = set(found.row["product_ids"]), set(found.row["category_ids"])
    if not products and not groups:
        return tuple(range(len(lines)))
    return tuple(
        place
        for place, line in enumerate(lines)
        if line.product_id is not None
        and (line.product_id in products or categories.get(line.product_id) in groups)
    )


def _of_basket(found: Found, lines: Sequence[BasketLine], places: Sequence[int]) -> Reason | None:
    row = found.row
    if not places:
        return Reason.NO_MATCHING_LINES
    free = row["benefit"] == BenefitKind.FREE_PRODUCT
    counted = [line.amount for place, line in enumerate(lines) if (place in places) is not free]
    if row["minimum_spend"] is not None and sum(counted) < row["minimum_spend"]:
        return Reason.MINIMUM_SPEND
    return None


def _offer(found: Found, places: tuple[int, ...]) -> Offer:
    row = found.row
    return Offer(
        code=found.code,
        coupon_id=row["id"],
        benefit=row["benefit"],
        places=places,
        percent=row["percent"],
        amount=row["amount"],
        free_quantity=row["free_quantity"],
        maximum=row["maximum_discount"],
        room=found.room,
        exclusive=row["exclusive"],
        group=row["stacking_group"],
        priority=row["priority"],
    )
