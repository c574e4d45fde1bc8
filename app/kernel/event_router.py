"""HTTP for events, webhooks and the audit log, and all that these register."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, Depends, Header, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from app.kernel.access import OPEN_TENANT_STATES, Actor
from app.kernel.audit import audit_page, seal_status
from app.kernel.dead_letters import DeadLetter, DeadLetters
from app.kernel.errors import InvalidCursor, NotFound, problems
from app.kernel.event_feed import description_of, event_schemas, event_types, events_page
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import json_response, tag
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.schemas import HistoryEntry, Output, Page
from app.kernel.stream import EventStream, parse_position
from app.kernel.webhooks.endpoints import Endpoints, TooManyEndpoints, WebhookDisabledAlready
from app.kernel.webhooks.schemas import (
    PingAnswer,
    ReplayAnswer,
    ReplayRequest,
    RotatedSecret,
    SecretRotation,
    WebhookDeliveryRead,
    WebhookEndpointCreate,
    WebhookEndpointCreated,
    WebhookEndpointRead,
    WebhookEndpointUpdate,
)

router = Router(prefix="/v1", tags=["events"])


async def _paging(limit: Limit = 50, cursor: Cursor = None) -> tuple[int, str | None]:
    """Declared for endpoints that take the query as it stands."""
    return limit, cursor


class CloudEvent(Output):
    """CloudEvents 1.0, structured JSON; `data` follows the schema at `dataschema`."""

    specversion: Literal["1.0"]
    id: UUID
    source: str
    type: str
    subject: str = Field(description="`object/record id`.")
    time: datetime
    datacontenttype: Literal["application/json"]
    dataschema: str
    actorkind: str
    actorid: UUID
    requestid: str
    data: dict[str, Any]


class EventPage(Output):
    """A stretch of the feed. `next_cursor` is always there: keep it, and ask with it for what comes later."""

    data: list[CloudEvent]
    next_cursor: str
    has_more: bool


class EventTypeRead(Output):
    """One kind of event that this product publishes."""

    type: str
    object: str
    description: str
    json_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of `data`.")


class AuditEntry(HistoryEntry):
    """One change to one record."""

    object: str
    record_id: UUID


class AuditStatus(Output):
    """How far the log is sealed by its hash chain and signed."""

    sealed: int = Field(description="Entries in the chain.")
    head: str | None = Field(description="Hash of the newest sealed entry, hexadecimal.")
    waiting: int = Field(description="Entries that will be sealed next; counted to 10,000.")
    signed: int = Field(description="Entries under the newest signed checkpoint.")
    signed_at: datetime | None


# -- events --------------------------------------------------------------------------------------------------


@router.get("/events", access="event:read", response_model=EventPage)
async def list_events(
    uow: Uow,
    limit: Limit = 50,
    cursor: Cursor = None,
    type_pattern: Annotated[
        str | None, Query(alias="type", max_length=200, description="A type, or with `*`: `leads.*`.")
    ] = None,
    object_name: Annotated[str | None, Query(alias="object", max_length=100)] = None,
    record_id: UUID | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Only events from then on.")] = None,
) -> Response:
    """What happened in the last 30 days, oldest first. Read on from any `next_cursor`: nothing is ever skipped.

    Events of records that you may not all read are left out, and so are fields hidden from you.
    """
    return json_response(
        await events_page(
            uow,
            limit=min(limit, 200),
            cursor=cursor,
            type_pattern=type_pattern,
            object_name=object_name,
            record_id=record_id,
            since=since,
        )
    )


@router.get("/events/dead-letters", access="event:manage")
async def list_dead_letters(uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> Page[DeadLetter]:
    """Events that some reaction failed on for good, newest first, with what went wrong."""
    return await DeadLetters(uow).page(limit=limit, cursor=cursor)


@router.post("/events/dead-letters/{id}/retry", access="event:manage", status_code=202)
async def retry_dead_letter(id: UUID, uow: Uow) -> DeadLetter:
    """Hand a dead letter out again; reactions that had worked are not repeated."""
    return await DeadLetters(uow).retry(id)


@router.get("/event-types", access="signed_in")
async def list_event_types(kernel: KernelDep) -> list[EventTypeRead]:
    """Every event type with the JSON Schema of its data."""
    schemas = event_schemas(kernel.registry)
    return [
        EventTypeRead(
            type=name,
            object=kind.object,
            description=description_of(kind),
            json_schema=schemas[name],
        )
        for name, kind in event_types(kernel.registry).items()
    ]


@router.get("/event-types/{event_type}", access="signed_in", response_model=dict[str, Any])
async def get_event_type(event_type: str, kernel: KernelDep) -> dict[str, Any]:
    """The JSON Schema of one event type's data: what `dataschema` points to."""
    found = event_schemas(kernel.registry).get(event_type)
    if found is None:
        raise NotFound
    return dict(found)


