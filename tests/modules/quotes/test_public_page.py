"""The page of an offer: what it shows to whom, and that a customer's answer is taken once."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.kernel.logging import _SECRET_VALUES
from app.main import Application
from app.modules.quotes.services.public_page import visit
from app.modules.quotes.services.public_page.standing import offer_behind
from tests.modules.quotes.offers import account_of, again, line, lines_of, quote_of, sent_quote, step
from tests.modules.quotes.pages import Customer, link_of, rows_in
from tests.modules.support import acting, count
from tests.support.api import Client, Company

NASTY = '"><script>alert(1)</script>'
ESCAPED = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.fixture(autouse=True)
def fresh_limits(app: Application) -> None:
    assert app.kernel is not None
    app.kernel.limiter._attempts.clear()


async def customer_of(app: Application, owner: Client, quote: dict[str, Any]) -> Customer:
    return Customer(app, await link_of(owner, quote))


def said(page: Any) -> tuple[int, str]:
    """Status and heading of a page."""
    found = re.search("<h1>(.*?)</h1>", page.text)
    assert found is not None
    return page.status_code, found[1]


# -- what it shows -------------------------------------------------------------------------------------------


async def test_an_offer_is_shown_with_all_that_matters_and_nothing_else(app: Application, owner: Client):
    account = await account_of(owner, name="Acme & Sons")
    quote = await sent_quote(
        owner,
        line("1299.00", "3", discount_percent="10", tax_rate="13", detail="With <b>service</b>", unit="pcs"),
        line("80.125", "2.5", tax_rate="6", unit_cost={"amount": "41.11", "currency": "USD"}),
        account_id=account["id"],
        name="Robots " + NASTY,
        terms="Paid in 30 days.\n\nNo returns.",
        discount_percent="5",
    )
    customer = await customer_of(app, owner, quote)
    page = await customer.look()
    assert said(page) == (200, f"Quotation {quote['number']}")
    for text in (
        "Robots " + ESCAPED, "Acme &amp; Sons", "With &lt;b&gt;service&lt;/b&gt;", "3 pcs at 1,299.00", "10% off", "$3,507.30",
        "2.5", "80.125", "$200.31", "Subtotal", "$3,707.61", "-$185.38", "$3,522.23", "Tax 13%", "$433.15", "$3,966.80",
        "<p>Paid in 30 days.</p><p>No returns.</p>", "I accept this offer at $3,966.80", "for Acme &amp; Sons",
        "Questions?", "mailto:",
    ):  # fmt: skip
        assert text in page.text, text
    assert "41.11" not in page.text
    assert "<script" not in page.text
    assert '<html lang="en">' in page.text
    for header, value in (
        ("referrer-policy", "no-referrer"), ("cache-control", "no-store"), ("x-robots-tag", "noindex"),
        ("x-content-type-options", "nosniff"),
    ):  # fmt: skip
        assert page.headers[header] == value
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', page.text):
        assert address.startswith(("/q/rl_", "mailto:", "#")), address


async def test_the_page_speaks_the_quotes_language_or_the_one_that_is_asked_for(
    app: Application, owner: Client
):
    quote = await sent_quote(owner, line("12.50", "2"), language="zh")
    customer = await customer_of(app, owner, quote)
    page = await customer.look(**{"Accept-Language": "en"})
    assert said(page) == (200, f"报价单 {quote['number']}")
    assert '<html lang="zh-CN">' in page.text
    assert "US$25.00" in page.text
    assert said(await customer.look("?lang=en")) == (200, f"Quotation {quote['number']}")
    assert said(await customer.look("?lang=xx")) == (200, f"报价单 {quote['number']}")


async def test_the_companys_look_is_on_the_page(app: Application, owner: Client, company: Company):
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"brand_color": "#ffd000"}, if_match=tenant["version"])
    customer = await customer_of(app, owner, await sent_quote(owner))
    page = await customer.look()
    assert f'<header class="brand"><p>{tenant["name"]}</p></header>' in page.text
    [accent] = re.findall("--accent: (#[0-9a-f]{6})", page.text)
    assert accent not in ("#ffd000", "#0b5cc0")  # darkened until it can be read


async def test_views_are_counted_and_the_first_marks_the_quote(app: Application, owner: Client):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await asyncio.gather(*(Customer(app, customer.path).look() for _ in range(50)))
    found = await again(owner, quote)
    assert (found["status"], found["version"]) == ("viewed", quote["version"] + 1)
    [link] = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert (link["views"], link["state"]) == (50, "open")
    assert link["first_viewed_at"] <= link["last_viewed_at"]


# -- accepting -----------------------------------------------------------------------------------------------


async def test_a_customer_accepts_and_everybody_sees_it(app: Application, owner: Client, company: Company):
    quote = await sent_quote(owner, line("100.00", "3", tax_rate="10"))
    customer = await customer_of(app, owner, quote)
    await customer.look()
    done = await customer.accept(job_title="Buyer", note="Soon, please")
    assert (done.status_code, done.headers["location"]) == (303, f"{customer.path}?lang=en")
    page = await customer.look()
    assert said(page) == (200, "This offer was accepted")
    assert "Li Hua accepted it on" in page.text
    assert "$330.00" in page.text
    assert "<form" not in page.text
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    assert (answer["kind"], answer["name"], answer["job_title"], answer["note"]) == (
        "accepted", "Li Hua", "Buyer", "Soon, please",
    )  # fmt: skip
    assert (answer["total"]["amount"], answer["member_id"]) == ("330.00", None)
    assert answer["address"].startswith("198.51.")
    assert answer["order_id"] is not None
    assert await count(company, "orders.orders") == 1


async def test_accepting_twice_shows_the_first_answer(app: Application, owner: Client, company: Company):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    seal = customer.seal
    assert (await customer.accept(name="First")).status_code == 303
    assert (await customer.accept(name="Second", seal=seal)).status_code == 303
    other = await customer_of_answered(app, owner, quote, customer.path)
    assert "First accepted it on" in (await other.look()).text
    declined = await other.decline(reason="No")
    assert said(declined) == (409, "This offer was accepted")
    assert await count(company, "orders.orders") == 1
    assert (await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer"))["name"] == "First"


async def customer_of_answered(app: Application, owner: Client, quote: dict[str, Any], path: str) -> Customer:
    """Another browser with the same link; an answered quote gets no new ones."""
    refused = await owner.post(f"/v1/quotes/{quote['id']}/links", {})
    assert refused.status_code == 409
    return Customer(app, path)


async def test_two_hundred_accept_and_decline_at_once_and_one_answer_is_taken(
    app: Application, owner: Client, company: Company
):
    assert app.kernel is not None
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    seal = customer.seal
    browsers = [Customer(app, customer.path) for _ in range(200)]

    async def send(number: int, browser: Customer) -> int:
        app.kernel.limiter._attempts.clear()  # type: ignore[union-attr]
        answer = await (
            browser.accept(name=f"N{number}", seal=seal)
            if number % 2
            else browser.decline(reason=f"R{number}")
        )
        return answer.status_code

    statuses = await asyncio.gather(*(send(number, browser) for number, browser in enumerate(browsers)))
    assert set(statuses) == {303, 409}
    assert statuses.count(303) == 100
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    accepted = answer["kind"] == "accepted"
    assert await rows_in(company, "quotes.quote_answers") == 1
    assert await count(company, "orders.orders") == (1 if accepted else 0)


async def test_what_is_missing_is_named_at_its_field_and_what_was_written_stays(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner, signature_required=True, payment_required=True)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    page = await customer.post(do="accept", job_title=NASTY, name=" ")
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    for name in ("name", "signature", "payment_reference", "agree"):
        assert f'href="#f-{name}"' in page.text, name
        assert re.search(rf'id="f-{name}"[^>]*aria-invalid="true" aria-describedby="e-{name}"', page.text), (
            name
        )
    assert f'value="{ESCAPED}"' in page.text
    assert (await customer.accept(name="x" * 201, signature="L", payment_reference="1")).status_code == 422
    assert (await again(owner, quote))["status"] == "viewed"
    assert await count(company, "orders.orders") == 0
    done = await customer.accept(signature="Li Hua", payment_reference="TX-1")
    assert done.status_code == 303
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    assert (answer["signature"], answer["payment_reference"], answer["prepayment"]["amount"]) == (
        "Li Hua", "TX-1", "100.00",
    )  # fmt: skip


async def test_a_customer_chooses_and_accepts_the_total_that_the_page_showed(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner, line("100.00"), line("25.00", description="Training", optional=True))
    option = (await lines_of(owner, quote))[1]
    customer = await customer_of(app, owner, quote)
    page = await customer.look()
    assert f'name="choose" value="{option["id"]}">' in page.text
    assert "I accept this offer at $100.00" in page.text
    page = await customer.accept(choose=option["id"])
    assert page.status_code == 200
    assert "the total is $125.00" in page.text
    assert f'name="choose" value="{option["id"]}" checked>' in page.text
    assert 'value="Li Hua"' in page.text
    assert await count(company, "orders.orders") == 0
    assert (await customer.accept(choose=option["id"])).status_code == 303
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    assert (answer["total"]["amount"], answer["chosen_line_ids"]) == ("125.00", [option["id"]])
    assert "$125.00" in (await customer.look()).text


async def test_what_is_due_how_often_is_shown_with_options_and_after_acceptance(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(
        owner,
        line("100.00", description="Robot"),
        line("10.00", description="Cloud", charge="monthly"),
        line("25.00", description="Care", charge="yearly", optional=True),
        line("7.00", description="Spare part", optional=True),
    )
    care = (await lines_of(owner, quote))[2]
    customer = await customer_of(app, owner, quote)
    page = await customer.look()
    assert "Download as PDF" in page.text
    assert [text in page.text for text in ("Once: $100.00", "Each month: $10.00", "Each year")] == [
        True, True, False,
    ]  # fmt: skip
    page = await customer.accept(choose=care["id"])
    for text in ("Once: $100.00", "Each month: $10.00", "Each year: $25.00"):
        assert text in page.text, text
    assert (await customer.accept(choose=care["id"])).status_code == 303
    page = await customer.look()
    for text in (
        quote["number"], "Robot", "Cloud", "Care", "$135.00", "Once: $100.00", "Each month: $10.00",
        "Each year: $25.00", "The offer as it was sent (PDF)",
    ):  # fmt: skip
        assert text in page.text, text
    assert "Spare part" not in page.text
    assert "Download as PDF" not in page.text
    chinese = (await customer.look("?lang=zh")).text
    for text in ("成交内容", "，单价", "一次性：", "每月：", "每年：", "发送时的报价单（PDF）"):
        assert text in chinese, text


@pytest.mark.parametrize("choose", ["nonsense", "0198c0de-0000-7000-8000-000000000000"])
async def test_what_is_no_choice_accepts_nothing(
    app: Application, owner: Client, company: Company, choose: str
):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    assert (await customer.accept(choose=choose)).status_code == 422
    assert (await again(owner, quote))["status"] == "viewed"
    assert await count(company, "orders.orders") == 0


async def test_a_form_that_did_not_come_from_the_page_accepts_nothing(
    app: Application, owner: Client, company: Company
):
    quote, other = await sent_quote(owner), await sent_quote(owner, line("1.00"))
    customer, stranger = await customer_of(app, owner, quote), await customer_of(app, owner, other)
    await stranger.look()
    foreign = stranger.seal
    await customer.look()
    for seal in ("", "x", foreign, customer.seal[:-2] + "AA"):
        answer = await customer.accept(seal=seal)
        assert (answer.status_code, "press Accept" in answer.text) == (200, True)
    assert (await again(owner, quote))["status"] == "viewed"
    assert await count(company, "orders.orders") == 0


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"do=accept", b"&" * 1000, b"do=accept&name=%00", b"x=1&" * 700]
)
async def test_a_form_that_cannot_be_read_changes_nothing(
    app: Application, owner: Client, company: Company, content: bytes
):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    answer = await customer.client.request("POST", customer.path, content=content)
    assert answer.status_code in (200, 422)
    assert (await again(owner, quote))["status"] == "sent"
    assert await rows_in(company, "quotes.quote_answers") == 0


async def test_what_the_order_refuses_is_told_politely_and_nothing_is_accepted(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE customers.accounts SET deleted_at = now() WHERE tenant_id = $1 AND id::text = $2",
            uow.tenant_id,
            quote["account_id"],
        )
    answer = await customer.accept()
    assert answer.status_code in (404, 409, 422)
    assert said(answer)[1] == "That did not work"
    assert await count(company, "orders.orders") == 0
    assert (await again(owner, quote))["status"] == "viewed"


# -- declining -----------------------------------------------------------------------------------------------


async def test_a_customer_declines_with_a_reason(app: Application, owner: Client, company: Company):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    assert (await customer.decline(reason="Too expensive " + NASTY)).status_code == 303
    page = await customer.look()
    assert said(page) == (200, "This offer was declined")
    assert (await again(owner, quote))["decline_reason"] == "Too expensive " + NASTY
    assert (await customer.decline(reason="Still")).status_code == 303
    late = await customer.accept()
    assert said(late) == (409, "This offer was declined")
    assert await count(company, "orders.orders") == 0


async def test_a_reason_has_two_thousand_characters_at_most(app: Application, owner: Client):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    page = await customer.decline(reason="x" * 2_001)
    assert (page.status_code, "<details open>" in page.text) == (422, True)
    assert (await again(owner, quote))["status"] == "viewed"


# -- what is over explains itself ----------------------------------------------------------------------------


async def test_an_expired_offer_explains_itself(
    app: Application, owner: Client, company: Company, clock: FixedClock
):
    quote = await sent_quote(owner, valid_until=(clock.now() + timedelta(days=3)).date().isoformat())
    customer = await customer_of(app, owner, quote)
    await customer.look()
    seal = customer.seal
    clock.advance(timedelta(days=5))
    for page in (
        await customer.look(),
        await customer.accept(seal=seal),
        await customer.decline(reason="Late"),
    ):
        assert said(page) == (410, "This offer is no longer valid")
        assert "mailto:" in page.text
        assert "<form" not in page.text
    assert await rows_in(company, "quotes.quote_answers") == 0
    assert (await customer.client.get(f"{customer.path}/pdf")).status_code == 200


async def test_a_superseded_offer_explains_itself(app: Application, owner: Client, company: Company):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    newer = await step(owner, quote, "revise")
    await step(owner, newer, "send", by_mail=False)
    for page in (await customer.look(), await customer.accept(), await customer.decline()):
        assert said(page) == (410, "There is a newer version of this offer")
    assert (await customer.client.get(f"{customer.path}/pdf")).status_code == 404
    assert await count(company, "orders.orders") == 0


async def test_a_revoked_link_explains_itself_and_shows_no_more(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner, name="Secret plan")
    customer = await customer_of(app, owner, quote)
    await customer.look()
    seal = customer.seal
    [link] = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    await owner.ok("DELETE", f"/v1/quotes/{quote['id']}/links/{link['id']}")
    for page in (await customer.look(), await customer.accept(seal=seal)):
        assert said(page) == (410, "This link was withdrawn")
        assert "Secret plan" not in page.text
        assert quote["number"] not in page.text
    assert (await customer.client.get(f"{customer.path}/pdf")).status_code == 404
    [link] = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert (link["views"], link["state"]) == (1, "revoked")
    assert await count(company, "orders.orders") == 0


async def test_a_link_that_ran_out_explains_itself(app: Application, owner: Client, clock: FixedClock):
    quote = await sent_quote(owner)
    ends = (clock.now() + timedelta(hours=1)).isoformat()
    customer = Customer(app, await link_of(owner, quote, expires_at=ends))
    assert (await customer.look()).status_code == 200
    clock.advance(timedelta(hours=1))
    assert said(await customer.look("?lang=zh")) == (410, "链接已过期")


async def test_what_leads_nowhere_says_the_same_whatever_the_reason(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    token = customer.path.rpartition("/")[2]
    wrong = [token[:-2] + "AA", token[3:], "rl_" + "A" * 60, "x", "x" * 5_000]
    pages = [await customer.client.get(f"/q/{one}") for one in wrong]
    posts = [await customer.client.request("POST", f"/q/{one}", content=b"do=accept") for one in wrong]
    async with acting(company) as uow:
        await uow.fetch("UPDATE tenants.tenants SET status = 'suspended' WHERE tenant_id = $1", uow.tenant_id)
    pages += [
        await customer.look(),
        await customer.accept(),
        await customer.client.get(f"{customer.path}/pdf"),
    ]
    assert {(page.status_code, page.text) for page in [*pages, *posts]} == {(404, pages[0].text)}
    assert company.tenant_id.hex not in pages[0].text


# -- limits and secrets --------------------------------------------------------------------------------------


async def test_an_address_may_not_ask_too_often(app: Application, owner: Client, company: Company):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    statuses = [(await customer.look()).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    page = customer.page
    assert page is not None
    assert int(page.headers["retry-after"]) <= 60
    await customer.look()
    posts = [(await customer.post(do="accept", seal="x")).status_code for _ in range(21)]
    assert posts == [200] * 20 + [429]
    [link] = (await owner.ok("GET", f"/v1/quotes/{quote['id']}/links"))["data"]
    assert link["views"] == 60
    assert await count(company, "orders.orders") == 0


async def test_tokens_stay_out_of_logs_and_rows(app: Application, owner: Client, company: Company, look: Any):
    quote = await sent_quote(owner)
    customer = await customer_of(app, owner, quote)
    await customer.look()
    await customer.accept()
    token = customer.path.rpartition("/")[2]
    assert token not in _SECRET_VALUES.sub("…", f"GET {customer.path}/pdf")
    for table in ("kernel.links", "kernel.audit_entries", "kernel.outbox", "quotes.quote_answers"):
        found = await look.value(
            f"SELECT count(*) FROM {table} t WHERE tenant_id = $1 AND t::text LIKE '%' || $2 || '%'",
            company.tenant_id,
            token,
        )
        assert found == 0, table


async def test_a_page_takes_the_same_number_of_statements_whatever_the_number_of_lines(
    app: Application, owner: Client, monkeypatch: pytest.MonkeyPatch
):

    counts: list[int] = []

    async def counted(uow: Any, *arguments: Any, **more: Any) -> Any:
        found = await offer_behind(uow, *arguments, **more)
        counts.append(uow.statements)
        return found

    monkeypatch.setattr(visit, "offer_behind", counted)
    account = await account_of(owner)
    for size in (1, 60):
        quote = await sent_quote(owner, *[line() for _ in range(size)], account_id=account["id"])
        customer = await customer_of(app, owner, quote)
        await customer.look()
        await customer.look()
    assert counts[0] == counts[2]
    assert counts[1] == counts[3] <= 9


async def test_a_draft_is_on_no_page(owner: Client, company: Company):
    quote = await quote_of(owner)
    assert (await owner.post(f"/v1/quotes/{quote['id']}/links", {})).status_code == 409
    assert await rows_in(company, "kernel.links") == 0
