"""Bills: made once per period, numbered without gaps, never changed, and settled to the minor unit."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.kernel.errors import Invalid, InvalidTransition, NotFound
from app.tenants.billing.models import Bill
from app.tenants.billing.operations import adjust_balance, credit_bill, give_up_bill, mark_paid, void_bill
from app.tenants.billing.run import bill_tenant
from app.tenants.billing.settling import BillCreditTooLarge, PaymentReferenceReused
from tests.support.api import Company, sign_up
from tests.tenants.billing.months import at, billed, books, ledger, lines, profile


@pytest.fixture
async def bill(april: Company, clock: Any) -> Bill:
    """The bill that April begins with: one seat at 15.00."""
    clock.set(at(4, 3))
    return (await billed(april))[0]


async def settle(company: Company, bill: Bill, amount: int, reference: str) -> Bill:
    async with books(company) as bills:
        return await bills.settle(bill.id, amount, "bank", reference)


async def test_a_bill_is_made_when_the_grace_is_over(april, clock):
    clock.set(at(4, 3) - timedelta(seconds=1))
    assert await billed(april) == []
    clock.set(at(4, 3))
    [first] = await billed(april)
    assert (first.status, first.period_end, first.following_end) == ("open", at(4, 1), at(5, 1))
    assert lines(first) == [("seats", "starter", "1", "1/1", 1500)]
    assert (first.total, first.due, first.due_at) == (1500, 1500, at(4, 17))
    assert len(await billed(april)) == 1


async def test_a_run_that_was_missed_is_made_up_for(april, clock):
    clock.set(at(7, 4))
    bills = await billed(april)
    assert [one.period_end for one in bills] == [at(4, 1), at(5, 1), at(6, 1), at(7, 1)]
    numbers = [int((one.number or "").rpartition("-")[2]) for one in bills]
    assert numbers == list(range(numbers[0], numbers[0] + 4))


async def test_every_line_says_by_what_it_was_made(bill):
    assert bill.lines == [
        {
            "position": 1,
            "kind": "seats",
            "what": "starter",
            "price": "starter/1/USD/monthly",
            "quantity": "1",
            "unit": "15",
            "start": "2027-04-01T00:00:00+00:00",
            "end": "2027-05-01T00:00:00+00:00",
            "factor": "1/1",
            "amount": 1500,
            "discount": 0,
            "tax": 0,
            "events": "/v1/billing/seats?start=2027-04-01T00:00:00Z&end=2027-05-01T00:00:00Z",
        }
    ]


async def test_many_runs_at_once_make_each_bill_once_and_numbers_have_no_gaps(app, clock, look):
    companies = [await sign_up(app) for _ in range(4)]
    clock.set(at(6, 4))
    profiles = [await profile(company) for company in companies]
    before = await last_number(look)
    made = await asyncio.gather(*(bill_tenant(app.kernel, one) for one in profiles for _ in range(10)))
    assert sum(made) == 12
    numbers = await look.rows(
        "SELECT number, issued_at FROM tenants.bills WHERE tenant_id = ANY($1::uuid[]) ORDER BY number",
        [company.tenant_id for company in companies],
    )
    counted = [int(row["number"].rpartition("-")[2]) for row in numbers]
    assert counted == list(range(before + 1, before + 13))


async def last_number(look: Any) -> int:
    found = await look.value(
        "SELECT coalesce(max(last_number), 0) FROM tenants.bill_numbers WHERE (series, year) = ('INV', 2027)"
    )
    return int(found)


async def test_what_an_issued_bill_says_never_changes(bill, look):
    changes = [
        "total = 1, subtotal = 1",
        "lines = '[]'",
        "number = 'INV-1'",
        "buyer = '{}'",
        "currency = 'EUR'",
    ]
    changes += [
        "issued_at = now()",
        "status = 'draft', number = NULL, issued_at = NULL",
        "usage_until = now()",
    ]
    for change in changes:
        with pytest.raises(asyncpg.RestrictViolationError):
            await look.run(f"UPDATE tenants.bills SET {change} WHERE id = $1", bill.id)
    with pytest.raises(asyncpg.RestrictViolationError):
        await look.run("DELETE FROM tenants.bills WHERE id = $1", bill.id)
    for table in ("billing_transactions", "billing_entries"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await look.run(f"DELETE FROM tenants.{table} WHERE tenant_id = $1", bill.tenant_id)


async def test_a_ledger_that_does_not_balance_does_not_commit(bill, look):
    copied = """
