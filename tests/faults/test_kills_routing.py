"""SIGKILL while cases are pulled and pushed: each goes to one agent, once, none is lost, nobody is overburdened."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.faults.installation import PASSWORD, Installation, in_haste, installation, signed_up
from tests.faults.stories import Teller, told
from tests.support.waiting import PATIENCE, until

STORIES = 90
AGENTS = 3
CAPACITY = 2 * STORIES // AGENTS  # with the usual weight of 2, all agents together hold just what is pushed


@dataclass(frozen=True)
class Came:
    """One story: a case that was to be pushed, one that was to be pulled, and the one that was pulled."""

    pushed: str
    waiting: str
    pulled: str


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_leave_no_case_with_two_agents_or_none(folder: Path):
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        agents = [await joined(site, number) for number in range(AGENTS + 1)]
        made = await desk(site, key, [id for id, _ in agents])
        puller = {"Authorization": f"Bearer {agents[-1][1]}"}

        async def story(teller: Teller, number: int) -> Came:
            pushed = await teller.post("/v1/cases", {"subject": f"Push {number}", "queue_id": made["push"]})
            waiting = await teller.post("/v1/cases", {"subject": f"Pull {number}", "queue_id": made["pull"]})
            while True:  # others may be taking the last case just then
                headers = puller | {"Idempotency-Key": str(uuid4())}
                taken = await teller.send("POST", f"/v1/queues/{made['pull']}/pull", headers=headers)
                if taken["case"] is not None:
                    return Came(pushed["id"], waiting["id"], taken["case"]["id"])

        came = await told(
            site, key, story, stories=STORIES, victims=["worker", "postgres", "api", "worker", "postgres"]
        )
        await happened_once(site, tenant_id, came, [id for id, _ in agents])


async def joined(site: Installation, number: int) -> tuple[str, str]:
    """Somebody whom the owner invited, and who joined: their member id and access token."""
    async with httpx.AsyncClient(base_url=site.url, timeout=PATIENCE) as http:
        owner = {"email": "olivia@example.com", "password": PASSWORD}
        token = (await http.post("/v1/sessions", json=owner)).raise_for_status().json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        roles = (await http.get("/v1/roles", headers=bearer)).raise_for_status().json()["data"]
        role = next(one["id"] for one in roles if one["key"] == "salesperson")
        email = f"agent{number}@example.com"
        body = {"email": email, "name": f"Agent {number}", "role_ids": [role]}
        (await http.post("/v1/invitations", json=body, headers=bearer)).raise_for_status()
        form = {"token": await mailed_token(site, email), "password": PASSWORD}
        answer = (await http.post("/v1/invitations/accept", json=form)).raise_for_status().json()
        mine = {"Authorization": f"Bearer {answer['access_token']}"}
        me = (await http.get("/v1/me", headers=mine)).raise_for_status().json()
        return me["member_id"], answer["access_token"]


async def mailed_token(site: Installation, email: str) -> str:
    """The token of an invitation, from the mail in the folder of development or the queue before it."""
    connection = await asyncpg.connect(site.database_url)
    try:
        text: str | None = None
        deadline = time.monotonic() + PATIENCE
        while text is None and time.monotonic() < deadline:
            text = await connection.fetchval(
                "SELECT payload->>'text' FROM kernel.jobs WHERE name = 'mail.send' AND payload->>'to' = $1",
                email,
            )
        assert text is not None
        return text.split("#token=")[1].split()[0]
    finally:
        await connection.close()


async def desk(site: Installation, key: str, agents: list[str]) -> dict[str, str]:
    """A queue that is pushed to all agents but the last, and one that the last pulls from."""
    headers = {"Authorization": f"Bearer {key}"}
    found: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=PATIENCE) as http:
        for routing, members in (("push", agents[:-1]), ("pull", agents[-1:])):
            body = {"name": {"en": routing}, "routing": routing, "member_ids": members}
            found[routing] = (await http.post("/v1/queues", json=body)).raise_for_status().json()["id"]
        for id in agents:
            present = {"status": "online", "capacity": CAPACITY if id != agents[-1] else 1_000}
            path = f"/v1/agents/{id}"
            (await http.put(path, json=present, headers={"If-Match": '"0"'})).raise_for_status()
    return found


async def happened_once(site: Installation, tenant_id: UUID, came: list[Came], agents: list[str]) -> None:
    connection = await asyncpg.connect(site.database_url)

    async def all_of(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(sql, tenant_id)]

    try:
        assert len(came) == STORIES

        async def routed() -> bool:
            waiting = "SELECT 1 FROM after_sales.cases WHERE tenant_id = $1 AND owner_id IS NULL"
            return await all_of(waiting) == []

        async with in_haste(site):
            await until(routed, every=0.2)
        owners = dict(
            await all_of("SELECT id::text, owner_id::text FROM after_sales.cases WHERE tenant_id = $1")
        )
        assert len(owners) == 2 * STORIES
        assert sorted(one.pulled for one in came) == sorted(one.waiting for one in came)
        assert {owners[one.pulled] for one in came} == {agents[-1]}
        assert Counter(owners[one.pushed] for one in came) == dict.fromkeys(agents[:-1], STORIES // AGENTS)
        for told_once in (
            "kernel.outbox WHERE tenant_id = $1 AND type = 'after_sales.case.assigned.v1'",
            "kernel.audit_entries WHERE tenant_id = $1 AND object = 'case' AND action = 'taken'",
        ):
            counted = await all_of(f"SELECT record_id::text, count(*) FROM {told_once} GROUP BY 1")
            assert dict(counted) == dict.fromkeys(owners, 1)
    finally:
        await connection.close()
