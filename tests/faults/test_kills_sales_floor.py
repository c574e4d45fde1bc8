"""SIGKILL while accounts go into pools and out, leads are merged and forms are sent: all of it once, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.faults.installation import installation, signed_up
from tests.faults.stories import Teller, told

STORIES = 90


@dataclass(frozen=True)
class Came:
    """One story: an account that was released and claimed, two leads that became one, a form that was sent."""

    account: str
    survivor: str
    merged: str


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_leave_no_half_claim_merge_or_submission(folder: Path):
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        made: dict[str, str] = {}

        async def story(teller: Teller, number: int) -> Came:
            account = await teller.post("/v1/accounts", {"name": f"Account {number}"})
            path = f"/v1/accounts/{account['id']}"
            await teller.post(
                f"{path}/release", {"reason": "no time", "pool_id": made["pool"]}, version=account["version"]
            )
            await teller.post(f"{path}/claim")
            pair = [await teller.post("/v1/leads", {"name": f"Lead {number} {side}"}) for side in "ab"]
            records = [{"id": lead["id"], "version": lead["version"]} for lead in pair]
            await teller.post("/v1/leads/merge", {"records": records, "master_id": pair[0]["id"]})
            await teller.post(
                f"/v1/forms/{made['form']}/submissions",
                {"name": f"Guest {number}", "email": f"guest{number}@example.com"},
            )
            return Came(account["id"], pair[0]["id"], pair[1]["id"])

        async def prepare(teller: Teller, number: int) -> None:
            pool = await teller.post("/v1/pools", {"object": "account", "name": {"en": "East"}})
            fields = [{"name": name, "label": {"en": name}, "required": True} for name in ("name", "email")]
            form = await teller.post(
                "/v1/forms",
                {"name": {"en": "Contact"}, "fields": fields, "min_seconds": 0, "limit_per_address": 10_000},
            )
            made.update(pool=pool["id"], form=form["public_key"])

        await told(site, key, prepare, stories=1, victims=["api"])
        came = await told(
            site, key, story, stories=STORIES, victims=["postgres", "api", "worker", "postgres", "api"]
        )
        await happened_once(site.database_url, tenant_id, came)


async def happened_once(url: str, tenant_id: UUID, came: list[Came]) -> None:
    connection = await asyncpg.connect(url)

    async def all_of(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(sql, tenant_id)]

    try:
        assert len(came) == STORIES
        movements = await all_of(
            "SELECT record_id::text, array_agg(kind ORDER BY at) FROM customers.pool_movements"
            " WHERE tenant_id = $1 GROUP BY 1"
        )
        assert dict(movements) == {one.account: ["released", "claimed"] for one in came}
        held = await all_of(
            "SELECT count(*) FROM customers.accounts"
            " WHERE tenant_id = $1 AND deleted_at IS NULL AND owner_id IS NOT NULL AND pool_id IS NULL"
        )
        assert held == [(STORIES,)]
        leads = await all_of(
            "SELECT id::text FROM leads.leads WHERE tenant_id = $1 AND deleted_at IS NULL AND name LIKE 'Lead %'"
        )
        assert {id for (id,) in leads} == {one.survivor for one in came}
        merges = await all_of("SELECT survivor_id::text FROM kernel.merges WHERE tenant_id = $1")
        assert sorted(id for (id,) in merges) == sorted(one.survivor for one in came)
        guests = await all_of(
            "SELECT count(*), count(DISTINCT email) FROM leads.leads WHERE tenant_id = $1 AND name LIKE 'Guest %'"
        )
        assert guests == [(STORIES, STORIES)]
        sent = await all_of("SELECT count(*) FROM leads.form_submissions WHERE tenant_id = $1")
        assert sent == [(STORIES,)]
    finally:
        await connection.close()
