"""Lines: what is offered at which price, and the amount of the opportunity that follows.

A line comes to quantity x unit price less its discount, computed exactly and rounded once, half up, to the currency's
minor unit. The opportunity's amount is the sum of its lines; whoever writes a line holds the opportunity meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.errors import Conflict, Invalid, NotFound, require_version
from app.kernel.money import AmountOutOfRange, Money, UnitPrice, exponent_of, half_up
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.models.selling import Line
from app.modules.opportunities.schemas import MAX_AMOUNT_MINOR
from app.modules.opportunities.schemas.selling import (
    OpportunityLineCreate,
    OpportunityLineRead,
    OpportunityLines,
    OpportunityLineUpdate,
)
from app.modules.opportunities.services.offered import name_of, offered
from app.modules.opportunities.services.opportunities import OpportunityService

MOST_LINES = 500
AUDITED_AS = "opportunity_line"


def line_amount(
    quantity: Decimal,
    price: UnitPrice,
    *,
    discount_percent: Decimal | None = None,
    discount_amount: Money | None = None,
) -> Money:
    """What a line comes to: rounded once, half up, from the exact product.

    Raises: AmountOutOfRange; ValueError where the discount is more than the price.
    """
    exact = Fraction(quantity) * Fraction(price.amount)
    if discount_percent is not None:
        exact *= 1 - Fraction(discount_percent) / 100
    scaled = exact * 10 ** exponent_of(price.currency)
    if discount_amount is not None:
        scaled -= discount_amount.amount_minor
    if scaled < 0:
        raise ValueError("the discount is more than the price")
    return Money(half_up(scaled), price.currency)


class LineService:
    """The lines of one opportunity."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._opportunities = OpportunityService(uow)

    async def all(self, opportunity_id: UUID) -> OpportunityLines:
        """Raises `NotFound` for an opportunity that is not visible."""
        row = await self._opportunities.get(opportunity_id)
        lines = await self._of(opportunity_id)
        hidden = self._hidden
        total = None
        if lines and not hidden and row.currency:
            total = Money(sum(line.amount for line in lines), row.currency)
        return OpportunityLines(data=[read_line(line, hidden=hidden) for line in lines], amount=total)

    async def get(self, opportunity_id: UUID, line_id: UUID) -> OpportunityLineRead:
        """Raises `NotFound`."""
        await self._opportunities.get(opportunity_id)
        return read_line(await self._line(opportunity_id, line_id), hidden=self._hidden)

    async def add(self, opportunity_id: UUID, body: OpportunityLineCreate) -> OpportunityLineRead:
        """Add a line; the opportunity's amount follows. Raises `NotFound`, `Forbidden`, `Conflict`, `Invalid`."""
        row = await self._held(opportunity_id)
        if row.line_count >= MOST_LINES:
            raise Conflict(f"An opportunity has at most {MOST_LINES} lines.")
        given = {name: getattr(body, name) for name in type(body).model_fields if name != "position"}
        given |= await offered(self._uow, row, body)
        if row.line_count and row.currency != given["unit_price"].currency:
            raise _other_currency("/unit_price/currency", row.currency)
        values = _columns(given | {"quantity": Decimal(body.quantity), "discount_percent": _share(body)})
        position = body.position
        if position is None:
            position = await self._last_position(opportunity_id) + 1
        made = await self._uow.insert(
            Line, audit=AUDITED_AS, opportunity_id=opportunity_id, position=position, **values
        )
        await self._add_up(row, made.currency, "line_added", [None, made])
        return read_line(made, hidden=False)

    async def update(
        self, opportunity_id: UUID, line_id: UUID, body: OpportunityLineUpdate, *, expected_version: int
    ) -> OpportunityLineRead:
        """Change a line; the opportunity's amount follows. Raises as `add`, and `StaleVersion`."""
        row = await self._held(opportunity_id)
        line = await self._current(opportunity_id, line_id, expected_version)
        given = _as_given(line) | {name: getattr(body, name) for name in body.model_fields_set}
        if body.product_id is not None and body.product_id != line.product_id:
            name = await name_of(self._uow, body.product_id)
            given["product_name"] = body.product_name or name
        if body.quantity is not None:
            given["quantity"] = Decimal(body.quantity)
        if body.discount_percent is not None:
            given |= {"discount_percent": _share(body), "discount_amount": None}
        elif body.discount_amount is not None:
            given["discount_percent"] = None
        if given["unit_price"].currency != line.currency and row.line_count > 1:
            raise _other_currency("/unit_price/currency", row.currency)
        changes = _columns(given) | ({} if body.position is None else {"position": body.position})
        after = await self._uow.update(line, audit=AUDITED_AS, **changes)
        if after is not line:
            await self._add_up(row, after.currency, "line_changed", [line, after])
        return read_line(after, hidden=False)

    async def remove(self, opportunity_id: UUID, line_id: UUID, *, expected_version: int) -> None:
        """Take a line out; without any, the amount is unknown until it is entered. Raises as `update`."""
        row = await self._held(opportunity_id)
        line = await self._current(opportunity_id, line_id, expected_version)
        await self._uow.delete(line, audit=AUDITED_AS)
        await self._add_up(row, line.currency, "line_removed", [line, None])

    @property
    def _hidden(self) -> bool:
        return "amount" in self._uow.actor.hidden("opportunity")

    async def _held(self, opportunity_id: UUID) -> Opportunity:
        """The opportunity, locked: its lines change one after the other, so that no sum misses one."""
        row = await self._opportunities.get(opportunity_id, action="update", lock="update")
        self._opportunities.require_writable("amount")
        return row

    async def _add_up(
        self, row: Opportunity, currency: str, action: str, change: Sequence[Line | None]
    ) -> None:
        found = await self._uow.fetchrow(
            "SELECT count(*), coalesce(sum(amount), 0)::bigint FROM opportunities.lines"
            " WHERE tenant_id = $1 AND opportunity_id = $2",
            row.tenant_id,
            row.id,
        )
        count, total = (int(found[0]), int(found[1])) if found else (0, 0)
        if total > MAX_AMOUNT_MINOR:
            raise Invalid.at(
                "/unit_price", "amount_out_of_range", "The lines come to more than ten trillion."
            )
        changes = {
            "line_count": count,
            "amount": total if count else None,
            "currency": currency if count else None,
        }
        after = await self._opportunities.write(row, changes, action=action)
        if after is row:  # the sum stayed what it was
            names = [line and line.product_name for line in change]
            await self._opportunities.bump(row, "lines", names[0], names[1])

    async def _of(self, opportunity_id: UUID) -> list[Line]:
        statement = self._uow.select(Line).where(Line.opportunity_id == opportunity_id)
        return await self._uow.all(statement.order_by(Line.position, Line.id))

    async def _last_position(self, opportunity_id: UUID) -> int:
        found = await self._uow.fetchrow(
            "SELECT max(position) FROM opportunities.lines WHERE tenant_id = $1 AND opportunity_id = $2",
            self._uow.tenant_id,
            opportunity_id,
        )
        return -1 if found is None or found[0] is None else int(found[0])

    async def _line(self, opportunity_id: UUID, line_id: UUID) -> Line:
        line = await self._uow.get(Line, line_id)
        if line.opportunity_id != opportunity_id:
            raise NotFound
        return line

    async def _current(self, opportunity_id: UUID, line_id: UUID, expected_version: int) -> Line:
        line = await self._line(opportunity_id, line_id)
        require_version(line.version, expected=expected_version)
        return line


