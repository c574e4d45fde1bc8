"""Ageing, statements, overdue invoices, and what accounts show of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from app.kernel.clock import FixedClock
from app.kernel.schedules import ScheduledRun
from app.modules.orders.services.receivables.ageing import AgeingService
from app.modules.orders.services.receivables.overdue import mark_overdue
from app.modules.orders.services.receivables.statements import StatementService
from tests.merging.support import merge, undo
from tests.modules.orders.orders import money, pointers
from tests.modules.orders.receivables.books import (
    charge,
    done,
    figures,
    issued,
    pay,
    read,
    shares,
)
from tests.modules.support import acting, actor_of, make, subject_id
from tests.support.api import Client, Company

Json = dict[str, Any]
BUCKETS = ("not_due", "days_1_to_30", "days_31_to_60", "days_61_to_90", "over_90_days", "open", "unallocated")


async def ageing(owner: Client, **query: Any) -> Json:
    found: Json = await owner.ok("GET", "/v1/receivables/ageing", params=query)
    return found


def amounts(row: Json) -> list[str]:
    return [row[name]["amount"] for name in BUCKETS]


async def statement(owner: Client, account: Json, **query: Any) -> Json:
    found: Json = await owner.ok(
        "GET", "/v1/receivables/statement", params={"account_id": account["id"]} | query
    )
    return found


async def test_what_is_open_is_sorted_by_the_days_since_it_fell_due(
    owner: Client, account: Json, clock: FixedClock
) -> None:
    for due, price in (
        ("2026-06-30", "1.00"),  # due today is not late
        ("2026-06-29", "2.00"),
        ("2026-05-31", "4.00"),
        ("2026-05-30", "8.00"),
        ("2026-05-01", "16.00"),
        ("2026-04-30", "32.00"),
        ("2026-04-01", "64.00"),
        ("2026-03-31", "128.00"),
    ):
        await issued(owner, account, charge(price), on="2026-03-01", due_on=due)
    await pay(owner, account, "5.00")
    (total,) = (await ageing(owner))["totals"]
    assert amounts(total) == ["1.00", "6.00", "24.00", "96.00", "128.00", "255.00", "5.00"]
    assert (total["currency"], total["balance"]) == ("USD", money("250.00"))
    (row,) = (await ageing(owner))["data"]
    assert row["account"] == {"id": account["id"], "name": "Harbour Pumps"}
    assert amounts(row) == amounts(total)
    (before,) = (await ageing(owner, on="2026-05-31"))["totals"]
    assert amounts(before) == ["7.00", "24.00", "96.00", "128.00", "0.00", "255.00", "0.00"]
    assert (await ageing(owner, on="2026-02-28"))["totals"] == []


async def test_a_payment_counts_from_the_day_it_was_received_whenever_it_was_entered(
    owner: Client, account: Json, clock: FixedClock
) -> None:
    invoice = await issued(owner, account, on="2026-03-01", due_on="2026-03-31")
    paid = await pay(owner, account, "100.00", received_on="2026-04-15")
    await done(owner, paid, "allocate")
    assert (await ageing(owner))["totals"] == []
    (before,) = (await ageing(owner, on="2026-04-14"))["totals"]
    assert amounts(before)[1] == "100.00"
    assert (await ageing(owner, on="2026-04-15"))["totals"] == []
    await done(owner, paid, "deallocate")
    (after,) = (await ageing(owner, on="2026-04-15"))["totals"]
    assert (amounts(after)[1], amounts(after)[6]) == ("100.00", "100.00")
    assert (await read(owner, invoice))["status"] == "open"


async def test_the_day_is_that_of_the_company(company: Company, account: Json, clock: FixedClock) -> None:
    owner = company.owner
    version = (await owner.ok("GET", "/v1/tenant"))["version"]
    await owner.ok("PATCH", "/v1/tenant", json={"time_zone": "Asia/Shanghai"}, if_match=version)
    clock.set(datetime(2026, 6, 30, 16, 30, tzinfo=UTC))  # the first of July there
    await issued(owner, account, on="2026-06-01", due_on="2026-06-30")
    found = await ageing(owner)
    assert (found["on"], amounts(found["totals"][0])[1]) == ("2026-07-01", "100.00")


async def test_accounts_come_largest_first_page_by_page_in_few_statements(
    owner: Client, company: Company, clock: FixedClock
) -> None:
    for number in range(1, 8):
        debtor = await make(owner, "accounts", name=f"Debtor {number}")
        await issued(owner, debtor, charge(f"{number}.00"))
        await issued(owner, debtor, charge("3.00", currency="EUR"))
    names, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = await ageing(owner, **query)
        names += [(one["account"]["name"], one["open"]["amount"]) for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [amount for _, amount in names] == ["7.00", "6.00", "5.00", "4.00"] + ["3.00"] * 8 + [
        "2.00",
        "1.00",
    ]
    (euro, dollar) = (await ageing(owner))["totals"]
    assert (euro["open"], dollar["open"]) == (money("21.00", "EUR"), money("28.00"))
    assert len((await ageing(owner, currency="EUR"))["data"]) == 7
    wrong = await owner.get("/v1/receivables/ageing?cursor=x")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_cursor")


async def test_a_statement_runs_from_opening_to_closing(
    owner: Client, account: Json, clock: FixedClock
) -> None:
    old = await issued(owner, account, charge("10.00"), on="2026-05-20")
    first = await issued(owner, account, charge("100.00"), on="2026-06-02", reference="PO-1")
    paid = await pay(owner, account, "130.00", received_on="2026-06-10", reference="TX")
    await done(owner, paid, "allocate")
    note = await done(owner, first, "credit", {"reason": "late", "amount": money("30.00")})
    refund = await done(owner, note, "refund", {"method": "cash", "amount": money("15.00")})
    await issued(owner, account, charge("7.00", currency="EUR"), on="2026-06-03")
    found = await statement(owner, account)
    assert (found["begins_on"], found["ends_on"], found["currency"]) == ("2026-06-01", "2026-06-30", "USD")
    names = ("opening", "invoiced", "credited", "received", "refunded", "closing")
    assert [found[name]["amount"] for name in names] == [
        "10.00",
        "100.00",
        "30.00",
        "130.00",
        "15.00",
        "-35.00",
    ]
    assert [(one["on"], one["kind"], one["number"], one["amount"]["amount"], one["balance"]["amount"]) for one in found["data"]] == [
        ("2026-06-02", "invoice", first["number"], "100.00", "110.00"),
        ("2026-06-10", "payment", paid["number"], "-130.00", "-20.00"),
        ("2026-06-30", "credit_note", note["number"], "-30.00", "-50.00"),
        ("2026-06-30", "refund", refund["number"], "15.00", "-35.00"),
    ]  # fmt: skip
    page = await statement(owner, account, limit=3)
    rest = await statement(owner, account, limit=3, cursor=page["next_cursor"])
    assert page["data"] + rest["data"] == found["data"]
    assert (rest["has_more"], old["total"]) == (False, money("10.00"))
    wrong = await owner.get(
        "/v1/receivables/statement",
        params={"account_id": account["id"], "begins_on": "2026-07-02", "ends_on": "2026-07-01"},
    )
    assert pointers(wrong) == [("begins_on", "after_end")]
    absent = {"account_id": "0198c0de-0000-7000-8000-000000000000"}
    assert (await owner.get("/v1/receivables/statement", params=absent)).status_code == 404


async def test_the_number_of_statements_does_not_grow_with_what_is_listed(
    owner: Client, account: Json, company: Company
) -> None:
    async def counted() -> tuple[int, int]:
        async with acting(company) as uow:
            await AgeingService(uow).report(None, account_id=None, currency=None, limit=50, cursor=None)
            first = uow.statements
            await StatementService(uow).of(
                subject_id(account), currency=None, begins_on=None, ends_on=None, limit=50, cursor=None
            )
            return first, uow.statements - first

    await issued(owner, account)
    few = await counted()
    for number in range(6):
        debtor = await make(owner, "accounts", name=f"Debtor {number}")
        await asyncio.gather(*[issued(owner, one) for one in (debtor, account)])
    assert await counted() == few == (3, 3)


async def test_an_overdue_invoice_is_told_once(
    owner: Client, account: Json, company: Company, clock: FixedClock
) -> None:
    late = await issued(owner, account, on="2026-05-01", due_on="2026-06-29")
    today = await issued(owner, account, on="2026-05-01", due_on="2026-06-30")
    settled = await issued(owner, account, on="2026-05-01", due_on="2026-06-01")
    await done(owner, await pay(owner, account, "100.00"), "allocate", shares((settled, "100.00")))
    kernel = company.app.kernel
    assert kernel is not None
    for _ in range(2):
        await mark_overdue(ScheduledRun(kernel, (await actor_of(company)).tenant))
    now = await read(owner, late)
    assert (now["overdue_since"], now["version"]) == ("2026-06-30", late["version"] + 1)
    assert await read(owner, today) == today
    assert (await read(owner, settled))["overdue_since"] is None
    told = [
        one
        for one in (await owner.ok("GET", "/v1/notifications"))["data"]
        if one["kind"] == "invoice.overdue"
    ]
    assert [(one["title"], one["record_id"]) for one in told] == [
        (f"Invoice {late['number']} of Harbour Pumps is overdue", late["id"])
    ]
    listed = await owner.ok("GET", "/v1/invoices?overdue_since[is_null]=false")
    assert [one["id"] for one in listed["data"]] == [late["id"]]


async def test_an_account_shows_what_it_owes_and_is_not_deleted(
    owner: Client, account: Json, clock: FixedClock
) -> None:
    await issued(owner, account, charge("10.00"), on="2026-05-01")
    await issued(owner, account, charge("20.00"))
    await pay(owner, account, "3.00")
    seen = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    assert seen["panels"]["receivables"] == {
        "open": [money("30.00")],
        "overdue": [money("10.00")],
        "unallocated": [money("3.00")],
        "open_invoices": 2,
        "overdue_invoices": 1,
    }
    refused = await owner.delete(f"/v1/accounts/{account['id']}", if_match=account["version"])
    assert (refused.status_code, refused.json()["code"]) == (409, "account_in_use")
    assert {name: refused.json()["used_by"][name] for name in ("invoices", "payments")} == {
        "invoices": 2,
        "payments": 1,
    }


async def test_merged_accounts_have_one_statement_and_two_again_when_it_is_undone(
    owner: Client, account: Json
) -> None:
    other = await make(owner, "accounts", name="Harbour Pumps BV")
    mine, theirs = await issued(owner, account, charge("10.00")), await issued(owner, other, charge("20.00"))
    paid = await pay(owner, other, "25.00", reference="TX-1")
    await pay(owner, account, "1.00", reference="TX-1")
    before = await read(owner, theirs)
    merged = await merge(owner, "accounts", [account, other])
    found = await statement(owner, account)
    assert (found["invoiced"], found["received"], found["closing"]) == (
        money("30.00"),
        money("26.00"),
        money("4.00"),
    )
    moved = await read(owner, theirs)
    assert (moved["account_id"], moved["customer_name"], moved["number"]) == (
        account["id"],
        "Harbour Pumps BV",
        theirs["number"],
    )
    await done(owner, paid, "allocate")
    assert figures(await read(owner, mine))[0] == "paid"
    await undo(owner, merged)
    assert (await read(owner, theirs))["account_id"] == before["account_id"]
    assert (await statement(owner, other))["closing"] == money("-5.00")
