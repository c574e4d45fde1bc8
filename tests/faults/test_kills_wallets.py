"""SIGKILL while wallets are topped up, pay, get back and pay out: every movement that was answered is there once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.faults.installation import Installation, in_haste, installation, signed_up
from tests.faults.stories import Teller, told
from tests.faults.test_kills_money import adds_up

STORIES = 30
KINDS = {"top_up": 1, "pay": 2, "refund": 2, "withdraw": 1}
LEFT = 185_00
Json = dict[str, Any]


@dataclass(frozen=True)
class Came:
    """One story: 200 paid in and 20 given; 90 paid for an order that was cancelled, 50 for an invoice of which 25 came
    back by hand; 10 paid out. `answered` are the movements that the installation said had happened."""

    member: str
    answered: tuple[str, ...]


@pytest.mark.faults
@pytest.mark.slow
async def test_kills_move_stored_value_once_or_not_at_all(folder: Path) -> None:
    async with installation(folder) as site:
        tenant_id, key = await signed_up(site)
        clubs: list[str] = []

        async def prepare(teller: Teller, number: int) -> None:
            body = {"key": "club", "name_en": "Club", "currency": "USD", "burn": {"worth": _usd("1.00")}}
            clubs.append((await teller.post("/v1/loyalty-programmes", body))["id"])

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
    answered = []

    async def move(what: str, **body: Any) -> str:
        made = await teller.post(f"/v1/loyalty-members/{member}/wallet/{what}", body)
        answered.append(made["id"])
        return str(made["id"])

    await move("top-up", amount=_usd("200.00"), bonus=[{"amount": _usd("20.00")}])
    order = await _confirmed(teller, account, "90.00")
    await move("pay", order_id=order["id"])
    found = await teller.get(f"/v1/orders/{order['id']}")
    await teller.post(
        f"/v1/orders/{order['id']}/cancel", {"reason": "changed their mind"}, version=found["version"]
    )
    order = await _confirmed(teller, account, "50.00")
    bill = await teller.post("/v1/invoices/from-order", {"order_id": order["id"], "what": "remaining"})
    await teller.post(f"/v1/invoices/{bill['id']}/issue", {}, version=bill["version"])
    paid = await move("pay", invoice_id=bill["id"])
    bill = await teller.get(f"/v1/invoices/{bill['id']}")
    credit = {"amount": _usd("25.00"), "reason": "scratched"}
    await teller.post(f"/v1/invoices/{bill['id']}/credit", credit, version=bill["version"])
    await move("refund", transaction_id=paid)
    await move("withdraw", amount=_usd("10.00"))
    return Came(member, tuple(answered))


async def _confirmed(teller: Teller, account: str, price: str) -> Json:
    line = {"description": "Hose", "quantity": "1", "unit_price": _usd(price)}
    order = await teller.post("/v1/orders", {"account_id": account, "currency": "USD", "lines": [line]})
    found: Json = await teller.post(f"/v1/orders/{order['id']}/confirm", version=order["version"])
    return found


def _usd(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


async def happened_once(site: Installation, tenant_id: UUID, came: list[Came]) -> None:
    """Each wallet has moved as often as its story says, and holds what the ledger of money comes to."""
    connection = await asyncpg.connect(site.database_url)
    try:
        wanted = Counter({kind: times * STORIES for kind, times in KINDS.items()})
        moved: list[Any] = []
        for _ in range(1_000):
            moved = await connection.fetch(
                "SELECT w.member_id::text, t.id::text, t.kind, t.amount FROM membership.wallet_transactions t"
                " JOIN membership.wallets w ON w.tenant_id = t.tenant_id AND w.id = t.wallet_id WHERE t.tenant_id = $1",
                tenant_id,
            )
            if len(moved) >= wanted.total():
                break
            await asyncio.sleep(0.2)
        assert Counter(row["kind"] for row in moved) == wanted
        ids = Counter(row["id"] for row in moved)
        assert [id for one in came for id in one.answered if ids[id] != 1] == []
        sums: Counter[str] = Counter()
        for row in moved:
            sums[row["member_id"]] += row["amount"]
        held = await connection.fetch(
            "SELECT member_id::text, principal + bonus AS held FROM membership.wallets WHERE tenant_id = $1",
            tenant_id,
        )
        assert {row["member_id"]: row["held"] for row in held} == sums == {one.member: LEFT for one in came}
    finally:
        await connection.close()
    await adds_up(site, tenant_id)
