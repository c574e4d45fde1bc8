"""The report: of the records that the actor sees, how many break which rule, and which ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.conditions import all_fields
from app.kernel.errors import NotFound
from app.kernel.listing import Bindings, FieldSet, Kind
from app.kernel.log_pages import fetch_page, order_by
from app.kernel.quality.models import QualityRule
from app.kernel.quality.rules import QualityRules, compile_rules, rule_of
from app.kernel.quality.schemas import FailingRecord, ObjectFindings, QualityReport, RuleFindings
from app.kernel.records import RecordType
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork

_NEWEST: Final = order_by({"t.id": Kind.UUID}, falling=True)


async def report(uow: UnitOfWork, object_name: str | None) -> QualityReport:
    """Per record type that the actor may read: one statement counts all its rules."""
    rows = await QualityRules(uow).list(object_name)
    found: list[ObjectFindings] = []
    for name in dict.fromkeys(row.object for row in rows):
        record = uow.kernel.registry.records.get(name)
        if record is not None and uow.actor.may(f"{name}:read"):
            found.append(await _findings(uow, record, [row for row in rows if row.object == name]))
    return QualityReport(data=found)


async def _findings(uow: UnitOfWork, record: RecordType[Any], rows: Sequence[QualityRule]) -> ObjectFindings:
    bind = Bindings(uow.tenant_id)
    tests = compile_rules([rule_of(row) for row in rows], await _seen_fields(uow, record), uow, bind)
    counts = "".join(f", count(*) FILTER (WHERE {sql})" for _, sql in tests)
    any_of_them = " OR ".join(sql for _, sql in tests) or "false"
    row = await uow.fetchrow(
        f"SELECT count(*), count(*) FILTER (WHERE {any_of_them}){counts}"
        f" FROM {record.view} t WHERE {_seen(uow, record, bind)}",
        *bind.values,
    )
    numbers = list(row or ())
    stored = {row.id: row for row in rows}
    return ObjectFindings(
        object=record.object,
        checked=numbers[0],
        failing=numbers[1],
        rules=[
            RuleFindings(
                rule_id=rule.id,
                object=record.object,
                field=rule.field,
                name_en=rule.name_en,
                name_zh=rule.name_zh,
                severity=stored[rule.id].severity,  # type: ignore[arg-type]
                failing=number,
                records=f"/v1/data-quality-rules/{rule.id}/records",
            )
            for (rule, _), number in zip(tests, numbers[2:], strict=True)
        ],
    )


async def _seen_fields(uow: UnitOfWork, record: RecordType[Any]) -> FieldSet:
    """A rule about what a role hides is not reported to it: counts would tell."""
    hidden = uow.actor.hidden(record.object)
    fields = (await all_fields(uow, record)).fields
    return FieldSet(
        {
            name: field
            for name, field in fields.items()
            if name not in hidden and not ("custom" in hidden and name.startswith("custom."))
        }
    )


def _seen(uow: UnitOfWork, record: RecordType[Any], bind: Bindings) -> str:
    visible = visible_rows(uow.actor, record.object, "read", bind)
    return f"t.tenant_id = $1 AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}"


async def failing(uow: UnitOfWork, id: UUID, *, limit: int, cursor: str | None) -> Page[FailingRecord]:
    """Records that break one rule, newest first, as far as the actor sees them.

    Raises: `NotFound` for an unknown rule and for one about what the actor may not read, `Forbidden`,
    `InvalidCursor`.
    """
    row = await QualityRules(uow).get(id)
    record = uow.kernel.registry.records.get(row.object)
    if record is None:
        raise NotFound
    uow.actor.require(f"{record.object}:read")
    bind = Bindings(uow.tenant_id)
    tests = compile_rules([rule_of(row)], await _seen_fields(uow, record), uow, bind)
    if not tests:
        raise NotFound
    found = await fetch_page(
        uow,
        f"SELECT t.id, t.{record.title} AS title, t.owner_id, t.updated_at FROM {record.view} t"
        f" WHERE {_seen(uow, record, bind)} AND ({tests[0][1]})",
        bind,
        _NEWEST,
        name=f"data-quality:{id}",
        limit=limit,
        cursor=cursor,
    )
    return found.page(partial(_failing_record, record, uow.actor.hidden(record.object)))


def _failing_record(record: RecordType[Any], hidden: frozenset[str], row: Any) -> FailingRecord:
    return FailingRecord(
        id=row["id"],
        title="" if record.title in hidden else row["title"],
        owner_id=None if "owner_id" in hidden else row["owner_id"],
        updated_at=row["updated_at"],
        path=f"/v1/{record.path}/{row['id']}",
    )
