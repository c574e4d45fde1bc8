"""How references to accounts and contacts move within this module when records are merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.merging.ports import Merger, Merging, Moved
from app.kernel.merging.references import LinkColumn, insert_again, record_column
from app.kernel.uow import UnitOfWork
from app.modules.customers.services.accounts import ACCOUNT
from app.modules.customers.services.contacts import CONTACT

ROLES = "customers.contact_roles"


class ContactParts:
    """Further parts of contacts in accounts: one row for a contact and an account, none for the first account."""

    name = ROLES
    kind = "contact_roles"
    objects = frozenset({"account", "contact"})
    columns = frozenset({f"{ROLES}.account_id", f"{ROLES}.contact_id"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def _link(self, object_name: str) -> LinkColumn:
        own, other = (
            ("account_id", "contact_id") if object_name == "account" else ("contact_id", "account_id")
        )
        return LinkColumn(self._uow, ROLES, own, kind=self.kind, objects=[object_name], unique=f"t.{other}")

    def present(self, merging: Merging) -> str:  # noqa: ARG002 - what other references become matters here, too
        return "true"

    async def move(self, merging: Merging) -> list[Moved]:
        """Move parts; a merged contact's first account becomes a further one unless it is the survivor's first."""
        moved = await self._link(merging.object).move(merging)
        if merging.object == "contact":
            moved += await self._former_accounts(merging)
        column = f"{merging.object}_id"
        rows = await self._uow.fetch(
            f"DELETE FROM customers.contact_roles r USING customers.contacts c WHERE r.tenant_id = $1"
            f" AND r.{column} = $2 AND c.tenant_id = $1 AND c.id = r.contact_id AND c.account_id = r.account_id"
            " RETURNING r.id, to_jsonb(r) AS detail",
            self._uow.tenant_id,
            merging.survivor_id,
        )
        return moved + [
            Moved(row["id"], merging.survivor_id, row["detail"] | {"first": True}, counts=False)
            for row in rows
        ]

    async def _former_accounts(self, merging: Merging) -> list[Moved]:
        parts: dict[UUID, str | None] = {}
        for row in merging.rows:
            if row.account_id is not None:
                parts.setdefault(row.account_id, row.role)
        rows = await self._uow.fetch(
            "INSERT INTO customers.contact_roles"
            " (tenant_id, id, contact_id, account_id, role, created_at, created_by)"
            " SELECT $1, p.id, $2, p.account_id, p.role, $6, $7"
            " FROM unnest($3::uuid[], $4::uuid[], $5::text[])"
            " AS p(id, account_id, role) JOIN customers.contacts c ON c.tenant_id = $1 AND c.id = $2"
            " WHERE c.account_id IS DISTINCT FROM p.account_id ON CONFLICT DO NOTHING RETURNING id",
            self._uow.tenant_id,
            merging.survivor_id,
            [new_id() for _ in parts],
            list(parts),
            list(parts.values()),
            self._uow.now,
            self._uow.actor.member_id,
        )
        return [Moved(row["id"], merging.survivor_id, {"added": True}, counts=False) for row in rows]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        """The way back: what was cleared away, what was added, and then what moved."""
        uow = self._uow
        first = [one.detail or {} for one in moved if one.detail and "first" in one.detail]
        added = [one.row_id for one in moved if one.detail and "added" in one.detail]
        await insert_again(uow, ROLES, first)
        await uow.fetch(
            "DELETE FROM customers.contact_roles WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            uow.tenant_id,
            added,
        )
        rest = [one for one in moved if not one.detail or not {"first", "added"} & one.detail.keys()]
        return await self._link(merging.object).restore(merging, rest)


def consents(uow: UnitOfWork) -> LinkColumn:
    """What was said to a merged record was said to the surviving one."""
    return LinkColumn(
        uow,
        "customers.consents",
        "record_id",
        kind="consents",
        objects=("account", "contact"),
        by_object=True,
    )


# A contact's name is compared within its account, whose id stands in front of it.
_NAME_KEY = "name_key = {id}::uuid::text || substr(t.name_key, 37)"

MERGERS: Sequence[tuple[type[Merger], Any]] = (
    (Merger, record_column(ACCOUNT, "parent_id", "account")),
    (Merger, record_column(CONTACT, "account_id", "account", _NAME_KEY)),
    (Merger, record_column(CONTACT, "reports_to_id", "contact")),
    (Merger, ContactParts),
    (Merger, consents),
)
