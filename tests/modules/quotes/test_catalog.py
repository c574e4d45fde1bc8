"""Quotes on the catalogue: prices, rules and costs come from there, for 200 lines as for one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.kernel.outbox import Relay
from app.kernel.records import to_json
from app.kernel.validation import fields_of
from app.modules.quotes.schemas import QuoteCreate
from app.modules.quotes.services.quotes import QuoteService
from tests.merging.support import merge_body
from tests.modules.catalog.goods import book, entry, product
from tests.modules.opportunities.deals import pointers
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import account_of, again, line, lines_of, money, quote_of, sent_quote, step
from tests.modules.support import acting, make
from tests.support.api import Client, Company


def of(product: dict[str, Any], quantity: str = "1", **fields: Any) -> dict[str, Any]:
    return {"product_id": product["id"], "quantity": quantity} | fields


async def relayed(company: Company) -> None:
    """Let everything that was published reach those who react."""
    relay = Relay(company.kernel)
    while await relay.run_once():
        pass


async def test_the_catalogue_prices_products_beside_free_text(owner: Client) -> None:
    pump = await product(
        owner,
        name="水泵",
        name_en="Pump",
        prices=[money("100.00")],
        costs=[money("60.00")],
        charge="yearly",
        unit="kg",
    )
    shelf = await book(owner, currency="USD")
    await entry(owner, shelf, pump, "90", tier_kind="slab", tiers=[{"from_quantity": "10", "price": "80"}])
    quote = await quote_of(owner, line("10.00"), of(pump, "12"), of(pump, "2", unit_price=money("50.00")))
    first, second = (await lines_of(owner, quote))[1:]
    assert (first["description"], first["unit"], first["charge"], first["price_source"]) == (
        "Pump", "kg", "yearly", "price_book",
    )  # fmt: skip
    assert (first["gross"], first["list_price"], first["price_book_id"]) == (
        money("1060.00"), money("100.00"), shelf["id"],
    )  # fmt: skip
    assert (second["price_source"], second["unit_price"], second["unit_cost"]) == (
        "entered", money("50.00"), money("60.00"),
    )  # fmt: skip
    assert (quote["total"], quote["one_time_total"], quote["yearly_total"]) == (
        money("1170.00"), money("10.00"), money("1160.00"),
    )  # fmt: skip
    # 50.00 stands for 100.00: 100.00 off what would be 10.00 + 1060.00 + 200.00
    assert quote["total_discount_percent"] == "7.8740"


async def test_refusals_of_the_catalogue_point_at_the_lines_of_the_quote(owner: Client) -> None:
    account = await account_of(owner)
    draft = await product(owner, status="draft", prices=[money("1.00")])
    euro = await product(owner, prices=[money("1.00", "EUR")])
    refused = await owner.post(
        "/v1/quotes", {"account_id": account["id"], "lines": [line(), of(draft), line(), of(euro)]}
    )
    assert pointers(refused) == [("/lines/1/product_id", "not_for_sale"), ("/lines/3/product_id", "no_price")]
    unpriced = await owner.post(
        "/v1/quotes", {"account_id": account["id"], "lines": [line(), line(), line(), of(euro)]}
    )
    assert pointers(unpriced) == [("/lines/3/product_id", "no_price")]
    assert (await owner.ok("GET", "/v1/quotes"))["data"] == []


async def test_what_was_sold_to_its_end_stays_in_quotes_that_have_it(owner: Client) -> None:
    pump = await product(owner, prices=[money("100.00")])
    quote = await quote_of(owner, of(pump))
    await owner.ok("PATCH", f"/v1/products/{pump['id']}", json={"status": "end_of_sale"}, if_match=1)
    path = f"/v1/quotes/{quote['id']}"
    changed = await owner.ok("PATCH", path, json={"lines": [of(pump, "2")]}, if_match=1)
    assert changed["total"] == money("200.00")
    cloned = await owner.post(f"{path}/clone")
    assert pointers(cloned) == [("/lines/0/product_id", "not_for_sale")]
    gone = await owner.delete(f"/v1/products/{pump['id']}", if_match=2)
    assert (gone.status_code, gone.json()["used_by"]) == (409, {"quotes": 1})


@pytest.mark.parametrize("size", [1, 200])
async def test_two_hundred_lines_are_priced_and_totalled_in_twelve_statements(
    owner: Client, company: Company, size: int
) -> None:
    account = await account_of(owner)
    goods = [await product(owner, prices=[money("3.33")], costs=[money("1.11")]) for _ in range(10)]
    lines = [
        of(goods[n % 10], str(n + 1)) if n % 2 == 0 else line("0.335", "3", tax_rate="7") for n in range(size)
    ]
    body = QuoteCreate.model_validate({"account_id": account["id"], "lines": lines, "discount_percent": "3"})
    async with acting(company) as uow:
        service = QuoteService(uow)
        row = await service.create(fields_of(body), explicit=body.model_fields_set)
        answer = orjson.loads(to_json(await service.answer(row)))
        await uow.flush()
        assert len(answer["lines"]) == size
        assert sum(one["total"]["amount"] != "0" for one in answer["lines"]) == size
        assert uow.statements <= 12
        created = uow.statements
        await service.update(row.id, {"lines": body.lines[::-1]}, expected_version=1)
        await uow.flush()
        assert uow.statements - created <= 12


async def test_an_opportunity_s_products_are_taken_over_as_far_as_the_catalogue_knows_them(
    owner: Client,
) -> None:
    pump = await product(owner, prices=[money("100.00")], costs=[money("60.00")])
    account = await account_of(owner)
    deal = await make(owner, "opportunities", name="Deal", account_id=account["id"])
    for named in ({"product_id": pump["id"]}, {"product_name": "Thing"}):
        await owner.ok(
            "POST",
            f"/v1/opportunities/{deal['id']}/lines",
            json=named | {"quantity": "1", "unit_price": money("80.00")},
        )
    quote = await make(owner, "quotes", opportunity_id=deal["id"])
    assert [(one["product_id"], one["unit_price"], one["list_price"]) for one in quote["lines"]] == [
        (pump["id"], money("80.00"), money("100.00")), (None, money("80.00"), None),
    ]  # fmt: skip


# -- prices that change --------------------------------------------------------------------------------------


async def test_a_changed_price_is_told_to_owners_of_open_quotes_once(
    owner: Client, company: Company, hire: Hire
) -> None:
    pump = await product(owner, name="Pump", prices=[money("100.00"), money("90.00", "EUR")])
    mate = await hire("salesperson")
    account = await account_of(owner)
    mine = await make(
        owner, "quotes", account_id=account["id"], owner_id=mate.facts["member_id"], lines=[of(pump)]
    )
    sent = await sent_quote(owner, of(pump), account_id=account["id"])
    await sent_quote(owner, line(), account_id=account["id"])
    done = await sent_quote(owner, of(pump), account_id=account["id"])
    await step(owner, done, "decline")
    await relayed(company)
    await owner.ok(
        "PATCH",
        f"/v1/products/{pump['id']}",
        json={"prices": [money("120.00"), money("90.00", "EUR")]},
        if_match=1,
    )
    await relayed(company)
    [told] = (await mate.ok("GET", "/v1/notifications?kind=quote.price_changed"))["data"]
    assert (
        told["title"] == f"{mine['number']} rev. 1: the price of Pump changed from 100.00 USD to 120.00 USD"
    )
    [waits] = (await mate.ok("GET", "/v1/to-dos?kind=quote_price_changed"))["data"]
    assert (waits["record_id"], waits["object"]) == (mine["id"], "quote")
    waiting = (await owner.ok("GET", "/v1/to-dos?kind=quote_price_changed"))["data"]
    assert [one["record_id"] for one in waiting] == [sent["id"]]
    [change] = (await owner.ok("GET", f"/v1/quotes/{sent['id']}/price-changes"))["data"]
    assert (change["product_name"], change["former"], change["price"]) == ("Pump", "100.00", "120.00")
    await owner.ok("POST", f"/v1/quotes/{sent['id']}/keep-prices", if_match=sent["version"])
    assert (await owner.ok("GET", f"/v1/quotes/{sent['id']}/price-changes"))["data"] == []
    priced = await owner.ok("POST", f"/v1/quotes/{mine['id']}/reprice", if_match=1)
    assert priced["total"] == money("120.00")
    assert (await mate.ok("GET", "/v1/to-dos?kind=quote_price_changed"))["data"] == []


async def test_a_new_price_reaches_variants_that_take_it_from_their_parent(
    owner: Client, company: Company
) -> None:
    values = [{"key": key, "name": key.upper(), "name_en": None} for key in ("s", "m", "l")]
    sizes = {"key": "size", "name": "尺寸", "name_en": "Size", "values": values}
    shirt = await product(owner, name="Shirt", options=[sizes], prices=[money("40.00")])
    await owner.ok("POST", f"/v1/products/{shirt['id']}/variants/generate")
    large, medium, small = (await owner.ok("GET", f"/v1/products?parent_id={shirt['id']}&sort=code"))["data"]
    await owner.ok("PATCH", f"/v1/products/{large['id']}", json={"prices": [money("50.00")]}, if_match=1)
    shelf = await book(owner, currency="USD")
    await entry(owner, shelf, shirt, "35.00")
    await entry(owner, shelf, small, "30.00")
    await relayed(company)
    both = await quote_of(owner, of(medium), of(small), of(medium))
    own = await quote_of(owner, of(large))

    async def noted() -> list[tuple[str, str]]:
        await relayed(company)
        found = [
            (one["product_name"], one["price"])
            for quote in (both, own)
            for one in (await owner.ok("GET", f"/v1/quotes/{quote['id']}/price-changes"))["data"]
        ]
        return sorted(found)

    version = (await owner.ok("GET", f"/v1/products/{shirt['id']}"))["version"]
    await owner.ok(
        "PATCH", f"/v1/products/{shirt['id']}", json={"prices": [money("44.00")]}, if_match=version
    )
    assert await noted() == [(medium["name"], "44.00"), (small["name"], "44.00")]
    told = (await owner.ok("GET", "/v1/notifications?kind=quote.price_changed"))["data"]
    assert [one["title"] for one in told] == [
        f"{both['number']} rev. 1: the price of Shirt changed from 40.00 USD to 44.00 USD"
    ]
    await owner.ok("POST", f"/v1/quotes/{both['id']}/keep-prices", if_match=both["version"])
    [of_shirt] = [
        one
        for one in (await owner.ok("GET", f"/v1/price-book-entries?price_book_id={shelf['id']}"))["data"]
        if one["product_id"] == shirt["id"]
    ]
    await owner.ok("PATCH", f"/v1/price-book-entries/{of_shirt['id']}", json={"price": "36.00"}, if_match=1)
    assert await noted() == [(large["name"], "36"), (medium["name"], "36")]
    agreed = {"product_id": shirt["id"], "account_id": both["account_id"], "price": "33.00"}
    agreed["currency"] = "USD"
    await owner.ok("POST", f"/v1/quotes/{both['id']}/keep-prices", if_match=both["version"])
    await owner.ok("POST", f"/v1/quotes/{own['id']}/keep-prices", if_match=own["version"])
    await make(owner, "agreed-prices", **agreed)
    assert await noted() == [(medium["name"], "33"), (small["name"], "33")]


async def test_an_accepted_quote_wins_its_opportunity(owner: Client, company: Company) -> None:
    account = await account_of(owner)
    deal = await make(owner, "opportunities", name="Deal", account_id=account["id"], amount=money("5.00"))
    lined = await make(owner, "opportunities", name="Lined", account_id=account["id"])
    await owner.ok(
        "POST",
        f"/v1/opportunities/{lined['id']}/lines",
        json={"product_name": "Pump", "quantity": "1", "unit_price": money("7.00")},
    )
    for opportunity in (deal, lined):
        quote = await sent_quote(
            owner,
            line("80.00", tax_rate="13"),
            line("5.00", tax_rate="13", optional=True),
            opportunity_id=opportunity["id"],
            account_id=account["id"],
        )
        chosen = [(await lines_of(owner, quote))[1]["id"]]
        answer = await step(owner, quote, "accept", name="Li Hua", chosen_line_ids=chosen)
        assert answer["total"] == money("96.05")
    await relayed(company)
    won = await owner.ok("GET", f"/v1/opportunities/{deal['id']}")
    assert (won["status"], won["amount"], won["probability"]) == ("won", money("85.00"), 100)
    kept = await owner.ok("GET", f"/v1/opportunities/{lined['id']}")
    assert (kept["status"], kept["amount"]) == ("won", money("7.00"))


@pytest.mark.parametrize(
    ("country", "tax_country", "total"),
    [("CN", "CN", "113.00"), ("FR", "FR", "100.00"), (None, "US", "107.00")],
)
async def test_a_quote_and_an_order_of_one_basket_are_taxed_alike(
    owner: Client, country: str | None, tax_country: str, total: str
) -> None:
    await make(
        owner, "tax-classes", code="taxed", name_en="Taxed",
        rates=[
            {"country": "CN", "valid_from": "2020-01-01", "rate": "13"},
            {"country": "US", "valid_from": "2020-01-01", "rate": "7"},
        ],
    )  # fmt: skip
    pump = await product(owner, tax_class="taxed", prices=[money("100.00")])
    account = await account_of(owner, country=country)
    quote = await quote_of(owner, of(pump), account_id=account["id"])
    order = await make(owner, "orders", account_id=account["id"], currency="USD", lines=[of(pump)])
    assert (quote["tax_country"], quote["total"], order["total"]) == (tax_country, money(total), money(total))
    told = await quote_of(owner, of(pump), account_id=account["id"], tax_country="CN")
    assert told["total"] == money("113.00")


# -- beside accounts -----------------------------------------------------------------------------------------


async def test_quotes_stand_on_the_account_s_page_and_timeline(owner: Client) -> None:
    account = await account_of(owner)
    quote = await sent_quote(owner, account_id=account["id"])
    seen = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    panel = seen["panels"]["quotes"]
    assert (panel["counts"], panel["open_total"]) == ({"sent": 1}, [money("100.00")])
    assert [one["number"] for one in panel["open_quotes"]] == [quote["number"]]
    timeline = await owner.ok("GET", f"/v1/accounts/{account['id']}/timeline?kind=quote")
    assert [one["title"] for one in timeline["data"]] == [
        f"{verb}: {quote['number']} rev. 1 · Acme" for verb in ("Sent", "Approved", "Made")
    ]
    gone = await owner.delete(f"/v1/accounts/{account['id']}", if_match=account["version"])
    assert (gone.status_code, gone.json()["used_by"]["quotes"]) == (409, 1)


async def test_quotes_go_with_their_account_to_its_new_owner(owner: Client, hire: Hire) -> None:
    mate = await hire("salesperson")
    account = await account_of(owner)
    open_one, over = (
        await sent_quote(owner, account_id=account["id"]),
        await sent_quote(owner, account_id=account["id"]),
    )
    await step(owner, over, "decline")
    answer = await owner.ok(
        "POST", "/v1/accounts/transfer", json={"ids": [account["id"]], "owner_id": mate.facts["member_id"]}
    )
    assert answer["went_along"]["quote"] == 1
    assert (await again(owner, open_one))["owner_id"] == mate.facts["member_id"]
    assert (await again(owner, over))["owner_id"] != mate.facts["member_id"]


async def test_quotes_follow_an_account_that_is_merged(owner: Client, company: Company) -> None:
    kept, gone = await account_of(owner, name="Acme"), await account_of(owner, name="Acme Inc")
    quote = await sent_quote(owner, account_id=gone["id"])
    await owner.ok("POST", "/v1/accounts/merge", json=merge_body([kept, gone]))
    assert (await again(owner, quote))["account_id"] == kept["id"]


async def test_an_offer_that_runs_out_and_one_to_send_wait_for_their_owner(owner: Client) -> None:
    today = (await quote_of(owner))["issued_on"]
    ending = await sent_quote(owner, valid_until=today)
    await sent_quote(owner)
    ready = await step(owner, await quote_of(owner), "submit")
    found = (await owner.ok("GET", "/v1/to-dos?kind=quote_expiring"))["data"]
    assert [one["record_id"] for one in found] == [ending["id"]]
    found = (await owner.ok("GET", "/v1/to-dos?kind=quote_to_send"))["data"]
    assert [one["record_id"] for one in found] == [ready["id"]]
    counts = await owner.ok("GET", "/v1/to-dos/counts")
    waiting = {one["kind"]: one["count"] for one in counts["data"] if one["kind"].startswith("quote")}
    assert waiting == {"quote_expiring": 1, "quote_price_changed": 0, "quote_to_send": 1}


# -- agreed prices, batches, people --------------------------------------------------------------------------


async def test_what_was_agreed_with_the_account_or_in_the_contract_holds(owner: Client) -> None:
    account, other = await account_of(owner), await account_of(owner, name="Other")
    pump = await product(owner, prices=[money("100.00")])
    contract = await make(
        owner,
        "contracts",
        title="Frame",
        account_id=account["id"],
        value=money("5000.00"),
        starts_on="2026-01-01",
    )
    for party, amount in (({"account_id": account["id"]}, "90"), ({"contract_id": contract["id"]}, "80")):
        await make(owner, "agreed-prices", product_id=pump["id"], currency="USD", price=amount, **party)
    plain = await quote_of(owner, of(pump), account_id=account["id"])
    assert (plain["total"], plain["lines"][0]["price_source"]) == (money("90.00"), "agreed")
    in_contract = await quote_of(owner, of(pump), account_id=account["id"], contract_id=contract["id"])
    assert in_contract["total"] == money("80.00")
    path = f"/v1/quotes/{plain['id']}"
    moved = await owner.ok("PATCH", path, json={"contract_id": contract["id"]}, if_match=1)
    assert moved["total"] == money("80.00")
    wrong = await owner.patch(path, {"account_id": other["id"]}, if_match=2)
    assert pointers(wrong) == [("/contract_id", "other_account")]
    freed = await owner.ok("PATCH", path, json={"account_id": other["id"], "contract_id": None}, if_match=2)
    assert freed["total"] == money("100.00")


async def test_batches_make_and_change_quotes_with_their_lines(owner: Client) -> None:
    account = await account_of(owner)

    async def batch(verb: str, *prices: tuple[str, ...]) -> None:
        items = [
            {
                "ref": str(n),
                "record": {
                    "account_id": account["id"],
                    "external_id": f"q{n}",
                    "lines": [line(price) for price in of_one],
                },
            }
            for n, of_one in enumerate(prices)
        ]
        made = await owner.ok("POST", f"/v1/quotes/batch/{verb}", json={"items": items})
        assert (made["succeeded"], made["failed"]) == (len(prices), 0)

    await batch("create", ("1.00",), ("2.00",))
    await batch("upsert", ("1.00", "4.00"), ("2.00",), ("3.00",))
    found = await owner.ok("GET", "/v1/quotes?sort=external_id")
    assert [one["total"] for one in found["data"]] == [money("5.00"), money("2.00"), money("3.00")]


async def test_a_salesperson_sells_alone(owner: Client, hire: Hire) -> None:
    mate = await hire("salesperson")
    account = await make(mate, "accounts", name="Acme")
    quote = await make(mate, "quotes", account_id=account["id"], lines=[line("10.00")])
    sent = await mate.ok("POST", f"/v1/quotes/{quote['id']}/send", json={"by_mail": False}, if_match=1)
    answer = await mate.ok(
        "POST", f"/v1/quotes/{quote['id']}/accept", json={"name": "Li Hua"}, if_match=sent["version"]
    )
    order = await mate.ok("GET", f"/v1/orders/{answer['order_id']}")
    assert (order["owner_id"], order["total"]) == (mate.facts["member_id"], money("10.00"))


async def test_who_accepts_for_a_colleague_places_the_colleague_s_order(owner: Client, hire: Hire) -> None:
    mate = await hire("salesperson")
    account = await account_of(owner)
    for becomes, made in (("order", "order_id"), ("contract", "contract_id")):
        quote = await sent_quote(
            owner, account_id=account["id"], owner_id=mate.facts["member_id"], becomes=becomes
        )
        answer = await step(owner, quote, "accept", name="Li Hua")
        plural = f"{becomes}s"
        assert (await owner.ok("GET", f"/v1/{plural}/{answer[made]}"))["owner_id"] == mate.facts["member_id"]


# -- another account -----------------------------------------------------------------------------------------


async def taxed_in(owner: Client, **rates: str) -> None:
    """So many percent on goods of the class `goods`, by country."""
    given = [
        {"country": country, "valid_from": "2020-01-01", "rate": rate} for country, rate in rates.items()
    ]
    body = {"code": "goods", "name_en": "Goods", "name_zh": "货物", "rates": given}
    await owner.ok("POST", "/v1/tax-classes", json=body)


async def test_a_draft_for_another_account_is_taxed_and_written_as_that_one(owner: Client) -> None:
    await taxed_in(owner, CN="13", US="7")
    pump = await product(owner, name="泵", name_en="Pump", tax_class="goods", prices=[money("100.00")])
    first = await account_of(owner, country="US", language="en")
    second = await account_of(owner, country="CN", language="zh-CN")
    quote = await quote_of(owner, of(pump), line("10.00"), account_id=first["id"])
    assert (quote["tax_country"], quote["language"], quote["total"]) == ("US", "en", money("117.00"))
    changed = await owner.ok(
        "PATCH", f"/v1/quotes/{quote['id']}", json={"account_id": second["id"]}, if_match=1
    )
    assert (changed["tax_country"], changed["language"], changed["total"]) == ("CN", "zh", money("123.00"))
    assert [one["description"] for one in await lines_of(owner, quote)] == ["泵", "Consulting"]


async def test_what_was_chosen_for_a_draft_stays_with_another_account(owner: Client) -> None:
    await taxed_in(owner, CN="13", US="7", DE="19")
    pump = await product(owner, tax_class="goods", prices=[money("100.00")])
    first = await account_of(owner, country="US", language="en")
    second = await account_of(owner, country="CN", language="zh-CN")
    chosen = await quote_of(owner, of(pump), account_id=first["id"], tax_country="DE", language="zh")
    path, body = f"/v1/quotes/{chosen['id']}", {"account_id": second["id"]}
    kept = await owner.ok("PATCH", path, json=body, if_match=1)
    assert (kept["tax_country"], kept["language"], kept["total"]) == ("DE", "zh", money("119.00"))
    said = {"account_id": first["id"], "tax_country": "CN", "language": "en"}
    told = await owner.ok("PATCH", path, json=said, if_match=2)
    assert (told["tax_country"], told["language"], told["total"]) == ("CN", "en", money("113.00"))
