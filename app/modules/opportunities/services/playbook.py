"""Playbooks: the tasks that a stage gives out when an opportunity enters it, once per visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, ActivityRef, HeldOwner, Subject
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.models.work import PlaybookTask
from app.modules.opportunities.schemas.work import Playbook, PlaybookItem
from app.modules.opportunities.services.stage_rules import PlaybookRule
from app.tenants.interface import Colleagues

DONE = "done"


class Playbooks:
    """Gives tasks out through the activities' interface, and tells how far they are."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def give_out(
        self, row: Opportunity, visit_id: UUID, rules: Sequence[PlaybookRule], *, is_new: bool = False
    ) -> None:
        """Make the tasks of the stage that `row` has just entered; those of an earlier visit unless they repeat.

        The row is held or `is_new`.
        """
        due = rules if is_new else await self._due(row, rules)
        if not due:
            return
        owners = await self._owners(row, due, is_new=is_new)
        chinese = self._uow.actor.tenant.language == "zh"
        made: list[dict[str, Any]] = []
        for rule in due:
            days = rule.due_in_days
            task = await self._uow.of(Activities).assign_task(
                [Subject("opportunity", row.id)],
                (rule.subject_zh if chinese else None) or rule.subject_en,
                due_at=None if days is None else self._uow.now + timedelta(days=days),
                held=owners[rule.key],
            )
            made.append(
                {
                    "opportunity_id": row.id,
                    "visit_id": visit_id,
                    "pipeline_id": row.pipeline_id,
                    "stage": row.stage,
                    "key": rule.key,
                    "activity_id": task.id,
                    "created_at": self._uow.now,
                }
            )
        await self._uow.insert_many_last(PlaybookTask, made)

    async def _due(self, row: Opportunity, rules: Sequence[PlaybookRule]) -> Sequence[PlaybookRule]:
        if all(rule.repeat for rule in rules):
            return rules
        given = await self._uow.fetch(
            "SELECT DISTINCT key FROM opportunities.playbook_tasks"
            " WHERE tenant_id = $1 AND opportunity_id = $2 AND pipeline_id = $3 AND stage = $4",
            row.tenant_id,
            row.id,
            row.pipeline_id,
            row.stage,
        )
        known = {one["key"] for one in given}
        return [rule for rule in rules if rule.repeat or rule.key not in known]

    async def _owners(
        self, row: Opportunity, rules: Sequence[PlaybookRule], *, is_new: bool
    ) -> Mapping[str, HeldOwner]:
        """Who gets each task, by its key: a team member of the role, else the owner; nobody who has left."""
        by_role: dict[str, UUID] = {}
        if not is_new and any(rule.team_role for rule in rules):
            members = await self._uow.fetch(
                "SELECT role, member_id FROM opportunities.team_members"
                " WHERE tenant_id = $1 AND opportunity_id = $2 ORDER BY created_at DESC, id DESC",
                row.tenant_id,
                row.id,
            )
            by_role = {one["role"]: one["member_id"] for one in members}
        active = await self._active({id for id in (row.owner_id, *by_role.values()) if id})
        owner = active.get(row.owner_id, HeldOwner(None, None))
        return {rule.key: active.get(by_role.get(rule.team_role or ""), owner) for rule in rules}

    async def _active(self, ids: set[UUID]) -> dict[UUID | None, HeldOwner]:
        """Those of the members who are active, held; whoever acts is, and is no more looked at than as an owner."""
        actor = self._uow.actor
        found: dict[UUID | None, HeldOwner] = {}
        if actor.member_id in ids:
            found[actor.member_id] = HeldOwner(actor.member_id, actor.home_team_id)
        others = await self._uow.of(Colleagues).among(ids - found.keys())
        return found | {id: HeldOwner(id, next(iter(one.team_ids), None)) for id, one in others.items()}

    async def done(self, opportunity_id: UUID) -> set[str]:
        """The keys of tasks that have been done, in whichever visit."""
        return {item.key for item in (await self.of(opportunity_id)).data if item.done}

    async def of(self, opportunity_id: UUID) -> Playbook:
        """All tasks that playbooks gave out for an opportunity, oldest first."""
        rows = await self._uow.fetch(_TASKS, self._uow.tenant_id, opportunity_id)
        ids = [row["activity_id"] for row in rows]
        tasks = await self._uow.of(Activities).get_many(ids) if ids else {}
        return Playbook(data=[_item(row, tasks.get(row["activity_id"])) for row in rows])


def _item(row: Any, task: ActivityRef | None) -> PlaybookItem:
    return PlaybookItem(
        id=row["id"],
        stage=row["stage"],
        key=row["key"],
        activity_id=row["activity_id"],
        subject=task.subject if task else None,
        status=task.status if task else "deleted",
        done=task is not None and task.status == DONE,
        owner_id=task.owner_id if task else None,
        due_at=task.due_at if task else None,
        completed_at=task.completed_at if task else None,
        given_at=row["created_at"],
        is_current=row["is_current"],
    )


_TASKS = """
SELECT p.id, p.stage, p.key, p.activity_id, p.created_at, h.left_at IS NULL AS is_current
FROM opportunities.playbook_tasks p
JOIN opportunities.stage_history h ON h.tenant_id = p.tenant_id AND h.id = p.visit_id
WHERE p.tenant_id = $1 AND p.opportunity_id = $2 ORDER BY p.created_at, p.id"""
