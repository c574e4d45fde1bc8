"""Finding or making an account and a contact: what converting a lead, a web form or an order intake needs.

An equal one is matched: the same registration number, or the same company name without legal forms; the same
e-mail address at that account, or the same name there. What merely looks alike is for the caller to decide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError

from app.kernel.duplicates import (
    DuplicateAware,
    Found,
    duplicate_found,
)
from app.kernel.errors import FieldError, Forbidden, Invalid
from app.kernel.people import People
from app.kernel.records import RecordService
from app.kernel.validation import pointer_of
from app.modules.customers.interface import Matched, MatchPreview, MatchRequest, OnDuplicate
from app.modules.customers.models import Account, Contact
from app.modules.customers.schemas import AccountCreate, ContactCreate
from app.modules.customers.services.accounts import ACCOUNT, AccountService, account_name_key
from app.modules.customers.services.contacts import ContactService, contact_name_key
from app.modules.customers.services.directory import Directory, account_ref, contact_ref

_NEVER_FILLED = frozenset(
    {
        "external_id",
        "owner_id",
        "team_id",
        "kind",
        "lifecycle_stage",
        "allow_duplicates",
        "account_id",
        "name",
    }
)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The record that a request means, if any, and what else looks like it."""

    row: Any = None
    found: Found = field(default_factory=Found)
    undecided: bool = False


class CustomersOfTenant(Directory):
    """`Customers`: the directory, and finding or making."""

    async def preview(self, request: MatchRequest) -> MatchPreview:
        account_fields = _validated(AccountCreate, request.account, "account")
        account = await self._account(account_fields, request)
        contact, contact_fields = _Choice(), dict[str, Any]()
        if request.contact is not None:
            account_id = account.row.id if account.row is not None else None
            contact_fields = _validated(
                ContactCreate, {**request.contact, "account_id": account_id}, "contact"
            )
            contact = await self._contact(contact_fields, account_id, request)
        accounts, contacts = AccountService(self._uow), ContactService(self._uow)
        await _require_creatable(accounts, account, account_fields, request.account_given)
        if request.contact is not None:
            await _require_creatable(contacts, contact, contact_fields, request.contact_given)
        undecided = [
            name for name, choice in (("account", account), ("contact", contact)) if choice.undecided
        ]
        return MatchPreview(
            account=account_ref(account.row) if account.row is not None else None,
            account_candidates=account.found.candidates,
            account_hidden=account.found.hidden,
            contact=contact_ref(contact.row) if contact.row is not None else None,
            contact_candidates=contact.found.candidates,
            contact_hidden=contact.found.hidden,
            account_filled=tuple(await self._filling(accounts, account.row, account_fields, request)),
            contact_filled=tuple(await self._filling(contacts, contact.row, contact_fields, request)),
            undecided=tuple(undecided),
        )

    async def match_or_create(self, request: MatchRequest) -> Matched:
        accounts, contacts = AccountService(self._uow), ContactService(self._uow)
        fields = _validated(AccountCreate, request.account, "account")
        if request.account_id is None:
            await accounts.finder.lock(fields)
        account = await self._account(fields, request)
        _require_decided(account)
        account_row, account_created, account_filled = await self._settle(accounts, account, fields, request)
        made = Matched(account_ref(account_row), account_created, account_filled)
        if request.contact is None:
            return made
        person = {**request.contact, "account_id": account_row.id}
        fields = _validated(ContactCreate, person, "contact")
        if request.contact_id is None:
            await contacts.finder.lock(fields)
        contact = await self._contact(fields, account_row.id, request)
        _require_decided(contact)
        contact_row, contact_created, contact_filled = await self._settle(contacts, contact, fields, request)
        return Matched(
            account=made.account,
            account_created=account_created,
            account_filled=account_filled,
            contact=contact_ref(contact_row),
            contact_created=contact_created,
            contact_filled=contact_filled,
        )

    async def _account(self, fields: Mapping[str, Any], request: MatchRequest) -> _Choice:
        accounts = AccountService(self._uow)
        if request.account_id is not None:
            return _Choice(await accounts.get(request.account_id, lock=self._lock))
        found = await accounts.finder.find(fields)
        key = account_name_key(fields)
        rows = await self._rows(accounts, found)
        number = fields.get("registration_number")

        def equal(row: Account) -> bool:
            if number and row.registration_number:
                return bool(row.registration_number == number)
            return key is not None and row.name_key == key

        return _chosen(rows, equal, found, request.on_duplicate_account)

    async def _contact(
        self, fields: Mapping[str, Any], account_id: UUID | None, request: MatchRequest
    ) -> _Choice:
        contacts = ContactService(self._uow)
        if request.contact_id is not None:
            row = await contacts.get(request.contact_id, lock=self._lock)
            if account_id is None or not await self.belongs(row.id, account_id):
                raise Invalid.at(
                    "/contact_id", "contact_of_other_account", "This contact has no part in that account."
                )
            return _Choice(row)
        found = await contacts.finder.find(fields)
        rows = await self._rows(contacts, found)
        emails, _ = contacts.duplicates.keys(fields, self._uow.actor.tenant.country)
        key = contact_name_key(fields)

        def equal(row: Contact) -> bool:
            if account_id is None or row.account_id != account_id:
                return False
            if emails and row.email_key:
                return row.email_key in emails
            return row.name_key == key

        return _chosen(rows, equal, found, request.on_duplicate_contact)

    @property
    def _lock(self) -> Any:
        return None if self._uow.read_only else "update"

    async def _rows(self, service: RecordService[Any], found: Found) -> list[Any]:
        """The visible candidates as rows, likeliest first."""
        if not found.candidates:
            return []
        rows = await service.get_many([candidate.id for candidate in found.candidates], lock=self._lock)
        return [rows[candidate.id] for candidate in found.candidates if candidate.id in rows]

    async def _settle(
        self, service: DuplicateAware[Any], choice: _Choice, fields: dict[str, Any], request: MatchRequest
    ) -> tuple[Any, bool, tuple[str, ...]]:
        """(row, whether it was made, the fields that were filled)."""
        if choice.row is None:
            given = request.account_given if service.record is ACCOUNT else request.contact_given
            return await service.create_knowingly(fields, explicit=given), True, ()
        filling = await self._filling(service, choice.row, fields, request)
        if not filling:
            return choice.row, False, ()
        return await service.change(choice.row, filling), False, tuple(filling)

    async def _filling(
        self, service: RecordService[Any], row: Any, fields: Mapping[str, Any], request: MatchRequest
    ) -> dict[str, Any]:
        """What goes into a matched record: only who may change it fills it, and only what they may change."""
        filling = fill(row, fields, request.overwrite_source) if row is not None else {}
        if not filling:
            return {}
        try:
            await service.get(row.id, action="update")
        except Forbidden:  # may be matched by whoever sees it
            return {}
        readonly = self._uow.actor.readonly(service.record.object)
        return {name: value for name, value in filling.items() if name not in readonly}


