"""Quotes: exact totals, what a write checks, and what stays as it is once a customer may have seen it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.modules.opportunities.deals import pointers
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import account_of, again, line, lines_of, money, quote_of
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague


async def test_a_quote_is_totalled_to_the_minor_unit(owner: Client) -> None:
    quote = await quote_of(
        owner,
        line("33.335", "3", tax_rate="13"),  # 100.005 → 100.01
        line("10.00", "2", discount_percent="12.5", discount_amount=money("0.50"), tax_rate="6"),
        line("20.00", "1", charge="monthly"),
        discount_percent="10",
        discount_amount=money("1.00"),
    )
    assert (quote["number"][:2], quote["revision"], quote["status"]) == ("Q-", 1, "draft")
    # 100.01 + 17.00 + 20.00 = 137.01; 13.70 + 1.00 off, shared out 10.73 : 1.82 : 2.15
    assert [quote[name]["amount"] for name in ("gross", "discount", "header_discount", "net", "tax", "total")] == [
        "140.01", "3.00", "14.70", "122.31", "12.52", "134.83",
    ]  # fmt: skip
    lines = await lines_of(owner, quote)
    assert [one["header_discount"]["amount"] for one in lines] == ["10.73", "1.82", "2.15"]
    assert [one["tax"]["amount"] for one in lines] == ["11.61", "0.91", "0.00"]
    assert (quote["one_time_total"], quote["monthly_total"], quote["yearly_total"]) == (
        money("116.98"), money("17.85"), money("0.00"),
    )  # fmt: skip
    assert quote["total_discount_percent"] == "12.6420"  # 17.70 of 140.01


async def test_prices_that_include_tax_keep_their_total(owner: Client) -> None:
    quote = await quote_of(owner, line("119.00", tax_rate="19"), tax_included=True)
    assert (quote["net"], quote["tax"], quote["total"]) == (money("100.00"), money("19.00"), money("119.00"))


async def test_optional_lines_are_in_no_total(owner: Client) -> None:
    quote = await quote_of(owner, line("100.00"), line("50.00", optional=True, tax_rate="10"))
    assert (quote["total"], quote["line_count"]) == (money("100.00"), 2)
    assert (await lines_of(owner, quote))[1]["total"] == money("55.00")


async def test_components_of_an_optional_bundle_count_with_it(owner: Client) -> None:
    quote = await quote_of(owner, line("10.00"), line("5.00", optional=True), line("3.00", component_of=1))
    assert quote["total"] == money("10.00")


async def test_cost_and_margin_are_known_only_where_every_cost_is(owner: Client) -> None:
    known = await quote_of(owner, line("100.00", "2", unit_cost=money("60.00")))
    assert (known["cost"], known["margin_amount"], known["margin_percent"]) == (
        money("120.00"), money("80.00"), "40.0000",
    )  # fmt: skip
    partly = await quote_of(owner, line("100.00", unit_cost=money("60.00")), line("1.00"))
    assert (partly["cost"], partly["margin_amount"], partly["margin_percent"]) == (None, None, None)


async def test_what_is_left_open_follows_from_the_company_and_the_day(owner: Client) -> None:
    account = await account_of(owner, name="Globex")
    quote = await make(owner, "quotes", account_id=account["id"])
    today = date.fromisoformat(quote["issued_on"])
    assert quote["valid_until"] == (today + timedelta(days=30)).isoformat()
    assert (quote["name"], quote["currency"], quote["tax_country"], quote["language"]) == (
        "Globex", "USD", "US", "en",
    )  # fmt: skip
    assert (quote["total"], quote["becomes"]) == (money("0.00"), "order")


@pytest.mark.parametrize(
    ("spoken", "language"), [("zh-CN", "zh"), ("zh", "zh"), ("en-GB", "en"), ("fr", "en"), (None, "en")]
)
async def test_a_quote_is_written_in_the_account_s_language(
    owner: Client, spoken: str | None, language: str
) -> None:
    account = await account_of(owner, language=spoken)
    quote = await quote_of(owner, account_id=account["id"])
    assert quote["language"] == language
    told = await quote_of(owner, account_id=account["id"], language="zh")
    assert told["language"] == "zh"


async def test_a_quote_takes_over_what_its_opportunity_says(owner: Client) -> None:
    account = await account_of(owner)
    contact = await make(owner, "contacts", name="Li Hua", account_id=account["id"])
    deal = await make(
        owner, "opportunities", name="Big deal", account_id=account["id"], contact_id=contact["id"]
    )
    for product, price in (("Pump", "12.50"), ("Valve", "3.00")):
        await owner.ok(
            "POST",
            f"/v1/opportunities/{deal['id']}/lines",
            json={"product_name": product, "quantity": "2", "unit_price": money(price, "EUR")},
        )
    quote = await make(owner, "quotes", opportunity_id=deal["id"])
    assert (quote["account_id"], quote["contact_id"], quote["name"]) == (
        account["id"], contact["id"], "Big deal",
    )  # fmt: skip
    assert quote["total"] == money("31.00", "EUR")
    assert [one["description"] for one in await lines_of(owner, quote)] == ["Pump", "Valve"]
    listed = await owner.ok("GET", f"/v1/quotes?opportunity_id={deal['id']}")
    assert [one["id"] for one in listed["data"]] == [quote["id"]]
    refused = await owner.post("/v1/quotes", {"opportunity_id": deal["id"], "currency": "USD"})
    assert pointers(refused) == [("/currency", "other_currency")]


async def test_everything_wrong_with_the_lines_is_said_at_once(owner: Client, company: Company) -> None:
    account = await account_of(owner)
    body = {
        "account_id": account["id"],
        "lines": [line("1.00", "0"), line("-1.00"), line(component_of=2), line(component_of=3)],
    }
    refused = await owner.post("/v1/quotes", body)
    assert pointers(refused) == [
        ("/lines/0/quantity", "not_positive"),
        ("/lines/1/unit_price", "negative"),
        ("/lines/2/component_of", "unknown_bundle"),
        ("/lines/3/component_of", "unknown_bundle"),
    ]
    foreign = await owner.post(
        "/v1/quotes",
        {"account_id": account["id"], "lines": [line(currency="EUR"), line(unit_cost=money("1.00", "EUR"))]},
    )
    assert pointers(foreign) == [
        ("/lines/0/unit_price/currency", "other_currency"),
        ("/lines/1/unit_cost/currency", "other_currency"),
    ]
    assert (await owner.ok("GET", "/v1/quotes"))["data"] == []


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        (
            {"lines": [line(discount_amount=money("100.01"))]},
            "/lines/0/discount_amount",
            "more_than_the_price",
        ),
        ({"discount_amount": money("100.01")}, "/discount_amount", "more_than_the_price"),
        ({"discount_amount": money("1.00", "EUR")}, "/discount_amount/currency", "other_currency"),
        ({"lines": [line("99999999999", "999999999")]}, "/lines/0/unit_price", "amount_out_of_range"),
        ({"issued_on": "2026-03-01", "valid_until": "2026-02-28"}, "/valid_until", "before_issue"),
        ({"account_id": "0198c0de-0000-7000-8000-000000000000"}, "/account_id", "unknown_reference"),
        ({"account_id": None}, "/account_id", "required"),
        ({"prepayment_percent": "0"}, "/prepayment_percent", "not_positive"),
    ],
)
async def test_a_quote_that_makes_no_sense_is_refused(
    owner: Client, fields: dict[str, Any], pointer: str, code: str
) -> None:
    account = await account_of(owner)
    refused = await owner.post("/v1/quotes", {"account_id": account["id"], "lines": [line()]} | fields)
    assert pointers(refused) == [(pointer, code)]
    assert (await owner.ok("GET", "/v1/quotes"))["data"] == []


async def test_a_draft_is_priced_again_with_each_write(owner: Client) -> None:
    quote = await quote_of(owner, line("100.00", tax_rate="10"))
    path = f"/v1/quotes/{quote['id']}"
    changed = await owner.ok("PATCH", path, json={"discount_percent": "50"}, if_match=1)
    assert (changed["total"], changed["version"]) == (money("55.00"), 2)
    assert (await lines_of(owner, quote))[0]["total"] == money("55.00")
    replaced = await owner.ok("PATCH", path, json={"lines": [line("10.00"), line("20.00")]}, if_match=2)
    assert (replaced["total"], replaced["line_count"]) == (money("15.00"), 2)
    renamed = await owner.ok(
        "PATCH", path, json={"lines": [line("10.00", description="A"), line("20.00")]}, if_match=3
    )
    assert (renamed["version"], (await lines_of(owner, quote))[0]["description"]) == (4, "A")
    same = await owner.ok(
        "PATCH", path, json={"lines": [line("10.00", description="A"), line("20.00")]}, if_match=4
    )
    assert same["version"] == 4
    other = await owner.patch(path, {"currency": "EUR"}, if_match=4)
    assert pointers(other) == [("/lines", "required")]
    assert await again(owner, quote) == same


async def test_lists_and_search_find_quotes_by_number_and_total(owner: Client) -> None:
    small, large = await quote_of(owner, line("10.00")), await quote_of(owner, line("1000.00"))
    found = await owner.ok("GET", f"/v1/quotes?q={small['number']}")
    assert [one["id"] for one in found["data"]] == [small["id"]]
    found = await owner.ok("GET", "/v1/quotes?total[gte]=100&sort=-total")
    assert [one["id"] for one in found["data"]] == [large["id"]]


async def test_only_drafts_are_deleted(owner: Client) -> None:
    quote = await quote_of(owner)
    await owner.ok("DELETE", f"/v1/quotes/{quote['id']}", if_match=1)
    assert (await owner.get(f"/v1/quotes/{quote['id']}")).status_code == 404


async def test_another_company_sees_nothing(owner: Client, rival: Company) -> None:
    quote = await quote_of(owner)
    for path in ("", "/steps", "/answer", "/links", f"/compare?with={quote['id']}"):
        assert (await rival.owner.get(f"/v1/quotes/{quote['id']}{path}")).status_code == 404


# -- who sees and does what ----------------------------------------------------------------------------------


async def seeing_all_but(owner: Client, company: Company, look: Look, *hidden: str) -> Client:
    """A colleague who reads and changes all quotes, but not these fields."""
    grants = {"quote:read": "all", "quote:update": "all", "quote:create": "all", "account:read": "all"}
    rules = {"quote": {"hidden": list(hidden)}}
    role = await owner.ok("POST", "/v1/roles", json={"name": "Blind", "grants": grants, "field_rules": rules})
    return await colleague(company, look, "viewer", role_ids=[role["id"]])


async def test_a_role_that_hides_costs_sees_no_margin_either(
    owner: Client, company: Company, look: Look
) -> None:
    quote = await quote_of(owner, line("100.00", unit_cost=money("60.00")))
    spy = await seeing_all_but(owner, company, look, "cost")
    seen = await spy.ok("GET", f"/v1/quotes/{quote['id']}")
    assert not {"cost", "margin_amount", "margin_percent"} & seen.keys()
    assert (seen["lines"][0]["unit_cost"], seen["total"]) == (None, money("100.00"))
    changes = [
        entry["changes"] for entry in (await spy.ok("GET", f"/v1/quotes/{quote['id']}/history"))["data"]
    ]
    assert not {"cost", "margin_amount", "margin_percent"} & {name for one in changes for name in one}


async def test_who_may_not_see_the_total_neither_sees_nor_writes_prices(
    owner: Client, company: Company, look: Look
) -> None:
    quote = await quote_of(owner, line("100.00", tax_rate="10"))
    spy = await seeing_all_but(owner, company, look, "total")
    path = f"/v1/quotes/{quote['id']}"
    seen = await spy.ok("GET", path)
    assert not {"gross", "net", "tax", "total", "one_time_total", "discount_amount"} & seen.keys()
    assert (seen["taxes"], seen["lines"][0]["unit_price"], seen["lines"][0]["total"]) == ([], None, None)
    assert seen["lines"][0]["discount_percent"] is None
    for answer in (
        await spy.patch(path, {"lines": [line("1.00")]}, if_match=1),
        await spy.post("/v1/quotes", {"account_id": quote["account_id"], "lines": [line("1.00")]}),
        await spy.post(f"{path}/reprice", if_match=1),
        await spy.post(f"{path}/clone"),
    ):
        assert answer.status_code == 403
    assert await again(owner, quote) == quote


async def test_whoever_only_reads_quotes_changes_nothing(owner: Client, hire: Hire) -> None:
    quote = await quote_of(owner)
    viewer = await hire("viewer")
    path = f"/v1/quotes/{quote['id']}"
    for action in (
        "submit",
        "send",
        "recall",
        "revise",
        "accept",
        "decline",
        "reprice",
        "keep-prices",
        "clone",
    ):
        answer = await viewer.post(
            f"{path}/{action}", {"name": "X"} if action == "accept" else {}, if_match=1
        )
        assert answer.status_code == 403, action
    assert (await viewer.patch(path, {"lines": []}, if_match=1)).status_code == 403
    assert await again(owner, quote) == quote


async def test_what_one_quote_of_a_batch_was_refused_is_not_written_into_another(owner: Client) -> None:
    field = {"object": "quote", "key": "code", "type": "text", "labels": {"en": "Code"}, "unique": True}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    one = await quote_of(owner, line("10.00"))
    two = await quote_of(owner, line("20.00"), custom={"code": "A"})
    before = [await again(owner, one), await lines_of(owner, two)]
    items = [
        {"id": one["id"], "record": {"custom": {"code": "A"}, "lines": [line("99.00")]}},
        {"id": two["id"], "record": {"terms": "Net 30"}},
    ]
    done = await owner.ok("POST", "/v1/quotes/batch/update", json={"items": items})
    assert [result["status"] for result in done["results"]] == [409, 200]
    assert [await again(owner, one), await lines_of(owner, two)] == before
