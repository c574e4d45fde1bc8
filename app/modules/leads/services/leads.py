"""Leads as records: touches, states, duplicates, and that a converted lead stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.company_names import company_core, person_core
from app.kernel.duplicates import DuplicateSpec, scoped
from app.kernel.errors import Invalid, require_version
from app.kernel.merging.rules import MergeSpec
from app.kernel.records import RecordType, Search
from app.modules.customers.interface import Pools
from app.modules.leads.interface import LeadAlreadyConverted, LeadDisqualified, LeadQualified
from app.modules.leads.models import Behaviour, Cause, Lead, LeadStatus
from app.modules.leads.schemas import OTHER, TOUCH_FIELDS, LeadCreate, LeadRead, LeadUpdate
from app.modules.leads.services.assignment.assigner import Assigner
from app.modules.leads.services.assignment.settings import is_active
from app.modules.leads.services.completeness import lead_completeness
from app.modules.leads.services.imports import LeadImport
from app.modules.leads.services.scoring.behaviours import TOUCH, Behaviours
from app.modules.leads.services.scoring.scorer import Scorer
from app.modules.leads.services.stages import Stages, named, place
from app.modules.leads.services.states import CONVERTED, DISQUALIFIED, MACHINE, NEW, QUALIFIED, require_step

_HISTORY = ("created_at", "first_response_at", "qualified_at", "disqualified_at")
_LAST = {f"last_{name}": name for name in ("source", "channel", "campaign", "medium")}


def name_key(values: Mapping[str, Any]) -> str | None:
    """A person's name within their company: two Zhang Wei of two companies are two."""
    person = person_core(values.get("name") or "")
    company = company_core(values.get("company") or "")
    return scoped(company, person) if person and company else None


