"""What comes back of which line, and what it is worth.

Of a line of Q units that came to an amount A, k units back are worth A·k/Q, rounded half up; a return is worth what
that grows by. So whatever the steps, all units back are worth exactly the line. Net and tax go separately, and the
total is their sum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Conflict, FieldError, Invalid
from app.kernel.ids import new_id
from app.kernel.money import half_up
from app.kernel.parts import Parts
from app.kernel.statements import entities
from app.kernel.totals import LineInput, total
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.orders import Order, OrderLine
from app.modules.orders.models.returns import ReturnLine
from app.modules.orders.schemas.returns import ReturnLineInput, ReturnLineRead
from app.modules.orders.services.lines import MAX_MINOR, exact_sum


class ReturnTooLarge(Conflict):
    """`lines` lists line_id, wanted and open: what was delivered and is not on its way back."""

    code = "return_too_large"
    title = "More would come back than was delivered"


def part_of(amount: int, units: Decimal, whole: Decimal) -> int:
    """What the first `units` of `whole` units come to of an amount, rounded half up."""
    return half_up(Fraction(amount) * Fraction(units) / Fraction(whole))


def worth(line: OrderLine, quantity: Decimal) -> tuple[int, int]:
    """Net and tax of so many more units back, after those that came back before."""
    whole = line.quantity - line.cancelled
    back = line.returned + quantity
    return (
        part_of(line.net, back, whole) - line.returned_net,
        part_of(line.tax, back, whole) - line.returned_tax,
    )


def check(
    sent: Sequence[ReturnLineInput], order: Order | None, lines: Mapping[UUID, OrderLine], currency: str
) -> None:
    """Raises `Invalid` with all that is wrong with the lines, `ReturnTooLarge` for more than was delivered."""
    errors: list[FieldError] = []
    wanted: dict[UUID, Decimal] = {}
    for place, line in enumerate(sent):
        at, quantity = f"/lines/{place}", Decimal(line.quantity)
        if not quantity:
            errors.append(FieldError(f"{at}/quantity", "not_positive", "More than nothing comes back."))
        if line.serial_numbers and len(line.serial_numbers) != quantity:
            errors.append(
                FieldError(f"{at}/serial_numbers", "count", "There is one serial number for each unit.")
            )
        if line.order_line_id is None:
            errors += _unmatched_faults(line, at, currency)
            continue
        if order is None or line.order_line_id not in lines:
            errors.append(
                FieldError(f"{at}/order_line_id", "unknown_reference", "No such line in this order.")
            )
        if line.unit_price is not None or line.product_id is not None or line.tax_rate is not None:
            errors.append(FieldError(at, "of_the_order", "Product, price and tax are those of the order."))
        wanted[line.order_line_id] = wanted.get(line.order_line_id, Decimal(0)) + quantity
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    too_much = [
        {"line_id": str(id), "wanted": decimal_text(quantity), "open": decimal_text(_left(lines[id]))}
        for id, quantity in wanted.items()
        if quantity > _left(lines[id])
    ]
    if too_much:
        raise ReturnTooLarge(lines=too_much)


def _unmatched_faults(line: ReturnLineInput, at: str, currency: str) -> list[FieldError]:
    errors = []
    if line.description is None:
        errors.append(FieldError(f"{at}/description", "required", "Say what comes back."))
    if line.unit_price is None:
        errors.append(FieldError(f"{at}/unit_price", "required", "Say what it had cost."))
    elif line.unit_price.currency != currency:
        errors.append(
            FieldError(f"{at}/unit_price/currency", "other_currency", f"The return is in {currency}.")
        )
    return errors


def _left(line: OrderLine) -> Decimal:
    return line.fulfilled - line.return_claimed


def composed(
    sent: Sequence[ReturnLineInput],
    lines: Mapping[UUID, OrderLine],
    *,
    currency: str,
    tax_included: bool,
) -> list[dict[str, Any]]:
    """The columns of the lines, with what they would come to."""
    return [
        _of_order(line, lines[line.order_line_id], place)
        if line.order_line_id is not None
        else _of_its_own(line, place, currency=currency, tax_included=tax_included)
        for place, line in enumerate(sent)
    ]


def _of_order(line: ReturnLineInput, of: OrderLine, place: int) -> dict[str, Any]:
    quantity = Decimal(line.quantity)
    net, tax = worth(of, quantity)
    return _common(line, place) | {
        "order_line_id": of.id,
        "product_id": of.product_id,
        "description": line.description or of.description,
        "unit": of.unit,
        "unit_price": of.unit_price,
        "net": net,
        "tax": tax,
        "total": net + tax,
    }


def _of_its_own(line: ReturnLineInput, place: int, *, currency: str, tax_included: bool) -> dict[str, Any]:
    price = line.unit_price.amount if line.unit_price is not None else Decimal(0)
    amounts = total(
        [LineInput(quantity=Decimal(line.quantity), unit_price=price, tax_rate=Decimal(line.tax_rate or 0))],
        currency=currency,
        tax_included=tax_included,
    ).lines[0]
    if abs(amounts.total) > MAX_MINOR:
        raise Invalid.at(f"/lines/{place}/unit_price", "amount_out_of_range", "The line comes to too much.")
    return _common(line, place) | {
        "order_line_id": None,
        "product_id": line.product_id,
        "description": line.description,
        "unit": line.unit or "piece",
        "unit_price": price,
        "net": amounts.net,
        "tax": amounts.tax,
        "total": amounts.total,
    }


def _common(line: ReturnLineInput, place: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "position": place,
        "quantity": Decimal(line.quantity),
        "reason": line.reason,
        "serial_numbers": list(line.serial_numbers),
    }


def exact_value(rows: Sequence[Mapping[str, Any]]) -> Decimal:
    """Quantity x price of lines in major units, never rounded."""
    return exact_sum((row["quantity"], row["unit_price"]) for row in rows)


class ReturnLines:
    """The lines of returns, and what they do to those of orders."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(self, return_id: UUID) -> list[ReturnLine]:
        rows = await self._uow.fetch(
            "SELECT * FROM orders.return_lines WHERE tenant_id = $1 AND return_id = $2 ORDER BY position",
            self._uow.tenant_id,
            return_id,
        )
        return entities(ReturnLine, rows)

    async def write(self, return_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert new lines, and note what they claim of the order's."""
        await self._uow.fetch(
            "INSERT INTO orders.return_lines (tenant_id, id, return_id, position, order_line_id, product_id,"
            " description, unit, quantity, unit_price, net, tax, total, reason, restock, serial_numbers)"
            " SELECT $1, e.id, $3, e.position, e.order_line_id, e.product_id, e.description, e.unit, e.quantity,"
            " e.unit_price, e.net, e.tax, e.total, e.reason, false, e.serial_numbers"
            " FROM jsonb_to_recordset($2::jsonb) AS e(id uuid, position bigint, order_line_id uuid,"
            "  product_id uuid, description text, unit text, quantity numeric, unit_price numeric, net bigint,"
            "  tax bigint, total bigint, reason text, serial_numbers jsonb)",
            self._uow.tenant_id,
            list(rows),
            return_id,
        )
        await self.claim({row["id"]: (row["order_line_id"], row["quantity"]) for row in rows})

    async def claim(self, lines: Mapping[UUID, tuple[UUID | None, Decimal]], *, sign: int = 1) -> None:
        """These quantities of order lines are on their way back, or, with a negative sign, are not."""
        claims = _summed(lines.values())
        if claims:
            await self._uow.fetch(
                "UPDATE orders.order_lines l SET return_claimed = l.return_claimed + n.quantity"
                " FROM unnest($2::uuid[], $3::numeric[]) AS n(id, quantity)"
                " WHERE l.tenant_id = $1 AND l.id = n.id",
                self._uow.tenant_id,
                list(claims),
                [sign * quantity for quantity in claims.values()],
            )

    async def finish(self, lines: Sequence[ReturnLine]) -> dict[UUID, tuple[int, int]]:
        """These came back for good: net and tax of each return line, final from here on.

        The orders must be held.
        """
        ids = [line.order_line_id for line in lines if line.order_line_id is not None]
        rows = await self._uow.fetch(
            "SELECT * FROM orders.order_lines WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            ids,
        )
        of_orders = {line.id: line for line in entities(OrderLine, rows)}
        final: dict[UUID, tuple[int, int]] = {}
        for line in lines:
            if line.order_line_id is None:
                final[line.id] = (line.net, line.tax)
                continue
            of = of_orders[line.order_line_id]
            net, tax = final[line.id] = worth(of, line.quantity)
            of.__dict__["returned"] += line.quantity
            of.__dict__["returned_net"] += net
            of.__dict__["returned_tax"] += tax
        await self._uow.fetch(
            "UPDATE orders.order_lines l SET returned = n.returned, returned_net = n.net, returned_tax = n.tax"
            " FROM unnest($2::uuid[], $3::numeric[], $4::bigint[], $5::bigint[]) AS n(id, returned, net, tax)"
            " WHERE l.tenant_id = $1 AND l.id = n.id",
            self._uow.tenant_id,
            list(of_orders),
            [line.returned for line in of_orders.values()],
            [line.returned_net for line in of_orders.values()],
            [line.returned_tax for line in of_orders.values()],
        )
        return final

    async def set_amounts(self, amounts: Mapping[UUID, tuple[int, int]]) -> None:
        """Write net and tax of return lines."""
        await self._uow.fetch(
            "UPDATE orders.return_lines l SET net = n.net, tax = n.tax, total = n.net + n.tax"
            " FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS n(id, net, tax)"
            " WHERE l.tenant_id = $1 AND l.id = n.id",
            self._uow.tenant_id,
            list(amounts),
            [net for net, _ in amounts.values()],
            [tax for _, tax in amounts.values()],
        )

    async def check_serials(self, order_id: UUID | None, sent: Sequence[ReturnLineInput]) -> None:
        """What an order's line names must have been shipped for it, and not be on its way back. Raises `Invalid`."""
        named = [
            (str(line.order_line_id), number)
            for line in sent
            if line.order_line_id is not None
            for number in line.serial_numbers
        ]
        if len(set(named)) < len(named):
            raise Invalid.at("/lines", "repeated", "A serial number is named twice.")
        if not named or order_id is None:
            return
        rows = await self._uow.fetch(
            _SERIALS, self._uow.tenant_id, [UUID(id) for id, _ in named], [number for _, number in named]
        )
        allowed = {(str(row["id"]), row["number"]) for row in rows}
        missing = [number for id, number in named if (id, number) not in allowed]
        if missing:
            raise Invalid.at(
                "/lines", "unknown_serial_number", f"Not delivered, or coming back: {', '.join(missing)}."
            )


def _summed(claims: Collection[tuple[UUID | None, Decimal]]) -> dict[UUID, Decimal]:
    found: dict[UUID, Decimal] = {}
    for id, quantity in claims:
        if id is not None:
            found[id] = found.get(id, Decimal(0)) + quantity
    return found


LINES = Parts(
    "lines",
    ReturnLineRead,
    "SELECT * FROM orders.return_lines WHERE tenant_id = t.tenant_id AND return_id = t.id",
    hides={"total": ("unit_price", "net", "tax", "total")},
    columns={
        "serial_numbers": "array_to_json(ARRAY(SELECT jsonb_array_elements_text(l.serial_numbers)))::text"
    },
)
"""Who may not see a return's total sees no price."""

_SERIALS = """
SELECT n.id, n.number FROM unnest($2::uuid[], $3::text[]) AS n(id, number)
WHERE EXISTS (SELECT 1 FROM orders.shipment_lines s
    WHERE s.tenant_id = $1 AND s.order_line_id = n.id AND s.serial_numbers ? n.number)
  AND NOT EXISTS (SELECT 1 FROM orders.return_lines l
    JOIN orders.returns r ON r.tenant_id = l.tenant_id AND r.id = l.return_id
    WHERE l.tenant_id = $1 AND l.order_line_id = n.id AND l.serial_numbers ? n.number
      AND r.status NOT IN ('rejected', 'repaired'))"""
