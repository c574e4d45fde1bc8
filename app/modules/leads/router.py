"""`/v1/leads` beyond the generated operations: steps, touches, duplicates, conversion, sources."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query as QueryParameter
from fastapi import Response
from starlette.requests import Request

from app.kernel.duplicate_router import duplicate_routes
from app.kernel.duplicates import DuplicateFound
from app.kernel.errors import DuplicateValue, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.listing import query_from_parameters
from app.kernel.record_router import etag, fields_of, json_response, record_router
from app.kernel.records import to_json
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import LeadAlreadyConverted, QueueInUse, TerritoryInUse
from app.modules.leads.models import Lead, Territory
from app.modules.leads.schemas import (
    Conversion,
    ConversionMappingInput,
    ConversionMappingRead,
    ConversionPlan,
    ConversionPreview,
    Disqualification,
    LeadQuery,
    LeadRead,
    Period,
    SourcesReport,
    Touch,
    TouchKind,
)
from app.modules.leads.services.assignment.pulling import pull
from app.modules.leads.services.assignment.runs import Runs
from app.modules.leads.services.assignment.settings import QueueService, RuleService, SettingsService
from app.modules.leads.services.assignment.territories import TerritoryService
from app.modules.leads.services.assignment.wire import (
    AssigneeInput,
    AssigneeRead,
    AssignmentRead,
    AssignmentRuleCreate,
    AssignmentRuleRead,
    AssignmentRules,
    AssignmentRuleUpdate,
    AssignmentSettingsInput,
    AssignmentSettingsRead,
    AssignPreview,
    AssignRequest,
    AssignRun,
    LeadQueueCreate,
    LeadQueueRead,
    LeadQueues,
    LeadQueueUpdate,
    Pull,
    PulledLeads,
    Territories,
    TerritoryCreate,
    TerritoryRead,
    TerritoryUpdate,
    columns_of_body,
    queue_read,
    rule_read,
)
from app.modules.leads.services.conversion import Converter
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.mapping import ConversionMappings
from app.modules.leads.services.preview import preview
from app.modules.leads.services.sources import sources

records = record_router(LEAD)
duplicates = duplicate_routes(LEAD, LeadQuery)
router = Router(tags=["leads"])

_STEP = problems(InvalidTransition, LeadAlreadyConverted, StaleVersion, VersionRequired)


@router.post("/v1/leads/{id}/start-working", access="lead:update", response_model=LeadRead, responses=_STEP)
async def start_working_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Take up a lead that is new, nurtured or qualified."""
    return _answer(uow, await LeadService(uow).step(id, "start_working", expected_version=version))


@router.post("/v1/leads/{id}/nurture", access="lead:update", response_model=LeadRead, responses=_STEP)
async def nurture_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Put a lead aside for marketing to keep warm."""
    return _answer(uow, await LeadService(uow).step(id, "nurture", expected_version=version))


@router.post("/v1/leads/{id}/qualify", access="lead:update", response_model=LeadRead, responses=_STEP)
async def qualify_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Say that a lead is worth selling to."""
    return _answer(uow, await LeadService(uow).step(id, "qualify", expected_version=version))


@router.post("/v1/leads/{id}/disqualify", access="lead:update", response_model=LeadRead, responses=_STEP)
async def disqualify_lead(id: UUID, version: IfMatch, why: Disqualification, uow: Uow) -> Response:
    """Say that a lead is not worth more work, and why."""
    row = await LeadService(uow).step(
        id,
        "disqualify",
        expected_version=version,
        disqualified_reason=why.reason,
        disqualified_note=why.note,
    )
    return _answer(uow, row)