@router.get(
    "/stream",
    access="signed_in",
    own_transaction=True,
    response_class=EventStream,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}}
    | problems(InvalidCursor),
)
async def stream_events(
    request: Request,
    actor: CurrentActor,
    kernel: KernelDep,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> EventStream:
    """Changes as they happen, of records that you may read: which record and which fields, not their values.

    `event: reset` says that too much was missed to catch up with; read everything again.
    """
    headers = request.headers
    authorization, cookies = headers.get("authorization"), headers.get("cookie")

    async def still() -> Actor:
        found: Actor = await kernel.authenticator.authenticate(authorization, cookies)
        if found.tenant.status not in OPEN_TENANT_STATES:
            raise NotFound
        return found

    return EventStream(kernel, actor, last=parse_position(last_event_id), still=still)


# -- webhooks ------------------------------------------------------------------------------------------------

MANAGE = "webhook:manage"


@router.get("/webhook-endpoints", access=MANAGE)
async def list_webhook_endpoints(uow: Uow) -> Page[WebhookEndpointRead]:
    """All endpoints of the company; there are at most 100."""
    return Page(
        data=await Endpoints(uow).all(), next_cursor=None, has_more=False, total=None, total_is_estimate=None
    )


@router.post(
    "/webhook-endpoints",
    access=MANAGE,
    shown_once=True,
    status_code=201,
    feature="webhooks",
    responses=problems(TooManyEndpoints),
)
async def create_webhook_endpoint(
    body: Annotated[WebhookEndpointCreate, Body()],
    uow: Uow,
    response: Response,
) -> WebhookEndpointCreated:
    """Register a receiver. The answer shows its secret, this once."""
    made = await Endpoints(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"/v1/webhook-endpoints/{made.id}"
    return made


@router.get("/webhook-endpoints/{id}", access=MANAGE)
async def get_webhook_endpoint(id: UUID, uow: Uow, response: Response) -> WebhookEndpointRead:
    """One endpoint, without its secret."""
    found = await Endpoints(uow).get(id)
    tag(response, found)
    return found


@router.patch("/webhook-endpoints/{id}", access=MANAGE)
async def update_webhook_endpoint(
    id: UUID, body: Annotated[WebhookEndpointUpdate, Body()], uow: Uow, version: IfMatch, response: Response
) -> WebhookEndpointRead:
    """Change an endpoint. Off cancels what is under way; on sends what comes from then on."""
    changed = await Endpoints(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete("/webhook-endpoints/{id}", access=MANAGE, status_code=204)
async def delete_webhook_endpoint(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Delete an endpoint; what is under way to it is cancelled."""
    await Endpoints(uow).delete(id, expected_version=version)


@router.post("/webhook-endpoints/{id}/rotate-secret", access=MANAGE, shown_once=True)
async def rotate_webhook_secret(id: UUID, body: Annotated[SecretRotation, Body()], uow: Uow) -> RotatedSecret:
    """Make a new secret, shown this once. Messages carry both signatures until the old secret expires."""
    return await Endpoints(uow).rotate_secret(id, body.overlap_hours)


@router.post(
    "/webhook-endpoints/{id}/ping",
    access=MANAGE,
    status_code=202,
    responses=problems(WebhookDisabledAlready),
)
async def ping_webhook_endpoint(id: UUID, uow: Uow) -> PingAnswer:
    """Send a test message of type `kernel.webhook.pinged.v1`; its delivery shows what came back."""
    return PingAnswer(delivery_id=await Endpoints(uow).ping(id))


@router.post(
    "/webhook-endpoints/{id}/replay",
    access=MANAGE,
    status_code=202,
    responses=problems(WebhookDisabledAlready),
)
async def replay_webhook_events(id: UUID, body: Annotated[ReplayRequest, Body()], uow: Uow) -> ReplayAnswer:
    """Send events again, by id or by time range, under their own `webhook-id`s: receivers can tell repetitions."""
    return ReplayAnswer(queued=await Endpoints(uow).replay(id, body))


@router.get("/webhook-endpoints/{id}/deliveries", access=MANAGE)
async def list_webhook_deliveries(
    id: UUID,
    uow: Uow,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Literal["pending", "succeeded", "failed", "cancelled"] | None = None,
    event_id: UUID | None = None,
) -> Page[WebhookDeliveryRead]:
    """What was or will be sent to an endpoint, newest first, with every attempt's status, latency and answer."""
    found = await Endpoints(uow).deliveries(id, limit=limit, cursor=cursor, state=state, event_id=event_id)
    return Page[WebhookDeliveryRead].model_validate(found)


# -- audit ---------------------------------------------------------------------------------------------------


@router.get(
    "/audit",
    access="audit:read",
    open_query=True,
    response_model=Page[AuditEntry],
    dependencies=[Depends(_paging)],
)
async def list_audit_entries(request: Request, uow: Uow) -> Response:
    """Who did what, newest first. Filter by `at`, `object`, `record_id`, `actor_id`, `actor_kind`, `action`,
    `request_id`, with the operators of every list: `at[gte]=-7d&object=lead&action[in]=created,deleted`.
    """
    return json_response(await audit_page(uow, request.query_params))


@router.get("/audit/status", access="audit:read")
async def get_audit_status(uow: Uow) -> AuditStatus:
    """How far the log is sealed and signed. Proof is `rapport audit verify`, which recomputes the whole chain."""
    return AuditStatus(**await seal_status(uow))
