"""SIGKILL to API, worker and PostgreSQL while several clients write: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson
import pytest

from app.kernel.audit_seal import seal, verify
from app.kernel.config import Settings
from app.kernel.startup import open_kernel
from app.product import build_registry
from tests.faults.installation import Installation, in_haste, installation, signed_up
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import PATIENCE, until

WRITES = 2_000
CLIENTS = 8
VICTIMS = ["api", "postgres", "worker", "api", "worker", "postgres", "api"]


class Writers:
    """Clients that send every write until it is acknowledged, always under the same key."""

    def __init__(self, site: Installation, key: str) -> None:
        self._site = site
        self._headers = {"Authorization": f"Bearer {key}"}
        self.acknowledged: dict[str, str] = {}
        self.failures: Counter[str] = Counter()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(self._client(client))

    async def _client(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self._site.url, timeout=10) as http:
            for item in range(number, WRITES, CLIENTS):
                await self._write(http, f"Lead {item}")

    async def _write(self, http: httpx.AsyncClient, name: str) -> None:
        headers = self._headers | {"Idempotency-Key": str(uuid4())}
        while True:
            try:
                answer = await http.post("/v1/leads", json={"name": name}, headers=headers)
            except httpx.HTTPError as error:
                self.failures[type(error).__name__] += 1
            else:
                if answer.status_code == 201:
                    self.acknowledged[name] = answer.json()["id"]
                    return
                self.failures[str(answer.status_code)] += 1
                # Everything but these would be a wrong answer to a right request.
                assert answer.status_code in (409, 503), f"{answer.text}\n{self._site.said('api')}"
                assert answer.status_code != 409 or answer.json()["code"] == "request_in_flight"
            await asyncio.sleep(0.05)


async def kill_at_random_moments(site: Installation, writers: Writers) -> None:
    """One victim after the other, each after some more writes."""
    moments = random.Random(7)
    for number, victim in enumerate(VICTIMS):
        wanted = (number + 1) * WRITES // (len(VICTIMS) + 2)
        while len(writers.acknowledged) < wanted:  # noqa: ASYNC110 - the server's answers move it
            await asyncio.sleep(0.01)
        await asyncio.sleep(moments.uniform(0, 0.1))
        await site.kill_and_restart(victim)


def delivered(receiver: Receiver) -> set[str]:
    return {orjson.loads(request.body)["data"]["id"] for request in receiver.received}


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_during_writes_lose_and_double_nothing(folder: Path):
    async with installation(folder) as site, receiving() as receiver:
        tenant_id, key = await signed_up(site)
        async with httpx.AsyncClient(base_url=site.url, timeout=PATIENCE) as http:
            body = {"url": receiver.url, "event_types": ["leads.lead.created.v1"]}
            bearer = {"Authorization": f"Bearer {key}"}
            (await http.post("/v1/webhook-endpoints", json=body, headers=bearer)).raise_for_status()

        writers = Writers(site, key)
        async with asyncio.TaskGroup() as group:
            group.create_task(writers.run())
            group.create_task(kill_at_random_moments(site, writers))

        assert len(writers.acknowledged) == WRITES
        assert writers.failures, "the kills hit nobody: the test proves nothing"
        await stored_once(site, tenant_id, writers.acknowledged)
        wanted = set(writers.acknowledged.values())
        async with in_haste(site):
            await until(lambda: wanted <= delivered(receiver), every=0.1)
        await audit_verifies(site, tenant_id)


async def stored_once(site: Installation, tenant_id: UUID, acknowledged: dict[str, str]) -> None:
    """Each acknowledged write is one row, one audit entry, one event, under the id that was answered."""
    connection = await asyncpg.connect(site.database_url)
    try:
        rows = await connection.fetch(
            "SELECT name, id::text FROM leads.leads WHERE tenant_id = $1", tenant_id
        )
        assert len(rows) == WRITES
        assert {row["name"]: row["id"] for row in rows} == acknowledged
        for table, condition in (
            ("kernel.audit_entries", "object = 'lead' AND action = 'created'"),
            ("kernel.outbox", "type = 'leads.lead.created.v1'"),
        ):
            counted = await connection.fetchrow(
                f"SELECT count(*) AS all, count(DISTINCT record_id) AS different FROM {table}"
                f" WHERE tenant_id = $1 AND {condition}",
                tenant_id,
            )
            assert counted is not None
            assert (counted["all"], counted["different"]) == (WRITES, WRITES), table
    finally:
        await connection.close()


async def audit_verifies(site: Installation, tenant_id: UUID) -> None:
    """What the killed worker sealed and what is sealed since are one unbroken chain."""
    settings = Settings(environment="test", database_url=site.database_url, data_dir=site.data_dir)
    async with open_kernel(settings, build_registry()) as kernel:
        report = await verify(kernel, tenant_id)
        async with asyncio.timeout(PATIENCE):
            # The living worker may have the chain in hand: then sealing here does nothing, and soon it has grown.
            while report.unsealed and report.broken is None:
                await seal(kernel)
                await asyncio.sleep(0.1)
                report = await verify(kernel, tenant_id)
    assert report.broken is None
    assert report.intact
    assert report.sealed >= WRITES
    assert report.unsealed == 0
