"""Lines, answers and steps as they are shown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.money import Money, UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ChargeKind, PriceSource
from app.modules.quotes.models import AnswerKind, Quote, QuoteAnswer, QuoteLine, QuoteStep
from app.modules.quotes.schemas import QuoteLineRead, QuoteLines, TaxRead
from app.modules.quotes.schemas.steps import AnswerRead, QuoteSteps, StepRead
from app.modules.quotes.services.pricing import included_lines
from app.modules.quotes.services.quotes import QuoteService

_AMOUNTS = (
    "discount_amount", "gross", "discount", "subtotal", "header_discount", "net", "tax", "total",
)  # fmt: skip
_PRICES = ("list_price", "unit_price")


class QuoteReading:
    """What belongs to a quote, for those who see it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    async def lines(self, id: UUID) -> QuoteLines:
        """Raises `NotFound`."""
        row = await self._quotes.get(id)
        return read_lines(row, await self._quotes.lines_of(id), self._uow.actor.hidden("quote"))

    async def steps(self, id: UUID) -> QuoteSteps:
        """The way of a quote through its states, oldest first. Raises `NotFound`."""
        await self._quotes.get(id)
        statement = self._uow.select(QuoteStep).where(QuoteStep.quote_id == id)
        rows = await self._uow.all(statement.order_by(QuoteStep.at, QuoteStep.id))
        return QuoteSteps(
            data=[
                StepRead.model_validate({n: getattr(row, n) for n in StepRead.model_fields}) for row in rows
            ]
        )


def read_lines(row: Quote, lines: Sequence[QuoteLine], hidden: Collection[str] = ()) -> QuoteLines:
    """The wire form of all lines and of the taxes that they bear."""
    return QuoteLines(
        data=[read_line(line, row.currency, hidden) for line in lines],
        taxes=[] if "total" in hidden else taxes_of(row, lines),
    )


def taxes_of(row: Quote, lines: Sequence[QuoteLine]) -> list[TaxRead]:
    """What the lines that count come to by tax rate."""
    found: dict[Decimal, list[int]] = {}
    for index in included_lines(lines):
        sums = found.setdefault(lines[index].tax_rate, [0, 0])
        sums[0] += lines[index].net
        sums[1] += lines[index].tax
    return [
        TaxRead(rate=rate, net=Money(net, row.currency), tax=Money(tax, row.currency))
        for rate, (net, tax) in sorted(found.items())
    ]


def read_line(line: QuoteLine, currency: str, hidden: Collection[str] = ()) -> QuoteLineRead:
    """The wire form of a line; `hidden` are fields of quotes: the total hides all prices, the cost itself."""
    shown = "total" not in hidden
    values: dict[str, Any] = {name: getattr(line, name) for name in QuoteLineRead.model_fields}
    for name in _AMOUNTS:
        values[name] = Money(values[name], currency) if shown else None
    for name in _PRICES:
        value = values[name]
        values[name] = UnitPrice(value, currency) if shown and value is not None else None
    cost = line.unit_cost
    values["unit_cost"] = None if cost is None or "cost" in hidden else UnitPrice(cost, currency)
    values["price_source"] = PriceSource(line.price_source) if shown else None
    values["discount_percent"] = line.discount_percent if shown else None
    values["charge"] = ChargeKind(line.charge)
    return QuoteLineRead(**values)


def read_answer(row: QuoteAnswer, hidden: Collection[str] = ()) -> AnswerRead:
    """The wire form of an answer."""
    shown = "total" not in hidden
    values: dict[str, Any] = {name: getattr(row, name) for name in AnswerRead.model_fields}
    for name in ("total", "prepayment"):
        value = values[name]
        values[name] = Money(value, row.currency) if shown and value is not None else None
    values["kind"] = AnswerKind(row.kind)
    return AnswerRead(**values)
