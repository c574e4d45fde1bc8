"""Approval processes: made, changed, deleted; what they refer to is there when they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.conditions import check_tree, groups_of
from app.kernel.errors import Invalid, InvalidFilter, require_version
from app.kernel.listing import Kind
from app.kernel.log_pages import Slice, order_by, select_page
from app.kernel.people import People
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.automation.models import ApprovalProcess
from app.modules.automation.schemas import ApproverKind
from app.tenants.interface import Members

OBJECT: Final = "approval_process"
MOST: Final = 200
_MAY_BE_NULL: Final = frozenset({"name_zh", "condition"})
_AS_TRIED: Final = order_by({"object": Kind.TEXT, "priority": Kind.INTEGER, "id": Kind.UUID})


class Processes:
    """The processes of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def page(
        self, *, object_name: str | None, limit: int, cursor: str | None
    ) -> Slice[ApprovalProcess]:
        """By record type and priority. Raises: InvalidCursor."""
        statement = self._uow.select(ApprovalProcess)
        if object_name is not None:
            statement = statement.where(ApprovalProcess.object == object_name)
        name = f"approval-processes:{object_name}"
        return await select_page(self._uow, statement, _AS_TRIED, name=name, limit=limit, cursor=cursor)

    async def get(self, id: UUID) -> ApprovalProcess:
        """Raises `NotFound`."""
        return await self._uow.get(ApprovalProcess, id)

    async def create(self, body: BaseModel) -> ApprovalProcess:
        """Raises `Invalid` at whatever does not exist or compile."""
        values = body.model_dump(mode="json", by_alias=True)
        await self._check(values)
        row = await self._uow.fetchrow(
            "SELECT count(*) FROM automation.approval_processes WHERE tenant_id = $1 AND deleted_at IS NULL",
            self._uow.tenant_id,
        )
        if row is not None and row[0] >= MOST:
            raise Invalid.at("/object", "too_many", f"A company has at most {MOST} processes.")
        return await self._uow.insert(ApprovalProcess, audit=OBJECT, **values)

    async def update(self, id: UUID, body: BaseModel, *, expected_version: int) -> ApprovalProcess:
        """A merge patch; requests that are under way keep the steps they began with.

        Raises: NotFound; StaleVersion; Invalid.
        """
        row = await self._locked(id, expected_version)
        changes = body.model_dump(mode="json", by_alias=True, include=body.model_fields_set)
        refuse_nulls(changes, _MAY_BE_NULL)
        planned = {**row.__dict__, **changes}
        keys = [step["key"] for step in planned["steps"]]
        if len(set(keys)) != len(keys):
            raise Invalid.at("/steps", "duplicate_key", "Each step has a key of its own.")
        # What is given now has to exist now; what went out of use since does not stop other changes.
        await self._check(
            planned, given=changes.keys() | ({"condition", "steps"} if "object" in changes else set())
        )
        return await self._uow.update(row, audit=OBJECT, **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """It asks no more; requests that are under way go on. Raises: NotFound; StaleVersion."""
        await self._uow.delete(await self._locked(id, expected_version), audit=OBJECT)

    async def _locked(self, id: UUID, expected_version: int) -> ApprovalProcess:
        row = await self._uow.get(ApprovalProcess, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _check(self, values: Mapping[str, Any], *, given: Any = None) -> None:
        record = self._uow.kernel.registry.records.get(values["object"])
        if record is None:
            raise Invalid.at(
                "/object", "unknown_object", f"There are no records of type {values['object']!r}."
            )
        if given is None or "condition" in given:
            await self._check_condition(record, values["condition"], "/condition")
        if given is None or "steps" in given:
            for place, step in enumerate(values["steps"]):
                await self._check_condition(record, step["condition"], f"/steps/{place}/condition")
            await self._check_members(values["steps"])
            await self._check_roles(values["steps"])
            _check_fields(record, values["steps"])

    async def _check_condition(
        self, record: RecordType[Any], tree: Mapping[str, Any] | None, pointer: str
    ) -> None:
        try:
            await check_tree(self._uow, record, groups_of(tree, pointer))
        except InvalidFilter as problem:
            raise Invalid(problem.detail, errors=problem.errors) from None

    async def _check_members(self, steps: Sequence[Mapping[str, Any]]) -> None:
        people = self._uow.of(People)
        for place, step in enumerate(steps):
            for number, entry in enumerate(step["approvers"]):
                ids = [UUID(id) for id in entry["member_ids"]]
                await people.require_members(ids, pointer=f"/steps/{place}/approvers/{number}/member_ids")
            escalation = step["escalate_after"]
            if escalation is not None and escalation["member_id"] is not None:
                pointer = f"/steps/{place}/escalate_after/member_id"
                await people.require_members([UUID(escalation["member_id"])], pointer=pointer)

    async def _check_roles(self, steps: Sequence[Mapping[str, Any]]) -> None:
        known: dict[str, bool] = {}
        for place, step in enumerate(steps):
            for number, entry in enumerate(step["approvers"]):
                role = entry["role"]
                if role is None:
                    continue
                if role not in known:
                    known[role] = bool(await self._uow.of(Members).in_role(role))
                if not known[role]:
                    pointer = f"/steps/{place}/approvers/{number}/role"
                    raise Invalid.at(pointer, "nobody_in_role", f"No active member has a role {role!r}.")


def _check_fields(record: RecordType[Any], steps: Sequence[Mapping[str, Any]]) -> None:
    for place, step in enumerate(steps):
        for number, entry in enumerate(step["approvers"]):
            if entry["kind"] != ApproverKind.FIELD:
                continue
            field = record.fields.get(entry["field"])
            if field is None or field.kind is not Kind.UUID:
                pointer = f"/steps/{place}/approvers/{number}/field"
                raise Invalid.at(pointer, "unknown_field", f"{entry['field']!r} holds no member's id.")
