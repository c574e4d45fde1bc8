"""Lead to cash attacked: by strangers, neighbours, members who may little, and customers who do not care."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.conftest import refusal
from tests.modules.catalog.goods import pointers, price, product
from tests.modules.quotes.offers import account_of, again, money, step
from tests.modules.quotes.test_approval import asks_above

Json = dict[str, Any]

SELLS = dict.fromkeys(
    (
        "account:read", "product:read", "quote:read", "quote:create", "quote:update", "quote:export", "order:read",
        "order:create", "order:update", "order:export", "contract:read",
    ),
    "all",
)  # fmt: skip


async def _pump(owner, **fields: Any) -> Json:
    """A product that sells at 100.00 and costs 81.37."""
    return await product(
        owner, prices=[price("100.00", "USD")], costs=[price("81.37", "USD")], name="Pump", **fields
    )


HIDING = [
    {"product": {"hidden": ["costs"]}},
    {"quote": {"hidden": ["cost"]}, "order": {"hidden": ["cost"]}, "product": {"hidden": ["costs"]}},
    {
        "quote": {"hidden": ["margin_percent"]},
        "order": {"hidden": ["margin"]},
        "product": {"hidden": ["costs"]},
    },
]


@pytest.mark.parametrize("rules", HIDING)
async def test_a_margin_is_judged_and_kept_whoever_writes_and_shown_to_nobody_who_may_not_see_costs(
    owner, company, hire, look, rules
):
    boss, seller = await hire("manager"), await hire(SELLS, field_rules=rules)
    await asks_above(company, boss, "margin_percent", "lt", "20")
    pump, account = await _pump(owner), await account_of(owner)
    body = {"account_id": account["id"], "lines": [{"product_id": pump["id"], "quantity": "1"}]}
    quote = await seller.ok("POST", "/v1/quotes", json=body)
    seen = await again(owner, quote)
    assert (seen["cost"]["amount"], seen["margin_amount"]["amount"], seen["margin_percent"]) == (
        "81.37", "18.63", "18.6300",
    )  # fmt: skip
    assert seen["lines"][0]["unit_cost"]["amount"] == "81.37"
    assert (await step(seller, quote, "submit"))["status"] == "in_approval"
    [request] = (await boss.ok("GET", "/v1/approvals?status=pending"))["data"]
    order = await seller.ok("POST", "/v1/orders", json=body)
    kept = await owner.ok("GET", f"/v1/orders/{order['id']}")
    assert (kept["cost"]["amount"], kept["margin"]["amount"]) == ("81.37", "18.63")
    assert await look.value("SELECT unit_cost::text FROM orders.order_lines WHERE order_id = $1", order["id"])
    paths = [
        f"/v1/quotes/{quote['id']}", "/v1/quotes", f"/v1/quotes/{quote['id']}/history", f"/v1/quotes/{quote['id']}/steps",
        f"/v1/orders/{order['id']}", "/v1/orders", f"/v1/orders/{order['id']}/history", "/v1/order-statistics?group_by=product",
        f"/v1/approvals/{request['id']}", "/v1/approvals", f"/v1/accounts/{account['id']}/timeline",
        f"/v1/products/{pump['id']}", f"/v1/products/{pump['id']}/history",
    ]  # fmt: skip
    for path in paths:
        answer = await seller.get(path)
        assert answer.status_code in (200, 403, 404), (path, answer.text)
        for told in ("81.37", "18.63", "8137", "1863"):
            assert told not in answer.text.replace(quote["id"], ""), (path, told, answer.text)
    for kind in ("quote", "order"):
        exported = await seller.post("/v1/exports/stream", {"object": kind, "format": "csv"})
        assert exported.status_code == 200, exported.text
        assert "81.37" not in exported.text
        assert "18.63" not in exported.text
    for query in (
        "quotes?cost[gt]=81", "quotes?sort=margin_amount", "quotes?margin_percent[lt]=19", "quotes?fields=cost",
        "orders?cost[gt]=81", "orders?sort=margin", "orders?fields=cost", "orders?margin[lt]=19",
    ):  # fmt: skip
        assert (await seller.get(f"/v1/{query}")).status_code in (400, 422), query
    cart = await seller.ok("POST", "/v1/prices/resolve", json={"currency": "USD", "lines": body["lines"]})
    assert cart["lines"][0]["cost"] is None
    assert cart["margin"] is None


async def test_a_made_up_cost_gets_nobody_past_an_approval(owner, company, hire, unchanged):
    seller = await hire(SELLS, field_rules={"product": {"hidden": ["costs"]}})
    pump, account = await _pump(owner), await account_of(owner)
    line = {"product_id": pump["id"], "quantity": "1", "unit_cost": money("1.00")}
    for kind in ("quotes", "orders"):
        body = {"account_id": account["id"], "lines": [line]}
        async with unchanged():
            assert refusal(await seller.post(f"/v1/{kind}", body))[0] == 403, kind
        body["lines"] = [{"product_id": pump["id"], "quantity": "1"}]
        made = await seller.ok("POST", f"/v1/{kind}", json=body)
        async with unchanged():
            changed = await seller.patch(f"/v1/{kind}/{made['id']}", {"lines": [line]}, if_match=1)
            assert changed.status_code == 403, changed.text


async def test_whoever_may_not_see_costs_gives_roles_that_do_not_either(owner, hire):
    rules = {"product": {"hidden": ["costs"]}}
    lead = await hire({"role:manage": "all", "product:read": "all", "quote:read": "all"}, field_rules=rules)
    same = {"name": "Same", "grants": {"quote:read": "all"}, "field_rules": rules}
    more = {"name": "More", "grants": {"quote:read": "all"}, "field_rules": {}}
    refused = await lead.post("/v1/roles", more)
    assert refused.status_code == 403, refused.text
    made = await lead.post("/v1/roles", same)
    assert made.status_code == 201, made.text


async def test_all_that_keeps_a_cart_from_being_priced_is_told_at_once(owner):
    unpriced = await product(owner, prices=[])
    retired = await product(owner, status="end_of_sale")
    fine = await product(owner)
    lines = [
        {"product_id": retired["id"], "quantity": "1", "discount_percent": "0"},
        {"product_id": unpriced["id"], "quantity": "1"},
        {"product_id": fine["id"], "quantity": "1", "discount_amount": price("100.01")},
    ]
    answer = await owner.post("/v1/prices/resolve", {"currency": "CNY", "lines": lines})
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == [
        ("/lines/0/product_id", "not_for_sale"),
        ("/lines/1/product_id", "no_price"),
        ("/lines/2/discount_amount", "more_than_the_price"),
    ]
