"""States of a quote: which step leads where, what a sent revision refuses, and how revisions follow each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.kernel.errors import InvalidTransition
from app.kernel.schedules import ScheduledRun
from app.modules.quotes.models import QuoteStatus
from app.modules.quotes.services.expiry import expire_quotes
from app.modules.quotes.services.states import MACHINE
from tests.modules.quotes.offers import again, line, lines_of, money, quote_of, refused, sent_quote, step
from tests.modules.support import acting, actor_of
from tests.support.api import Client, Company
from tests.tenants.people import Look

ACTIONS = (
    "submit",
    "approve",
    "refuse",
    "recall",
    "send",
    "view",
    "accept",
    "decline",
    "expire",
    "supersede",
    "withdraw",
)
TABLE = {
    "draft": {"submit": "in_approval", "approve": "approved"},
    "in_approval": {"approve": "approved", "refuse": "draft", "recall": "draft"},
    "approved": {"recall": "draft", "send": "sent"},
    "sent": {
        "view": "viewed", "accept": "accepted", "decline": "declined", "expire": "expired", "supersede": "superseded",
        "withdraw": "withdrawn",
    },
    "viewed": {
        "accept": "accepted", "decline": "declined", "expire": "expired", "supersede": "superseded",
        "withdraw": "withdrawn",
    },
    "accepted": {},
    "declined": {},
    "expired": {"supersede": "superseded"},
    "superseded": {},
    "withdrawn": {"supersede": "superseded"},
}  # fmt: skip


COPY_A_LINE = (
    "INSERT INTO quotes.quote_lines SELECT tenant_id, gen_random_uuid(), quote_id, position + 1, component_of,"
    " product_id, description, detail, unit, quantity, price_source, price_book_id, list_price, unit_price,"
    " exact_gross, discount_percent, discount_amount, tax_rate, tax_entered, charge, optional, unit_cost,"
    " cost_entered, gross, discount, subtotal, header_discount, net, tax, total FROM quotes.quote_lines"
)


@pytest.mark.parametrize("status", QuoteStatus)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_step_leads_where_the_table_says_or_nowhere(status: QuoteStatus, action: str) -> None:
    wanted = TABLE[status.value].get(action)
    if wanted is not None:
        assert MACHINE.next(status, action) == wanted
        return
    with pytest.raises(InvalidTransition):
        MACHINE.next(status, action)


async def test_a_quote_that_needs_no_approval_goes_straight_to_the_customer(owner: Client) -> None:
    quote = await quote_of(owner)
    approved = await step(owner, quote, "submit")
    assert approved["status"] == "approved"
    sent = await step(owner, quote, "send", by_mail=False)
    assert (sent["status"], sent["sent_at"] is not None) == ("sent", True)
    steps = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/steps"))["data"]
    assert [(one["action"], one["from_status"], one["to_status"]) for one in steps] == [
        ("create", None, "draft"), ("approve", "draft", "approved"), ("send", "approved", "sent"),
    ]  # fmt: skip


async def test_what_is_approved_can_be_recalled_and_edited(owner: Client) -> None:
    quote = await quote_of(owner)
    await step(owner, quote, "submit")
    recalled = await step(owner, quote, "recall", note="Another price")
    assert recalled["status"] == "draft"
    changed = await owner.ok(
        "PATCH", f"/v1/quotes/{quote['id']}", json={"discount_percent": "10"}, if_match=recalled["version"]
    )
    assert changed["total"] == money("90.00")


async def test_a_quote_without_lines_is_not_sent(owner: Client) -> None:
    quote = await quote_of(owner)
    empty = await owner.ok("PATCH", f"/v1/quotes/{quote['id']}", json={"lines": []}, if_match=1)
    assert await refused(owner, empty, "submit") == (409, "quote_empty")
    assert await refused(owner, empty, "send", by_mail=False) == (409, "quote_empty")


async def test_a_sent_quote_does_not_change(owner: Client) -> None:
    quote = await sent_quote(owner)
    path = f"/v1/quotes/{quote['id']}"
    changes: tuple[dict[str, Any], ...] = (
        {"name": "Other"}, {"lines": []}, {"discount_percent": "1"}, {"valid_until": None},
    )  # fmt: skip
    for change in changes:
        answer = await owner.patch(path, change, if_match=quote["version"])
        assert (answer.status_code, answer.json()["code"], answer.json()["status_now"]) == (
            409, "quote_immutable", "sent",
        )  # fmt: skip
    gone = await owner.delete(path, if_match=quote["version"])
    assert (gone.status_code, gone.json()["code"]) == (409, "quote_immutable")
    assert await refused(owner, quote, "reprice") == (409, "quote_immutable")
    tagged = await owner.ok("PATCH", path, json={"tags": ["hot"]}, if_match=quote["version"])
    assert (tagged["tags"], tagged["total"]) == (["hot"], money("100.00"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quotes.quotes SET total = total + 1, net = net + 1, one_time_total = one_time_total + 1",
        "UPDATE quotes.quotes SET terms = 'Other'",
        "UPDATE quotes.quotes SET valid_until = valid_until + 1",
        "UPDATE quotes.quotes SET discount_percent = 5",
        "UPDATE quotes.quotes SET status = 'draft'",
        "UPDATE quotes.quotes SET status = 'approved'",
        "UPDATE quotes.quote_lines SET description = 'Other'",
        "UPDATE quotes.quote_lines SET unit_price = unit_price + 1",
        "DELETE FROM quotes.quote_lines",
        COPY_A_LINE,
    ],
)
async def test_the_database_itself_keeps_what_was_sent(
    owner: Client, company: Company, statement: str
) -> None:
    quote = await sent_quote(owner)
    before = await again(owner, quote)
    with pytest.raises(asyncpg.CheckViolationError, match="does not"):
        async with acting(company) as uow:
            await uow.fetch(statement)
    assert await again(owner, quote) == before


async def test_lines_of_a_draft_cannot_be_moved_into_a_sent_quote(owner: Client, company: Company) -> None:
    sent, draft = await sent_quote(owner), await quote_of(owner, line(), line())
    with pytest.raises(asyncpg.CheckViolationError):
        async with acting(company) as uow:
            await uow.fetch(
                "UPDATE quotes.quote_lines SET quote_id = $1 WHERE quote_id = $2 AND position = 1",
                UUID(sent["id"]),
                UUID(draft["id"]),
            )
    assert (len(await lines_of(owner, sent)), len(await lines_of(owner, draft))) == (1, 2)


async def test_a_draft_changes_at_the_database_too(owner: Client, company: Company) -> None:
    quote = await quote_of(owner)
    async with acting(company) as uow:
        await uow.fetch("UPDATE quotes.quotes SET terms = 'Other'")
        await uow.fetch("UPDATE quotes.quote_lines SET description = 'Other'")
    assert (await again(owner, quote))["terms"] == "Other"


# -- revisions -----------------------------------------------------------------------------------------------


async def test_a_sent_quote_is_changed_by_a_revision_which_takes_its_place_once_sent(owner: Client) -> None:
    first = await sent_quote(owner, line("100.00"), line("5.00", "2", optional=True), terms="Net 30")
    second = await step(owner, first, "revise")
    assert (second["number"], second["revision"], second["status"]) == (first["number"], 2, "draft")
    assert (second["total"], second["terms"], second["line_count"]) == (money("100.00"), "Net 30", 2)
    assert (await again(owner, first))["status"] == "sent"  # until the next one is sent
    changed = await owner.ok(
        "PATCH", f"/v1/quotes/{second['id']}", json={"lines": [line("80.00")], "terms": "Net 60"}, if_match=1
    )
    assert changed["total"] == money("80.00")
    await step(owner, second, "send", by_mail=False)
    assert (await again(owner, first))["status"] == "superseded"
    assert (await again(owner, first))["total"] == money("100.00")
    code = await refused(owner, first, "accept", name="Li Hua")
    assert code == (409, "quote_superseded")


async def test_there_is_one_next_revision(owner: Client) -> None:
    first = await sent_quote(owner)
    second = await step(owner, first, "revise")
    answer = await owner.post(f"/v1/quotes/{first['id']}/revise", if_match=first["version"])
    assert (answer.status_code, answer.json()["code"], answer.json()["revision_id"]) == (
        409, "quote_revised", second["id"],
    )  # fmt: skip
    assert await refused(owner, second, "revise") == (409, "quote_not_open")


async def test_two_revisions_are_compared_field_by_field(owner: Client) -> None:
    first = await sent_quote(owner, line("100.00"), line("7.00", description="Travel"))
    second = await step(owner, first, "revise")
    await owner.ok(
        "PATCH",
        f"/v1/quotes/{second['id']}",
        json={"lines": [line("90.00"), line("1.00", description="Manual")], "terms": "Net 60"},
        if_match=1,
    )
    found = await owner.ok("GET", f"/v1/quotes/{first['id']}/compare?with={second['id']}")
    assert found["fields"]["total"] == [money("107.00"), money("91.00")]
    assert found["fields"]["terms"] == [None, "Net 60"]
    assert (found["fields"]["revision"], found["fields"]["status"]) == ([1, 2], ["sent", "draft"])
    assert "name" not in found["fields"]
    assert [(one["kind"], one["description"]) for one in found["lines"]] == [
        ("changed", "Consulting"), ("added", "Manual"), ("removed", "Travel"),
    ]  # fmt: skip
    assert found["lines"][0]["fields"]["unit_price"] == [money("100.00"), money("90.00")]


async def test_a_clone_is_a_quote_of_its_own(owner: Client) -> None:
    first = await sent_quote(owner, line("100.00"), discount_amount=money("10.00"))
    clone = await owner.ok("POST", f"/v1/quotes/{first['id']}/clone")
    assert clone["number"] != first["number"]
    assert (clone["revision"], clone["status"], clone["total"], clone["sent_at"]) == (
        1,
        "draft",
        money("90.00"),
        None,
    )


# -- expiry --------------------------------------------------------------------------------------------------


async def run_expiry(company: Company) -> None:
    actor = await actor_of(company)
    await expire_quotes(ScheduledRun(company.kernel, actor.tenant))


async def test_offers_expire_the_day_after_their_last_one(
    owner: Client, company: Company, clock: FixedClock
) -> None:
    day = clock.now().date()
    quote = await sent_quote(owner, valid_until=day.isoformat())
    open_end, draft = await sent_quote(owner), await quote_of(owner, valid_until=day.isoformat())
    await run_expiry(company)
    assert (await again(owner, quote))["status"] == "sent"
    clock.set(clock.now() + timedelta(days=1))
    before = (await again(owner, quote))["version"]
    await run_expiry(company)
    found = await again(owner, quote)
    assert (found["status"], found["version"]) == ("expired", before + 1)
    await run_expiry(company)
    assert (await again(owner, quote))["version"] == before + 1
    assert [(await again(owner, one))["status"] for one in (open_end, draft)] == ["sent", "draft"]
    assert await refused(owner, quote, "accept", name="Li Hua") == (409, "quote_expired")
    assert await refused(owner, draft, "send", by_mail=False) == (409, "quote_expired")


async def test_nobody_accepts_a_quote_past_its_last_day_although_no_job_has_run(
    owner: Client, clock: FixedClock
) -> None:
    quote = await sent_quote(owner, valid_until=clock.now().date().isoformat())
    clock.set(clock.now() + timedelta(days=1))
    answer = await owner.post(
        f"/v1/quotes/{quote['id']}/accept", {"name": "Li Hua"}, if_match=quote["version"]
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "quote_expired")
    assert (await again(owner, quote))["status"] == "sent"


# -- mail and links ------------------------------------------------------------------------------------------


async def test_a_quote_is_mailed_with_a_link_that_can_be_revoked(
    owner: Client, company: Company, look: Look
) -> None:
    quote = await quote_of(owner, language="zh", name="水泵")
    nowhere = await owner.post(f"/v1/quotes/{quote['id']}/send", {}, if_match=1)
    assert (nowhere.status_code, nowhere.json()["errors"][0]["pointer"]) == (422, "/to")
    await step(owner, quote, "send", to="li.hua@example.com", message="您好")
    row = await look.connection.fetchrow(
        "SELECT payload FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send' ORDER BY created_at DESC",
        company.tenant_id,
    )
    assert row is not None
    assert "/q/rl_" in row["payload"]
    assert "水泵" in row["payload"]
    links = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert [(link["state"], link["views"]) for link in links] == [("open", 0)]
    made = await owner.ok("POST", f"/v1/quotes/{quote['id']}/links", json={})
    assert "/q/rl_" in made["url"]
    await owner.ok("DELETE", f"/v1/quotes/{quote['id']}/links/{made['id']}")
    links = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert [link["state"] for link in links] == ["open", "revoked"]


async def test_a_draft_has_no_link(owner: Client) -> None:
    quote = await quote_of(owner)
    answer = await owner.post(f"/v1/quotes/{quote['id']}/links", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "quote_not_open")
