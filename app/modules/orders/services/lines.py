"""Lines of an order: checked, totalled in one go by the kernel's rules, written and read in one statement each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

from app.kernel.benefits import Benefit, by_line, stored
from app.kernel.errors import Invalid
from app.kernel.ids import new_ids
from app.kernel.money import exponent_of, half_up
from app.kernel.parts import Parts
from app.kernel.statements import entities
from app.kernel.totals import DiscountTooLarge, LineInput, LineTotal, total
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import NewOrderLine
from app.modules.orders.models.orders import Order, OrderLine
from app.modules.orders.schemas.orders import OrderLineRead

MAX_MINOR = 10**15  # sums of thousands of orders still fit where money is kept
_EXACT = Context(prec=100)
_EXACT_PRICES = ("unit_price", "exact_gross", "tax_rate", "unit_cost")
AMOUNTS = ("gross", "discount", "subtotal", "header_discount", "net", "tax", "total")
_amounts_of = attrgetter(*AMOUNTS)
_PRICED = (*AMOUNTS, "cost", "benefit_discount", *_EXACT_PRICES)
_RETOTAL = (
    f"UPDATE orders.order_lines l SET {', '.join(f'{name} = n.{name}' for name in _PRICED)}"
    " FROM jsonb_to_recordset($3::jsonb) AS n(position bigint, "
    + ", ".join(f"{name} {'numeric' if name in _EXACT_PRICES else 'bigint'}" for name in _PRICED)
    + ") WHERE l.tenant_id = $1 AND l.order_id = $2 AND l.position = n.position"
)
LINES = Parts(
    "lines",
    OrderLineRead,
    "SELECT * FROM orders.order_lines WHERE tenant_id = t.tenant_id AND order_id = t.id",
    hides={
        "total": ("unit_price", "discount_percent", "discount_amount", "benefit_discount", *AMOUNTS),
        "cost": ("unit_cost",),
    },
)
"""Who may not see an order's total sees no price, who may not see its cost no cost."""
UNTOUCHED = dict.fromkeys(("fulfilled", "cancelled", "returned", "return_claimed"), Decimal(0))
"""What the database fills in of a new line."""


