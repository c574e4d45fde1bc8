"""Lines: exact amounts in every currency, one sum, and no line lost however many write at once."""

from __future__ import annotations

import asyncio
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.money import Money, UnitPrice, exponent_of
from app.modules.opportunities.services.lines import LineService, line_amount
from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import again, money, pointers
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company
from tests.tenants.people import Look, code_of, role_id

CURRENCIES = ("CNY", "USD", "JPY", "KWD")
quantities = st.decimals(min_value="0.000001", max_value="99999", places=6)
prices = st.decimals(min_value=0, max_value="99999", places=8)
percents = st.decimals(min_value=0, max_value=100, places=4)


def line(quantity: str = "1", price: str = "10.00", currency: str = "USD", **more: Any) -> dict[str, Any]:
    return {"product_name": "Pump", "quantity": quantity, "unit_price": money(price, currency)} | more


async def add(client: Client, deal: dict[str, Any], **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.ok("POST", f"/v1/opportunities/{deal['id']}/lines", json=body)
    return made


async def count_lines(company: Company) -> int:
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM opportunities.lines WHERE tenant_id = $1", uow.tenant_id
        )
    return int(row[0]) if row else 0


# -- arithmetic ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "currency", "percent", "off", "amount"),
    [
        ("3", "0.335", "USD", None, None, "1.01"),  # 1.005: half goes up
        ("3", "0.33499999", "USD", None, None, "1.00"),
        ("1000", "0.0035", "CNY", None, None, "3.50"),
        ("1", "0.5", "JPY", None, None, "1"),
        ("1", "0.49999999", "JPY", None, None, "0"),
        ("0.0005", "1", "KWD", None, None, "0.001"),
        ("7", "19.99", "USD", "12.5", None, "122.44"),  # 122.43875, not 139.93 less 17.49
        ("2", "100", "CNY", None, "0.01", "199.99"),
        ("3", "33.335", "CNY", None, "100.00", "0.01"),  # 0.005 left, rounded after the discount
        ("2", "50", "USD", "100", None, "0.00"),
    ],
)
def test_a_line_is_rounded_once_half_up(
    quantity: str, price: str, currency: str, percent: str | None, off: str | None, amount: str
) -> None:
    found = line_amount(
        Decimal(quantity),
        UnitPrice.from_major(price, currency),
        discount_percent=None if percent is None else Decimal(percent),
        discount_amount=None if off is None else Money.from_major(off, currency),
    )
    assert found.to_major() == amount


@pytest.mark.parametrize("currency", CURRENCIES)
@settings(max_examples=200, deadline=None)
@given(quantity=quantities, price=prices, percent=st.none() | percents)
def test_a_line_is_what_long_arithmetic_says(
    currency: str, quantity: Decimal, price: Decimal, percent: Decimal | None
) -> None:
    found = line_amount(quantity, UnitPrice(price, currency), discount_percent=percent)
    with localcontext() as context:
        context.prec = 80
        exact = quantity * price * (1 - (percent or Decimal(0)) / 100)
        expected = exact.quantize(Decimal(1).scaleb(-exponent_of(currency)), ROUND_HALF_UP)
        assert found.to_decimal() == expected
        assert abs(found.to_decimal() - exact) * 2 <= Decimal(1).scaleb(-exponent_of(currency))


@pytest.mark.parametrize("currency", CURRENCIES)
@settings(max_examples=100, deadline=None)
@given(quantity=quantities, price=prices, off=st.integers(min_value=0, max_value=10**9))
def test_a_sum_off_lowers_the_line_by_just_that_or_is_refused(
    currency: str, quantity: Decimal, price: Decimal, off: int
) -> None:
    unit = UnitPrice(price, currency)
    whole = line_amount(quantity, unit)
    try:
        found = line_amount(quantity, unit, discount_amount=Money(off, currency))
    except ValueError:
        assert whole.amount_minor <= off
    else:
        assert found.amount_minor == whole.amount_minor - off


# -- the amount ----------------------------------------------------------------------------------------------


