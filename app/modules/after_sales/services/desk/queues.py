"""The queues, as settings; and what agents can bear."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Conflict, require_version
from app.kernel.locks import lock_name
from app.kernel.memory import Remembered
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseChannel
from app.modules.after_sales.models.desk import DeskSettings, Queue
from app.modules.after_sales.schemas.desk import AWAY_AFTER_MINUTES
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL

ROUTE: Final = "after_sales.route"
"""The job that gives waiting cases away."""
MAX_QUEUES: Final = 500
DEFAULT_CAPACITY: Final = 6
DEFAULT_WEIGHT: Final = 2


class QueueInUse(Conflict):
    """Carries the number of `cases` that name the queue, deleted ones too."""

    code = "queue_in_use"
    title = "Cases wait in this queue, or came through it"


class TooManyQueues(Conflict):
    """Carries `limit`."""

    code = "too_many_queues"
    title = "There are as many queues as a company may have"


class QueueService:
    """Where cases wait."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Queue]:
        """All queues by name."""
        return await self.uow.all(self.uow.select(Queue).order_by(Queue.name_en, Queue.id))

    async def get(self, id: UUID) -> Queue:
        """Raises: NotFound."""
        return await self.uow.get(Queue, id)

    async def waiting(self, id: UUID | None = None) -> Mapping[UUID, int]:
        """How many cases wait in each queue, or in one."""
        rows = await self.uow.fetch(
            "SELECT queue_id, count(*) AS cases FROM after_sales.cases WHERE tenant_id = $1"
            f" AND queue_id IS NOT NULL AND owner_id IS NULL AND deleted_at IS NULL AND {UNRESOLVED_SQL}"
            " AND ($2::uuid IS NULL OR queue_id = $2) GROUP BY queue_id",
            self.uow.tenant_id,
            id,
        )
        return {row["queue_id"]: row["cases"] for row in rows}

    async def create(self, values: dict[str, Any]) -> Queue:
        """Raises: Invalid; TooManyQueues; DuplicateValue for a name that is taken."""
        await lock_name(self.uow, "after-sales-queues")
        if len(await self.list()) >= MAX_QUEUES:
            raise TooManyQueues(limit=MAX_QUEUES)
        await self._check(values)
        return await self.uow.insert(Queue, audit="queue", **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Queue:
        """Raises: NotFound; StaleVersion; Invalid; DuplicateValue."""
        row = await self.uow.get(Queue, id, lock="update")
        require_version(row.version, expected=expected_version)
        await self._check(changes)
        changed = await self.uow.update(row, audit="queue", **changes)
        if changed.version != row.version:  # what it asks for, of whom, counts at once for those who pull
            self.uow.enqueue(ROUTE, {})
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; QueueInUse."""
        row = await self.uow.get(Queue, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        used = await self.uow.fetchrow(
            "SELECT count(*) FROM after_sales.cases WHERE tenant_id = $1 AND queue_id = $2",
            self.uow.tenant_id,
            id,
        )
        if used and used[0]:
            raise QueueInUse(cases=used[0])
        for table, column in (("case_settings", "mail_queue_id"), ("case_forms", "queue_id")):
            await self.uow.fetch(
                f"UPDATE after_sales.{table} SET {column} = NULL, version = version + 1, updated_at = $3"
                f" WHERE tenant_id = $1 AND {column} = $2",
                self.uow.tenant_id,
                id,
                self.uow.now,
            )
        await self.uow.delete(row, audit="queue")

    async def _check(self, values: Mapping[str, Any]) -> None:
        people = self.uow.of(People)
        await people.require_members(values.get("member_ids", ()), pointer="/member_ids")
        await people.require_teams(values.get("team_ids", ()), pointer="/team_ids")


class QueuesForCases:
    """`QueueSource`: the queues that cases name."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def queues(self, ids: Collection[UUID]) -> Collection[UUID]:
        rows = await self._uow.fetch(
            "SELECT id FROM after_sales.queues WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id"
            + ("" if self._uow.read_only else " FOR KEY SHARE"),
            self._uow.tenant_id,
            list(ids),
        )
        return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Bearing:
    """What agents can bear: units of capacity, and what a case weighs by channel (None: an agent whole).

    Whoever is not heard of for `away_after` is away; None: nobody is.
    """

    capacity: int
    weights: Mapping[str, int | None]
    away_after: timedelta | None


def _bearing(capacity: int, weights: Mapping[str, int | None], minutes: int | None) -> Bearing:
    weighing = {channel.value: DEFAULT_WEIGHT for channel in CaseChannel} | dict(weights)
    return Bearing(capacity, weighing, None if minutes is None else timedelta(minutes=minutes))


async def _load_bearing(uow: UnitOfWork) -> Bearing:
    row = await uow.first(uow.select(DeskSettings))
    return DEFAULT_BEARING if row is None else _stored(row)


def _stored(row: DeskSettings) -> Bearing:
    return _bearing(row.capacity, row.weights, row.away_after_minutes)


DEFAULT_BEARING: Final = _bearing(DEFAULT_CAPACITY, {}, AWAY_AFTER_MINUTES)
_BEARING: Final = Remembered("after_sales.desk_settings", _load_bearing, empty=DEFAULT_BEARING)


async def bearing(uow: UnitOfWork) -> Bearing:
    """What holds in the company; `STALE_SECONDS` after a change elsewhere."""
    return await uow.kernel.memory.of(uow, _BEARING)


class DeskSettingsService:
    """What agents can bear, as a setting."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def read(self) -> tuple[Bearing, int]:
        """What holds, and its version: 0 while nothing has been set."""
        row = await self.uow.first(self.uow.select(DeskSettings))
        return (DEFAULT_BEARING, 0) if row is None else (_stored(row), row.version)

    async def replace(
        self,
        capacity: int,
        weights: Mapping[str, int | None],
        away_after_minutes: int | None,
        *,
        expected_version: int,
    ) -> None:
        """Set all of it. Raises: StaleVersion."""
        await lock_name(self.uow, "after-sales-desk-settings")
        self.uow.kernel.memory.forget(_BEARING, self.uow.tenant_id)
        row = await self.uow.first(self.uow.select(DeskSettings))
        require_version(row.version if row else 0, expected=expected_version)
        values: dict[str, Any] = {
            "capacity": capacity,
            "weights": dict(weights),
            "away_after_minutes": away_after_minutes,
        }
        if row is None:
            await self.uow.insert(DeskSettings, audit="desk_settings", **values)
        else:
            await self.uow.update(row, audit="desk_settings", **values)
