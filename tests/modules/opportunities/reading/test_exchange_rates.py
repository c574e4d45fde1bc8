"""Dated exchange rates, and what opportunities are worth in the company's own currency."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import EXPONENTS, MAX_MINOR, Money
from app.tenants.interface import ExchangeRates
from app.tenants.people.exchange_rates import converted
from tests.modules.opportunities.reading.support import RIGHT, background, eur, kept_right, usd
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of


async def rate(owner: Client, value: str, day: str = "2026-01-01", currency: str = "EUR") -> dict[str, Any]:
    body = {"currency": currency, "valid_from": day, "rate": value}
    made: dict[str, Any] = await owner.ok("POST", "/v1/exchange-rates", json=body)
    return made


async def home(owner: Client, record: dict[str, Any]) -> tuple[str | None, bool]:
    found = await owner.ok("GET", f"/v1/opportunities/{record['id']}")
    amount = found["amount_home"]
    assert amount is None or amount["currency"] == "USD"
    return amount and amount["amount"], found["rate_missing"]


async def test_a_rate_is_kept_as_it_was_written_and_unique_per_day(owner: Client) -> None:
    made = await rate(owner, "1.084999999999")
    assert (made["rate"], made["home_currency"], made["version"]) == ("1.084999999999", "USD", 1)
    same = {"currency": "EUR", "valid_from": "2026-01-01", "rate": "1.2"}
    assert code_of(await owner.post("/v1/exchange-rates", same)) == (409, "duplicate_value")
    await rate(owner, "1.2", "2025-01-01")
    await rate(owner, "0.0066", "2025-01-01", "JPY")
    found = await owner.ok("GET", "/v1/exchange-rates")
    assert [(r["currency"], r["valid_from"], r["rate"]) for r in found["data"]] == [
        ("EUR", "2025-01-01", "1.2"),
        ("EUR", "2026-01-01", "1.084999999999"),
        ("JPY", "2025-01-01", "0.0066"),
    ]
    first = await owner.ok("GET", "/v1/exchange-rates", params={"limit": 2})
    rest = await owner.ok("GET", "/v1/exchange-rates", params={"limit": 2, "cursor": first["next_cursor"]})
    assert [r["id"] for r in first["data"] + rest["data"]] == [r["id"] for r in found["data"]]


@pytest.mark.parametrize("wrong", ["0", "0.000000000000", "-1", "1.0000000000001", "1e3", "NaN", "", 1])
async def test_a_rate_is_a_plain_positive_decimal(owner: Client, wrong: Any) -> None:
    body = {"currency": "EUR", "valid_from": "2026-01-01", "rate": wrong}
    assert (await owner.post("/v1/exchange-rates", body)).status_code == 422
    assert (await owner.ok("GET", "/v1/exchange-rates"))["data"] == []


async def test_the_companys_own_currency_has_no_rate(owner: Client) -> None:
    body = {"currency": "USD", "valid_from": "2026-01-01", "rate": "1"}
    assert (await owner.post("/v1/exchange-rates", body)).status_code == 422


async def test_amounts_are_converted_at_the_rate_of_the_close_date(owner: Client) -> None:
    await rate(owner, "1.10", "2025-01-01")
    await rate(owner, "1.20", "2025-07-01")
    amount = eur("100.05")
    closed = {"status": "won", "opened_on": "2025-02-01", "closed_on": "2025-06-30", "amount": amount}
    later = closed | {"closed_on": "2025-07-01"}
    expected = {"opened_on": "2025-08-01", "expected_close_on": "2025-06-30", "amount": amount}
    undated = {"opened_on": "2025-03-01", "amount": amount}
    before = closed | {"opened_on": "2024-01-01", "closed_on": "2024-12-31"}
    for fields, worth in (
        (closed, ("110.06", False)),  # 110.055, half up
        (later, ("120.06", False)),
        (expected, ("110.06", False)),
        (undated, ("110.06", False)),
        (before, (None, True)),
        ({"amount": usd("9.99")}, ("9.99", False)),
        ({}, (None, False)),
    ):
        made = await make(owner, "opportunities", name="A", **fields)
        assert (made["amount_home"] and made["amount_home"]["amount"], made["rate_missing"]) == worth
        assert await home(owner, made) == worth
    missing = await owner.ok("GET", "/v1/opportunities", params={"rate_missing": "true"})
    assert [r["closed_on"] for r in missing["data"]] == ["2024-12-31"]


async def test_a_change_of_amount_or_date_converts_again(owner: Client) -> None:
    await rate(owner, "1.10", "2025-01-01")
    await rate(owner, "1.20", "2025-07-01")
    made = await make(owner, "opportunities", name="A", expected_close_on="2025-03-01", amount=eur("10.00"))
    path = f"/v1/opportunities/{made['id']}"
    moved = await owner.ok("PATCH", path, json={"expected_close_on": "2025-09-01"}, if_match=1)
    assert moved["amount_home"] == usd("12.00")
    cheaper = await owner.ok("PATCH", path, json={"amount": eur("5.00")}, if_match=2)
    assert cheaper["amount_home"] == usd("6.00")
    foreign = await owner.ok("PATCH", path, json={"amount": {"amount": "5", "currency": "JPY"}}, if_match=3)
    assert (foreign["amount_home"], foreign["rate_missing"]) == (None, True)
    cleared = await owner.ok("PATCH", path, json={"amount": None}, if_match=4)
    assert (cleared["amount_home"], cleared["rate_missing"]) == (None, False)


async def test_lines_change_what_an_opportunity_is_worth_at_home(owner: Client) -> None:
    await rate(owner, "1.10", "2025-01-01")
    made = await make(owner, "opportunities", name="A", expected_close_on="2025-03-01", amount=eur("10.00"))
    line = {"product_name": "Pump", "quantity": "3", "unit_price": {"amount": "5.00", "currency": "EUR"}}
    await owner.ok("POST", f"/v1/opportunities/{made['id']}/lines", json=line, if_match=1)
    found = await owner.ok("GET", f"/v1/opportunities/{made['id']}")
    assert (found["amount"], found["amount_home"]) == (eur("15.00"), usd("16.50"))


async def test_entering_changing_and_deleting_a_rate_converts_what_is_there(
    company: Company, owner: Client, rival: Company
) -> None:
    deal = {"opened_on": "2025-05-01", "amount": eur("1000.00")}
    made = await make(owner, "opportunities", name="A", **deal)
    yen = await make(owner, "opportunities", name="B", amount={"amount": "1000", "currency": "JPY"})
    theirs = await make(rival.owner, "opportunities", name="A", **deal)
    first = await rate(owner, "1.10", "2025-01-01")
    await background(company)
    assert await home(owner, made) == ("1100.00", False)
    assert await home(owner, yen) == (None, True)
    assert await home(rival.owner, theirs) == (None, True)
    second = await rate(owner, "1.15", "2025-05-01")
    await background(company)
    assert await home(owner, made) == ("1150.00", False)
    path = f"/v1/exchange-rates/{second['id']}"
    changed = await owner.ok("PATCH", path, json={"valid_from": "2025-05-02"}, if_match=1)
    assert (changed["valid_from"], changed["version"]) == ("2025-05-02", 2)
    await background(company)
    assert await home(owner, made) == ("1100.00", False)
    assert code_of(await owner.delete(path, if_match=1)) == (412, "stale_version")
    for one in (first, second):
        current = await owner.ok("GET", f"/v1/exchange-rates/{one['id']}")
        await owner.ok("DELETE", f"/v1/exchange-rates/{one['id']}", if_match=current["version"])
    await background(company)
    assert await home(owner, made) == (None, True)
    found = await owner.ok("GET", f"/v1/opportunities/{made['id']}")
    assert found["version"] == 1  # what follows from a rate is no edit of the record
    assert await kept_right(company) == RIGHT


async def test_another_own_currency_makes_rates_to_the_old_one_void(company: Company, owner: Client) -> None:
    await rate(owner, "1.10")
    made = await make(owner, "opportunities", name="A", opened_on="2026-02-01", amount=eur("10.00"))
    assert made["amount_home"] == usd("11.00")
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"currency": "EUR"}, if_match=tenant["version"])
    await background(company)
    found = await owner.ok("GET", f"/v1/opportunities/{made['id']}")
    assert (found["amount_home"], found["rate_missing"]) == (eur("10.00"), False)
    assert (await owner.ok("GET", "/v1/exchange-rates"))["data"] == []
    assert await kept_right(company) == RIGHT


async def test_a_rate_that_comes_while_opportunities_are_written_reaches_all_of_them(
    company: Company, owner: Client
) -> None:
    async def deal() -> dict[str, Any]:
        return await make(owner, "opportunities", name="A", opened_on="2026-02-01", amount=eur("10.00"))

    async def rates() -> None:
        for day in range(1, 6):
            await rate(owner, f"1.{day}", f"2026-01-0{day}")
            await background(company)

    made, *_ = await asyncio.gather(asyncio.gather(*(deal() for _ in range(60))), rates())
    await background(company)
    found = await owner.ok("GET", "/v1/opportunities", params={"limit": 200})
    assert len(found["data"]) == len(made) == 60
    assert {record["amount_home"]["amount"] for record in found["data"]} == {"15.00"}
    assert await kept_right(company) == RIGHT


async def test_many_amounts_take_two_statements(company: Company, owner: Client) -> None:
    await rate(owner, "1.10")
    await rate(owner, "0.0066", "2026-01-01", "JPY")
    day = date(2026, 3, 1)
    amounts = [Money(10_000, "EUR"), Money(1_500, "JPY"), Money(5, "USD"), Money(7, "GBP")] * 50
    async with acting(company) as uow:
        before = uow.statements
        found = await uow.of(ExchangeRates).convert_many([(amount, day) for amount in amounts])
        assert uow.statements - before == 2
        await uow.of(ExchangeRates).convert_many([(Money(1, "USD"), day), (Money(1, "JPY"), day)])
        assert uow.statements - before == 2
    assert found[:4] == [Money(11_000, "USD"), Money(990, "USD"), Money(5, "USD"), None]


@given(
    minor=st.integers(-(10**15), 10**15),
    rate=st.decimals("0.000000000001", "99999", places=12),
    pair=st.sampled_from([("EUR", "USD"), ("JPY", "USD"), ("USD", "JPY"), ("KWD", "CNY"), ("USD", "KWD")]),
)
def test_conversion_rounds_half_up_once(minor: int, rate: Decimal, pair: tuple[str, str]) -> None:
    foreign, own = pair
    major = Decimal(minor).scaleb(-EXPONENTS[foreign]) * rate
    expected = int(major.scaleb(EXPONENTS[own]).quantize(Decimal(1), ROUND_HALF_UP))
    held = Money(expected, own) if abs(expected) <= MAX_MINOR else None
    assert converted(Money(minor, foreign), rate, own) == held
