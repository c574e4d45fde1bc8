"""Policies as settings; each change works out the deadlines of open cases anew."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from app.kernel.conditions import check_tree, groups_of
from app.kernel.errors import Invalid, require_version
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.models.sla import SlaPolicy
from app.modules.after_sales.schemas.sla import SlaPolicyCreate, SlaPolicyUpdate
from app.modules.after_sales.services.cases.ports import QueueSource
from app.tenants.interface import WorkingTime

RECOMPUTE: Final = "after_sales.recompute_sla"
MOST_POLICIES: Final = 100
_TARGETS: Final = ("first_response_minutes", "next_response_minutes", "resolution_minutes")
_NULLABLE: Final = frozenset({*_TARGETS, "conditions", "calendar_id"})


class SlaPolicyService:
    """The policies of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def list(self) -> list[SlaPolicy]:
        """All of them, in the order in which they are asked."""
        statement = self._uow.select(SlaPolicy).order_by(SlaPolicy.position, SlaPolicy.id)
        return await self._uow.all(statement)

    async def get(self, id: UUID) -> SlaPolicy:
        """Raises: NotFound."""
        return await self._uow.get(SlaPolicy, id)

    async def create(self, body: SlaPolicyCreate) -> SlaPolicy:
        """It holds for cases from here on, and decides anew about those whose clocks run. Raises: Invalid; …"""
        if len(await self.list()) >= MOST_POLICIES:
            raise Invalid(f"There are at most {MOST_POLICIES} policies.")
        values = body.model_dump(mode="json", by_alias=True) | {"calendar_id": body.calendar_id}
        await self._check(values, values)
        row = await self._uow.insert(SlaPolicy, audit="sla_policy", **values)
        self._uow.enqueue(RECOMPUTE, {})
        return row

    async def update(self, id: UUID, body: SlaPolicyUpdate, *, expected_version: int) -> SlaPolicy:
        """Raises: NotFound; StaleVersion; Invalid; DuplicateValue."""
        row = await self._uow.get(SlaPolicy, id, lock="update")
        require_version(row.version, expected=expected_version)
        changes = body.model_dump(mode="json", by_alias=True, include=body.model_fields_set)
        if "calendar_id" in changes:
            changes["calendar_id"] = body.calendar_id
        refuse_nulls(changes, _NULLABLE)
        await self._check({**row.__dict__, **changes}, changes)
        changed = await self._uow.update(row, audit="sla_policy", **changes)
        if changed.version != row.version:
            self._uow.enqueue(RECOMPUTE, {})
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Open cases go by the other policies; what ended or failed by this one stays. Raises: NotFound; …"""
        row = await self._uow.get(SlaPolicy, id, lock="update")
        require_version(row.version, expected=expected_version)
        await self._uow.delete(row, audit="sla_policy")
        self._uow.enqueue(RECOMPUTE, {})

    def recompute(self) -> UUID:
        """Work out all open deadlines anew; the job's id."""
        return self._uow.enqueue(RECOMPUTE, {})

    async def _check(self, values: dict[str, Any], told: dict[str, Any]) -> None:
        if not any(values[name] for name in _TARGETS):
            raise Invalid.at("/resolution_minutes", "nothing_promised", "Promise at least one of the three.")
        if told.get("conditions") is not None:
            record = self._uow.kernel.registry.records["case"]
            await check_tree(self._uow, record, groups_of(told["conditions"], "/conditions"))
        calendar_id = told.get("calendar_id")
        known = [] if calendar_id is None else await self._uow.of(WorkingTime).calendars([calendar_id])
        if calendar_id is not None and calendar_id not in known:
            raise Invalid.at("/calendar_id", "unknown_reference", "There is no calendar with this id.")
        for place, step in enumerate(told.get("escalations") or ()):
            await self._check_step(step, f"/escalations/{place}")

    async def _check_step(self, step: dict[str, Any], pointer: str) -> None:
        if step["member_id"] is not None:
            await self._uow.of(People).require_members(
                [UUID(step["member_id"])], pointer=f"{pointer}/member_id"
            )
        if step["queue_id"] is not None:
            id = UUID(step["queue_id"])
            for port in self._uow.ports(QueueSource):
                if id in await port.queues([id]):
                    return
            raise Invalid.at(f"{pointer}/queue_id", "unknown_reference", "There is no queue with this id.")


class PolicyCalendars:
    """`CalendarUser`: policies that count by a calendar."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, calendar_id: UUID) -> dict[str, int]:
        row = await self._uow.fetchrow(
            "SELECT count(*) FROM after_sales.sla_policies WHERE tenant_id = $1 AND calendar_id = $2",
            self._uow.tenant_id,
            calendar_id,
        )
        return {"sla_policies": row[0]} if row and row[0] else {}
