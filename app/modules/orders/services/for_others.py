"""`Orders` for other modules, bound to their transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.decimals import decimal_text
from app.kernel.listing import Bindings
from app.kernel.money import Money
from app.kernel.statements import columns_of, entities, entity
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import (
    NewOrder,
    NewReturn,
    OrderLineRef,
    OrderRef,
    Purchase,
    ReturnLineRef,
    ReturnRef,
    ShippedLine,
)
from app.modules.orders.models.orders import Order
from app.modules.orders.models.returns import Return
from app.modules.orders.services.orders import OrderService
from app.modules.orders.services.placing import Placing
from app.modules.orders.services.returns import ReturnService


class OrdersOfTenant:
    """Orders as far as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def place(self, new: NewOrder) -> OrderRef:
        return reference(await Placing(self._uow).place(new))

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, OrderRef]:
        if not ids or not self._uow.actor.may("order:read"):
            return {}
        lock: Any = "share" if hold and not self._uow.read_only else None
        rows = await OrderService(self._uow).get_many(list(ids), lock=lock)
        return {id: reference(row) for id, row in rows.items()}

    async def lines_of(self, order_ids: Collection[UUID]) -> Sequence[OrderLineRef]:
        actor = self._uow.actor
        if not order_ids or not actor.may("order:read"):
            return []
        bind = Bindings(self._uow.tenant_id, list(order_ids))
        visible = visible_rows(actor, "order", "read", bind)
        # OFFSET 0 keeps the look for lines one probe an order: after an import, a planner that has not yet heard of
        # its lines read all of the company's for each.
        rows = await self._uow.fetch(
            "SELECT l.id, l.order_id, t.account_id, l.product_id, l.description, l.quantity, l.fulfilled,"
            " l.returned, l.cancelled, l.net, l.total, t.currency, t.confirmed_at, t.created_at"
            " FROM (SELECT DISTINCT unnest($2::uuid[]) AS id) o"
            " JOIN orders.orders t ON t.tenant_id = $1 AND t.id = o.id AND t.deleted_at IS NULL"
            " CROSS JOIN LATERAL (SELECT * FROM orders.order_lines l"
            " WHERE l.tenant_id = $1 AND l.order_id = o.id OFFSET 0) l"
            f"{f' WHERE {visible}' if visible else ''} ORDER BY l.order_id, l.position",
            *bind.values,
        )
        return [_line(row) for row in rows]

    async def shipped(self, shipment_id: UUID) -> Sequence[ShippedLine]:
        actor = self._uow.actor
        if not actor.may("order:read"):
            return []
        bind = Bindings(self._uow.tenant_id, shipment_id)
        visible = visible_rows(actor, "order", "read", bind)
        rows = await self._uow.fetch(
            "SELECT l.order_line_id, o.product_id, l.quantity, l.serial_numbers, s.shipped_at"
            " FROM orders.shipments s"
            " JOIN orders.shipment_lines l ON l.tenant_id = s.tenant_id AND l.shipment_id = s.id"
            " JOIN orders.order_lines o ON o.tenant_id = l.tenant_id AND o.id = l.order_line_id"
            " JOIN orders.orders t ON t.tenant_id = s.tenant_id AND t.id = s.order_id"
            " WHERE s.tenant_id = $1 AND s.id = $2 AND t.deleted_at IS NULL"
            f"{f' AND {visible}' if visible else ''} ORDER BY o.position",
            *bind.values,
        )
        return [
            ShippedLine(
                order_line_id=row["order_line_id"],
                product_id=row["product_id"],
                quantity=row["quantity"],
                serial_numbers=tuple(row["serial_numbers"]),
                at=row["shipped_at"],
            )
            for row in rows
        ]

    async def open_return(self, new: NewReturn) -> ReturnRef:
        given = {
            "order_id": new.order_id,
            "contact_id": new.contact_id,
            "reason": new.reason,
            "lines": [
                {
                    "order_line_id": line.order_line_id,
                    "quantity": decimal_text(line.quantity),
                    "reason": line.reason,
                    "serial_numbers": list(line.serial_numbers),
                }
                for line in new.lines
            ],
        }
        return _return(await ReturnService(self._uow).create_for(new.case_id, given))

    async def returns_of(self, case_ids: Collection[UUID]) -> Mapping[UUID, Sequence[ReturnRef]]:
        actor = self._uow.actor
        if not case_ids or not actor.may("return:read"):
            return {}
        bind = Bindings(self._uow.tenant_id, list(case_ids))
        visible = visible_rows(actor, "return", "read", bind)
        rows = await self._uow.fetch(
            "SELECT t.* FROM orders.returns t WHERE t.tenant_id = $1 AND t.case_id = ANY($2::uuid[])"
            f" AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''} ORDER BY t.id",
            *bind.values,
        )
        found: dict[UUID, list[ReturnRef]] = {}
        for row in entities(Return, rows):
            if row.case_id is not None:
                found.setdefault(row.case_id, []).append(_return(row))
        return found

    async def return_lines_of(self, return_ids: Collection[UUID]) -> Sequence[ReturnLineRef]:
        actor = self._uow.actor
        if not return_ids or not actor.may("return:read"):
            return []
        bind = Bindings(self._uow.tenant_id, list(return_ids))
        visible = visible_rows(actor, "return", "read", bind)
        rows = await self._uow.fetch(
            "SELECT l.id, l.return_id, o.order_id, l.order_line_id, l.quantity, t.status"
            " FROM (SELECT DISTINCT unnest($2::uuid[]) AS id) r"
            " JOIN orders.returns t ON t.tenant_id = $1 AND t.id = r.id AND t.deleted_at IS NULL"
            " CROSS JOIN LATERAL (SELECT * FROM orders.return_lines l"
            " WHERE l.tenant_id = $1 AND l.return_id = r.id OFFSET 0) l"
            " LEFT JOIN LATERAL (SELECT o.order_id FROM orders.order_lines o"
            " WHERE o.tenant_id = $1 AND o.id = l.order_line_id OFFSET 0) o ON true"
            f"{f' WHERE {visible}' if visible else ''} ORDER BY l.return_id, l.position",
            *bind.values,
        )
        return [ReturnLineRef(**dict(row)) for row in rows]

    async def bought_before(self, account_id: UUID, *, other_than: UUID | None = None) -> bool:
        found = await self._uow.fetchrow(
            "SELECT 1 FROM orders.orders WHERE tenant_id = $1 AND account_id = $2 AND deleted_at IS NULL"
            " AND status NOT IN ('draft', 'cancelled') AND id IS DISTINCT FROM $3 LIMIT 1",
            self._uow.tenant_id,
            account_id,
            other_than,
        )
        return found is not None

    async def purchases_of(
        self, account_ids: Collection[UUID], *, limit: int = 5
    ) -> Mapping[UUID, list[Purchase]]:
        actor = self._uow.actor
        if not account_ids or not actor.may("order:read") or _SHOWN & actor.hidden("order"):
            return {}
        bind = Bindings(self._uow.tenant_id, list(account_ids), limit)
        visible = visible_rows(actor, "order", "read", bind)
        rows = await self._uow.fetch(
            _PURCHASES.format(visible=f" AND {visible}" if visible else ""), *bind.values
        )
        found: dict[UUID, list[Purchase]] = {}
        for row in rows:
            purchase = Purchase(order=reference(entity(Order, row)), items=tuple(row["items"]))
            found.setdefault(row["account_id"], []).append(purchase)
        return found