INSERT INTO tenants.billing_entries (tenant_id, id, transaction_id, account, currency, amount)
SELECT tenant_id, gen_random_uuid(), transaction_id, 'cash', {currency}, amount
FROM tenants.billing_entries WHERE tenant_id = $1 LIMIT 1"""
    for currency in ("currency", "'EUR'"):
        with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
            await look.run(copied.format(currency=currency), bill.tenant_id)


# -- payments ---------------------------------------------------------------------------------------------------


async def test_payments_go_to_what_is_due_and_the_rest_to_the_balance(april, bill, look):
    first = await settle(april, bill, 1000, "a")
    assert (first.status, first.due, first.paid, first.paid_at) == ("open", 500, 1000, None)
    second = await settle(april, first, 700, "b")
    assert (second.status, second.due, second.paid) == ("paid", 0, 1700)
    assert second.paid_at is not None
    assert await ledger(look, april) == {"cash": 1700, "customer_balance": -200, "revenue": -1500}
    third = await settle(april, bill, 300, "c")
    assert (third.status, third.paid) == ("paid", 2000)
    assert await ledger(look, april) == {"cash": 2000, "customer_balance": -500, "revenue": -1500}


async def test_the_balance_pays_the_next_bill_first(april, bill, clock):
    await settle(april, bill, 1700, "a")
    clock.set(at(5, 3))
    second = (await billed(april))[1]
    assert (second.total, second.balance_applied, second.due, second.status) == (1500, 200, 1300, "open")
    await settle(april, second, 3000, "b")
    clock.set(at(6, 3))
    third = (await billed(april))[2]
    assert (third.total, third.balance_applied, third.due, third.status) == (1500, 1500, 0, "paid")


async def test_two_hundred_of_the_same_payment_are_booked_once(april, bill, look):
    found = await asyncio.gather(*(settle(april, bill, 400, "same") for _ in range(200)))
    assert {(one.due, one.paid) for one in found} == {(1100, 400)}
    assert await ledger(look, april) == {"cash": 400, "receivable": 1100, "revenue": -1500}


async def test_two_hundred_payments_at_once_all_count(april, bill, look):
    found = await asyncio.gather(*(settle(april, bill, 10, f"p{number}") for number in range(200)))
    assert sorted(one.due for one in found) == sorted([max(0, 1500 - 10 * n) for n in range(1, 201)])
    assert await ledger(look, april) == {"cash": 2000, "customer_balance": -500, "revenue": -1500}
    paid = await look.value(
        "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = 'tenants.bill.paid.v1'",
        april.tenant_id,
    )
    assert paid == 1


async def test_a_reference_stands_for_one_payment(april, bill, unchanged_april):
    await settle(april, bill, 400, "a")
    async with unchanged_april():
        with pytest.raises(PaymentReferenceReused):
            await settle(april, bill, 500, "a")
        for amount in (0, -5):
            with pytest.raises(Invalid):
                await settle(april, bill, amount, "b")


async def test_another_companys_bill_is_not_there(april, bill, app, look):
    rival = await sign_up(app)
    for act in (
        settle(rival, bill, 100, "a"),
        void_bill(app.kernel, rival.tenant_id, bill.id, reason="ours"),
        credit_bill(app.kernel, rival.tenant_id, bill.id, 100, reason="ours"),
        give_up_bill(app.kernel, rival.tenant_id, bill.id, reason="ours"),
        mark_paid(app.kernel, rival.tenant_id, bill.id, 100, reference="a"),
    ):
        with pytest.raises(NotFound):
            await act
    assert await ledger(look, april) == {"receivable": 1500, "revenue": -1500}
    assert await ledger(look, rival) == {}


# -- taking back ------------------------------------------------------------------------------------------------


async def test_a_credit_note_reduces_what_is_due_first(app, april, bill, look):
    await settle(april, bill, 1000, "a")
    note = await credit_bill(app.kernel, april.tenant_id, bill.id, 800, reason="Outage")
    assert (note.total, note.applied, note.to_balance, note.refunded) == (800, 500, 300, 0)
    async with books(april) as bills:
        after = await bills.get(bill.id)
    assert (after.status, after.due, after.credited) == ("paid", 0, 800)
    assert await ledger(look, april) == {
        "cash": 1000, "credit": 800, "customer_balance": -300, "revenue": -1500,
    }  # fmt: skip
    refunded = await credit_bill(app.kernel, april.tenant_id, bill.id, {1: 700}, reason="Rest", refund=True)
    assert (refunded.total, refunded.applied, refunded.to_balance, refunded.refunded) == (700, 0, 0, 700)


async def test_credit_notes_never_exceed_their_bill_however_many_at_once(app, april, bill, look):
    answers = await asyncio.gather(
        *(credit_bill(app.kernel, april.tenant_id, bill.id, 100, reason="Sorry") for _ in range(40)),
        return_exceptions=True,
    )
    assert [type(one) for one in answers].count(BillCreditTooLarge) == 25
    assert await ledger(look, april) == {"credit": 1500, "revenue": -1500}


async def test_a_void_bill_is_taken_back_and_what_was_paid_is_kept_for_the_company(app, april, bill, look):
    await settle(april, bill, 400, "a")
    await credit_bill(app.kernel, april.tenant_id, bill.id, 100, reason="Sorry")
    gone = await void_bill(app.kernel, april.tenant_id, bill.id, reason="Wrong plan")
    assert (gone.status, gone.due, gone.next_attempt_at) == ("void", 0, None)
    assert await ledger(look, april) == {
        "cash": 400, "credit": 100, "customer_balance": -400, "revenue": -100,
    }  # fmt: skip
    late = await settle(april, bill, 1100, "b")
    assert (late.status, late.due) == ("void", 0)
    assert (await ledger(look, april))["customer_balance"] == -1500


async def test_what_was_given_up_can_still_be_paid(app, april, bill, look):
    given_up = await give_up_bill(app.kernel, april.tenant_id, bill.id, reason="Gone")
    assert (given_up.status, given_up.due) == ("uncollectible", 1500)
    assert await ledger(look, april) == {"bad_debt": 1500, "revenue": -1500}
    part = await settle(april, bill, 500, "a")
    assert (part.status, part.due) == ("uncollectible", 1000)
    paid = await mark_paid(app.kernel, april.tenant_id, bill.id, 1000, reference="cash")
    assert paid.status == "paid"
    assert await ledger(look, april) == {"cash": 1500, "revenue": -1500}


async def test_states_follow_on_each_other_only(app, april, bill, unchanged_april):
    await settle(april, bill, 1500, "a")
    async with unchanged_april():
        for refused in (void_bill, give_up_bill):
            with pytest.raises(InvalidTransition):
                await refused(app.kernel, april.tenant_id, bill.id, reason="No")
        with pytest.raises(BillCreditTooLarge):
            await credit_bill(app.kernel, april.tenant_id, bill.id, 1501, reason="No")
        with pytest.raises(Invalid):
            await credit_bill(app.kernel, april.tenant_id, bill.id, {2: None}, reason="No")
        with pytest.raises(NotFound):
            await void_bill(app.kernel, april.tenant_id, uuid4(), reason="No")


async def test_a_balance_is_given_and_never_below_zero(app, april, look):
    assert await adjust_balance(app.kernel, april.tenant_id, "USD", 500, reason="Welcome") == 500
    assert await adjust_balance(app.kernel, april.tenant_id, "USD", -200, reason="Slip") == 300
    with pytest.raises(Invalid):
        await adjust_balance(app.kernel, april.tenant_id, "USD", -301, reason="Slip")
    assert await ledger(look, april) == {"credit": 300, "customer_balance": -300}


async def test_more_given_back_than_charged_is_to_the_companys_credit(app, april, clock, look):
    for day, change in ((1, 1), (1, 1), (1, 1), (16, -1), (16, -1), (16, -1)):
        await look.run(
            "INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)"
            " VALUES ($1, gen_random_uuid(), $2, gen_random_uuid(), $3)",
            april.tenant_id,
            at(4, day),
            change,
        )
    clock.set(at(5, 3))
    _, second = await billed(april)
    assert lines(second) == [("seats", "starter", "-3", "1/2", -2250), ("seats", "starter", "1", "1/1", 1500)]
    assert (second.total, second.due, second.status) == (-750, 0, "paid")
    assert await ledger(look, april) == {"customer_balance": -750, "receivable": 6000, "revenue": -5250}
    with pytest.raises(BillCreditTooLarge):
        await credit_bill(app.kernel, april.tenant_id, second.id, 1, reason="No")
