"""API keys of members: made, listed, renamed, revoked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.tenants.auth.api_keys import generate_api_key
from app.tenants.auth.control import access_changed
from app.tenants.models import ApiKey
from app.tenants.people.grants import clean_grants, effective_grants

OBJECT = "api_key"


class ApiKeys:
    """The keys of the tenant at hand. Who may manage keys sees all of them, others their own."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def create(
        self, member_id: UUID, name: str, grants: Mapping[str, str] | None, expires_at: datetime | None
    ) -> tuple[ApiKey, str]:
        """A key and its text, in a control transaction (its hash lives there).

        Raises: GrantTooWide; Invalid for an unknown permission or an expiry in the past.
        """
        uow = self.uow
        if expires_at is not None and expires_at <= uow.now:
            raise Invalid.at("/expires_at", "in_the_past", "A key expires in the future, or never.")
        if grants is None:
            wanted = {permission: scope.label for permission, scope in effective_grants(uow).items()}
        else:
            wanted = clean_grants(uow, grants, pointer="/grants")
        made = generate_api_key()
        row = await uow.insert(
            ApiKey,
            audit=OBJECT,
            id=new_id(),
            member_id=member_id,
            name=name,
            hint=made.hint,
            grants=wanted,
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )
        await uow.fetch(
            "INSERT INTO tenants.api_key_hashes (key_hash, tenant_id, api_key_id) VALUES ($1, $2, $3)",
            made.hash,
            uow.tenant_id,
            row.id,
        )
        return row, made.key

    async def list(self) -> list[ApiKey]:
        """Keys, newest first; revoked ones too."""
        statement = self.uow.select(ApiKey)
        if self._mine_only():
            statement = statement.where(ApiKey.member_id == self.uow.actor.member_id)
        return await self.uow.all(statement.order_by(ApiKey.id.desc()))

    async def get(self, id: UUID, *, lock: bool = False) -> ApiKey:
        """One key. Raises: NotFound."""
        found = await self.uow.get(ApiKey, id, lock="update" if lock else None)
        if self._mine_only() and found.member_id != self.uow.actor.member_id:
            raise NotFound
        return found

    async def rename(self, id: UUID, name: str, *, expected_version: int) -> ApiKey:
        """Raises: NotFound; StaleVersion."""
        return await self.uow.update(await self._at(id, expected_version), audit=OBJECT, name=name)

    async def revoke(self, id: UUID, *, expected_version: int) -> None:
        """The key stops working at once, for good. Raises: NotFound; StaleVersion."""
        row = await self._at(id, expected_version)
        if row.revoked_at is None:
            await self.uow.update(row, audit=OBJECT, action="revoked", revoked_at=self.uow.now)
            await access_changed(self.uow)

    async def _at(self, id: UUID, version: int) -> ApiKey:
        row = await self.get(id, lock=True)
        require_version(row.version, expected=version)
        return row

    def _mine_only(self) -> bool:
        return self.uow.actor.scope("api_key:manage") is not Scope.ALL
