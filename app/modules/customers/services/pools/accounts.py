"""Accounts in pools: their contacts are freed with them, and go to whoever gets the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.statements import columns_of, entity, rows_of
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import (
    AccountClaimed,
    AccountDistributed,
    AccountPooled,
    AccountRecycleReminded,
    RecordClaimed,
    RecordPooled,
    RecycleReminded,
)
from app.modules.customers.models import Contact, LifecycleStage, Rating
from app.modules.customers.services.contacts import CONTACT


class AccountsInPools:
    """`Poolable` of accounts. A customer or an evangelist is a won one."""

    object: ClassVar[str] = "account"
    levels: ClassVar[Mapping[str, Sequence[str]]] = {
        "rating": tuple(Rating),
        "lifecycle_stage": tuple(LifecycleStage),
    }
    won: ClassVar[str] = "t.lifecycle_stage IN ('customer', 'evangelist')"
    closed: ClassVar[str] = "false"
    pooled: ClassVar[type[RecordPooled]] = AccountPooled
    claimed: ClassVar[type[RecordClaimed]] = AccountClaimed
    distributed: ClassVar[type[RecordClaimed]] = AccountDistributed
    reminded: ClassVar[type[RecycleReminded]] = AccountRecycleReminded

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def went_in(self, ids: Sequence[UUID]) -> None:
        """The contacts whose first account it is belong to nobody either."""
        rows = await self._uow.fetch(_FREE_CONTACTS, self._uow.tenant_id, list(ids), self._uow.now)
        self._tell(rows, "freed")

    async def came_out(self, owners: Mapping[UUID, tuple[UUID, UUID | None]]) -> None:
        """Contacts that nobody owns go along."""
        rows = await self._uow.fetch(
            _TAKE_CONTACTS,
            self._uow.tenant_id,
            list(owners),
            [owner for owner, _ in owners.values()],
            [team for _, team in owners.values()],
            self._uow.now,
        )
        self._tell(rows, "claimed")

    def _tell(self, rows: Sequence[Any], action: str) -> None:
        for row in rows:
            values = dict(row)
            before = {"owner_id": values.pop("from_owner_"), "team_id": values.pop("from_team_")}
            contact = entity(Contact, values)
            changes = {name: [old, values[name]] for name, old in before.items() if old != values[name]}
            self._uow.record_audit("contact", contact.id, action, changes)
            self._uow.publish_record(
                CONTACT.updated,
                contact.id,
                contact.version,
                changed=sorted(changes),
                record=CONTACT.render(contact),
            )


_CONTACT_COLUMNS = ", ".join(f"t.{name}" for name in columns_of(Contact))
_FREE_CONTACTS = f"""
WITH owned AS (
  SELECT c.id, c.owner_id, c.team_id FROM unnest($2::uuid[]) a(id)
  JOIN customers.contacts c ON c.tenant_id = $1 AND c.account_id = a.id AND c.deleted_at IS NULL
  WHERE num_nonnulls(c.owner_id, c.team_id) > 0 ORDER BY c.id FOR NO KEY UPDATE OF c
)
UPDATE customers.contacts t SET owner_id = NULL, team_id = NULL, version = t.version + 1, updated_at = $3
FROM {rows_of("owned", "id", "owner_id", "team_id")} WHERE t.tenant_id = $1 AND t.id = owned.id
RETURNING {_CONTACT_COLUMNS}, owned.owner_id AS from_owner_, owned.team_id AS from_team_"""

_TAKE_CONTACTS = f"""
WITH free AS (
  SELECT c.id, c.team_id, a.owner_id AS to_owner, a.team_id AS to_team
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) a(id, owner_id, team_id)
  JOIN customers.contacts c ON c.tenant_id = $1 AND c.account_id = a.id AND c.deleted_at IS NULL
  WHERE c.owner_id IS NULL ORDER BY c.id FOR NO KEY UPDATE OF c
)
UPDATE customers.contacts t SET owner_id = free.to_owner, team_id = free.to_team, version = t.version + 1,
  updated_at = $5
FROM {rows_of("free", "id", "team_id", "to_owner", "to_team")} WHERE t.tenant_id = $1 AND t.id = free.id
RETURNING {_CONTACT_COLUMNS}, NULL::uuid AS from_owner_, free.team_id AS from_team_"""
