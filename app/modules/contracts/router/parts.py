"""What a contract is made of: parties, lines, payment plan, clauses, each replaced whole; and the clause library."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.contracts.interface import ClauseTemplateInUse, ContractLocked
from app.modules.contracts.schemas.parts import (
    Clauses,
    ClausesInput,
    ContractLines,
    LinesInput,
    Parties,
    PartiesInput,
    PlanInput,
    PlanRead,
)
from app.modules.contracts.schemas.texts import (
    ClauseTemplateCreate,
    ClauseTemplateRead,
    ClauseTemplates,
    ClauseTemplateUpdate,
    ClauseTemplateVersions,
    MergeField,
    MergeFields,
)
from app.modules.contracts.services.clause_templates import ClauseTemplateService
from app.modules.contracts.services.clauses import ClauseService
from app.modules.contracts.services.merge_fields import FIELDS
from app.modules.contracts.services.parts import PartService

router = Router(tags=["contracts"])
templates = Router(tags=["contracts"])

READ, UPDATE, MANAGE = "contract:read", "contract:update", "contract_clause:manage"
OF = "/v1/contracts/{id}"
LIBRARY = "/v1/contract-clause-templates"
_SET = problems(ContractLocked, StaleVersion, VersionRequired)
_CHANGE = problems(StaleVersion, VersionRequired)


@router.get(f"{OF}/parties", access=READ)
async def list_contract_parties(id: UUID, uow: Uow) -> Parties:
    """Who is bound by the contract, vouches for it or signs it."""
    return await PartService(uow).parties(id)


@router.put(f"{OF}/parties", access=UPDATE, responses=_SET)
async def set_contract_parties(
    id: UUID, body: PartiesInput, version: IfMatch, uow: Uow, response: Response
) -> Parties:
    """Replace the parties of a draft. The version is the contract's."""
    parts = PartService(uow)
    row = await parts.set_parties(id, body.parties, expected_version=version)
    tag(response, row)
    return await parts.parties(id)


@router.get(f"{OF}/lines", access=READ)
async def list_contract_lines(id: UUID, uow: Uow) -> ContractLines:
    """What is contracted."""
    return await PartService(uow).lines(id)


@router.put(f"{OF}/lines", access=UPDATE, responses=_SET)
async def set_contract_lines(
    id: UUID, body: LinesInput, version: IfMatch, uow: Uow, response: Response
) -> ContractLines:
    """Replace a draft's lines; its value is entered, and need not be their sum. The version is the contract's."""
    parts = PartService(uow)
    row = await parts.set_lines(id, body.lines, expected_version=version)
    tag(response, row)
    return await parts.lines(id)


@router.get(f"{OF}/plan", access=READ)
async def get_contract_plan(id: UUID, uow: Uow) -> PlanRead:
    """The instalments, and how each of them stands."""
    return await PartService(uow).plan(id)


@router.put(f"{OF}/plan", access=UPDATE, responses=_SET)
async def set_contract_plan(
    id: UUID, body: PlanInput, version: IfMatch, uow: Uow, response: Response
) -> PlanRead:
    """Replace a draft's payment plan; it comes to the contract's value exactly. The version is the contract's."""
    parts = PartService(uow)
    row = await parts.set_plan(id, body.items, expected_version=version)
    tag(response, row)
    return await parts.plan(id)


@router.get(f"{OF}/clauses", access=READ)
async def list_contract_clauses(id: UUID, uow: Uow) -> Clauses:
    """The contract's texts, with their merge fields filled in. Whoever shows them escapes them."""
    return await ClauseService(uow).all(id)


@router.put(f"{OF}/clauses", access=UPDATE, responses=_SET)
async def set_contract_clauses(
    id: UUID, body: ClausesInput, version: IfMatch, uow: Uow, response: Response
) -> Clauses:
    """Replace a draft's clauses; those of the library are copied as they are. The version is the contract's."""
    clauses = ClauseService(uow)
    row = await clauses.set(id, body.clauses, expected_version=version)
    tag(response, row)
    return await clauses.all(id)


# -- the library ---------------------------------------------------------------------------------------------


@templates.get("/v1/contract-merge-fields", access=READ)
async def list_contract_merge_fields() -> MergeFields:
    """The fields that clauses may hold, as `{{account.name}}`."""
    return MergeFields(
        data=[MergeField(name=name, label_en=en, label_zh=zh) for name, (en, zh) in FIELDS.items()]
    )


@templates.get(LIBRARY, access=READ)
async def list_contract_clause_templates(
    uow: Uow, active: Annotated[bool | None, Query(description="Only those in use, or out of it.")] = None
) -> ClauseTemplates:
    """The company's clauses by category, in their current versions."""
    return ClauseTemplates(data=await ClauseTemplateService(uow).all(active=active))


@templates.post(LIBRARY, access=MANAGE, status_code=201, responses=problems(DuplicateValue))
async def create_contract_clause_template(
    body: ClauseTemplateCreate, uow: Uow, response: Response
) -> ClauseTemplateRead:
    """Add a clause to the library."""
    made = await ClauseTemplateService(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"{LIBRARY}/{made.id}"
    return made


@templates.get(f"{LIBRARY}/{{id}}", access=READ)
async def get_contract_clause_template(id: UUID, uow: Uow, response: Response) -> ClauseTemplateRead:
    """One clause of the library, in its current version."""
    found = await ClauseTemplateService(uow).get(id)
    tag(response, found)
    return found


@templates.get(f"{LIBRARY}/{{id}}/versions", access=READ)
async def list_contract_clause_template_versions(id: UUID, uow: Uow) -> ClauseTemplateVersions:
    """All that a clause ever said, newest first."""
    return ClauseTemplateVersions(data=await ClauseTemplateService(uow).versions(id))


@templates.patch(f"{LIBRARY}/{{id}}", access=MANAGE, responses=_CHANGE)
async def update_contract_clause_template(
    id: UUID, body: ClauseTemplateUpdate, version: IfMatch, uow: Uow, response: Response
) -> ClauseTemplateRead:
    """Change a clause; another text makes a new version, and contracts keep what they copied."""
    changed = await ClauseTemplateService(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return changed


@templates.delete(
    f"{LIBRARY}/{{id}}",
    access=MANAGE,
    status_code=204,
    responses=problems(ClauseTemplateInUse, StaleVersion, VersionRequired),
)
async def delete_contract_clause_template(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a clause that no contract was written with."""
    await ClauseTemplateService(uow).delete(id, expected_version=version)
