"""Stored value never leaves as cash, whichever way money is moved about, but for whoever may pay it out."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.membership.points import adds_up, react
from tests.modules.membership.tenders import CASH, Json, act, cash, done, get, paid_in_cash, refused
from tests.modules.membership.test_wallet import holds, invoiced, ordered, path, pay, top_up, usd
from tests.modules.orders.orders import line, ship
from tests.modules.orders.test_returns import ARRIVED, back, go
from tests.modules.support import make
from tests.support.api import Client, Company


async def test_cash_that_a_wallet_took_the_place_of_is_not_paid_back(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "0.01", {"amount": usd("70.00")})
    bill = await invoiced(owner, await ordered(company, account))
    payment = await paid_in_cash(teller, account, "100.00", bill)
    await done(teller, "payments", payment, "deallocate")
    await pay(teller, member, "70.00", invoice_id=bill["id"])
    before = await get(owner, "payments", payment)
    for body in (CASH, CASH | {"amount": usd("30.01")}):
        refused(await act(teller, "payments", payment, "refund", **body), "paid_from_stored_value", "30.00")
    assert await get(owner, "payments", payment) == before
    assert await cash(owner) == ("100.00", "0.00")
    await done(teller, "payments", payment, "refund", **CASH, amount=usd("30.00"))
    refused(await act(teller, "payments", payment, "refund", **CASH), "paid_from_stored_value", "0.00")
    assert await cash(owner) == ("100.00", "30.00")
    # What stays is used for what else they buy; nobody loses it.
    other = await invoiced(owner, await ordered(company, account, line("1", "70.00")))
    share = {"invoice_id": other["id"], "amount": usd("70.00")}
    await done(teller, "payments", payment, "allocate", allocations=[share])
    assert (await get(owner, "invoices", other))["status"] == "paid"
    await adds_up(company)


async def test_whoever_may_pay_out_stored_value_pays_back_cash_that_it_took_the_place_of(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    bill = await invoiced(owner, await ordered(company, account))
    payment = await paid_in_cash(owner, account, "100.00", bill)
    await done(owner, "payments", payment, "deallocate")
    await pay(owner, member, invoice_id=bill["id"])
    await done(owner, "payments", payment, "refund", **CASH)
    assert await cash(owner) == ("100.00", "100.00")
    assert await holds(owner, member) == ("0.00", "0.00")
    await adds_up(company)


async def test_a_wallet_does_not_take_the_place_of_cash_that_was_paid_back(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    bill = await invoiced(owner, await ordered(company, account))
    first = await paid_in_cash(teller, account, "40.00", bill)
    await paid_in_cash(teller, account, "35.00", bill)
    await done(teller, "payments", first, "deallocate")
    await done(teller, "payments", first, "refund", **CASH)
    await pay(teller, member, "25.00", invoice_id=bill["id"])  # was never paid in cash
    before = await get(owner, "invoices", bill)
    for what in ({"invoice_id": bill["id"]}, {"order_id": bill["order_id"], "amount": usd("0.01")}):
        refused(await teller.post(path(member, "/pay"), what), "cash_paid_back")
    assert (await get(owner, "invoices", bill), await holds(owner, member)) == (before, ("75.00", "0.00"))
    assert before["open_amount"] == usd("40.00")
    await pay(owner, member, invoice_id=bill["id"])
    assert await holds(owner, member) == ("35.00", "0.00")
    # What the owner allowed is no debt of those who come after.
    later = await invoiced(owner, await ordered(company, account, line("1", "35.00")))
    await pay(teller, member, invoice_id=later["id"])
    await adds_up(company)


async def test_cash_that_other_cash_followed_or_that_was_paid_twice_is_paid_back(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00")
    bill = await invoiced(owner, await ordered(company, account))
    await pay(teller, member, invoice_id=bill["id"], amount="60.00")
    wrong = await paid_in_cash(teller, account, "40.00", bill)
    await done(teller, "payments", wrong, "deallocate")
    await paid_in_cash(teller, account, "40.00", bill)
    await done(teller, "payments", wrong, "refund", **CASH)
    again = await make(teller, "payments", account_id=account["id"], amount=usd("5.00"), method="cash")
    await done(teller, "payments", again, "refund", **CASH)
    assert await cash(owner) == ("85.00", "45.00")
    await adds_up(company)


async def test_cash_that_a_credit_note_took_the_place_of_goes_back_after_stored_value_only(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00")
    bill = await invoiced(owner, await ordered(company, account))
    await pay(teller, member, "60.00", invoice_id=bill["id"])
    payment = await paid_in_cash(teller, account, "40.00", bill)
    note = await done(teller, "invoices", bill, "credit", reason="late", amount=usd("40.00"))
    refused(await act(teller, "invoices", note, "refund", **CASH), "paid_from_stored_value", "0.00")
    # The credit note takes the payment's place on the invoice, as it does for every payment.
    await done(teller, "payments", payment, "deallocate")
    assert (await get(owner, "invoices", note))["open_amount"] == usd("0.00")
    refused(await act(teller, "payments", payment, "refund", **CASH), "paid_from_stored_value", "0.00")
    assert await cash(owner) == ("40.00", "0.00")
    await adds_up(company)


async def test_a_credit_note_of_stored_value_does_not_settle_other_orders_to_be_credited_as_cash(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00")
    bill = await invoiced(owner, await ordered(company, account))
    await pay(teller, member, "60.00", invoice_id=bill["id"])
    await paid_in_cash(teller, account, "40.00", bill)
    note = await done(teller, "invoices", bill, "credit", reason="late")
    other = await invoiced(owner, await ordered(company, account))
    before = (await get(owner, "invoices", note), await get(owner, "invoices", other))
    shares = [{"invoice_id": other["id"], "amount": usd("40.01")}]
    for body in ({}, {"allocations": shares}):
        refused(await act(teller, "invoices", note, "allocate", **body), "paid_from_stored_value", "40.00")
    assert (await get(owner, "invoices", note), await get(owner, "invoices", other)) == before
    shares[0]["amount"] = usd("40.00")
    await done(teller, "invoices", note, "allocate", allocations=shares)
    credited = await done(teller, "invoices", other, "credit", reason="late too")
    await done(teller, "invoices", credited, "refund", **CASH)
    paid = (await owner.ok("GET", path(member, "/transactions")))["data"][0]
    await teller.ok("POST", path(member, "/refund"), json={"transaction_id": paid["id"]})
    assert await holds(owner, member) == ("60.00", "0.00")
    assert await cash(owner) == ("40.00", "40.00")
    await adds_up(company)


async def test_payments_of_wallets_are_not_moved_by_hand(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    order = await ordered(company, account)
    bill = await invoiced(owner, order)
    await pay(owner, member, "60.00", invoice_id=bill["id"])
    (payment,) = (await owner.ok("GET", "/v1/payments"))["data"]
    for verb in ("deallocate", "allocate"):
        refused(await act(owner, "payments", payment, verb), "paid_from_stored_value")
    assert await get(owner, "payments", payment) == payment
    assert (await get(owner, "invoices", bill))["open_amount"] == usd("40.00")


async def test_a_return_pays_out_the_cash_part_and_the_wallet_gets_the_rest(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00")
    order = await ordered(company, account)
    await ship(owner, order)
    bill = await invoiced(owner, order)
    await pay(owner, member, "60.00", order_id=order["id"])
    await paid_in_cash(owner, account, "40.00", bill)
    given = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    given = await go(owner, given, *ARRIVED)
    await done(teller, "returns", given, "refund", **CASH)
    await react(company)
    assert await cash(owner) == ("40.00", "40.00")
    assert await holds(owner, member) == ("60.00", "0.00")
    await adds_up(company)


async def test_hundreds_of_refunds_and_payments_at_once_never_turn_a_wallet_into_cash(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    """Of a bill that was paid in cash ten times ten, all of it, while the wallet pays whatever is open."""
    owner = company.owner
    await top_up(owner, member, "100.00")
    bill = await invoiced(owner, await ordered(company, account))
    payments = [await paid_in_cash(teller, account, "10.00", bill) for _ in range(10)]
    for one in payments:
        await done(teller, "payments", one, "deallocate")
    some = {"invoice_id": bill["id"], "amount": usd("4.00")}

    async def paid_back(one: Json) -> Any:
        answer = await act(teller, "payments", one, "refund", **CASH, amount=usd("5.00"))
        if answer.json().get("code") == "stale_version":  # another one has changed it meanwhile
            answer = await act(teller, "payments", one, "refund", **CASH, amount=usd("5.00"))
        return answer

    answers = await asyncio.gather(
        *(teller.post(path(member, "/pay"), some) for _ in range(100)),
        *(paid_back(one) for one in payments for _ in range(10)),
    )
    assert {one.status_code for one in answers} <= {201, 409, 412, 422}
    wallet_paid = 100 - float((await holds(owner, member))[0])
    back_in_cash = float((await cash(owner))[1])
    # Of the 100 that came in as cash, what the wallet pays for the bill stays.
    assert wallet_paid + back_in_cash <= 100
    assert float((await get(owner, "invoices", bill))["open_amount"]["amount"]) == 100 - wallet_paid
    assert wallet_paid + back_in_cash >= 92  # as much as can be, in steps of four and five
    await adds_up(company)
