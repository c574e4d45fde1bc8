"""The 360° view of an account: one call, and at most one statement for each thing that it shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.customers.interface import AccountPanel
from app.modules.customers.services.accounts import ACCOUNT, AccountService
from app.modules.customers.services.contacts import ContactService

TIMELINE_SHOWN = 10


async def account_overview(uow: UnitOfWork, id: UUID) -> dict[str, Any]:
    """Everything about a visible account, as `Overview` declares it. Raises `NotFound`."""
    row = await AccountService(uow).get(id)
    activities = uow.of(Activities)
    hidden = uow.actor.hidden("account")
    parent_id, owner_id = (
        None if name in hidden else row.__dict__[name] for name in ("parent_id", "owner_id")
    )
    family = await uow.fetchrow(
        "SELECT (SELECT name FROM customers.accounts WHERE tenant_id = $1 AND id = $3) AS parent,"
        " (SELECT count(*) FROM customers.accounts WHERE tenant_id = $1 AND parent_id = $2 AND deleted_at IS NULL)"
        " AS children",
        uow.tenant_id,
        id,
        parent_id,
    )
    upcoming = None
    if uow.actor.may("activity:read"):
        upcoming = (await activities.next_open("account", [id])).get(id)
    owners = await uow.of(People).names([owner_id] if owner_id else [])
    panels: dict[str, Any] = {}
    for port in uow.ports(AccountPanel):
        panels[port.name] = (await port.panel([id])).get(id)
    parent = family["parent"] if family else None
    return {
        "account": ACCOUNT.render(row, hidden),
        "owner_name": owners.get(owner_id) if owner_id else None,
        "parent": {"id": parent_id, "name": parent} if parent_id and parent else None,
        "children": family["children"] if family and "parent_id" not in hidden else 0,
        "committee": (await ContactService(uow).committee_of(id)).model_dump(),
        "next_activity": asdict(upcoming) if upcoming else None,
        "timeline": [
            {**asdict(entry), "data": dict(entry.data)}
            for entry in await activities.timeline(Subject("account", id), limit=TIMELINE_SHOWN)
        ],
        "panels": panels,
    }