class LeadService(LeadImport):
    """Leads with their rules."""

    record: ClassVar[RecordType[Any]]
    duplicates = DuplicateSpec(name_key=name_key, name_from=("name", "company"))
    _by_rules = False  # the lead at hand gets its owner by the rules of assignment
    _status_given = False

    @property
    def scoring(self) -> Scorer:
        return Scorer(self.uow, self.record)

    # -- creating ------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Lead:
        """As every record, with an owner by the rules where that is wanted; times in the past need `lead:import`."""
        if any(given.get(name) is not None for name in _HISTORY):
            self.actor.require("lead:import")
        self._status_given = explicit is not None and "status" in explicit
        rest = {name: value for name, value in given.items() if name != "assign"}
        self._by_rules = await self._wants_rules(rest, given.get("assign"))
        try:
            names = None if explicit is None else set(explicit) - {"assign"}
            row = await super().create(rest, explicit=names)
        finally:
            by_rules, self._by_rules = self._by_rules, False
        if not by_rules:
            return row
        await Assigner(self.uow).assign([row.id], Cause.CREATED)
        return await self.uow.get(Lead, row.id)

    async def _wants_rules(self, given: Mapping[str, Any], wish: bool | None) -> bool:
        """What the caller wishes; else programs' leads without an owner, while assignment is active."""
        if given.get("owner_id") is not None:
            if wish:
                raise Invalid.at("/assign", "owner_given", "Give an owner, or let the rules find one.")
            return False
        if wish is not None:
            return wish
        automatic = self.actor.kind != "member" and given.get("status") != DISQUALIFIED
        return automatic and await is_active(self.uow)

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        """As every record; while the rules have not decided, nobody owns it."""
        if creating and self._by_rules:
            values |= {"owner_id": None, "team_id": None}
        else:
            await super()._assign(values, creating=creating)

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; without a time of its own it comes to be now."""
        if given.get("created_at", self) is None:
            given = {**given}
            del given["created_at"]
        return super()._columns(given)

    async def before_create(self, values: dict[str, Any]) -> None:
        if values.get("stage") is not None:
            stage = named(await Stages(self.uow).held(), values["stage"])
            place(stage, values, status=values["status"] if self._status_given else None, current=None)
        self.complete(values)
        await super().before_create(values)
        await self.scoring.score_new(values)

    def complete(self, values: dict[str, Any]) -> None:
        """The columns that follow from those given: both touches, and the times of the states."""
        since: datetime = values.get("created_at") or self.uow.now
        for name in _HISTORY:
            if values.get(name) is not None and values[name] > self.uow.now:
                raise Invalid.at(f"/{name}", "in_the_future", f"{name} cannot lie in the future.")
        status = values["status"]
        if status == CONVERTED:
            raise Invalid.at("/status", "convert_instead", "A lead is converted by POST …/convert.")
        if status == QUALIFIED and values.get("qualified_at") is None:
            values["qualified_at"] = since
        if status == DISQUALIFIED and values.get("disqualified_at") is None:
            values["disqualified_at"] = since
        _check_reason(values)
        values |= touched(values, since)
        values["first_touch_at"] = since
        values["completeness"] = lead_completeness(values)

    async def after_create(self, row: Lead) -> None:
        self.publish_state(row)
        await self.scoring.crossed(None, row, "created")

    # -- changing ------------------------------------------------------------------------------------------

    async def before_update(self, row: Lead, changes: dict[str, Any]) -> None:
        refuse_converted(row)
        leave_queue(row, changes)
        await self.scoring.refuse_entered(changes, row.score)
        await self._place(row, changes)
        status = changes.get("status", row.status)
        if status != row.status:
            require_step(row.status, status)
            self._step(row, changes, status)
        _check_reason({**row.__dict__, **changes})
        changes["completeness"] = lead_completeness({**row.__dict__, **changes})
        await super().before_update(row, changes)

    async def _place(self, row: Lead, changes: dict[str, Any]) -> None:
        """Keep status and stage in step: a stage brings its status, another status leaves the stage."""
        wanted = changes.get("stage")
        if wanted is not None:
            stage = named(await Stages(self.uow).held(), wanted)
            place(stage, changes, status=changes.get("status"), current=row.stage)
        elif changes.get("status", row.status) != row.status:
            place(None, changes, status=changes["status"], current=row.stage)

    async def write(
        self,
        row: Lead,
        changes: dict[str, Any],
        *,
        action: str = "updated",
        custom: Any = None,
        reason: str | None = None,
    ) -> Lead:
        """As every record; a new owner takes the lead out of its queue, and what really changes it also scores it."""
        leave_queue(row, changes)
        if any(row.__dict__[name] != value for name, value in changes.items()):
            changes = {**changes, **await self.scoring.changes(row, changes)}
        return await super().write(row, changes, action=action, custom=custom, reason=reason)

    def _step(self, row: Lead, changes: dict[str, Any], status: str) -> None:
        """The times that a step leaves behind."""
        now = self.uow.now
        if row.status == NEW and row.first_response_at is None:
            changes.setdefault("first_response_at", now)
        if status == QUALIFIED:
            changes["qualified_at"] = now
        if status == DISQUALIFIED:
            changes["disqualified_at"] = now
        elif row.status == DISQUALIFIED:
            changes |= {"disqualified_at": None, "disqualified_reason": None, "disqualified_note": None}

    async def after_update(self, before: Lead, after: Lead) -> None:
        if before.pool_id is not None and after.pool_id is None:
            await self.uow.of(Pools).assigned("lead", after.id, before.pool_id, after.owner_id)
        if before.status != after.status:
            self.publish_state(after)
        await self.scoring.crossed(before, after, "updated")

    async def opened(self, id: UUID, pool_id: UUID) -> None:
        """Raises `PoolViewLimitReached`."""
        await self.uow.of(Pools).opened("lead", id, pool_id)

    async def before_delete(self, row: Lead) -> None:
        refuse_converted(row)

    def publish_state(self, row: Lead) -> None:
        """Say that a lead is qualified, or disqualified and why; nothing for the other states."""
        if row.status == QUALIFIED:
            self.uow.publish(LeadQualified(id=row.id, owner_id=row.owner_id, source=row.source))
        elif row.status == DISQUALIFIED and row.disqualified_reason is not None:
            self.uow.publish(
                LeadDisqualified(id=row.id, reason=row.disqualified_reason, note=row.disqualified_note)
            )

    # -- merging -------------------------------------------------------------------------------------------

    async def before_merge(self, rows: Sequence[Lead]) -> None:
        """Converted leads stay as they are. Raises `LeadAlreadyConverted`."""
        for row in rows:
            refuse_converted(row)

    def merge_preferences(self, rows: Sequence[Lead]) -> Mapping[str, UUID]:
        """The first touch is the earliest of all that says something, the last touch the latest."""
        telling = [row for row in rows if any(row.__dict__[name] for name in TOUCH_FIELDS)] or rows
        first = min(telling, key=lambda row: row.first_touch_at)
        last = max(rows, key=lambda row: row.last_touch_at)
        return {"first_touch_at": first.id, "last_touch_at": last.id}

    # -- actions -------------------------------------------------------------------------------------------

    async def step(self, id: UUID, action: str, *, expected_version: int, **given: Any) -> Lead:
        """Take a step of the state machine. Raises `InvalidTransition`, `LeadAlreadyConverted`."""
        row = await self.locked(id, expected_version)
        refuse_converted(row)
        status = MACHINE.next(LeadStatus(row.status), action)
        return await self.change(row, {**given, "status": status}, action=action)

    async def touch(self, id: UUID, given: Mapping[str, Any], *, expected_version: int) -> Lead:
        """A later touch becomes the last one; the first stays. One older than the last changes nothing."""
        row = await self.locked(id, expected_version)
        refuse_converted(row)
        at: datetime = given.get("touched_at") or self.uow.now
        if at > self.uow.now:
            raise Invalid.at("/touched_at", "in_the_future", "A touch cannot lie in the future.")
        await Behaviours(self.uow).record(row, TOUCH, occurred_at=at, detail=given.get("source"))
        if at < row.last_touch_at:
            await self.scoring.rescore(row)
            return await self.get(id)
        return await self.change(row, touched(given, at), action="touched")

    async def behave(
        self, id: UUID, what: Mapping[str, Any]
    ) -> tuple[Behaviour, bool, tuple[int | None, str | None]]:
        """Record what a lead did: the occurrence, whether it is new, and the lead's score and grade after it.

        The lead is locked, so that of any number at once each counts. Raises: `NotFound`, `Forbidden`,
        `LeadAlreadyConverted`, `Invalid`, `BehaviourDiffers`.
        """
        row = await self.get(id, action="update", lock="update")
        refuse_converted(row)
        behaviour, is_new = await Behaviours(self.uow).record(row, **what)
        return behaviour, is_new, await self.scoring.rescore(row) if is_new else (row.score, row.grade)

    async def locked(self, id: UUID, expected_version: int, *, action: str = "update") -> Lead:
        """A lead that the actor may change, locked. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action=action, lock="update")
        require_version(row.version, expected=expected_version)
        return row


