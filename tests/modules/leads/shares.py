"""What tests of assignment share: people to share leads out to, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock
from app.kernel.uow import UnitOfWork, transaction
from tests.modules.support import actor_of
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

MONDAY = datetime(2026, 6, 1, 9, tzinfo=UTC)  # the default hours begin


async def people(company: Company, look: Look, number: int, **more: Any) -> list[Client]:
    """So many salespeople; their clients."""
    return [await colleague(company, look, **more) for _ in range(number)]


def ids(clients: list[Client]) -> list[str]:
    return [client.facts["member_id"] for client in clients]


async def team_of(
    company: Company, look: Look, number: int, name: str = "Inside sales"
) -> tuple[str, list[str]]:
    """A team with so many salespeople: its id, and theirs."""
    team = await company.owner.ok("POST", "/v1/teams", json={"name": name})
    return team["id"], ids(await people(company, look, number, team_ids=[team["id"]]))


async def rule(owner: Client, **fields: Any) -> dict[str, Any]:
    """A rule; anybody may get a lead unless `presence` says otherwise."""
    body = {"name": fields.get("name") or f"Rule {fields.get('position', 0)}", "presence": "any"} | fields
    made: dict[str, Any] = await owner.ok("POST", "/v1/lead-assignment-rules", json=body)
    return made


def where(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"or": [{"and": [{"field": field, "op": op, "value": value}]}]}


async def activate(owner: Client) -> None:
    await owner.ok("PUT", "/v1/lead-assignment", json={"active": True}, if_match=0)


async def api_key(owner: Client) -> Client:
    """A program of the owner's."""
    grants = {"lead:create": "all", "lead:read": "all", "lead:import": "all"}
    made = await owner.ok("POST", "/v1/api-keys", json={"name": "Web", "grants": grants})
    return Client(owner.http, token=made["key"])


@contextmanager
def clock_of(company: Company, at: datetime = MONDAY) -> Iterator[FixedClock]:
    """The product's clock held; credentials are of another time, so inside this nobody signs in."""
    kernel = company.app.kernel
    assert kernel is not None
    former, held = kernel.clock, FixedClock(at)
    kernel.clock = held
    try:
        yield held
    finally:
        kernel.clock = former


@asynccontextmanager
async def system(company: Company) -> AsyncIterator[UnitOfWork]:
    """A transaction of the product itself."""
    kernel = company.app.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    async with transaction(kernel, system_actor(profile)) as uow:
        yield uow


async def lead_rows(company: Company) -> list[dict[str, Any]]:
    async with system(company) as uow:
        rows = await uow.fetch(
            "SELECT * FROM leads.leads WHERE tenant_id = $1 ORDER BY created_at, id", uow.tenant_id
        )
        return [dict(row) for row in rows]


async def events(company: Company, kind: str) -> list[dict[str, Any]]:
    """The payloads of published events of one type, oldest first."""
    async with system(company) as uow:
        rows = await uow.fetch(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = $2 ORDER BY at, id",
            uow.tenant_id,
            kind,
        )
        return [row["data"] for row in rows]


async def owner_actor(company: Company) -> Any:
    return await actor_of(company)


def uuid(text: str) -> UUID:
    return UUID(text)
