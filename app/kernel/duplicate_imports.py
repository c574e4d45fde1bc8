"""Duplicates among imported rows: a whole chunk is compared in one statement, with the table and with itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.duplicates import (
    NAME_THRESHOLD,
    DuplicateAction,
    DuplicateAware,
    DuplicateSpec,
    hold_all_forms,
    name_likeness,
)
from app.kernel.imports.rules import Calm, Form, ImportOptions, ImportRow
from app.kernel.statements import joined, split

_NEIGHBOURS = 3
_MATCHES = 5  # equal ones that are counted for each form, of table and chunk together


async def hold_forms(service: DuplicateAware[Any], options: ImportOptions) -> None:
    """Where duplicates are blocked, let nobody else make records until this chunk is written.

    Before the chunk holds any record, so that nobody waits in a circle: who creates a record holds its forms before
    others' rows and trees, too. A lock for each form, as single writers take it, would be a thousand for a chunk.
    """
    if options.dry_run or options.mode == "update" or options.duplicate_rule not in (None, "block"):
        return
    await hold_all_forms(service.uow, service.record.object, always=options.duplicate_rule is not None)


async def mark_duplicates(
    service: DuplicateAware[Any], rows: Sequence[ImportRow], options: ImportOptions
) -> None:
    """Fill in the compared forms of new rows and treat look-alikes by the rule, the import's or the tenant's.

    Blocked rows are refused, others warned about and counted, up to five equal ones for each form. Of rows that look
    alike within the file the first one stands. Similar names are sought among the neighbours, for types that have
    both orders of names.
    """
    country = service.uow.actor.tenant.country
    forms = [compared(service.duplicates, row, country) for row in rows]
    sound = [(row, found) for row, found in zip(rows, forms, strict=True) if not row.faults]
    if options.duplicate_rule == "allow" or not sound:
        return
    # Asked in one statement: where the company's rule allows all, which is rare, the look-ups are for nothing.
    known, action, equal = await _known(service, [found for _, found in sound], options.calm)
    rule = options.duplicate_rule or action
    if rule == DuplicateAction.ALLOW:
        return
    seen: dict[Form, int] = options.earlier.lines if options.dry_run else {}
    others: defaultdict[Form, list[int]] = defaultdict(list)  # lines of this chunk after the first
    for number, (row, found) in enumerate(sound):
        matches = known.get(number)
        if matches is None and seen.keys().isdisjoint(found):  # like nearly every row
            seen.update(dict.fromkeys(found, row.line))
            continue
        matches = matches or {}
        before = {
            line: form[0]
            for form in found
            if form in seen
            for line in (seen[form], *others[form])[: _MATCHES - equal[number, form]]
        }
        row.values["duplicate_count"] = len(matches) + len(before)
        reasons = sorted({reason for names in matches.values() for reason in names} | set(before.values()))
        text = _text(service, reasons, min(before) if before and not matches else None)
        if rule == DuplicateAction.BLOCK:
            row.refuse(reasons[0], "duplicate_found", text)
            continue
        row.warn(reasons[0], "duplicate_found", text)
        for form in found:
            if seen.setdefault(form, row.line) != row.line:
                others[form].append(row.line)


def compared(spec: DuplicateSpec, row: ImportRow, country: str) -> list[Form]:
    """The forms by which a row is compared; those that are columns are put there.

    Made once as long as the columns behind them are the same; that of a name which comes from what is looked up is
    made each time.
    """
    values = row.values
    sources = list(map(values.get, spec.sources))
    if row.compared is None or row.compared[0] != sources:
        copies = [[*value] if type(value) is list else value for value in sources]  # which nobody changes
        row.compared = (copies, *_forms(spec, values, country))
    _, found, columns = row.compared
    values |= columns
    if spec.name_from:
        return found
    name = values["name_key"] = spec.name_key(values)
    return [*found, ("name", name)] if name else found


def _forms(spec: DuplicateSpec, values: Mapping[str, Any], country: str) -> tuple[list[Form], dict[str, Any]]:
    emails, phones = spec.keys(values, country)
    columns: dict[str, Any] = {
        "email_key": emails[0] if emails else None,
        "phone_key": phones[0] if phones else None,
        "duplicate_count": 0,
    }
    found: list[Form] = []  # plain loops: comprehensions cost more than the one item that they mostly have
    for key in emails:
        found.append(("email", key))  # noqa: PERF401
    for key in phones:
        found.append(("phone", key))  # noqa: PERF401
    found += [(column, values[column]) for column in spec.exact if values.get(column)]
    if spec.name_from:
        name = columns["name_key"] = spec.name_key(values)
        if name:
            found.append(("name", name))
    return found, columns


def _text(service: DuplicateAware[Any], reasons: Sequence[str], line: int | None) -> str:
    same = " and ".join(reason.replace("_", " ") for reason in reasons)
    if line is not None:
        return f"Same {same} as in line {line}."
    noun = service.record.object.replace("_", " ")
    return f"There is {'an' if noun[0] in 'aeiou' else 'a'} {noun} with the same or a similar {same} already."


async def _known(
    service: DuplicateAware[Any], forms: Sequence[Sequence[Form]], calm: Calm
) -> tuple[dict[int, dict[UUID, set[str]]], str, Counter[tuple[int, Form]]]:
    """Row number → the records that look like it, each with the reasons; what the tenant does with them; and how many
    records have a form of a row as it is, at most `_MATCHES`.
    """
    wanted: defaultdict[str, tuple[list[int], list[str]]] = defaultdict(lambda: ([], []))
    for number, row_forms in enumerate(forms):
        for reason, value in row_forms:
            numbers, values = wanted[reason]
            numbers.append(number)
            values.append(value)
    columns = {"email": "email_key", "phone": "phone_key", "name": "name_key"}
    arguments: list[Any] = [service.uow.tenant_id, service.record.object]
    rule = "SELECT NULL::int AS n, 'rule' AS reason, action AS value, NULL::uuid AS id, NULL AS form"
    parts = [f"{rule} FROM kernel.duplicate_rules WHERE tenant_id = $1 AND object = $2"]
    for reason, pairs in wanted.items():
        places, texts = (joined(items) for items in pairs)
        first = len(arguments) + 1
        arguments += (places, texts)
        source = f"unnest({split(first, 'int', places)}, {split(first + 1, 'text', texts)}) AS w(n, value)"
        parts += _look_ups(service, reason, columns.get(reason, reason), source)
    found: dict[int, dict[UUID, set[str]]] = {}
    equal: Counter[tuple[int, Form]] = Counter()
    action: str = DuplicateAction.WARN
    with calm.during():
        rows = await service.uow.fetch(" UNION ALL ".join(parts), *arguments)
    for number, reason, value, id, form in rows:
        if number is None:
            action = value
            continue
        if form == value:
            equal[number, (reason, value)] += 1
        elif reason == "name" and not _alike(service, value, form):
            continue
        found.setdefault(number, {}).setdefault(id, set()).add(reason)
    return found, action, equal


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
