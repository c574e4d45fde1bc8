"""`/v1/accounts` and `/v1/contacts`, beyond what every record type has."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Response

from app.kernel.duplicate_router import duplicate_routes
from app.kernel.errors import StaleVersion, problems
from app.kernel.record_router import etag, record_router
from app.kernel.records import to_json
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Output
from app.kernel.uow import UnitOfWork
from app.modules.customers.models import Contact
from app.modules.customers.schemas import (
    AccountQuery,
    Committee,
    ConsentInput,
    ConsentRead,
    ContactQuery,
    ContactRead,
    ContactRoleRead,
    Hierarchy,
    Overview,
    RoleInput,
)
from app.modules.customers.services.accounts import ACCOUNT, AccountService
from app.modules.customers.services.consents import consent_history, record_consent
from app.modules.customers.services.contacts import CONTACT, ContactService
from app.modules.customers.services.overview import account_overview

router = Router(prefix="/v1", tags=["customers"])
ROUTERS = (
    record_router(ACCOUNT),
    record_router(CONTACT),
    duplicate_routes(ACCOUNT, AccountQuery),
    duplicate_routes(CONTACT, ContactQuery),
    router,
)

AccountId = Annotated[UUID, Path(description="The account in which the part is played.")]


class Roles(Output):
    """A contact's parts in accounts, the first account first."""

    data: list[ContactRoleRead]


class Consents(Output):
    """What was said, newest first."""

    data: list[ConsentRead]


@router.get("/accounts/{id}/overview", access="account:read", response_model=Overview)
async def get_account_overview(uow: Uow, id: UUID) -> Response:
    """The 360° view: the account, its people, what happened, what is next, and what other modules know."""
    return Response(to_json(await account_overview(uow, id)), media_type="application/json")


@router.get("/accounts/{id}/hierarchy", access="account:read")
async def get_account_hierarchy(uow: Uow, id: UUID) -> Hierarchy:
    """The tree of parents and subsidiaries that this account stands in."""
    return await AccountService(uow).hierarchy(id)


@router.get("/accounts/{id}/committee", access="account:read")
async def get_account_committee(uow: Uow, id: UUID) -> Committee:
    """The buying committee: the account's people by the role they play."""
    return await ContactService(uow).committee(id)


@router.get("/contacts/{id}/roles", access="contact:read")
async def list_contact_roles(uow: Uow, id: UUID) -> Roles:
    """The accounts in which a contact plays a part."""
    return Roles(data=await ContactService(uow).roles(id))


@router.put(
    "/contacts/{id}/roles/{account_id}",
    access="contact:update",
    response_model=ContactRead,
    responses=problems(StaleVersion),
)
async def set_contact_role(
    uow: Uow, id: UUID, account_id: AccountId, part: RoleInput, version: IfMatch
) -> Response:
    """Give a contact a part in an account, or another one; the version is the contact's."""
    service = ContactService(uow)
    return _contact(uow, await service.set_role(id, account_id, part, expected_version=version))


@router.delete(
    "/contacts/{id}/roles/{account_id}",
    access="contact:update",
    response_model=ContactRead,
    responses=problems(StaleVersion),
)
async def remove_contact_role(uow: Uow, id: UUID, account_id: AccountId, version: IfMatch) -> Response:
    """End a contact's part in an account; the version is the contact's."""
    return _contact(uow, await ContactService(uow).remove_role(id, account_id, expected_version=version))


def _contact(uow: UnitOfWork, row: Contact) -> Response:
    body: Any = CONTACT.dump(row, uow.actor.hidden("contact"))
    return Response(body, media_type="application/json", headers={"ETag": etag(row.version)})


@router.post("/accounts/{id}/consents", access="account:update", status_code=201)
async def record_account_consent(uow: Uow, id: UUID, said: ConsentInput) -> ConsentRead:
    """Record what an account said about being reached on a channel."""
    return await record_consent(AccountService(uow), id, said)


@router.get("/accounts/{id}/consents", access="account:read")
async def list_account_consents(uow: Uow, id: UUID) -> Consents:
    """Everything an account ever said about being reached, newest first."""
    return Consents(data=await consent_history(AccountService(uow), id))


@router.post("/contacts/{id}/consents", access="contact:update", status_code=201)
async def record_contact_consent(uow: Uow, id: UUID, said: ConsentInput) -> ConsentRead:
    """Record what a contact said about being reached on a channel."""
    return await record_consent(ContactService(uow), id, said)


@router.get("/contacts/{id}/consents", access="contact:read")
async def list_contact_consents(uow: Uow, id: UUID) -> Consents:
    """Everything a contact ever said about being reached, newest first."""
    return Consents(data=await consent_history(ContactService(uow), id))