def totalled(
    lines: Sequence[NewOrderLine],
    *,
    currency: str,
    discount_percent: Decimal,
    discount_amount: int,
    tax_included: bool,
    commission_percent: Decimal | None,
    credit: bool = False,
    benefits: Sequence[Benefit] = (),
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header's columns and those of each line. Only with `credit` may an order come to less than nothing.

    Raises: Invalid for a discount beyond the price, and for sums that are out of range.
    """
    off = by_line(benefits, len(lines))
    inputs = [_input(line, benefit) for line, benefit in zip(lines, off, strict=True)]
    try:
        sums = total(
            inputs,
            currency=currency,
            discount_percent=discount_percent,
            discount_amount=discount_amount,
            tax_included=tax_included,
        )
    except DiscountTooLarge as refusal:
        at = "/discount_amount" if refusal.line is None else f"/lines/{refusal.line}/discount_amount"
        raise Invalid.at(at, "more_than_the_price", str(refusal)) from None
    if max(map(abs, chain.from_iterable(map(_amounts_of, (*sums.lines, sums))))) > MAX_MINOR:
        raise Invalid.at("/lines", "amount_out_of_range", "The order comes to too much.")
    if sums.total < 0 and not credit:
        raise Invalid.at("/lines", "negative", "An order does not come to less than nothing.")
    rows = [
        _row(position, line, amounts, benefit, currency)
        for position, (line, amounts, benefit) in enumerate(zip(lines, sums.lines, off, strict=True))
    ]
    header: dict[str, Any] = dict(zip(AMOUNTS, _amounts_of(sums), strict=True))
    header |= {"line_count": len(rows), "exact_value": _exact_value(lines)}
    header |= {"benefit_discount": sum(off), "benefits": stored(benefits)}
    return header | derived(header["net"], [row["cost"] for row in rows], commission_percent), rows


def _input(line: NewOrderLine, benefit: int) -> LineInput:
    return LineInput(
        quantity=line.quantity,
        unit_price=line.unit_price,
        gross=line.gross,
        discount_percent=line.discount_percent,
        discount_amount=line.discount_amount,
        tax_rate=line.tax_rate,
        benefit=benefit,
    )


def _exact_value(lines: Sequence[NewOrderLine]) -> Decimal:
    """What the lines come to in major units before discounts."""
    one = Decimal(1)
    return exact_sum(
        (line.quantity, line.unit_price) if line.gross is None else (one, line.gross) for line in lines
    )


def exact_sum(parts: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
    """The sum of quantity x price, never rounded."""
    found = Decimal(0)
    for quantity, price in parts:
        found = _EXACT.fma(quantity, price, found)
    return found


def derived(
    net: int, costs: Sequence[int | None], commission_percent: Decimal | None
) -> dict[str, int | None]:
    """Cost and margin, known where the cost of every line is; and the partner's commission of the net total."""
    known = [cost for cost in costs if cost is not None]
    cost = sum(known) if known and len(known) == len(costs) else None
    return {
        "cost": cost,
        "margin": None if cost is None else net - cost,
        "commission": None
        if commission_percent is None
        else half_up(net * Fraction(commission_percent) / 100),
    }


def _row(
    position: int, line: NewOrderLine, amounts: LineTotal, benefit: int, currency: str
) -> dict[str, Any]:
    cost = None
    if line.unit_cost is not None:
        cost = half_up(Fraction(line.quantity) * Fraction(line.unit_cost) * 10 ** exponent_of(currency))
    return {
        "position": position,
        "product_id": line.product_id,
        "description": line.description,
        "unit": line.unit,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "exact_gross": line.gross,
        "discount_percent": line.discount_percent,
        "discount_amount": line.discount_amount,
        "tax_rate": line.tax_rate,
        "gross": amounts.gross,
        "discount": amounts.discount,
        "subtotal": amounts.subtotal,
        "header_discount": amounts.header_discount,
        "net": amounts.net,
        "tax": amounts.tax,
        "total": amounts.total,
        "charge": str(line.charge),
        "unit_cost": line.unit_cost,
        "cost": cost,
        "component_of": line.component_of,
        "price_entered": line.price_entered,
        "tax_entered": line.tax_entered,
        "cost_entered": line.cost_entered,
        "quote_line_id": line.quote_line_id,
        "benefit_discount": benefit,
    }


def has_amounts(line: OrderLine) -> bool:
    """Whether somebody entered an amount of it, which is in the order's currency."""
    cost = line.cost_entered and line.unit_cost is not None
    return line.price_entered or cost or bool(line.discount_amount)


def as_new(line: OrderLine) -> NewOrderLine:
    """A stored line in the form in which one is placed."""
    return NewOrderLine(
        product_id=line.product_id,
        description=line.description,
        unit=line.unit,
        quantity=line.quantity,
        unit_price=line.unit_price,
        gross=line.exact_gross,
        discount_percent=line.discount_percent,
        discount_amount=line.discount_amount,
        tax_rate=line.tax_rate,
        charge=line.charge,
        unit_cost=line.unit_cost,
        component_of=line.component_of,
        quote_line_id=line.quote_line_id,
        price_entered=line.price_entered,
        tax_entered=line.tax_entered,
        cost_entered=line.cost_entered,
    )


class OrderLines:
    """The lines of orders, a statement for each question however many there are."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(self, order_ids: Collection[UUID]) -> dict[UUID, list[OrderLine]]:
        """Lines by order, in their order."""
        rows = await self._uow.fetch(
            "SELECT * FROM orders.order_lines WHERE tenant_id = $1 AND order_id = ANY($2::uuid[])"
            " ORDER BY order_id, position",
            self._uow.tenant_id,
            list(order_ids),
        )
        found: dict[UUID, list[OrderLine]] = {id: [] for id in order_ids}
        for line in entities(OrderLine, rows):
            found[line.order_id].append(line)
        return found

    async def write(self, order_id: UUID, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Insert new lines, with the next statement; answers them with their ids."""
        ids = new_ids(len(rows))
        made = [{"id": id, "order_id": order_id, **row} for id, row in zip(ids, rows, strict=True)]
        await self._uow.insert_many_last(OrderLine, made)
        return made

    async def replace(self, order_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take all lines out and write others."""
        await self._uow.fetch(
            "DELETE FROM orders.order_lines WHERE tenant_id = $1 AND order_id = $2",
            self._uow.tenant_id,
            order_id,
        )
        await self.write(order_id, rows)

    async def retotal(self, order_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the prices and amounts of lines that stay what they are, by position."""
        told = [{name: row[name] for name in ("position", *_PRICED)} for row in rows]
        await self._uow.fetch(_RETOTAL, self._uow.tenant_id, order_id, told)


def summary(lines: Sequence[NewOrderLine] | Sequence[OrderLine]) -> list[str]:
    """What the audit log keeps of lines: how much of what, without prices."""
    return [f"{line.quantity:f} {line.unit} {line.description}" for line in lines]


def header_inputs(row: Order, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What totals depend on beside the lines, after these changes."""
    names = ("currency", "discount_percent", "discount_amount", "tax_included", "commission_percent")
    return {name: changes.get(name, getattr(row, name)) for name in names}
