"""Managing webhook endpoints: secrets, switching on and off, deliveries, replay and ping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import orjson

from app.kernel.errors import Conflict, Invalid, require_version
from app.kernel.event_feed import cloud_event
from app.kernel.event_tables import WebhookDelivery, WebhookEndpoint
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.listing import Bindings
from app.kernel.locks import lock_name
from app.kernel.log_pages import NEWEST_BY_TIME, fetch_page
from app.kernel.outbox import ENDPOINTS
from app.kernel.records import to_json
from app.kernel.uow import UnitOfWork
from app.kernel.webhooks.addresses import check_url
from app.kernel.webhooks.disabling import cancel_pending
from app.kernel.webhooks.schemas import (
    ReplayRequest,
    RotatedSecret,
    WebhookEndpointCreate,
    WebhookEndpointCreated,
    WebhookEndpointRead,
    WebhookEndpointUpdate,
)
from app.kernel.webhooks.sender import secret_context
from app.kernel.webhooks.signing import new_secret

AUDITED = "webhook_endpoint"
MAX_ENDPOINTS = 100
MAX_REPLAY = 10_000


class WebhookDisabledAlready(Conflict):
    code = "webhook_endpoint_disabled"
    title = "The endpoint is switched off; switch it on first"


class TooManyEndpoints(Conflict):
    code = "too_many_webhook_endpoints"
    title = "A company has at most 100 webhook endpoints"


class WebhookPinged(Event):
    """A test message; it is sent to the endpoint that was pinged only."""

    type: ClassVar[str] = "kernel.webhook.pinged.v1"
    object: ClassVar[str] = "webhook_endpoint"


class Endpoints:
    """The endpoints of the tenant at hand. The route has checked `webhook:manage`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def all(self) -> list[WebhookEndpointRead]:
        """All endpoints, oldest first; there are never many."""
        found = await self.uow.all(self.uow.select(WebhookEndpoint).order_by(WebhookEndpoint.id))
        return [_answer(endpoint) for endpoint in found]

    async def get(self, id: UUID) -> WebhookEndpointRead:
        """Raises `NotFound`."""
        return _answer(await self.uow.get(WebhookEndpoint, id))

    async def create(self, body: WebhookEndpointCreate) -> WebhookEndpointCreated:
        """A new endpoint with a secret that is shown this once. Raises `Invalid`, `TooManyEndpoints`."""
        uow = self.uow
        self._check_url(body.url)
        count = await uow.fetchrow(
            "SELECT count(*) AS count FROM kernel.webhook_endpoints WHERE tenant_id = $1 AND deleted_at IS NULL",
            uow.tenant_id,
        )
        if count is not None and count["count"] >= MAX_ENDPOINTS:
            raise TooManyEndpoints
        await lock_name(uow, ENDPOINTS)
        id, secret = new_id(), new_secret()
        made = await uow.insert(
            WebhookEndpoint,
            audit=AUDITED,
            id=id,
            url=body.url,
            event_types=list(dict.fromkeys(body.event_types)),
            description=body.description,
            enabled=body.enabled,
            disabled_reason=None if body.enabled else "by_member",
            disabled_at=None if body.enabled else uow.now,
            secret=self._encrypted(id, secret),
            created_by=uow.actor.member_id,
        )
        return WebhookEndpointCreated(**_answer(made).model_dump(), secret=secret)

    async def update(
        self, id: UUID, body: WebhookEndpointUpdate, *, expected_version: int
    ) -> WebhookEndpointRead:
        """Change an endpoint; switching it on starts with a clean record of failures.

        Raises: `NotFound`, `StaleVersion`, `Invalid`.
        """
        uow = self.uow
        endpoint = await self._locked(id, expected_version)
        changes: dict[str, Any] = body.model_dump(exclude_unset=True)
        if "url" in changes:
            self._check_url(changes["url"])
        if changes.get("enabled", endpoint.enabled) != endpoint.enabled:
            on = changes["enabled"]
            await lock_name(uow, ENDPOINTS)
            changes |= {
                "disabled_reason": None if on else "by_member",
                "disabled_at": None if on else uow.now,
            }
            changes |= {"failing_since": None} if on else {}
            if not on:
                await cancel_pending(uow, id)
        return _answer(await uow.update(endpoint, audit=AUDITED, **changes))

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Delete an endpoint; what is under way to it is cancelled. Raises `NotFound`, `StaleVersion`."""
        endpoint = await self._locked(id, expected_version)
        await cancel_pending(self.uow, id)
        await self.uow.delete(endpoint, audit=AUDITED)

    async def rotate_secret(self, id: UUID, overlap_hours: int) -> RotatedSecret:
        """A new secret; the one in use goes on signing beside it for a while. Raises `NotFound`."""
        uow = self.uow
        endpoint = await uow.get(WebhookEndpoint, id, lock="update")
        secret = new_secret()
        expires = uow.now + timedelta(hours=overlap_hours)
        await uow.update(
            endpoint,
            audit=AUDITED,
            action="secret_rotated",
            secret=self._encrypted(id, secret),
            previous_secret=endpoint.secret,
            previous_secret_expires_at=expires,
        )
        return RotatedSecret(secret=secret, previous_secret_expires_at=expires)

    async def ping(self, id: UUID) -> UUID:
        """Send a test message; the id of its delivery. Raises `NotFound`, `WebhookDisabledAlready`."""
        uow = self.uow
        endpoint = await self._enabled(id)
        message = new_id()
        row = {
            "tenant_id": uow.tenant_id,
            "id": message,
            "type": WebhookPinged.type,
            "object": WebhookPinged.object,
            "record_id": endpoint.id,
            "at": uow.now,
            "actor_kind": uow.actor.kind,
            "actor_id": uow.actor.id,
            "request_id": uow.request_id,
            "data": {"id": endpoint.id},
        }
        made = await uow.insert(
            WebhookDelivery,
            endpoint_id=id,
            event_id=message,
            event_type=WebhookPinged.type,
            payload=orjson.loads(to_json(cloud_event(row))),
            created_at=uow.now,
            next_attempt_at=uow.now,
        )
        return made.id

    async def replay(self, id: UUID, wanted: ReplayRequest) -> int:
        """Send events again, or for the first time, at once; how many. Attempts already made stay on record.

        Raises: `NotFound`, `WebhookDisabledAlready`, `Invalid` for unknown events or more than 10,000.
        """
        uow = self.uow
        await self._enabled(id)
        bind = Bindings(uow.tenant_id, id, uow.now)
        if wanted.event_ids is not None:
            ids = list(dict.fromkeys(wanted.event_ids))
            chosen = f"o.id = ANY({bind(ids)}::uuid[])"
            await self._check_known(ids)
        else:
            chosen = (
                f"o.at >= {bind(wanted.since)} AND o.at <= {bind(wanted.until or uow.now)}"
                " AND EXISTS (SELECT 1 FROM kernel.webhook_endpoints e, unnest(e.event_types) AS p"
                " WHERE e.tenant_id = $1 AND e.id = $2 AND o.type LIKE replace(replace(p, '_', '\\_'), '*', '%'))"
            )
        if wanted.only_unsuccessful:
            chosen += (
                " AND NOT EXISTS (SELECT 1 FROM kernel.webhook_deliveries d WHERE d.tenant_id = $1"
                " AND d.endpoint_id = $2 AND d.event_id = o.id AND d.state = 'succeeded')"
            )
        rows = await uow.fetch(
            "INSERT INTO kernel.webhook_deliveries"
            " (tenant_id, id, endpoint_id, event_id, event_type, created_at, next_attempt_at)"
            " SELECT o.tenant_id, gen_random_uuid(), $2, o.id, o.type, $3, $3 FROM kernel.outbox o"
            f" WHERE o.tenant_id = $1 AND {chosen} ORDER BY o.tx, o.id LIMIT {MAX_REPLAY + 1}"
            " ON CONFLICT (tenant_id, endpoint_id, event_id) DO UPDATE"
            " SET state = 'pending', attempts = 0, next_attempt_at = $3, finished_at = NULL RETURNING true",
            *bind.values,
        )
        if len(rows) > MAX_REPLAY:
            raise Invalid.at(
                "/since", "too_many", f"That is more than {MAX_REPLAY} events; take a shorter range."
            )
        uow.record_audit(AUDITED, id, "replayed", {"deliveries": [None, len(rows)]})
        return len(rows)

    async def deliveries(
        self, id: UUID, *, limit: int, cursor: str | None, state: str | None, event_id: UUID | None
    ) -> dict[str, Any]:
        """A page of deliveries with their attempts, newest first. Raises `NotFound`, `InvalidCursor`."""
        uow = self.uow
        await uow.get(WebhookEndpoint, id)
        bind = Bindings(uow.tenant_id, id)
        where = f" AND d.state = {bind(state)}" if state else ""
        where += f" AND d.event_id = {bind(event_id)}" if event_id else ""
        found = await fetch_page(
            uow,
            "SELECT d.id, d.event_id, d.event_type, d.state, d.created_at, d.next_attempt_at, d.finished_at"
            f" FROM kernel.webhook_deliveries d WHERE d.tenant_id = $1 AND d.endpoint_id = $2{where}",
            bind,
            NEWEST_BY_TIME,
            name=f"webhook-deliveries:{id}:{state}:{event_id}",
            limit=limit,
            cursor=cursor,
        )
        shown = [dict(row) for row in found.rows]
        await self._add_attempts(shown)
        return {"data": shown, **found.onward, "total": None, "total_is_estimate": None}

    async def _add_attempts(self, shown: list[dict[str, Any]]) -> None:
        rows = await self.uow.fetch(
            "SELECT a.* FROM unnest($2::uuid[]) AS w(id) CROSS JOIN LATERAL"
            " (SELECT delivery_id, id, at, status, latency_ms, error, response_excerpt"
            "  FROM kernel.webhook_attempts WHERE tenant_id = $1 AND delivery_id = w.id"
            "  ORDER BY id DESC LIMIT 20) a",
            self.uow.tenant_id,
            [delivery["id"] for delivery in shown],
        )
        attempts: dict[UUID, list[dict[str, Any]]] = {}
        for row in rows:
            values = dict(row)
            attempts.setdefault(values.pop("delivery_id"), []).append(values)
        for delivery in shown:
            delivery["attempts"] = attempts.get(delivery["id"], [])

    async def _locked(self, id: UUID, expected_version: int) -> WebhookEndpoint:
        endpoint = await self.uow.get(WebhookEndpoint, id, lock="update")
        require_version(endpoint.version, expected=expected_version)
        return endpoint

    async def _enabled(self, id: UUID) -> WebhookEndpoint:
        endpoint = await self.uow.get(WebhookEndpoint, id, lock="share")
        if not endpoint.enabled:
            raise WebhookDisabledAlready
        return endpoint

    async def _check_known(self, ids: list[UUID]) -> None:
        rows = await self.uow.fetch(
            "SELECT id FROM kernel.outbox WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self.uow.tenant_id,
            ids,
        )
        unknown = set(ids) - {row["id"] for row in rows}
        if unknown:
            names = ", ".join(str(id) for id in sorted(unknown)[:10])
            raise Invalid.at("/event_ids", "unknown", f"These events are unknown or too old: {names}.")

    def _check_url(self, url: str) -> None:
        wrong = check_url(url, allow_private=self.uow.kernel.settings.webhook_allow_private)
        if wrong is not None:
            raise Invalid.at("/url", "invalid_url", wrong)

    def _encrypted(self, id: UUID, secret: str) -> bytes:
        return self.uow.kernel.secrets.encrypt(secret.encode(), context=secret_context(id))


def _answer(endpoint: WebhookEndpoint) -> WebhookEndpointRead:
    values: Mapping[str, Any] = endpoint.__dict__
    return WebhookEndpointRead(**{name: values[name] for name in WebhookEndpointRead.model_fields})