def touched(given: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The columns of a last touch."""
    touch: dict[str, Any] = {name: given.get(name) for name in TOUCH_FIELDS}
    columns: dict[str, Any] = {column: touch[name] for column, name in _LAST.items()}
    touch["touched_at"] = _on_the_wire(at)
    return columns | {"last_touch": touch, "last_touch_at": at}


@lru_cache(maxsize=64)
def _on_the_wire(at: datetime) -> str:
    """A moment as JSON has it; imported leads share theirs."""
    return at.isoformat().replace("+00:00", "Z")


def leave_queue(row: Lead, changes: dict[str, Any]) -> None:
    """A lead waits in a queue only while nobody owns it."""
    if row.queue_id is not None and changes.get("owner_id") is not None:
        changes |= {"queue_id": None, "queued_at": None}


def refuse_converted(row: Lead) -> None:
    """Raises `LeadAlreadyConverted` for what may not change any more."""
    if row.status == CONVERTED:
        raise LeadAlreadyConverted(
            account_id=str(row.converted_account_id),
            contact_id=row.converted_contact_id and str(row.converted_contact_id),
            opportunity_id=row.converted_opportunity_id and str(row.converted_opportunity_id),
        )


def _check_reason(values: Mapping[str, Any]) -> None:
    if values["status"] != DISQUALIFIED:
        return
    if not values.get("disqualified_reason"):
        raise Invalid.at("/disqualified_reason", "required", "Say why it is disqualified.")
    if values["disqualified_reason"] == OTHER and not (values.get("disqualified_note") or "").strip():
        raise Invalid.at("/disqualified_note", "required", "The reason `other` wants a note.")


LEAD_MERGE = MergeSpec(
    groups=(
        (*TOUCH_FIELDS, "first_touch_at"),
        ("last_touch_at", "last_touch", *_LAST),
        ("status", "disqualified_reason", "disqualified_note", "qualified_at", "disqualified_at"),
    )
)

LEAD: RecordType[Lead] = RecordType(
    object="lead",
    plural="leads",
    module="leads",
    model=Lead,
    read=LeadRead,
    create=LeadCreate,
    update=LeadUpdate,
    service=LeadService,
    merge=LEAD_MERGE,
    search=Search(names=("name", "company"), emails=("email",), phones=("phone",)),
    upsert_keys=("external_id",),
    moves_etag="scored_at",
    contact_fields=("phone", "email"),
    labels={
        "name": ("Name", "Full name", "Contact name", "姓名", "联系人", "名称"),
        "company": (
            "Company",
            "Company name",
            "Organisation",
            "Organization",
            "Account",
            "公司",
            "公司名称",
            "企业名称",
        ),
        "title": ("Title", "Job title", "Position", "职务", "职位"),
        "email": ("E-mail", "Email", "Email address", "Mail", "邮箱", "电子邮件", "邮件"),
        "phone": ("Phone", "Telephone", "Mobile", "Tel", "电话", "手机", "手机号", "联系电话"),
        "website": ("Website", "Web", "URL", "网站", "网址"),
        "source": ("Source", "Lead source", "来源", "线索来源"),
        "channel": ("Channel", "渠道"),
        "campaign": ("Campaign", "市场活动", "活动"),
        "medium": ("Medium", "媒介"),
        "referrer": ("Referrer", "来源页"),
        "landing_page": ("Landing page", "落地页"),
        "utm_source": ("UTM source", "UTM来源"),
        "utm_medium": ("UTM medium", "UTM媒介"),
        "utm_campaign": ("UTM campaign", "UTM活动"),
        "utm_term": ("UTM term", "UTM关键词"),
        "utm_content": ("UTM content", "UTM内容"),
        "status": ("Status", "Lead status", "状态"),
        "stage": ("Stage", "Lead stage", "Sub-status", "阶段", "线索阶段"),
        "disqualified_reason": ("Disqualified reason", "Disqualification reason", "无效原因"),
        "rating": ("Rating", "热度", "评级", "等级"),
        "score": ("Score", "分数", "评分"),
        "industry": ("Industry", "行业"),
        "size": ("Size", "Company size", "Employees", "规模", "公司规模", "人数"),
        "product_name": ("Product", "Product of interest", "产品", "意向产品"),
        "country": ("Country", "国家"),
        "region": ("Region", "State", "Province", "省份", "地区"),
        "city": ("City", "城市"),
        "address": ("Address", "地址"),
        "description": ("Description", "Notes", "描述", "备注"),
        "created_at": ("Created at", "Created", "创建时间"),
        "status.new": ("新", "新线索", "未跟进"),
        "status.working": ("跟进中", "处理中"),
        "status.nurturing": ("培育中",),
        "status.qualified": ("合格", "已确认"),
        "status.disqualified": ("无效", "不合格"),
        "rating.hot": ("热", "高"),
        "rating.warm": ("温", "中"),
        "rating.cold": ("冷", "低"),
    },
)
LeadService.record = LEAD
