"""What happened to service records, for the timelines of the customers, things and orders that they are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject, TimelineEntry


@dataclass(frozen=True, slots=True)
class Moments:
    """Which times of which records are told. SQL is over the record as `t`, and over `m` what `joined` brings.

    `columns` say, by the object whose timeline it is, which column names that; `moments` are times with what they
    are called; `title` follows that name. Whoever may not read one of the fields in `needs` is told nothing.
    """

    kind: str
    object: str
    source: str
    columns: Mapping[str, str]
    moments: Sequence[tuple[str, str]]
    title: str
    needs: Collection[str]
    id: str = "t.id"
    text: str = "NULL::text"
    actor: str = "t.created_by"
    shows: Sequence[str] = ()

    async def of(
        self, uow: UnitOfWork, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first; one statement, none for other subjects."""
        column = self.columns.get(subject.object)
        actor = uow.actor
        hidden = actor.hidden(self.object)
        moments = [(at, what) for at, what in self.moments if at.partition(".")[2] not in hidden]
        told_to = actor.may(f"{self.object}:read") and hidden.isdisjoint(self.needs)
        if column is None or not told_to or not moments:
            return []
        bind = Bindings(
            uow.tenant_id,
            subject.record_id,
            before.at if before else None,
            before.id if before else None,
            limit,
        )
        visible = visible_rows(actor, self.object, "read", bind)
        parts = [self._part(column, at, what, f" AND {visible}" if visible else "") for at, what in moments]
        sql = " UNION ALL ".join(f"({part})" for part in parts)
        rows = await uow.fetch(f"SELECT * FROM ({sql}) told ORDER BY at DESC, id DESC LIMIT $5", *bind.values)
        return [
            TimelineEntry(
                id=row["id"],
                at=row["at"],
                kind=self.kind,
                title=f"{row['what']} {row['title']}",
                text=row["text"],
                actor_id=row["actor_id"],
                object=self.object,
                record_id=row["record_id"],
                data={name: row[name] for name in self.shows if name not in hidden},
            )
            for row in rows
        ]

    def _part(self, column: str, at: str, what: str, visible: str) -> str:
        shown = "".join(f", t.{name}" for name in self.shows)
        return (
            f"SELECT {self.id} AS id, {at} AS at, {what} AS what, {self.title} AS title, {self.text} AS text,"
            f" {self.actor} AS actor_id, t.id AS record_id{shown} FROM {self.source}"
            f" WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL AND {at} IS NOT NULL"
            f" AND ($3::timestamptz IS NULL OR ({at}, {self.id}) < ($3, $4::uuid)){visible}"
            f" ORDER BY {at} DESC, {self.id} DESC LIMIT $5"
        )


class MomentSource:
    """`TimelineSource` of some moments."""

    moments: Moments

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first; nothing for other subjects."""
        return await self.moments.of(self._uow, subject, before=before, limit=limit)
