"""Credit by approval: an order beyond the limit is confirmed once somebody has answered for it, and never silently."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.automation.toys import named
from tests.modules.automation.toys import step as step_of
from tests.modules.orders.orders import again, level, line, money, order_of, product, step, stepped, stock
from tests.modules.orders.receivables.test_credit import credit, limited, mode
from tests.modules.quotes.offers import line as offered
from tests.modules.quotes.offers import sent_quote
from tests.modules.quotes.offers import step as quote_step
from tests.modules.quotes.pages import rows_in
from tests.support.api import Client, Company

Json = dict[str, Any]
CREDIT = ("held_for", "credit_requested", "credit_approved")


async def asks(owner: Client, boss: Client, above: str = "100.00") -> None:
    """From here on `boss` answers for orders beyond a limit, those above a total."""
    await mode(owner, "approval")
    body = {
        "name_en": "Credit",
        "object": "order",
        "condition": {"or": [{"and": [{"field": "total", "op": "gt", "value": above}]}]},
        "steps": [step_of("boss", named(boss))],
    }
    await owner.ok("POST", "/v1/approval-processes", json=body)


async def pending(boss: Client) -> list[Json]:
    found: list[Json] = (await boss.ok("GET", "/v1/approvals?status=pending"))["data"]
    return found


async def answered(boss: Client, verdict: str, **body: Any) -> None:
    [request] = await pending(boss)
    await boss.ok("POST", f"/v1/approvals/{request['id']}/{verdict}", json=body)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def standing(order: Json) -> tuple[Any, ...]:
    return (order["status"], *(order[name] for name in CREDIT))


async def accepted(owner: Client, account: Json, *lines: Json) -> Json:
    """The order of a quote that the customer accepted."""
    quote = await sent_quote(owner, *lines, account_id=account["id"])
    answer = await quote_step(owner, quote, "accept", name="Li Hua")
    order: Json = await owner.ok("GET", f"/v1/orders/{answer['order_id']}")
    return order


async def test_an_order_beyond_the_limit_is_confirmed_by_its_approval(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner, "100.00")
    order = await order_of(owner, account, line("1", "100.01"))
    assert code(await step(owner, order, "confirm")) == (409, "credit_refused")
    assert await again(owner, order) == order
    asked = await stepped(owner, order, "request-approval", {"note": "They always pay"})
    assert standing(asked) == ("draft", None, money("100.01"), None)
    [request] = await pending(boss)
    assert (request["label"], request["object"]) == (f"{order['number']} · Limited", "order")
    assert code(await step(owner, order, "request-approval")) == (409, "approval_pending")
    assert code(await step(owner, order, "confirm")) == (409, "credit_refused")
    assert await again(owner, order) == asked
    await answered(boss, "approve")
    assert standing(await again(owner, order)) == ("confirmed", None, None, money("100.01"))
    assert (await credit(owner, account))["exposure"] == money("100.01")


async def test_what_is_being_approved_does_not_change(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    order = await order_of(owner, await limited(owner), line("1", "150.00"))
    asked = await stepped(owner, order, "request-approval")
    for change in ({"lines": [line("1", "9000.00")]}, {"discount_percent": "1"}):
        refused = await owner.patch(f"/v1/orders/{order['id']}", change, if_match=asked["version"])
        assert code(refused) == (409, "approval_pending")
    assert await again(owner, order) == asked


async def test_refused_or_recalled_it_stays_a_draft(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner)
    order = await order_of(owner, account, line("1", "150.00"))
    await stepped(owner, order, "request-approval")
    await answered(boss, "refuse", note="Too much")
    assert standing(await again(owner, order)) == ("draft", None, None, None)
    told = (await owner.ok("GET", "/v1/notifications"))["data"]
    assert [one["title"] for one in told if one["kind"] == "approval.decided"] == [
        f"Refused: {order['number']} · Limited"
    ]
    assert code(await step(owner, order, "confirm")) == (409, "credit_refused")
    await stepped(owner, order, "request-approval")
    [request] = await pending(boss)
    await owner.ok("POST", f"/v1/approvals/{request['id']}/recall", json={})
    assert standing(await again(owner, order)) == ("draft", None, None, None)
    assert (await credit(owner, account))["exposure"] == money("0.00")


async def test_where_no_process_asks_it_is_refused(owner: Client, hire: Any) -> None:
    await asks(owner, await hire("manager"), above="1000.00")
    account = await limited(owner)
    order = await order_of(owner, account, line("1", "150.00"))
    before = await again(owner, order)
    refused = await step(owner, order, "request-approval")
    assert code(refused) == (409, "credit_refused")
    assert [refused.json()[name] for name in ("limit", "exposure", "amount")] == [
        money("100.00"), money("0.00"), money("150.00"),
    ]  # fmt: skip
    assert code(await step(owner, order, "confirm")) == (409, "credit_refused")
    assert await again(owner, order) == before
    assert standing(await accepted(owner, account, offered("150.00"))) == ("draft", "credit", None, None)


async def test_nothing_is_asked_where_nothing_keeps_the_order(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    account = await limited(owner)
    beyond = await order_of(owner, account, line("1", "150.00"))
    assert code(await step(owner, beyond, "request-approval")) == (409, "approval_not_needed")  # it blocks
    await asks(owner, boss, above="0.00")
    fits = await order_of(owner, account, line("1", "100.00"))
    empty = await order_of(owner, account)
    assert code(await step(owner, fits, "request-approval")) == (409, "approval_not_needed")
    assert code(await step(owner, empty, "request-approval")) == (409, "order_empty")
    done = await stepped(owner, fits, "confirm")
    assert code(await step(owner, done, "request-approval")) == (409, "invalid_transition")
    stale = await owner.post(f"/v1/orders/{beyond['id']}/request-approval", if_match=9)
    assert stale.status_code == 412
    viewer = await hire("viewer")
    denied = await viewer.post(f"/v1/orders/{beyond['id']}/request-approval", if_match=1)
    assert denied.status_code == 403
    assert await again(owner, beyond) == beyond
    assert await pending(boss) == []


async def test_without_an_approver_it_says_so_and_an_acceptance_holds(
    owner: Client, company: Company
) -> None:
    await asks(owner, owner)  # who asks for it, and may not approve it
    account = await limited(owner)
    order = await order_of(owner, account, line("1", "150.00"))
    assert code(await step(owner, order, "request-approval")) == (409, "no_approver")
    assert await again(owner, order) == order
    assert standing(await accepted(owner, account, offered("150.00"))) == ("draft", "credit", None, None)
    assert await rows_in(company, "automation.approvals") == 0


async def test_an_accepted_quote_asks_by_itself_and_is_confirmed_by_the_answer(
    owner: Client, hire: Any
) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner)
    goods = await stock(owner, "1")
    order = await accepted(owner, account, offered("150.00", product_id=goods))
    assert standing(order) == ("draft", "credit", money("150.00"), None)
    assert await level(owner, goods) == ("1", "0")
    await answered(boss, "approve")
    assert standing(await again(owner, order)) == ("confirmed", None, None, money("150.00"))
    assert await level(owner, goods) == ("1", "1")


async def test_a_refused_one_stays_held(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    order = await accepted(owner, await limited(owner), offered("150.00"))
    await answered(boss, "refuse", note="Too much")
    assert standing(await again(owner, order)) == ("draft", "credit", None, None)


async def test_approved_but_out_of_stock_it_is_held_for_that_and_approved_once(
    owner: Client, hire: Any
) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    goods = (await product(owner))["id"]
    order = await accepted(owner, await limited(owner), offered("150.00", product_id=goods))
    assert order["held_for"] == "credit"
    await answered(boss, "approve")
    assert standing(await again(owner, order)) == ("draft", "stock", None, money("150.00"))
    await stock(owner, "1", goods)
    assert standing(await stepped(owner, order, "confirm")) == ("confirmed", None, None, money("150.00"))


async def test_an_approval_covers_less_and_never_more(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    goods = (await product(owner))["id"]
    other = await limited(owner)
    order = await order_of(owner, await limited(owner), line("1", "150.00", product_id=goods))
    await stepped(owner, order, "request-approval")
    await answered(boss, "approve")  # and there is none in stock

    async def changed(**fields: Any) -> Json:
        version = (await again(owner, order))["version"]
        path = f"/v1/orders/{order['id']}"
        found: Json = await owner.ok("PATCH", path, json=fields, if_match=version)
        return found

    assert (await changed(lines=[line("1", "149.00")]))["credit_approved"] == money("150.00")
    assert (await changed(lines=[line("1", "150.01")]))["credit_approved"] is None
    await changed(lines=[line("1", "150.00")])
    assert code(await step(owner, order, "confirm")) == (409, "credit_refused")
    await stepped(owner, order, "request-approval")  # the same total once more
    await answered(boss, "approve")
    assert standing(await again(owner, order)) == ("confirmed", None, None, money("150.00"))
    moved = await order_of(owner, await limited(owner), line("1", "150.00", product_id=goods))
    await stepped(owner, moved, "request-approval")
    await answered(boss, "approve")
    order = moved
    assert (await again(owner, moved))["held_for"] == "stock"
    assert (await changed(account_id=other["id"]))["credit_approved"] is None


async def test_two_at_once_on_one_limit_one_goes_and_one_is_asked_for(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss, above="0.00")
    account = await limited(owner, "100.00")
    quotes = [await sent_quote(owner, offered("60.00"), account_id=account["id"]) for _ in range(2)]
    answers = await asyncio.gather(
        *(
            owner.post(f"/v1/quotes/{one['id']}/accept", {"name": "Li"}, if_match=one["version"])
            for one in quotes
        )
    )
    assert {one.status_code for one in answers} == {200}
    orders = (await owner.ok("GET", f"/v1/orders?account_id={account['id']}"))["data"]
    assert sorted(map(str, map(standing, orders))) == sorted(
        map(str, [("confirmed", None, None, None), ("draft", "credit", money("60.00"), None)])
    )
    assert (await credit(owner, account))["exposure"] == money("60.00")
    await answered(boss, "approve")
    assert (await credit(owner, account))["exposure"] == money("120.00")


async def test_many_ask_at_once_and_answers_meet_changes(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner)
    order = await order_of(owner, account, line("1", "150.00"))
    path = f"/v1/orders/{order['id']}"
    answers = await asyncio.gather(
        *(owner.post(f"{path}/request-approval", if_match=order["version"]) for _ in range(30))
    )
    assert sorted(one.status_code for one in answers) == [200] + [412] * 29
    [request] = await pending(boss)
    version = (await again(owner, order))["version"]
    raised = {"lines": [line("1", "9999.00")]}
    results = await asyncio.gather(
        *(owner.patch(path, raised, if_match=version) for _ in range(10)),
        boss.post(f"/v1/approvals/{request['id']}/approve", {}),
        *(owner.patch(path, raised, if_match=version) for _ in range(10)),
    )
    assert [one.status_code for one in results].count(200) == 1  # the answer
    assert standing(await again(owner, order)) == ("confirmed", None, None, money("150.00"))
    assert (await credit(owner, account))["exposure"] == money("150.00")


async def ended(boss: Client, order: Json) -> list[str]:
    """How the requests for an order stand; nobody waits for an answer."""
    assert await pending(boss) == []
    assert (await boss.ok("GET", "/v1/to-dos?kind=approval"))["data"] == []
    found = (await boss.ok("GET", "/v1/approvals"))["data"]
    return [one["status"] for one in found if one["record_id"] == order["id"]]


async def test_a_cancelled_order_waits_for_nobody(owner: Client, hire: Any) -> None:
    boss, mate = await hire("manager"), await hire("admin")
    await asks(owner, boss)
    order = await order_of(owner, await limited(owner), line("1", "150.00"))
    asked = await stepped(owner, order, "request-approval")
    refused = await owner.delete(f"/v1/orders/{order['id']}", if_match=asked["version"])
    assert code(refused) == (409, "approval_pending")
    assert await again(owner, order) == asked
    cancelled = await stepped(mate, order, "cancel", {"reason": "Changed their mind"})
    assert standing(cancelled) == ("cancelled", None, None, None)
    assert await ended(boss, order) == ["recalled"]
    assert await again(owner, order) == cancelled


async def test_an_order_that_fits_meanwhile_waits_for_nobody(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner)
    order = await order_of(owner, account, line("1", "150.00"))
    await stepped(owner, order, "request-approval")
    account = await owner.ok("GET", f"/v1/accounts/{account['id']}")
    more = {"credit_limit": money("1000.00")}
    await owner.ok("PATCH", f"/v1/accounts/{account['id']}", json=more, if_match=account["version"])
    assert standing(await stepped(owner, order, "confirm")) == ("confirmed", None, None, None)
    assert await ended(boss, order) == ["recalled"]
    assert (await again(owner, order))["status"] == "confirmed"


async def test_a_request_ends_once_whoever_is_first(owner: Client, hire: Any) -> None:
    boss = await hire("manager")
    await asks(owner, boss)
    account = await limited(owner)
    for _ in range(5):
        order = await order_of(owner, account, line("1", "150.00"))
        asked = await stepped(owner, order, "request-approval")
        [request] = await pending(boss)
        await asyncio.gather(
            owner.post(f"/v1/orders/{order['id']}/cancel", {}, if_match=asked["version"]),
            boss.post(f"/v1/approvals/{request['id']}/approve", {}),
        )
        now = await again(owner, order)
        assert (now["status"], await ended(boss, order)) in (
            ("cancelled", ["recalled"]), ("confirmed", ["approved"]),
        )  # fmt: skip
        if now["status"] == "confirmed":
            await stepped(owner, order, "cancel", {})
