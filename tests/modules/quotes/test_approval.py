"""Approval of quotes: by discount and margin, whatever way a discount is given, and never twice for the same."""

from __future__ import annotations

from typing import Any

from app.modules.automation.interface import ApprovalStatus
from tests.modules.automation.toys import named
from tests.modules.automation.toys import step as step_of
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import again, line, money, quote_of, refused, step
from tests.support.api import Client, Company

Json = dict[str, Any]


async def asks_above(company: Company, boss: Client, field: str, op: str, value: Any) -> Json:
    """A process that asks `boss` where a field of the quote says so."""
    body = {
        "name_en": "Discounts",
        "object": "quote",
        "condition": {"or": [{"and": [{"field": field, "op": op, "value": value}]}]},
        "steps": [step_of("boss", named(boss))],
    }
    made: Json = await company.owner.ok("POST", "/v1/approval-processes", json=body)
    return made


async def pending(boss: Client) -> str:
    [request] = (await boss.ok("GET", "/v1/approvals?status=pending"))["data"]
    return str(request["id"])


async def test_a_discount_above_the_limit_is_approved_before_it_is_sent(
    company: Company, owner: Client, hire: Hire
) -> None:
    boss = await hire("manager")
    await asks_above(company, boss, "total_discount_percent", "gt", "15")
    small = await step(owner, await quote_of(owner, discount_percent="15"), "submit")
    assert small["status"] == "approved"
    quote = await quote_of(owner, discount_percent="15.01")
    assert await refused(owner, quote, "send", by_mail=False) == (409, "approval_required")
    asked = await step(owner, quote, "submit", note="Large customer")
    assert asked["status"] == "in_approval"
    request = await boss.ok("GET", f"/v1/approvals/{await pending(boss)}")
    assert request["label"] == f"{quote['number']} rev. 1 · Acme"
    frozen = await owner.patch(f"/v1/quotes/{quote['id']}", {"terms": "x"}, if_match=asked["version"])
    assert (frozen.status_code, frozen.json()["code"]) == (409, "quote_immutable")
    assert await refused(owner, quote, "send", by_mail=False) == (409, "invalid_transition")
    await boss.ok("POST", f"/v1/approvals/{request['id']}/approve")
    assert (await again(owner, quote))["status"] == "approved"
    assert (await step(owner, quote, "send", by_mail=False))["status"] == "sent"


async def test_what_is_refused_is_a_draft_again(company: Company, owner: Client, hire: Hire) -> None:
    boss = await hire("manager")
    await asks_above(company, boss, "total_discount_percent", "gt", "15")
    quote = await quote_of(owner, discount_percent="20")
    await step(owner, quote, "submit")
    await boss.ok("POST", f"/v1/approvals/{await pending(boss)}/refuse", json={"note": "Too much"})
    assert (await again(owner, quote))["status"] == "draft"
    steps = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/steps"))["data"]
    assert [one["action"] for one in steps] == ["create", "submit", "refuse"]


async def test_a_pending_request_is_recalled_with_the_quote(
    company: Company, owner: Client, hire: Hire
) -> None:
    boss = await hire("manager")
    await asks_above(company, boss, "total_discount_percent", "gt", "15")
    quote = await quote_of(owner, discount_percent="20")
    await step(owner, quote, "submit")
    request = await pending(boss)
    assert (await step(owner, quote, "recall"))["status"] == "draft"
    assert (await boss.ok("GET", f"/v1/approvals/{request}"))["status"] == ApprovalStatus.RECALLED
    again_asked = await step(owner, quote, "submit")
    assert again_asked["status"] == "in_approval"


async def test_a_discount_on_a_line_or_in_its_amount_counts_alike(
    company: Company, owner: Client, hire: Hire
) -> None:
    await asks_above(company, await hire("manager"), "total_discount_percent", "gt", "15")
    for quote in (
        await quote_of(owner, line(discount_percent="16")),
        await quote_of(owner, line(discount_amount=money("16.00"))),
        await quote_of(owner, discount_amount=money("16.00")),
        await quote_of(owner, line(discount_percent="10"), discount_percent="10"),
    ):
        assert (await step(owner, quote, "submit"))["status"] == "in_approval"


async def test_a_thin_margin_is_approved(company: Company, owner: Client, hire: Hire) -> None:
    await asks_above(company, await hire("manager"), "margin_percent", "lt", "20")
    thin = await quote_of(owner, line("100.00", unit_cost=money("81.00")))
    fat = await quote_of(owner, line("100.00", unit_cost=money("80.00")))
    assert (await step(owner, thin, "submit"))["status"] == "in_approval"
    assert (await step(owner, fat, "submit"))["status"] == "approved"


async def test_an_unchanged_revision_is_not_asked_for_again(
    company: Company, owner: Client, hire: Hire
) -> None:
    boss = await hire("manager")
    await asks_above(company, boss, "total_discount_percent", "gt", "15")
    quote = await quote_of(owner, discount_percent="20")
    await step(owner, quote, "submit")
    await boss.ok("POST", f"/v1/approvals/{await pending(boss)}/approve")
    await step(owner, quote, "send", by_mail=False)
    same = await step(owner, quote, "revise")
    renamed = await owner.ok("PATCH", f"/v1/quotes/{same['id']}", json={"name": "Better name"}, if_match=1)
    assert (await step(owner, renamed, "send", by_mail=False))["status"] == "sent"
    other = await step(owner, same, "revise")
    await owner.ok("PATCH", f"/v1/quotes/{other['id']}", json={"discount_percent": "21"}, if_match=1)
    assert await refused(owner, other, "send", by_mail=False) == (409, "approval_required")
    await owner.ok(
        "PATCH", f"/v1/quotes/{other['id']}", json={"discount_percent": "20", "terms": "Net 90"}, if_match=2
    )
    assert (await step(owner, other, "submit"))["status"] == "in_approval"
