"""Lead to cash attacked: by strangers, neighbours, members who may little, and customers who do not care."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kernel.conftest import refusal
from tests.modules.catalog.goods import pointers, price, product
from tests.modules.contracts import deals
from tests.modules.quotes.offers import account_of, again, money, step
from tests.modules.quotes.test_approval import asks_above
from tests.support.feed import shown

Json = dict[str, Any]

SELLS = dict.fromkeys(
    (
        "account:read", "product:read", "quote:read", "quote:create", "quote:update", "quote:export", "order:read",
        "order:create", "order:update", "order:export", "contract:read", "event:read",
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
    await shown(owner, "orders.order.created.v1", record_id=order["id"])
    paths = [
        f"/v1/quotes/{quote['id']}", "/v1/quotes", f"/v1/quotes/{quote['id']}/history", f"/v1/quotes/{quote['id']}/steps",
        f"/v1/orders/{order['id']}", "/v1/orders", f"/v1/orders/{order['id']}/history", "/v1/orders/statistics?group_by=product",
        f"/v1/approvals/{request['id']}", "/v1/approvals", f"/v1/accounts/{account['id']}/timeline",
        f"/v1/products/{pump['id']}", f"/v1/products/{pump['id']}/history", "/v1/events?limit=200",
    ]  # fmt: skip
    for path in paths:
        answer = await seller.get(path)
        assert answer.status_code in (200, 403), (path, answer.text)
        # Not as part of an id or a time.
        assert not re.search(r"(?<![0-9a-f.-])(81\.?37|18\.?63)(?![0-9a-f-])", answer.text), (
            path,
            answer.text,
        )
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


# -- receivables ---------------------------------------------------------------------------------------------


async def _billed(owner) -> tuple[Json, Json, Json, Json]:
    """An account with an order that was invoiced and paid in part."""
    account = await account_of(owner, credit_limit=money("7000.77"))
    body = {
        "account_id": account["id"],
        "lines": [{"description": "Pump", "quantity": "1", "unit_price": money("4321.09")}],
    }
    order = await owner.ok("POST", "/v1/orders", json=body)
    await owner.ok("POST", f"/v1/orders/{order['id']}/confirm", if_match=1)
    draft = await owner.ok(
        "POST", "/v1/invoices/from-order", json={"order_id": order["id"], "what": "remaining"}
    )
    invoice = await owner.ok("POST", f"/v1/invoices/{draft['id']}/issue", json={}, if_match=draft["version"])
    given = {"account_id": account["id"], "amount": money("1234.56"), "method": "bank_transfer"}
    payment = await owner.ok("POST", "/v1/payments", json=given)
    await owner.ok("POST", f"/v1/payments/{payment['id']}/allocate", json={}, if_match=1)
    return account, order, invoice, payment


FIGURES = ("4321.09", "1234.56", "3086.53", "7000.77", "3914.24")
READS = dict.fromkeys(("account:read", "order:read", "invoice:read", "payment:read", "event:read"), "all")


async def test_an_order_shows_only_the_invoices_and_payments_that_one_sees(owner, hire):
    _, order, invoice, payment = await _billed(owner)
    path = f"/v1/orders/{order['id']}/receivables"
    whole = await owner.ok("GET", path)
    assert [one["id"] for one in whole["invoices"]] == [invoice["id"]]
    assert [one["id"] for one in whole["payments"]] == [payment["id"]]
    for grants in ({"order:read": "all"}, READS | {"invoice:read": "own", "payment:read": "own"}):
        seen = await (await hire(grants)).ok("GET", path)
        assert (seen["invoices"], seen["payments"]) == ([], [])
        assert seen["payment_status"] == "partly_paid"
    blind = await hire(READS, field_rules={"payment": {"hidden": ["amount"]}})
    assert (await blind.ok("GET", path))["payments"] == []


@pytest.mark.parametrize(
    "rules",
    [{"invoice": {"hidden": ["total"]}}, {"order": {"hidden": ["total"]}, "invoice": {"hidden": ["total"]}}],
)
async def test_no_report_tells_amounts_that_are_hidden(owner, hire, rules):
    account, order, invoice, payment = await _billed(owner)
    spy = await hire(
        READS,
        field_rules=rules | {"payment": {"hidden": ["amount"]}, "account": {"hidden": ["credit_limit"]}},
    )
    await shown(owner, "orders.payment.updated.v1", record_id=payment["id"])
    paths = [
        f"/v1/orders/{order['id']}/receivables", "/v1/receivables/ageing", f"/v1/receivables/credit?account_id={account['id']}",
        f"/v1/receivables/statement?account_id={account['id']}", f"/v1/invoices/{invoice['id']}", "/v1/invoices",
        f"/v1/invoices/{invoice['id']}/history", f"/v1/invoices/{invoice['id']}/allocations", f"/v1/invoices/{invoice['id']}/pdf",
        f"/v1/payments/{payment['id']}", "/v1/payments", f"/v1/payments/{payment['id']}/allocations",
        f"/v1/payments/{payment['id']}/history", f"/v1/accounts/{account['id']}", f"/v1/accounts/{account['id']}/timeline",
        "/v1/events?limit=200",
    ]  # fmt: skip
    hidden = FIGURES if "order" in rules else FIGURES[1:]
    for path in paths:
        answer = await spy.get(path)
        assert answer.status_code in (200, 403), (path, answer.text)
        for figure in hidden:
            assert figure not in answer.text, (path, figure, answer.text)
    for query in ("invoices?open_amount[gt]=1", "invoices?sort=net", "payments?unallocated[gt]=1"):
        assert (await spy.get(f"/v1/{query}")).status_code in (400, 422), query


async def test_a_hidden_credit_limit_is_told_by_no_refusal_report_or_history(owner, hire):
    account, _, _, _ = await _billed(owner)
    rules = {"account": {"hidden": ["credit_limit"]}}
    spy = await hire(READS | SELLS, field_rules=rules)
    body = {
        "account_id": account["id"],
        "lines": [{"description": "Pump", "quantity": "1", "unit_price": money("9999.00")}],
    }
    order = await spy.ok("POST", "/v1/orders", json=body)
    refused = await spy.post(f"/v1/orders/{order['id']}/confirm", if_match=1)
    assert refusal(refused) == (409, "credit_refused")
    stands = await spy.ok("GET", f"/v1/receivables/credit?account_id={account['id']}")
    assert (stands["limit"], stands["available"]) == (None, None)
    await owner.ok("PUT", "/v1/receivables/settings", json={"mode": "warn"}, if_match=0)
    await spy.ok("POST", f"/v1/orders/{order['id']}/confirm", if_match=1)
    history = await spy.get(f"/v1/orders/{order['id']}/history")
    for text in (refused.text, history.text):
        assert "7000.77" not in text
        assert "3086.53" not in text


async def test_a_negative_cost_makes_no_margin(owner, unchanged):
    account = await account_of(owner)
    line = {"description": "x", "quantity": "1", "unit_price": money("1.00"), "unit_cost": money("-1.00")}
    async with unchanged():
        for kind in ("quotes", "orders"):
            answer = await owner.post(f"/v1/{kind}", {"account_id": account["id"], "lines": [line]})
            assert answer.status_code == 422, answer.text
            assert pointers(answer) == [("/lines/0/unit_cost", "negative")]


async def test_a_quote_comes_to_no_more_than_its_order_may(owner, unchanged):
    account = await account_of(owner)
    line = {"description": "x", "quantity": "1", "unit_price": money("99999999999.99")}
    async with unchanged():
        for kind in ("quotes", "orders"):
            answer = await owner.post(f"/v1/{kind}", {"account_id": account["id"], "lines": [line] * 101})
            assert pointers(answer) == [("/lines", "amount_out_of_range")]


async def test_a_dearer_product_is_approved_again(owner, company, hire):
    boss = await hire("manager")
    await asks_above(company, boss, "margin_percent", "lt", "20")
    pump, account = await _pump(owner), await account_of(owner)
    body = {"account_id": account["id"], "lines": [{"product_id": pump["id"], "quantity": "1"}]}
    quote = await owner.ok("POST", "/v1/quotes", json=body)
    await step(owner, quote, "submit")
    [request] = (await boss.ok("GET", "/v1/approvals?status=pending"))["data"]
    await boss.ok("POST", f"/v1/approvals/{request['id']}/approve")
    await step(owner, quote, "recall")
    assert (await step(owner, quote, "submit"))["status"] == "approved"
    await step(owner, quote, "recall")
    await owner.ok(
        "PATCH",
        f"/v1/products/{pump['id']}",
        json={"costs": [price("99.00", "USD")]},
        if_match=pump["version"],
    )
    await step(owner, quote, "reprice")
    assert (await step(owner, quote, "submit"))["status"] == "in_approval"


async def test_lines_in_an_event_tell_no_hidden_amount(owner, hire, company):
    _, order, _, _ = await _billed(owner)
    await owner.ok("POST", f"/v1/orders/{order['id']}/shipments", json={})
    back = {
        "order_id": order["id"],
        "reason": "broken",
        "lines": [{"order_line_id": order["lines"][0]["id"], "quantity": "1"}],
    }
    returned = await owner.ok("POST", "/v1/returns", json=back)
    for name in ("approve", "receive", "inspect", "refund"):
        given = (
            {"lines": [{"line_id": returned["lines"][0]["id"], "condition": "new"}]}
            if name == "inspect"
            else {}
        )
        returned = await owner.ok(
            "POST", f"/v1/returns/{returned['id']}/{name}", json=given, if_match=returned["version"]
        )
    spy = await hire(
        {"return:read": "all", "event:read": "all"}, field_rules={"return": {"hidden": ["total"]}}
    )
    await shown(spy, "orders.return.completed.v1", record_id=returned["id"])
    told = await spy.get("/v1/events?object=return&limit=200")
    assert "orders.return.completed.v1" in told.text
    assert "4321.09" not in told.text


NUMBERS = [
    "NaN", "Infinity", "-Infinity", "1e30", "-1", "0.00001", "9999999999", "99999999999999", "1000000000000000000",
    "9" * 40, "", " 1", "١", "1_000", "0x10", True, [], {}, 1e308, 10**18, -(10**18),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["quotes", "orders", "invoices"])
async def test_no_number_is_more_than_a_refusal(owner, kind):
    account, pump = await account_of(owner), await _pump(owner)
    bundle = {"quotes": ["component_of"], "orders": ["component_of"], "invoices": []}[kind]
    free = {"description": "x", "quantity": "9999999999", "unit_price": money("1.00")}
    for number in NUMBERS:
        amount = {"amount": number, "currency": "USD"}
        lines = [
            *(free | {name: number} for name in ("quantity", "discount_percent", "tax_rate", *bundle)),
            *(free | {name: amount} for name in ("unit_price", "discount_amount", "unit_cost")),
            {"product_id": pump["id"], "quantity": number},
        ]
        for line in lines:
            body = {"account_id": account["id"], "lines": [{"product_id": pump["id"], "quantity": "1"}, line]}
            answer = await owner.post(f"/v1/{kind}", body)
            assert answer.status_code in (201, 422), (line, answer.text)
            if answer.status_code == 201:
                assert 0 <= float(answer.json()["total"]["amount"]) < 10**13


async def test_documents_are_bounded_whatever_their_lines_come_to(owner):
    account = await account_of(owner)
    line = {
        "description": "x" * 200,
        "quantity": "1",
        "unit_price": money("99999999999.99"),
        "tax_rate": "100",
    }
    for kind in ("quotes", "orders", "invoices"):
        for count in (100, 500, 501):
            answer = await owner.post(f"/v1/{kind}", {"account_id": account["id"], "lines": [line] * count})
            assert answer.status_code in ((201, 422) if kind == "invoices" and count < 501 else (422,)), kind


async def test_the_text_of_a_clause_does_not_tell_a_hidden_value(owner, hire):
    contract = await deals.draft(owner)
    await deals.put(
        owner, contract, "clauses", clauses=[{"title": "Sum", "body": "Pays {{contract.value}}."}]
    )
    await deals.sign(owner, contract)
    spy = await hire({"contract:read": "all"}, field_rules={"contract": {"hidden": ["value"]}})
    path = f"/v1/contracts/{contract['id']}"
    for part in ("clauses", "revisions", "revisions/1", "amendments", "history"):
        seen, whole = await spy.get(f"{path}/{part}"), await owner.get(f"{path}/{part}")
        assert seen.status_code == 200, seen.text
        assert "1200.00" not in seen.text, part
        assert ("Pays 1200.00 USD." in whole.text) == ("Pays …." in seen.text), part
    assert "Pays …." in (await spy.get(f"{path}/clauses")).text


async def test_the_log_does_not_tell_what_was_paid_of_a_hidden_value(owner, hire):
    plan = [deals.item("All", percent="100", rule="after_signing")]
    contract = await deals.signed(owner, plan)
    [part] = (await owner.ok("GET", f"/v1/contracts/{contract['id']}/plan"))["data"]
    body = {"instalment_id": part["id"], "amount": money("777.77")}
    draft = await owner.ok("POST", "/v1/invoices/from-instalment", json=body)
    await owner.ok("POST", f"/v1/invoices/{draft['id']}/issue", json={}, if_match=draft["version"])
    rules = {"contract": {"hidden": ["value"]}, "invoice": {"hidden": ["total"]}}
    spy = await hire({"contract:read": "all", "audit:read": "all", "invoice:read": "all"}, field_rules=rules)
    seen, whole = [await one.get("/v1/audit?object=contract_instalment") for one in (spy, owner)]
    assert seen.status_code == 200, seen.text
    assert "[0,77777]" in whole.text
    assert "[0,77777]" not in seen.text


async def test_parts_of_records_out_of_reach_are_out_of_reach(owner, hire, rival, unchanged):
    account, order, invoice, payment = await _billed(owner)
    body = {
        "account_id": account["id"],
        "lines": [{"description": "x", "quantity": "1", "unit_price": money("1")}],
    }
    quote = await owner.ok("POST", "/v1/quotes", json=body)
    quote = await step(owner, quote, "send", by_mail=False)
    contract = await deals.signed(owner)
    own = {
        f"{name}:{action}": "own"
        for name in ("quote", "order", "invoice", "payment", "contract", "return", "account")
        for action in ("read", "update", "create")
    }
    seller = await hire(own | {"product:read": "all", "invoice:issue": "own"})
    reads = [
        *(f"/v1/quotes/{quote['id']}/{part}" for part in ("steps", "links", "pdf", "answer", "price-changes", "history")),
        f"/v1/quotes/{quote['id']}/compare?with={quote['id']}",
        *(f"/v1/orders/{order['id']}/{part}" for part in ("shipments", "receivables", "history")),
        *(f"/v1/invoices/{invoice['id']}/{part}" for part in ("allocations", "pdf", "history")),
        f"/v1/payments/{payment['id']}/allocations",
        *(f"/v1/contracts/{contract['id']}/{part}" for part in ("plan", "lines", "clauses", "drawings", "revisions")),
        f"/v1/receivables/credit?account_id={account['id']}", f"/v1/receivables/statement?account_id={account['id']}",
    ]  # fmt: skip
    writes = [
        (f"/v1/quotes/{quote['id']}/accept", {"name": "Me"}), (f"/v1/quotes/{quote['id']}/links", {}),
        (f"/v1/quotes/{quote['id']}/revise", None), (f"/v1/orders/{order['id']}/cancel", {}),
        (f"/v1/orders/{order['id']}/shipments", {}), (f"/v1/payments/{payment['id']}/deallocate", {}),
        (f"/v1/invoices/{invoice['id']}/credit", {"reason": "x"}),
    ]  # fmt: skip
    async with unchanged():
        for client in (seller, rival.owner):
            for path in reads:
                assert (await client.get(path)).status_code == 404, path
            for path, given in writes:
                assert (await client.post(path, given, if_match=1)).status_code == 404, path
            for kind in ("quotes", "orders", "invoices"):
                assert (await client.post(f"/v1/{kind}", body)).status_code == 422, kind
            taken = {"order_id": order["id"], "reason": "x", "lines": [
                {"order_line_id": order["lines"][0]["id"], "quantity": "1"}
            ]}  # fmt: skip
            assert (await client.post("/v1/returns", taken)).status_code == 422
            assert (
                await client.post("/v1/invoices/from-order", {"order_id": order["id"]})
            ).status_code == 422
