"""Reactions of approvals to what happens elsewhere."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.automation.services.leaving import hand_on


class MemberDeactivated(BaseModel):
    """What we need of `tenants.member.deactivated.v1`."""

    id: UUID
    handed_over_to: UUID | None
    manager_id: UUID | None = None


async def hand_decisions_on(uow: UnitOfWork, event: MemberDeactivated) -> None:
    """What waits for somebody who left goes to whoever takes over."""
    await hand_on(uow, event.id, successor=event.handed_over_to, manager=event.manager_id)


SUBSCRIPTIONS: Final = (
    Subscription(
        "tenants.member.deactivated.v1",
        MemberDeactivated,
        hand_decisions_on,
        name="automation.hand_decisions_on",
    ),
)
