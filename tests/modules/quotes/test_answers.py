"""The customer's answer: one order of what was agreed, however often and by however many it is given."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import system_actor
from app.kernel.errors import NotFound
from app.kernel.links import read_link
from app.kernel.uow import transaction
from app.modules.quotes.schemas.steps import Acceptance, QuoteRefusal
from app.modules.quotes.services.answering import Answers, From
from app.modules.quotes.services.sending import LINK_PURPOSE
from tests.modules.opportunities.deals import pointers
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import again, line, lines_of, money, quote_of, refused, sent_quote, step
from tests.modules.support import actor_of, count
from tests.support.api import Client, Company


async def accept(client: Client, quote: dict[str, Any], **body: Any) -> dict[str, Any]:
    return await step(client, quote, "accept", **{"name": "Li Hua"} | body)


async def test_an_accepted_quote_is_an_order_of_what_was_agreed(owner: Client, company: Company) -> None:
    quote = await sent_quote(
        owner,
        line("33.335", "3", tax_rate="13"),
        line("20.00", discount_percent="25", discount_amount=money("0.50"), charge="monthly"),
        discount_percent="10",
        discount_amount=money("1.00"),
    )
    answer = await accept(owner, quote, job_title="Buyer", note="By phone")
    assert (answer["kind"], answer["name"], answer["job_title"], answer["note"]) == (
        "accepted", "Li Hua", "Buyer", "By phone",
    )  # fmt: skip
    assert (answer["total"], answer["member_id"]) == (quote["total"], str(company.member_id))
    order = await owner.ok("GET", f"/v1/orders/{answer['order_id']}")
    assert (order["quote_id"], order["total"], order["status"]) == (quote["id"], quote["total"], "confirmed")
    found = await again(owner, quote)
    assert (found["status"], found["accepted_total"], found["order_id"]) == (
        "accepted", quote["total"], order["id"],
    )  # fmt: skip
    assert await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer") == answer


async def test_accepting_again_gives_the_first_answer(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    first = await accept(owner, quote)
    for version in (quote["version"], (await again(owner, quote))["version"]):
        later = await owner.ok(
            "POST", f"/v1/quotes/{quote['id']}/accept", json={"name": "Somebody else"}, if_match=version
        )
        assert later == first
    assert await refused(owner, quote, "decline") == (409, "quote_not_open")
    assert await count(company, "orders.orders") == 1


async def test_two_hundred_accept_at_once_and_one_order_is_made(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    path = f"/v1/quotes/{quote['id']}/accept"
    answers = await asyncio.gather(
        *(owner.post(path, {"name": f"Buyer {n}"}, if_match=quote["version"]) for n in range(200))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await count(company, "orders.orders") == 1


async def test_accepting_and_declining_at_once_leaves_one_answer(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    path = f"/v1/quotes/{quote['id']}"
    answers = await asyncio.gather(
        *(
            owner.post(f"{path}/{action}", body, if_match=quote["version"])
            for _ in range(20)
            for action, body in (("accept", {"name": "Li Hua"}), ("decline", {"reason": "No"}))
        )
    )
    kinds = {answer.json()["kind"] for answer in answers if answer.status_code == 200}
    assert kinds == {{"accepted": "accepted", "declined": "declined"}[(await again(owner, quote))["status"]]}
    assert sum(answer.status_code == 200 for answer in answers) == 20
    assert await count(company, "orders.orders") == (1 if kinds == {"accepted"} else 0)


async def test_a_draft_cannot_be_accepted(owner: Client, company: Company) -> None:
    quote = await quote_of(owner)
    assert await refused(owner, quote, "accept", name="Li Hua") == (409, "quote_not_open")
    assert await count(company, "orders.orders") == 0


async def test_a_stale_version_accepts_nothing(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    answer = await owner.post(
        f"/v1/quotes/{quote['id']}/accept", {"name": "Li Hua"}, if_match=quote["version"] - 1
    )
    assert answer.status_code == 412
    assert await count(company, "orders.orders") == 0


async def test_chosen_optional_lines_are_bought_and_the_offer_stays_as_it_was(owner: Client) -> None:
    quote = await sent_quote(
        owner,
        line("100.00"),
        line("50.00", optional=True),
        line("10.00", component_of=1),
        line("7.00", optional=True),
        discount_percent="10",
    )
    lines = await lines_of(owner, quote)
    wrong = await owner.post(
        f"/v1/quotes/{quote['id']}/accept",
        {"name": "Li Hua", "chosen_line_ids": [lines[0]["id"], lines[2]["id"]]},
        if_match=quote["version"],
    )
    assert pointers(wrong) == [("/chosen_line_ids/0", "no_choice"), ("/chosen_line_ids/1", "no_choice")]
    answer = await accept(owner, quote, chosen_line_ids=[lines[1]["id"]])
    assert (answer["total"], answer["chosen_line_ids"]) == (money("144.00"), [lines[1]["id"]])
    found = await again(owner, quote)
    assert (found["total"], found["accepted_total"]) == (money("90.00"), money("144.00"))
    order = await owner.ok("GET", f"/v1/orders/{answer['order_id']}")
    assert (order["total"], len(order["lines"])) == (money("144.00"), 3)


async def test_signature_and_payment_are_asked_for_independently(owner: Client, company: Company) -> None:
    quote = await sent_quote(
        owner, signature_required=True, payment_required=True, prepayment_percent="33.3333"
    )
    answer = await owner.post(
        f"/v1/quotes/{quote['id']}/accept", {"name": "Li Hua"}, if_match=quote["version"]
    )
    assert pointers(answer) == [("/signature", "required"), ("/payment_reference", "required")]
    assert await count(company, "orders.orders") == 0
    done = await accept(owner, quote, signature="Li Hua", payment_reference="TT 4711")
    assert (done["prepayment"], done["signature"], done["payment_reference"]) == (
        money("33.33"), "Li Hua", "TT 4711",
    )  # fmt: skip
    whole = await accept(owner, await sent_quote(owner, payment_required=True), payment_reference="TT 1")
    assert whole["prepayment"] == money("100.00")


async def test_a_declined_quote_says_why_and_can_be_revised(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    answer = await step(owner, quote, "decline", reason="Too expensive", name="Li Hua")
    assert (answer["kind"], answer["note"], answer["total"], answer["order_id"]) == (
        "declined", "Too expensive", None, None,
    )  # fmt: skip
    found = await again(owner, quote)
    assert (found["status"], found["decline_reason"]) == ("declined", "Too expensive")
    assert await step(owner, quote, "decline", reason="Other") == answer
    assert await refused(owner, quote, "accept", name="Li Hua") == (409, "quote_not_open")
    second = await step(owner, quote, "revise")
    await step(owner, second, "send", by_mail=False)
    assert (await again(owner, quote))["status"] == "declined"
    assert await count(company, "orders.orders") == 0


async def test_what_was_accepted_is_not_offered_again(owner: Client) -> None:
    first = await sent_quote(owner)
    second = await step(owner, first, "revise")
    await accept(owner, first)
    assert await refused(owner, second, "send", by_mail=False) == (409, "quote_not_open")


# -- the customer's own link ---------------------------------------------------------------------------------


async def link_to(client: Client, quote: dict[str, Any]) -> str:
    made = await client.ok("POST", f"/v1/quotes/{quote['id']}/links", json={})
    return str(made["url"]).rpartition("/")[2]


async def by_link(company: Company, token: str, action: str, given: Any = None) -> Any:
    """Do as the public page does."""
    kernel = company.app.kernel
    assert kernel is not None
    link = read_link(kernel, token, LINK_PURPOSE)
    async with transaction(kernel, system_actor((await actor_of(company)).tenant)) as uow:
        answers = Answers(uow)
        row, quote = await answers.behind(link)
        if action == "view":
            return await answers.viewed(row)
        return await getattr(answers, action)(quote.id, given, From("203.0.113.7", row))


async def test_the_first_look_is_told_and_all_are_counted(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    token = await link_to(owner, quote)
    for _ in range(3):
        await by_link(company, token, "view")
    found = await again(owner, quote)
    assert (found["status"], found["version"]) == ("viewed", quote["version"] + 1)
    links = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert [link["views"] for link in links] == [3]


async def test_a_customer_accepts_by_the_link_once(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    token = await link_to(owner, quote)
    answers = await asyncio.gather(
        *(by_link(company, token, "accept", Acceptance(name=f"Buyer {n}")) for n in range(30))
    )
    assert len({answer.id for answer in answers}) == 1
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    assert (answer["address"], answer["member_id"]) == ("203.0.113.7", None)
    assert await count(company, "orders.orders") == 1


async def test_a_customer_declines_by_the_link(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    await by_link(company, await link_to(owner, quote), "decline", QuoteRefusal(reason="No budget"))
    assert (await again(owner, quote))["decline_reason"] == "No budget"


async def told_of(client: Client, quote: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Kind, title and text of what a member was told of a quote, in the order of it."""
    found = (await client.ok("GET", "/v1/notifications"))["data"]
    return [
        (one["kind"], one["title"], one["body"]) for one in reversed(found) if one["record_id"] == quote["id"]
    ]


