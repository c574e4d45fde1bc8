"""The rules by which cases ask for skills, as settings."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.models.case_work import CaseSkillRule
from app.modules.after_sales.schemas.skills import (
    CaseSkillRuleCreate,
    CaseSkillRuleRead,
    CaseSkillRules,
    CaseSkillRuleUpdate,
)
from app.modules.after_sales.services.cases.skills import CaseSkillRuleService, TooManySkillRules

router = Router(prefix="/v1/case-skill-rules", tags=["service desk"])
READ, CONFIGURE = "case:read", "case:configure"
_CHANGE = problems(DuplicateValue, StaleVersion, VersionRequired)


@router.get("", access=READ)
async def list_case_skill_rules(uow: Uow) -> CaseSkillRules:
    """The rules by which cases ask for skills of whoever takes them."""
    return CaseSkillRules(data=[_read(row) for row in await CaseSkillRuleService(uow).list()])


@router.post("", access=CONFIGURE, status_code=201, responses=problems(DuplicateValue, TooManySkillRules))
async def create_case_skill_rule(
    body: CaseSkillRuleCreate, uow: Uow, response: Response
) -> CaseSkillRuleRead:
    """Ask for skills, in new cases and, soon, in those that wait for an owner. What somebody said goes first."""
    row = await CaseSkillRuleService(uow).create(body)
    response.headers["Location"] = f"/v1/case-skill-rules/{row.id}"
    tag(response, row)
    return _read(row)


@router.get("/{id}", access=READ)
async def get_case_skill_rule(id: UUID, uow: Uow, response: Response) -> CaseSkillRuleRead:
    """One rule."""
    row = await CaseSkillRuleService(uow).get(id)
    tag(response, row)
    return _read(row)


@router.patch("/{id}", access=CONFIGURE, responses=_CHANGE)
async def update_case_skill_rule(
    id: UUID, body: CaseSkillRuleUpdate, version: IfMatch, uow: Uow, response: Response
) -> CaseSkillRuleRead:
    """Change a rule."""
    row = await CaseSkillRuleService(uow).update(id, body, expected_version=version)
    tag(response, row)
    return _read(row)


@router.delete("/{id}", access=CONFIGURE, status_code=204, responses=problems(StaleVersion, VersionRequired))
async def delete_case_skill_rule(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Ask for it no more."""
    await CaseSkillRuleService(uow).delete(id, expected_version=version)


def _read(row: CaseSkillRule) -> CaseSkillRuleRead:
    return CaseSkillRuleRead.model_validate(
        {name: row.__dict__[name] for name in CaseSkillRuleRead.model_fields}
    )
