"""Records on their way into pools and out of them: columns, audit, events, log and what hangs on them, set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.events import Event
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, fetch_page
from app.kernel.records import RecordType
from app.kernel.schemas import Page
from app.kernel.statements import entity, rows_of
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import PoolMovementRead
from app.modules.customers.models import Pool, PoolMovement, PoolMovementKind
from app.modules.customers.services.pools.desk import Desk

_CHANGED = ("pool_id", "pooled_at", "owner_id", "team_id", "former_owner_id", "received_at")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may go into a pool: as it was when that was decided, and the rule that decided it."""

    id: UUID
    version: int
    followed_up_at: datetime | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A record that has moved: the row as stored, and who had it before."""

    row: Any
    from_owner: UUID | None
    from_team: UUID | None
    held_since: datetime | None
    rule: str | None = None


class Movements:
    """Writes what moves, and reads the log of it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def put(
        self,
        pool: Pool,
        candidates: Sequence[Candidate],
        kind: PoolMovementKind,
        *,
        reason: str | None,
        patient: bool = True,
    ) -> list[Moved]:
        """Put records into a pool that have not changed since they were looked at; those that went in.

        Locked ones are waited for, or left out unless `patient`.
        """
        port, record = self.desk.kind(pool.object), self.desk.record(pool.object)
        rows = await self.uow.fetch(
            _PUT.format(
                table=record.table,
                columns=self.desk.columns(pool.object),
                closed=port.closed,
                wait="" if patient else " SKIP LOCKED",
            ),
            self.uow.tenant_id,
            [candidate.id for candidate in candidates],
            [candidate.version for candidate in candidates],
            [candidate.followed_up_at for candidate in candidates],
            [candidate.rule for candidate in candidates],
            pool.id,
            self.uow.now,
        )
        moved = [_moved(record, row) for row in rows]
        if moved:
            events = {
                found.row.id: port.pooled(
                    id=found.row.id,
                    pool_id=pool.id,
                    former_owner_id=found.from_owner,
                    reason=reason,
                    rule=found.rule,
                )
                for found in moved
            }
            await self._tell(pool, record, moved, kind, events, reason)
            await port.went_in([found.row.id for found in moved])
        return moved

    async def came_out(self, pool: Pool, rows: Sequence[Any], kind: PoolMovementKind) -> list[Moved]:
        """Tell of records that were given to owners; `rows` are driver rows of the whole table, as stored."""
        port, record = self.desk.kind(pool.object), self.desk.record(pool.object)
        moved = [Moved(entity(record.model, row), None, None, None) for row in rows]
        event = port.claimed if kind is PoolMovementKind.CLAIMED else port.distributed
        events: dict[UUID, Event] = {
            found.row.id: event(
                id=found.row.id,
                pool_id=pool.id,
                owner_id=found.row.owner_id,
                former_owner_id=found.row.former_owner_id,
            )
            for found in moved
        }
        await self._tell(pool, record, moved, kind, events, None)
        await port.came_out({found.row.id: (found.row.owner_id, found.row.team_id) for found in moved})
        return moved

    async def _tell(
        self,
        pool: Pool,
        record: RecordType[Any],
        moved: Sequence[Moved],
        kind: PoolMovementKind,
        events: Mapping[UUID, Event],
        reason: str | None,
    ) -> None:
        """Audit, events and log of one set."""
        uow = self.uow
        inwards = kind in (PoolMovementKind.RELEASED, PoolMovementKind.RECYCLED)
        for found in moved:
            row = found.row
            changes: dict[str, list[Any]] = {
                "pool_id": [None, pool.id] if inwards else [pool.id, None],
                "owner_id": [found.from_owner, row.owner_id],
                "team_id": [found.from_team, row.team_id],
            }
            changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
            uow.record_audit(record.object, row.id, kind.value, changes, reason=reason or found.rule)
            uow.publish_record(
                record.updated, row.id, row.version, changed=list(_CHANGED), record=record.render(row)
            )
            uow.publish(events[row.id])
        await self._log(pool, moved, kind, reason)

    async def _log(
        self, pool: Pool, moved: Sequence[Moved], kind: PoolMovementKind, reason: str | None
    ) -> None:
        actor = self.uow.actor
        await self.uow.insert_many(
            PoolMovement,
            [
                {
                    "pool_id": pool.id,
                    "object": pool.object,
                    "record_id": found.row.id,
                    "kind": kind.value,
                    "at": self.uow.now,
                    "from_owner_id": found.from_owner,
                    "held_since": found.held_since,
                    "to_owner_id": found.row.owner_id,
                    "reason": reason,
                    "rule": found.rule,
                    "actor_kind": actor.kind,
                    "actor_id": actor.id,
                    "actor_name": actor.name,
                }
                for found in moved
            ],
        )

    async def assigned(self, object_name: str, id: UUID, pool_id: UUID, owner_id: UUID | None) -> None:
        """Log that a record left its pool by being given an owner directly."""
        actor = self.uow.actor
        await self.uow.insert(
            PoolMovement,
            pool_id=pool_id,
            object=object_name,
            record_id=id,
            kind=PoolMovementKind.ASSIGNED.value,
            at=self.uow.now,
            to_owner_id=owner_id,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
        )

    async def page(
        self, where: Mapping[str, Any], name: str, *, limit: int, cursor: str | None
    ) -> Page[PoolMovementRead]:
        """The log where these columns have these values, newest first. Raises `InvalidCursor`."""
        clauses = [f"{column} = ${place}" for place, column in enumerate(where, 2)]
        found = await fetch_page(
            self.uow,
            f"SELECT {', '.join(PoolMovementRead.model_fields)} FROM customers.pool_movements"
            f" WHERE tenant_id = $1 AND {' AND '.join(clauses)}",
            Bindings(self.uow.tenant_id, *where.values()),
            NEWEST,
            name=name,
            limit=limit,
            cursor=cursor,
        )
        return found.page(lambda row: PoolMovementRead.model_validate(dict(row)))


def _moved(record: RecordType[Any], row: Any) -> Moved:
    values = dict(row)
    before = [values.pop(name) for name in ("from_owner_", "from_team_", "held_since_", "rule_")]
    return Moved(entity(record.model, values), *before)


_PUT = f"""
WITH chosen AS (
  SELECT t.id, t.owner_id, t.team_id, coalesce(t.received_at, t.created_at) AS held_since, w.rule
  FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[]) AS w(id, version, followed_up_at, rule)
  JOIN {{table}} t ON t.tenant_id = $1 AND t.id = w.id
  WHERE t.version = w.version AND t.last_follow_up_at IS NOT DISTINCT FROM w.followed_up_at
    AND t.deleted_at IS NULL AND t.pool_id IS NULL AND NOT ({{closed}})
  ORDER BY t.id FOR NO KEY UPDATE OF t{{wait}}
)
UPDATE {{table}} t SET owner_id = NULL, team_id = NULL, pool_id = $6, pooled_at = $7,
  former_owner_id = coalesce(t.owner_id, t.former_owner_id), received_at = NULL, recycle_reminded_at = NULL,
  version = t.version + 1, updated_at = $7
FROM {rows_of("chosen", "id", "owner_id", "team_id", "held_since", "rule")}
WHERE t.tenant_id = $1 AND t.id = chosen.id
RETURNING {{columns}}, chosen.owner_id AS from_owner_, chosen.team_id AS from_team_,
  CASE WHEN chosen.owner_id IS NOT NULL THEN chosen.held_since END AS held_since_, chosen.rule AS rule_"""
