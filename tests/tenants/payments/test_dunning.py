"""Eight attempts over two weeks, and what becomes of the account meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.tenants.billing.operations import mark_paid, void_bill
from app.tenants.billing.payments.collecting import CLAIM
from app.tenants.billing.payments.dunning import DAYS, dun_all
from app.tenants.lifecycle.schedule import advance
from tests.support.api import Company, running, sign_up
from tests.support.stripe_fake import KEY, SECRET
from tests.tenants.billing.months import at, ledger
from tests.tenants.payments.money import (
    DAY,
    ISSUED,
    attempts,
    bill,
    bill_id,
    billed_once,
    later,
    relayed,
    status,
    step,
    stores,
    subjects,
    taken,
    tell,
)


async def through(company: Company, clock, days: int) -> list[int]:
    """Run the schedule every six hours for so many days; on which days an attempt was made."""
    made: list[int] = []
    for hour in range(0, days * 24 + 1, 6):
        clock.set(ISSUED + timedelta(hours=hour))
        before = await _steps(company)
        await step(company)
        if await _steps(company) > before:
            made.append(hour // 24)
    await later(company, clock, ISSUED + days * DAY)
    return made


async def _steps(company: Company) -> int:
    async with company.kernel.database.tenant(company.tenant_id) as connection:
        return int(
            await connection.fetchval(
                "SELECT attempts FROM tenants.bills WHERE id = $1 AND tenant_id = $2",
                UUID(bill_id(company)), company.tenant_id,
            )
        )  # fmt: skip


async def test_an_invoice_is_charged_when_it_is_issued(april, stripe, look):
    await stores(april, stripe)
    await step(april)
    assert await attempts(april) == [(1, "succeeded", None)]
    assert ((await bill(april))["status"], await status(april), taken(stripe, april)) == (
        "paid",
        "active",
        [1500],
    )
    assert await subjects(look, april) == []


async def test_eight_attempts_in_two_weeks_then_the_account_is_suspended(april, stripe, clock, look):
    await stores(april, stripe, "pm_poor")
    assert await through(april, clock, 13) == [0, 1, 3, 5, 7, 9, 11]
    assert await status(april) == "past_due"
    clock.set(ISSUED + 14 * DAY)
    await step(april)
    await step(april)
    assert await status(april) == "suspended"
    assert await attempts(april) == [(number, "failed", "insufficient_funds") for number in range(1, 9)]
    assert DAYS == (0, 1, 3, 5, 7, 9, 11, 14)
    number = (await bill(april))["number"]
    told = await subjects(look, april)
    assert told == [f"Payment of invoice {number} failed"] * 7 + [told[-1]]
    assert "is suspended" in told[-1]
    mail = (await look.mails(april.email))[-8]["text"]
    assert all(word in mail for word in ("not enough money", "2027-04-04", "15.00 USD"))
    # Suspended: no further attempt; after thirty days cancelled, and the bill given up.
    clock.set(ISSUED + 30 * DAY)
    await dun_all(april.kernel)
    assert (
        len(await look.rows("SELECT 1 FROM tenants.payment_attempts WHERE tenant_id = $1", april.tenant_id))
        == 8
    )
    clock.set(ISSUED + 44 * DAY)
    assert await advance(april.kernel, april.tenant_id)
    await later(april, clock, ISSUED + 44 * DAY)
    assert (await status(april), (await bill(april))["status"]) == ("cancelled", "uncollectible")
    assert await ledger(look, april) == {"bad_debt": 1500, "revenue": -1500}


async def test_mails_are_in_the_companys_language_and_go_to_owners_and_admins(app, clock, stripe, look):
    from tests.tenants.people import colleague

    company = await sign_up(app, locale="zh-CN", currency="CNY")
    admin, sales = await colleague(company, look, "admin"), await colleague(company, look, "salesperson")
    await billed_once(company, clock)
    await step(company)
    number = (await bill(company))["number"]
    for person, count in ((admin, 1), (sales, 0)):
        mails = [m for m in await look.mails(person.facts["email"]) if number in m["subject"]]
        assert len(mails) == count
    mail = (await look.mails(company.email))[-1]
    assert mail["subject"] == f"账单 {number} 扣款失败"
    assert "尚未保存付款方式" in mail["text"]
    assert await attempts(company) == [(1, "failed", "no_payment_method")]


@pytest.mark.parametrize("when", [0, 5, 14])
async def test_paid_at_any_time_the_account_is_active_again(april, stripe, clock, look, when):
    await stores(april, stripe, "pm_poor")
    await through(april, clock, when)
    assert await status(april) == ("suspended" if when == 14 else "past_due")
    await stores(april, stripe)
    paid = await april.owner.post(f"/v1/billing/invoices/{bill_id(april)}/pay", {})
    assert (paid.status_code, await status(april)) == (200, "active")
    assert (await april.owner.post("/v1/teams", {"name": "Again"})).status_code == 201
    clock.set(ISSUED + 20 * DAY)
    await step(april)
    assert taken(stripe, april) == [1500]
    assert "paid up" in (await subjects(look, april))[-1]


@pytest.mark.parametrize("way", ["by hand", "void"])
async def test_what_the_operator_books_or_takes_back_opens_the_account_too(april, clock, stripe, way):
    await through(april, clock, 14)
    assert await status(april) == "suspended"
    kernel, id = april.kernel, UUID(bill_id(april))
    if way == "void":
        await void_bill(kernel, april.tenant_id, id, reason="our mistake")
    else:
        await mark_paid(kernel, april.tenant_id, id, 1500, reference="transfer 1")
    await relayed(april)
    assert await status(april) == "active"


async def test_a_suspension_by_the_operator_is_not_ended_by_a_payment(app, april, stripe, clock):
    from app.tenants.directory import suspend_tenant

    await suspend_tenant(app.kernel, april.tenant_id, reason="abuse")
    await stores(april, stripe)
    await step(april)
    assert ((await bill(april))["status"], await status(april)) == ("paid", "suspended")


async def test_two_hundred_runs_charge_once(app, april, stripe):
    await stores(april, stripe)
    await asyncio.gather(*(step(april) for _ in range(200)))
    assert taken(stripe, april) == [1500]
    assert await attempts(april) == [(1, "succeeded", None)]


async def test_two_hundred_runs_fail_one_step_once(april, stripe, look):
    await stores(april, stripe, "pm_poor")
    await asyncio.gather(*(step(april) for _ in range(200)))
    assert await attempts(april) == [(1, "failed", "insufficient_funds")]
    assert len(await subjects(look, april)) == 1


async def test_a_worker_that_dies_after_the_charge_leaves_it_to_the_next_one(april, stripe, clock):
    """The answer never comes back; the step goes on where it was, and is charged once."""
    from app.tenants.billing.payments.provider import ProviderUnavailable

    await stores(april, stripe)
    stripe.lose = 3
    with pytest.raises(ProviderUnavailable):
        await step(april)
    clock.set(ISSUED + CLAIM - timedelta(seconds=1))
    await asyncio.gather(*(step(april) for _ in range(20)))
    assert await attempts(april) == [(1, "started", None)]
    clock.set(ISSUED + CLAIM)
    await asyncio.gather(*(step(april) for _ in range(200)))
    assert (taken(stripe, april), await attempts(april)) == ([1500], [(1, "succeeded", None)])
    assert await status(april) == "active"


async def test_a_declined_step_whose_answer_was_lost_fails_once_by_webhook_or_schedule(
    april, stripe, clock, look
):
    await stores(april, stripe, "pm_poor")
    stripe.lose = 3
    from app.tenants.billing.payments.provider import ProviderUnavailable

    with pytest.raises(ProviderUnavailable):
        await step(april)
    intent = stripe.all("payment_intent")[-1]["id"]
    told = [tell(april, stripe.event("payment_intent.payment_failed", intent)) for _ in range(10)]
    assert {answer.json()["outcome"] for answer in await asyncio.gather(*told)} == {"handled"}
    clock.set(ISSUED + CLAIM)
    await step(april)
    assert await attempts(april) == [(1, "failed", "insufficient_funds")]
    assert (await status(april), len(await subjects(look, april))) == ("past_due", 1)
    await later(april, clock, ISSUED + DAY)
    await step(april)
    assert [one[0] for one in await attempts(april)] == [1, 2]


async def test_who_left_is_still_charged_and_given_up_in_the_end(april, stripe, clock, look):
    await stores(april, stripe, "pm_poor")
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    assert await through(april, clock, 14) == list(DAYS)
    assert (await status(april), (await bill(april))["status"]) == ("cancelled", "uncollectible")
    assert await ledger(look, april) == {"bad_debt": 1500, "revenue": -1500}


async def test_steps_keep_their_distance_when_nothing_ran_for_a_week(april, stripe, clock):
    await stores(april, stripe, "pm_poor")
    await step(april)
    clock.set(ISSUED + 8 * DAY)
    await step(april)
    await step(april)
    clock.set(ISSUED + 10 * DAY - timedelta(minutes=1))
    await step(april)
    await later(april, clock, ISSUED + 10 * DAY)
    assert [one[0] for one in await attempts(april)] == [1, 2]
    await step(april)
    assert [one[0] for one in await attempts(april)] == [1, 2, 3]


async def test_one_company_that_fails_keeps_no_other_from_its_step(app, april, clock, stripe, look):
    clock.set(at(4, 1))
    other = await sign_up(app)
    await billed_once(other, clock)
    await stores(other, stripe)
    await stores(april, stripe)
    await look.run(
        "UPDATE tenants.payment_methods SET reference = 'pm/x' WHERE tenant_id = $1", april.tenant_id
    )
    await dun_all(app.kernel)
    assert ((await bill(april))["status"], (await bill(other))["status"]) == ("open", "paid")


async def test_without_a_provider_the_company_is_told_and_reminded(worker_database, tmp_path, look):
    from app.kernel.clock import FixedClock

    async with running(worker_database, tmp_path) as offline:
        assert offline.kernel is not None
        clock = offline.kernel.clock = FixedClock(at(4, 1))
        company = await billed_once(await sign_up(offline), clock)
        due = ISSUED + 14 * DAY
        days = await through(company, clock, 28)
        assert days == [14 + day for day in DAYS]
        number = (await bill(company))["number"]
        told = await subjects(look, company)
        assert told[0] == f"Invoice {number}: 15.00 USD until {due.date()}"
        assert told[1:8] == [f"Invoice {number} is not paid"] * 7
        assert await status(company) == "suspended"
        await mark_paid(offline.kernel, company.tenant_id, UUID(bill_id(company)), 1500, reference="t 2")
        await relayed(company)
        assert await status(company) == "active"


async def test_stripe_sends_the_invoice_where_companies_pay_themselves(worker_database, tmp_path, stripe):
    from app.kernel.clock import FixedClock

    settings = {
        "payment_provider": "stripe", "stripe_secret_key": KEY, "stripe_webhook_secrets": [SECRET],
        "stripe_api_url": stripe.url, "billing_collection": "send_invoice",
    }  # fmt: skip
    async with running(worker_database, tmp_path, **settings) as app:
        assert app.kernel is not None
        clock = app.kernel.clock = FixedClock(at(4, 1))
        company = await billed_once(await sign_up(app), clock)
        await asyncio.gather(*(step(company) for _ in range(20)))
        (sent,) = [one for one in stripe.all("invoice") if one["metadata"]["bill_id"] == bill_id(company)]
        assert (sent["status"], sent["amount_due"], sent["collection_method"], sent["sent"]) == (
            "open", 1500, "send_invoice", True,
        )  # fmt: skip
        assert sent["due_date"] == str(int((ISSUED + 14 * DAY).timestamp()))
        await later(company, clock, ISSUED + 14 * DAY)
        await step(company)
        assert await status(company) == "past_due"
        stripe.pay_invoice(sent["id"])
        told = stripe.event("invoice.paid", sent["id"])
        assert (await tell(company, told)).json() == {"outcome": "handled"}
        assert ((await bill(company))["status"], await status(company)) == ("paid", "active")
