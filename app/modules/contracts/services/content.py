"""A contract as a document: all that was agreed, in one value that can be kept, compared and approved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from app.kernel.decimals import decimal_text
from app.kernel.money import Money, UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.contracts.models import Contract, Instalment, Line, Party
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.merge_fields import text_without_amounts
from app.modules.contracts.services.parts import PartService

AMOUNTS: Final = frozenset({"value", "amount", "unit_price"})
"""What is left out for those from whom a contract's value is hidden."""
_MISSING: Final = object()


async def content_of(uow: UnitOfWork, row: Contract) -> dict[str, Any]:
    """Everything that was agreed in a contract, as JSON; four statements, however much it is."""
    parts, clauses = PartService(uow), ClauseService(uow)
    contracts = parts.contracts
    return {
        "title": row.title,
        "kind": row.kind,
        "account_id": str(row.account_id),
        "contact_id": None if row.contact_id is None else str(row.contact_id),
        "value": Money(row.value, row.currency).to_wire(),
        "starts_on": row.starts_on.isoformat(),
        "ends_on": None if row.ends_on is None else row.ends_on.isoformat(),
        "notice_days": row.notice_days,
        "language": row.language,
        "parties": [_party(one) for one in await parts.parties_of(row.id)],
        "lines": [_line(one, row.currency) for one in await parts.lines_of(row.id)],
        "plan": [_instalment(one) for one in await contracts.instalments.of(row.id)],
        "clauses": [
            {"title": one.title, "text": one.body if one.merged is None else one.merged}
            for one in await clauses.of(row.id)
        ],
    }


def fingerprint(content: dict[str, Any]) -> str:
    """The same for the same content."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def without_amounts(value: Any) -> Any:
    """A copy without prices and sums, also where they were merged into texts."""
    if isinstance(value, dict):
        return {
            name: text_without_amounts(inner) if name == "text" else without_amounts(inner)
            for name, inner in value.items()
            if name not in AMOUNTS
        }
    if isinstance(value, list):
        return [without_amounts(inner) for inner in value]
    return value


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every field that differs: its JSON pointer and both values; lists go by position."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from differences(before.get(name, _MISSING), after.get(name, _MISSING), f"{pointer}/{name}")
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from differences(_at(before, index), _at(after, index), f"{pointer}/{index}")
    elif before is _MISSING or after is _MISSING or before != after:
        yield pointer, None if before is _MISSING else before, None if after is _MISSING else after


def _at(items: Sequence[Any], index: int) -> Any:
    return items[index] if index < len(items) else _MISSING


def _party(row: Party) -> dict[str, Any]:
    return {
        "role": row.role,
        "account_id": None if row.account_id is None else str(row.account_id),
        "contact_id": None if row.contact_id is None else str(row.contact_id),
        "name": row.name,
        "title": row.title,
    }


def _line(row: Line, currency: str) -> dict[str, Any]:
    return {
        "product_id": None if row.product_id is None else str(row.product_id),
        "description": row.description,
        "quantity": decimal_text(row.quantity),
        "unit_price": UnitPrice(row.unit_price, currency).to_wire(),
        "charge": row.charge,
        "amount": Money(row.amount, currency).to_wire(),
    }


def _instalment(row: Instalment) -> dict[str, Any]:
    return {
        "label": row.label,
        "amount": Money(row.amount, row.currency).to_wire(),
        "due_after": row.due_after,
        "due_days": row.due_days,
        "due_on": None if row.due_on is None else row.due_on.isoformat(),
    }
