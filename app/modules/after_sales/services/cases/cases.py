"""Cases as records: opened, changed, and taken through their states.

Whoever acts on a case holds its row first, then its clocks and whatever else hangs on it, always in this order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.ids import new_id
from app.kernel.locks import lock_keys
from app.kernel.merging.rules import MergeSpec
from app.kernel.numbering import next_number
from app.kernel.parts import Fact, utc_text_sql
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import (
    CaseAssigned,
    CaseClosed,
    CaseEscalated,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    CaseStatus,
    ReopenWindowOver,
)
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.schemas.cases import CaseCreate, CaseDetail, CaseRead, CaseUpdate
from app.modules.after_sales.services.cases.imports import CaseImport
from app.modules.after_sales.services.cases.references import References
from app.modules.after_sales.services.cases.settings import CaseSettingsService
from app.modules.after_sales.services.cases.skills import required
from app.modules.after_sales.services.cases.states import (
    CASE_STATES,
    ENDED,
    NEW,
    PENDING_CUSTOMER,
    SHOWN_TO_CUSTOMERS,
    UNRESOLVED_SQL,
    CaseAlreadyOpen,
    CaseCircular,
    CaseEnded,
    check_times,
    status_of,
)
from app.modules.after_sales.services.sla.clocks import CaseClocks
from app.modules.after_sales.services.sla.standing import MOMENTS

NUMBER: Final = "C-{year}-{number:05d}"
_NAMED: Final = frozenset(
    {"account_id", "contact_id", "product_id", "asset_id", "order_id", "order_line_id", "queue_id"}
)
_ALWAYS: Final = frozenset({"tags", "custom", "owner_id", "team_id", "type", "external_id"})
"""What changes even after the end."""
_SAID: Final = frozenset({"subject", "description"})
"""What no promise depends on alone; conditions may still ask for it when something else changes."""
_ONCE: Final = frozenset(
    {"channel", "dedupe", "opened_at", "first_response_at", "resolved_at", "closed_at", "resolution"}
)
"""What changes only by what happens to the case."""
_MOST_LEVELS: Final = 20


class CaseService(CaseImport, RecordService[Case]):
    """Cases."""

    NUMBER: ClassVar[str] = NUMBER

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._for_others = False
        self.clocks = CaseClocks(uow)

    # -- opening -------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Case:
        """As every record. An unresolved case of the same `dedupe` is answered instead of a new one."""
        self.actor.require("case:create")
        dedupe = given.get("dedupe")
        if dedupe is not None:
            first = await self._unresolved(dedupe)
            if first is not None:
                return first if self._for_others else await self.get(first.id)
        given = {**given, "opened_at": given.get("opened_at") or self.uow.now}
        check_times(given, self.uow.now)
        return await super().create(given, explicit=explicit)

    async def open_for_others(self, given: Mapping[str, Any]) -> Case:
        """As `create`, for another module: who owns it needs no right to assign. Raises `Forbidden`, `Invalid`."""
        self._for_others = True
        try:
            return await self.create(given, explicit=())
        finally:
            self._for_others = False

    async def _unresolved(self, dedupe: str) -> Case | None:
        """The unresolved case of this name; those who open one of the same name wait for each other."""
        await lock_keys(self.uow, "case-dedupe", [dedupe])
        row = await self.uow.fetchrow(
            "SELECT * FROM after_sales.cases WHERE tenant_id = $1 AND dedupe = $2"
            f" AND deleted_at IS NULL AND {UNRESOLVED_SQL}",
            self.uow.tenant_id,
            dedupe,
        )
        return None if row is None else entity(Case, row)

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; when it came in may be left open: then it is now."""
        values = super()._columns({n: v for n, v in given.items() if v is not None or n != "opened_at"})
        if values.get("skills"):
            values["skills"] = [dict(skill) for skill in values["skills"]]
        return values

    async def before_create(self, values: dict[str, Any]) -> None:
        values |= {"id": new_id(), "status": status_of(values).value}
        await self._complete(values, _NAMED)
        values |= await self.clocks.opening(
            {**values, "created_at": self.uow.now, "updated_at": self.uow.now}
        )
        values["required_skills"] = await required(self.uow, values)
        values["number"] = await next_number(self.uow, "case", NUMBER)

    async def _complete(self, values: dict[str, Any], named: Collection[str]) -> None:
        """What a new case says nothing of, and what follows from what it names. Raises `Invalid`."""
        values |= {
            **{name: values.get(name) for name in _UNSAID},
            "reopened_count": 0,
            "escalation_level": 0,
        }
        if values["resolved_at"] is not None:
            settings = CaseSettingsService(self.uow)
            values["reopenable_until"] = await settings.reopenable_until(values["resolved_at"])
        await self._check_parent(None, values.get("parent_id"))
        await References(self.uow, self.clocks.book).check(
            values, {name for name in named if values.get(name) is not None}
        )

    async def complete_import(self, values: dict[str, Any]) -> None:
        """As a case that is opened; whose it is has been looked up for all rows at once. Raises `Invalid`."""
        await self._complete(values, _NAMED - {"account_id", "contact_id"})

    async def after_create(self, row: Case) -> None:
        status = SHOWN_TO_CUSTOMERS[CaseStatus(row.status)]
        self.wrote_parts(row, customer_status=status, clocks=await self.clocks.opened())
        if row.status in ENDED:
            return  # it is of the past
        self.uow.publish(
            CaseOpened(
                id=row.id,
                account_id=row.account_id,
                contact_id=row.contact_id,
                channel=row.channel,
                priority=row.priority,
                queue_id=row.queue_id,
                owner_id=row.owner_id,
            )
        )

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        """What waits in a queue is nobody's yet; what another module opens has the owner that it says."""
        unowned = creating and values.get("owner_id") is None and values.get("queue_id") is not None
        if not unowned and not self._for_others:
            await super()._assign(values, creating=creating)

    async def hold_parent(self, id: UUID, parent_id: UUID | None) -> None:
        """Let nobody else move cases while this one becomes a part of another. Raises as `_check_parent`."""
        await lock_keys(self.uow, "case-parents", [""])
        await self._check_parent(id, parent_id)

    async def _check_parent(self, id: UUID | None, parent_id: UUID | None) -> None:
        """Raises `Invalid` for a parent that is not there, or is a part of the case itself."""
        if parent_id is None:
            return
        rows = await self.uow.fetch(_ANCESTORS, self.uow.tenant_id, parent_id, _MOST_LEVELS)
        above = [row["id"] for row in rows]
        if not above or not await self.get_many([parent_id]):
            raise Invalid.at("/parent_id", "unknown_reference", "There is no case with this id.")
        if id in above:
            raise Invalid.at("/parent_id", "circular", "That case is a part of this one.")
        if len(above) >= _MOST_LEVELS:
            raise Invalid.at("/parent_id", "too_deep", f"Cases lie at most {_MOST_LEVELS} deep.")

    # -- changing ------------------------------------------------------------------------------------------

    async def before_update(self, row: Case, changes: dict[str, Any]) -> None:
        told = {name for name in changes if changes[name] != getattr(row, name)}
        for name in sorted(told & _ONCE):
            raise Invalid.at(f"/{name}", "fixed", f"{name} is said when the case is created.")
        if row.status in ENDED and told - _ALWAYS:
            raise CaseEnded(f"It is {row.status}.", state=row.status)
        if "parent_id" in told:
            await self.hold_parent(row.id, changes["parent_id"])
        named = told & _NAMED
        if named:
            values = {**row.__dict__, **changes}
            await References(self.uow, self.clocks.book).check(values, named)
            changes |= {
                n: values[n] for n in (*_NAMED, "warranty", "response_class") if values[n] != getattr(row, n)
            }
        if row.status not in ENDED and told:
            asked = await required(self.uow, {**row.__dict__, **changes})
            if asked != row.required_skills:
                changes["required_skills"] = asked
        if row.status not in ENDED and told - _SAID:
            changes |= await self.clocks.repledged(row, {**row.__dict__, **changes})

    async def write(self, row: Case, changes: dict[str, Any], **how: Any) -> Case:
        """As every record. Whoever is given a case by somebody was not given it by routing."""
        if row.routed_at is not None and changes.get("owner_id", row.owner_id) != row.owner_id:
            changes.setdefault("routed_at", None)
        return await super().write(row, changes, **how)

    async def after_update(self, before: Case, after: Case) -> None:
        if before.owner_id != after.owner_id or before.queue_id != after.queue_id:
            self.uow.publish(
                CaseAssigned(
                    id=after.id,
                    owner_id=after.owner_id,
                    former_owner_id=before.owner_id,
                    queue_id=after.queue_id,
                )
            )

    async def before_delete(self, row: Case) -> None:
        await self.uow.fetch(
            "UPDATE after_sales.cases SET parent_id = NULL WHERE tenant_id = $1 AND parent_id = $2",
            row.tenant_id,
            row.id,
        )

    async def locked(self, id: UUID, expected_version: int | None = None, *, action: str = "update") -> Case:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action=action, lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return row

    # -- steps ---------------------------------------------------------------------------------------------

    async def step(self, id: UUID, action: str, *, expected_version: int) -> Case:
        """`start`, `wait_for_customer`, `wait_internally` or `close`. Raises: InvalidTransition; StaleVersion."""
        row = await self.locked(id, expected_version)
        if action == "close":
            return await self.close_row(row)
        after = CASE_STATES.next(CaseStatus(row.status), action)
        changes: dict[str, Any] = {}
        if after is PENDING_CUSTOMER:
            changes = await self.clocks.held(row)
        elif row.status == PENDING_CUSTOMER:
            changes = await self.clocks.resumed(row)
        return await self.step_row(row, action, **changes)

    async def step_row(self, row: Case, action: str, reason: str | None = None, **changes: Any) -> Case:
        """Take a held row to its next state. Raises: InvalidTransition."""
        status = CASE_STATES.next(CaseStatus(row.status), action)
        return await self.write(row, {"status": status.value, **changes}, action=action, reason=reason)

    async def resolve(self, id: UUID, resolution: str | None, *, expected_version: int) -> Case:
        """It is solved. Raises: InvalidTransition; StaleVersion."""
        return await self.resolve_row(await self.locked(id, expected_version), resolution)

    async def resolve_row(self, row: Case, resolution: str | None = None) -> Case:
        """As `resolve`, of a held row."""
        CASE_STATES.next(CaseStatus(row.status), "resolve")
        after = await self.step_row(
            row,
            "resolve",
            resolution=resolution or row.resolution,
            resolved_at=self.uow.now,
            reopenable_until=await CaseSettingsService(self.uow).reopenable_until(self.uow.now),
            **await self.clocks.solved(row),
        )
        self.uow.publish(
            CaseResolved(
                id=row.id,
                account_id=row.account_id,
                contact_id=row.contact_id,
                owner_id=row.owner_id,
                product_id=row.product_id,
            )
        )
        return after

    async def close_row(self, row: Case) -> Case:
        """Nothing more is expected. Raises: InvalidTransition."""
        after = await self.step_row(row, "close", closed_at=self.uow.now)
        self.uow.publish(CaseClosed(id=row.id, account_id=row.account_id))
        return after

    async def reopen(self, id: UUID, reason: str | None, *, expected_version: int) -> Case:
        """It was not solved. Raises: InvalidTransition; ReopenWindowOver; CaseAlreadyOpen; StaleVersion."""
        return await self.reopen_row(await self.locked(id, expected_version), reason)

    def may_reopen(self, row: Case) -> bool:
        """Whether an ended case is within its window."""
        return row.reopenable_until is not None and self.uow.now <= row.reopenable_until

    async def written_to(self, row: Case) -> Case | None:
        """Which case an answer to a held one is about: itself, or the open one of its name; None after its window."""
        if row.status not in ENDED:
            return row
        if not self.may_reopen(row):
            return None
        return row if row.dedupe is None else await self._unresolved(row.dedupe) or row

    async def reopen_row(self, row: Case, reason: str | None = None) -> Case:
        """As `reopen`, of a held row."""
        CASE_STATES.next(CaseStatus(row.status), "reopen")
        if not self.may_reopen(row):
            until = row.reopenable_until
            raise ReopenWindowOver(until=None if until is None else until.isoformat())
        if row.dedupe is not None:
            other = await self._unresolved(row.dedupe)
            if other is not None:
                raise CaseAlreadyOpen(case_id=str(other.id), number=other.number)
        after = await self.step_row(
            row,
            "reopen",
            reason,
            resolved_at=None,
            closed_at=None,
            reopenable_until=None,
            reopened_at=self.uow.now,
            reopened_count=row.reopened_count + 1,
            **await self.clocks.reopened(row),
        )
        self.uow.publish(CaseReopened(id=row.id, account_id=row.account_id, owner_id=row.owner_id))
        return after

    # -- what is said --------------------------------------------------------------------------------------

    async def answered_row(self, row: Case) -> Case:
        """We answered the customer: whoever waited has their answer, and a new case is being worked on."""
        changes = await self.clocks.answered(row)
        if row.first_response_at is None:
            changes["first_response_at"] = self.uow.now
        if row.status == NEW:
            return await self.step_row(row, "start", **changes)
        return await self.write(row, changes, action="answered")

    async def asked_row(self, row: Case) -> Case:
        """The customer wrote: an ended case is opened again, a held one goes on. Raises: ReopenWindowOver."""
        if row.status in ENDED:
            row = await self.reopen_row(row, "the customer wrote")
        changes = await self.clocks.asked(row)
        if row.status == PENDING_CUSTOMER:
            return await self.step_row(row, "start", **changes)
        return await self.write(row, changes, action="asked")

    # -- merging -------------------------------------------------------------------------------------------

    async def before_merge(self, rows: Sequence[Case]) -> None:
        ended = next((row for row in rows if row.status in ENDED), None)
        if ended is not None:
            raise CaseEnded(f"{ended.number} is {ended.status}.", state=ended.status)

    async def complete_merge(self, row: Case, merged: Sequence[Case], changes: dict[str, Any]) -> None:
        """Its own place among parents stays, unless that goes away; one answer is an answer to all."""
        if not merged:
            return
        changes.pop("parent_id", None)
        if row.parent_id in {one.id for one in merged}:
            changes["parent_id"] = None
        answers = [one.first_response_at for one in (row, *merged) if one.first_response_at is not None]
        if answers:
            changes["first_response_at"] = min(answers)
            changes |= await self.clocks.answered(row)

    async def after_merge(self, row: Case, merged: Sequence[Case]) -> None:  # noqa: ARG002 - they have moved
        """Raises: CaseCircular where a part of what was merged holds the surviving one."""
        if row.parent_id is not None:
            above = await self.uow.fetch(_ANCESTORS, self.uow.tenant_id, row.parent_id, _MOST_LEVELS)
            if row.id in {found["id"] for found in above}:
                raise CaseCircular

    async def escalate_row(self, row: Case, reason: str, *, to_member_id: UUID | None = None) -> Case:
        """One level up; the event says to whom. Raises: CaseEnded."""
        if row.status in ENDED:
            raise CaseEnded(f"It is {row.status}.", state=row.status)
        level = row.escalation_level + 1
        after = await self.write(row, {"escalation_level": level}, action="escalated", reason=reason)
        self.uow.publish(CaseEscalated(id=row.id, reason=reason, level=level, to_member_id=to_member_id))
        return after


