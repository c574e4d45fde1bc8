"""Reactions to what happens elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.tenants.mail_templates import send_webhook_disabled

_OWNERS = """
SELECT m.email, m.name FROM tenants.members m
JOIN tenants.roles r ON r.tenant_id = m.tenant_id AND r.id = ANY(m.role_ids) AND r.key = 'owner'
WHERE m.tenant_id = $1 AND m.status = 'active' ORDER BY m.id
"""


class WebhookDisabled(BaseModel):
    """What we need of `kernel.webhook.disabled.v1`."""

    id: UUID
    url: str
    reason: Literal["gone", "failing"]
    failing_since: datetime | None


async def tell_owners(uow: UnitOfWork, event: WebhookDisabled) -> None:
    """Mail every owner that a webhook was switched off, and since when it failed in whole days."""
    days = (uow.now - event.failing_since).days if event.failing_since else 0
    for owner in await uow.fetch(_OWNERS, uow.tenant_id):
        send_webhook_disabled(
            uow,
            to=owner["email"],
            name=owner["name"],
            locale=uow.actor.tenant.locale,
            url=event.url,
            reason=event.reason,
            days=days,
            webhook_id=event.id,
        )


SUBSCRIPTIONS: Final = (
    Subscription(
        "kernel.webhook.disabled.v1", WebhookDisabled, tell_owners, name="tenants.tell_owners_of_webhook"
    ),
)
