"""Delivery: shipments of parts of lines, and the cancellation of what is not delivered any more.

Whoever ships or cancels holds the order, so that two shipments never send the same goods; that no line is shipped
beyond its quantity is a constraint besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.benefits import by_line, stored
from app.kernel.decimals import decimal_text
from app.kernel.errors import Conflict, FieldError, Invalid
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.money import Money, half_up
from app.kernel.statements import entities, entity
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import OrderFulfilled, OrderLinesCancelled, OrderShipped
from app.modules.orders.models.orders import Order, OrderLine, OrderStatus, Shipment, ShipmentLine
from app.modules.orders.schemas.orders import (
    LineCancellation,
    LineQuantity,
    ShipmentCreate,
    ShipmentLineInput,
    ShipmentLineRead,
    ShipmentRead,
    Shipments,
)
from app.modules.orders.services.content import of_products
from app.modules.orders.services.lines import AMOUNTS, derived, exact_sum
from app.modules.orders.services.orders import OrderService
from app.modules.orders.services.receivables.counters import require_uninvoiced
from app.modules.orders.services.states import ORDER_STATES, CancellationTooLarge, ShipmentTooLarge
from app.modules.orders.services.steps import OrderSteps
from app.modules.orders.services.stock import stock_of

Quantities = Mapping[UUID, Decimal]


class FulfilmentService:
    """The deliveries of one order."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._orders = OrderService(uow)
        self._steps = OrderSteps(self._orders)

    async def shipments(self, order_id: UUID) -> Shipments:
        """Oldest first. Raises `NotFound` for an order that is not visible."""
        await self._orders.get(order_id)
        uow = self._uow
        rows = await uow.fetch(
            "SELECT * FROM orders.shipments WHERE tenant_id = $1 AND order_id = $2 ORDER BY shipped_at, id",
            uow.tenant_id,
            order_id,
        )
        parts = await uow.fetch(
            "SELECT l.* FROM orders.shipment_lines l JOIN orders.shipments s"
            " ON s.tenant_id = l.tenant_id AND s.id = l.shipment_id"
            " WHERE l.tenant_id = $1 AND s.order_id = $2 ORDER BY l.id",
            uow.tenant_id,
            order_id,
        )
        lines = entities(ShipmentLine, parts)
        shipments = entities(Shipment, rows)
        return Shipments(
            data=[_read(one, [x for x in lines if x.shipment_id == one.id]) for one in shipments]
        )

    async def ship(self, order_id: UUID, body: ShipmentCreate) -> ShipmentRead:
        """Goods go out: what lies in stock is taken from what was reserved.

        Raises: NotFound; Forbidden; InvalidTransition; Invalid for a line of another order; ShipmentTooLarge.
        """
        row = await self._orders.locked(order_id)
        ORDER_STATES.next(OrderStatus(row.status), "ship")
        lines = {line.id: line for line in (await self._orders.lines.of([row.id]))[row.id]}
        sent = body.lines
        if sent is None:
            sent = [
                ShipmentLineInput(line_id=line.id, quantity=decimal_text(line.open), serial_numbers=[])
                for line in lines.values()
                if line.open
            ]
        wanted = _wanted(sent, lines, ShipmentTooLarge)
        _check_serials(sent, wanted)
        await self._refuse_shipped(row, sent)
        shipment = await self._write(row, body, sent, wanted)
        await stock_of(self._uow).ship(of_products(list(lines.values()), wanted))
        await self._move(row, lines, wanted, "fulfilled", "ship", action="shipped")
        self._uow.publish(_shipped(row, shipment, lines))
        return shipment

    async def cancel_lines(self, order_id: UUID, body: LineCancellation, *, expected_version: int) -> Order:
        """What is not shipped is not wanted any more: its goods are free again, and the amounts fall with it.

        Raises: NotFound; Forbidden; StaleVersion; InvalidTransition; Invalid; CancellationTooLarge; Conflict where
        nothing would be left, for that is the cancellation of the order.
        """
        row = await self._orders.locked(order_id, expected_version)
        ORDER_STATES.next(OrderStatus(row.status), "cancel_lines")
        lines = {line.id: line for line in (await self._orders.lines.of([row.id]))[row.id]}
        sent = body.lines
        if sent is None:
            sent = [
                LineQuantity(line_id=line.id, quantity=decimal_text(line.open))
                for line in lines.values()
                if line.open
            ]
        wanted = _wanted(sent, lines, CancellationTooLarge)
        if all(line.quantity == line.cancelled + wanted.get(line.id, 0) for line in lines.values()):
            raise Conflict("Nothing would be left of the order: cancel it as a whole.")
        require_uninvoiced(lines.values(), wanted)
        await self._free(lines, wanted)
        benefits = await self._orders.benefits.reduce(row, list(lines.values()), wanted)
        off = dict(zip(lines, by_line(benefits, len(lines)), strict=True))
        amounts = [
            _reduced(line, wanted[line.id]) | {"benefit_discount": off[line.id]}
            for line in lines.values()
            if line.id in wanted
        ]
        await self._write_amounts(amounts)
        after = await self._move(
            row,
            lines,
            wanted,
            "cancelled",
            "cancel_lines",
            action="lines_cancelled",
            reason=body.reason,
            changes=_header(row, lines, amounts)
            | {"benefits": stored(benefits), "benefit_discount": sum(off.values())},
        )
        await self._steps.draw(after)
        total = Money(after.total, after.currency).to_texts()
        self._uow.publish(OrderLinesCancelled(id=after.id, account_id=after.account_id, total=total))
        return after

    async def _free(self, lines: Mapping[UUID, OrderLine], wanted: Quantities) -> None:
        """Release the reservations of these lines, and keep again what is still to be delivered."""
        stock = stock_of(self._uow)
        await stock.release(list(wanted))
        kept = {id: lines[id].open - wanted[id] for id in wanted if lines[id].open > wanted[id]}
        await stock.reserve(await self._steps.needs([lines[id] for id in kept], kept))

    async def _move(
        self,
        row: Order,
        lines: Mapping[UUID, OrderLine],
        wanted: Quantities,
        column: str,
        step: str,
        *,
        action: str,
        reason: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Order:
        """Add to a column of the lines; the order's status follows, and it is fulfilled when nothing is open."""
        await self._uow.fetch(
            f"UPDATE orders.order_lines l SET {column} = l.{column} + n.quantity"
            " FROM unnest($2::uuid[], $3::numeric[]) AS n(id, quantity)"
            " WHERE l.tenant_id = $1 AND l.id = n.id",
            row.tenant_id,
            list(wanted),
            list(wanted.values()),
        )
        status = ORDER_STATES.next(OrderStatus(row.status), step)
        changes = dict(changes or {})
        done = all(line.open == wanted.get(line.id, 0) for line in lines.values())
        if done:
            if status is OrderStatus.CONFIRMED:
                raise Conflict("Nothing would be left of the order: cancel it as a whole.")
            status = ORDER_STATES.next(status, "complete")
            changes["fulfilled_at"] = self._uow.now
        told = [f"{decimal_text(wanted[id])} {lines[id].unit} {lines[id].description}" for id in wanted]
        after = await self._orders.write(
            row, {**changes, "status": status.value}, action=action, reason=reason
        )
        self._uow.record_audit("order", row.id, action, {column: [None, told]}, reason=reason)
        if after.version == row.version:
            after = await self._orders.bump(after, column)
        if done:
            self._uow.publish(OrderFulfilled(id=row.id, account_id=row.account_id))
        return after

    async def _refuse_shipped(self, row: Order, sent: Sequence[ShipmentLineInput]) -> None:
        """A serial number goes out once with an order."""
        numbers = [number for line in sent for number in line.serial_numbers]
        if not numbers:
            return
        rows = await self._uow.fetch(
            "SELECT DISTINCT n.number FROM orders.shipments s JOIN orders.shipment_lines l"
            " ON l.tenant_id = s.tenant_id AND l.shipment_id = s.id"
            " CROSS JOIN LATERAL jsonb_array_elements_text(l.serial_numbers) AS n(number)"
            " WHERE s.tenant_id = $1 AND s.order_id = $2 AND n.number = ANY($3::text[])",
            row.tenant_id,
            row.id,
            numbers,
        )
        if rows:
            raise Conflict(
                "Some of these serial numbers have been shipped.", serial_numbers=[r[0] for r in rows]
            )

    async def _write(
        self, row: Order, body: ShipmentCreate, sent: Sequence[ShipmentLineInput], wanted: Quantities
    ) -> ShipmentRead:
        shipment = await self._uow.insert(
            Shipment,
            audit="shipment",
            order_id=row.id,
            carrier=body.carrier,
            tracking_number=body.tracking_number,
            note=body.note,
            shipped_at=self._uow.now,
            shipped_by=self._uow.actor.member_id,
        )
        lines = [
            {
                "id": new_id(),
                "shipment_id": shipment.id,
                "order_line_id": line.line_id,
                "quantity": wanted[line.line_id],
                "serial_numbers": line.serial_numbers,
            }
            for line in sent
        ]
        await self._uow.fetch(
            "INSERT INTO orders.shipment_lines"
            " (tenant_id, id, shipment_id, order_line_id, quantity, serial_numbers)"
            " SELECT $1, e.id, e.shipment_id, e.order_line_id, e.quantity, e.serial_numbers"
            " FROM jsonb_to_recordset($2::jsonb)"
            " AS e(id uuid, shipment_id uuid, order_line_id uuid, quantity numeric, serial_numbers jsonb)",
            row.tenant_id,
            lines,
        )
        return _read(shipment, [entity(ShipmentLine, line) for line in lines])

    async def _write_amounts(self, amounts: Sequence[Mapping[str, Any]]) -> None:
        names = (*AMOUNTS, "cost", "benefit_discount")
        sets = ", ".join(f"{name} = n.{name}" for name in names)
        arrays = ", ".join(f"${number}::bigint[]" for number in range(3, 3 + len(names)))
        await self._uow.fetch(
            f"UPDATE orders.order_lines l SET {sets} FROM unnest($2::uuid[], {arrays})"
            f" AS n(id, {', '.join(names)}) WHERE l.tenant_id = $1 AND l.id = n.id",
            self._uow.tenant_id,
            [line["id"] for line in amounts],
            *[[line[name] for line in amounts] for name in names],
        )


def _wanted(
    sent: Sequence[LineQuantity], lines: Mapping[UUID, OrderLine], refusal: type[Conflict]
) -> dict[UUID, Decimal]:
    """Quantities by line. Raises `Invalid` for lines of other orders or named twice, and `refusal` for too much."""
    errors = []
    wanted: dict[UUID, Decimal] = {}
    for place, line in enumerate(sent):
        quantity = Decimal(line.quantity)
        if line.line_id not in lines:
            errors.append(
                FieldError(f"/lines/{place}/line_id", "unknown_reference", "No such line in this order.")
            )
        elif line.line_id in wanted:
            errors.append(FieldError(f"/lines/{place}/line_id", "repeated", "This line is named twice."))
        elif not quantity:
            errors.append(FieldError(f"/lines/{place}/quantity", "not_positive", "More than nothing."))
        wanted[line.line_id] = quantity
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    too_much = [
        {"line_id": str(id), "wanted": decimal_text(quantity), "open": decimal_text(lines[id].open)}
        for id, quantity in wanted.items()
        if quantity > lines[id].open
    ]
    if too_much:
        raise refusal(lines=too_much)
    if not wanted:
        raise Conflict("Nothing is open.")
    return wanted


def _check_serials(sent: Sequence[ShipmentLineInput], wanted: Quantities) -> None:
    seen: set[str] = set()
    for place, line in enumerate(sent):
        at = f"/lines/{place}/serial_numbers"
        if line.serial_numbers and len(line.serial_numbers) != wanted[line.line_id]:
            raise Invalid.at(at, "count", "There is one serial number for each unit.")
        if len(set(line.serial_numbers)) < len(line.serial_numbers) or seen & set(line.serial_numbers):
            raise Invalid.at(at, "repeated", "A serial number is named twice.")
        seen |= set(line.serial_numbers)


def _reduced(line: OrderLine, less: Decimal) -> dict[str, Any]:
    """A line's amounts when so much of it is not delivered: in proportion, each rounded half up."""
    before = line.quantity - line.cancelled
    share = Fraction(before - less) / Fraction(before)

    def part(amount: int) -> int:
        return half_up(amount * share)

    gross, subtotal, net, tax = (part(getattr(line, n)) for n in ("gross", "subtotal", "net", "tax"))
    # The header's share is what lies between the subtotal and what bears tax, and keeps doing so.
    included = line.subtotal - line.header_discount != line.net
    after_header = net + tax if included else net
    return {
        "id": line.id,
        "left": before - less,
        "gross": gross,
        "discount": gross - subtotal,
        "subtotal": subtotal,
        "header_discount": subtotal - after_header,
        "net": net,
        "tax": tax,
        "total": net + tax,
        "cost": None if line.cost is None else part(line.cost),
    }


def _header(
    row: Order, lines: Mapping[UUID, OrderLine], amounts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The header as the sum of its lines."""
    changed = {line["id"]: line for line in amounts}
    sums: dict[str, Any] = {
        name: sum(changed[id][name] if id in changed else getattr(line, name) for id, line in lines.items())
        for name in AMOUNTS
    }
    sums["exact_value"] = exact_sum(
        _exact(line, changed.get(id, {}).get("left")) for id, line in lines.items()
    )
    costs = [changed[id]["cost"] if id in changed else line.cost for id, line in lines.items()]
    return sums | derived(sums["net"], costs, row.commission_percent)


def _exact(line: OrderLine, left: Decimal | None) -> tuple[Decimal, Decimal]:
    """Quantity and price whose product is the line's exact value, of what is still wanted."""
    quantity = line.quantity - line.cancelled if left is None else left
    if line.exact_gross is None:
        return quantity, line.unit_price
    return quantity, line.exact_gross / line.quantity


def _shipped(row: Order, shipment: ShipmentRead, lines: Mapping[UUID, OrderLine]) -> Event:
    return OrderShipped(
        id=row.id,
        account_id=row.account_id,
        shipment_id=shipment.id,
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        lines=[
            {
                "order_line_id": str(line.order_line_id),
                "product_id": None
                if (product := lines[line.order_line_id].product_id) is None
                else str(product),
                "quantity": decimal_text(line.quantity),
            }
            for line in shipment.lines
        ],
    )


def _read(shipment: Shipment, lines: Sequence[ShipmentLine]) -> ShipmentRead:
    return ShipmentRead(
        id=shipment.id,
        order_id=shipment.order_id,
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        note=shipment.note,
        shipped_at=shipment.shipped_at,
        shipped_by=shipment.shipped_by,
        lines=[
            ShipmentLineRead(
                order_line_id=line.order_line_id,
                quantity=line.quantity,
                serial_numbers=line.serial_numbers,
            )
            for line in lines
        ],
    )