def _return(row: Return) -> ReturnRef:
    return ReturnRef(
        id=row.id,
        number=row.number,
        status=row.status,
        order_id=row.order_id,
        account_id=row.account_id,
        case_id=row.case_id,
        total=Money(row.total, row.currency),
        requested_on=row.requested_on,
    )


def _line(row: Any) -> OrderLineRef:
    at: datetime = row["confirmed_at"] or row["created_at"]
    return OrderLineRef(
        id=row["id"],
        order_id=row["order_id"],
        account_id=row["account_id"],
        product_id=row["product_id"],
        description=row["description"],
        quantity=row["quantity"],
        fulfilled=row["fulfilled"],
        returned=row["returned"],
        cancelled=row["cancelled"],
        net=Money(row["net"], row["currency"]),
        total=Money(row["total"], row["currency"]),
        at=at,
    )


def reference(row: Order) -> OrderRef:
    """An order as others show it."""
    return OrderRef(
        id=row.id,
        number=row.number,
        account_id=row.account_id,
        status=row.status,
        total=Money(row.total, row.currency),
        ordered_on=row.ordered_on,
        quote_id=row.quote_id,
        contract_id=row.contract_id,
        opportunity_id=row.opportunity_id,
        contact_id=row.contact_id,
        fulfilled_at=row.fulfilled_at,
    )


_SHOWN: Final = frozenset({"number", "status", "total", "ordered_on"})

_PURCHASES: Final = f"""
SELECT o.*, ARRAY(
  SELECT l.description FROM orders.order_lines l WHERE l.tenant_id = $1 AND l.order_id = o.id
  ORDER BY l.position LIMIT 3) AS items
FROM unnest($2::uuid[]) AS a(id) CROSS JOIN LATERAL (
  SELECT {", ".join(f"t.{name}" for name in columns_of(Order))} FROM orders.orders t
  WHERE t.tenant_id = $1 AND t.account_id = a.id AND t.deleted_at IS NULL
    AND t.status NOT IN ('draft', 'cancelled'){{visible}}
  ORDER BY t.ordered_on DESC, t.id DESC LIMIT $3
) o ORDER BY o.account_id, o.ordered_on DESC, o.id DESC"""
