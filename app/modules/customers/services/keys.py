"""Ids by the keys that people and files use: external ids, names, addresses; one statement per question."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from app.kernel.company_names import company_core
from app.kernel.contact import EmailInvalid, normalise_email
from app.kernel.uow import UnitOfWork

ACCOUNTS = "customers.accounts"
CONTACTS = "customers.contacts"


async def by_external_id(uow: UnitOfWork, table: str, keys: Collection[str]) -> dict[str, UUID]:
    """Live records by external id; unknown keys are absent."""
    return await _unique(uow, table, "external_id", {key: key for key in keys})


async def accounts_by_name(uow: UnitOfWork, names: Collection[str]) -> dict[str, UUID]:
    """Accounts by name without legal form; names of none or of several are absent."""
    return await _unique(uow, ACCOUNTS, "name_key", {name: company_core(name) for name in names})


async def contacts_by_email(uow: UnitOfWork, addresses: Collection[str]) -> dict[str, UUID]:
    """Contacts by e-mail address; addresses of none or of several are absent."""
    keys: dict[str, str] = {}
    for address in addresses:
        try:
            keys[address] = normalise_email(address)
        except EmailInvalid:
            continue
    return await _unique(uow, CONTACTS, "email_key", keys)


async def _unique(uow: UnitOfWork, table: str, column: str, keys: Mapping[str, str]) -> dict[str, UUID]:
    """Each key's only record; `keys` is what was asked → what the column holds."""
    if not keys:
        return {}
    # One index probe per key: with `= ANY` a planner without statistics reads the whole tenant.
    rows = await uow.fetch(
        f"SELECT k.value AS key, min(t.id::text)::uuid AS id FROM unnest($2::text[]) k(value) CROSS JOIN LATERAL ("
        f" SELECT id FROM {table} WHERE tenant_id = $1 AND {column} = k.value AND deleted_at IS NULL LIMIT 2) t"
        f" GROUP BY k.value HAVING count(*) = 1",
        uow.tenant_id,
        list(set(keys.values())),
    )
    found = {row["key"]: row["id"] for row in rows}
    return {asked: found[key] for asked, key in keys.items() if key in found}
