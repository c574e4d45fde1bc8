"""What accounts, contacts and opportunities show of orders, and what orders keep from happening to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.modules.customers.interface import PoolFact
from tests.modules.orders.orders import line, money, order_of, ship, stepped
from tests.modules.orders.receivables import books
from tests.modules.orders.test_returns import back
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]


async def test_an_account_shows_its_orders(company: Company, account: Json) -> None:
    owner = company.owner
    order = await stepped(owner, await order_of(owner, account, line("2")), "confirm")
    draft = await order_of(owner, account, line("1", "5", "EUR"))
    overview = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    panel = overview["panels"]["orders"]
    assert panel["by_status"] == {"confirmed": 1, "draft": 1}
    assert panel["total"] == [money("20.00")]
    assert {(one["id"], one["total"]["amount"]) for one in panel["newest"]} == {
        (order["id"], "20.00"),
        (draft["id"], "5.00"),
    }


async def test_the_timeline_tells_what_was_ordered_shipped_and_given_back(
    company: Company, account: Json
) -> None:
    owner = company.owner
    contact = await make(owner, "contacts", name="Ada Byron", account_id=account["id"])
    deal = await make(owner, "opportunities", name="Pumps", account_id=account["id"])
    order = await order_of(owner, account, line("2"), contact_id=contact["id"], opportunity_id=deal["id"])
    order = await stepped(owner, order, "confirm")
    await ship(owner, order)
    made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    for subject, expected in (
        (f"accounts/{account['id']}", ["Return", "Shipped", "Ordered"]),
        (f"contacts/{contact['id']}", ["Return", "Shipped", "Ordered"]),
        (f"opportunities/{deal['id']}", ["Shipped", "Ordered"]),
    ):
        found = await owner.ok("GET", f"/v1/{subject}/timeline?kind=order")
        assert [entry["title"].partition(":")[0] for entry in found["data"]] == expected
    assert made["contact_id"] == contact["id"]
    found = await owner.ok("GET", f"/v1/orders?opportunity_id={deal['id']}")
    assert [one["id"] for one in found["data"]] == [order["id"]]


async def test_the_timeline_tells_what_was_invoiced_and_paid(
    company: Company, account: Json, hire: Any, rival: Company
) -> None:
    owner = company.owner
    await books.draft(owner, account)
    invoice = await books.issued(owner, account, books.charge("100.00"))
    payment = await books.pay(owner, account, "120.00")
    await books.done(owner, payment, "allocate", books.shares((invoice, "100.00")))
    refund = await books.done(owner, payment, "refund", {"method": "cash"})
    path = f"/v1/accounts/{account['id']}/timeline"

    async def told(client: Client, kinds: str = "invoice,payment", **more: Any) -> list[tuple[Any, ...]]:
        found = (await client.ok("GET", path, params={"kind": kinds, **more}))["data"]
        return [(one["kind"], one["title"], one["data"].get("total", {}).get("amount")) for one in found]

    whole = [
        ("payment", f"Refund: {refund['number']}", "20.00"), ("payment", f"Payment: {payment['number']}", "120.00"),
        ("invoice", f"Invoice: {invoice['number']}", "100.00"),
    ]  # fmt: skip
    assert await told(owner) == whole
    assert await told(owner, "invoice") == whole[2:]
    assert await told(owner, limit=1) == whole[:1]
    assert await told(owner, "invoice", limit=1) == whole[2:]  # though two payments are newer
    role = {"name": "Books", "grants": {"account:read": "all", "invoice:read": "all"}}
    made = await make(owner, "roles", **role, field_rules={"invoice": {"hidden": ["total"]}})
    clerk = await hire(role_ids=[made["id"]])
    assert await told(clerk) == [("invoice", f"Invoice: {invoice['number']}", None)]
    assert (await rival.owner.get(path)).status_code == 404


async def test_an_account_with_orders_is_not_deleted_and_counts_as_won(
    company: Company, account: Json
) -> None:
    owner = company.owner
    ids = [UUID(account["id"])]

    async def won() -> list[UUID]:
        async with acting(company) as uow:
            facts = [fact for fact in uow.ports(PoolFact) if fact.name == "won"]
            return [id for fact in facts for id in await fact.true_of("account", ids)]

    order = await order_of(owner, account, line("2"))
    assert await won() == []
    await stepped(owner, order, "confirm")
    assert await won() == ids
    current = await owner.ok("GET", f"/v1/accounts/{account['id']}")
    assert current["lifecycle_stage"] == "customer"
    answer = await owner.delete(f"/v1/accounts/{account['id']}", if_match=current["version"])
    assert (answer.status_code, answer.json()["code"]) == (409, "account_in_use")
    assert answer.json()["used_by"] == {"orders": 1}


async def test_open_orders_go_along_with_their_account(company: Company, account: Json, hire: Any) -> None:
    owner = company.owner
    seller = await hire("salesperson")
    me = (await seller.ok("GET", "/v1/me"))["member_id"]
    open_order = await order_of(owner, account, line("2"))
    done = await stepped(owner, await order_of(owner, account, line("2")), "confirm")
    await ship(owner, done)
    body = {"ids": [account["id"]], "owner_id": me}
    answer = await owner.ok("POST", "/v1/accounts/transfer", json=body)
    assert answer["went_along"]["order"] == 1
    owners = {
        id: (await owner.ok("GET", f"/v1/orders/{id}"))["owner_id"] for id in (open_order["id"], done["id"])
    }
    assert owners == {open_order["id"]: me, done["id"]: str(company.member_id)}


async def test_orders_and_returns_follow_an_account_that_is_merged_away(
    company: Company, account: Json
) -> None:
    owner = company.owner
    other = await make(owner, "accounts", name="Harbour Pump Works")
    order = await stepped(owner, await order_of(owner, other, line("2")), "confirm")
    await ship(owner, order)
    made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    versions = [
        {name: (await owner.ok("GET", f"/v1/accounts/{one['id']}"))[name] for name in ("id", "version")}
        for one in (account, other)
    ]
    body = {"records": versions, "master_id": account["id"]}
    await owner.ok("POST", "/v1/accounts/merge", json=body)
    assert (await owner.ok("GET", f"/v1/orders/{order['id']}"))["account_id"] == account["id"]
    assert (await owner.ok("GET", f"/v1/returns/{made['id']}"))["account_id"] == account["id"]
