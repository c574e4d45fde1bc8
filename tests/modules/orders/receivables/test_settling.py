"""Payments, what they settle, taking that back, and refunds: money is neither made nor lost."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.orders.orders import money, pointers
from tests.modules.orders.receivables.books import (
    act,
    charge,
    done,
    figures,
    issued,
    pay,
    read,
    shares,
)
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company


async def allocations(owner: Client, record: dict[str, Any]) -> list[dict[str, Any]]:
    plural = "payments" if "method" in record else "invoices"
    found: dict[str, Any] = await owner.ok("GET", f"/v1/{plural}/{record['id']}/allocations")
    return found["data"]  # type: ignore[no-any-return]


async def events(company: Company, name: str) -> int:
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = $2", uow.tenant_id, name
        )
        assert row is not None
        return int(row[0])


async def test_a_payment_settles_what_is_due_first_and_keeps_what_is_over(
    owner: Client, account: dict[str, Any], company: Company
) -> None:
    later = await issued(owner, account, charge("50.00"), due_on="2999-02-01")
    first = await issued(owner, account, charge("30.00"), due_on="2999-01-01")
    paid = await pay(owner, account, "100.00", reference="TX-1", received_on="2026-01-05")
    assert (paid["kind"], paid["unallocated"], paid["received_on"]) == (
        "payment",
        money("100.00"),
        "2026-01-05",
    )
    after = await done(owner, paid, "allocate")
    assert (after["unallocated"], after["version"]) == (money("20.00"), 2)
    assert figures(await read(owner, first)) == ("paid", "30.00", "30.00", "0.00", "0.00")
    assert figures(await read(owner, later)) == ("paid", "50.00", "50.00", "0.00", "0.00")
    assert [(one["invoice_id"], one["amount"]["amount"]) for one in await allocations(owner, paid)] == [
        (first["id"], "30.00"),
        (later["id"], "50.00"),
    ]
    assert await events(company, "orders.invoice.paid.v1") == 2
    assert await events(company, "orders.payment.received.v1") == 1


async def test_too_little_leaves_the_invoice_open_for_the_next_payment(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account)
    for amount, status, left in (("40.00", "partly_paid", "60.00"), ("60.00", "paid", "0.00")):
        await done(owner, await pay(owner, account, amount), "allocate", shares((invoice, amount)))
        now = await read(owner, invoice)
        assert (now["status"], now["open_amount"]) == (status, money(left))
    assert (await read(owner, invoice))["settled_on"] is not None


async def test_more_than_there_is_is_never_allocated(owner: Client, account: dict[str, Any]) -> None:
    invoice, paid = await issued(owner, account), await pay(owner, account, "150.00")
    for amount, left in (("150.01", "150.00"), ("100.01", "100.00")):
        refused = await act(owner, paid, "allocate", shares((invoice, amount)))
        assert (refused.status_code, refused.json()["code"]) == (409, "allocation_exceeded")
        assert refused.json()["left"] == money(left)
    assert await read(owner, invoice) == invoice
    assert await read(owner, paid) == paid
    assert await allocations(owner, paid) == []


async def test_only_invoices_of_the_account_and_currency_that_stand_are_settled(
    owner: Client, account: dict[str, Any]
) -> None:
    other = await make(owner, "accounts", name="Somebody else")
    paid = await pay(owner, account, "500.00")
    foreign = await issued(owner, account, charge(currency="EUR"))
    theirs = await issued(owner, other)
    voided = await done(
        owner,
        await owner.ok("POST", "/v1/invoices", json={"account_id": account["id"], "lines": [charge()]}),
        "void",
    )
    for invoice in (foreign, theirs, voided):
        refused = await act(owner, paid, "allocate", shares((invoice, "1.00")))
        assert (refused.status_code, refused.json()["code"]) == (409, "not_allocatable")
        assert await read(owner, invoice) == invoice
    unknown = await act(owner, paid, "allocate", shares(({**foreign, "id": paid["id"]}, "1.00")))
    assert pointers(unknown) == [("/allocations/0/invoice_id", "unknown_reference")]
    assert await read(owner, paid) == paid


async def test_what_was_allocated_is_taken_back_by_an_opposite_row(
    owner: Client, account: dict[str, Any]
) -> None:
    one, two = await issued(owner, account), await issued(owner, account)
    paid = await done(owner, await pay(owner, account, "150.00"), "allocate")
    assert paid["unallocated"] == money("0.00")
    (first, second) = await allocations(owner, paid)
    paid = await done(owner, paid, "deallocate", {"allocation_ids": [first["id"]]})
    assert paid["unallocated"] == money("100.00")
    assert figures(await read(owner, one)) == ("open", "100.00", "0.00", "0.00", "100.00")
    assert [
        (x["amount"]["amount"], x["reverses_id"], x["reversed"]) for x in await allocations(owner, paid)
    ] == [
        ("100.00", None, True),
        ("50.00", None, False),
        ("-100.00", first["id"], False),
    ]
    again = await act(owner, paid, "deallocate", {"allocation_ids": [first["id"]]})
    assert pointers(again) == [("/allocation_ids/0", "unknown_reference")]
    paid = await done(owner, paid, "deallocate")
    assert (paid["unallocated"], second["invoice_id"]) == (money("150.00"), two["id"])
    assert figures(await read(owner, two)) == ("open", "100.00", "0.00", "0.00", "100.00")


async def test_a_bank_reference_is_entered_once_per_account(
    owner: Client, account: dict[str, Any], company: Company
) -> None:
    other = await make(owner, "accounts", name="Somebody else")
    await pay(owner, account, "10.00", reference="TX-9")
    await pay(owner, other, "10.00", reference="TX-9")
    body = {"account_id": account["id"], "method": "cash", "amount": money("10.00"), "reference": "TX-9"}
    answers = await asyncio.gather(*[owner.post("/v1/payments", body) for _ in range(20)])
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(409, "duplicate_value")}
    body["reference"] = "TX-10"
    answers = await asyncio.gather(*[owner.post("/v1/payments", body) for _ in range(50)])
    assert sorted(one.status_code for one in answers) == [201] + [409] * 49
    assert await count(company, "orders.payments") == 3


async def test_hundreds_of_payments_at_once_never_settle_more_than_is_open(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account, charge("100.00"))
    payments = await asyncio.gather(*[pay(owner, account, "7.00") for _ in range(200)])

    async def settle(payment: dict[str, Any]) -> int:
        answer = await owner.post(
            f"/v1/payments/{payment['id']}/allocate", shares((invoice, "7.00")), if_match=1
        )
        return int(answer.status_code)

    statuses = await asyncio.gather(*[settle(one) for one in payments])
    assert (statuses.count(200), statuses.count(409)) == (14, 186)
    assert figures(await read(owner, invoice)) == ("partly_paid", "100.00", "98.00", "0.00", "2.00")
    left = [(await read(owner, one))["unallocated"]["amount"] for one in payments]
    assert (left.count("0.00"), left.count("7.00")) == (14, 186)


async def test_one_payment_allocated_many_times_at_once_is_used_once(
    owner: Client, account: dict[str, Any]
) -> None:
    invoices = [await issued(owner, account) for _ in range(3)]
    paid = await pay(owner, account, "100.00")

    async def settle(place: int) -> int:
        body = shares((invoices[place % 3], "100.00"))
        return int((await owner.post(f"/v1/payments/{paid['id']}/allocate", body, if_match=1)).status_code)

    statuses = await asyncio.gather(*[settle(place) for place in range(100)])
    assert (statuses.count(200), statuses.count(412)) == (1, 99)
    now = [(await read(owner, one))["status"] for one in invoices]
    assert sorted(now) == ["open", "open", "paid"]


async def test_what_is_left_of_a_payment_is_paid_back(owner: Client, account: dict[str, Any]) -> None:
    invoice = await issued(owner, account)
    paid = await done(owner, await pay(owner, account, "130.00"), "allocate", shares((invoice, "100.00")))
    refused = await act(owner, paid, "refund", {"method": "cash", "amount": money("30.01")})
    assert (refused.status_code, refused.json()["left"]) == (409, money("30.00"))
    refund = await done(owner, paid, "refund", {"method": "bank_transfer", "amount": money("20.00")})
    assert (refund["kind"], refund["amount"], refund["unallocated"]) == (
        "refund",
        money("20.00"),
        money("0.00"),
    )
    assert (await read(owner, paid))["unallocated"] == money("10.00")
    refused = await act(owner, refund, "allocate")
    assert refused.json()["code"] == "not_allocatable"
    assert (await owner.delete(f"/v1/payments/{refund['id']}", if_match=1)).status_code == 204
    assert (await read(owner, paid))["unallocated"] == money("30.00")


async def test_a_payment_that_settles_something_is_not_deleted(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account)
    paid = await done(owner, await pay(owner, account, "50.00"), "allocate")
    refused = await owner.delete(f"/v1/payments/{paid['id']}", if_match=2)
    assert (refused.status_code, refused.json()["code"], refused.json()["allocated"]) == (
        409,
        "payment_allocated",
        money("50.00"),
    )
    paid = await done(owner, paid, "deallocate")
    assert (await owner.delete(f"/v1/payments/{paid['id']}", if_match=paid["version"])).status_code == 204
    assert figures(await read(owner, invoice)) == ("open", "100.00", "0.00", "0.00", "100.00")


async def test_who_paid_how_much_and_when_stays(owner: Client, account: dict[str, Any]) -> None:
    paid = await pay(owner, account, "50.00", external_id="P-1", received_on="2026-01-05")
    record = {
        "account_id": account["id"],
        "method": "cash",
        "amount": money("50.00"),
        "received_on": "2026-01-05",
        "external_id": "P-1",
    }
    path = "/v1/payments/batch/upsert"
    same = await owner.ok("POST", path, json={"items": [{"key": "external_id", "record": record}]})
    assert (same["results"][0]["id"], same["succeeded"]) == (paid["id"], 1)
    now = await read(owner, paid)
    assert now["method"] == "cash"
    record["amount"] = money("51.00")
    other = await owner.ok("POST", path, json={"items": [{"key": "external_id", "record": record}]})
    assert other["results"][0]["error"]["code"] == "payment_final"
    assert await read(owner, paid) == now


# -- credit notes --------------------------------------------------------------------------------------------


async def test_a_credit_note_takes_an_unpaid_invoice_off_whole(
    owner: Client, account: dict[str, Any], company: Company
) -> None:
    invoice = await issued(owner, account, charge("10.00", "3", tax_rate="19"), charge("1.00"))
    note = await done(owner, invoice, "credit", {"reason": "wrong customer"})
    assert (note["kind"], note["corrects_id"], note["reason"]) == (
        "credit_note",
        invoice["id"],
        "wrong customer",
    )
    assert note["number"].startswith("CN-")
    assert (note["net"], note["tax"], note["total"]) == (invoice["net"], invoice["tax"], invoice["total"])
    assert figures(note) == ("paid", "36.70", "36.70", "0.00", "0.00")
    assert figures(await read(owner, invoice)) == ("credited", "36.70", "0.00", "36.70", "0.00")
    more = await act(owner, invoice, "credit", {"reason": "again"})
    assert (more.status_code, more.json()["code"]) == (409, "nothing_to_credit")
    assert await events(company, "orders.invoice.paid.v1") == 0
    assert await events(company, "orders.invoice.issued.v1") == 2


async def test_credits_by_quantity_sum_to_the_invoice_exactly(owner: Client, account: dict[str, Any]) -> None:
    invoice = await issued(owner, account, charge("10.00", "3", discount_percent="33.3333", tax_rate="7"))
    (line,) = invoice["lines"]
    notes = [
        await done(
            owner,
            invoice,
            "credit",
            {"reason": "broken", "lines": [{"invoice_line_id": line["id"], "quantity": "1"}]},
        )
        for _ in range(3)
    ]
    assert invoice["total"] == money("21.40")
    assert [one["total"]["amount"] for one in notes] == ["7.13", "7.13", "7.14"]
    assert sum(int(one["tax"]["amount"].replace(".", "")) for one in notes) == 140
    refused = await act(
        owner,
        invoice,
        "credit",
        {"reason": "x", "lines": [{"invoice_line_id": line["id"], "quantity": "0.0001"}]},
    )
    assert (refused.status_code, refused.json()["left_quantity"]) == (409, "0")


async def test_an_amount_is_credited_over_the_lines_and_what_was_paid_stays_on_the_account(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account, charge("60.00"), charge("40.00"))
    paid = await done(owner, await pay(owner, account, "80.00"), "allocate")
    note = await done(owner, invoice, "credit", {"reason": "late", "amount": money("50.00")})
    assert [one["total"]["amount"] for one in note["lines"]] == ["30.00", "20.00"]
    assert figures(note) == ("partly_paid", "50.00", "20.00", "0.00", "30.00")
    assert figures(await read(owner, invoice)) == ("paid", "100.00", "50.00", "50.00", "0.00")
    other = await issued(owner, account, charge("12.00"))
    note = await done(owner, note, "allocate")
    assert figures(note) == ("partly_paid", "50.00", "32.00", "0.00", "18.00")
    assert (await read(owner, other))["status"] == "paid"
    refund = await done(owner, note, "refund", {"method": "cash"})
    assert refund["amount"] == money("18.00")
    assert figures(await read(owner, note)) == ("paid", "50.00", "50.00", "0.00", "0.00")
    # The payment cannot be taken back any more: what it paid beyond the invoice has been used and paid back.
    refused = await act(owner, paid, "deallocate")
    assert (refused.status_code, refused.json()["code"]) == (409, "allocation_final")
    assert figures(await read(owner, invoice)) == ("paid", "100.00", "50.00", "50.00", "0.00")


async def test_a_bounced_payment_lets_the_credit_note_take_its_place(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account)
    paid = await done(owner, await pay(owner, account, "80.00"), "allocate")
    note = await done(owner, invoice, "credit", {"reason": "late", "amount": money("40.00")})
    assert note["open_amount"] == money("20.00")
    paid = await done(owner, paid, "deallocate")
    assert paid["unallocated"] == money("80.00")
    assert figures(await read(owner, invoice)) == ("open", "100.00", "0.00", "40.00", "60.00")
    assert (await read(owner, note))["open_amount"] == money("0.00")


async def test_what_a_credit_note_settles_elsewhere_is_taken_back_but_not_its_own_invoice(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice, other = await issued(owner, account), await issued(owner, account, charge("70.00"))
    await done(owner, await pay(owner, account, "60.00"), "allocate", shares((invoice, "60.00")))
    note = await done(owner, invoice, "credit", {"reason": "all wrong"})
    note = await done(owner, note, "allocate", shares((other, "60.00")))
    own, elsewhere = await allocations(owner, note)
    refused = await act(owner, note, "deallocate", {"allocation_ids": [own["id"]]})
    assert refused.json()["code"] == "allocation_final"
    note = await done(owner, note, "deallocate")
    assert (note["open_amount"], elsewhere["amount"]) == (money("60.00"), money("60.00"))
    assert figures(await read(owner, other)) == ("open", "70.00", "0.00", "0.00", "70.00")
    assert figures(await read(owner, invoice)) == ("credited", "100.00", "0.00", "100.00", "0.00")


async def test_credit_notes_at_once_never_take_off_more_than_the_invoice(
    owner: Client, account: dict[str, Any]
) -> None:
    invoice = await issued(owner, account, charge("10.00", "10"))

    async def credit() -> int:
        while True:
            now = await read(owner, invoice)
            body = {"reason": "x", "amount": money("9.00")}
            answer = await owner.post(f"/v1/invoices/{invoice['id']}/credit", body, if_match=now["version"])
            if answer.status_code != 412:
                return int(answer.status_code)

    statuses = await asyncio.gather(*[credit() for _ in range(30)])
    assert (statuses.count(201), statuses.count(409)) == (11, 19)
    assert figures(await read(owner, invoice)) == ("open", "100.00", "0.00", "99.00", "1.00")
