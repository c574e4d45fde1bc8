"""Giving an endpoint up: it is switched off, its queue is cancelled, and an event tells the owner."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal
from uuid import UUID

import structlog

from app.kernel.access import system_actor
from app.kernel.event_tables import WebhookEndpoint
from app.kernel.events import Event
from app.kernel.uow import UnitOfWork, transaction

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.kernel.webhooks.deliveries import Due

log = structlog.get_logger(__name__)

Reason = Literal["gone", "failing"]


class WebhookDisabled(Event):
    """An endpoint was given up: it answered 410 Gone, or failed for five days."""

    type: ClassVar[str] = "kernel.webhook.disabled.v1"
    object: ClassVar[str] = "webhook_endpoint"

    url: str
    description: str
    reason: Reason
    failing_since: datetime | None
    created_by: UUID | None


async def disable_endpoint(kernel: Kernel, due: Due, reason: Reason) -> None:
    """Switch an endpoint off as the product itself; nothing happens if somebody did so meanwhile."""
    tenant = await kernel.authenticator.tenant_profile(due.tenant_id)
    async with transaction(kernel, system_actor(tenant)) as uow:
        endpoint = await uow.find(WebhookEndpoint, due.endpoint_id, lock="update")
        if endpoint is None or not endpoint.enabled or endpoint.url != due.url:
            return
        await uow.update(
            endpoint,
            audit="webhook_endpoint",
            action="disabled",
            enabled=False,
            disabled_reason=reason,
            disabled_at=uow.now,
        )
        await cancel_pending(uow, endpoint.id)
        uow.publish(
            WebhookDisabled(
                id=endpoint.id,
                url=endpoint.url,
                description=endpoint.description,
                reason=reason,
                failing_since=endpoint.failing_since,
                created_by=endpoint.created_by,
            )
        )
    log.warning("webhook endpoint disabled", endpoint_id=str(due.endpoint_id), reason=reason)


async def cancel_pending(uow: UnitOfWork, endpoint_id: UUID) -> None:
    """What is still to be sent to an endpoint will not be; a replay starts it again."""
    await uow.fetch(
        "UPDATE kernel.webhook_deliveries SET state = 'cancelled', next_attempt_at = NULL, finished_at = $3"
        " WHERE tenant_id = $1 AND endpoint_id = $2 AND state = 'pending'",
        uow.tenant_id,
        endpoint_id,
        uow.now,
    )