@router.post("/v1/leads/{id}/reopen", access="lead:update", response_model=LeadRead, responses=_STEP)
async def reopen_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Work on a disqualified lead again."""
    return _answer(uow, await LeadService(uow).step(id, "reopen", expected_version=version))


@router.post("/v1/leads/{id}/touches", access="lead:update", response_model=LeadRead, responses=_STEP)
async def touch_lead(id: UUID, version: IfMatch, touch: Touch, uow: Uow) -> Response:
    """Note a later touch: it becomes the last one, the first stays."""
    return _answer(uow, await LeadService(uow).touch(id, fields_of(touch), expected_version=version))


@router.post(
    "/v1/leads/{id}/convert",
    access="lead:convert",
    responses=problems(DuplicateFound, InvalidTransition, StaleVersion, VersionRequired),
)
async def convert_lead(
    id: UUID, version: IfMatch, uow: Uow, plan: ConversionPlan | None = None
) -> Conversion:
    """Turn a lead into an account, a contact and, if asked, an opportunity. Again, it answers the same."""
    return await Converter(uow).convert(id, plan or ConversionPlan(), expected_version=version)


@router.post(
    "/v1/leads/{id}/convert/preview",
    access="lead:convert",
    responses=problems(InvalidTransition, LeadAlreadyConverted),
)
async def preview_lead_conversion(
    id: UUID, uow: Uow, plan: ConversionPlan | None = None
) -> ConversionPreview:
    """Show what a conversion would make, match and fill; nothing is written."""
    return await preview(uow, id, plan or ConversionPlan())


@router.get("/v1/leads/sources", access="lead:read", response_model=SourcesReport, open_query=True)
async def get_lead_sources(
    request: Request,
    uow: Uow,
    period: Annotated[
        Period, QueryParameter(description="Quarters and years are the tenant's fiscal ones.")
    ] = "all",
    touch: Annotated[TouchKind, QueryParameter(description="By the first or the last touch.")] = "first",
) -> SourcesReport:
    """Leads, qualified, converted and won amounts per source and period. Any field filters, as in the list."""
    own = {"period", "touch"}
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in own]
    return await sources(uow, period, touch, query_from_parameters(given))


@router.get("/v1/lead-conversion-mapping", access="lead:read")
async def get_lead_conversion_mapping(uow: Uow, response: Response) -> ConversionMappingRead:
    """Where fields of a lead go when it is converted: what is set, and equal keys for the rest."""
    found = await ConversionMappings(uow).read()
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/v1/lead-conversion-mapping", access="lead_conversion_mapping:manage")
async def set_lead_conversion_mapping(
    body: ConversionMappingInput, version: IfMatch, uow: Uow, response: Response
) -> ConversionMappingRead:
    """Set the whole mapping. The version is 0 while nothing has been set."""
    found = await ConversionMappings(uow).replace(body, expected_version=version)
    response.headers["ETag"] = etag(found.version)
    return found


# -- assignment ----------------------------------------------------------------------------------------------


@router.get("/v1/lead-assignment", access="lead_assignment:read")
async def get_lead_assignment(uow: Uow, response: Response) -> AssignmentSettingsRead:
    """Whether leads that programs and imports make without an owner get one by rules."""
    row = await SettingsService(uow).read()
    response.headers["ETag"] = etag(row.version if row else 0)
    return AssignmentSettingsRead(active=bool(row and row.active), version=row.version if row else 0)


@router.put("/v1/lead-assignment", access="lead_assignment:manage")
async def set_lead_assignment(
    body: AssignmentSettingsInput, version: IfMatch, uow: Uow, response: Response
) -> AssignmentSettingsRead:
    """Switch assignment on or off. The version is 0 while nothing has been set."""
    row = await SettingsService(uow).replace(active=body.active, expected_version=version)
    response.headers["ETag"] = etag(row.version)
    return AssignmentSettingsRead(active=row.active, version=row.version)


@router.get("/v1/lead-assignees/{id}", access="lead_assignment:read")
async def get_lead_assignee(id: UUID, uow: Uow, response: Response) -> AssigneeRead:
    """What a member takes of leads; `id` is the member's."""
    found = await SettingsService(uow).assignee(id)
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/v1/lead-assignees/{id}", access="lead_assignment:manage")
async def set_lead_assignee(
    id: UUID, body: AssigneeInput, version: IfMatch, uow: Uow, response: Response
) -> AssigneeRead:
    """Say what a member takes of leads. The version is 0 while nothing has been set."""
    found = await SettingsService(uow).set_assignee(id, fields_of(body), expected_version=version)
    response.headers["ETag"] = etag(found.version)
    return found


