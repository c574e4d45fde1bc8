"""Reactions to what happens elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel

from app.kernel.notifications import Notice, Notifications
from app.kernel.registry import NotificationKind, Subscription
from app.kernel.uow import UnitOfWork
from app.tenants.mail_templates import send_webhook_disabled

_OWNERS = """
SELECT m.id, m.email, m.name FROM tenants.members m
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


class ImpersonationBegun(BaseModel):
    """What we need of `tenants.impersonation.started.v1`."""

    operator: str
    member_id: UUID
    member: str
    reason: str
    may_write: bool
    expires_at: datetime


async def tell_of_impersonation(uow: UnitOfWork, event: ImpersonationBegun) -> None:
    """Tell the owners, and the member in whose place an operator acts."""
    owners = {row["id"] for row in await uow.fetch(_OWNERS, uow.tenant_id)}
    zone, until = uow.actor.tenant.zone, event.expires_at.astimezone(uow.actor.tenant.zone)
    if uow.actor.tenant.language == "zh":
        title = f"{event.operator}（平台运营）正以{event.member}的身份操作"
        right = "可以修改" if event.may_write else "只读"
        body = f"原因：{event.reason}\n{right}，最晚至 {until:%Y-%m-%d %H:%M}（{zone.key}）。"
    else:
        title = f"{event.operator}, who runs this installation, acts in the place of {event.member}"
        right = "May change things" if event.may_write else "Reads only"
        body = f"Reason: {event.reason}\n{right}, until {until:%Y-%m-%d %H:%M} ({zone.key}) at the latest."
    await Notifications(uow).tell({*owners, event.member_id}, Notice(IMPERSONATED, title, body))


IMPERSONATED: Final = "account.impersonated"
NOTIFICATIONS: Final = (
    NotificationKind(
        IMPERSONATED, "An operator acts in a member's place", "平台运营人员以成员身份操作", mail=True
    ),
)
SUBSCRIPTIONS: Final = (
    Subscription(
        "kernel.webhook.disabled.v1", WebhookDisabled, tell_owners, name="tenants.tell_owners_of_webhook"
    ),
    Subscription(
        "tenants.impersonation.started.v1",
        ImpersonationBegun,
        tell_of_impersonation,
        name="tenants.tell_of_impersonation",
    ),
)