_UNSAID: Final = (
    "warranty", "resolution", "first_response_at", "resolved_at", "closed_at", "reopened_at", "reopenable_until",
    "split_from_id", "skills", "language", "routed_at", "email",
)  # fmt: skip

_SHOWN: Final = " ".join(f"WHEN '{at}' THEN '{shown}'" for at, shown in SHOWN_TO_CUSTOMERS.items())
_CUSTOMER_STATUS: Final = Fact("customer_status", f"to_json(CASE t.status {_SHOWN} END)::text")
_CLOCKS: Final = Fact(
    "clocks",
    f"""(SELECT coalesce(jsonb_agg(jsonb_build_object('target', k.target, 'policy_id', k.policy_id,
  'goal_seconds', k.goal_seconds,
  'state', CASE WHEN k.breached_at IS NOT NULL THEN 'failed' WHEN k.ended_at IS NOT NULL THEN 'met'
    WHEN k.paused_at IS NOT NULL THEN 'paused' ELSE 'running' END,
  {", ".join(f"'{name}', {utc_text_sql(f'k.{name}')}" for name in MOMENTS)})
  ORDER BY k.started_at DESC, k.target, k.id DESC), '[]')::text
  FROM after_sales.case_clocks k WHERE k.tenant_id = t.tenant_id AND k.case_id = t.id)""",
    hidden_by="due_at",
    absent="'[]'",
)

