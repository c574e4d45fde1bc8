"""Invoices: drafts, numbers without gaps, and what was issued standing for good."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.modules.orders.schemas.receivables import InvoiceIssue
from app.modules.orders.services.receivables.invoices import InvoiceService
from tests.modules.orders.orders import money, pointers
from tests.modules.orders.receivables.books import act, charge, done, draft, figures, issue, issued, read
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company
from tests.tenants.people import Look

_ADD_A_LINE = """
INSERT INTO orders.invoice_lines
SELECT (jsonb_populate_record(l, jsonb_build_object('id', gen_random_uuid(), 'position', 9))).*
FROM orders.invoice_lines l WHERE invoice_id = $1"""


async def test_a_draft_adds_up_by_line_and_tax_rate(owner: Client, account: dict[str, Any]) -> None:
    made = await draft(
        owner,
        account,
        charge("33.335", "3", discount_percent="10", tax_rate="13"),
        charge("9.99", tax_rate="6"),
        reference="PO-7",
    )
    assert (made["status"], made["number"], made["issued_on"], made["due_on"]) == ("draft", None, None, None)
    assert [one["net"] for one in made["lines"]] == [money("90.00"), money("9.99")]
    assert made["taxes"] == [
        {"rate": "6", "net": money("9.99"), "tax": money("0.60")},
        {"rate": "13", "net": money("90.00"), "tax": money("11.70")},
    ]
    assert (made["net"], made["tax"], made["total"]) == (money("99.99"), money("12.30"), money("112.29"))
    assert made["open_amount"] == money("112.29")
    assert (await read(owner, made))["lines"] == made["lines"]


async def test_prices_may_include_tax(owner: Client, account: dict[str, Any]) -> None:
    made = await draft(owner, account, charge("113.00", tax_rate="13"), tax_included=True)
    assert (made["net"], made["tax"], made["total"]) == (money("100.00"), money("13.00"), money("113.00"))


async def test_a_drafts_lines_are_replaced_whole_and_its_head_is_patched(
    owner: Client, account: dict[str, Any]
) -> None:
    made = await draft(owner, account)
    path = f"/v1/invoices/{made['id']}"
    again = await owner.ok("PUT", f"{path}/lines", json={"lines": [charge("7.00", "2")]}, if_match=1)
    assert (again["total"], again["version"], len(again["lines"])) == (money("14.00"), 2, 1)
    patched = await owner.ok("PATCH", path, json={"reference": "PO-1", "note": "Thanks"}, if_match=2)
    assert (patched["reference"], patched["note"], patched["version"]) == ("PO-1", "Thanks", 3)


async def test_days_never_run_backwards_in_a_series(owner: Client, account: dict[str, Any]) -> None:
    first = await issued(owner, account, on="2026-03-02")
    made = await draft(owner, account)
    refused = await act(owner, made, "issue", {"issued_on": "2026-03-01"})
    assert (refused.status_code, refused.json()["code"]) == (409, "issued_out_of_order")
    assert refused.json()["earliest_on"] == "2026-03-02"
    assert await read(owner, made) == made
    second = await issue(owner, made, "2026-03-02")
    numbers = [int(one["number"].rpartition("-")[2]) for one in (first, second)]
    assert numbers == [1, 2]
    # Credit notes are a series of their own.
    note = await done(owner, second, "credit", {"reason": "late"})
    assert note["number"].endswith("-00001")
    assert (await issued(owner, account, on="2026-03-02"))["number"].endswith("-00003")


async def test_days_run_on_with_numbers_whoever_issues_at_once(
    owner: Client, account: dict[str, Any]
) -> None:
    drafts = await asyncio.gather(*[draft(owner, account) for _ in range(100)])
    answers = await asyncio.gather(
        *[
            owner.post(
                f"/v1/invoices/{one['id']}/issue", {"issued_on": f"2026-01-{1 + at % 28:02}"}, if_match=1
            )
            for at, one in enumerate(reversed(drafts))
        ]
    )
    done_ = sorted(
        (one.json()["number"], one.json()["issued_on"]) for one in answers if one.status_code == 200
    )
    assert {one.status_code for one in answers} == {200, 409}
    assert [day for _, day in done_] == sorted(day for _, day in done_)
    assert [int(number[-5:]) for number, _ in done_] == list(range(1, len(done_) + 1))


async def test_issuing_takes_the_account_s_terms_and_the_next_number(owner: Client) -> None:
    account = await make(owner, "accounts", name="Late Ltd", payment_terms_days=30)
    first, second = [await issued(owner, account) for _ in range(2)]
    assert first["number"].endswith("-00001")
    assert second["number"].endswith("-00002")
    assert (first["status"], first["customer_name"], first["version"]) == ("open", "Late Ltd", 2)
    due = date.fromisoformat(first["issued_on"]) + timedelta(days=30)
    assert first["due_on"] == due.isoformat()
    assert figures(first) == ("open", "100.00", "0.00", "0.00", "100.00")


async def test_what_was_issued_is_not_changed_voided_or_deleted(
    owner: Client, account: dict[str, Any], look: Look, company: Company
) -> None:
    made = await issued(owner, account)
    path = f"/v1/invoices/{made['id']}"
    for answer in (
        await owner.patch(path, {"reference": "other"}, if_match=2),
        await owner.put(f"{path}/lines", {"lines": [charge("1.00")]}, if_match=2),
        await owner.delete(path, if_match=2),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "invoice_not_draft")
    assert (await act(owner, made, "void")).json()["code"] == "invalid_transition"
    assert (await act(owner, made, "issue")).json()["code"] == "invalid_transition"
    assert await read(owner, made) == made
    tagged = await owner.ok("PATCH", path, json={"tags": ["key"]}, if_match=2)
    assert (tagged["tags"], tagged["version"]) == (["key"], 3)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders.invoices SET total = total + 1, net = net + 1, open_amount = open_amount + 1 WHERE id = $1",
        "UPDATE orders.invoices SET number = 'X' WHERE id = $1",
        "UPDATE orders.invoices SET status = 'draft', number = NULL, issued_on = NULL WHERE id = $1",
        "UPDATE orders.invoices SET customer_name = 'Somebody' WHERE id = $1",
        "DELETE FROM orders.invoices WHERE id = $1",
        "UPDATE orders.invoice_lines SET description = 'Other' WHERE invoice_id = $1",
        "DELETE FROM orders.invoice_lines WHERE invoice_id = $1",
        _ADD_A_LINE,
    ],
)
async def test_the_database_itself_keeps_what_was_issued(
    statement: str, owner: Client, account: dict[str, Any], look: Look
) -> None:
    made = await issued(owner, account)
    with pytest.raises(asyncpg.RestrictViolationError):
        await look.connection.execute(statement, UUID(made["id"]))
    assert await read(owner, made) == made


async def test_a_voided_draft_stays_and_a_deleted_one_goes(owner: Client, account: dict[str, Any]) -> None:
    first, second = await draft(owner, account), await draft(owner, account)
    voided = await done(owner, first, "void")
    assert (voided["status"], voided["number"]) == ("void", None)
    assert (await act(owner, first, "issue")).status_code == 409
    assert (await owner.delete(f"/v1/invoices/{second['id']}", if_match=1)).status_code == 204
    assert (await owner.get(f"/v1/invoices/{second['id']}")).status_code == 404


async def test_a_free_invoice_is_paid_as_soon_as_it_is_issued(owner: Client, account: dict[str, Any]) -> None:
    made = await issued(owner, account, charge("0.00"))
    assert figures(made) == ("paid", "0.00", "0.00", "0.00", "0.00")


async def test_an_invoice_is_not_issued_ahead_of_time_or_due_before_it_is_issued(
    owner: Client, account: dict[str, Any]
) -> None:
    made = await draft(owner, account, due_on="2020-01-01")
    ahead = await owner.post(f"/v1/invoices/{made['id']}/issue", {"issued_on": "2999-01-01"}, if_match=1)
    assert pointers(ahead) == [("/issued_on", "in_the_future")]
    late = await owner.post(f"/v1/invoices/{made['id']}/issue", {"issued_on": "2020-01-02"}, if_match=1)
    assert pointers(late) == [("/issued_on", "after_due")]
    assert (await read(owner, made))["status"] == "draft"


async def test_what_cannot_be_invoiced_is_refused_and_nothing_is_written(
    owner: Client, account: dict[str, Any], company: Company
) -> None:
    body = {"account_id": account["id"], "lines": [charge(), charge(currency="EUR")]}
    assert pointers(await owner.post("/v1/invoices", body)) == [("/lines", "one_currency")]
    body["lines"] = [charge("-1.00")]
    assert pointers(await owner.post("/v1/invoices", body)) == [("/lines", "negative_price")]
    body["lines"] = [charge("99999999999", "9999999999")]
    assert pointers(await owner.post("/v1/invoices", body)) == [("/lines", "amount_out_of_range")]
    body["lines"] = [charge(), charge(product_id=account["id"])]
    assert pointers(await owner.post("/v1/invoices", body)) == [("/lines/1/product_id", "unknown_reference")]
    body |= {"lines": [charge()], "account_id": "0198c0de-0000-7000-8000-000000000000"}
    assert pointers(await owner.post("/v1/invoices", body)) == [("/account_id", "unknown_reference")]
    assert await count(company, "orders.invoices") == 0


async def test_a_salesperson_drafts_but_does_not_issue(
    owner: Client, account: dict[str, Any], hire: Any
) -> None:
    seller = await hire("salesperson")
    mine = await make(seller, "accounts", name="Mine")
    made = await draft(seller, mine)
    refused = await seller.post(f"/v1/invoices/{made['id']}/issue", if_match=1)
    assert (refused.status_code, refused.json()["permission"]) == (403, "invoice:issue")
    assert (await read(owner, made))["status"] == "draft"
    assert (await issue(owner, made))["status"] == "open"


async def test_numbers_have_no_gap_and_no_twin_whatever_is_issued_at_once_or_given_up(
    owner: Client, account: dict[str, Any], company: Company
) -> None:
    drafts = await asyncio.gather(*[draft(owner, account) for _ in range(240)])

    async def give_up(one: dict[str, Any]) -> None:
        with suppress(ZeroDivisionError):
            async with acting(company) as uow:
                service = InvoiceService(uow)
                await service.issue(UUID(one["id"]), InvoiceIssue(), expected_version=1)
                raise ZeroDivisionError

    kept, given_up = drafts[:200], drafts[200:]
    await asyncio.gather(
        *[issue(owner, one) for one in kept[:100]],
        *[give_up(one) for one in given_up],
        *[issue(owner, one) for one in kept[100:]],
    )
    found = [(await read(owner, one))["number"] for one in kept]
    year = found[0].split("-")[1]
    assert sorted(found) == [f"INV-{year}-{number:05d}" for number in range(1, 201)]
    assert {(await read(owner, one))["status"] for one in given_up} == {"draft"}


async def test_an_upsert_writes_a_draft_anew_and_nothing_that_was_issued(
    owner: Client, account: dict[str, Any]
) -> None:
    made = await draft(owner, account, external_id="I-1")
    record = {
        "account_id": account["id"],
        "external_id": "I-1",
        "lines": [charge("7.00")],
        "tax_included": True,
    }
    body = {"items": [{"key": "external_id", "record": record}]}

    async def upsert() -> dict[str, Any]:
        found = await owner.ok("POST", "/v1/invoices/batch/upsert", json=body)
        return dict(found["results"][0])

    assert (await upsert())["id"] == made["id"]
    now = await read(owner, made)
    assert (now["total"], now["tax_included"], len(now["lines"])) == (money("7.00"), True, 1)
    now = await issue(owner, now)
    assert (await upsert())["error"]["code"] == "invoice_not_draft"
    assert await read(owner, made) == now
