"""What assignment goes by, as settings: whether it is active, what members take, rules and queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.listing import Bindings
from app.kernel.memory import Remembered
from app.kernel.people import People
from app.kernel.record_reads import field_set
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import PoolTarget, QueueInUse
from app.modules.leads.models import (
    Assignee,
    AssignmentRule,
    AssignmentSettings,
    Queue,
    Strategy,
)
from app.modules.leads.schemas.assignment import AssigneeRead
from app.modules.leads.services.assignment.book import compile_rule, default_queue_id
from app.modules.leads.services.assignment.decisions import MEMBER, QUEUE, TARGETS, TEAM, TERRITORY
from app.modules.leads.services.assignment.distribution import DEFAULT_CAPACITY, DEFAULT_WEIGHT, day_quota
from app.modules.leads.services.assignment.territories import lock_settings
from app.tenants.interface import Members

MAX_RULES: Final = 200


async def _read_active(uow: UnitOfWork) -> bool:
    row = await uow.fetchrow(
        "SELECT active FROM leads.assignment_settings WHERE tenant_id = $1", uow.tenant_id
    )
    return bool(row and row["active"])


_ACTIVE: Final = Remembered("leads.assignment_settings", _read_active, empty=False)


async def is_active(uow: UnitOfWork) -> bool:
    """Whether new leads without an owner are assigned by themselves; `STALE_SECONDS` after a switch elsewhere."""
    return await uow.kernel.memory.of(uow, _ACTIVE)


class SettingsService:
    """The switch, and what each member takes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def read(self) -> AssignmentSettings | None:
        """None while nothing has been set."""
        return await self.uow.first(self.uow.select(AssignmentSettings))

    async def replace(self, *, active: bool, expected_version: int) -> AssignmentSettings:
        """Switch assignment on or off. Raises: StaleVersion."""
        await lock_settings(self.uow)
        self.uow.kernel.memory.forget(_ACTIVE, self.uow.tenant_id)
        row = await self.read()
        if row is None:
            require_version(0, expected=expected_version)
            return await self.uow.insert(AssignmentSettings, audit="lead_assignment", active=active)
        require_version(row.version, expected=expected_version)
        return await self.uow.update(row, audit="lead_assignment", active=active)

    async def assignee(self, member_id: UUID) -> AssigneeRead:
        """What a member takes, the defaults at first. Raises: NotFound for an unknown member."""
        if member_id not in await self.uow.of(Members).get_many([member_id]):
            raise NotFound
        return _assignee(member_id, await self.uow.find(Assignee, member_id))

    async def set_assignee(
        self, member_id: UUID, values: Mapping[str, Any], *, expected_version: int
    ) -> AssigneeRead:
        """Say what a member takes. Raises: NotFound; StaleVersion."""
        await lock_settings(self.uow)
        await self.assignee(member_id)
        row = await self.uow.find(Assignee, member_id)
        require_version(row.version if row else 0, expected=expected_version)
        if row is None:
            row = await self.uow.insert(Assignee, audit="lead_assignee", id=member_id, **values)
        else:
            row = await self.uow.update(row, audit="lead_assignee", **values)
        return _assignee(member_id, row)


def _assignee(member_id: UUID, row: Assignee | None) -> AssigneeRead:
    capacity = row.capacity if row else DEFAULT_CAPACITY
    return AssigneeRead(
        id=member_id,
        version=row.version if row else 0,
        capacity=capacity,
        weight=row.weight if row else DEFAULT_WEIGHT,
        accepting=row.accepting if row else True,
        day_quota=day_quota(capacity),
    )


class RuleService:
    """The rules, in their order."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[AssignmentRule]:
        """All rules as they are asked."""
        statement = self.uow.select(AssignmentRule)
        return await self.uow.all(statement.order_by(AssignmentRule.position, AssignmentRule.id))

    async def get(self, id: UUID) -> AssignmentRule:
        """Raises: NotFound."""
        return await self.uow.get(AssignmentRule, id)

    async def create(self, values: dict[str, Any]) -> AssignmentRule:
        """Raises: Invalid; InvalidFilter; DuplicateValue for a name that is taken."""
        await lock_settings(self.uow)
        if len(await self.list()) >= MAX_RULES:
            raise Invalid.at("/name", "too_many", f"At most {MAX_RULES} rules.")
        await self._check(values)
        return await self.uow.insert(AssignmentRule, audit="lead_assignment_rule", **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> AssignmentRule:
        """Raises: NotFound; StaleVersion; Invalid; InvalidFilter; DuplicateValue."""
        await lock_settings(self.uow)
        row = await self.uow.get(AssignmentRule, id, lock="update")
        require_version(row.version, expected=expected_version)
        if changes.keys() & {"target", "target_id", "strategy", "filter"}:
            await self._check({**row.__dict__, **changes}, filter_changed="filter" in changes)
        return await self.uow.update(row, audit="lead_assignment_rule", **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion. Deadlines that it set stay."""
        row = await self.uow.get(AssignmentRule, id, lock="update")
        require_version(row.version, expected=expected_version)
        await self.uow.delete(row, audit="lead_assignment_rule")

    async def _check(self, values: Mapping[str, Any], *, filter_changed: bool = True) -> None:
        await self._check_target(values["target"], values["target_id"])
        if values["strategy"] == Strategy.PULL and values["target"] != QUEUE:
            raise Invalid.at("/strategy", "not_a_queue", "Only from a queue can members pull.")
        if values["filter"] is None or not filter_changed:
            return
        fields = await field_set(self.uow, self.uow.kernel.registry.records["lead"])
        compile_rule(self.uow, values["filter"], fields, Bindings(self.uow.tenant_id))

    async def _check_target(self, target: str, id: UUID | None) -> None:
        ports = {port.kind: port for port in self.uow.ports(PoolTarget)}
        if target not in TARGETS and target not in ports:
            kinds = ", ".join([*TARGETS, *ports])
            raise Invalid.at(
                "/target", "unknown_target", f"Leads cannot go to a {target}; targets are: {kinds}."
            )
        if id is None:
            if target != TERRITORY:
                raise Invalid.at("/target_id", "required", f"Which {target}?")
            return
        people = self.uow.of(People)
        if target == MEMBER:
            await people.require_members([id], pointer="/target_id")
        elif target == TEAM:
            await people.require_teams([id], pointer="/target_id")
        elif target == TERRITORY:
            raise Invalid.at("/target_id", "not_wanted", "The lead decides which territory it is.")
        elif target == QUEUE:
            known = await self.uow.find(Queue, id, lock="share") is not None
            _require(known, target)
        else:
            _require(id in await ports[target].known([id]), target)


