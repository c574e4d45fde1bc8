"""What returned goods were invoiced at is credited, exactly, and paid back where that is wanted."""

from __future__ import annotations

from typing import Any

from app.kernel.money_checks import differences_of
from tests.modules.orders.orders import line, money
from tests.modules.orders.receivables.books import done, from_order, issue, pay
from tests.modules.orders.test_returns import ARRIVED, act, back, delivered, go
from tests.modules.support import acting
from tests.support.api import Client, Company

Json = dict[str, Any]


async def returned(owner: Client, order: Json, *lines: tuple[int, str], **how: Any) -> Json:
    made = await owner.ok("POST", "/v1/returns", json=back(order, *lines))
    await go(owner, made, *ARRIVED)
    answer = await act(owner, made, "refund", how or None)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


async def notes(owner: Client, order: Json) -> list[Json]:
    path = f"/v1/invoices?order_id={order['id']}&kind=credit_note&sort=created_at"
    return list((await owner.ok("GET", path))["data"])


async def test_a_refund_credits_the_invoice_and_pays_back_what_was_paid(
    owner: Client, account: Json, company: Company
) -> None:
    order = await delivered(owner, account, line("3", "33.335", tax_rate="19"), line("1", "5.00"))
    invoice = await issue(owner, await from_order(owner, order))
    await done(owner, await pay(owner, account, invoice["total"]["amount"]), "allocate")
    one = await returned(owner, order, (0, "1"), method="bank_transfer")
    (note,) = await notes(owner, order)
    assert (note["total"], note["status"], note["open_amount"]) == (one["total"], "paid", money("0.00"))
    assert note["reason"] == f"{one['number']}: does not fit"
    paid_back = (await owner.ok("GET", "/v1/payments?kind=refund"))["data"]
    assert [(x["amount"], x["method"]) for x in paid_back] == [(one["total"], "bank_transfer")]
    await returned(owner, order, (0, "2"), (1, "1"))
    both = await notes(owner, order)
    assert sum(int(x["total"]["amount"].replace(".", "")) for x in both) == int(
        invoice["total"]["amount"].replace(".", "")
    )
    assert both[1]["open_amount"] == both[1]["total"]
    standing = await owner.ok("GET", f"/v1/orders/{order['id']}/receivables")
    assert (standing["invoiced"], standing["paid"], standing["open"]) == (money("0.00"),) * 3
    none = await owner.post("/v1/invoices/from-order", {"order_id": order["id"]})
    assert (none.status_code, none.json()["code"]) == (409, "nothing_to_invoice")
    async with acting(company) as uow:
        assert await differences_of(uow) == []


async def test_what_was_returned_is_not_to_be_invoiced(owner: Client, account: Json) -> None:
    order = await delivered(owner, account, line("2", "50.00"), line("3", "3.33", tax_rate="19"))
    invoice = await issue(owner, await from_order(owner, order))
    await done(owner, await pay(owner, account, invoice["total"]["amount"]), "allocate")
    path = f"/v1/orders/{order['id']}/receivables"
    before = await owner.ok("GET", path)
    assert (before["to_invoice"], before["payment_status"]) == (money("0.00"), "paid")
    await returned(owner, order, (0, "1"), (1, "1"), method="bank_transfer")
    now = await owner.ok("GET", path)
    assert (now["to_invoice"], now["open"], now["payment_status"]) == (money("0.00"), money("0.00"), "paid")
    assert (now["invoiced"], now["paid"]) == (money("57.93"), money("57.93"))
    none = await owner.post("/v1/invoices/from-order", {"order_id": order["id"]})
    assert (none.status_code, none.json()["code"]) == (409, "nothing_to_invoice")
    stands = await owner.ok("GET", f"/v1/receivables/credit?account_id={account['id']}")
    assert (stands["open_orders"], stands["exposure"]) == (money("0.00"), money("0.00"))


async def test_what_is_to_be_invoiced_is_what_an_invoice_takes(owner: Client, account: Json) -> None:
    order = await delivered(owner, account, line("7", "3.33", tax_rate="19"))
    await issue(owner, await from_order(owner, order, percent="30"))
    await returned(owner, order, (0, "2"))
    path = f"/v1/orders/{order['id']}/receivables"
    left = (await owner.ok("GET", path))["to_invoice"]
    stands = await owner.ok("GET", f"/v1/receivables/credit?account_id={account['id']}")
    assert stands["open_orders"] == left
    assert (await from_order(owner, order))["total"] == left
    assert (await owner.ok("GET", path))["to_invoice"] == money("0.00")


async def test_what_was_not_invoiced_is_not_credited_and_not_invoiced_any_more(
    owner: Client, account: Json
) -> None:
    order = await delivered(owner, account, line("10", "1.00"))
    first = await issue(owner, await from_order(owner, order, percent="30"))
    await returned(owner, order, (0, "4"))
    (note,) = await notes(owner, order)
    assert (note["total"], note["corrects_id"]) == (money("3.00"), first["id"])
    rest = await from_order(owner, order)
    assert rest["total"] == money("6.00")


async def test_a_return_over_two_invoices_credits_both(owner: Client, account: Json) -> None:
    order = await delivered(owner, account, line("3", "3.33", tax_rate="19"))
    one = order["lines"][0]["id"]
    for quantity in ("2", "1"):
        await issue(
            owner, await from_order(owner, order, lines=[{"order_line_id": one, "quantity": quantity}])
        )
    await returned(owner, order, (0, "3"))
    found = await notes(owner, order)
    assert sum(int(x["total"]["amount"].replace(".", "")) for x in found) == 1189
    assert order["total"] == money("11.89")
    assert {x["status"] for x in found} == {"paid"}


async def test_who_may_not_pay_does_not_pay_back(owner: Client, account: Json, hire: Any) -> None:
    order = await delivered(owner, account, line("1", "5.00"))
    await issue(owner, await from_order(owner, order))
    made = await owner.ok("POST", "/v1/returns", json=back(order, (0, "1")))
    now = await go(owner, made, *ARRIVED)
    seller = await hire("salesperson")
    await owner.ok(
        "POST", "/v1/returns/transfer", json={"ids": [made["id"]], "owner_id": seller.facts["member_id"]}
    )
    version = (await owner.ok("GET", f"/v1/returns/{made['id']}"))["version"]
    path = f"/v1/returns/{made['id']}/refund"
    refused = await seller.post(path, {"method": "cash"}, if_match=version)
    assert (refused.status_code, refused.json()["permission"]) == (403, "payment:create")
    assert await notes(owner, order) == []
    assert now["status"] == "inspected"
