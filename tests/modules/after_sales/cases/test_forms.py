"""Forms by which customers open cases: whose case it becomes, what they are told, and what strangers cannot do."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.kernel.clock import FixedClock
from app.modules.after_sales.services.forms.definitions import CaseForms
from app.modules.after_sales.services.forms.listing import submissions
from tests.modules.after_sales.cases.cases import stepped
from tests.modules.after_sales.cases.test_mail import LI, mail, mailed, say, take
from tests.modules.after_sales.desk.desk import queue_of
from tests.modules.opportunities.conftest import Hire, clock
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

__all__ = ["clock"]

Json = dict[str, Any]
SHOP = "https://shop.example.com"
RECEIVED = {
    "status": "received",
    "message": "Thank you. We have received your message.",
    "redirect_url": None,
}


async def form_of(owner: Client, **changes: Any) -> Json:
    """A form for who, what and which product, without a least time."""
    body = {
        "name": {"en": "Get help", "zh": "获取帮助"},
        "fields": [
            {"name": "name", "label": {"en": "Your name", "zh": "您的姓名"}},
            {"name": "email", "label": {"en": "E-mail", "zh": "邮箱"}, "required": True},
            {"name": "phone", "label": {"en": "Phone", "zh": "电话"}},
            {"name": "subject", "label": {"en": "What is it about?", "zh": "主题"}, "required": True},
            {"name": "description", "label": {"en": "Tell us more", "zh": "详细说明"}},
        ],
        "allowed_origins": [SHOP],
        "min_seconds": 0,
        "limit_per_address": 10_000,
    }
    made: Json = await owner.ok("POST", "/v1/case-forms", json=body | changes)
    return made


async def send(company: Company, form: Json, *, headers: Any = None, **sent: Any) -> httpx.Response:
    """A submission by nobody in particular."""
    body = {"email": LI, "subject": "The pump leaks"} | sent
    path = f"/v1/case-forms/{form['public_key']}/submissions"
    return await Client(company.http).post(
        path, {k: v for k, v in body.items() if v is not None}, headers=headers
    )


async def cases(owner: Client) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", "/v1/cases?sort=opened_at"))["data"]
    return found


async def outcomes(owner: Client, form: Json) -> list[tuple[str, str | None]]:
    found = await owner.ok("GET", f"/v1/case-forms/{form['id']}/submissions")
    return [(one["status"], one["reason"]) for one in found["data"]]


@pytest.fixture
async def li(company: Company, account: Json) -> Json:
    return await make(
        company.owner, "contacts", account_id=account["id"], name="Li Hua", email=LI, phone="+86 10 6655 4433"
    )


# -- definitions ---------------------------------------------------------------------------------------------


async def test_a_form_is_made_changed_and_removed(company: Company) -> None:
    owner = company.owner
    form = await form_of(owner, type="complaint", priority="high")
    key = form["public_key"]
    assert (len(key), form["version"], form["acknowledge"], form["type"], form["priority"]) == (
        46, 1, True, "complaint", "high",
    )  # fmt: skip
    assert form["page_url"] == f"http://127.0.0.1:8000/case-forms/{key}"
    assert form["submit_url"] == f"http://127.0.0.1:8000/v1/case-forms/{key}/submissions"
    path = f"/v1/case-forms/{form['id']}"
    changed = await owner.ok("PATCH", path, json={"enabled": False}, if_match=1)
    assert (changed["enabled"], changed["version"]) == (False, 2)
    assert (await send(company, form)).status_code == 404
    assert (await owner.patch(path, {"enabled": True}, if_match=1)).status_code == 412
    await owner.ok("PATCH", path, json={"enabled": True}, if_match=2)
    rotated = await owner.ok("POST", f"{path}/rotate-key", if_match=3)
    assert ((await send(company, form)).status_code, (await send(company, rotated)).status_code) == (404, 202)
    assert [one["id"] for one in (await owner.ok("GET", "/v1/case-forms"))["data"]] == [form["id"]]
    assert (await owner.delete(path, if_match=4)).status_code == 204
    assert ((await owner.get(path)).status_code, len(await cases(owner))) == (404, 1)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"fields": [{"name": "warranty", "label": {"en": "W"}}]}, "/fields/0/name", "unknown_field"),
        ({"fields": [{"name": "email", "label": {"en": "E"}}]}, "/fields", "says_nothing"),
        ({"fields": [{"name": "subject", "label": {"en": "S"}}]}, "/fields", "nobody_to_answer"),
        ({"honeypot": "email"}, "/honeypot", "name_taken"),
        ({"redirect_url": "https://evil.example.net/"}, "/redirect_url", "origin_not_allowed"),
        ({"owner_id": "0198c0de-0000-7000-8000-000000000000"}, "/owner_id", "unknown_member"),
        ({"queue_id": "0198c0de-0000-7000-8000-000000000000"}, "/queue_id", "unknown_reference"),
        ({"product_ids": ["0198c0de-0000-7000-8000-000000000000"]}, "/product_ids/0", "unknown_reference"),
    ],
)
async def test_a_form_that_cannot_work_is_refused(
    company: Company, changes: Json, pointer: str, code: str
) -> None:
    body = {
        "name": {"en": "X"},
        "fields": [{"name": name, "label": {"en": name}} for name in ("email", "subject")],
    }
    refused = await company.owner.post("/v1/case-forms", body | changes)
    error = refused.json()["errors"][0]
    assert (refused.status_code, error["pointer"], error["code"]) == (422, pointer, code)
    assert (await company.owner.ok("GET", "/v1/case-forms"))["data"] == []


async def test_only_who_configures_makes_forms(company: Company, hire: Hire) -> None:
    colleague = await hire("salesperson")
    form = await form_of(company.owner)
    path = f"/v1/case-forms/{form['id']}"
    body = {"name": {"en": "X"}, "fields": [{"name": n, "label": {"en": n}} for n in ("email", "subject")]}
    for answer in (
        await colleague.get("/v1/case-forms"),
        await colleague.get(path),
        await colleague.get(f"{path}/submissions"),
        await colleague.post("/v1/case-forms", body),
        await colleague.patch(path, {"enabled": False}, if_match=1),
        await colleague.request("POST", f"{path}/rotate-key", headers={"If-Match": '"1"'}),
        await colleague.request("DELETE", path, headers={"If-Match": '"1"'}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await company.owner.ok("GET", "/v1/case-forms"))["data"] == [form]


async def test_forms_and_what_was_sent_are_listed_in_few_statements(company: Company) -> None:
    form = await form_of(company.owner)
    await send(company, form)
    counts = []
    for _ in range(2):
        async with acting(company) as uow:
            await CaseForms(uow).all()
            of_forms = uow.statements
            await submissions(uow, UUID(form["id"]), status=None, limit=50, cursor=None)
            counts.append((of_forms, uow.statements - of_forms))
        await form_of(company.owner)
        for number in range(5):
            await send(company, form, subject=f"Case {number}")
    assert counts == [(1, 2), (1, 2)]
    assert len(await outcomes(company.owner, form)) == 11


# -- whose case it becomes -----------------------------------------------------------------------------------


async def test_a_submission_opens_a_case_of_the_contact_in_its_queue(company: Company, li: Json) -> None:
    owner = company.owner
    queue = await queue_of(owner, owner)
    form = await form_of(owner, queue_id=queue["id"], type="incident", priority="urgent")
    answer = await send(
        company, form, email=LI.upper(), name="Li", phone="010 123", description="At the seal."
    )
    assert (answer.status_code, answer.json()) == (202, RECEIVED)
    [case] = await cases(owner)
    assert (case["contact_id"], case["account_id"], case["queue_id"], case["owner_id"]) == (
        li["id"], li["account_id"], queue["id"], None,
    )  # fmt: skip
    assert (case["channel"], case["type"], case["priority"], case["subject"], case["language"]) == (
        "web", "incident", "urgent", "The pump leaks", "en",
    )  # fmt: skip
    assert case["description"] == "At the seal.\n\nYour name: Li\nPhone: 010 123"
    [sent] = (await owner.ok("GET", f"/v1/case-forms/{form['id']}/submissions"))["data"]
    assert (sent["status"], sent["case_id"], sent["answers"]["name"]) == ("created", case["id"], "Li")


async def test_who_is_not_known_by_address_is_by_number_if_it_is_one_persons(
    company: Company, li: Json
) -> None:
    owner = company.owner
    form = await form_of(owner, acknowledge=False)
    assert (await send(company, form, email="li@home.example.org", phone="+861066554433")).status_code == 202
    await make(owner, "contacts", account_id=li["account_id"], name="Li Min", phone="+86 10 6655 4433")
    assert (await send(company, form, email="li@home.example.org", phone="+861066554433")).status_code == 202
    first, second = await cases(owner)
    assert (first["contact_id"], first["email"]) == (li["id"], "li@home.example.org")
    assert (second["contact_id"], second["account_id"]) == (None, None)


async def test_a_customer_chooses_one_of_the_products(company: Company) -> None:
    owner = company.owner
    pump, valve = [
        await make(owner, "products", name=name, code=name, unit="piece") for name in ("Pump", "Valve")
    ]
    asked = [
        {"name": "email", "label": {"en": "E-mail"}, "required": True},
        {"name": "description", "label": {"en": "What happened?"}},
        {"name": "product_id", "label": {"en": "Product"}, "required": True},
    ]
    form = await form_of(owner, fields=asked, product_ids=[pump["id"]])
    page = await Client(company.http).get(f"/case-forms/{form['public_key']}")
    assert f'<option value="{pump["id"]}">Pump</option>' in page.text
    assert "Valve" not in page.text
    sent = {"subject": None, "description": "It leaks.\nSince Monday."}
    refused = await send(company, form, product_id=valve["id"], **sent)
    assert [error["code"] for error in refused.json()["errors"]] == ["unknown_option"]
    assert (await send(company, form, product_id=pump["id"], **sent)).status_code == 202
    [case] = await cases(owner)
    assert (case["product_id"], case["subject"], case["description"]) == (
        pump["id"], "It leaks.", "It leaks.\nSince Monday.",
    )  # fmt: skip


async def test_custom_fields_are_asked_for_too(company: Company) -> None:
    owner = company.owner
    definition = {"object": "case", "key": "floor", "type": "integer", "labels": {"en": "Floor"}}
    await owner.ok("POST", "/v1/custom-fields", json=definition)
    asked = [
        {"name": name, "label": {"en": name}} for name in ("email", "subject", "custom.floor", "severity")
    ]
    form = await form_of(owner, fields=asked)
    refused = await send(company, form, severity="awful", **{"custom.floor": "third"})
    assert {error["pointer"] for error in refused.json()["errors"]} == {"/custom.floor", "/severity"}
    assert await cases(owner) == []
    assert (await send(company, form, **{"custom.floor": 3, "severity": "major"})).status_code == 202
    [case] = await cases(owner)
    assert (case["custom"], case["severity"]) == ({"floor": 3}, "major")


async def test_what_the_company_refuses_is_told_to_nobody_but_the_company(company: Company) -> None:
    owner = company.owner
    form = await form_of(owner)
    field = {"object": "case", "key": "site", "type": "text", "labels": {"en": "Site"}, "required": True}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    answer = await send(company, form)
    assert (answer.status_code, answer.json()) == (202, RECEIVED)
    assert (await cases(owner), await mailed(company)) == ([], [])
    [(status, reason)] = await outcomes(owner, form)
    assert (status, reason is not None) == ("refused", True)


# -- what they are told --------------------------------------------------------------------------------------


async def test_the_customer_gets_a_receipt_answers_it_and_sees_where_it_stands(
    company: Company, li: Json
) -> None:
    owner = company.owner
    form = await form_of(owner)
    await send(company, form, subject="Buy cheap pills at evil.example.net", language="en")
    [case] = await cases(owner)
    [receipt] = await mailed(company)
    assert (receipt["to"], receipt["subject"]) == (LI, f"[{case['number']}] We have received your request")
    assert "pills" not in receipt["text"]
    assert (receipt["automatic"], receipt["counted"]) == (True, True)
    link = re.search(r"http://127\.0\.0\.1:8000(/case-status/\S+)", receipt["text"])
    assert link is not None
    page = await Client(company.http).get(link[1])
    assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
    assert f"Your request {case['number']}" in page.text
    assert '<dd id="status">Received</dd>' in page.text
    answered = await take(owner, mail("It is urgent.", To=receipt["reply_to"], Subject="Re: x"))
    assert (answered["status"], answered["case_id"]) == ("commented", case["id"])
    await say(owner, case, "We are on our way.")
    assert (await mailed(company))[-1]["answers"][0] == receipt["message_id"]
    await stepped(owner, case, "wait-for-customer")
    page = await Client(company.http).get(f"{link[1]}?lang=zh")
    assert '<dd id="status">等待您的回复</dd>' in page.text


async def test_a_status_link_follows_a_merge_ends_after_a_year_and_cannot_be_made_up(
    company: Company, clock: FixedClock
) -> None:
    owner = company.owner
    form = await form_of(owner)
    for subject in ("One", "Two"):
        await send(company, form, subject=subject)
    one, two = await cases(owner)
    first = next(sent for sent in await mailed(company) if one["number"] in sent["subject"])
    path = re.search(r"/case-status/\S+", first["text"])
    assert path is not None
    both = [{"id": case["id"], "version": case["version"]} for case in (one, two)]
    await owner.ok("POST", "/v1/cases/merge", json={"records": both, "master_id": two["id"]})
    page = (await Client(company.http).get(path[0])).text
    assert f"Your request {two['number']}" in page
    assert ("<p>One</p>" in page, "Two" in page) == (True, False)  # that may be another customer's
    for wrong in (f"{path[0]}x", "/case-status/rl_AAAA", "/case-status/nothing"):
        assert (await Client(company.http).get(wrong)).status_code == 404
    clock.set(clock.now() + timedelta(days=365))
    assert (await Client(company.http).get(path[0])).status_code == 404


async def test_strangers_mail_nobody_more_than_five_times_an_hour(company: Company) -> None:
    form = await form_of(company.owner)
    for _ in range(7):
        assert (await send(company, form, email="victim@example.org")).status_code == 202
    assert [sent["to"] for sent in await mailed(company)] == ["victim@example.org"] * 5
    assert len(await cases(company.owner)) == 7


async def test_without_an_acknowledgement_nothing_is_mailed(company: Company) -> None:
    await send(company, await form_of(company.owner, acknowledge=False))
    assert (len(await cases(company.owner)), await mailed(company)) == (1, [])


# -- what strangers cannot do --------------------------------------------------------------------------------


async def test_the_same_submission_a_hundred_times_at_once_opens_one_case(company: Company) -> None:
    form = await form_of(company.owner)
    answers = await asyncio.gather(*(send(company, form, token="once") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert (len(await cases(company.owner)), len(await mailed(company))) == (1, 1)


async def test_more_than_an_address_may_send_at_once_is_refused_exactly(company: Company) -> None:
    form = await form_of(company.owner, limit_per_address=20)
    answers = await asyncio.gather(*(send(company, form, subject=f"Case {n}") for n in range(60)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(refused), await count(company, "after_sales.cases")) == (40, 20)
    assert all(1 <= int(answer.headers["retry-after"]) <= 3_600 for answer in refused)


async def test_machines_are_noted_as_spam_and_open_nothing(company: Company) -> None:
    form = await form_of(company.owner, min_seconds=5)
    for sent in ({"fax_number": "1", "seconds": 60}, {"seconds": 1}, {}):
        answer = await send(company, form, **sent)
        assert (answer.status_code, answer.json()) == (202, RECEIVED)
    assert (await cases(company.owner), await mailed(company)) == ([], [])
    assert await outcomes(company.owner, form) == [
        ("spam", "too_quick"), ("spam", "too_quick"), ("spam", "honeypot"),
    ]  # fmt: skip


async def test_only_pages_of_listed_origins_send(company: Company) -> None:
    form = await form_of(company.owner)
    allowed = await send(company, form, headers={"Origin": SHOP})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (202, SHOP)
    refused = await send(company, form, headers={"Origin": "https://evil.example.net"})
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    path = f"/v1/case-forms/{form['public_key']}/submissions"
    asks = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    assert (await Client(company.http).request("OPTIONS", path, headers=asks)).status_code == 204
    asks["Origin"] = "https://evil.example.net"
    assert (await Client(company.http).request("OPTIONS", path, headers=asks)).status_code == 403
    assert len(await cases(company.owner)) == 1


async def test_fields_that_the_form_does_not_have_are_refused(company: Company) -> None:
    form = await form_of(company.owner)
    for name, value in {"contact_id": "0198c0de-0000-7000-8000-000000000000", "priority": "urgent"}.items():
        refused = await send(company, form, **{name: value})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_field")
    assert await cases(company.owner) == []


async def test_a_key_of_leads_is_none_of_cases(company: Company) -> None:
    made = await company.owner.ok(
        "POST", "/v1/forms", json={"name": {"en": "X"}, "fields": [{"name": "email", "label": {"en": "E"}}]}
    )
    assert (await send(company, made)).status_code == 404
    assert await cases(company.owner) == []


async def test_the_page_opens_a_case_without_any_script(company: Company) -> None:
    form = await form_of(company.owner)
    nobody = Client(company.http)
    path = f"/case-forms/{form['public_key']}"
    page = await nobody.get(f"{path}?lang=zh")
    assert (page.status_code, "获取帮助" in page.text, "<script" in page.text) == (200, True, False)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text))
    wrong = await nobody.request("POST", path, data=hidden | {"email": "nobody", "subject": '"><script>'})
    assert (wrong.status_code, "邮箱地址格式不正确。" in wrong.text, "<script>" in wrong.text) == (
        422,
        True,
        False,
    )
    sent = await nobody.request("POST", path, data=hidden | {"email": LI, "subject": "漏水"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"{path}/thanks?lang=zh")
    assert "谢谢" in (await nobody.get(sent.headers["location"])).text
    [case] = await cases(company.owner)
    assert (case["subject"], case["language"]) == ("漏水", "zh")
    script = await nobody.get(f"{path}/embed.js")
    assert f"/v1/case-forms/{form['public_key']}/submissions" in script.text


async def test_a_queue_that_goes_leaves_its_forms(company: Company) -> None:
    owner = company.owner
    queue = await queue_of(owner, owner)
    form = await form_of(owner, queue_id=queue["id"])
    assert (await owner.delete(f"/v1/queues/{queue['id']}", if_match=queue["version"])).status_code == 204
    left = await owner.ok("GET", f"/v1/case-forms/{form['id']}")
    assert (left["queue_id"], left["version"]) == (None, 2)
    assert (await send(company, left)).status_code == 202
