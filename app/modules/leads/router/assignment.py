"""How leads come to their owners: rules, queues, territories, runs."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, problems
from app.kernel.record_router import etag, json_response, tag
from app.kernel.records import to_json
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.validation import fields_of
from app.modules.leads.interface import QueueInUse, TerritoryInUse
from app.modules.leads.models import Territory
from app.modules.leads.schemas.assignment import (
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
from app.modules.leads.services.assignment.pulling import pull
from app.modules.leads.services.assignment.runs import Runs
from app.modules.leads.services.assignment.settings import QueueService, RuleService, SettingsService
from app.modules.leads.services.assignment.territories import TerritoryService
from app.modules.leads.services.leads import LEAD

router = Router(tags=["leads"])


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
    tag(response, row)
    return AssignmentSettingsRead(active=row.active, version=row.version)


@router.get("/v1/lead-assignees/{id}", access="lead_assignment:read")
async def get_lead_assignee(id: UUID, uow: Uow, response: Response) -> AssigneeRead:
    """What a member takes of leads; `id` is the member's."""
    found = await SettingsService(uow).assignee(id)
    tag(response, found)
    return found


@router.put("/v1/lead-assignees/{id}", access="lead_assignment:manage")
async def set_lead_assignee(
    id: UUID, body: AssigneeInput, version: IfMatch, uow: Uow, response: Response
) -> AssigneeRead:
    """Say what a member takes of leads. The version is 0 while nothing has been set."""
    found = await SettingsService(uow).set_assignee(id, fields_of(body), expected_version=version)
    tag(response, found)
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
    tag(response, row)
    return rule_read(row)


@router.get("/v1/lead-assignment-rules/{id}", access="lead_assignment:read")
async def get_lead_assignment_rule(id: UUID, uow: Uow, response: Response) -> AssignmentRuleRead:
    """One rule."""
    row = await RuleService(uow).get(id)
    tag(response, row)
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
    tag(response, row)
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
    tag(response, row)
    return queue_read(row, 0)


@router.get("/v1/lead-queues/{id}", access="lead_assignment:read")
async def get_lead_queue(id: UUID, uow: Uow, response: Response) -> LeadQueueRead:
    """One queue."""
    service = QueueService(uow)
    row = await service.get(id)
    tag(response, row)
    return queue_read(row, (await service.waiting()).get(id, 0))


@router.patch("/v1/lead-queues/{id}", access="lead_assignment:manage", responses=problems(DuplicateValue))
async def update_lead_queue(
    id: UUID, body: LeadQueueUpdate, version: IfMatch, uow: Uow, response: Response
) -> LeadQueueRead:
    """Change a queue; what waits in it stays."""
    service = QueueService(uow)
    changes = columns_of_body(body, nullable=frozenset({"team_id"}))
    row = await service.update(id, changes, expected_version=version)
    tag(response, row)
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
    tag(response, row)
    return _territory(row)


@router.get("/v1/territories/{id}", access="lead_assignment:read")
async def get_territory(id: UUID, uow: Uow, response: Response) -> TerritoryRead:
    """One territory."""
    row = await TerritoryService(uow).get(id)
    tag(response, row)
    return _territory(row)


@router.patch("/v1/territories/{id}", access="lead_assignment:manage", responses=problems(DuplicateValue))
async def update_territory(
    id: UUID, body: TerritoryUpdate, version: IfMatch, uow: Uow, response: Response
) -> TerritoryRead:
    """Change a territory, or move it in the tree."""
    changes = columns_of_body(body, nullable=frozenset({"parent_id"}))
    row = await TerritoryService(uow).update(id, changes, expected_version=version)
    tag(response, row)
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