def _share(body: OpportunityLineCreate | OpportunityLineUpdate) -> Decimal | None:
    return None if body.discount_percent is None else Decimal(body.discount_percent)


def _as_given(line: Line) -> dict[str, Any]:
    """A stored line in the form in which one is given."""
    off = line.discount_amount
    return {
        "product_id": line.product_id,
        "product_name": line.product_name,
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": UnitPrice(line.unit_price, line.currency),
        "discount_percent": line.discount_percent,
        "discount_amount": None if off is None else Money(off, line.currency),
    }


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    """The columns of a line, its amount among them. Raises `Invalid`."""
    price: UnitPrice = given["unit_price"]
    off: Money | None = given["discount_amount"]
    if given["quantity"] <= 0:
        raise Invalid.at("/quantity", "not_positive", "A quantity is more than nothing.")
    if price.amount < 0:
        raise Invalid.at("/unit_price", "negative", "A price is not negative.")
    if off is not None and off.currency != price.currency:
        raise _other_currency("/discount_amount/currency", price.currency)
    if off is not None and off.amount_minor < 0:
        raise Invalid.at("/discount_amount", "negative", "A discount is not negative.")
    try:
        amount = line_amount(
            given["quantity"], price, discount_percent=given["discount_percent"], discount_amount=off
        )
    except AmountOutOfRange:
        raise Invalid.at("/unit_price", "amount_out_of_range", "The line comes to too much.") from None
    except ValueError:
        raise Invalid.at(
            "/discount_amount", "more_than_the_price", "The discount is more than the price."
        ) from None
    return given | {
        "unit_price": price.amount,
        "currency": price.currency,
        "discount_amount": None if off is None else off.amount_minor,
        "amount": amount.amount_minor,
    }


def _other_currency(pointer: str, currency: str | None) -> Invalid:
    return Invalid.at(pointer, "other_currency", f"All of an opportunity's lines are in {currency}.")


def read_line(line: Line, *, hidden: bool) -> OpportunityLineRead:
    """The wire form; `hidden` leaves out every price."""
    off = line.discount_amount
    return OpportunityLineRead(
        id=line.id,
        version=line.version,
        position=line.position,
        product_id=line.product_id,
        product_name=line.product_name,
        description=line.description,
        quantity=line.quantity,
        unit_price=None if hidden else UnitPrice(line.unit_price, line.currency),
        discount_percent=None if hidden else line.discount_percent,
        discount_amount=None if hidden or off is None else Money(off, line.currency),
        amount=None if hidden else Money(line.amount, line.currency),
    )