def _require(known: bool, target: str) -> None:
    if not known:
        raise Invalid.at("/target_id", "unknown_reference", f"There is no {target} with this id.")


class QueueService:
    """The queues; there is always a default one."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Queue]:
        """All queues, the default first, then by name."""
        statement = self.uow.select(Queue)
        return await self.uow.all(statement.order_by(Queue.is_default.desc(), Queue.name_en, Queue.id))

    async def get(self, id: UUID) -> Queue:
        """Raises: NotFound."""
        return await self.uow.get(Queue, id)

    async def waiting(self) -> Mapping[UUID, int]:
        """How many leads wait in each queue."""
        rows = await self.uow.fetch(
            "SELECT queue_id, count(*) AS leads FROM leads.leads WHERE tenant_id = $1 AND queue_id IS NOT NULL"
            " AND deleted_at IS NULL GROUP BY queue_id",
            self.uow.tenant_id,
        )
        return {row["queue_id"]: row["leads"] for row in rows}

    async def create(self, values: dict[str, Any]) -> Queue:
        """Raises: Invalid; DuplicateValue for a name that is taken."""
        await lock_settings(self.uow)
        await self._check(values)
        if values["is_default"]:
            await self._unset_default()
        return await self.uow.insert(Queue, audit="lead_queue", **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Queue:
        """Raises: NotFound; StaleVersion; Invalid; DuplicateValue."""
        await lock_settings(self.uow)
        row = await self.uow.get(Queue, id, lock="update")
        require_version(row.version, expected=expected_version)
        await self._check(changes)
        if changes.get("is_default") is False and row.is_default:
            raise Invalid.at("/is_default", "one_default", "Make another queue the default instead.")
        if changes.get("is_default") and not row.is_default:
            await self._unset_default()
        return await self.uow.update(row, audit="lead_queue", **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; QueueInUse."""
        await lock_settings(self.uow)
        await self.uow.fetch(
            "SELECT 1 FROM leads.queues WHERE tenant_id = $1 AND id = $2 FOR UPDATE", self.uow.tenant_id, id
        )
        row = await self.uow.get(Queue, id)
        require_version(row.version, expected=expected_version)
        await self.uow.fetch(
            "UPDATE leads.leads SET queue_id = NULL, queued_at = NULL"
            " WHERE tenant_id = $1 AND queue_id = $2 AND deleted_at IS NOT NULL",
            self.uow.tenant_id,
            id,
        )
        used = await self.uow.fetchrow(
            "SELECT (SELECT count(*) FROM leads.leads WHERE tenant_id = $1 AND queue_id = $2) AS leads,"
            " (SELECT count(*) FROM leads.assignment_rules WHERE tenant_id = $1 AND target_id = $2) AS rules",
            self.uow.tenant_id,
            id,
        )
        if row.is_default or (used and any(used.values())):
            raise QueueInUse(is_default=row.is_default, **dict(used or {}))
        await self.uow.delete(row, audit="lead_queue")

    async def _check(self, values: Mapping[str, Any]) -> None:
        people = self.uow.of(People)
        await people.require_members(values.get("member_ids", ()), pointer="/member_ids")
        await people.require_teams(values.get("team_ids", ()), pointer="/team_ids")
        if values.get("team_id") is not None:
            await people.require_teams([values["team_id"]], pointer="/team_id")

    async def _unset_default(self) -> None:
        former = await self.uow.first(self.uow.select(Queue).where(Queue.is_default))
        if former is not None:
            await self.uow.update(former, audit="lead_queue", is_default=False)

    async def ensure_default(self) -> None:
        """Make the default queue unless there is one."""
        await default_queue_id(self.uow, await self.list())
