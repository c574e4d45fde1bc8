"""What the tests of the service desk share."""

from __future__ import annotations

from typing import Any

from app.kernel.outbox import Relay
from tests.modules.after_sales.cases.cases import case_of
from tests.support.api import Client, Company

Json = dict[str, Any]


async def queue_of(owner: Client, *members: Client, name: str = "Repairs", **fields: Any) -> Json:
    ids = [await member_id(member) for member in members]
    made: Json = await owner.ok("POST", "/v1/queues", json={"name": {"en": name}, "member_ids": ids} | fields)
    return made


async def member_id(client: Client) -> str:
    return str((await client.ok("GET", "/v1/me"))["member_id"])


async def online(*agents: Client) -> None:
    for agent in agents:
        await agent.ok("POST", "/v1/desk/presence", json={"status": "online"})


async def bear(owner: Client, agent: Client, capacity: int) -> None:
    """Give an agent a capacity of their own, online."""
    id = await member_id(agent)
    now = await owner.ok("GET", f"/v1/agents/{id}")
    body = {"status": "online", "capacity": capacity}
    await owner.ok("PUT", f"/v1/agents/{id}", json=body, if_match=now["version"])


async def waiting(owner: Client, queue: Json, count: int = 1, **fields: Any) -> list[Json]:
    """Cases that wait in a queue, oldest first."""
    return [await case_of(owner, queue_id=queue["id"], **fields) for _ in range(count)]


async def relayed(company: Company) -> None:
    """Let reactions run to what has happened so far."""
    kernel = company.app.kernel
    assert kernel is not None
    while await Relay(kernel).run_once():
        pass
