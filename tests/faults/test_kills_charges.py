"""SIGKILL between the charge and its booking: Stripe took the money, nobody here knows it yet, and it is taken once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.faults.installation import Installation, installation, signed_up
from tests.support.stripe_fake import KEY, SECRET, StripeFake, stripe_fake

PATIENCE = 120.0


@pytest.mark.faults
@pytest.mark.slow
async def test_a_worker_killed_between_charge_and_commit_charges_once(folder: Path) -> None:
    async with stripe_fake() as fake:
        settings = {
            "RAPPORT_PAYMENT_PROVIDER": "stripe",
            "RAPPORT_STRIPE_SECRET_KEY": KEY,
            "RAPPORT_STRIPE_WEBHOOK_SECRETS": f'["{SECRET}"]',
            "RAPPORT_STRIPE_API_URL": fake.url,
        }
        async with installation(folder, settings) as site:
            tenant_id, key = await signed_up(site)
            site.kill("worker")
            await _store(site, fake, key)
            connection = await asyncpg.connect(site.database_url)
            try:
                await _trial_is_over(connection, tenant_id)
                await _killed_while_charging(site, fake)
                assert await _standing(connection, tenant_id) == [("open", "started")]
                assert fake.taken == [1500]
                await connection.execute("UPDATE tenants.payment_attempts SET claimed_until = now()")
                await connection.execute("DELETE FROM kernel.schedule_runs")
                site.start_process("worker")
                async with asyncio.timeout(PATIENCE):
                    while await _standing(connection, tenant_id) != [("paid", "succeeded")]:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                payments = await connection.fetch("SELECT amount, applied FROM tenants.bill_payments")
                assert [tuple(row) for row in payments] == [(1500, 1500)]
            finally:
                await connection.close()
        assert fake.taken == [1500]


async def _store(site: Installation, fake: StripeFake, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=30) as http:
        body = {"reference": fake.method("pm_good")}
        (await http.post("/v1/billing/payment-methods", json=body)).raise_for_status()


async def _trial_is_over(connection: asyncpg.Connection[asyncpg.Record], tenant_id: UUID) -> None:
    """The company signed up twenty days ago: its first bill is due at once."""
    for table, column in (("tenants", "created_at"), ("tenants", "trial_ends_at"), ("seat_changes", "at")):
        await connection.execute(
            f"UPDATE tenants.{table} SET {column} = {column} - interval '20 days' WHERE tenant_id = $1",
            tenant_id,
        )
    await connection.execute("DELETE FROM tenants.billing_accounts WHERE tenant_id = $1", tenant_id)
    await connection.execute("DELETE FROM kernel.schedule_runs")


async def _killed_while_charging(site: Installation, fake: StripeFake) -> None:
    fake.held.clear()
    site.start_process("worker")
    await asyncio.wait_for(fake.charged.wait(), PATIENCE)
    site.kill("worker")
    fake.held.set()


async def _standing(connection: asyncpg.Connection[asyncpg.Record], tenant_id: UUID) -> list[tuple[str, str]]:
    rows = await connection.fetch(
        "SELECT b.status, a.status FROM tenants.bills b JOIN tenants.payment_attempts a"
        " ON a.tenant_id = b.tenant_id AND a.bill_id = b.id WHERE b.tenant_id = $1",
        tenant_id,
    )
    return [(row[0], row[1]) for row in rows]
