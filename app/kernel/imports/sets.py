"""Rows as sets: with their audit entries and events they go into the tables in one statement.

New rows go in slices, and while the server writes one, the next is made ready in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.ids import new_ids
from app.kernel.imports.rules import Calm, ImportRow
from app.kernel.imports.shape import Shape, Wire, as_json, as_wire
from app.kernel.outbox import nobody_hears
from app.kernel.statements import BETWEEN_TOKENS, joined
from app.kernel.uow import UnitOfWork

FIRST_SLICE = 100  # the server waits while it is made ready; the rest of a chunk goes at once
_FIRST_FREE = 10  # arguments before are who, what and when

_BESIDE = """, audit AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, request_id, object, record_id, action, changes)
  SELECT $1, s.audit_id_, $2, $3, $4, $5, $6, $7, s.id, $8, s.audit_::jsonb FROM s JOIN done USING (id)
), events AS (
  INSERT INTO kernel.outbox
    (tenant_id, id, at, actor_kind, actor_id, request_id, type, object, record_id, data, published_at)
  SELECT $1, s.event_id_, $2, $3, $4, $6, $9, $7, s.id, s.event_::jsonb, {published}
  FROM s JOIN done USING (id)
)
SELECT id FROM s WHERE id NOT IN (SELECT id FROM done)"""
_WAITING = "NULL::timestamptz"


@dataclass(frozen=True, slots=True)
class _Ready:
    """A slice made ready: columns that travel value by value, the side columns, and columns that travel once."""

    sent: dict[str, Wire]
    beside: list[Wire]
    shared: dict[str, Any]


class SetWriter:
    """Writes sets of rows of one record type in the transaction at hand."""

    def __init__(self, uow: UnitOfWork, shape: Shape, calm: Calm) -> None:
        self.uow = uow
        self.shape = shape
        self.record = shape.record
        self._calm = calm

    async def insert(self, rows: Sequence[ImportRow]) -> set[UUID]:
        """Insert new rows; the ids of those that a unique key kept out."""
        slices = [part for part in (rows[:FIRST_SLICE], rows[FIRST_SLICE:]) if part]
        # What nobody waits for need not be found, claimed and marked by the relay.
        published = "$2" if await nobody_hears(self.uow, self.record.created.type) else _WAITING
        left_out: set[UUID] = set()
        building = asyncio.create_task(asyncio.to_thread(self._new, slices[0]))
        try:
            for following in [*slices[1:], None]:
                ready = await building
                if following is not None:
                    building = asyncio.create_task(asyncio.to_thread(self._new, following))
                left_out |= await self._insert(ready, published)
        finally:
            if not building.done():
                await asyncio.wait([building])  # a thread cannot be stopped
        return left_out

    async def _insert(self, ready: _Ready, published: str) -> set[UUID]:
        record = self.record
        shared = [value for value in ready.shared.values() if value is not None]
        values = [*ready.sent.values(), *ready.beside]
        first = _FIRST_FREE + len(shared)
        numbers = iter(range(_FIRST_FREE, first))
        picked = [self.shape.cast(name) for name in ready.sent]
        picked += [
            "NULL" if value is None else f"${next(numbers)}::{self.shape.types[name]}"
            for name, value in ready.shared.items()
        ]
        left_out = await self._run(
            f"{self.shape.travelling(ready.sent, values, first)}"
            f", done AS (INSERT INTO {record.table} ({', '.join([*ready.sent, *ready.shared])})"
            f" SELECT {', '.join(picked)} FROM s"
            f" ON CONFLICT DO NOTHING RETURNING id){_BESIDE.format(published=published)}",
            "created",
            record.created.type,
            *shared,
            *values,
        )
        return {row["id"] for row in left_out}

    def _new(self, rows: Sequence[ImportRow]) -> _Ready:
        """The columns of new rows with their audit entries and events."""
        told = [self.shape.told_of(row) for row in rows]
        for row in rows:
            row.told = None  # the larger part of a row: what is made of it now takes its place
        columns: dict[str, Sequence[Any]] = dict(
            zip(self.shape.early, zip(*[one.columns for one in told], strict=True), strict=True)
        )
        columns |= {name: [row.values[name] for row in rows] for name in self.shape.late}
        sent, shared = self.shape.sendable(columns)
        events = [self.shape.told_last(row, one.event) for row, one in zip(rows, told, strict=True)]
        return _Ready(sent, list(self._beside([one.audit for one in told], events)), shared)

    async def update(self, rows: Sequence[ImportRow]) -> None:
        """Write changes; rows that change other columns keep what they have."""
        shape, record = self.shape, self.record
        touched = {name for row in rows for name in row.values} | {"tokens"}
        names = tuple(name for name in shape.columns if name in touched)
        changed = [self._changed(row) for row in rows]
        copied = [
            shape.wire_column(name, [after[name] for after, _, _ in changed]) for name in ("id", *names)
        ]
        beside = self._beside([audit for _, audit, _ in changed], [event for _, _, event in changed])
        sets = ", ".join(f"{name} = {shape.cast(name)}" for name in names)
        values = [*copied, *beside]
        await self._run(
            f"{shape.travelling(('id', *names), values, _FIRST_FREE)}"
            f", done AS (UPDATE {record.table} t SET {sets}, version = t.version + 1, updated_at = $2"
            f" FROM s WHERE t.tenant_id = $1 AND t.id = s.id RETURNING t.id)"
            f"{_BESIDE.format(published=_WAITING)}",
            "updated",
            record.updated.type,
            *values,
        )

    def _changed(self, row: ImportRow) -> tuple[dict[str, Any], str, str]:
        """A changed row's columns, audit entry and event."""
        record, before = self.record, row.existing.__dict__
        after = {**before, **row.values, "version": before["version"] + 1, "updated_at": self.uow.now}
        searched = any(name in row.values for name in record.search.columns)
        after["tokens"] = BETWEEN_TOKENS.join(record.search.tokens(after) if searched else before["tokens"])
        changes = {n: [before[n], after[n]] for n in self.shape.audited if before[n] != after[n]}
        fields = [name for name in record.fields if before[name] != after[name]]
        fields = [name for name in fields if name not in ("version", "updated_at")]
        return after, as_json(changes), as_wire(self.shape.event_of(after, fields))

    @staticmethod
    def _beside(audit: list[str], events: list[str]) -> Iterator[Wire]:
        """The side columns, in the order of `_SIDE_COLUMNS`."""
        yield joined(new_ids(len(audit)))
        yield audit  # long texts, which the server would have to search for what stands between them
        yield joined(new_ids(len(events)))
        yield events

    async def _run(self, sql: str, action: str, event: str, *more: Any) -> list[asyncpg.Record]:
        uow, actor = self.uow, self.uow.actor
        who = (uow.tenant_id, uow.now, actor.kind, actor.id, actor.name, uow.request_id)
        with self._calm.during():
            return await uow.fetch(sql, *who, self.record.object, action, event, *more)
