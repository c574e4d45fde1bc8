"""Payment plans: what they come to, to the minor unit, and on which days, at the ends of months too."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.kernel.periods import add_months
from app.modules.contracts.interface import InstalmentStatus
from app.modules.contracts.schemas.parts import PlanItem
from app.modules.contracts.services.instalments import STATUS, status_on
from app.modules.contracts.services.plans import expand, next_plan, reallocate
from tests.modules.contracts.deals import again, draft, item, money, part, pointers, put, sign, try_put
from tests.modules.support import acting
from tests.support.api import Client, Company

CURRENCIES = ("CNY", "USD", "JPY", "KWD")
START, END = date(2026, 1, 31), date(2026, 12, 31)


def plan(*items: dict[str, Any]) -> list[PlanItem]:
    return [PlanItem.model_validate(one) for one in items]


def amounts(found: Any) -> list[int]:
    return [one.amount.amount_minor for one in found]


# -- arithmetic ----------------------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[PlanItem], Money]:
    """A plan that fits its value: fixed amounts and percentages of which only the last is computed."""
    currency = draw(st.sampled_from(CURRENCIES))
    value = draw(st.integers(min_value=0, max_value=10**12))
    kinds = draw(
        st.lists(st.sampled_from(["after_signing", "monthly", "quarterly", "yearly"]), min_size=1, max_size=6)
    )
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, value), min_size=len(kinds) - 1, max_size=len(kinds) - 1)))
        parts = [after - before for before, after in zip([0, *cuts], [*cuts, value], strict=True)]
        shares: list[Any] = [{"amount": Money(one, currency).to_wire()} for one in parts]
    else:
        cuts = sorted(draw(st.lists(st.integers(0, 10**6), min_size=len(kinds) - 1, max_size=len(kinds) - 1)))
        parts = [after - before for before, after in zip([0, *cuts], [*cuts, 10**6], strict=True)]
        shares = [{"percent": f"{Decimal(one).scaleb(-4):f}"} for one in parts]
    items = [
        {"label": "x", **share, "due": {"rule": kind} | ({"count": 7} if kind != "after_signing" else {})}
        for kind, share in zip(kinds, shares, strict=True)
    ]
    return plan(*items), Money(value, currency)


@settings(max_examples=300, deadline=None)
@given(plans())
def test_instalments_are_the_value_to_the_minor_unit(made: tuple[list[PlanItem], Money]) -> None:
    items, value = made
    found = expand(items, value, START, None)
    assert sum(amounts(found)) == value.amount_minor
    assert min(amounts(found)) >= 0
    assert {one.amount.currency for one in found} == {value.currency}
    days = [one.due_on for one in found if one.due_on is not None]
    assert all(day >= START for day in days)


@settings(max_examples=200, deadline=None)
@given(plans(), st.integers(min_value=0, max_value=10**12))
def test_the_plan_of_the_next_period_is_its_value(made: tuple[list[PlanItem], Money], after: int) -> None:
    items, value = made
    dearer = Money(after, value.currency)
    found = next_plan(items, value, dearer, START, date(2027, 1, 31))
    assert sum(amounts(expand(found, dearer, date(2027, 1, 31), None))) == after


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(CURRENCIES),
    st.lists(st.integers(min_value=0, max_value=10**10), min_size=1, max_size=20),
    st.integers(min_value=0, max_value=10**12),
)
def test_what_is_adjusted_sums_to_the_rest(currency: str, weights: list[int], rest: int) -> None:
    found = reallocate(weights, Money(rest, currency))
    assert sum(one.amount_minor for one in found) == rest
    assert len(found) == len(weights)


@pytest.mark.parametrize(
    ("value", "items", "expected"),
    [
        (Money(100_00, "CNY"), [("33.3333", None), ("33.3333", None), ("33.3334", None)], [3333, 3333, 3334]),
        (Money(100, "JPY"), [("50", None), ("50", None)], [50, 50]),
        (Money(101, "JPY"), [("50", None), ("50", None)], [51, 50]),
        (Money(1_001, "KWD"), [(None, "0.001"), (None, "1.000")], [1, 1000]),
        (Money(200_00, "USD"), [("25", None), (None, "150.00")], [5000, 15000]),
        (Money(0, "USD"), [("100", None)], [0]),
    ],
)
def test_shares_are_exact(value: Money, items: list[Any], expected: list[int]) -> None:
    made = plan(
        *(
            item(
                "x",
                percent=percent,
                amount=None if amount is None else money(amount, value.currency),
                rule="after_signing",
            )
            for percent, amount in items
        )
    )
    assert amounts(expand(made, value, START, END)) == expected


def test_what_recurs_keeps_its_day_through_short_months() -> None:
    (monthly,) = [expand(plan(item("Fee", percent="100", rule="monthly")), Money(1200_01, "USD"), START, END)]
    assert [one.due_on for one in monthly] == [
        date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31),
        date(2026, 6, 30), date(2026, 7, 31), date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31),
        date(2026, 11, 30), date(2026, 12, 31),
    ]  # fmt: skip
    assert amounts(monthly) == [10001] + [10000] * 11
    assert [one.label for one in monthly[:2]] == ["Fee 1/12", "Fee 2/12"]
    leap = expand(
        plan(item("Fee", percent="100", rule="monthly", count=3)), Money(3, "USD"), date(2028, 1, 31), None
    )
    assert [one.due_on for one in leap] == [date(2028, 1, 31), date(2028, 2, 29), date(2028, 3, 31)]
    quarterly = expand(
        plan(item("Fee", percent="100", rule="quarterly", date="2025-11-30")), Money(4, "USD"), START, END
    )
    assert [one.due_on for one in quarterly] == [
        date(2025, 11, 30), date(2026, 2, 28), date(2026, 5, 30), date(2026, 8, 30), date(2026, 11, 30),
    ]  # fmt: skip
    yearly = expand(
        plan(item("Fee", percent="100", rule="yearly", date="2024-02-29", count=5)),
        Money(5, "USD"),
        START,
        None,
    )
    assert [one.due_on for one in yearly] == [
        date(2024, 2, 29), date(2025, 2, 28), date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("items", "pointer", "code"),
    [
        ([item("a", percent="99.9999", rule="after_signing")], "/items", "plan_mismatch"),
        ([item("a", amount=money("1199.99"), rule="after_signing")], "/items", "plan_mismatch"),
        ([item("a", amount=money("1200.00", "EUR"), rule="after_signing")], "/items/0/amount/currency", "other_currency"),
        ([item("a", percent="100", rule="monthly", date="2027-01-01")], "/items/0/due/date", "after_the_term"),
        ([item("a", percent="101", rule="after_signing")], "/items/0/percent", "string_pattern_mismatch"),
        ([item("a", percent="100", rule="on_date")], "/items/0/due", "date_required"),
        ([item("a", percent="100", rule="on_date", date="2026-05-01", days=1)], "/items/0/due", "no_days"),
        ([item("a", percent="100", rule="after_signing", date="2026-05-01")], "/items/0/due", "no_date"),
        ([item("a", percent="100", rule="after_activation", count=2)], "/items/0/due", "no_count"),
        ([{"label": "a", "due": {"rule": "after_signing"}}], "/items/0", "one_share"),
    ],
)  # fmt: skip
async def test_what_is_no_plan_is_refused(
    owner: Client, items: list[dict[str, Any]], pointer: str, code: str
) -> None:
    contract = await draft(owner)
    assert pointers(await try_put(owner, contract, "plan", items=items)) == [(pointer, code)]
    assert await part(owner, contract, "plan") == []
    assert await again(owner, contract) == contract


async def test_what_recurs_over_an_open_term_has_a_count(owner: Client) -> None:
    contract = await draft(owner, ends_on=None)
    endless = await try_put(owner, contract, "plan", items=[item("a", percent="100", rule="monthly")])
    assert pointers(endless) == [("/items/0/due/count", "open_term")]
    counted = await put(owner, contract, "plan", items=[item("a", percent="100", rule="monthly", count=5)])
    assert [row["amount"]["amount"] for row in counted["data"]] == ["240.00"] * 5


def test_too_many_instalments_are_refused() -> None:
    for items in (
        plan(item("a", percent="100", rule="monthly")),
        plan(*(item("a", percent="50", rule="monthly", count=301) for _ in range(2))),
    ):
        with pytest.raises(Invalid) as refused:
            expand(items, Money(1, "USD"), date(1950, 1, 1), date(2150, 1, 1))
        assert refused.value.errors[0].code == "too_many"


# -- with its contract ---------------------------------------------------------------------------------------


async def test_a_plan_follows_its_draft_and_is_dated_by_the_signature(
    owner: Client, clock: FixedClock
) -> None:
    contract = await draft(owner)
    made = await put(
        owner,
        contract,
        "plan",
        items=[
            item("Deposit", percent="30", rule="after_signing", days=10),
            item("Delivery", percent="20", rule="on_date", date="2026-06-30"),
            item("Start", percent="10", rule="after_activation"),
            item("Rate", percent="40", rule="quarterly"),
        ],
    )
    assert [
        (row["label"], row["amount"]["amount"], row["due_on"], row["status"]) for row in made["data"]
    ] == [
        ("Deposit", "360.00", None, "not_yet_effective"),
        ("Delivery", "240.00", "2026-06-30", "not_yet_effective"),
        ("Start", "120.00", None, "not_yet_effective"),
        ("Rate 1/4", "120.00", "2026-01-01", "not_yet_effective"),
        ("Rate 2/4", "120.00", "2026-04-01", "not_yet_effective"),
        ("Rate 3/4", "120.00", "2026-07-01", "not_yet_effective"),
        ("Rate 4/4", "120.00", "2026-10-01", "not_yet_effective"),
    ]
    path = f"/v1/contracts/{contract['id']}"
    changed = await owner.ok(
        "PATCH", path, json={"value": money("100.01"), "starts_on": "2026-01-15"}, if_match=2
    )
    assert changed["version"] == 3
    rows = await part(owner, contract, "plan")
    assert [(row["amount"]["amount"], row["due_on"]) for row in rows] == [
        ("30.00", None), ("20.00", "2026-06-30"), ("10.00", None), ("10.01", "2026-01-15"), ("10.00", "2026-04-15"),
        ("10.00", "2026-07-15"), ("10.00", "2026-10-15"),
    ]  # fmt: skip
    await sign(owner, contract, signed_on="2026-02-20")
    rows = await part(owner, contract, "plan")
    assert [(row["due_on"], row["status"]) for row in rows] == [
        ("2026-03-02", "pending"), ("2026-06-30", "pending"), ("2026-03-01", "due"), ("2026-01-15", "overdue"),
        ("2026-04-15", "pending"), ("2026-07-15", "pending"), ("2026-10-15", "pending"),
    ]  # fmt: skip


async def test_a_value_that_no_longer_fits_its_plan_is_refused(owner: Client) -> None:
    contract = await draft(owner)
    await put(owner, contract, "plan", items=[item("All", amount=money("1200.00"), rule="after_signing")])
    before = await again(owner, contract)
    path = f"/v1/contracts/{contract['id']}"
    refused = await owner.patch(path, {"value": money("1300.00")}, if_match=2)
    assert pointers(refused) == [("/value", "plan_mismatch")]
    assert await again(owner, contract) == before
    await put(owner, contract, "plan", items=[])
    assert await part(owner, contract, "plan") == []
    await owner.ok("PATCH", path, json={"value": money("1300.00")}, if_match=3)


@pytest.mark.parametrize("paid", [0, 1, 99, 100])
@pytest.mark.parametrize("days", [-1, 0, 1])
async def test_the_database_and_we_tell_the_same_status(company: Company, paid: int, days: int) -> None:
    today = date(2026, 3, 1)
    async with acting(company) as uow:
        rows = await uow.fetch(
            f"SELECT {STATUS.format(today='$4::date')} AS status"
            " FROM (SELECT $1::bigint AS amount, $2::bigint AS paid, $3::date AS due_on) i",
            100,
            paid,
            today + timedelta(days=days),
            today,
        )
    told = status_on(today, amount=100, paid=paid, due_on=today + timedelta(days=days))
    assert rows[0]["status"] == told
    expected = {-1: "overdue", 0: "due", 1: "pending"}[days]
    if paid:
        expected = "paid" if paid == 100 else "overdue" if days < 0 else "partly_paid"
    assert told is InstalmentStatus(expected)


def test_months_are_counted_from_the_first_day() -> None:
    assert [add_months(date(2026, 1, 31), n) for n in (1, 2)] == [date(2026, 2, 28), date(2026, 3, 31)]
