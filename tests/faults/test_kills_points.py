"""SIGKILL while orders earn, points are burned, and goods come back: all of it once, and the ledger adds up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.faults.installation import Installation, in_haste, installation, signed_up
from tests.faults.stories import Teller, told
from tests.faults.test_kills_money import adds_up
from tests.support.waiting import until

STORIES = 40
Json = dict[str, Any]


@dataclass(frozen=True)
class Came:
    """One story: a member with 600 points of welcome, of which 300 paid for an order of 100 dollars; a third came back."""

    member: str
    order: str


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_move_points_once_or_not_at_all(folder: Path) -> None:
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        clubs: list[str] = []

        async def prepare(teller: Teller, number: int) -> None:
            worth = {"amount": "1.00", "currency": "USD"}
            rule = {"key": "base", "kind": "amount", "points": 1, "per_amount": "1"}
            body = {"key": "club", "name_en": "Club", "currency": "USD", "burn": {"worth": worth}}
            clubs.append((await teller.post("/v1/loyalty-programmes", body | {"earn_rules": [rule]}))["id"])

        async def story(teller: Teller, number: int) -> Came:
            return await tell(teller, number, clubs[0])

        await told(site, key, prepare, stories=1, victims=["api"])
        victims = ["worker", "postgres", "api", "worker", "postgres", "api"]
        came = await told(site, key, story, stories=STORIES, victims=victims)
        async with in_haste(site):
            await happened_once(site, tenant_id, came)


async def tell(teller: Teller, number: int, club: str) -> Came:
    account = (await teller.post("/v1/accounts", {"name": f"Account {number}"}))["id"]
    member = (await teller.post("/v1/loyalty-members", {"programme_id": club, "account_id": account}))["id"]
    path = f"/v1/loyalty-members/{member}"
    await teller.post(f"{path}/adjustments", {"points": 600, "reason": "Welcome"})
    line = {"description": "Hose", "quantity": "3", "unit_price": {"amount": "40.00", "currency": "USD"}}
    order = await teller.post("/v1/orders", {"account_id": account, "currency": "USD", "lines": [line]})
    burn = await teller.post(f"{path}/burns", {"points": 300, "order_id": order["id"], "reserve": True})
    await teller.post(f"{path}/burns/{burn['id']}/commit")
    await teller.post(f"/v1/orders/{order['id']}/confirm", version=order["version"])
    await teller.post(f"/v1/orders/{order['id']}/shipments", {})
    back = {"order_line_id": order["lines"][0]["id"], "quantity": "1"}
    body = {"order_id": order["id"], "reason": "too long", "lines": [back]}
    found = await teller.post("/v1/returns", body)
    for name in ("approve", "receive", "inspect", "refund"):
        sent: Json | None = {} if name == "inspect" else None
        found = await teller.post(f"/v1/returns/{found['id']}/{name}", sent, version=found["version"])
    return Came(member, order["id"])


async def happened_once(site: Installation, tenant_id: UUID, came: list[Came]) -> None:
    """600 given, 300 burned, 120 earned; a third comes back: 100 and -40."""
    connection = await asyncpg.connect(site.database_url)
    try:
        wanted = {one.member: (480, 80) for one in came}
        found: dict[str, tuple[int, int]] = {}

        async def settled() -> bool:
            rows = await connection.fetch(
                "SELECT id::text, points, points_qualifying FROM membership.loyalty_members WHERE tenant_id = $1",
                tenant_id,
            )
            found.update({row["id"]: (row["points"], row["points_qualifying"]) for row in rows})
            return found == wanted

        await until(settled, every=0.2)
        kinds = await connection.fetch(
            "SELECT kind, count(*) AS times FROM membership.ledger_transactions WHERE tenant_id = $1 GROUP BY kind",
            tenant_id,
        )
        times = {row["kind"]: row["times"] for row in kinds}
        # A return that was told before its order had earned takes the earning back when that comes.
        assert STORIES <= times.pop("return") <= 2 * STORIES
        assert times == dict.fromkeys(("adjust", "reserve", "commit", "earn"), STORIES)
    finally:
        await connection.close()
    await adds_up(site, tenant_id)
