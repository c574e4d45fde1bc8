"""The service desk: queues, agents and their presence, and taking the next case."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, problems
from app.kernel.record_router import etag, json_response, tag
from app.kernel.records import to_json
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.interface import CaseChannel
from app.modules.after_sales.schemas.desk import (
    AgentInput,
    AgentList,
    AgentRead,
    DeskSettingsInput,
    DeskSettingsRead,
    PresenceInput,
    QueueCreate,
    QueueList,
    QueueRead,
    QueueUpdate,
    Taken,
    columns_of_body,
    queue_read,
)
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.after_sales.services.desk.agents import AgentAtCapacity, AgentNotOnline, AgentService
from app.modules.after_sales.services.desk.queues import (
    DeskSettingsService,
    QueueInUse,
    QueueService,
    TooManyQueues,
)

router = Router(tags=["service desk"])
_TAKING = problems(AgentNotOnline, AgentAtCapacity)


@router.get("/v1/queues", access="queue:read")
async def list_queues(uow: Uow) -> QueueList:
    """All queues by name, and how many cases wait in each."""
    service = QueueService(uow)
    waiting = await service.waiting()
    return QueueList(data=[queue_read(row, waiting.get(row.id, 0)) for row in await service.list()])


@router.post(
    "/v1/queues",
    access="queue:manage",
    status_code=201,
    responses=problems(DuplicateValue, TooManyQueues),
)
async def create_queue(body: QueueCreate, uow: Uow, response: Response) -> QueueRead:
    """Make a queue of cases."""
    row = await QueueService(uow).create(columns_of_body(body))
    tag(response, row)
    response.headers["Location"] = f"/v1/queues/{row.id}"
    return queue_read(row, 0)


@router.get("/v1/queues/{id}", access="queue:read")
async def get_queue(id: UUID, uow: Uow, response: Response) -> QueueRead:
    """One queue."""
    service = QueueService(uow)
    row = await service.get(id)
    tag(response, row)
    return queue_read(row, (await service.waiting(id)).get(id, 0))


@router.patch("/v1/queues/{id}", access="queue:manage", responses=problems(DuplicateValue))
async def update_queue(
    id: UUID, body: QueueUpdate, version: IfMatch, uow: Uow, response: Response
) -> QueueRead:
    """Change a queue; what waits in it stays."""
    service = QueueService(uow)
    row = await service.update(id, columns_of_body(body), expected_version=version)
    tag(response, row)
    return queue_read(row, (await service.waiting(id)).get(id, 0))


@router.delete("/v1/queues/{id}", access="queue:manage", status_code=204, responses=problems(QueueInUse))
async def delete_queue(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a queue that no case names."""
    await QueueService(uow).delete(id, expected_version=version)


@router.post("/v1/queues/{id}/pull", access="desk:work", response_model=Taken, responses=_TAKING)
async def pull_queue(id: UUID, uow: Uow) -> Response:
    """Take the most urgent and then oldest case of a queue that you work; it is yours. Null: nothing waits."""
    return await _taken(uow, id)


@router.post("/v1/desk/next", access="desk:work", response_model=Taken, responses=_TAKING)
async def take_next_case(uow: Uow) -> Response:
    """Take the most urgent and then oldest case of all queues that you work."""
    return await _taken(uow, None)


async def _taken(uow: Uow, queue_id: UUID | None) -> Response:
    given, capacity = await AgentService(uow).pull(queue_id)
    case = None if given.case is None else CASE.render(given.case, uow.actor.hidden("case"))
    return json_response(to_json({"case": case, "load": given.load, "capacity": capacity}))


@router.post("/v1/desk/presence", access="desk:work")
async def set_presence(body: PresenceInput, uow: Uow) -> AgentRead:
    """Say whether you take cases just now: online, away or offline. Say it again, or you are taken for away.

    Whoever goes offline gives back what routing gave them and they have not begun.
    """
    return await AgentService(uow).appear(body.status)


@router.get("/v1/agents", access="agent:read")
async def list_agents(uow: Uow) -> AgentList:
    """Everybody who was at the desk before: whether they are there, and what they bear."""
    return AgentList(data=await AgentService(uow).all())


@router.get("/v1/agents/{id}", access="agent:read")
async def get_agent(id: UUID, uow: Uow, response: Response) -> AgentRead:
    """A member at the desk; `id` is the member's."""
    found = await AgentService(uow).get(id)
    tag(response, found)
    return found


@router.put("/v1/agents/{id}", access="agent:manage")
async def set_agent(id: UUID, body: AgentInput, version: IfMatch, uow: Uow, response: Response) -> AgentRead:
    """Set somebody's presence and capacity. The version is 0 for somebody who was never at the desk."""
    values = {"status": body.status.value, "capacity": body.capacity}
    found = await AgentService(uow).replace(id, values, expected_version=version)
    tag(response, found)
    return found


@router.get("/v1/desk-settings", access="queue:read")
async def get_desk_settings(uow: Uow, response: Response) -> DeskSettingsRead:
    """What agents can bear, and what cases weigh."""
    return await _settings(uow, response)


@router.put("/v1/desk-settings", access="queue:manage")
async def set_desk_settings(
    body: DeskSettingsInput, version: IfMatch, uow: Uow, response: Response
) -> DeskSettingsRead:
    """Say what agents can bear. The version is 0 while nothing has been set."""
    weights = {channel.value: weight for channel, weight in body.weights.items()}
    await DeskSettingsService(uow).replace(
        body.capacity, weights, body.away_after_minutes, expected_version=version
    )
    return await _settings(uow, response)


async def _settings(uow: Uow, response: Response) -> DeskSettingsRead:
    held, version = await DeskSettingsService(uow).read()
    response.headers["ETag"] = etag(version)
    weights = {CaseChannel(channel): weight for channel, weight in held.weights.items()}
    away = None if held.away_after is None else int(held.away_after.total_seconds()) // 60
    return DeskSettingsRead(version=version, capacity=held.capacity, weights=weights, away_after_minutes=away)