async def test_what_a_customer_does_by_a_link_is_told_to_the_owner_once(
    owner: Client, company: Company, hire: Hire
) -> None:
    mate = await hire("salesperson")
    bought = await sent_quote(owner, owner_id=mate.facts["member_id"])
    lost = await sent_quote(owner, owner_id=mate.facts["member_id"])
    answers: list[tuple[dict[str, Any], str, Any]] = [
        (bought, "accept", Acceptance(name="Li Hua", note="At once")),
        (lost, "decline", QuoteRefusal(reason="No budget")),
    ]
    for quote, action, given in answers:
        token = await link_to(owner, quote)
        await by_link(company, token, "view")
        await by_link(company, token, "view")
        await by_link(company, token, action, given)
        await by_link(company, token, action, given)
    assert await told_of(mate, bought) == [
        (
            "quote.viewed",
            f"{bought['number']} rev. 1: the customer has looked at it for the first time",
            None,
        ),
        ("quote.accepted", f"{bought['number']} rev. 1: the customer has accepted", "At once"),
    ]
    assert await told_of(mate, lost) == [
        ("quote.viewed", f"{lost['number']} rev. 1: the customer has looked at it for the first time", None),
        ("quote.declined", f"{lost['number']} rev. 1: the customer has declined", "No budget"),
    ]
    assert await told_of(owner, bought) == []


