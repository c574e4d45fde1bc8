"""SIGKILL while cases are opened, commented and merged: all of it once, every promise right, each answer mailed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.kernel.access import system_actor
from app.kernel.config import Settings
from app.kernel.startup import open_kernel
from app.kernel.uow import transaction
from app.modules.after_sales.services.sla.recompute import recompute_chunk
from app.product import build_registry
from tests.faults.installation import Installation, in_haste, installation, signed_up
from tests.faults.stories import Teller, told
from tests.support.waiting import until

STORIES = 18
Json = dict[str, Any]


@dataclass(frozen=True)
class Came:
    """One story: a case that another was merged into and that is solved, and one that stays open."""

    solved: str
    merged: str
    open: str


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_lose_or_double_nothing_of_cases_and_their_promises(folder: Path) -> None:
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        made: dict[str, str] = {}

        async def first(teller: Teller, _: int) -> None:
            promise = {"first_response_minutes": 60, "next_response_minutes": 30, "resolution_minutes": 480}
            await teller.post("/v1/sla-policies", {"name": "All"} | promise)
            account = await teller.post("/v1/accounts", {"name": "Harbour Pumps"})
            contact = {"account_id": account["id"], "name": "Li Hua", "email": "li@sail.example.com"}
            made["contact"] = (await teller.post("/v1/contacts", contact))["id"]

        async def story(teller: Teller, number: int) -> Came:
            return await tell(teller, number, made["contact"])

        await told(site, key, first, stories=1, victims=["api"])
        victims = ["postgres", "worker", "api", "postgres"]
        came = await told(site, key, story, stories=STORIES, victims=victims)
        async with in_haste(site):
            await happened_once(site, tenant_id, came)
            await promises_hold(site, tenant_id)


async def tell(teller: Teller, number: int, contact: str) -> Came:
    async def opened(what: str) -> str:
        body = {"subject": f"{what} {number}", "contact_id": contact, "dedupe": f"{what} {number}"}
        return str((await teller.post("/v1/cases", body))["id"])

    solved, merged, left = [await opened(what) for what in ("Leak", "Drip", "Noise")]
    for case in (solved, merged, left):
        await teller.post(f"/v1/cases/{case}/comments", {"body": "Anybody there?", "author": "customer"})
    await teller.post(f"/v1/cases/{solved}/comments", {"body": "Yes", "public": True})
    await teller.post(f"/v1/cases/{left}/comments", {"body": "A note", "public": False})
    both = [await version_of(teller, case) for case in (solved, merged)]
    await teller.post("/v1/cases/merge", {"records": both, "master_id": solved})
    now = await version_of(teller, solved)
    await teller.post(f"/v1/cases/{solved}/resolve", {}, version=now["version"])
    return Came(solved, merged, left)


async def version_of(teller: Teller, case: str) -> Json:
    found = await teller.get(f"/v1/cases/{case}")
    return {"id": case, "version": found["version"]}


async def happened_once(site: Installation, tenant_id: UUID, came: list[Came]) -> None:
    connection = await asyncpg.connect(site.database_url)

    async def all_of(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(sql, tenant_id)]

    try:
        assert len(came) == STORIES
        cases = "after_sales.cases WHERE tenant_id = $1"
        states = await all_of(f"SELECT id::text, status, deleted_at IS NOT NULL FROM {cases}")
        assert sorted(states) == sorted(
            [(one.solved, "resolved", False) for one in came]
            + [(one.merged, "new", True) for one in came]
            + [(one.open, "new", False) for one in came]
        )
        numbers = await all_of(f"SELECT count(DISTINCT number) FROM {cases}")
        assert numbers == [(3 * STORIES,)]
        comments = await all_of(
            "SELECT case_id::text, array_agg(body ORDER BY body) FROM after_sales.case_comments"
            " WHERE tenant_id = $1 GROUP BY 1"
        )
        asked = "Anybody there?"
        assert dict(comments) == {one.solved: [asked, asked, "Yes"] for one in came} | {
            one.open: ["A note", asked] for one in came
        }
        clocks = await all_of(
            "SELECT case_id::text, target, ended_at IS NOT NULL, breached_at IS NOT NULL"
            " FROM after_sales.case_clocks WHERE tenant_id = $1"
        )
        wanted = [
            (case, target, ended, False)
            for one in came
            for case, ended in ((one.solved, True), (one.merged, False), (one.open, False))
            for target in ("first_response", "resolution")
        ]
        assert sorted(clocks) == sorted(wanted)
        await mailed_once(connection, tenant_id, came)
    finally:
        await connection.close()


async def mailed_once(connection: asyncpg.Connection[Any], tenant_id: UUID, came: list[Came]) -> None:
    """The one answer of each story goes to the customer once, though the worker was killed meanwhile."""
    found: dict[str, int] = {}

    async def all_mailed() -> bool:
        rows = await connection.fetch(
            "SELECT case_id::text, count(*) AS mails FROM after_sales.case_mails WHERE tenant_id = $1 GROUP BY 1",
            tenant_id,
        )
        found.update({row["case_id"]: row["mails"] for row in rows})
        return len(found) == STORIES

    await until(all_mailed, every=0.2)
    assert found == {one.solved: 1 for one in came}
    ordered = await connection.fetchval(
        "SELECT count(*) FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send'", tenant_id
    )
    assert ordered == STORIES + 1  # the other one greets who signed up


async def promises_hold(site: Installation, tenant_id: UUID) -> None:
    """Working out every open deadline anew changes none."""
    settings = Settings(environment="test", database_url=site.database_url, data_dir=site.data_dir)
    async with open_kernel(settings, build_registry()) as kernel:
        tenants = await kernel.authenticator.active_tenants()
        (tenant,) = [one for one in tenants if one.id == tenant_id]
        async with transaction(kernel, system_actor(tenant)) as uow:
            found = await recompute_chunk(uow, UUID(int=0))
    assert found is not None
    assert found[1:] == (STORIES, 0)