@router.get("/v1/lead-assignment-rules", access="lead_assignment:read")
async def list_lead_assignment_rules(uow: Uow) -> AssignmentRules:
    """All rules in the order in which they are asked."""
    return AssignmentRules(data=[rule_read(row) for row in await RuleService(uow).list()])


@router.post(
    "/v1/lead-assignment-rules",
    access="lead_assignment:manage",
    status_code=201,
    responses=problems(DuplicateValue),
)
async def create_lead_assignment_rule(
    body: AssignmentRuleCreate, uow: Uow, response: Response
) -> AssignmentRuleRead:
    """Say which leads go where."""
    row = await RuleService(uow).create(columns_of_body(body))
    response.headers["ETag"] = etag(row.version)
    return rule_read(row)


@router.get("/v1/lead-assignment-rules/{id}", access="lead_assignment:read")
async def get_lead_assignment_rule(id: UUID, uow: Uow, response: Response) -> AssignmentRuleRead:
    """One rule."""
    row = await RuleService(uow).get(id)
    response.headers["ETag"] = etag(row.version)
    return rule_read(row)


@router.patch(
    "/v1/lead-assignment-rules/{id}", access="lead_assignment:manage", responses=problems(DuplicateValue)
)
async def update_lead_assignment_rule(
    id: UUID, body: AssignmentRuleUpdate, version: IfMatch, uow: Uow, response: Response
) -> AssignmentRuleRead:
    """Change a rule; deadlines that it set stay."""
    changes = columns_of_body(body, nullable=frozenset({"target_id"}))
    row = await RuleService(uow).update(id, changes, expected_version=version)
    response.headers["ETag"] = etag(row.version)
    return rule_read(row)


