"""Stored value over HTTP: paid in, spent on orders and invoices, given back, paid out, frozen, adjusted."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.kernel.ids import new_id
from tests.modules.membership.conftest import Hire
from tests.modules.membership.points import adds_up, calendar, enrol, programme, react
from tests.modules.orders.orders import line, order_of, ship, stepped
from tests.modules.orders.test_returns import ARRIVED, back, go
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]


def usd(amount: str) -> Json:
    return {"amount": amount, "currency": "USD"}


def path(member: Json, what: str) -> str:
    return f"/v1/loyalty-members/{member['id']}/wallet{what}"


async def top_up(owner: Client, member: Json, amount: str, *bonus: Json, **fields: Any) -> Json:
    body = {"amount": usd(amount), "bonus": list(bonus)} | fields
    made: Json = await owner.ok("POST", path(member, "/top-up"), json=body)
    return made


async def pay(owner: Client, member: Json, amount: str | None = None, **fields: Any) -> Json:
    body = fields if amount is None else {"amount": usd(amount)} | fields
    made: Json = await owner.ok("POST", path(member, "/pay"), json=body)
    return made


async def holds(owner: Client, member: Json) -> tuple[str, str]:
    """Principal and bonus in dollars."""
    (found,) = (await owner.ok("GET", path(member, "s")))["data"]
    assert float(found["balance"]["amount"]) == pytest.approx(
        float(found["principal"]["amount"]) + float(found["bonus"]["amount"])
    )
    return found["principal"]["amount"], found["bonus"]["amount"]


async def ordered(company: Company, account: Json, *lines: Json) -> Json:
    order = await order_of(company.owner, account, *(lines or (line("1", "100.00"),)))
    return await stepped(company.owner, order, "confirm")


async def invoiced(owner: Client, order: Json) -> Json:
    made = await owner.ok(
        "POST", "/v1/invoices/from-order", json={"order_id": order["id"], "what": "remaining"}
    )
    found: Json = await owner.ok(
        "POST", f"/v1/invoices/{made['id']}/issue", if_match=made["version"], json={}
    )
    return found


async def receivables(owner: Client, order: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/orders/{order['id']}/receivables")
    return found


@pytest.fixture
async def member(company: Company, account: Json) -> Json:
    return await enrol(company.owner, await programme(company.owner), account)


async def test_bonus_money_is_spent_first_and_expires_and_principal_does_not(
    company: Company, account: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    made = await top_up(
        owner, member, "100.00",
        {"amount": usd("20.00"), "expires_on": "2026-06-01"}, {"amount": usd("5.00")},
        {"amount": usd("10.00"), "expires_on": "2026-04-01"},
    )  # fmt: skip
    assert (made["kind"], made["amount"], made["balance"]) == ("top_up", usd("135.00"), usd("135.00"))
    order = await ordered(company, account, line("1", "12.00"))
    await pay(owner, member, order_id=order["id"])
    assert await holds(owner, member) == ("100.00", "23.00")
    (wallet,) = (await owner.ok("GET", path(member, "s")))["data"]
    assert [(lot["expires_on"], lot["remaining"]["amount"]) for lot in wallet["lots"]] == [
        ("2026-06-01", "18.00"), (None, "5.00"),
    ]  # fmt: skip
    clock.advance(days=120)
    await calendar(company)
    assert await holds(owner, member) == ("100.00", "5.00")
    page = await owner.ok("GET", path(member, "/transactions?limit=2"))
    assert [(one["kind"], one["amount"]["amount"]) for one in page["data"]] == [
        ("expire", "-18.00"), ("pay", "-12.00"),
    ]  # fmt: skip
    rest = await owner.ok("GET", path(member, f"/transactions?limit=2&cursor={page['next_cursor']}"))
    assert [one["kind"] for one in rest["data"]] == ["top_up"]
    await adds_up(company)


async def test_an_order_is_paid_in_part_before_and_after_it_is_invoiced(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "500.00")
    order = await ordered(company, account)
    await pay(owner, member, "40.00", order_id=order["id"])
    assert (await receivables(owner, order))["paid"] == usd("0.00")
    await invoiced(owner, order)
    await react(company)
    found = await receivables(owner, order)
    assert (found["paid"], found["open"], found["payment_status"]) == (
        usd("40.00"), usd("60.00"), "partly_paid",
    )  # fmt: skip
    more = await owner.post(path(member, "/pay"), {"amount": usd("60.01"), "order_id": order["id"]})
    assert (more.status_code, more.json()["errors"][0]["code"]) == (422, "more_than_open")
    assert await holds(owner, member) == ("460.00", "0.00")
    paid = await pay(owner, member, order_id=order["id"])
    assert paid["amount"] == usd("-60.00")
    found = await receivables(owner, order)
    assert (found["paid"], found["payment_status"], len(found["payments"])) == (usd("100.00"), "paid", 2)
    assert await holds(owner, member) == ("400.00", "0.00")
    await adds_up(company)


async def test_an_invoice_is_paid_and_settled_in_one_transaction(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "150.00")
    bill = await invoiced(owner, await ordered(company, account))
    paid = await pay(owner, member, invoice_id=bill["id"])
    assert (paid["amount"], paid["balance"], paid["invoice_id"]) == (usd("-100.00"), usd("50.00"), bill["id"])
    found = await owner.ok("GET", f"/v1/invoices/{bill['id']}")
    assert (found["status"], found["open_amount"]) == ("paid", usd("0.00"))
    (payment,) = (await owner.ok("GET", "/v1/payments"))["data"]
    assert (payment["method"], payment["amount"], payment["unallocated"]) == (
        "stored_value", usd("100.00"), usd("0.00"),
    )  # fmt: skip
    again = await owner.post(path(member, "/pay"), {"invoice_id": bill["id"]})
    assert again.status_code == 422
    await adds_up(company)


async def test_what_is_returned_comes_back_to_the_wallet_as_it_was_paid(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "50.00", {"amount": usd("30.00")})
    order = await ordered(company, account, line("2", "50.00"))
    await ship(owner, order)
    await invoiced(owner, order)
    await pay(owner, member, "70.00", order_id=order["id"])
    assert await holds(owner, member) == ("10.00", "0.00")
    given = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    await go(owner, given, *ARRIVED, "refund")
    await react(company)
    # 30 were open still, which the credit note took off; 20 had been paid for what came back.
    assert await holds(owner, member) == ("30.00", "0.00")
    given = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    await go(owner, given, *ARRIVED, "refund")
    await react(company)
    assert await holds(owner, member) == ("50.00", "30.00")
    page = await owner.ok("GET", path(member, "/transactions"))
    assert [(one["kind"], one["amount"]["amount"]) for one in page["data"]] == [
        ("refund", "50.00"), ("refund", "20.00"), ("pay", "-70.00"), ("top_up", "80.00"),
    ]  # fmt: skip
    assert (await receivables(owner, order))["paid"] == usd("0.00")
    await adds_up(company)


async def test_a_cancelled_order_gives_back_what_was_paid_in_advance(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    order = await ordered(company, account)
    await pay(owner, member, "60.00", order_id=order["id"])
    await stepped(owner, order, "cancel")
    await react(company)
    assert await holds(owner, member) == ("100.00", "0.00")
    other = await ordered(company, account, line("4", "10.00"))
    await pay(owner, member, order_id=other["id"])
    less = {"lines": [{"line_id": other["lines"][0]["id"], "quantity": "3"}]}
    await stepped(owner, other, "cancel-lines", less)
    await react(company)
    assert await holds(owner, member) == ("90.00", "0.00")
    payments = (await owner.ok("GET", "/v1/payments"))["data"]
    assert sorted((one["kind"], one["unallocated"]["amount"]) for one in payments) == [
        ("payment", "0.00"), ("payment", "10.00"), ("refund", "0.00"), ("refund", "0.00"),
    ]  # fmt: skip
    await adds_up(company)


async def test_a_cancelled_order_gives_back_though_it_is_deleted_at_once(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    order = await ordered(company, account)
    await pay(owner, member, order_id=order["id"])
    gone = await stepped(owner, order, "cancel")
    assert (await owner.delete(f"/v1/orders/{order['id']}", if_match=gone["version"])).status_code == 204
    await react(company)
    assert await holds(owner, member) == ("100.00", "0.00")
    await adds_up(company)


async def test_what_is_not_owed_is_given_back_by_hand_and_no_more(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    bill = await invoiced(owner, await ordered(company, account))
    paid = await pay(owner, member, invoice_id=bill["id"])
    body = {"transaction_id": paid["id"], "amount": usd("25.00")}
    early = await owner.post(path(member, "/refund"), body)
    assert (early.status_code, early.json()["code"], early.json()["left"]) == (
        409, "nothing_to_refund", usd("0.00"),
    )  # fmt: skip
    bill = await owner.ok("GET", f"/v1/invoices/{bill['id']}")
    note = {"amount": usd("25.00"), "reason": "scratched"}
    await owner.ok("POST", f"/v1/invoices/{bill['id']}/credit", if_match=bill["version"], json=note)
    made = await owner.ok("POST", path(member, "/refund"), json=body)
    assert (made["amount"], made["refunds_id"]) == (usd("25.00"), paid["id"])
    late = await owner.post(path(member, "/refund"), {"transaction_id": paid["id"]})
    assert late.json()["code"] == "nothing_to_refund"
    assert await holds(owner, member) == ("25.00", "0.00")
    await adds_up(company)


async def test_three_hundred_payments_at_once_never_overdraw(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "60.00", {"amount": usd("40.00")})
    order = await ordered(company, account, line("1", "300.00"))
    await invoiced(owner, order)
    body = {"amount": usd("1.00"), "order_id": order["id"]}
    answers = await asyncio.gather(*[owner.post(path(member, "/pay"), body) for _ in range(300)])
    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(409)) == (100, 200)
    assert {one.json()["code"] for one in answers if one.status_code == 409} == {"insufficient_stored_value"}
    assert await holds(owner, member) == ("0.00", "0.00")
    assert (await receivables(owner, order))["paid"] == usd("100.00")
    await adds_up(company)


async def test_a_reference_of_a_source_moves_money_once(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    receipt = {"source": "till-3", "reference": "4711"}
    answers = await asyncio.gather(
        *[owner.post(path(member, "/top-up"), {"amount": usd("10.00")} | receipt) for _ in range(40)]
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await owner.post(path(member, "/top-up"), {"amount": usd("11.00")} | receipt)
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_value")
    order = await ordered(company, account, line("1", "4.00"))
    sale = {"source": "till-3", "reference": "4712", "order_id": order["id"]}
    first, second = await pay(owner, member, **sale), await pay(owner, member, **sale)
    assert first == second
    assert await holds(owner, member) == ("6.00", "0.00")
    await adds_up(company)


async def test_a_receipt_that_comes_again_answers_as_at_first_when_all_is_paid_and_pays_for_nothing_else(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "300.00")
    bill = await invoiced(owner, await ordered(company, account))
    receipt = {"source": "till-3", "reference": "1"}
    sale = receipt | {"invoice_id": bill["id"]}
    answers = await asyncio.gather(*[owner.post(path(member, "/pay"), sale) for _ in range(20)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await ordered(company, account)
    refused = await owner.post(path(member, "/pay"), receipt | {"order_id": other["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_value")
    first = await pay(owner, member, order_id=other["id"])
    second = await pay(owner, member, order_id=(await ordered(company, account))["id"])
    await stepped(owner, other, "cancel")
    back_ = {"source": "till-3", "reference": "2", "transaction_id": first["id"]}
    await owner.ok("POST", path(member, "/refund"), json=back_)
    twice = await owner.post(path(member, "/refund"), back_ | {"transaction_id": second["id"]})
    assert (twice.status_code, twice.json()["code"]) == (409, "duplicate_value")
    assert await holds(owner, member) == ("100.00", "0.00")
    await adds_up(company)


async def test_only_what_was_paid_in_is_paid_out(company: Company, member: Json, clock: FixedClock) -> None:
    owner = company.owner
    await top_up(owner, member, "10.00", {"amount": usd("5.00")})
    refused = await owner.post(path(member, "/withdraw"), {"amount": usd("10.01")})
    assert (refused.status_code, refused.json()["code"], refused.json()["available"]) == (
        409, "insufficient_stored_value", usd("10.00"),
    )  # fmt: skip
    await owner.ok("POST", path(member, "/withdraw"), json={"amount": usd("4.00")})
    assert await holds(owner, member) == ("6.00", "5.00")
    found = await owner.ok("GET", path(member, "/statement?currency=USD&since=2026-03-01&until=2026-03-31"))
    assert (found["opening"], found["closing"]) == (usd("0.00"), usd("11.00"))
    assert [(one["kind"], one["count"], one["amount"]["amount"]) for one in found["movements"]] == [
        ("top_up", 1, "15.00"), ("withdraw", 1, "-4.00"),
    ]  # fmt: skip
    later = await owner.ok("GET", path(member, "/statement?currency=USD&since=2026-04-01&until=2026-04-30"))
    assert (later["opening"], later["movements"], later["closing"]) == (usd("11.00"), [], usd("11.00"))
    await adds_up(company)


async def test_a_frozen_wallet_stands_still_but_for_what_comes_back(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    order = await ordered(company, account, line("1", "30.00"))
    await pay(owner, member, order_id=order["id"])
    stop = {"currency": "USD", "reason": "card reported stolen"}
    frozen = await owner.ok("POST", path(member, "/freeze"), json=stop)
    assert (frozen["status"], frozen["reason"]) == ("frozen", "card reported stolen")
    other = await ordered(company, account, line("1", "5.00"))
    for what, body in (
        ("/pay", {"order_id": other["id"]}), ("/top-up", {"amount": usd("1.00")}),
        ("/withdraw", {"amount": usd("1.00")}), ("/freeze", stop),
    ):  # fmt: skip
        answer = await owner.post(path(member, what), body)
        assert (answer.status_code, answer.json()["code"]) == (409, "wallet_frozen"), what
    assert await holds(owner, member) == ("70.00", "0.00")
    await stepped(owner, order, "cancel")
    await react(company)
    assert await holds(owner, member) == ("100.00", "0.00")
    await owner.ok("POST", path(member, "/unfreeze"), json=stop)
    await pay(owner, member, order_id=other["id"])
    assert await holds(owner, member) == ("95.00", "0.00")


async def test_an_adjustment_beyond_the_limit_needs_approval(company: Company, member: Json) -> None:
    owner = company.owner
    rewards = f"/v1/loyalty-programmes/{member['programme_id']}/rewards"
    assert (await owner.ok("GET", rewards))["version"] == 0
    await owner.ok("PUT", rewards, if_match=0, json={"wallet_adjustment_limit": usd("20.00")})
    made = await owner.ok(
        "POST", path(member, "/adjustments"), json={"amount": usd("20.00"), "reason": "goodwill"}
    )
    assert (made["status"], made["amount"], made["points"]) == ("applied", usd("20.00"), 0)
    more = await owner.post(path(member, "/adjustments"), {"amount": usd("20.01"), "reason": "goodwill"})
    assert (more.status_code, more.json()["code"]) == (409, "adjustment_needs_approval")
    yen = {"amount": {"amount": "1", "currency": "JPY"}, "reason": "goodwill"}
    assert (await owner.post(path(member, "/adjustments"), yen)).json()["code"] == "adjustment_needs_approval"
    less = await owner.post(path(member, "/adjustments"), {"amount": usd("-20.01"), "reason": "mistake"})
    assert less.json()["code"] == "insufficient_stored_value"
    await owner.ok("POST", path(member, "/adjustments"), json={"amount": usd("-8.00"), "reason": "mistake"})
    assert await holds(owner, member) == ("12.00", "0.00")
    await adds_up(company)


async def test_another_members_order_and_another_currency_are_refused(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    await top_up(owner, member, "100.00")
    other = await make(owner, "accounts", name="Other")
    for body in ({"order_id": (await ordered(company, other))["id"]}, {"order_id": str(new_id())}):
        answer = await owner.post(path(member, "/pay"), body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_reference")
    mine = await ordered(company, account)
    euro = {"order_id": mine["id"], "amount": {"amount": "1.00", "currency": "EUR"}}
    assert (await owner.post(path(member, "/pay"), euro)).json()["errors"][0]["code"] == "other_currency"
    assert await holds(owner, member) == ("100.00", "0.00")


async def test_stored_value_is_neither_paid_nor_taken_back_by_hand(
    company: Company, account: Json, member: Json
) -> None:
    owner = company.owner
    body = {"account_id": account["id"], "amount": usd("1.00"), "method": "stored_value"}
    refused = await owner.post("/v1/payments", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "paid_from_stored_value")
    await top_up(owner, member, "100.00")
    await pay(owner, member, order_id=(await ordered(company, account))["id"])
    (payment,) = (await owner.ok("GET", "/v1/payments"))["data"]
    gone = await owner.delete(f"/v1/payments/{payment['id']}", if_match=payment["version"])
    assert (gone.status_code, gone.json()["code"]) == (409, "paid_from_stored_value")
    cash = await owner.patch(f"/v1/payments/{payment['id']}", {"method": "cash"}, if_match=payment["version"])
    assert cash.json()["code"] == "paid_from_stored_value"
    answer = await owner.post(
        f"/v1/payments/{payment['id']}/refund", {"method": "cash"}, if_match=payment["version"]
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "paid_from_stored_value")
    assert await holds(owner, member) == ("0.00", "0.00")
    assert len((await owner.ok("GET", "/v1/payments"))["data"]) == 1


async def test_a_credit_note_of_what_a_wallet_paid_goes_back_there_and_not_out_as_cash(
    company: Company, account: Json, member: Json, hire: Hire
) -> None:
    owner = company.owner
    names = (
        "account:read",
        "invoice:read",
        "invoice:update",
        "payment:read",
        "payment:create",
        "payment:assign",
    )
    role = await owner.ok("POST", "/v1/roles", json={"name": "Books", "grants": dict.fromkeys(names, "all")})
    manager = await hire(role["key"])
    await top_up(owner, member, "60.00")
    order = await ordered(company, account)
    await ship(owner, order)
    bill = await invoiced(owner, order)
    await pay(owner, member, "60.00", invoice_id=bill["id"])
    rest = await make(owner, "payments", account_id=account["id"], amount=usd("40.00"), method="cash")
    await owner.ok("POST", f"/v1/payments/{rest['id']}/allocate", if_match=rest["version"], json={})
    bill = await owner.ok("GET", f"/v1/invoices/{bill['id']}")
    note = await owner.ok(
        "POST",
        f"/v1/invoices/{bill['id']}/credit",
        if_match=bill["version"],
        json={"reason": "late", "amount": usd("70.00")},
    )
    path_of_note = f"/v1/invoices/{note['id']}"
    for body in ({"method": "cash"}, {"method": "cash", "amount": usd("10.01")}):
        refused = await manager.post(f"{path_of_note}/refund", body, if_match=note["version"])
        assert (refused.status_code, refused.json()["code"]) == (409, "paid_from_stored_value")
        assert refused.json()["left"] == usd("10.00")
    assert await owner.ok("GET", path_of_note) == note
    assert len((await owner.ok("GET", "/v1/payments"))["data"]) == 2
    cash = {"method": "cash", "amount": usd("10.00")}
    assert (await manager.post(f"{path_of_note}/refund", cash, if_match=note["version"])).status_code == 201
    paid = (await owner.ok("GET", path(member, "/transactions")))["data"][0]
    await owner.ok(
        "POST", path(member, "/refund"), json={"transaction_id": paid["id"], "amount": usd("50.00")}
    )
    assert await holds(owner, member) == ("50.00", "0.00")
    note = await owner.ok("GET", path_of_note)
    assert note["open_amount"] == usd("10.00")
    last = await manager.post(f"{path_of_note}/refund", {"method": "cash"}, if_match=note["version"])
    assert last.json()["left"] == usd("0.00")
    # Whoever may pay it out in another way, as owners may, does.
    assert (
        await owner.post(f"{path_of_note}/refund", {"method": "cash"}, if_match=note["version"])
    ).status_code == 201
    await adds_up(company)


async def test_the_database_keeps_the_ledger_of_money(company: Company, member: Json) -> None:
    await top_up(company.owner, member, "10.00")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting(company) as uow:
            await uow.fetch(
                "UPDATE membership.wallet_entries SET amount = 1 WHERE tenant_id = $1", uow.tenant_id
            )
    with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
        async with acting(company) as uow:
            await uow.fetch(
                "INSERT INTO membership.wallet_entries (tenant_id, id, transaction_id, wallet_id, account, amount)"
                " SELECT tenant_id, $2, id, wallet_id, 'principal', 5 FROM membership.wallet_transactions"
                " WHERE tenant_id = $1",
                uow.tenant_id,
                new_id(),
            )
    gone = await company.owner.delete(f"/v1/loyalty-members/{member['id']}", if_match=member["version"])
    assert (gone.status_code, gone.json()["code"]) == (409, "points_left")
    await adds_up(company)
