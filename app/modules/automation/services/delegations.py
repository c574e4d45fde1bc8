"""Delegations: for a while somebody else decides what waits for a member, who may still decide too."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.access import NOBODY
from app.kernel.errors import Forbidden, Invalid, NotFound, require_version
from app.kernel.log_pages import BY_ID, Slice, select_page
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.automation.models import Delegation
from app.modules.automation.services.reading import MANAGE

OBJECT: Final = "approval_delegation"


class Delegations:
    """Delegations from and to the actor; of everybody for who runs approvals."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._me = uow.actor.member_id or NOBODY

    async def page(self, *, at: datetime | None, limit: int, cursor: str | None) -> Slice[Delegation]:
        """In the order they were made; with `at` those of that moment. Raises: InvalidCursor."""
        statement = self._uow.select(Delegation)
        if not self._uow.actor.may(MANAGE):
            statement = statement.where(
                (Delegation.member_id == self._me) | (Delegation.delegate_id == self._me)
            )
        if at is not None:
            statement = statement.where(Delegation.starts_at <= at, Delegation.ends_at > at)
        name = f"approval-delegations:{at}"
        return await select_page(self._uow, statement, BY_ID, name=name, limit=limit, cursor=cursor)

    async def get(self, id: UUID) -> Delegation:
        """Raises `NotFound`, also for one between others."""
        row = await self._uow.get(Delegation, id)
        if not self._uow.actor.may(MANAGE) and self._me not in (row.member_id, row.delegate_id):
            raise NotFound
        return row

    async def create(self, values: dict[str, Any]) -> Delegation:
        """Raises: Forbidden for another member; Invalid."""
        member = values["member_id"] or self._uow.actor.member_id
        if member is None:
            raise Invalid.at("/member_id", "required", "Name the member whose decisions are delegated.")
        self._require_own(member)
        await self._uow.of(People).require_members([member], pointer="/member_id")
        values = {**values, "member_id": member}
        await self._check(values, new_delegate=True)
        return await self._uow.insert(Delegation, audit=OBJECT, **values)

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Delegation:
        """Raises: NotFound; Forbidden for the delegate; StaleVersion; Invalid."""
        row = await self._locked(id, expected_version)
        await self._check({**row.__dict__, **changes}, new_delegate="delegate_id" in changes)
        return await self._uow.update(row, audit=OBJECT, **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; Forbidden for the delegate; StaleVersion."""
        await self._uow.delete(await self._locked(id, expected_version), audit=OBJECT)

    async def _locked(self, id: UUID, expected_version: int) -> Delegation:
        self._require_own((await self.get(id)).member_id)
        row = await self._uow.get(Delegation, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    def _require_own(self, member_id: UUID) -> None:
        if member_id != self._me and not self._uow.actor.may(MANAGE):
            raise Forbidden(f"For other members this needs the permission {MANAGE}.", permission=MANAGE)

    async def _check(self, values: dict[str, Any], *, new_delegate: bool) -> None:
        if values["ends_at"] <= values["starts_at"]:
            raise Invalid.at("/ends_at", "not_in_order", "A delegation ends after it starts.")
        if values["delegate_id"] == values["member_id"]:
            raise Invalid.at("/delegate_id", "same_member", "Nobody stands in for themselves.")
        if new_delegate:
            await self._uow.of(People).require_members([values["delegate_id"]], pointer="/delegate_id")
