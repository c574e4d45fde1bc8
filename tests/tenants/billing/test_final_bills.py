"""The last bill of a company that leaves: exact to the second, made once, whoever cancelled, and computed again."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.access import system_actor
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from app.tenants.auth.control import control_transaction
from app.tenants.billing.coupons import NewCoupon, create_coupon, redeem_coupon
from app.tenants.billing.metering import Meter, UsageEvent
from app.tenants.billing.models import Bill
from app.tenants.billing.run import bill_all, bill_tenant
from app.tenants.billing.settling import Bills
from app.tenants.interface import MovedBy
from app.tenants.lifecycle.moves import move_tenant
from app.tenants.lifecycle.schedule import run_lifecycle
from app.tenants.models import SuspendedFor, TenantStatus
from tests.support.api import Company, sign_in
from tests.support.waiting import until
from tests.tenants.billing.months import at, billed, books, later, ledger, lines, profile
from tests.tenants.billing.plan import allow
from tests.tenants.billing.test_billing_run import differences, use
from tests.tenants.leaving.support import begun

Json = dict[str, Any]
UNTIL = "SELECT ended_at, resumed_at FROM tenants.subscription_ends WHERE tenant_id = $1 ORDER BY ended_at"


WAITS = """
SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)"""


async def leaves(company: Company, when: str = "now") -> Json:
    found: Json = await company.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": when})
    return found


async def returns(company: Company) -> None:
    """Who comes back has paid what is due."""
    async with books(company) as bills:
        for row in await bills._uow.fetch("SELECT id, due FROM tenants.bills WHERE tenant_id = $1 AND due > 0",
                                          company.tenant_id):  # fmt: skip
            await bills.settle(row["id"], row["due"], "bank", str(row["id"]))
    await company.owner.ok("POST", "/v1/billing/subscription/resume")


async def tick(company: Company) -> None:
    await run_lifecycle(ScheduledRun(company.kernel))


async def test_who_leaves_at_once_pays_what_was_used_and_gets_unused_seats_back(april, clock, look):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 10))
    await use(april, "a", "1500", "2027-04-09T00:00:00Z")
    await later(april, clock, at(4, 16))
    await leaves(april)
    upcoming = await april.owner.ok("GET", "/v1/billing/upcoming-invoice")
    assert (upcoming["total"]["amount"], upcoming["following"]) == (
        "1.50", {"start": "2027-04-16T00:00:00Z", "end": "2027-04-16T00:00:00Z"},
    )  # fmt: skip
    clock.set(at(4, 18) - timedelta(seconds=1))
    assert len(await billed(april)) == 1
    clock.set(at(4, 18))
    _, last = await billed(april)
    assert lines(last) == [
        ("seats", "starter", "-1", "1/2", -750), ("usage", "leads.captured", "1500", "1/1", 900),
    ]  # fmt: skip
    assert (last.period_start, last.period_end, last.following_end) == (at(4, 1), at(4, 16), at(4, 16))
    assert (last.total, last.due, last.status) == (150, 150, "open")
    clock.set(at(9, 1))
    await bill_all(april.kernel)
    assert len(await billed(april)) == 2
    assert await differences(april) == []
    await ledger(look, april)


@pytest.mark.parametrize(
    ("duration", "percent", "used", "discounts", "total"),
    [
        ("once", 40, 0, [-300], -450),  # 9.00 were paid, and half of it comes back
        ("once", 40, 1500, [-300], 450),
        ("forever", 40, 1500, [-300, 360], 90),
        ("forever", 100, 0, [-750], 0),
    ],
)
async def test_no_more_is_given_back_than_a_coupon_left_to_pay(
    april, clock, look, duration, percent, used, discounts, total
):
    kernel, code = april.kernel, f"LESS{april.tenant_id}"
    await create_coupon(kernel, NewCoupon(code, "percent", Decimal(percent), duration=duration))
    async with control_transaction(kernel, system_actor(await profile(april))) as uow:
        await redeem_coupon(uow, code)
    clock.set(at(4, 3))
    [first] = await billed(april)
    assert (first.subtotal, first.discount) == (1500, 15 * percent)
    await later(april, clock, at(4, 10))
    if used:
        await use(april, "a", str(used), "2027-04-09T00:00:00Z")
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 18))
    last = (await billed(april))[-1]
    assert lines(last)[0] == ("seats", "starter", "-1", "1/2", -750)
    assert last.lines[0]["discount"] == discounts[0]
    assert last.discounts == [{"code": code, "amount": amount} for amount in discounts]
    assert (last.discount, last.total) == (sum(discounts), total)
    assert await differences(april) == []
    await ledger(look, april)


async def test_what_was_voided_since_is_not_given_back(april, clock, look):
    clock.set(at(4, 3))
    [first] = await billed(april)
    async with books(april) as bills:
        await bills.void(first.id, "a present")
    await later(april, clock, at(4, 10))
    await use(april, "a", "1500", "2027-04-09T00:00:00Z")
    await later(april, clock, at(4, 16))
    await leaves(april)
    upcoming = await april.owner.ok("GET", "/v1/billing/upcoming-invoice")
    assert upcoming["total"]["amount"] == "9.00"
    clock.set(at(4, 18))
    last = (await billed(april))[-1]
    assert lines(last) == [
        ("seats", "starter", "-1", "1/2", -750), ("usage", "leads.captured", "1500", "1/1", 900),
        ("withdrawn", first.number, "1", "1/1", 750),
    ]  # fmt: skip
    assert (last.lines[2]["unit"], last.lines[2]["price"]) == ("7.5", "starter/1/USD/monthly")
    assert (last.total, last.due, last.status) == (900, 900, "open")
    assert await ledger(look, april) == {"receivable": 900, "revenue": -900}
    assert await differences(april) == []
    shown = await april.owner.ok("GET", f"/v1/billing/invoices/{last.id}")
    assert shown["lines"][2]["kind"] == "withdrawn"
    assert (await april.owner.get(f"/v1/billing/invoices/{last.id}/pdf")).content.startswith(b"%PDF")


async def test_nothing_comes_to_the_balance_of_who_was_billed_nothing(april, clock, look):
    clock.set(at(4, 3))
    [first] = await billed(april)
    async with books(april) as bills:
        await bills.void(first.id, "made by mistake")
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 18))
    last = (await billed(april))[-1]
    assert (last.total, last.status) == (0, "paid")
    assert await ledger(look, april) == {}
    assert (await april.owner.ok("GET", "/v1/billing/balance"))["balance"]["amount"] == "0.00"
    assert await differences(april) == []


@pytest.mark.parametrize(
    ("credit", "share", "kept"),
    [(500, "1/3", 250), ({1: 300}, "1/5", 150), ({1: None}, "1/1", 750)],
    ids=["an amount", "some of a line", "a line"],
)
async def test_of_what_was_credited_since_only_the_rest_is_given_back(
    april, clock, look, credit, share, kept
):
    clock.set(at(4, 3))
    [first] = await billed(april)
    async with control_transaction(april.kernel, system_actor(await profile(april))) as uow:
        await Bills(uow).settle(first.id, 1500, "bank", "1")
        await Bills(uow).credit(first.id, credit, "an outage")
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 18))
    last = (await billed(april))[-1]
    assert lines(last) == [
        ("seats", "starter", "-1", "1/2", -750), ("withdrawn", first.number, "1", share, kept),
    ]  # fmt: skip
    assert last.total == kept - 750
    async with control_transaction(april.kernel, system_actor(await profile(april))) as uow:
        if credit == 500:
            await Bills(uow).credit(first.id, 400, "later")  # is no matter of a bill that was made before
    assert await differences(april) == []


async def test_a_coupon_and_a_void_take_off_no_more_than_all(april, clock, look):
    kernel, code = april.kernel, f"HALF{april.tenant_id}"
    await create_coupon(kernel, NewCoupon(code, "percent", Decimal(40), duration="forever"))
    async with control_transaction(kernel, system_actor(await profile(april))) as uow:
        await redeem_coupon(uow, code)
    clock.set(at(4, 3))
    [first] = await billed(april)
    async with books(april) as bills:
        await bills.void(first.id, "a present")
    await later(april, clock, at(4, 10))
    await use(april, "a", "1500", "2027-04-09T00:00:00Z")
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 18))
    last = (await billed(april))[-1]
    assert lines(last)[-1] == ("withdrawn", first.number, "1", "1/1", 450)
    assert last.discounts == [{"code": code, "amount": -300}, {"code": code, "amount": 360}]
    assert last.total == 540  # what was used, less the coupon
    assert await differences(april) == []


async def test_a_void_and_the_last_bill_at_once_add_up_whichever_is_first(april, clock, look):
    clock.set(at(4, 3))
    [first] = await billed(april)
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 20))
    tenant = await profile(april)

    async def void() -> None:
        async with books(april) as bills:
            await bills.void(first.id, "a present")

    done = await asyncio.gather(
        *(bill_tenant(april.kernel, tenant) for _ in range(20)), void(), return_exceptions=True
    )
    first, last = await billed(april)
    # Either the last bill was first, and paid off some of the voided one; or it gave nothing back.
    assert done[-1] is None
    assert (first.status, last.total) in (("void", -750), ("void", 0))
    assert (await ledger(look, april)).get("customer_balance", 0) == (-750 if last.total else 0)
    assert await differences(april) == []


async def test_what_is_given_back_is_counted_to_the_second(april, clock):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 10, 13) + timedelta(minutes=30, seconds=15, microseconds=999_999))
    await leaves(april)
    clock.set(at(4, 13))
    last = (await billed(april))[-1]
    # 1,765,785 of 2,592,000 seconds are left: 15.00 x 117719/172800
    assert lines(last) == [("seats", "starter", "-1", "117719/172800", -1022)]
    assert last.period_end == at(4, 10, 13) + timedelta(minutes=30, seconds=15)
    assert (last.total, last.due, last.status) == (-1022, 0, "paid")
    assert await differences(april) == []


async def test_many_runs_at_once_make_one_last_bill(april, clock, look):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(4, 20))
    kernel, tenant = april.kernel, await profile(april)
    made = await asyncio.gather(*(bill_tenant(kernel, tenant) for _ in range(100)), bill_all(kernel))
    count = "SELECT count(*) FROM tenants.bills WHERE tenant_id = $1"
    assert await look.value(count, april.tenant_id) == 2
    assert sum(made[:-1]) <= 1
    assert await differences(april) == []


async def test_who_leaves_at_the_end_of_a_period_is_asked_for_nothing_in_advance(april, clock):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 20))
    assert (await leaves(april, "period_end"))["cancel_at"] == "2027-05-01T00:00:00Z"
    upcoming = await april.owner.ok("GET", "/v1/billing/upcoming-invoice")
    assert (upcoming["lines"], upcoming["total"]["amount"]) == ([], "0.00")
    await use(april, "a", "1500", "2027-04-19T00:00:00Z")
    clock.set(at(5, 3))  # nothing ran since: the account is moved first
    assert len(await billed(april)) == 1
    await tick(april)
    last = (await billed(april))[-1]
    assert lines(last) == [("usage", "leads.captured", "1500", "1/1", 900)]
    assert (last.period_end, last.following_end, last.total) == (at(5, 1), at(5, 1), 900)
    clock.set(at(5, 20))
    assert len(await billed(april)) == 2
    assert await differences(april) == []


async def test_who_comes_back_before_the_last_bill_never_left(april, clock, look):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 16))
    await leaves(april)
    await later(april, clock, at(4, 18) - timedelta(seconds=1))
    await returns(april)
    assert await look.rows(UNTIL, april.tenant_id) == []
    clock.set(at(5, 3))
    assert lines((await billed(april))[-1]) == [("seats", "starter", "1", "1/1", 1500)]
    assert await differences(april) == []


async def test_who_comes_back_later_begins_anew_and_pays_nothing_for_the_time_between(april, clock, look):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 10))
    await april.owner.put("/v1/billing/subscription", {"plan": "professional"})
    await later(april, clock, at(4, 11))
    await april.owner.put("/v1/billing/subscription", {"plan": "starter"})  # from May on
    await later(april, clock, at(4, 16))
    await leaves(april)
    await later(april, clock, at(4, 25, 9) + timedelta(minutes=40))
    await returns(april)
    assert [tuple(row) for row in await look.rows(UNTIL, april.tenant_id)] == [(at(4, 16), at(4, 25, 9))]
    found = await april.owner.ok("GET", "/v1/billing/subscription")
    assert (found["current"]["plan"], found["pending"]) == ("starter", None)
    assert found["period"] == {"start": "2027-04-25T09:00:00Z", "end": "2027-05-25T09:00:00Z"}
    await use(april, "late", "1500", "2027-04-12T00:00:00Z")  # of before: the last bill knows nothing of it
    clock.set(at(6, 1))
    bills = await billed(april)
    assert [(bill.period_start, bill.period_end) for bill in bills[1:]] == [
        (at(4, 1), at(4, 16)), (at(4, 16), at(4, 25, 9)), (at(4, 25, 9), at(5, 25, 9)),
    ]  # fmt: skip
    assert lines(bills[1])[-1] == ("usage", "leads.captured", "1500", "1/1", 900)
    assert lines(bills[2]) == [("seats", "starter", "1", "1/1", 1500)]
    assert lines(bills[3]) == [("seats", "starter", "1", "1/1", 1500)]
    assert await differences(april) == []


async def test_usage_that_is_told_after_coming_back_is_the_difference_to_the_last_bill(april, clock):
    clock.set(at(4, 3))
    await billed(april)
    await later(april, clock, at(4, 16, 10) + timedelta(minutes=20))
    await leaves(april)
    clock.set(at(4, 19))
    assert len(await billed(april)) == 2
    await later(april, clock, at(4, 25))
    await returns(april)
    await use(april, "late", "2000", "2027-04-16T10:10:00Z")
    clock.set(at(4, 28))
    anew = (await billed(april))[-1]
    assert lines(anew) == [
        ("usage", "leads.captured", "2000", "1/1", 900), ("seats", "starter", "1", "1/1", 1500),
    ]  # fmt: skip
    assert await differences(april) == []


async def test_of_a_commitment_the_share_of_the_time_is_owed(april, clock, look):
    price: Json = {
        "currency": "USD", "interval": "monthly", "seat": "0", "flat": "0", "minimum_commitment": "100",
        "usage": [{"metric": "leads.captured", "aggregation": "sum", "model": "per_unit", "unit": "1"}],
    }  # fmt: skip
    clock.set(at(4, 1) + timedelta(seconds=2))
    await allow(april, look, plan={"prices": [price]})
    await later(april, clock, at(4, 10))
    await use(april, "a", "20", "2027-04-09T00:00:00Z")
    await later(april, clock, at(4, 13))
    await leaves(april)
    clock.set(at(4, 15))
    last = (await billed(april))[-1]
    assert lines(last) == [  # twelve of thirty days: 40.00
        ("usage", "leads.captured", "20", "1/1", 2000), ("commitment", "tiny", "1", "1/1", 2000),
    ]  # fmt: skip
    assert await differences(april) == []


async def test_unpaid_and_cancelled_what_is_given_back_is_taken_off_what_is_owed(april, clock, look):
    clock.set(at(4, 3))
    [first] = await billed(april)
    await move_tenant(
        april.kernel, april.tenant_id, TenantStatus.SUSPENDED, reason="unpaid", by=MovedBy.PAYMENT,
        suspended_for=SuspendedFor.UNPAID,
    )  # fmt: skip
    clock.set(at(5, 3))
    await billed(april)
    await tick(april)  # thirty days: given up and cancelled on 3 May, 29 of 31 days are not used
    clock.set(at(5, 5))
    bills = await billed(april)
    assert lines(bills[-1]) == [("seats", "starter", "-1", "29/31", -1403)]
    assert [(bill.status, bill.due) for bill in bills] == [
        ("uncollectible", 97), ("uncollectible", 1500), ("paid", 0),
    ]  # fmt: skip
    assert (bills[0].id, bills[0].balance_applied) == (first.id, 1403)
    assert await ledger(look, april) == {"bad_debt": 1597, "revenue": -1597}
    april.owner.token = (await sign_in(april.owner, april.email)).token
    balance = await april.owner.ok("GET", "/v1/billing/balance")
    assert [(one["kind"], one["bill_id"], one["amount"]["amount"]) for one in balance["movements"]] == [
        ("balance", str(first.id), "-14.03"), ("issue", str(bills[-1].id), "14.03"),
    ]  # fmt: skip
    assert await differences(april) == []


@pytest.mark.parametrize("day", [2, 16])
async def test_an_operator_who_erases_a_company_bills_it_first(april, clock, look, day):
    await later(april, clock, at(4, 1, 12))
    await use(april, "a", "1500", "2027-04-01T00:00:00Z")
    clock.set(at(4, day))
    await begun(april.kernel, april.tenant_id)
    rows = await look.rows(
        "SELECT period_end, total, status FROM tenants.bills WHERE tenant_id = $1 ORDER BY period_end",
        april.tenant_id,
    )
    back = {2: 1450, 16: 750}[day]
    assert [tuple(row) for row in rows] == [
        (at(4, 1), 1500, "open"),
        (at(4, day), 900 - back, _status(900 - back)),
    ]
    assert (await ledger(look, april))["revenue"] == -(2400 - back)


async def test_an_erasure_waits_for_usage_that_is_arriving_and_not_that_for_it(april, clock, look):
    kernel, now = april.kernel, at(4, 10)
    await later(april, clock, now)
    await look.run(
        "INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)"
        " VALUES ($1, gen_random_uuid(), $2, 'records.created', 1)",
        april.tenant_id,
        now,
    )
    event = UsageEvent("/s", "late", "records.created", now, now, Decimal(5), None)
    async with transaction(kernel, system_actor(await profile(april))) as uow:
        await uow.fetch("SELECT tenants.usage_arrival($1, $2)", april.tenant_id, now)
        erasing = asyncio.create_task(begun(kernel, april.tenant_id))
        await until(lambda: look.value(WAITS), every=0.05)
        assert await Meter(uow).take([event]) == ["accepted"]
    await erasing
    used = "SELECT own_count FROM tenants.usage_hours WHERE tenant_id = $1 AND metric = 'records.created'"
    assert await look.value(used, april.tenant_id) == 1
    last = (await _all(april))[-1]
    assert (last.period_end, last.total) == (now, -1050)


def _status(total: int) -> str:
    return "open" if total > 0 else "paid"


async def test_nothing_is_erased_before_the_last_bill_is_made(april, clock, look):
    await later(april, clock, at(4, 16))
    await leaves(april)
    clock.set(at(6, 1))
    await tick(april)
    status = "SELECT status FROM tenants.tenants WHERE id = $1"
    assert await look.value(status, april.tenant_id) == "cancelled"
    await bill_all(april.kernel)
    await tick(april)
    assert await look.value(status, april.tenant_id) == "erased"
    rows: list[Bill] = await _all(april)
    assert [bill.total for bill in rows] == [1500, -750]


async def _all(company: Company) -> list[Bill]:
    async with books(company) as bills:
        uow = bills._uow
        return await uow.all(uow.select(Bill).order_by(Bill.period_end))


async def test_leaving_and_coming_back_many_times_charges_each_second_once(april, clock, look):
    """Seats and nothing else: what all bills say together is the time that the company was there."""
    clock.set(at(4, 3))
    await billed(april)
    moments: list[tuple[datetime, datetime]] = []
    now = at(4, 5)
    for days in (3, 4, 35, 5):
        await later(april, clock, now + timedelta(hours=days, minutes=7, seconds=11))
        await leaves(april)
        left = clock.now()
        clock.set(left + timedelta(days=2))
        await billed(april)
        await later(april, clock, left + timedelta(days=days if days < 30 else 20))
        await returns(april)
        moments.append((left, clock.now().replace(minute=0, second=0)))
        now = clock.now()
    clock.set(at(8, 1))
    bills = await billed(april)
    away = [tuple(row) for row in await look.rows(UNTIL, april.tenant_id)]
    assert away == moments
    for bill in bills:
        free = (bill.period_start, bill.period_end) in moments
        assert free == (bill.period_start in {left for left, _ in moments})
        assert not free or [line["kind"] for line in bill.lines] == ["seats"]
    assert await differences(april) == []
    await ledger(look, april)
