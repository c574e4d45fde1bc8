"""Orders of the past, a thousand at a time in a handful of statements: delivered then, so stock is not asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.bulk import insert_records, insert_rows
from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.kernel.numbering import next_numbers
from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import NewOrderLine
from app.modules.orders.models.orders import Order, OrderLine, PaymentStatus
from app.modules.orders.schemas.imports import ImportAnswer, ImportedOrder
from app.modules.orders.services.imported import (
    Item,
    Known,
    answer,
    mark_existing,
    refuse_known_lines,
    settle_conflicts,
)
from app.modules.orders.services.lines import totalled
from app.modules.orders.services.orders import NUMBER, ORDER

_ZERO = Decimal(0)
Made = tuple[Item[ImportedOrder], dict[str, Any], list[dict[str, Any]]]


class OrderImports:
    """Brings in orders with their lines."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._days: dict[date, datetime] = {}
        self._blank = dict.fromkeys(columns_of(Order))

    async def run(self, orders: Sequence[ImportedOrder]) -> ImportAnswer:
        """Make what is not there by its external id; what is wrong with one leaves the others alone.

        Raises: Forbidden; Invalid for owners who are no members.
        """
        uow = self._uow
        uow.actor.require("order:import")
        items = [Item(order) for order in orders]
        await mark_existing(uow, "orders.orders", items)
        await refuse_known_lines(uow, "orders.order_lines", items)
        known = await Known.of(uow, items)
        ready = [one for item in items if item.due and (one := self._compose(item, known)) is not None]
        if ready:
            numbers = await next_numbers(uow, "order", len(ready), NUMBER)
            for (_, row, _), number in zip(ready, numbers, strict=True):
                row["number"] = number
                row["tokens"] = ORDER.search.tokens(row)
            made = await insert_records(uow, ORDER, [row for _, row, _ in ready])
            await settle_conflicts(uow, "orders.orders", [item for item, _, _ in ready], made)
            await insert_rows(
                uow, OrderLine, [line for item, _, lines in ready if item.due for line in lines]
            )
        return answer(items)

    def _compose(self, item: Item[ImportedOrder], known: Known) -> Made | None:
        """The columns of an order and its lines; None where it is refused."""
        given = item.given
        account = known.account(item)
        new, keys = self._lines(item, known)
        if account is None or item.faults:
            return None
        percent = Decimal(given.discount_percent)
        try:
            header, rows = totalled(
                new,
                currency=given.currency,
                discount_percent=percent,
                discount_amount=0,
                tax_included=given.tax_included,
                commission_percent=None,
                credit=True,
            )
        except Invalid as refusal:
            for error in refusal.errors:
                item.refuse(error.pointer, error.code, error.detail)
            return None
        item.id = id = new_id()
        delivered = given.status != "cancelled"
        lines = [
            row
            | {"id": new_id(), "order_id": id, "external_id": key}
            | {"fulfilled": row["quantity"] if delivered else _ZERO, "cancelled": _ZERO}
            | {"return_claimed": _ZERO, "returned": _ZERO, "returned_net": 0, "returned_tax": 0}
            for row, key in zip(rows, keys, strict=True)
        ]
        columns = self._columns(given, account, known)
        return item, {**columns, **header, "id": id, "discount_percent": percent}, lines

    def _lines(self, item: Item[ImportedOrder], known: Known) -> tuple[list[NewOrderLine], list[str | None]]:
        new = []
        for place, line in enumerate(item.given.lines):
            at = f"/lines/{place}"
            product = known.product(item, line, at)
            description = line.description or (None if product is None else product.name)
            if description is None:
                item.refuse(f"{at}/description", "required", "Say what it is, or name a product.")
            quantity = Decimal(line.quantity)
            if not quantity:
                item.refuse(f"{at}/quantity", "not_positive", "A quantity is more than nothing.")
            new.append(
                NewOrderLine(
                    product_id=None if product is None else product.id,
                    description=description or "",
                    unit=line.unit or ("piece" if product is None else product.unit),
                    quantity=quantity,
                    unit_price=Decimal(line.unit_price),
                    discount_percent=Decimal(line.discount_percent),
                    tax_rate=Decimal(line.tax_rate),
                    unit_cost=None if line.unit_cost is None else Decimal(line.unit_cost),
                )
            )
        return new, [line.external_id for line in item.given.lines]

    def _columns(self, given: ImportedOrder, account: UUID, known: Known) -> dict[str, Any]:
        uow = self._uow
        owner = given.owner_id or uow.actor.member_id
        at = self._moment(given.ordered_on)
        done = given.status != "cancelled"
        return {
            **self._blank,
            "tenant_id": uow.tenant_id,
            "status": given.status,
            "payment_status": PaymentStatus.UNPAID.value,
            "account_id": account,
            "customer_reference": given.customer_reference,
            "external_id": given.external_id,
            "currency": given.currency,
            "tax_included": given.tax_included,
            "discount_amount": 0,
            "ordered_on": given.ordered_on,
            "source": given.source,
            "channel": given.channel,
            "country": given.country or known.countries.get(account),
            "confirmed_at": at,
            "fulfilled_at": at if done else None,
            "closed_at": at if given.status == "closed" else None,
            "cancelled_at": None if done else at,
            "owner_id": owner,
            "team_id": known.teams.get(owner),
            "coupon_codes": [],
            "points": 0,
            "tags": [],
            "custom": {},
            "version": 1,
            "created_at": uow.now,
            "updated_at": uow.now,
            "created_by": uow.actor.member_id,
        }

    def _moment(self, day: date) -> datetime:
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = self._uow.actor.tenant.midnight(day)
        return found
