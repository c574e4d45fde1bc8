"""Lead to cash raced: whatever happens at once, nobody sells, ships, pays or decides twice."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.money_checks import differences_of
from app.main import Application
from tests.modules.contracts import deals
from tests.modules.orders import orders as sales
from tests.modules.orders.receivables import books
from tests.modules.quotes.offers import again, money, quote_of, sent_quote, step
from tests.modules.quotes.pages import Customer, link_of
from tests.modules.quotes.test_approval import asks_above
from tests.modules.support import acting, make

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def fresh_limits(app: Application) -> None:
    assert app.kernel is not None
    app.kernel.limiter._attempts.clear()


@pytest.fixture
async def account(owner) -> Json:
    return await make(owner, "accounts", name="Acme")


async def reconciled(company) -> bool:
    async with acting(company) as uow:
        return await differences_of(uow) == []


async def test_of_a_quote_and_its_next_revision_one_is_sold(app, company, owner):
    for _ in range(6):
        quote = await sent_quote(owner)
        customer = Customer(app, await link_of(owner, quote))
        await customer.look()
        following = await step(owner, quote, "revise")
        version = (await again(owner, quote))["version"]
        said = {"name": "Li Hua"}
        path = f"/v1/quotes/{quote['id']}"
        answers = await asyncio.gather(
            *(owner.post(f"{path}/accept", said, if_match=version) for _ in range(3)),
            customer.accept(),
            owner.post(f"/v1/quotes/{following['id']}/send", {"by_mail": False}, if_match=1),
            customer.decline(),
            owner.post(f"{path}/decline", {}, if_match=version),
        )
        assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
        first, second = await again(owner, quote), await again(owner, following)
        sold = (await owner.ok("GET", f"/v1/orders?quote_id={quote['id']}"))["data"]
        if first["status"] == "accepted":
            assert (len(sold), second["status"] in ("draft", "approved")) == (1, True)
            assert first["order_id"] == sold[0]["id"]
        else:
            assert first["status"] in ("declined", "superseded")
            assert (sold, second["status"]) == ([], "sent")


async def test_a_request_is_approved_or_recalled_and_the_quote_agrees(company, owner, hire):
    boss = await hire("manager")
    await asks_above(company, boss, "total_discount_percent", "gt", "15")
    for _ in range(5):
        quote = await step(owner, await quote_of(owner, discount_percent="20"), "submit")
        [request] = (await boss.ok("GET", "/v1/approvals?view=waiting"))["data"]
        ask = f"/v1/approvals/{request['id']}"
        answers = await asyncio.gather(
            *(boss.post(f"{ask}/approve") for _ in range(4)),
            boss.post(f"{ask}/refuse", {"note": "no"}),
            owner.post(f"{ask}/recall", {}),
            *(
                owner.post(f"/v1/quotes/{quote['id']}/recall", {}, if_match=quote["version"])
                for _ in range(3)
            ),
        )
        assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
        after = await again(owner, quote)
        decided = (await owner.ok("GET", ask))["status"]
        steps = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/steps"))["data"]
        ended = {"approve": "approved", "refuse": "refused", "recall": "recalled"}
        assert ended[steps[2]["action"]] == decided
        assert after["status"] == ("approved" if steps[-1]["action"] == "approve" else "draft")


async def test_what_is_shipped_and_cancelled_at_once_is_what_was_ordered(company, owner, account):
    for _ in range(3):
        product = await sales.stock(owner, "20")
        order = await sales.order_of(owner, account, sales.line("20", product_id=product))
        order = await sales.stepped(owner, order, "confirm")
        path, named_line = f"/v1/orders/{order['id']}", order["lines"][0]["id"]
        some = {"lines": [{"line_id": named_line, "quantity": "3"}]}
        answers = await asyncio.gather(
            *(sales.ship(owner, order, (0, "2")) for _ in range(6)),
            *(sales.step(owner, order, "cancel-lines", some) for _ in range(6)),
            owner.post(f"{path}/cancel", {}, if_match=order["version"]),
            owner.post("/v1/invoices/from-order", {"order_id": order["id"], "what": "remaining"}),
        )
        assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
        after = await sales.again(owner, order)
        one = after["lines"][0]
        fulfilled, cancelled = Decimal(one["fulfilled"]), Decimal(one["cancelled"])
        assert fulfilled + cancelled <= 20
        left = Decimal(0) if after["status"] == "cancelled" else 20 - fulfilled - cancelled
        on_hand, reserved = await sales.level(owner, product)
        assert (Decimal(on_hand), Decimal(reserved)) == (20 - fulfilled, left)
        assert after["status"] != "cancelled" or fulfilled == 0
    assert await reconciled(company)


async def test_an_invoice_paid_credited_and_unpaid_at_once_adds_up(company, owner, account):
    for _ in range(3):
        invoice = await books.issued(owner, account, books.charge("100.00"))
        payment = await books.pay(owner, account, "100.00")
        other = await books.pay(owner, account, "60.00")
        credit = {"reason": "late", "amount": money("30.00")}
        answers = await asyncio.gather(
            *(books.act(owner, payment, "allocate", {}) for _ in range(3)),
            *(books.act(owner, other, "allocate", {}) for _ in range(3)),
            *(books.act(owner, invoice, "credit", credit) for _ in range(4)),
            *(books.act(owner, payment, "deallocate", {}) for _ in range(2)),
            *(books.act(owner, other, "refund", {"method": "cash"}) for _ in range(2)),
        )
        assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
        now = await books.read(owner, invoice)
        paid, credited, left = (Decimal(now[n]["amount"]) for n in ("paid", "credited", "open_amount"))
        assert credited <= 100
        assert left >= 0
        assert paid + min(credited, 100 - paid) + left == 100
        assert await reconciled(company)


async def test_orders_never_draw_more_than_an_amended_contract_has(company, owner, account):
    contract = await deals.signed(owner, account_id=account["id"])  # over 1,200.00
    drafts = [
        await sales.order_of(owner, account, sales.line("1", "100"), contract_id=contract["id"])
        for _ in range(14)
    ]
    change = {"title": "Less", "changes": {"value": money("500.00")}}
    path = f"/v1/contracts/{contract['id']}/amendments"
    amendment = await owner.ok("POST", path, json=change)
    submit = f"{path}/{amendment['id']}/submit"
    answers = await asyncio.gather(
        *(owner.post(f"/v1/orders/{one['id']}/confirm", if_match=1) for one in drafts),
        owner.post(submit, if_match=amendment["version"]),
        *(owner.post(f"/v1/orders/{one['id']}/cancel", {}, if_match=2) for one in drafts[:4]),
    )
    assert all(answer.status_code < 500 for answer in answers), [a.text for a in answers]
    assert answers[14].status_code in (200, 409), answers[14].text
    after = await deals.again(owner, contract)
    open_orders = (await owner.ok("GET", f"/v1/orders?contract_id={contract['id']}&status=confirmed"))["data"]
    assert Decimal(after["drawn"]["amount"]) == 100 * len(open_orders) <= Decimal(after["value"]["amount"])
