"""Looking customers up by id and by key, for other modules and for imports: one statement per question."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from asyncpg import Record

from app.kernel.access import visible_rows
from app.kernel.contact import phone_digits, to_e164
from app.kernel.listing import Bindings
from app.kernel.merging.tombstones import get_current
from app.kernel.money import Money
from app.kernel.records import RecordService
from app.kernel.statements import rows_by_id
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import (
    AccountProfile,
    AccountRef,
    ContactRef,
    CreditTerms,
    GivenConsent,
    PhoneMatch,
    PostalAddress,
    Reachable,
)
from app.modules.customers.models import Account, Channel, ConsentStatus, Contact, LifecycleStage
from app.modules.customers.schemas import ConsentInput
from app.modules.customers.services import keys as known_keys
from app.modules.customers.services.accounts import AccountService, held_account, holds_account
from app.modules.customers.services.consents import state_consent
from app.modules.customers.services.contacts import ContactService
from app.modules.customers.services.phones import by_phone

_STAGES = list(LifecycleStage)
_REFERENCE = ("id", "name", "owner_id", "team_id", "lifecycle_stage", "country", "language")


def account_ref(row: Account, hidden: Collection[str] = ("country", "language")) -> AccountRef:
    """An account as other modules show it, without fields that are hidden."""
    country, language = (None if name in hidden else getattr(row, name) for name in ("country", "language"))
    return AccountRef(row.id, row.name, row.owner_id, row.team_id, row.lifecycle_stage, country, language)


def contact_ref(row: Contact) -> ContactRef:
    """A contact as other modules show them."""
    return ContactRef(row.id, row.name, row.account_id, row.email, row.mobile or row.phone, row.time_zone)


async def _rows(service: RecordService[Any], ids: Collection[UUID], hold: bool) -> Mapping[UUID, Any]:
    if hold and not service.uow.read_only:
        return await service.get_many(list(ids), lock="share")
    return await get_current(service, ids)


class Directory:
    """The reading half of `Customers`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, AccountRef]:
        if not ids:
            return {}
        hidden = self._uow.actor.hidden("account")
        if hold and not self._uow.read_only:
            return await self._held(ids, hidden)
        rows = await get_current(AccountService(self._uow), ids)
        return {id: account_ref(row, hidden) for id, row in rows.items()}

    async def _held(self, ids: Collection[UUID], hidden: Collection[str]) -> Mapping[UUID, AccountRef]:
        """Visible accounts that nobody deletes before this transaction ends: what a reference shows, no more."""
        wanted = list(ids)
        one = len(wanted) == 1
        bind = Bindings(self._uow.tenant_id, wanted[0] if one else wanted)
        readable = visible_rows(self._uow.actor, "account", "read", bind)
        statement = rows_by_id(Account, readable, None, "share", _REFERENCE, one=one)
        rows = await self._uow.fetch(statement, *bind.values)
        return {
            row["id"]: AccountRef(
                row["id"],
                row["name"],
                row["owner_id"],
                row["team_id"],
                row["lifecycle_stage"],
                None if "country" in hidden else row["country"],
                None if "language" in hidden else row["language"],
            )
            for row in rows
        }

    def held_account(self, id: UUID, bind: Bindings) -> str:
        return held_account(self._uow, id, bind)

    def holds_account(self, id: UUID, bind: Bindings) -> str:
        return holds_account(self._uow, id, bind)

    async def get_contacts(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContactRef]:
        if not ids:
            return {}
        rows = await _rows(ContactService(self._uow), ids, hold)
        return {id: contact_ref(row) for id, row in rows.items()}

    async def account_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        return await self._names(known_keys.ACCOUNTS, ids)

    async def account_profiles(self, ids: Collection[UUID]) -> Mapping[UUID, AccountProfile]:
        names = ("industry", "size", "country")
        rows = await self._readable(ids, names)
        return {row["id"]: AccountProfile(*(row[name] for name in names)) for row in rows}

    async def postal_addresses(self, ids: Collection[UUID]) -> Mapping[UUID, PostalAddress]:
        names = ("address", "city", "region", "postal_code", "country")
        rows = await self._readable(ids, names)
        return {row["id"]: PostalAddress(*(row[name] for name in names)) for row in rows}

    async def _readable(self, ids: Collection[UUID], names: Collection[str]) -> Sequence[Record]:
        """Text columns of live accounts that the actor may read, and None for fields that they may not."""
        actor = self._uow.actor
        if not ids or not actor.may("account:read"):
            return []
        bind = Bindings(self._uow.tenant_id, list(ids))
        visible = visible_rows(actor, "account", "read", bind)
        hidden = actor.hidden("account")
        shown = ", ".join(f"NULL::text AS {name}" if name in hidden else f"t.{name}" for name in names)
        return await self._uow.fetch(
            f"SELECT t.id, {shown} FROM customers.accounts t WHERE t.tenant_id = $1"
            f" AND t.id = ANY($2::uuid[]) AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}",
            *bind.values,
        )

    async def reachable(self, ids: Collection[UUID]) -> Mapping[UUID, Reachable]:
        rows = await self._uow.fetch(_REACHABLE, self._uow.tenant_id, list(ids)) if ids else []
        return {
            row["id"]: Reachable(
                frozenset(text.lower() for text in row["emails"] if text),
                frozenset(
                    to_e164(text, row["country"]) or phone_digits(text) for text in row["phones"] if text
                ),
                frozenset(id for id in row["account_ids"] if id),
            )
            for row in rows
        }

    async def credit_terms(self, ids: Collection[UUID]) -> Mapping[UUID, CreditTerms]:
        if not ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT id, credit_limit, credit_currency, payment_terms_days FROM customers.accounts"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(ids),
        )
        return {
            row["id"]: CreditTerms(
                None if row["credit_limit"] is None else Money(row["credit_limit"], row["credit_currency"]),
                row["payment_terms_days"],
            )
            for row in rows
        }

    async def contact_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        return await self._names(known_keys.CONTACTS, ids)

    async def _names(self, table: str, ids: Collection[UUID]) -> Mapping[UUID, str]:
        if not ids:
            return {}
        rows = await self._uow.fetch(
            f"SELECT id, name FROM {table} WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(ids),
        )
        return {row["id"]: row["name"] for row in rows}

    async def accounts_by_external_id(self, keys: Collection[str]) -> Mapping[str, UUID]:
        return await known_keys.by_external_id(self._uow, known_keys.ACCOUNTS, keys)

    async def contacts_by_external_id(self, keys: Collection[str]) -> Mapping[str, UUID]:
        return await known_keys.by_external_id(self._uow, known_keys.CONTACTS, keys)

    async def accounts_by_name(self, names: Collection[str]) -> Mapping[str, UUID]:
        return await known_keys.accounts_by_name(self._uow, names)

    async def contacts_by_email(self, addresses: Collection[str]) -> Mapping[str, UUID]:
        return await known_keys.contacts_by_email(self._uow, addresses)

    async def by_phone(self, e164: str) -> Sequence[PhoneMatch]:
        return await by_phone(self._uow, e164)

    async def belongs(self, contact_id: UUID, account_id: UUID) -> bool:
        row = await self._uow.fetchrow(
            "SELECT 1 FROM customers.contacts c WHERE c.tenant_id = $1 AND c.id = $2 AND c.deleted_at IS NULL"
            " AND (c.account_id = $3 OR EXISTS (SELECT 1 FROM customers.contact_roles r"
            "  WHERE r.tenant_id = $1 AND r.contact_id = $2 AND r.account_id = $3))",
            self._uow.tenant_id,
            contact_id,
            account_id,
        )
        return row is not None

    async def consented(self, contact_id: UUID, given: Sequence[GivenConsent]) -> None:
        service = ContactService(self._uow)
        for one in given:
            row = await self._uow.get(Contact, contact_id, lock="update")
            said = ConsentInput(
                channel=Channel(one.channel),
                status=ConsentStatus.GRANTED,
                source=one.source,
                note=one.note,
                given_at=one.given_at,
            )
            await state_consent(service, row, said)

    async def advance(self, account_id: UUID, stage: str) -> None:
        row = await self._uow.find(Account, account_id, lock="update")
        if row is None or row.lifecycle_stage == LifecycleStage.LOST:
            return
        if _STAGES.index(LifecycleStage(stage)) > _STAGES.index(LifecycleStage(row.lifecycle_stage)):
            await AccountService(self._uow).write(row, {"lifecycle_stage": stage})


_REACHABLE = """
SELECT id, country, emails || email AS emails, phones || phone AS phones, ARRAY[id] AS account_ids
FROM customers.accounts WHERE tenant_id = $1 AND id = ANY($2::uuid[])
UNION ALL
SELECT c.id, c.country, c.emails || c.email, ARRAY[c.phone, c.mobile], c.account_id || ARRAY(
  SELECT r.account_id FROM customers.contact_roles r WHERE r.tenant_id = $1 AND r.contact_id = c.id)
FROM customers.contacts c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])"""
