"""What the tests of contracts share: a contract in each state, its plan, and the calendar's work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.kernel.registry import Schedule
from app.kernel.schedules import ScheduledRun
from app.modules.contracts import jobs
from tests.modules.support import actor_of, make
from tests.support.api import Client, Company

Json = dict[str, Any]


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def pointers(answer: Any) -> list[tuple[str, str]]:
    """Status must be 422; where and what was wrong."""
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def draft(client: Client, **fields: Any) -> Json:
    """A draft over 1,200.00 for the year 2026, with an account of its own unless one is given."""
    if "account_id" not in fields:
        fields["account_id"] = (await make(client, "accounts", name="Acme"))["id"]
    body = {
        "title": "Maintenance",
        "value": money("1200.00"),
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
    } | fields
    return await make(client, "contracts", **body)


async def again(client: Client, contract: Mapping[str, Any]) -> Json:
    """The contract as it is by now."""
    found: Json = await client.ok("GET", f"/v1/contracts/{contract['id']}")
    return found


async def act(client: Client, contract: Mapping[str, Any], step: str, **body: Any) -> Json:
    """Take a step at whatever version the contract is."""
    version = (await again(client, contract))["version"]
    path = f"/v1/contracts/{contract['id']}/{step}"
    done: Json = await client.ok("POST", path, json=body or None, if_match=version)
    return done


async def try_act(client: Client, contract: Mapping[str, Any], step: str, **body: Any) -> Any:
    version = (await again(client, contract))["version"]
    return await client.post(f"/v1/contracts/{contract['id']}/{step}", body or None, if_match=version)


async def put(client: Client, contract: Mapping[str, Any], part: str, **body: Any) -> Json:
    """Replace a part at whatever version the contract is."""
    version = (await again(client, contract))["version"]
    path = f"/v1/contracts/{contract['id']}/{part}"
    done: Json = await client.ok("PUT", path, json=body, if_match=version)
    return done


async def try_put(client: Client, contract: Mapping[str, Any], part: str, **body: Any) -> Any:
    version = (await again(client, contract))["version"]
    return await client.put(f"/v1/contracts/{contract['id']}/{part}", body, if_match=version)


async def part(client: Client, contract: Mapping[str, Any], name: str) -> list[Json]:
    found: list[Json] = (await client.ok("GET", f"/v1/contracts/{contract['id']}/{name}"))["data"]
    return found


async def sign(client: Client, contract: Mapping[str, Any], **body: Any) -> Json:
    """Submit a draft that nobody has to approve, and sign it."""
    await act(client, contract, "submit")
    return await act(client, contract, "activate", **body)


async def signed(client: Client, plan: list[Json] | None = None, **fields: Any) -> Json:
    """A contract in force, with this plan."""
    made = await draft(client, **fields)
    if plan is not None:
        await put(client, made, "plan", items=plan)
    return await sign(client, made)


def item(label: str, *, percent: str | None = None, amount: Any = None, **due: Any) -> Json:
    share = {"percent": percent} if percent is not None else {"amount": amount}
    return {"label": label, **share, "due": due}


async def calendar(company: Company, name: str = "follow_calendar") -> None:
    """What the schedule does, at once."""
    await getattr(jobs, name)(ScheduledRun(company.kernel, (await actor_of(company)).tenant))


def schedule(company: Company) -> Schedule:
    """The registered schedule."""
    return next(s for s in company.kernel.registry.schedules if s.name == "contracts.calendar")


def ids(rows: list[Json]) -> list[UUID]:
    return [UUID(row["id"]) for row in rows]
