"""Where everything about pools begins: the pool at hand, how the actor stands to it, and the types of its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from app.kernel.errors import Forbidden, NotFound
from app.kernel.models import RecordTable
from app.kernel.records import RecordType
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Poolable
from app.modules.customers.models import Pool

MANAGE = "pool:manage"
_COLUMNS = ", ".join(f"p.{name}" for name in columns_of(Pool))
_STANDING = f"""
SELECT {_COLUMNS}, coalesce(m.is_admin, false) AS is_admin_, p.open_to_all OR m.is_admin IS NOT NULL AS may_claim_
FROM customers.pools p LEFT JOIN LATERAL (
  SELECT bool_or(is_admin) AS is_admin FROM customers.pool_members m
  WHERE m.tenant_id = $1 AND m.pool_id = p.id AND (m.member_id = $3 OR m.team_id = ANY($4::uuid[]))
) m ON true
WHERE p.tenant_id = $1 AND p.id = $2 AND p.deleted_at IS NULL"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A pool, and what the actor is to it. Whoever manages pools administers each."""

    pool: Pool
    is_admin: bool
    may_claim: bool

    def require_claimant(self) -> None:
        """Raises `Forbidden` unless the actor may claim here."""
        if not self.may_claim:
            raise Forbidden("You are no member of this pool.")

    def require_admin(self) -> None:
        """Raises `Forbidden` unless the actor administers the pool."""
        if not self.is_admin:
            raise Forbidden("This is for administrators of the pool.", permission=MANAGE)


class Desk:
    """Reads pools, in one statement each."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self._types: dict[str, Poolable] | None = None

    async def standing(self, pool_id: UUID) -> Standing:
        """Raises `NotFound`."""
        found = await self.find(pool_id)
        if found is None:
            raise NotFound
        return found

    async def find(self, pool_id: UUID) -> Standing | None:
        """The pool and how the actor stands to it, or None."""
        actor = self.uow.actor
        row = await self.uow.fetchrow(
            _STANDING, self.uow.tenant_id, pool_id, actor.member_id, list(actor.team_ids)
        )
        if row is None:
            return None
        values: dict[str, Any] = dict(row)
        manages = actor.may(MANAGE)
        is_admin = values.pop("is_admin_") or manages
        may_claim = values.pop("may_claim_") or manages
        return Standing(entity(Pool, values), is_admin, may_claim)

    def types(self) -> dict[str, Poolable]:
        """The record types that may lie in pools."""
        if self._types is None:
            self._types = {found.object: found for found in self.uow.ports(Poolable)}
        return self._types

    def kind(self, object_name: str) -> Poolable:
        """The port of a record type that may lie in pools."""
        return self.types()[object_name]

    def columns(self, object_name: str) -> str:
        """All columns of a record type's table, over alias `t`."""
        model = cast("type[RecordTable]", self.record(object_name).model)
        return ", ".join(f"t.{name}" for name in columns_of(model))

    def record(self, object_name: str) -> RecordType[Any]:
        return self.uow.kernel.registry.records[object_name]