async def test_what_a_member_writes_down_is_told_to_nobody(owner: Client, hire: Hire) -> None:
    mate = await hire("salesperson")
    bought = await sent_quote(owner, owner_id=mate.facts["member_id"])
    lost = await sent_quote(owner, owner_id=mate.facts["member_id"])
    await accept(owner, bought)
    await step(owner, lost, "decline", reason="No budget")
    assert await told_of(mate, bought) == []
    assert await told_of(mate, lost) == []


async def test_a_revoked_link_opens_nothing(owner: Client, company: Company) -> None:
    quote = await sent_quote(owner)
    token = await link_to(owner, quote)
    [link] = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    await owner.ok("DELETE", f"/v1/quotes/{quote['id']}/links/{link['id']}")
    with pytest.raises(NotFound):
        await by_link(company, token, "accept", Acceptance(name="Li Hua"))
    assert (await again(owner, quote))["status"] == "sent"


async def test_a_link_of_another_quote_accepts_nothing(owner: Client, company: Company) -> None:
    quote, other = await sent_quote(owner), await sent_quote(owner)
    token = await link_to(owner, other)
    kernel = company.app.kernel
    assert kernel is not None
    async with transaction(kernel, system_actor((await actor_of(company)).tenant)) as uow:
        row, _ = await Answers(uow).behind(read_link(kernel, token, LINK_PURPOSE))
        with pytest.raises(NotFound):
            await Answers(uow).accept(UUID(quote["id"]), Acceptance(name="X"), From(None, row))
    assert (await again(owner, quote))["status"] == "sent"


# -- contracts -----------------------------------------------------------------------------------------------


async def test_a_quote_may_become_a_contract(owner: Client, company: Company) -> None:
    quote = await sent_quote(
        owner,
        line("100.00", "12", charge="monthly", tax_rate="6"),
        becomes="contract",
        term_months=12,
        name="Care",
    )
    answer = await accept(owner, quote)
    assert (answer["order_id"], answer["total"]) == (None, money("1272.00"))
    contract = await owner.ok("GET", f"/v1/contracts/{answer['contract_id']}")
    assert (contract["title"], contract["value"], contract["quote_id"], contract["status"]) == (
        "Care", money("15264.00"), quote["id"], "draft",
    )  # fmt: skip
    assert (await again(owner, quote))["made_contract_id"] == contract["id"]
    path = f"/v1/quotes/{quote['id']}/accept"
    answers = await asyncio.gather(
        *(owner.post(path, {"name": "Li Hua"}, if_match=quote["version"]) for _ in range(20))
    )
    assert {one.json()["contract_id"] for one in answers} == {contract["id"]}
    assert await count(company, "contracts.contracts") == 1


@pytest.mark.parametrize(
    ("months", "value", "amounts"),
    [
        (18, "3816.60", ["530.00", "1908.00", "1378.60"]),  # 18 months, and two years of which one is begun
        (24, "4452.60", ["530.00", "2544.00", "1378.60"]),
        (25, "5247.90", ["530.00", "2650.00", "2067.90"]),
        (None, "1325.30", ["530.00", "106.00", "689.30"]),
    ],
)
async def test_a_contract_is_worth_all_that_is_charged_in_its_term(
    owner: Client, months: int | None, value: str, amounts: list[str]
) -> None:
    quote = await sent_quote(
        owner,
        line("500.00", tax_rate="6"),
        line("100.00", charge="monthly", tax_rate="6"),
        line("610.00", charge="yearly", tax_rate="13"),
        line("9.00", charge="monthly", optional=True),
        becomes="contract",
        term_months=months,
    )
    answer = await accept(owner, quote)
    assert answer["total"] == money("1325.30")
    path = f"/v1/contracts/{answer['contract_id']}"
    contract = await owner.ok("GET", path)
    assert (contract["kind"], contract["value"]) == ("subscription", money(value))
    lines = await owner.ok("GET", f"{path}/lines")
    assert [one["amount"] for one in lines["data"]] == [money(amount) for amount in amounts]
    assert lines["amount"] == money(value)


async def test_a_contract_of_what_is_paid_once_is_a_sale_at_the_total(owner: Client) -> None:
    quote = await sent_quote(
        owner,
        line("100.00", tax_rate="6"),
        line("9.00", charge="monthly", optional=True),
        becomes="contract",
        term_months=12,
    )
    contract = await owner.ok("GET", f"/v1/contracts/{(await accept(owner, quote))['contract_id']}")
    assert (contract["kind"], contract["value"]) == ("sale", money("106.00"))
