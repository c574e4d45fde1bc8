"""What the tests of optimised assignment share: a sales team with a past, and plans made for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from app.kernel.jobs import JobRunner
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

QUICK = {"seconds": 5, "exact_seconds": 5}
URL = "/v1/leads/assignments"


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


@dataclass
class Sales:
    """A company with two sellers: Ann wins in retail, Bob in energy."""

    company: Company
    look: Look
    ann: Client
    bob: Client

    @property
    def owner(self) -> Client:
        return self.company.owner

    @property
    def ids(self) -> tuple[str, str]:
        return member(self.ann), member(self.bob)

    async def closed(
        self, seller: Client, source: str, *, won: int, lost: int, amount: str = "1000.00"
    ) -> None:
        """Opportunities that a seller won and lost."""
        base = {"owner_id": member(seller), "source": source, "amount": usd(amount)}
        items = [{**base, "name": f"Won {n}", "status": "won"} for n in range(won)]
        items += [
            {**base, "name": f"Lost {n}", "status": "lost", "loss_reason": "price"} for n in range(lost)
        ]
        body = {"items": [{"record": item} for item in items], "all_or_none": True}
        answer = await self.owner.post("/v1/opportunities/batch/create", json=body)
        assert (answer.status_code, answer.json()["failed"]) == (207, 0), answer.text

    async def lead(self, source: str, **fields: Any) -> dict[str, Any]:
        """An open lead; the owner of the company has it unless said otherwise."""
        return await make(self.owner, "leads", **{"name": f"Lead from {source}", "source": source} | fields)

    async def nobodys(self, source: str, count: int) -> list[str]:
        """Open leads without an owner."""
        ids = [lead["id"] for lead in await asyncio.gather(*[self.lead(source) for _ in range(count)])]
        await self.look.run(
            "UPDATE leads.leads SET owner_id = NULL, team_id = NULL WHERE id = ANY($1::uuid[])", ids
        )
        return ids

    async def ask(self, client: Client | None = None, **body: Any) -> dict[str, Any]:
        """A plan that nobody has solved yet."""
        options = {**QUICK, **body.pop("options", {})}
        plan: dict[str, Any] = await (client or self.owner).ok(
            "POST", f"{URL}/optimize", json={**body, "options": options}
        )
        return plan

    async def plan(self, client: Client | None = None, **body: Any) -> dict[str, Any]:
        """A solved plan."""
        asked = await self.ask(client, **body)
        await self.work()
        return await self.read(asked, client)

    async def work(self) -> None:
        """Let a worker run what is due."""
        assert self.company.app.kernel is not None
        await JobRunner(self.company.app.kernel).run_due()

    async def read(self, plan: dict[str, Any], client: Client | None = None) -> dict[str, Any]:
        found: dict[str, Any] = await (client or self.owner).ok("GET", f"{URL}/{plan['id']}")
        return found

    async def items(self, plan: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        page = await self.owner.ok("GET", f"{URL}/{plan['id']}/items?limit=200{query}")
        assert not page["has_more"]
        found: list[dict[str, Any]] = page["data"]
        return found

    async def owners(self, ids: list[str]) -> list[str | None]:
        rows = await self.look.rows("SELECT id, owner_id FROM leads.leads WHERE id = ANY($1::uuid[])", ids)
        found = {str(row["id"]): row["owner_id"] and str(row["owner_id"]) for row in rows}
        return [found[id] for id in ids]


def member(client: Client) -> str:
    return str(client.facts["member_id"])


async def sales_of(company: Company, look: Look) -> Sales:
    """Ann won 8 of 10 in retail and 2 of 10 in energy, Bob the other way round; 1,000 USD each."""
    ann, bob = await colleague(company, look), await colleague(company, look)
    sales = Sales(company, look, ann, bob)
    await sales.closed(ann, "retail", won=8, lost=2)
    await sales.closed(ann, "energy", won=2, lost=8)
    await sales.closed(bob, "retail", won=2, lost=8)
    await sales.closed(bob, "energy", won=8, lost=2)
    return sales


def members(sales: Sales, *capacities: int | None, **more: Any) -> list[dict[str, Any]]:
    """Ann and Bob as a request names them."""
    return [
        {"member_id": id, "capacity": capacity, **more}
        for id, capacity in zip(sales.ids, capacities, strict=True)
    ]