async def test_the_amount_is_the_sum_of_the_lines(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A", amount=money("5.00", "EUR"))
    first = await add(owner, deal, **line("3", "0.335"))
    assert (first["amount"], first["quantity"], first["unit_price"]) == (money("1.01"), "3", money("0.335"))
    await add(owner, deal, **line("2", "10", discount_percent="25", product_name="Valve"))
    found = await again(owner, deal)
    assert (found["amount"], found["line_count"], found["version"]) == (money("16.01"), 2, 3)
    lines = await owner.ok("GET", f"/v1/opportunities/{deal['id']}/lines")
    assert [(one["product_name"], one["position"], one["amount"]["amount"]) for one in lines["data"]] == [
        ("Pump", 0, "1.01"), ("Valve", 1, "15.00"),
    ]  # fmt: skip
    assert lines["amount"] == money("16.01")


async def test_an_amount_is_not_entered_beside_lines(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    await add(owner, deal, **line())
    before = await again(owner, deal)
    path = f"/v1/opportunities/{deal['id']}"
    for amount in (money("11.00"), money("10.00", "EUR"), None):
        refused = await owner.patch(path, {"amount": amount}, if_match=2)
        assert pointers(refused) == [("/amount", "sum_of_lines")]
    agreed = await owner.post(f"{path}/win", {"amount": money("9.00")}, if_match=2)
    assert pointers(agreed) == [("/amount", "sum_of_lines")]
    assert await again(owner, deal) == before
    same = await owner.ok("PATCH", path, json={"amount": money("10.00"), "name": "B"}, if_match=2)
    assert (same["name"], same["amount"]) == ("B", money("10.00"))


async def test_changing_and_removing_lines_moves_the_amount(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    one, two = await add(owner, deal, **line("1", "10")), await add(owner, deal, **line("1", "5"))
    path = f"/v1/opportunities/{deal['id']}/lines"
    changed = await owner.ok(
        "PATCH", f"{path}/{one['id']}", json={"quantity": "4", "discount_amount": money("1.00")}, if_match=1
    )
    assert (changed["amount"], changed["version"]) == (money("39.00"), 2)
    swapped = await owner.ok("PATCH", f"{path}/{one['id']}", json={"discount_percent": "50"}, if_match=2)
    assert (swapped["amount"], swapped["discount_amount"]) == (money("20.00"), None)
    assert (await again(owner, deal))["amount"] == money("25.00")
    await owner.ok("DELETE", f"{path}/{two['id']}", if_match=1)
    assert (await again(owner, deal))["amount"] == money("20.00")
    await owner.ok("DELETE", f"{path}/{one['id']}", if_match=3)
    empty = await again(owner, deal)
    assert (empty["amount"], empty["line_count"]) == (None, 0)
    entered = await owner.ok(
        "PATCH", f"/v1/opportunities/{deal['id']}", json={"amount": money("7.00")}, if_match=empty["version"]
    )
    assert entered["amount"] == money("7.00")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (line("0"), "/quantity", "not_positive"),
        (line("-1"), "/quantity", "string_pattern_mismatch"),
        (line(price="-1"), "/unit_price", "negative"),
        (line(price="0.000000001"), "/unit_price", "too_many_decimals"),
        (line(discount_percent="100.1"), "/discount_percent", "string_pattern_mismatch"),
        (line(discount_amount=money("10.01")), "/discount_amount", "more_than_the_price"),
        (line(discount_amount=money("1.00", "EUR")), "/discount_amount/currency", "other_currency"),
        (line(discount_amount=money("-1.00")), "/discount_amount", "negative"),
        (line(discount_amount=money("1.00"), discount_percent="1"), "", "one_discount"),
        (line(currency="EUR"), "/unit_price/currency", "other_currency"),
        (line("999999999999", "99999999999"), "/unit_price", "amount_out_of_range"),
    ],
)
async def test_a_line_that_makes_no_sense_is_refused(
    company: Company, owner: Client, body: dict[str, Any], pointer: str, code: str
) -> None:
    deal = await make(owner, "opportunities", name="A")
    await add(owner, deal, **line())
    before = await again(owner, deal)
    refused = await owner.post(f"/v1/opportunities/{deal['id']}/lines", body)
    assert pointers(refused) == [(pointer, code)]
    assert await again(owner, deal) == before
    assert await count_lines(company) == 1


async def test_a_stale_or_foreign_line_is_not_changed(owner: Client, rival: Company) -> None:
    deal, other = [await make(owner, "opportunities", name=name) for name in "AB"]
    made = await add(owner, deal, **line())
    path = f"/v1/opportunities/{deal['id']}/lines/{made['id']}"
    assert code_of(await owner.patch(path, {"quantity": "9"}, if_match=2)) == (412, "stale_version")
    assert code_of(await owner.patch(path, {"quantity": "9"})) == (428, "version_required")
    elsewhere = f"/v1/opportunities/{other['id']}/lines/{made['id']}"
    assert code_of(await owner.patch(elsewhere, {"quantity": "9"}, if_match=1)) == (404, "not_found")
    assert code_of(await rival.owner.delete(path, if_match=1)) == (404, "not_found")
    assert await owner.ok("GET", path) == made


async def test_two_hundred_lines_at_once_lose_no_amount(company: Company, owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    await asyncio.gather(*(add(owner, deal, **line("1", f"{n}.25")) for n in range(200)))
    found = await again(owner, deal)
    assert found["amount"] == money(f"{sum(range(200)) + 50}.00")
    assert (found["line_count"], found["version"]) == (200, 201)
    lines = (await owner.ok("GET", f"/v1/opportunities/{deal['id']}/lines"))["data"]
    assert [one["position"] for one in lines] == list(range(200))


async def test_who_may_not_see_or_write_the_amount_neither_sees_nor_writes_prices(
    company: Company, owner: Client, look: Look
) -> None:
    from tests.tenants.people import colleague

    grants = {"opportunity:read": "all", "opportunity:update": "all"}
    role = await owner.ok(
        "POST", "/v1/roles",
        json={"name": "Blind", "grants": grants, "field_rules": {"opportunity": {"hidden": ["amount"]}}},
    )  # fmt: skip
    spy = await colleague(company, look, "viewer", role_ids=[role["id"]])
    deal = await make(owner, "opportunities", name="A")
    made = await add(owner, deal, **line("2", "10", discount_percent="5"))
    path = f"/v1/opportunities/{deal['id']}/lines"
    seen = await spy.ok("GET", path)
    assert seen["amount"] is None
    assert [seen["data"][0][n] for n in ("quantity", "unit_price", "discount_percent", "amount")] == [
        "2", None, None, None,
    ]  # fmt: skip
    for answer in (
        await spy.post(path, line()),
        await spy.patch(f"{path}/{made['id']}", {"quantity": "1"}, if_match=1),
        await spy.delete(f"{path}/{made['id']}", if_match=1),
    ):
        assert code_of(answer) == (403, "forbidden")
    assert await owner.ok("GET", f"{path}/{made['id']}") == made
    history = await spy.ok("GET", f"/v1/opportunities/{deal['id']}/history")
    changed = {name for entry in history["data"] for name in entry["changes"]}
    assert changed & {"amount", "amount_home", "unit_price", "price", "total"} == set()


async def test_a_reader_adds_no_line(company: Company, owner: Client, hire: Hire) -> None:
    deal = await make(owner, "opportunities", name="A")
    viewer = await hire("viewer")
    assert await role_id(company, "viewer")
    refused = await viewer.post(f"/v1/opportunities/{deal['id']}/lines", line())
    assert code_of(refused) == (403, "forbidden")
    assert await count_lines(company) == 0


async def test_lines_take_two_statements_to_read_however_many(company: Company, owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    for _ in range(5):
        await add(owner, deal, **line())
    async with acting(company) as uow:
        before = uow.statements
        assert len((await LineService(uow).all(subject_id(deal))).data) == 5
        assert uow.statements - before == 2