@router.delete("/v1/lead-assignment-rules/{id}", access="lead_assignment:manage", status_code=204)
async def delete_lead_assignment_rule(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a rule; what it decided stays in the log."""
    await RuleService(uow).delete(id, expected_version=version)


@router.get("/v1/lead-queues", access="lead_assignment:read")
async def list_lead_queues(uow: Uow) -> LeadQueues:
    """All queues, the default first."""
    service = QueueService(uow)
    waiting = await service.waiting()
    return LeadQueues(data=[queue_read(row, waiting.get(row.id, 0)) for row in await service.list()])


@router.post(
    "/v1/lead-queues", access="lead_assignment:manage", status_code=201, responses=problems(DuplicateValue)
)
async def create_lead_queue(body: LeadQueueCreate, uow: Uow, response: Response) -> LeadQueueRead:
    """Make a queue."""
    row = await QueueService(uow).create(columns_of_body(body))
    response.headers["ETag"] = etag(row.version)
    return queue_read(row, 0)


@router.get("/v1/lead-queues/{id}", access="lead_assignment:read")
async def get_lead_queue(id: UUID, uow: Uow, response: Response) -> LeadQueueRead:
    """One queue."""
    service = QueueService(uow)
    row = await service.get(id)
    response.headers["ETag"] = etag(row.version)
    return queue_read(row, (await service.waiting()).get(id, 0))


@router.patch("/v1/lead-queues/{id}", access="lead_assignment:manage", responses=problems(DuplicateValue))
async def update_lead_queue(
    id: UUID, body: LeadQueueUpdate, version: IfMatch, uow: Uow, response: Response
) -> LeadQueueRead:
    """Change a queue; what waits in it stays."""
    service = QueueService(uow)
    changes = columns_of_body(body, nullable=frozenset({"team_id"}))
    row = await service.update(id, changes, expected_version=version)
    response.headers["ETag"] = etag(row.version)
    return queue_read(row, (await service.waiting()).get(id, 0))


@router.delete(
    "/v1/lead-queues/{id}", access="lead_assignment:manage", status_code=204, responses=problems(QueueInUse)
)
async def delete_lead_queue(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete an empty queue that no rule fills."""
    await QueueService(uow).delete(id, expected_version=version)


@router.post("/v1/lead-queues/{id}/pull", access="lead_queue:pull", response_model=PulledLeads)
async def pull_lead_queue(id: UUID, uow: Uow, body: Pull | None = None) -> Response:
    """Take the leads that waited longest; they are yours. An empty answer: nothing waits."""
    hidden = uow.actor.hidden("lead")
    rows = await pull(uow, id, (body or Pull()).count)
    return json_response(to_json({"data": [LEAD.render(row, hidden) for row in rows]}))


@router.get("/v1/territories", access="lead_assignment:read")
async def list_territories(uow: Uow) -> Territories:
    """All territories by name; `parent_id` makes the tree."""
    return Territories(data=[_territory(row) for row in await TerritoryService(uow).list()])


@router.post(
    "/v1/territories", access="lead_assignment:manage", status_code=201, responses=problems(DuplicateValue)
)
async def create_territory(body: TerritoryCreate, uow: Uow, response: Response) -> TerritoryRead:
    """Say who works which part of the market."""
    row = await TerritoryService(uow).create(columns_of_body(body))
    response.headers["ETag"] = etag(row.version)
    return _territory(row)


@router.get("/v1/territories/{id}", access="lead_assignment:read")
async def get_territory(id: UUID, uow: Uow, response: Response) -> TerritoryRead:
    """One territory."""
    row = await TerritoryService(uow).get(id)
    response.headers["ETag"] = etag(row.version)
    return _territory(row)


@router.patch("/v1/territories/{id}", access="lead_assignment:manage", responses=problems(DuplicateValue))
async def update_territory(
    id: UUID, body: TerritoryUpdate, version: IfMatch, uow: Uow, response: Response
) -> TerritoryRead:
    """Change a territory, or move it in the tree."""
    changes = columns_of_body(body, nullable=frozenset({"parent_id"}))
    row = await TerritoryService(uow).update(id, changes, expected_version=version)
    response.headers["ETag"] = etag(row.version)
    return _territory(row)


@router.delete(
    "/v1/territories/{id}",
    access="lead_assignment:manage",
    status_code=204,
    responses=problems(TerritoryInUse),
)
async def delete_territory(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a territory that has none below it."""
    await TerritoryService(uow).delete(id, expected_version=version)


@router.post(
    "/v1/leads/assign",
    access="lead:assign",
    response_model=AssignRun,
    responses={202: {"model": AssignRun, "description": "More than a hundred: a job does it."}},
)
async def assign_leads(body: AssignRequest, uow: Uow, response: Response) -> AssignRun:
    """Give leads to owners by the rules. Those that have an owner stay with them unless you say `reassign`."""
    run = await Runs(uow).start(body)
    if run.job_id is not None:
        response.status_code = 202
        response.headers["Location"] = f"/v1/jobs/{run.job_id}"
    return run


@router.post("/v1/leads/assign/preview", access="lead:assign")
async def preview_lead_assignment(body: AssignRequest, uow: Uow) -> AssignPreview:
    """Show which rule would give which lead to whom, and why; nothing is written."""
    return await Runs(uow).preview(body)


@router.get("/v1/leads/{id}/assignments", access="lead:read")
async def list_lead_assignments(id: UUID, uow: Uow) -> list[AssignmentRead]:
    """How a lead came to its owners: rule, strategy, candidates and reason of each decision, newest first."""
    return await Runs(uow).history(id)


def _territory(row: Territory) -> TerritoryRead:
    return TerritoryRead.model_validate({name: getattr(row, name) for name in TerritoryRead.model_fields})


def _answer(uow: UnitOfWork, row: Lead) -> Response:
    return Response(
        LEAD.dump(row, uow.actor.hidden("lead")),
        media_type="application/json",
        headers={"ETag": etag(row.version)},
    )
