"""`/v1/accounts` and `/v1/contacts`, beyond what every record type has, and `/v1/pools`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Query, Response

from app.kernel.duplicate_router import duplicate_routes
from app.kernel.errors import StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import record_response, record_router, tag
from app.kernel.records import to_json
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import BatchAnswer, Output, Page
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of, set_fields_of
from app.modules.customers.interface import (
    AlreadyPooled,
    ClaimLimitReached,
    ClaimRequestLimitReached,
    FormerOwnerBanned,
    HoldingLimitReached,
    LastEnabledPool,
    NoPool,
    NotInPool,
    PoolDisabled,
    PoolEmbargo,
    PoolMovementRead,
    PoolNotEmpty,
    PoolRelease,
    Pools,
)
from app.modules.customers.schemas import (
    AccountQuery,
    AccountRead,
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
from app.modules.customers.services.pools.claims import Claims
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.distribution import Distributor
from app.modules.customers.services.pools.movements import Movements
from app.modules.customers.services.pools.pools import PoolService
from app.modules.customers.services.pools.schemas import (
    Claim,
    Distribution,
    DistributionAnswer,
    PoolCreate,
    PoolList,
    PoolRead,
    PoolUpdate,
)

router = Router(prefix="/v1", tags=["customers"])
pools = Router(prefix="/v1", tags=["pools"])
ROUTERS = (
    record_router(ACCOUNT),
    record_router(CONTACT),
    duplicate_routes(ACCOUNT, AccountQuery),
    duplicate_routes(CONTACT, ContactQuery),
    router,
    pools,
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
    return record_response(
        uow, CONTACT, await service.set_role(id, account_id, part, expected_version=version)
    )


@router.delete(
    "/contacts/{id}/roles/{account_id}",
    access="contact:update",
    response_model=ContactRead,
    responses=problems(StaleVersion),
)
async def remove_contact_role(uow: Uow, id: UUID, account_id: AccountId, version: IfMatch) -> Response:
    """End a contact's part in an account; the version is the contact's."""
    return record_response(
        uow, CONTACT, await ContactService(uow).remove_role(id, account_id, expected_version=version)
    )


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


# -- public pools --------------------------------------------------------------------------------------------

_CLAIM = problems(
    NotInPool, PoolDisabled, HoldingLimitReached, ClaimRequestLimitReached, ClaimLimitReached, FormerOwnerBanned,
    PoolEmbargo,
)  # fmt: skip


@pools.get("/pools", access="pool:read")
async def list_pools(
    uow: Uow,
    kind: Annotated[
        Literal["account", "lead"] | None, Query(alias="object", description="Only these.")
    ] = None,
) -> PoolList:
    """All pools with their people and rules, oldest first."""
    return PoolList(data=await PoolService(uow).all(kind))


@pools.get("/pools/{id}", access="pool:read")
async def get_pool(uow: Uow, id: UUID, response: Response) -> PoolRead:
    """One pool with its people and rules."""
    return _tagged(response, await PoolService(uow).get(id))


@pools.post("/pools", access="pool:manage", status_code=201)
async def create_pool(uow: Uow, given: PoolCreate, response: Response) -> PoolRead:
    """Make a pool for accounts or for leads."""
    made = _tagged(response, await PoolService(uow).create(fields_of(given)))
    response.headers["Location"] = f"/v1/pools/{made.id}"
    return made


@pools.patch("/pools/{id}", access="pool:manage", responses=problems(LastEnabledPool))
async def update_pool(
    uow: Uow,
    id: UUID,
    given: PoolUpdate,  # type: ignore[valid-type]
    version: IfMatch,
    response: Response,
) -> PoolRead:
    """Change a pool's people, limits and rules, or switch it on and off."""
    changes = set_fields_of(given)
    return _tagged(response, await PoolService(uow).update(id, changes, expected_version=version))


@pools.delete("/pools/{id}", access="pool:manage", status_code=204, responses=problems(PoolNotEmpty))
async def delete_pool(uow: Uow, id: UUID, version: IfMatch) -> None:
    """Delete a pool in which nothing lies."""
    await PoolService(uow).delete(id, expected_version=version)


@pools.post("/pools/{id}/claim", access="pool:claim", status_code=207, responses=problems(PoolDisabled))
async def claim_pool_records(uow: Uow, id: UUID, given: Claim) -> BatchAnswer:
    """Claim up to 50 records, first come first served; results come in the order of the ids."""
    return await Claims(uow).claim(id, given)


@pools.post("/pools/{id}/distribute", access="pool:claim", status_code=207)
async def distribute_pool_records(uow: Uow, id: UUID, given: Distribution) -> DistributionAnswer:
    """Give records to a member, or in turn to several. For administrators of the pool; only holding limits count."""
    return await Distributor(uow).distribute(id, given)


@pools.get("/pools/{id}/movements", access="pool:read")
async def list_pool_movements(
    uow: Uow, id: UUID, limit: Limit = 50, cursor: Cursor = None
) -> Page[PoolMovementRead]:
    """What came into a pool and went out of it, newest first. For administrators of the pool."""
    (await Desk(uow).standing(id)).require_admin()
    return await Movements(uow).page({"pool_id": id}, f"movements:{id}", limit=limit, cursor=cursor)


@pools.post("/accounts/{id}/claim", access="pool:claim", response_model=AccountRead, responses=_CLAIM)
async def claim_account(uow: Uow, id: UUID) -> Response:
    """Claim an account from the pool that it lies in."""
    await uow.of(Pools).claim("account", id)
    return await _account(uow, id)


@pools.post(
    "/accounts/{id}/release",
    access="account:update",
    status_code=204,
    responses=problems(AlreadyPooled, NoPool, PoolDisabled, StaleVersion, VersionRequired),
)
async def release_account(uow: Uow, id: UUID, given: PoolRelease, version: IfMatch) -> None:
    """Put an account into a pool; its contacts belong to nobody then. You may not see it afterwards."""
    await uow.of(Pools).release("account", id, given, expected_version=version)


@pools.post(
    "/accounts/{id}/lock",
    access="pool:manage",
    response_model=AccountRead,
    responses=problems(StaleVersion, VersionRequired),
)
async def lock_account(uow: Uow, id: UUID, version: IfMatch) -> Response:
    """Keep an account from being recycled."""
    await uow.of(Pools).lock("account", id, locked=True, expected_version=version)
    return await _account(uow, id)


@pools.post(
    "/accounts/{id}/unlock",
    access="pool:manage",
    response_model=AccountRead,
    responses=problems(StaleVersion, VersionRequired),
)
async def unlock_account(uow: Uow, id: UUID, version: IfMatch) -> Response:
    """Let an account be recycled again."""
    await uow.of(Pools).lock("account", id, locked=False, expected_version=version)
    return await _account(uow, id)


@pools.get("/accounts/{id}/pool-movements", access="account:read")
async def list_account_pool_movements(
    uow: Uow, id: UUID, limit: Limit = 50, cursor: Cursor = None
) -> Page[PoolMovementRead]:
    """An account's ways into pools and out of them, newest first: who had it from when to when, and why it left."""
    return await uow.of(Pools).movements("account", id, limit=limit, cursor=cursor)


def _tagged(response: Response, pool: PoolRead) -> PoolRead:
    tag(response, pool)
    return pool


async def _account(uow: UnitOfWork, id: UUID) -> Response:
    return record_response(uow, ACCOUNT, await AccountService(uow).get(id))
