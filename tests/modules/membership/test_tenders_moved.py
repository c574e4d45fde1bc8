"""Stored value does not become cash by moving payments from one order to another either."""

from __future__ import annotations

from typing import Any

from tests.modules.membership.points import adds_up
from tests.modules.membership.tenders import CASH, Json, act, cash, done, get, paid_in_cash, refused
from tests.modules.membership.test_wallet import holds, invoiced, ordered, path, pay, top_up, usd
from tests.modules.orders.orders import line
from tests.support.api import Client, Company


async def settle(who: Client, payment: Json, bill: Json, amount: str) -> Any:
    share = {"invoice_id": bill["id"], "amount": usd(amount)}
    return await act(who, "payments", payment, "allocate", allocations=[share])


async def test_a_wallet_does_not_pay_where_cash_went_to_stand_for_other_cash_that_was_paid_back(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    one, two = [await invoiced(owner, await ordered(company, account)) for _ in range(2)]
    first, second = [await paid_in_cash(teller, account, "100.00", bill) for bill in (one, two)]
    await done(teller, "payments", second, "deallocate")
    await done(teller, "payments", second, "refund", **CASH)
    await done(teller, "payments", first, "deallocate")
    assert (await settle(teller, first, two, "100.00")).status_code == 200
    before = await get(owner, "invoices", one)
    refused(await teller.post(path(member, "/pay"), {"invoice_id": one["id"]}), "cash_paid_back")
    assert (await get(owner, "invoices", one), await holds(owner, member)) == (before, ("100.00", "0.00"))
    await pay(owner, member, invoice_id=one["id"])
    assert await cash(owner) == ("200.00", "100.00")
    await adds_up(company)


async def test_cash_that_a_wallet_took_the_place_of_does_not_stand_for_other_cash(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00")
    one, two = [await invoiced(owner, await ordered(company, account)) for _ in range(2)]
    first, second = [await paid_in_cash(teller, account, "100.00", bill) for bill in (one, two)]
    await done(teller, "payments", first, "deallocate")
    await pay(teller, member, "60.00", invoice_id=one["id"])
    await done(teller, "payments", second, "deallocate")
    before = await get(owner, "payments", first)
    refused(await settle(teller, first, two, "40.01"), "paid_from_stored_value", "40.00")
    assert await get(owner, "payments", first) == before
    # Without being told where to, it goes where it may: to what is left of its own invoice.
    await done(teller, "payments", first, "allocate")
    assert (await get(owner, "invoices", one))["status"] == "paid"
    assert (await get(owner, "invoices", two))["open_amount"] == usd("100.00")
    await adds_up(company)


async def test_payments_that_were_mixed_up_are_put_right(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "50.00")
    one, two = [await invoiced(owner, await ordered(company, account, line("1", "150.00"))) for _ in range(2)]
    first, second = [await paid_in_cash(teller, account, "100.00", bill) for bill in (one, two)]
    for payment in (first, second):
        await done(teller, "payments", payment, "deallocate")
    assert (await settle(teller, first, two, "100.00")).status_code == 200
    assert (await settle(teller, second, one, "100.00")).status_code == 200
    await pay(teller, member, invoice_id=one["id"])
    assert [(await get(owner, "invoices", bill))["open_amount"] for bill in (one, two)] == [
        usd("0.00"),
        usd("50.00"),
    ]
    await adds_up(company)


async def test_a_wallet_does_not_pay_what_was_paid_back_of_cash_of_which_the_rest_stands_again(
    company: Company, account: Json, member: Json, teller: Client
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    bill = await invoiced(owner, await ordered(company, account))
    payment = await paid_in_cash(teller, account, "100.00", bill)
    await done(teller, "payments", payment, "deallocate")
    await done(teller, "payments", payment, "refund", **CASH, amount=usd("60.00"))
    assert (await settle(teller, payment, bill, "40.00")).status_code == 200
    before = await get(owner, "invoices", bill)
    some = {"invoice_id": bill["id"], "amount": usd("40.00")}
    refused(await teller.post(path(member, "/pay"), some), "cash_paid_back")
    assert (await get(owner, "invoices", bill), await holds(owner, member)) == (before, ("100.00", "0.00"))
    await adds_up(company)