_ANCESTORS: Final = """
WITH RECURSIVE up AS (
  SELECT id, parent_id, 1 AS depth FROM after_sales.cases
  WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
  UNION ALL
  SELECT c.id, c.parent_id, up.depth + 1
  FROM up JOIN after_sales.cases c ON c.tenant_id = $1 AND c.id = up.parent_id
  WHERE up.depth <= $3
)
SELECT id FROM up"""

CASE = RecordType(
    object="case",
    plural="cases",
    module="after_sales",
    model=Case,
    read=CaseRead,
    detail=CaseDetail,
    parts=(_CUSTOMER_STATUS, _CLOCKS),
    create=CaseCreate,
    update=CaseUpdate,
    service=CaseService,
    title="number",
    search=Search(names=("number", "subject")),
    default_sort=(("opened_at", True),),
    merge=MergeSpec(groups=(("account_id", "contact_id"), ("order_id", "order_line_id"))),
    follows={"due_target": "due_at", "sla_failed": "due_at"},
    labels={
        "number": ("case number", "工单号", "工单编号"),
        "subject": ("主题",),
        "description": ("描述",),
        "status": ("状态",),
        "priority": ("优先级",),
        "severity": ("严重程度",),
        "type": ("类型",),
        "channel": ("渠道",),
        "language": ("语言",),
        "opened_at": ("created", "创建时间"),
        "resolved_at": ("resolved", "解决时间"),
        "closed_at": ("closed", "关闭时间"),
        "due_at": ("due", "截止时间"),
    },
)
CaseService.record = CASE
