"""Points over HTTP: what orders earn and lose, what is burned, given, adjusted, and expires."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from tests.modules.automation.toys import named, step
from tests.modules.contracts.test_approvals import decide
from tests.modules.membership.conftest import Hire
from tests.modules.membership.points import (
    ONE_PER_DOLLAR,
    adds_up,
    adjust,
    again,
    balances,
    burn,
    calendar,
    delivered,
    enrol,
    gave_back,
    programme,
    react,
)
from tests.modules.orders.orders import line, order_of, ship, stepped
from tests.modules.support import acting, make
from tests.support.api import Company

Json = dict[str, Any]


async def test_an_order_earns_when_everything_went_out(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    order = await order_of(company.owner, account, line("3", "33.50"))
    await stepped(company.owner, order, "confirm")
    await react(company)
    assert await balances(company.owner, member) == (0, 0, 0, 0)
    order = await delivered(company, account, line("3", "33.50"))
    assert await balances(company.owner, member) == (100, 0, 0, 0)
    page = await company.owner.ok("GET", f"/v1/loyalty-members/{member['id']}/transactions")
    (earned,) = page["data"]
    assert (earned["kind"], earned["order_id"]) == ("earn", order["id"])
    assert earned["movements"] == [
        {"account": "available", "points": 100}, {"account": "qualifying", "points": 100},
    ]  # fmt: skip
    await adds_up(company)


async def test_points_wait_for_the_return_window_and_then_expire(
    company: Company, account: Json, clock: FixedClock
) -> None:
    club = await programme(company.owner, return_window_days=14, expiry_months=12)
    member = await enrol(company.owner, club, account)
    await delivered(company, account)
    assert await balances(company.owner, member) == (0, 100, 0, 0)
    early = await company.owner.post(f"/v1/loyalty-members/{member['id']}/burns", {"points": 1})
    assert (early.status_code, early.json()["code"], early.json()["available"]) == (
        409, "insufficient_points", 0,
    )  # fmt: skip
    clock.advance(days=14)
    await calendar(company)
    assert await balances(company.owner, member) == (100, 0, 0, 0)
    (lot,) = (await company.owner.ok("GET", f"/v1/loyalty-members/{member['id']}/lots"))["data"]
    assert (lot["expires_on"], lot["matures_on"], lot["remaining"]) == ("2027-03-01", None, 100)
    clock.advance(timedelta(days=351))
    await calendar(company)
    assert (await balances(company.owner, member))[0] == 100
    clock.advance(days=1)
    await calendar(company)
    await calendar(company)
    assert await balances(company.owner, member) == (0, 0, 0, 0)
    await adds_up(company)


async def test_rules_of_category_multiplier_minimum_and_cap(company: Company, account: Json) -> None:
    category = await make(company.owner, "product-categories", name="Pumps")
    pump = await make(
        company.owner, "products", code="P-1", name="Pump", status="active", category_id=category["id"]
    )
    rules = [
        ONE_PER_DOLLAR,
        {"key": "pumps", "kind": "multiplier", "factor": "3", "category_ids": [category["id"]]},
        {"key": "big", "kind": "order", "points": 50, "minimum_spend": "120", "minimum_spend_basis": "total"},
        {"key": "units", "kind": "unit", "points": 2, "product_ids": [pump["id"]], "earns": ["qualifying"]},
    ]
    member = await enrol(
        company.owner, await programme(company.owner, earn_rules=rules, cap_order=300), account
    )
    goods = line("2", "10.00", product_id=pump["id"])
    await delivered(company, account, goods, line("1", "40.00"))
    found = await again(company.owner, member)
    # 20 x 3 + 40; 60 dollars are no big order. Qualifying points: 2 for each pump, x 3, as well.
    assert (found["points"], found["points_qualifying"]) == (100, 112)
    await delivered(company, account, line("1", "100.00", tax_rate="20"))
    found = await again(company.owner, member)
    assert (found["points"], found["points_qualifying"]) == (250, 262)
    await delivered(company, account, line("1", "5000.00"))
    found = await again(company.owner, member)
    assert (found["points"], found["points_qualifying"]) == (550, 5312)


async def test_an_order_in_another_currency_or_before_they_were_a_member_earns_nothing(
    company: Company, account: Json
) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await delivered(company, account, line("1", "10.00", "EUR"), currency="EUR")
    other = await make(company.owner, "accounts", name="Late")
    await delivered(company, other)
    late = await make(
        company.owner, "loyalty-members", programme_id=member["programme_id"], account_id=other["id"]
    )
    await react(company)
    assert await balances(company.owner, member) == (0, 0, 0, 0)
    assert await balances(company.owner, late) == (0, 0, 0, 0)


async def test_events_earn_once_for_each_reference(company: Company, account: Json) -> None:
    rules = [{"key": "review", "kind": "event", "event": "review", "points": 25}]
    member = await enrol(company.owner, await programme(company.owner, earn_rules=rules), account)
    path = f"/v1/loyalty-members/{member['id']}/events"
    made = await company.owner.ok("POST", path, json={"event": "review", "reference": "r1"})
    assert (made["spendable"], made["qualifying"], made["pending_until"]) == (25, 25, None)
    twice = await company.owner.post(path, {"event": "review", "reference": "r1"})
    unknown = await company.owner.post(path, {"event": "visit", "reference": "r1"})
    assert (twice.status_code, twice.json()["code"]) == (409, "duplicate_value")
    assert (unknown.status_code, unknown.json()["code"]) == (409, "nothing_earned")
    assert (await balances(company.owner, member))[0] == 25


async def test_what_expires_soonest_is_spent_first_and_what_never_expires_last(
    company: Company, account: Json, clock: FixedClock
) -> None:
    club = await programme(company.owner)
    member = await enrol(company.owner, club, account)
    await adjust(company.owner, member, 10)  # never expires
    path = f"/v1/loyalty-programmes/{club['id']}"
    for version, months in ((1, 24), (2, 6)):
        await company.owner.ok("PATCH", path, json={"expiry_months": months}, if_match=version)
        await adjust(company.owner, member, 10)
    await burn(company.owner, member, 15)
    lots = (await company.owner.ok("GET", f"/v1/loyalty-members/{member['id']}/lots"))["data"]
    assert [(lot["expires_on"], lot["remaining"]) for lot in lots] == [("2028-03-01", 5), (None, 10)]


async def test_minimum_and_step_of_a_burn(company: Company, account: Json) -> None:
    rule = {"points": 100, "worth": {"amount": "1.00", "currency": "USD"}, "minimum": 100, "step": 50}
    member = await enrol(company.owner, await programme(company.owner, burn=rule), account)
    await adjust(company.owner, member, 1000)
    path = f"/v1/loyalty-members/{member['id']}/burns"
    for points, code in ((50, "below_minimum"), (120, "off_step")):
        answer = await company.owner.post(path, {"points": points})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert (await burn(company.owner, member, 150))["worth"] == {"amount": "1.50", "currency": "USD"}
    assert (await balances(company.owner, member))[0] == 850


async def test_points_kept_for_an_order_are_spent_or_released(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 1000)
    order = await order_of(company.owner, account, line("1", "10.00"))
    first = await burn(company.owner, member, 400, order_id=order["id"], reserve=True)
    second = await burn(company.owner, member, 300, order_id=order["id"], reserve=True)
    assert await balances(company.owner, member) == (300, 0, 700, 0)
    path = f"/v1/loyalty-members/{member['id']}/burns"
    more = await company.owner.post(path, {"points": 301, "order_id": order["id"]})
    assert (more.status_code, more.json()["errors"][0]["code"]) == (422, "more_than_order")
    assert (await company.owner.ok("POST", f"{path}/{first['id']}/commit"))["status"] == "committed"
    assert (await company.owner.ok("POST", f"{path}/{second['id']}/release"))["status"] == "released"
    again_ = await company.owner.post(f"{path}/{second['id']}/commit")
    assert (again_.status_code, again_.json()["code"]) == (409, "burn_settled")
    assert await balances(company.owner, member) == (600, 0, 0, 0)
    page = await company.owner.ok("GET", path)
    assert [one["status"] for one in page["data"]] == ["released", "committed"]
    await adds_up(company)


async def test_a_cancelled_order_gives_back_what_was_burned_and_kept(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 1000)
    order = await order_of(company.owner, account, line("1", "10.00"))
    await burn(company.owner, member, 400, order_id=order["id"])
    await burn(company.owner, member, 300, order_id=order["id"], reserve=True)
    await stepped(company.owner, order, "cancel", {"reason": "no"})
    await react(company)
    assert await balances(company.owner, member) == (1000, 0, 0, 0)
    await adds_up(company)


async def test_a_return_takes_back_line_by_line_and_once(company: Company, account: Json) -> None:
    """Three lines of 33.40, 33.30 and 33.30: 100 points earned, 200 burned; one line in three parts."""
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 500)
    order = await order_of(
        company.owner, account, line("3", "11.1333", description="A"), line("1", "33.30"), line("1", "33.30")
    )
    await burn(company.owner, member, 200, order_id=order["id"])
    order = await stepped(company.owner, order, "confirm")
    assert (await company.owner.post(f"/v1/orders/{order['id']}/shipments", {})).is_success
    await react(company)
    assert await balances(company.owner, member) == (400, 0, 0, 0)
    seen = []
    for lines in (((0, "1"),), ((0, "1"),), ((0, "1"), (1, "1")), ((2, "1"),)):
        await gave_back(company, order, *lines)
        await react(company)
        seen.append((await balances(company.owner, member))[0])
    # Line A has 34 points earned and 67 burned, the others 33 and 67, 33 and 66.
    assert seen == [400 - 11 + 22, 400 - 23 + 45, 400 - 67 + 134, 500]
    found = await again(company.owner, member)
    assert (found["points_debt"], found["points_qualifying"]) == (0, 0)
    await adds_up(company)


async def test_a_return_handled_twice_or_before_its_order_changes_nothing_more(
    company: Company, account: Json
) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    order = await delivered(company, account, line("2", "50.00"))
    back = await gave_back(company, order, (0, "1"))
    assert await balances(company.owner, member) == (50, 0, 0, 0)
    from app.modules.membership.services.orders import OrderPoints

    async with acting(company) as uow:
        from uuid import UUID

        await OrderPoints(uow).give_back([UUID(back["id"])])
        await OrderPoints(uow).earn([UUID(order["id"])])
    assert await balances(company.owner, member) == (50, 0, 0, 0)


async def test_points_that_were_spent_and_are_taken_back_are_a_debt_that_comes_first(
    company: Company, account: Json
) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    order = await delivered(company, account)
    await burn(company.owner, member, 80)
    await gave_back(company, order, (0, "1"))
    assert await balances(company.owner, member) == (0, 0, 0, 80)
    await adjust(company.owner, member, 50)
    assert await balances(company.owner, member) == (0, 0, 0, 30)
    await delivered(company, account)
    assert await balances(company.owner, member) == (70, 0, 0, 0)
    await adds_up(company)


async def test_transfers_keep_the_day_of_expiry(company: Company, account: Json, clock: FixedClock) -> None:
    club = await programme(company.owner, expiry_months=6)
    one = await enrol(company.owner, club, account)
    two = await enrol(company.owner, club, await make(company.owner, "accounts", name="Two"))
    await adjust(company.owner, one, 100)
    path = f"/v1/loyalty-members/{one['id']}/transfers"
    made = await company.owner.ok("POST", path, json={"to_member_id": two["id"], "points": 60})
    assert (made["points"], made["left"]) == (60, 40)
    (lot,) = (await company.owner.ok("GET", f"/v1/loyalty-members/{two['id']}/lots"))["data"]
    assert (lot["expires_on"], lot["remaining"]) == ("2026-09-01", 60)
    more = await company.owner.post(path, {"to_member_id": two["id"], "points": 41})
    assert more.json()["code"] == "insufficient_points"
    assert (await balances(company.owner, one))[0] == 40
    await adds_up(company)


async def test_large_adjustments_wait_for_approval(company: Company, account: Json, hire: Hire) -> None:
    boss = await hire("admin")
    member = await enrol(company.owner, await programme(company.owner, adjustment_limit=100), account)
    path = f"/v1/loyalty-members/{member['id']}/adjustments"
    assert (await adjust(company.owner, member, 100))["status"] == "applied"
    nobody = await company.owner.post(path, {"points": 101, "reason": "x"})
    assert (nobody.status_code, nobody.json()["code"]) == (409, "adjustment_needs_approval")
    process = {"name_en": "Points", "object": "loyalty_member", "steps": [step("boss", named(boss))]}
    await company.owner.ok("POST", "/v1/approval-processes", json=process)
    assert (await adjust(company.owner, member, 500))["status"] == "pending"
    second = await company.owner.post(path, {"points": 600, "reason": "x"})
    assert (second.status_code, second.json()["code"]) == (409, "approval_pending")
    assert (await balances(company.owner, member))[0] == 100
    await decide(boss, "approve")
    assert (await balances(company.owner, member))[0] == 600
    await adjust(company.owner, member, -500)
    await decide(boss, "refuse", note="no")
    page = await company.owner.ok("GET", path)
    assert [one["status"] for one in page["data"]] == ["refused", "applied", "applied"]
    assert (await balances(company.owner, member))[0] == 600


@pytest.mark.slow
async def test_300_burns_at_once_never_make_a_balance_negative(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 1000)
    path = f"/v1/loyalty-members/{member['id']}/burns"
    burns = asyncio.gather(*(company.owner.post(path, {"points": 7}) for _ in range(300)))
    looks = 0
    while not burns.done():  # at every moment: balance, lots and entries are what one statement sees
        await adds_up(company)
        looks += 1
    answers = await burns
    assert looks
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (142, 158)
    assert await balances(company.owner, member) == (6, 0, 0, 0)
    await adds_up(company)


async def test_nobody_changes_the_ledger_and_entries_sum_to_zero(company: Company, account: Json) -> None:
    import asyncpg

    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 10)
    for sql in (
        "UPDATE membership.ledger_entries SET points = 1 WHERE tenant_id = $1",
        "DELETE FROM membership.ledger_transactions WHERE tenant_id = $1",
        (
            "INSERT INTO membership.ledger_entries SELECT tenant_id, gen_random_uuid(), transaction_id, member_id, account,"
            " currency, 5 FROM membership.ledger_entries WHERE tenant_id = $1 AND member_id IS NOT NULL"
        ),
    ):
        with pytest.raises(asyncpg.PostgresError):
            async with acting(company) as uow:
                await uow.fetch(sql, company.tenant_id)
    await adds_up(company)


async def test_points_come_back_for_what_came_back_of_an_order_that_is_delivered_in_part(
    company: Company, account: Json
) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    await adjust(owner, member, 1_000)
    order = await stepped(owner, await order_of(owner, account, line("4", "10.00")), "confirm")
    assert (await ship(owner, order, (0, "1"))).is_success
    await burn(owner, member, 1_000, order_id=order["id"])
    await gave_back(company, order, (0, "1"))
    assert (await balances(owner, member))[0] == 250
    await adds_up(company)
