"""The billing run: trials, late usage, restarts, and that every bill can be computed again."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.access import system_actor
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.auth.control import control_transaction
from app.tenants.billing import run
from app.tenants.billing.coupons import NewCoupon, create_coupon, redeem_coupon
from app.tenants.billing.issuing import Issuer
from app.tenants.billing.metering import Meter, UsageEvent
from app.tenants.billing.operations import credit_bill
from app.tenants.billing.reconciling import reconcile
from app.tenants.billing.run import bill_all
from app.tenants.billing.subscriptions import SamePlan, Subscriptions
from tests.support.api import Company, sign_up
from tests.tenants.billing.months import at, billed, books, later, ledger, lines, profile

Json = dict[str, Any]


async def use(company: Company, id: str, value: str, time: str) -> None:
    event = {"id": id, "source": "/s", "type": "leads.captured", "time": time, "data": {"value": value}}
    await company.owner.ok("POST", "/v1/billing/usage-events", json={"events": [event]})


async def differences(company: Company) -> list[Json]:
    found = await reconcile(company.kernel, await profile(company))
    return [one.document() for one in found]


async def test_a_trial_costs_nothing_and_the_first_period_begins_after_it(app, clock, look):
    settings = app.kernel.settings
    before, settings.trial_days = settings.trial_days, 14
    try:
        company = await sign_up(app)
        found = await company.owner.ok("GET", "/v1/billing/subscription")
        assert found["period"] == {"start": "2027-04-01T00:00:00Z", "end": "2027-04-15T00:00:00Z"}
        await company.owner.put("/v1/billing/subscription", {"plan": "professional"})
        await later(company, clock, at(4, 10))
        await use(company, "a", "5000", "2027-04-09T00:00:00Z")
        clock.set(at(4, 17))
        [first] = await billed(company)
        assert lines(first) == [("seats", "professional", "3", "1/1", 11700)]
        assert (first.period_start, first.following_start, first.following_end) == (
            at(4, 1),
            at(4, 15),
            at(5, 15),
        )
        assert await differences(company) == []
    finally:
        settings.trial_days = before


async def test_usage_that_comes_late_is_the_difference_on_the_next_bill(april, clock):
    await later(april, clock, at(4, 10))
    await use(april, "a", "1500", "2027-04-09T00:00:00Z")
    await later(april, clock, at(5, 3))
    await billed(april)
    await use(april, "b", "600", "2027-04-30T23:00:00Z")  # the moment at which the bill was made
    await use(april, "c", "100", "2027-05-02T00:00:00Z")
    await later(april, clock, at(6, 3))
    bills = await billed(april)
    assert [line for line in lines(bills[1]) if line[0] == "usage"] == [
        ("usage", "leads.captured", "1500", "1/1", 900)
    ]
    # 2,100 in all are two packages above the thousand that is free: 18.00, of which 9.00 are booked
    assert [line for line in lines(bills[2]) if line[0] == "usage"] == [
        ("usage", "leads.captured", "600", "1/1", 900), ("usage", "leads.captured", "100", "1/1", 0),
    ]  # fmt: skip
    assert bills[2].lines[0]["start"] == "2027-04-01T00:00:00+00:00"
    await later(april, clock, at(7, 3))
    third = (await billed(april))[3]
    assert [line for line in lines(third) if line[0] == "usage"] == []
    assert await differences(april) == []


async def test_what_the_product_counts_of_itself_is_billed_and_computed_again(app, april, clock, look):
    await look.run(
        "INSERT INTO kernel.usage_records (tenant_id, id, metric, at, quantity)"
        " VALUES ($1, gen_random_uuid(), 'records.created', $2, 30000)",
        april.tenant_id,
        at(4, 9),
    )
    clock.set(at(5, 3))
    await bill_all(april.kernel)
    usage = next(line for line in (await billed(april))[1].lines if line["kind"] == "usage")
    assert (usage["quantity"], usage["amount"]) == ("30000", 600)
    assert usage["events"] == "/v1/billing/usage?start=2027-04-01T00:00:00Z&end=2027-05-01T00:00:00Z"
    assert await differences(april) == []


async def test_usage_and_a_bill_at_once_leave_nothing_out(april, clock):
    await later(april, clock, at(5, 3))
    await asyncio.gather(
        *(use(april, f"e{number}", "100", "2027-04-30T00:00:00Z") for number in range(100)), billed(april)
    )
    await later(april, clock, at(6, 3))
    usage = [line for bill in await billed(april) for line in bill.lines if line["kind"] == "usage"]
    assert sum(int(line["quantity"]) for line in usage) == 10_000
    assert sum(line["amount"] for line in usage) == 8100
    assert await differences(april) == []


async def test_a_plan_that_changes_and_seats_that_move_reconcile(app, april, clock, look):
    await later(april, clock, at(4, 13))
    await april.owner.put("/v1/billing/subscription", {"plan": "professional"})
    await later(april, clock, at(5, 20))
    await april.owner.put("/v1/billing/subscription", {"plan": "starter", "interval": "yearly"})
    clock.set(at(9, 3))
    bills = await billed(april)
    assert [lines(bill) for bill in bills] == [
        [("seats", "starter", "1", "1/1", 1500)],
        [("seats", "starter", "-1", "3/5", -900), ("seats", "professional", "3", "3/5", 7020),
         ("seats", "professional", "3", "1/1", 11700)],
        [("seats", "starter", "1", "1/1", 15000)],
    ]  # fmt: skip
    assert bills[2].following_end == at(6, 1).replace(year=2028)
    assert await differences(april) == []


async def test_what_does_not_add_up_is_found_line_by_line(app, april, clock, look):
    await later(april, clock, at(4, 10))
    await use(april, "a", "1500", "2027-04-09T00:00:00Z")
    clock.set(at(5, 3))
    _, bill = await billed(april)
    async with look.connection.transaction():
        await look.run("SET LOCAL session_replication_role = replica")
        await look.run("UPDATE tenants.usage_events SET value = 2500 WHERE tenant_id = $1", april.tenant_id)
        await look.run(
            "UPDATE tenants.bills SET paid = 100 WHERE tenant_id = $1 AND id = $2", april.tenant_id, bill.id
        )
    found = {
        (one["position"], one["field"]): (one["stored"], one["computed"]) for one in await differences(april)
    }
    assert found == {
        (None, "ledger paid"): ("100", "0"),
        (None, "payments"): ("100", "0"),
        (1, "quantity"): ("1500", "2500"),
        (1, "amount"): ("900", "1800"),
        (None, "subtotal"): ("2400", "3300"),
        (None, "total"): ("2400", "3300"),
    }


async def test_a_bill_that_fails_midway_leaves_nothing_and_is_made_later(april, clock, look, monkeypatch):
    clock.set(at(4, 3))
    before = await look.value(
        "SELECT coalesce(max(last_number), 0) FROM tenants.bill_numbers WHERE year = 2027"
    )

    async def fails(self: Issuer, until: Any, upcoming: Any) -> None:
        raise RuntimeError("the plug is pulled")

    with monkeypatch.context() as broken:
        broken.setattr(Issuer, "_move", fails)
        with pytest.raises(RuntimeError):
            await billed(april)
    assert await ledger(look, april) == {}
    [bill] = await billed(april)
    assert int((bill.number or "").rpartition("-")[2]) == before + 1


async def test_one_company_that_fails_keeps_nobody_elses_bill_back(app, clock, look, monkeypatch):
    companies = [await sign_up(app) for _ in range(3)]
    ids = [company.tenant_id for company in companies]
    await look.run(
        "INSERT INTO tenants.billing_accounts (tenant_id, begins_at, next_bill_at)"
        " SELECT id, created_at, 'infinity' FROM tenants.tenants WHERE id <> ALL($1::uuid[])"
        " ON CONFLICT (tenant_id) DO UPDATE SET next_bill_at = 'infinity'",
        ids,
    )
    whole = Issuer.issue_next

    async def sometimes(self: Issuer) -> Any:
        if self._uow.tenant_id == ids[1]:
            raise RuntimeError("out of paper")
        return await whole(self)

    clock.set(at(4, 3))
    monkeypatch.setattr(run, "BATCH", 1)
    with monkeypatch.context() as broken:
        broken.setattr(Issuer, "issue_next", sometimes)
        assert await bill_all(app.kernel) == 2
        assert await bill_all(app.kernel) == 0
    clock.set(at(4, 3) + run.CLAIM)
    assert await bill_all(app.kernel) == 1


async def test_a_company_that_has_left_is_billed_no_more(april, clock, look, app):
    await look.run("UPDATE tenants.tenants SET status = 'cancelled' WHERE id = $1", april.tenant_id)
    clock.set(at(4, 3))
    await bill_all(app.kernel)
    assert await look.value("SELECT count(*) FROM tenants.bills WHERE tenant_id = $1", april.tenant_id) == 0
    await look.run("UPDATE tenants.tenants SET status = 'active' WHERE id = $1", april.tenant_id)
    await bill_all(app.kernel)  # as if it had never left
    assert await look.value("SELECT count(*) FROM tenants.bills WHERE tenant_id = $1", april.tenant_id) == 1


async def test_a_bill_takes_as_many_statements_however_much_was_used(april, clock, monkeypatch):
    counted: list[int] = []
    whole = Issuer.issue_next

    async def counting(self: Issuer) -> Any:
        uow: UnitOfWork = self._uow
        before = uow.statements
        answer = await whole(self)
        if answer[0] is not None:
            counted.append(uow.statements - before)
        return answer

    monkeypatch.setattr(Issuer, "issue_next", counting)
    for month in range(4, 9):
        await later(april, clock, at(month, 20))
        for number in range(month):
            await use(april, f"{month} {number}", "700", f"2027-0{month}-{number + 10}T00:00:00Z")
    clock.set(at(9, 3))
    await billed(april)
    assert max(counted[1:]) <= 13


@pytest.mark.parametrize("seed", [3, 7])
async def test_a_random_year_in_the_database_reconciles(app, april, clock, look, seed):
    chance = random.Random(seed)
    await create_coupon(
        app.kernel, NewCoupon(f"YEAR{april.tenant_id}", "percent", Decimal("12.5"), duration="forever")
    )
    for month in range(4, 13):
        for day in sorted(chance.sample(range(1, 29), 5)):
            clock.set(at(month, day) + timedelta(seconds=chance.randrange(86_400)))
            await happens(april, look, chance, clock.now())
        for bill in await billed(april):
            if chance.random() < 0.4:
                async with books(april) as bills:
                    await bills.settle(bill.id, chance.randrange(1, 20_000), "bank", f"{month} {bill.id}")
            elif chance.random() < 0.3 and bill.total > bill.credited:
                part = chance.randrange(1, bill.total - bill.credited + 1)
                await credit_bill(app.kernel, april.tenant_id, bill.id, part, reason="Sorry")
    assert len(await billed(april)) == 9
    assert await differences(april) == []
    await ledger(look, april)


async def happens(company: Company, look: Any, chance: random.Random, now: datetime) -> None:
    """Somebody comes or goes, something is used (perhaps weeks ago), another plan is chosen, or a coupon redeemed."""
    tenant = system_actor(await profile(company))
    what = chance.randrange(5)
    within = control_transaction if what == 3 else transaction
    async with within(company.kernel, tenant) as uow:
        match what:
            case 0 | 1:
                await look.run(
                    "INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)"
                    " VALUES ($1, gen_random_uuid(), $2, gen_random_uuid(), $3)",
                    company.tenant_id,
                    now,
                    chance.choice([1, 1, 1, -1]),
                )
            case 2:
                with suppress(SamePlan):
                    plan = chance.choice(["starter", "professional", "enterprise"])
                    await Subscriptions(uow).change(plan, None)
            case 3:
                await redeem_coupon(uow, f"YEAR{company.tenant_id}")
            case _:
                moment = now - timedelta(hours=chance.randrange(800))
                value = Decimal(chance.randrange(1, 30_000))
                metric = chance.choice(["leads.captured", "records.created"])
                await Meter(uow).take([UsageEvent("/s", str(now), metric, moment, moment, value, None)])
