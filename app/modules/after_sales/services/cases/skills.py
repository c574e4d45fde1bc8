"""What whoever takes a case must be able to do: as somebody said, else by the company's rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.conditions import Prepared, check_tree, groups_of, holding
from app.kernel.errors import Conflict, require_version
from app.kernel.locks import lock_name
from app.kernel.memory import STALE_SECONDS, Remembered
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.models.case_work import CaseSkillRule
from app.modules.after_sales.schemas.skills import CaseSkillRuleCreate, CaseSkillRuleUpdate

MOST_RULES: Final = 200
RESKILL: Final = "after_sales.reskill"
AFTER: Final = timedelta(seconds=2 * STALE_SECONDS)
"""How long after a change of rules waiting cases go by the new ones: nobody opens one by the former ones by then."""


class TooManySkillRules(Conflict):
    """Carries `limit`."""

    code = "too_many_skill_rules"
    title = "There are as many rules as a company may have"


def combined(asked: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What several lists ask for together: of each skill the highest level, required if one of them requires it."""
    found: dict[str, dict[str, Any]] = {}
    for skills in asked:
        for skill in skills:
            name = skill["skill"].casefold()
            known = found.setdefault(name, {"skill": name, "level": 1, "required": False})
            known["level"] = max(known["level"], skill["level"])
            known["required"] = known["required"] or skill["required"]
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True)
class SkillRule:
    """A rule as it is asked of cases: without conditions it holds for all."""

    conditions: Prepared | None
    skills: Sequence[Mapping[str, Any]]


async def rules_in_force(uow: UnitOfWork) -> tuple[SkillRule, ...]:
    """The rules as they are stored just now."""
    rules, record = CaseSkillRule.__table__.c, uow.kernel.registry.records["case"]
    rows = await uow.all(uow.select(CaseSkillRule).where(rules.enabled.is_(True)).order_by(CaseSkillRule.id))
    return tuple(
        SkillRule(
            Prepared.of(record, groups_of(row.conditions, "/conditions")) if row.conditions else None,
            row.skills,
        )
        for row in rows
    )


_RULES: Final[Remembered[tuple[SkillRule, ...]]] = Remembered(
    "after_sales.case_skill_rules", rules_in_force, empty=()
)


async def required(uow: UnitOfWork, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a case, by its columns, asks for. A company without rules is asked once in a while, not each time."""
    if case.get("skills") is not None:
        return combined([case["skills"]])
    rules = await uow.kernel.memory.of(uow, _RULES)
    [found] = await asked_of(uow, rules, [case])
    return found


async def asked_of(
    uow: UnitOfWork, rules: Sequence[SkillRule], cases: Sequence[Mapping[str, Any]]
) -> list[list[dict[str, Any]]]:
    """What each of these cases, by its columns, asks for by these rules; at most one statement."""
    trees = [rule.conditions for rule in rules if rule.conditions is not None]
    found = []
    for answers in await holding(uow, uow.kernel.registry.records["case"], cases, trees):
        held = iter(answers)
        found.append(combined(rule.skills for rule in rules if rule.conditions is None or next(held)))
    return found


class CaseSkillRuleService:
    """The rules as settings. Cases that wait for an owner go by them soon after a change, by a job."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def list(self) -> list[CaseSkillRule]:
        """All of them by name."""
        return await self._uow.all(
            self._uow.select(CaseSkillRule).order_by(CaseSkillRule.name, CaseSkillRule.id)
        )

    async def get(self, id: UUID) -> CaseSkillRule:
        """Raises: NotFound."""
        return await self._uow.get(CaseSkillRule, id)

    async def create(self, body: CaseSkillRuleCreate) -> CaseSkillRule:
        """Raises: InvalidFilter; TooManySkillRules; DuplicateValue for a name that is taken."""
        await lock_name(self._uow, "after-sales-skill-rules")
        if len(await self.list()) >= MOST_RULES:
            raise TooManySkillRules(limit=MOST_RULES)
        values = body.model_dump(mode="json", by_alias=True)
        await self._told(values)
        self._reskill()
        return await self._uow.insert(CaseSkillRule, audit="case_skill_rule", **values)

    async def update(self, id: UUID, body: CaseSkillRuleUpdate, *, expected_version: int) -> CaseSkillRule:
        """Raises: NotFound; StaleVersion; Invalid; DuplicateValue."""
        row = await self._uow.get(CaseSkillRule, id, lock="update")
        require_version(row.version, expected=expected_version)
        changes = body.model_dump(mode="json", by_alias=True, include=body.model_fields_set)
        refuse_nulls(changes, {"conditions"})
        await self._told(changes)
        changed = await self._uow.update(row, audit="case_skill_rule", **changes)
        if changed.version != row.version:
            self._reskill()
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion."""
        row = await self._uow.get(CaseSkillRule, id, lock="update")
        require_version(row.version, expected=expected_version)
        self._uow.kernel.memory.forget(_RULES, self._uow.tenant_id)
        await self._uow.delete(row, audit="case_skill_rule")
        self._reskill()

    def _reskill(self) -> None:
        self._uow.enqueue(RESKILL, {}, run_at=self._uow.now + AFTER)

    async def _told(self, values: Mapping[str, Any]) -> None:
        self._uow.kernel.memory.forget(_RULES, self._uow.tenant_id)
        if values.get("conditions") is not None:
            record = self._uow.kernel.registry.records["case"]
            await check_tree(self._uow, record, groups_of(values["conditions"], "/conditions"))
