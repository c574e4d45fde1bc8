"""Lines that name a product of the catalogue: it must be there, and it brings its name and its price."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.modules.catalog.goods import product
from tests.modules.opportunities.deals import pointers
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]


def money(amount: str, currency: str = "USD") -> Json:
    return {"amount": amount, "currency": currency}


async def deal(owner: Client) -> Json:
    account = await make(owner, "accounts", name="Acme")
    return await make(owner, "opportunities", name="Big deal", account_id=account["id"])


async def test_a_product_brings_its_name_and_what_it_costs_the_account(owner: Client) -> None:
    pump = await product(owner, name="Pump", prices=[money("100.00"), money("90.00", "EUR")])
    made = await deal(owner)
    path = f"/v1/opportunities/{made['id']}/lines"
    listed = await owner.ok("POST", path, json={"product_id": pump["id"], "quantity": "2"})
    assert (listed["product_name"], listed["unit_price"], listed["amount"]) == (
        "Pump",
        money("100.00"),
        money("200.00"),
    )
    agreed = {"product_id": pump["id"], "currency": "USD", "price": "70", "account_id": made["account_id"]}
    await make(owner, "agreed-prices", **agreed)
    cheaper = await owner.ok(
        "POST", path, json={"product_id": pump["id"], "quantity": "1", "discount_percent": "10"}
    )
    assert (cheaper["unit_price"], cheaper["amount"]) == (money("70.00"), money("63.00"))
    entered = {
        "product_id": pump["id"],
        "product_name": "Big pump",
        "quantity": "1",
        "unit_price": money("55"),
    }
    given = await owner.ok("POST", path, json=entered)
    assert (given["product_name"], given["amount"]) == ("Big pump", money("55.00"))
    assert (await owner.ok("GET", path))["amount"] == money("318.00")
    quote = await make(owner, "quotes", opportunity_id=made["id"])
    assert [(one["product_id"], one["total"]["amount"]) for one in quote["lines"]] == [
        (pump["id"], "200.00"), (pump["id"], "63.00"), (pump["id"], "55.00"),
    ]  # fmt: skip


async def test_what_the_catalogue_does_not_sell_is_refused_and_nothing_is_written(
    owner: Client, rival: Company
) -> None:
    unpriced, over = await product(owner, prices=[]), await product(owner, status="end_of_sale")
    theirs = await product(rival.owner)
    made = await deal(owner)
    path = f"/v1/opportunities/{made['id']}/lines"
    for body, wrong in (
        ({"product_id": str(uuid4())}, ("/product_id", "unknown_reference")),
        ({"product_id": theirs["id"]}, ("/product_id", "unknown_reference")),
        ({"product_id": theirs["id"], "unit_price": money("1")}, ("/product_id", "unknown_reference")),
        ({"product_id": unpriced["id"]}, ("/product_id", "no_price")),
        ({"product_id": over["id"]}, ("/product_id", "not_for_sale")),
    ):
        assert pointers(await owner.post(path, {"quantity": "1"} | body)) == [wrong]
    nothing = await owner.post(path, {"quantity": "1", "product_name": "Pump"})
    assert nothing.status_code == 422
    assert (await owner.ok("GET", path))["data"] == []
    assert (await owner.ok("GET", f"/v1/opportunities/{made['id']}"))["version"] == made["version"]


async def test_another_product_brings_its_name(owner: Client) -> None:
    pump, valve = await product(owner, name="Pump"), await product(owner, name="Valve")
    made = await deal(owner)
    path = f"/v1/opportunities/{made['id']}/lines"
    body = {"product_id": pump["id"], "quantity": "1", "unit_price": money("5")}
    first = await owner.ok("POST", path, json=body)
    changed = await owner.ok("PATCH", f"{path}/{first['id']}", json={"product_id": valve["id"]}, if_match=1)
    assert (changed["product_name"], changed["unit_price"]) == ("Valve", money("5.00"))
    refused = await owner.patch(f"{path}/{first['id']}", {"product_id": str(uuid4())}, if_match=2)
    assert pointers(refused) == [("/product_id", "unknown_reference")]
    assert await owner.ok("GET", f"{path}/{first['id']}") == changed


async def test_an_offered_product_is_not_deleted(owner: Client, company: Company) -> None:
    pump = await product(owner, name="Pump")
    made = await deal(owner)
    body = {"product_id": pump["id"], "quantity": "1", "unit_price": money("5")}
    await owner.ok("POST", f"/v1/opportunities/{made['id']}/lines", json=body)
    refused = await owner.delete(f"/v1/products/{pump['id']}", if_match=pump["version"])
    assert (refused.status_code, refused.json()["used_by"]) == (409, {"opportunities": 1})
    async with acting(company) as uow:
        row = await uow.fetchrow("SELECT deleted_at FROM catalog.products WHERE id = $1", pump["id"])
    assert row is not None
    assert row["deleted_at"] is None
