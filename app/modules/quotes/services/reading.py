"""Answers and steps as they are shown."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.quotes.models import AnswerKind, QuoteAnswer, QuoteStep
from app.modules.quotes.schemas.steps import AnswerRead, QuoteStepRead, QuoteSteps
from app.modules.quotes.services.quotes import QuoteService


class QuoteReading:
    """What belongs to a quote, for those who see it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    async def steps(self, id: UUID) -> QuoteSteps:
        """The way of a quote through its states, oldest first. Raises `NotFound`."""
        await self._quotes.get(id)
        statement = self._uow.select(QuoteStep).where(QuoteStep.quote_id == id)
        rows = await self._uow.all(statement.order_by(QuoteStep.at, QuoteStep.id))
        return QuoteSteps(
            data=[
                QuoteStepRead.model_validate({n: getattr(row, n) for n in QuoteStepRead.model_fields})
                for row in rows
            ]
        )


def read_answer(row: QuoteAnswer, hidden: Collection[str] = ()) -> AnswerRead:
    """The wire form of an answer."""
    shown = "total" not in hidden
    values: dict[str, Any] = {name: getattr(row, name) for name in AnswerRead.model_fields}
    for name in ("total", "prepayment"):
        value = values[name]
        values[name] = Money(value, row.currency) if shown and value is not None else None
    values["kind"] = AnswerKind(row.kind)
    return AnswerRead(**values)
