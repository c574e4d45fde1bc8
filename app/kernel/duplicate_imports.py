"""Duplicates among imported rows: a whole chunk is compared in one statement, with the table and with itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.duplicates import NAME_THRESHOLD, DuplicateAction, DuplicateAware, name_likeness
from app.kernel.imports.rules import ImportOptions, ImportRow
from app.kernel.statements import joined, split

_NEIGHBOURS = 3
_MATCHES = 5
Form = tuple[str, str]
"""(reason, compared value)."""


async def mark_duplicates(
    service: DuplicateAware[Any], rows: Sequence[ImportRow], options: ImportOptions
) -> None:
    """Fill in the compared forms of new rows and treat look-alikes by the rule, the import's or the tenant's.

    Blocked rows are refused, others warned about and counted. Of rows that look alike within the file the first
    one stands. Similar names are sought among the neighbours, for types that have both orders of names.
    """
    uow, spec = service.uow, service.duplicates
    country = uow.actor.tenant.country
    keys: dict[int, tuple[list[str], list[str]]] = {}
    for row in rows:
        values = row.values
        emails, phones = keys[row.number] = row.keys(spec, country)
        values["email_key"] = emails[0] if emails else None
        values["phone_key"] = phones[0] if phones else None
        values["name_key"] = row.name_key(spec)
        values["duplicate_count"] = 0
    rule = options.duplicate_rule or await _rule(service)
    sound = [row for row in rows if not row.faults]
    if rule == DuplicateAction.ALLOW or not sound:
        return
    forms = [_forms(service, row, *keys[row.number]) for row in sound]
    known = await _known(service, forms)
    seen: dict[Form, int] = {}
    for number, row in enumerate(sound):
        matches = known.get(number, {})
        before = {seen[form]: form[0] for form in forms[number] if form in seen}
        row.values["duplicate_count"] = len(matches) + len(before)
        if matches or before:
            reasons = sorted(
                {reason for found in matches.values() for reason in found} | set(before.values())
            )
            text = _text(service, reasons, min(before) if before and not matches else None)
            if rule == DuplicateAction.BLOCK:
                row.refuse(reasons[0], "duplicate_found", text)
                continue
            row.warn(reasons[0], "duplicate_found", text)
        for form in forms[number]:
            seen.setdefault(form, row.line)


def _text(service: DuplicateAware[Any], reasons: Sequence[str], line: int | None) -> str:
    same = " and ".join(reason.replace("_", " ") for reason in reasons)
    if line is not None:
        return f"Same {same} as in line {line}."
    noun = service.record.object.replace("_", " ")
    return f"There is {'an' if noun[0] in 'aeiou' else 'a'} {noun} with the same or a similar {same} already."


def _forms(
    service: DuplicateAware[Any], row: ImportRow, emails: Sequence[str], phones: Sequence[str]
) -> list[Form]:
    spec = service.duplicates
    found = [("email", key) for key in emails] + [("phone", key) for key in phones]
    found += [(name, row.values[name]) for name in spec.exact if row.values.get(name)]
    name = row.values["name_key"]
    return found + ([("name", name)] if name else [])


async def _rule(service: DuplicateAware[Any]) -> str:
    row = await service.uow.fetchrow(
        "SELECT action FROM kernel.duplicate_rules WHERE tenant_id = $1 AND object = $2",
        service.uow.tenant_id,
        service.record.object,
    )
    return row["action"] if row else DuplicateAction.WARN


async def _known(
    service: DuplicateAware[Any], forms: Sequence[Sequence[Form]]
) -> dict[int, dict[UUID, set[str]]]:
    """Row number → the records that look like it, each with the reasons."""
    wanted: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, row_forms in enumerate(forms):
        for reason, value in row_forms:
            wanted[reason].append((number, value))
    if not wanted:
        return {}
    columns = {"email": "email_key", "phone": "phone_key", "name": "name_key"}
    arguments: list[Any] = [service.uow.tenant_id]
    parts: list[str] = []
    for reason, pairs in wanted.items():
        numbers, values = (joined(items) for items in zip(*pairs, strict=True))
        first = len(arguments) + 1
        arguments += (numbers, values)
        source = f"unnest({split(first, 'int', numbers)}, {split(first + 1, 'text', values)}) AS w(n, value)"
        parts += _look_ups(service, reason, columns.get(reason, reason), source)
    found: dict[int, dict[UUID, set[str]]] = {}
    for row in await service.uow.fetch(" UNION ALL ".join(parts), *arguments):
        if row["reason"] == "name" and not _alike(service, row["value"], row["form"]):
            continue
        found.setdefault(row["n"], {}).setdefault(row["id"], set()).add(row["reason"])
    return found


def _look_ups(service: DuplicateAware[Any], reason: str, column: str, wanted: str) -> list[str]:
    """One index probe per value: joined as a set, a planner without statistics would read the whole tenant."""
    table = f"FROM {service.record.table} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
    keys = [(table, f"t.{column}", "w.value")]
    conditions = [f"{table} AND t.{column} = w.value LIMIT {_MATCHES}"]
    if reason == "name" and service.duplicates.both_ends:
        view = table.replace(service.record.table, service.record.view)
        keys.append((view, f"reverse(t.{column})", "reverse(w.value)"))
        for source, key, value in keys:
            conditions += [
                f"{source} AND {key} > {value} ORDER BY {key}, t.id LIMIT {_NEIGHBOURS}",
                f"{source} AND {key} < {value} ORDER BY {key} DESC, t.id DESC LIMIT {_NEIGHBOURS}",
            ]
    return [
        f"SELECT w.n, '{reason}' AS reason, w.value, h.id, h.form FROM {wanted}"
        f" CROSS JOIN LATERAL (SELECT t.id, t.{column} AS form {condition}) h"
        for condition in conditions
    ]


def _alike(service: DuplicateAware[Any], one: str, other: str) -> bool:
    if one == other:
        return True
    return name_likeness(one, other, exact_scope=service.duplicates.exact_scope) >= NAME_THRESHOLD
