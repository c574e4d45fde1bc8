"""Several offers of one opportunity: the customer accepts one, and the others are none any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.modules.quotes.offers import again, line, quote_of, refused, sent_quote, step
from tests.modules.quotes.pages import link_of
from tests.modules.support import count, make
from tests.support.api import Client, Company
from tests.tenants.people import Look

Json = dict[str, Any]


@pytest.fixture
async def deal(owner: Client) -> Json:
    """An opportunity to make offers for."""
    account = await make(owner, "accounts", name="Acme")
    return await make(owner, "opportunities", name="Big deal", account_id=account["id"])


async def offers(owner: Client, deal: Json, *prices: str, **fields: Any) -> list[Json]:
    """As many offers that the customer has."""
    return [await sent_quote(owner, line(price), opportunity_id=deal["id"], **fields) for price in prices]


async def test_accepting_one_withdraws_the_others(owner: Client, company: Company, deal: Json) -> None:
    first, second, third = await offers(owner, deal, "100.00", "200.00", "300.00")
    draft = await quote_of(owner, line("400.00"), opportunity_id=deal["id"])
    declined, elsewhere = (await offers(owner, deal, "500.00"))[0], await sent_quote(owner)
    await step(owner, declined, "decline")
    answer = await step(owner, second, "accept", name="Li Hua")
    assert [(await again(owner, one))["status"] for one in (first, second, third, draft, declined, elsewhere)] == [
        "withdrawn", "accepted", "withdrawn", "draft", "declined", "sent",
    ]  # fmt: skip
    steps = (await owner.ok("GET", f"/v1/quotes/{first['id']}/steps"))["data"]
    assert (steps[-1]["action"], steps[-1]["from_status"], steps[-1]["to_status"], steps[-1]["note"]) == (
        "withdraw", "sent", "withdrawn", f"{second['number']} was accepted.",
    )  # fmt: skip
    for action, body in (("accept", {"name": "Li Hua"}), ("decline", {})):
        assert await refused(owner, first, action, **body) == (409, "quote_withdrawn")
    assert await step(owner, second, "accept", name="Somebody else") == answer
    assert await count(company, "orders.orders") == 1


async def test_a_withdrawn_offer_explains_itself_and_is_offered_again_by_a_revision(
    owner: Client, company: Company, deal: Json
) -> None:
    first, second = await offers(owner, deal, "100.00", "200.00")
    path = await link_of(owner, first)
    await step(owner, second, "accept", name="Li Hua")
    page = await company.http.get(path)
    assert page.status_code == 410
    assert "This offer was withdrawn" in page.text
    assert "100.00" not in page.text
    assert (await company.http.get(f"{path}/pdf")).status_code == 404
    revised = await step(owner, first, "revise")
    await step(owner, revised, "send", by_mail=False)
    assert (await again(owner, first))["status"] == "superseded"
    assert (await again(owner, second))["status"] == "accepted"


async def test_of_offers_that_are_accepted_at_once_one_is(
    owner: Client, company: Company, deal: Json, look: Look
) -> None:
    made = await offers(owner, deal, *(f"{n}.00" for n in range(100, 112)))
    answers = await asyncio.gather(
        *(
            owner.post(f"/v1/quotes/{quote['id']}/accept", {"name": "Li Hua"}, if_match=quote["version"])
            for quote in made
            for _ in range(10)
        )
    )
    won = [one.json() for one in answers if one.status_code == 200]
    assert {one.json()["code"] for one in answers if one.status_code != 200} <= {
        "quote_withdrawn",
        "stale_version",
    }
    assert len({one["order_id"] for one in won}) == 1
    assert len(won) >= 1
    states = sorted([(await again(owner, quote))["status"] for quote in made])
    assert states == ["accepted"] + ["withdrawn"] * 11
    assert await count(company, "orders.orders") == 1
    accepted = "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = 'quotes.quote.accepted.v1'"
    assert await look.value(accepted, company.tenant_id) == 1


async def test_offers_of_one_opportunity_become_one_contract(
    owner: Client, company: Company, deal: Json
) -> None:
    made = await offers(owner, deal, "100.00", "200.00", becomes="contract", term_months=12)
    await asyncio.gather(
        *(
            owner.post(f"/v1/quotes/{quote['id']}/accept", {"name": "Li Hua"}, if_match=quote["version"])
            for quote in made * 20
        )
    )
    assert await count(company, "contracts.contracts") == 1
    assert await count(company, "orders.orders") == 0
