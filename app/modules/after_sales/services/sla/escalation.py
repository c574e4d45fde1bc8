"""The chain after a missed deadline: somebody is told, or the case goes to somebody else, one level at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.kernel.notifications import Notice, Notifications
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseAssigned, CaseEscalated
from app.modules.after_sales.models.sla import EscalationAction, EscalationTo
from app.modules.after_sales.services.sla.book import SlaBook
from app.modules.after_sales.services.sla.standing import EscalationStep, next_step_at, steps_of
from app.tenants.interface import MemberRef, Members

ESCALATED: Final = "case.escalated"


@dataclass(slots=True)
class _Held:
    """A case of the batch: as it was, and as the steps leave it."""

    row: Mapping[str, Any]
    level: int
    owner_id: UUID | None
    team_id: UUID | None
    queue_id: UUID | None


async def escalate_batch(uow: UnitOfWork, limit: int) -> int:
    """Take the next step of at most `limit` chains whose time has come; how many."""
    rows = [dict(row) for row in await uow.fetch(_DUE, uow.tenant_id, uow.now, limit)]
    if not rows:
        return 0
    book = SlaBook(uow)
    members = await _members(uow, book, rows)
    cases: dict[UUID, _Held] = {}
    clocks: list[dict[str, Any]] = []
    notices: list[tuple[UUID, Notice]] = []
    for row in rows:
        behind = await book.behind(row["policy_id"], row["calendar_id"])
        steps = steps_of(behind.chain, row["target"])
        taken = row["escalated"]
        after = next_step_at(behind.chain, taken + 1, row["target"], behind.calendar, row["breached_at"])
        clocks.append({"id": row["id"], "escalated": taken + 1, "escalate_at": after})
        if taken >= len(steps):
            continue  # the chain became shorter meanwhile
        held = cases.setdefault(
            row["case_id"],
            _Held(row, row["escalation_level"], row["owner_id"], row["team_id"], row["queue_id"]),
        )
        told = _take(uow, held, steps[taken], members)
        if told is not None:
            notices.append((told, _notice(uow, row)))
    await uow.fetch(_ADVANCE, uow.tenant_id, clocks)
    await _write(uow, cases)
    await Notifications(uow).tell_each(notices)
    return len(rows)


def _take(
    uow: UnitOfWork, held: _Held, step: EscalationStep, members: Mapping[UUID, MemberRef]
) -> UUID | None:
    """One step of one case; whom to tell."""
    target = _whom(step, held.owner_id, members)
    held.level += 1
    if step.action == EscalationAction.REASSIGN:
        if step.to == EscalationTo.QUEUE:
            held.owner_id, held.queue_id = None, step.queue_id
        elif target is not None:
            teams = members[target].team_ids
            held.owner_id, held.team_id = target, teams[0] if teams else None
    uow.publish(
        CaseEscalated(
            id=held.row["case_id"],
            reason=f"sla:{held.row['target']}",
            level=held.level,
            to_member_id=target,
        )
    )
    return target


def _whom(step: EscalationStep, owner_id: UUID | None, members: Mapping[UUID, MemberRef]) -> UUID | None:
    """The active member that a step turns to; None where there is nobody."""
    wanted = owner_id
    if step.to == EscalationTo.QUEUE:
        return None
    if step.to == EscalationTo.MEMBER:
        wanted = step.member_id
    elif step.to == EscalationTo.MANAGER:
        owner = members.get(owner_id) if owner_id is not None else None
        wanted = owner.manager_id if owner is not None else None
    found = members.get(wanted) if wanted is not None else None
    return found.id if found is not None and found.active else None


async def _members(uow: UnitOfWork, book: SlaBook, rows: Sequence[Any]) -> Mapping[UUID, MemberRef]:
    """Owners, those whom chains name, and the managers of all of them."""
    wanted = {row["owner_id"] for row in rows}
    for policy in await book.policies():
        wanted |= {UUID(step["member_id"]) for step in policy.escalations if step["member_id"]}
    members = dict(await uow.of(Members).get_many(wanted - {None}))
    managers = {member.manager_id for member in members.values()} - {None, *members}
    return members | dict(await uow.of(Members).get_many({id for id in managers if id is not None}))


async def _write(uow: UnitOfWork, cases: Mapping[UUID, _Held]) -> None:
    record = uow.kernel.registry.records["case"]
    changes = [
        {
            "id": id,
            "level": held.level,
            "owner_id": held.owner_id,
            "team_id": held.team_id,
            "queue_id": held.queue_id,
        }
        for id, held in cases.items()
    ]
    if not changes:
        return
    versions = {row["id"]: row["version"] for row in await uow.fetch(_CASES, uow.tenant_id, changes, uow.now)}
    for id, held in cases.items():
        before = held.row
        diff = {"escalation_level": [before["escalation_level"], held.level]}
        for name in ("owner_id", "team_id", "queue_id"):
            if getattr(held, name) != before[name]:
                diff[name] = [before[name], getattr(held, name)]
        uow.record_audit("case", id, "escalated", diff)
        uow.publish_record(record.updated, id, versions[id], changed=sorted(diff))
        if "owner_id" in diff or "queue_id" in diff:
            uow.publish(
                CaseAssigned(
                    id=id,
                    owner_id=held.owner_id,
                    former_owner_id=before["owner_id"],
                    queue_id=held.queue_id,
                )
            )


def _notice(uow: UnitOfWork, row: Mapping[str, Any]) -> Notice:
    text = "{} was escalated to you: {}" if uow.actor.tenant.language == "en" else "{} 已升级给您：{}"
    return Notice(
        kind=ESCALATED,
        title=text.format(row["number"], row["subject"]),
        object="case",
        record_id=row["case_id"],
    )


# Who takes a step changes `escalated`, and holds the case: whoever comes later finds the next time, or none.
_DUE: Final = f"""
WITH due AS (
  SELECT k.id AS clock_id, c.number, c.subject, c.owner_id, c.team_id, c.queue_id, c.escalation_level
  FROM after_sales.case_clocks k
  JOIN after_sales.cases c ON c.tenant_id = k.tenant_id AND c.id = k.case_id AND c.deleted_at IS NULL
  WHERE k.tenant_id = $1 AND k.ended_at IS NULL AND k.paused_at IS NULL AND k.escalate_at <= $2::timestamptz
  ORDER BY k.escalate_at, k.id LIMIT $3 FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE after_sales.case_clocks k SET escalate_at = NULL
FROM {rows_of("due", "clock_id", "number", "subject", "owner_id", "team_id", "queue_id", "escalation_level")}
WHERE k.tenant_id = $1 AND k.id = due.clock_id AND k.ended_at IS NULL AND k.paused_at IS NULL
  AND k.escalate_at <= $2::timestamptz
RETURNING k.id, k.case_id, k.target, k.policy_id, k.calendar_id, k.breached_at, k.escalated, due.number, due.subject,
  due.owner_id, due.team_id, due.queue_id, due.escalation_level"""
_ADVANCE: Final = """
UPDATE after_sales.case_clocks k SET escalated = s.escalated, escalate_at = s.escalate_at
FROM jsonb_to_recordset($2::jsonb) AS s(id uuid, escalated bigint, escalate_at timestamptz)
WHERE k.tenant_id = $1 AND k.id = s.id"""
_CASES: Final = """
UPDATE after_sales.cases c SET escalation_level = s.level, owner_id = s.owner_id, team_id = s.team_id,
  queue_id = s.queue_id, version = c.version + 1, updated_at = $3
FROM jsonb_to_recordset($2::jsonb) AS s(id uuid, level bigint, owner_id uuid, team_id uuid, queue_id uuid)
WHERE c.tenant_id = $1 AND c.id = s.id
RETURNING c.id, c.version"""
