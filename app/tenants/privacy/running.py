"""A confirmed erasure, from wherever it stands to its certificate: each step is whole and may be repeated."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from app.kernel.access import Actor
from app.kernel.contact import EmailInvalid, normalise_email, to_e164
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.privacy import people_list
from app.tenants.privacy.audit import AuditLog
from app.tenants.privacy.copies import Copies
from app.tenants.privacy.erasing import Rows
from app.tenants.privacy.exporting import forget_files
from app.tenants.privacy.finding import Finder, Subject
from app.tenants.privacy.identifiers import Identifiers
from app.tenants.privacy.models import PrivacyRequest, PrivacyState
from app.tenants.privacy.statements import pseudonym

REFUSED: Final = "denied"
ROUNDS: Final = 20
Told = Callable[[int], Awaitable[None]]
_CONTEXT: Final = "privacy-request:"


class PersonErasure:
    """One erasure of one person."""

    def __init__(self, kernel: Kernel, actor: Actor, request_id: UUID, told: Told) -> None:
        self._kernel = kernel
        self._actor = actor
        self._id = request_id
        self._told = told

    async def run(self) -> dict[str, Any]:
        """Erase, and certify."""
        request = await self._request()
        if request.state == PrivacyState.COMPLETED:
            return dict(request.certificate or {})
        await self._list(request)
        who = await self._people(request)
        rows, erased = Rows(self._kernel, self._actor, self._id, who), 0
        for _ in range(ROUNDS):  # whoever writes about the person meanwhile is caught by the next round
            await self._find(who)
            count = await rows.erase()
            erased += count
            await self._told(erased)
            if not count:
                break
        documents = await rows.documents()
        ids, people = await self._ids()
        copies = await Copies(self._kernel, self._actor, who, ids, people).erase()
        copies["files"] += documents + await forget_files(self._kernel, self._actor, people, but=self._id)
        log = AuditLog(self._kernel, self._actor.tenant_id, self._id, who)
        copies["kernel.audit_entries"] = await log.redact(ids | {self._id}, people)
        return await self._certify(who, copies)

    async def _request(self) -> PrivacyRequest:
        async with transaction(self._kernel, self._actor, read_only=True) as uow:
            return await uow.get(PrivacyRequest, self._id)

    async def _list(self, request: PrivacyRequest) -> None:
        """Name the records on the list outside of the database, before anything is erased."""
        if request.listed_at is not None:
            return
        document = {
            "tenant_id": str(request.tenant_id),
            "request_id": str(request.id),
            "subjects": request.subjects,
            "requested_by": str(request.confirmed_by),
            "requested_at": (request.confirmed_at or request.created_at).isoformat(),
        }
        await asyncio.to_thread(people_list.append, self._kernel, people_list.BEGUN, document)
        async with transaction(self._kernel, self._actor) as uow:
            await uow.fetch(
                "UPDATE tenants.privacy_requests SET listed_at = $3 WHERE tenant_id = $1 AND id = $2",
                uow.tenant_id,
                self._id,
                uow.now,
            )

    async def _people(self, request: PrivacyRequest) -> Identifiers:
        """What the person is known by, kept encrypted until the end: the records forget it first."""
        context = f"{_CONTEXT}{self._id}"
        async with transaction(self._kernel, self._actor) as uow:
            known = await uow.get(PrivacyRequest, self._id, lock="update")
            who = await Finder(uow, self._id).people(_subjects(request), or_gone=True)
            who = Identifiers(who.names - {pseudonym(self._id)}, who.emails, who.phones)
            if known.sought is not None:
                plain = self._kernel.secrets.decrypt(known.sought, context=context)
                who |= Identifiers.of(**orjson.loads(plain))
            secret = self._kernel.secrets.encrypt(orjson.dumps(who.as_json()), context=context)
            await uow.fetch(
                "UPDATE tenants.privacy_requests SET sought = $3 WHERE tenant_id = $1 AND id = $2",
                uow.tenant_id,
                self._id,
                secret,
            )
            await remember_refusals(uow, self._id, who)
        return who

    async def _find(self, who: Identifiers) -> None:
        async with transaction(self._kernel, self._actor) as uow:
            await Finder(uow, self._id).rows(who)

    async def _ids(self) -> tuple[frozenset[UUID], frozenset[UUID]]:
        """The rows that were found, and those of them that are the person."""
        registry = self._kernel.registry
        tables = {registry.records[name].table for name in registry.people}
        async with transaction(self._kernel, self._actor, read_only=True) as uow:
            rows = await uow.fetch(
                "SELECT DISTINCT row_id, table_name FROM tenants.privacy_rows"
                " WHERE tenant_id = $1 AND request_id = $2",
                uow.tenant_id,
                self._id,
            )
        return (
            frozenset(row["row_id"] for row in rows),
            frozenset(row["row_id"] for row in rows if row["table_name"] in tables),
        )

    async def _certify(self, who: Identifiers, copies: Mapping[str, int]) -> dict[str, Any]:
        async with transaction(self._kernel, self._actor) as uow:
            request = await uow.get(PrivacyRequest, self._id, lock="update")
            if request.state == PrivacyState.COMPLETED:
                return dict(request.certificate or {})
            finder = Finder(uow, self._id)
            held = await finder.counts()
            document = _document(request, held, copies, uow.now)
            key_id, signature = await asyncio.to_thread(
                people_list.append, self._kernel, people_list.CERTIFIED, document
            )
            await finder.forget()
            await uow.update(
                request,
                audit="privacy_request",
                action="completed",
                state=PrivacyState.COMPLETED,
                held=held,
                completed_at=uow.now,
                sought=None,
                reason=who.swept(request.reason),
                certificate=document,
                key_id=key_id,
                signature=signature,
            )
        return document


def _document(
    request: PrivacyRequest, held: Sequence[Mapping[str, Any]], copies: Mapping[str, int], now: datetime
) -> dict[str, Any]:
    return {
        "version": 1,
        "tenant_id": str(request.tenant_id),
        "request_id": str(request.id),
        "subjects": request.subjects,
        "requested_at": request.created_at.isoformat(),
        "confirmed_by": str(request.confirmed_by),
        "confirmed_at": (request.confirmed_at or request.created_at).isoformat(),
        "completed_at": now.isoformat(),
        "held": list(held),
        "copies": {name: count for name, count in sorted(copies.items()) if count},
    }


def _subjects(request: PrivacyRequest) -> list[Subject]:
    return [Subject(one["object"], UUID(one["record_id"])) for one in request.subjects]


async def remember_refusals(uow: UnitOfWork, request_id: UUID, who: Identifiers) -> None:
    """Keep by a keyed hash which channels the person refused, so that it is known if they come back in a list."""
    refused: set[str] = set()
    for person in uow.kernel.registry.people.values():
        if person.consents is None:
            continue
        table = uow.kernel.registry.records[person.object].table
        rows = await uow.fetch(
            f"SELECT c.key FROM {table} t CROSS JOIN LATERAL jsonb_each(t.{person.consents}) c"
            " WHERE t.tenant_id = $1 AND c.value ->> 'status' = $3 AND t.id IN (SELECT f.row_id FROM"
            " tenants.privacy_rows f WHERE f.tenant_id = $1 AND f.request_id = $2)",
            uow.tenant_id,
            request_id,
            REFUSED,
        )
        refused |= {row["key"] for row in rows}
    keys = hashes(uow, who)
    await uow.fetch(
        "INSERT INTO tenants.privacy_refusals (tenant_id, id, channel, key_hash, refused_at)"
        " SELECT $1, i.id, i.channel, i.key_hash, $5 FROM unnest($2::uuid[], $3::text[], $4::bytea[])"
        " i(id, channel, key_hash) ON CONFLICT (tenant_id, key_hash, channel) DO NOTHING",
        uow.tenant_id,
        [new_id() for _ in range(len(refused) * len(keys))],
        [channel for channel in sorted(refused) for _ in keys],
        [key for _ in refused for key in keys],
        uow.now,
    )


def hashes(uow: UnitOfWork, who: Identifiers) -> list[bytes]:
    """Addresses and numbers by a key that is not in the database: nobody finds them out by trying."""
    emails, phones = set(), set()
    for email in who.emails:
        try:
            emails.add(f"email:{normalise_email(email)}")
        except EmailInvalid:
            continue
    for phone in who.phones:
        found = to_e164(phone, uow.actor.tenant.country)
        if found is not None:
            phones.add(f"phone:{found}")
    # The oldest key of the ring: a newer one must not make the hashes of before unknown.
    key = uow.kernel.secrets.purpose_keys("privacy-refusals")[-1]
    return [
        hmac.digest(key, f"{uow.tenant_id}:{text}".encode(), hashlib.sha256)
        for text in sorted(emails | phones)
    ]
