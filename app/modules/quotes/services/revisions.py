"""Revisions and clones: how an offer that the customer has seen is changed, and what differs between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.quotes.interface import QuoteNotOpen, QuoteRevised
from app.modules.quotes.models import Quote
from app.modules.quotes.schemas import QuoteLineRead
from app.modules.quotes.schemas.steps import LineChange, QuoteComparison
from app.modules.quotes.services.lines import given_again
from app.modules.quotes.services.pricing import GivenLine
from app.modules.quotes.services.quotes import QUOTE, QuoteService
from app.modules.quotes.services.shown import read_line
from app.modules.quotes.services.states import REVISABLE

_COPIED: Final = (
    "name", "account_id", "contact_id", "opportunity_id", "contract_id", "partner_id", "segment", "channel",
    "currency", "tax_included", "tax_country", "discount_percent", "discount_amount", "terms", "language", "becomes",
    "term_months", "coupon_codes",
    "signature_required", "payment_required", "prepayment_percent", "tags", "custom",
)  # fmt: skip
_NOT_COMPARED: Final = frozenset(
    {"id", "version", "created_at", "updated_at", "created_by", "number", "external_id"}
)
_LINE_FIELDS: Final = tuple(
    name for name in QuoteLineRead.model_fields if name not in ("id", "position", "component_of")
)


class Revisions:
    """New revisions and clones of quotes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    async def revise(self, id: UUID, *, expected_version: int) -> Quote:
        """The next revision as a draft, at the same prices as far as they were entered.

        The one before stays valid until the next is sent.
        Raises: `QuoteRevised` where there is a later one; `QuoteNotOpen` for one that needs none, or was accepted.
        """
        row = await self._quotes.locked(id, expected_version)
        newest = (await self._quotes.revisions_of(row))[-1]
        if newest.id != row.id:
            raise QuoteRevised(
                f"Revision {newest.revision} is there.",
                revision=newest.revision,
                revision_id=str(newest.id),
            )
        if row.status not in REVISABLE:
            raise QuoteNotOpen(f"It is {row.status}.", status_now=row.status)
        given = _copy(row) | {"owner_id": row.owner_id, "team_id": row.team_id}
        if row.valid_until is not None:
            given["valid_until"] = self._quotes.today + (row.valid_until - row.issued_on)
        return await self._quotes.create_revision(row, given, await self._lines(row))

    async def clone(self, id: UUID) -> Quote:
        """A new quote of the actor's like this one, priced by the catalogue as of today. Raises `NotFound`."""
        row = await self._quotes.get(id)
        self._quotes.require_writable("total")
        lines = [replace(line, kept=False) for line in await self._lines(row)]
        return await self._quotes.create_clone(_copy(row), lines)

    async def _lines(self, row: Quote) -> list[GivenLine]:
        return [given_again(line) for line in await self._quotes.lines_of(row.id)]

    async def compare(self, id: UUID, other_id: UUID) -> QuoteComparison:
        """Field by field and line by line, what `other_id` has that differs. Raises `NotFound`."""
        rows = await self._quotes.get_many([id, other_id])
        if not {id, other_id} <= rows.keys():
            raise NotFound
        one, other = rows[id], rows[other_id]
        hidden = self._uow.actor.hidden("quote")
        left, right = QUOTE.render(one, hidden), QUOTE.render(other, hidden)
        return QuoteComparison(
            fields={
                name: [_json(left[name]), _json(right[name])]
                for name in left
                if name not in _NOT_COMPARED and left[name] != right[name]
            },
            lines=_line_changes(
                [read_line(line, one.currency, hidden) for line in await self._quotes.lines_of(id)],
                [read_line(line, other.currency, hidden) for line in await self._quotes.lines_of(other_id)],
            ),
        )


def _copy(row: Quote) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _COPIED}
    if row.discount_amount is not None:
        values["discount_amount"] = Money(row.discount_amount, row.currency)
    return values


def _line_changes(before: Sequence[QuoteLineRead], after: Sequence[QuoteLineRead]) -> list[LineChange]:
    """Lines of the same product, or the same text, are compared in their order; the others came or went."""
    waiting: dict[Any, list[QuoteLineRead]] = {}
    for line in before:
        waiting.setdefault(_key(line), []).append(line)
    changes = []
    for line in after:
        same = waiting.get(_key(line))
        if not same:
            changes.append(
                LineChange(
                    kind="added", before=None, after=line.position, description=line.description, fields={}
                )
            )
            continue
        former = same.pop(0)
        fields = _differences(former, line)
        if fields:
            changes.append(
                LineChange(
                    kind="changed",
                    before=former.position,
                    after=line.position,
                    description=line.description,
                    fields=fields,
                )
            )
    gone = sorted((line for left in waiting.values() for line in left), key=lambda line: line.position)
    return changes + [
        LineChange(kind="removed", before=line.position, after=None, description=line.description, fields={})
        for line in gone
    ]


def _key(line: QuoteLineRead) -> Any:
    return line.product_id or line.description


def _differences(before: QuoteLineRead, after: QuoteLineRead) -> dict[str, list[Any]]:
    left, right = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: [left[name], right[name]] for name in _LINE_FIELDS if left[name] != right[name]}


def _json(value: Any) -> Any:
    """A rendered value as JSON has it."""
    if value is None or isinstance(value, bool | int | float | str | dict | list):
        return value
    return str(value)