async def _require_creatable(
    service: RecordService[Any], choice: _Choice, fields: Mapping[str, Any], given: Collection[str]
) -> None:
    """Raises `Forbidden` where a new record is called for that the actor may not make, or not for its owner.

    Raises also `Invalid` for an owner who has left.
    """
    if choice.row is not None or choice.undecided:
        return
    service.require_creatable(given)
    owner = fields.get("owner_id")
    if owner is not None and owner != service.actor.member_id:
        service.actor.require(f"{service.record.object}:assign")
        await service.uow.of(People).require_members([owner], pointer="/owner_id")


def _chosen(rows: Sequence[Any], equal: Any, found: Found, on_duplicate: OnDuplicate) -> _Choice:
    if on_duplicate is OnDuplicate.CREATE:
        return _Choice(None, found)
    same = [row for row in rows if equal(row)]
    if len(same) == 1:
        return _Choice(same[0], found)
    if on_duplicate is OnDuplicate.MATCH:
        return _Choice((same or list(rows) or [None])[0], found)
    return _Choice(None, found, undecided=found.count > 0)


def _require_decided(choice: _Choice) -> None:
    if choice.undecided:
        raise duplicate_found(choice.found)


def fill(row: Any, fields: Mapping[str, Any], overwrite_source: bool) -> dict[str, Any]:
    """What of `fields` goes into the empty fields of a row: nothing there is ever replaced, but the source."""
    filling: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _NEVER_FILLED or _empty(value):
            continue
        if name == "custom":
            missing = {key: item for key, item in value.items() if row.custom.get(key) is None}
            if missing:
                filling["custom"] = missing
        elif name == "tags":
            if not set(value) <= set(row.tags):
                filling["tags"] = list(dict.fromkeys([*row.tags, *value]))[:50]
        elif _empty(row.__dict__.get(name)) or (name == "source" and overwrite_source):
            filling[name] = value
    return {name: value for name, value in filling.items() if row.__dict__.get(name) != value}


def _empty(value: Any) -> bool:
    """Whether nothing is there; zero is something: no credit, due at once."""
    return value is None or value in ("", [], {})


def _validated(schema: type[BaseModel], given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The fields of a create body. Raises `Invalid` with pointers under `prefix`."""
    try:
        body = schema.model_validate(dict(given))
    except ValidationError as error:
        errors = [
            FieldError(f"/{prefix}{pointer_of(found['loc'])}", str(found["type"]), str(found["msg"]))
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Invalid(errors[0].detail, errors=errors) from None
    return {name: getattr(body, name) for name in schema.model_fields}
