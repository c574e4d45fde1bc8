"""Forms and what visitors send to them: leads, touches, spam, limits, origins, and that strangers learn nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from app.kernel.clock import FixedClock, SystemClock
from app.kernel.forms.visits import stamp
from app.modules.leads.services.capture.listing import statistics, submissions
from tests.modules.leads.forms import SHOP, label, leads, make_form, outcomes, rows, send
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

RECEIVED = {
    "status": "received",
    "message": "Thank you. We have received your message.",
    "redirect_url": None,
}


# -- definitions ---------------------------------------------------------------------------------------------


async def test_a_form_is_made_changed_and_removed(owner: Client) -> None:
    form = await make_form(owner)
    key = form["public_key"]
    assert (len(key), form["version"], form["honeypot"], form["double_opt_in"]) == (
        46,
        1,
        "fax_number",
        False,
    )
    assert form["page_url"] == f"http://127.0.0.1:8000/forms/{key}"
    assert form["submit_url"] == f"http://127.0.0.1:8000/v1/forms/{key}/submissions"
    assert form["snippet"] == f'<script src="http://127.0.0.1:8000/forms/{key}/embed.js" async></script>'
    path = f"/v1/forms/{form['id']}"
    changed = await owner.ok("PATCH", path, json={"enabled": False, "thanks": {"en": "Ta!"}}, if_match=1)
    assert (changed["enabled"], changed["thanks"], changed["version"]) == (
        False,
        {"en": "Ta!", "zh": None},
        2,
    )
    stale = await owner.patch(path, {"enabled": True}, if_match=1)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    assert [one["id"] for one in (await owner.ok("GET", "/v1/forms"))["data"]] == [form["id"]]
    assert (await owner.delete(path, if_match=2)).status_code == 204
    assert (await owner.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"fields": [{"name": "score", "label": {"en": "S"}}]}, "/fields/0/name", "unknown_field"),
        ({"fields": [{"name": "custom.nothing", "label": {"en": "S"}}]}, "/fields/0/name", "unknown_field"),
        ({"fields": [{"name": "city", "label": {"en": "S"}}]}, "/fields", "nameless"),
        (
            {"fields": [{"name": "name", "label": {"en": "S"}, "hidden": True}]},
            "/fields/0/default",
            "required",
        ),
        ({"fields": [{"name": "name", "label": {"en": "S"}}] * 2}, "/fields/1/name", "twice"),
        ({"honeypot": "name"}, "/honeypot", "name_taken"),
        ({"allowed_origins": ["https://shop.example.com/path"]}, "/allowed_origins/0", "invalid_origin"),
        ({"allowed_origins": ["https://*.example.com"]}, "/allowed_origins/0", "invalid_origin"),
        ({"allowed_origins": ["null"]}, "/allowed_origins/0", "invalid_origin"),
        ({"redirect_url": "https://evil.example.net/"}, "/redirect_url", "origin_not_allowed"),
        (
            {"double_opt_in": True, "fields": [{"name": "email", "label": {"en": "E"}}]},
            "/double_opt_in",
            "needs_email",
        ),
        ({"owner_id": "0198c0de-0000-7000-8000-000000000000"}, "/owner_id", "unknown_member"),
    ],
)
async def test_a_form_that_cannot_work_is_refused(
    company: Company, owner: Client, changes: dict[str, Any], pointer: str, code: str
) -> None:
    body = {"name": label("X"), "fields": [{"name": "name", "label": label("Name")}]} | changes
    refused = await owner.post("/v1/forms", body)
    error = refused.json()["errors"][0]
    assert (refused.status_code, error["pointer"], error["code"]) == (422, pointer, code)
    assert await rows(company, "leads.forms") == 0


async def test_what_went_out_of_use_does_not_stop_other_changes(company: Company, owner: Client) -> None:
    definition = {"object": "lead", "key": "budget", "type": "integer", "labels": {"en": "Budget"}}
    field = await owner.ok("POST", "/v1/custom-fields", json=definition)
    fields = [
        {"name": "name", "label": label("N")},
        {"name": "custom.budget", "label": label("B"), "required": True},
    ]
    form = await make_form(owner, fields=fields, owner_id=str(company.member_id))
    await owner.ok("POST", f"/v1/custom-fields/{field['id']}/archive", if_match=field["version"])
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE leads.forms SET owner_id = gen_random_uuid() WHERE tenant_id = $1", uow.tenant_id
        )
    path = f"/v1/forms/{form['id']}"
    changed = await owner.ok("PATCH", path, json={"source": None, "campaign": "Spring"}, if_match=1)
    assert (changed["source"], changed["campaign"], changed["version"]) == (None, "Spring", 2)
    refused = await owner.patch(path, {"fields": fields}, if_match=2)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/fields/1/name")
    nothing = await owner.patch(path, {"fields": None}, if_match=2)
    assert (nothing.status_code, (await owner.ok("GET", path))["version"]) == (422, 2)
    sent = await Client(company.http).post(
        f"/v1/forms/{form['public_key']}/submissions", {"name": "Bo", "custom.budget": 1}
    )
    [lead] = await leads(owner)
    assert (sent.status_code, lead["source"], lead["custom"]) == (202, None, {})


async def test_an_origin_is_kept_as_browsers_send_it(owner: Client) -> None:
    form = await make_form(owner, allowed_origins=["HTTPS://Shop.Example.com:443", "http://localhost:3000"])
    assert form["allowed_origins"] == ["https://shop.example.com", "http://localhost:3000"]


async def test_a_new_key_ends_the_old_one(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    rotated = await owner.ok("POST", f"/v1/forms/{form['id']}/rotate-key", if_match=1)
    assert rotated["public_key"] != form["public_key"]
    assert (await send(company, form)).status_code == 404
    assert (await send(company, rotated)).status_code == 202
    assert await count(company, "leads.leads") == 1


# -- leads and touches ---------------------------------------------------------------------------------------


async def test_a_submission_becomes_a_lead_with_both_touches(company: Company, owner: Client) -> None:
    form = await make_form(owner, channel="website", campaign="Fallback")
    answer = await send(
        company,
        form,
        phone="+86 138 0013 8000",
        description="Two pumps, please.",
        utm_source="newsletter",
        utm_medium="email",
        utm_campaign="Spring",
        landing_page="https://shop.example.com/pumps",
        first_touch={"utm_source": "baidu", "utm_campaign": "Winter", "referrer": "https://www.baidu.com/"},
    )
    assert (answer.status_code, answer.json()) == (202, RECEIVED)
    [lead] = await leads(owner)
    assert [lead[n] for n in ("name", "email", "phone", "description", "status", "owner_id")] == [
        "Ann Lee", "ann@lee.example.com", "+86 138 0013 8000", "Two pumps, please.", "new", None,
    ]  # fmt: skip
    assert [lead[n] for n in ("source", "channel", "campaign", "utm_source", "referrer", "landing_page")] == [
        "web", "website", "Winter", "baidu", "https://www.baidu.com/", None,
    ]  # fmt: skip
    assert [lead["last_touch"][n] for n in ("source", "campaign", "medium", "utm_source", "landing_page")] == [
        "web", "Spring", "email", "newsletter", "https://shop.example.com/pumps",
    ]  # fmt: skip
    [sent] = (await owner.ok("GET", f"/v1/forms/{form['id']}/submissions"))["data"]
    assert (sent["status"], sent["lead_id"], sent["answers"]["utm_campaign"]) == (
        "created",
        lead["id"],
        "Spring",
    )
    async with acting(company) as uow:
        event = await uow.fetchrow(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'leads.form.submitted.v1'",
            uow.tenant_id,
        )
        used = await uow.fetchrow(
            "SELECT sum(quantity)::bigint FROM kernel.usage_records WHERE tenant_id = $1 AND metric = 'leads.captured'",
            uow.tenant_id,
        )
    assert event is not None
    assert used is not None
    assert event["data"] == {
        "id": form["id"], "submission_id": sent["id"], "lead_id": lead["id"], "outcome": "created",
    }  # fmt: skip
    assert used[0] == 1


async def test_an_open_lead_is_touched_again_and_only_its_empty_fields_are_filled(
    company: Company, owner: Client
) -> None:
    form = await make_form(owner)
    lead = await make(
        owner, "leads", name="Ann", email="Ann@Lee.example.com", source="event", utm_source="fair"
    )
    answer = await send(
        company, form, phone="+8613800138000", description="Still waiting", utm_source="search"
    )
    assert answer.json() == RECEIVED
    [after] = await leads(owner)
    assert (after["id"], after["name"], after["phone"]) == (lead["id"], "Ann", "+8613800138000")
    assert (after["utm_source"], after["last_touch"]["utm_source"], after["description"]) == (
        "fair",
        "search",
        None,
    )
    notes = (await owner.ok("GET", "/v1/activities"))["data"]
    assert [(note["kind"], note["body"]) for note in notes] == [("note", "Still waiting")]
    assert await outcomes(owner, form) == [("touched", None)]


async def test_somebody_whose_lead_is_over_is_a_new_lead(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    await make(
        owner,
        "leads",
        name="Ann",
        email="ann@lee.example.com",
        status="disqualified",
        disqualified_reason="x",
    )
    await send(company, form)
    assert [lead["status"] for lead in await leads(owner)] == ["disqualified", "new"]


async def test_a_duplicate_that_the_company_blocks_is_refused_in_silence(
    company: Company, owner: Client
) -> None:
    form = await make_form(owner, touch_open_leads=False)
    await make(owner, "leads", name="Ann", email="ann@lee.example.com")
    rule = await owner.ok("GET", "/v1/duplicate-rules/lead")
    await owner.ok("PUT", "/v1/duplicate-rules/lead", json={"action": "block"}, if_match=rule["version"])
    answer = await send(company, form)
    assert (answer.status_code, answer.json()) == (202, RECEIVED)
    assert await count(company, "leads.leads") == 1
    assert await outcomes(owner, form) == [("refused", "duplicate_found")]


async def test_a_lead_without_a_name_is_called_by_its_company(company: Company, owner: Client) -> None:
    fields = [{"name": "company", "label": label("Company")}, {"name": "email", "label": label("E-mail")}]
    form = await make_form(owner, fields=fields)
    nobody = Client(company.http)
    path = f"/v1/forms/{form['public_key']}/submissions"
    assert (await nobody.post(path, {"company": "云帆科技"})).status_code == 202
    assert (await nobody.post(path, {"email": "b@example.com"})).status_code == 202
    refused = await nobody.post(path, {"company": "  "})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/company")
    assert [lead["name"] for lead in await leads(owner)] == ["云帆科技", "b@example.com"]


async def test_custom_fields_options_and_hidden_defaults(company: Company, owner: Client) -> None:
    field = {"object": "lead", "key": "budget", "type": "integer", "labels": {"en": "Budget"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    options = [
        {"value": "CN", "label": {"en": "China", "zh": "中国"}},
        {"value": "DE", "label": label("Germany")},
    ]
    form = await make_form(
        owner,
        fields=[
            {"name": "name", "label": label("Name")},
            {"name": "country", "label": label("Country"), "options": options},
            {"name": "custom.budget", "label": label("Budget")},
            {"name": "industry", "label": label("I"), "hidden": True, "default": "Pumps"},
        ],
    )
    nobody, path = Client(company.http), f"/v1/forms/{form['public_key']}/submissions"
    wrong = await nobody.post(path, {"name": "Bo", "country": "FR", "custom.budget": "much"})
    assert [(e["pointer"], e["code"]) for e in wrong.json()["errors"]] == [
        ("/country", "unknown_option"), ("/custom.budget", "int_type"),
    ]  # fmt: skip
    spoofed = await nobody.post(path, {"name": "Bo", "industry": "Other", "custom.nothing": 1})
    assert [(e["pointer"], e["code"]) for e in spoofed.json()["errors"]] == [
        ("/industry", "unknown_field"), ("/custom.nothing", "unknown_field"),
    ]  # fmt: skip
    assert await count(company, "leads.leads") == 0
    assert (
        await nobody.post(path, {"name": "Bo", "country": "DE", "custom.budget": "1200"})
    ).status_code == 202
    [lead] = await leads(owner)
    assert (lead["industry"], lead["country"], lead["custom"]) == ("Pumps", "DE", {"budget": 1200})


async def test_the_owner_gets_the_lead_only_while_they_work_here(company: Company, owner: Client) -> None:
    form = await make_form(owner, owner_id=str(company.member_id))
    await send(company, form)
    [lead] = await leads(owner)
    assert lead["owner_id"] == str(company.member_id)
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE leads.forms SET owner_id = gen_random_uuid(), team_id = gen_random_uuid() WHERE tenant_id = $1",
            uow.tenant_id,
        )
    assert (await send(company, form, name="Bo", email="bo@example.com")).status_code == 202
    assert [one["owner_id"] for one in await leads(owner)] == [str(company.member_id), None]


async def test_consents_are_kept_with_their_wording(company: Company, owner: Client) -> None:
    consents = [
        {"channel": "email", "text": {"en": "Send me news.", "zh": "接收邮件"}, "required": True},
        {"channel": "phone", "text": {"en": "Call me."}},
    ]
    form = await make_form(owner, consents=consents)
    missing = await send(company, form)
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (422, "consent_required")
    assert await count(company, "leads.leads") == 0
    agreed: dict[str, Any] = {"consent.email": True, "consent.phone": False}
    await send(company, form, language="zh", **agreed)
    [lead] = await leads(owner)
    [given] = (await owner.ok("GET", f"/v1/leads/{lead['id']}/consents"))["data"]
    assert [given[n] for n in ("channel", "text", "language", "source", "given_at")] == [
        "email", "接收邮件", "zh", f"form:{form['id']}", lead["created_at"],
    ]  # fmt: skip
    assert given["text_version"] == form["consents"][0]["text_version"]["zh"]
    assert form["consents"][0]["text_version"]["en"] == "c139a4c406bc"
    result = await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json={}, if_match=lead["version"])
    contact = await owner.ok("GET", f"/v1/contacts/{result['contact']['id']}")
    standing = {"status": "granted", "source": given["source"], "at": given["given_at"]}
    assert contact["consents"] == {"email": standing}
    said = (await owner.ok("GET", f"/v1/contacts/{contact['id']}/consents"))["data"]
    assert [(one["channel"], one["note"]) for one in said] == [("email", "接收邮件")]


# -- once, and at once ---------------------------------------------------------------------------------------


async def test_the_same_token_two_hundred_times_at_once_is_one_lead(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    answers = await asyncio.gather(*(send(company, form, token="visit-1") for _ in range(200)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert await count(company, "leads.leads") == 1
    assert await outcomes(owner, form) == [("created", None)]


async def test_the_same_person_many_times_at_once_is_one_lead_with_touches(
    company: Company, owner: Client
) -> None:
    form = await make_form(owner)
    await asyncio.gather(*(send(company, form) for _ in range(60)))
    assert await count(company, "leads.leads") == 1
    counts = (await owner.ok("GET", f"/v1/forms/{form['id']}/statistics"))["total"]
    assert counts == {"created": 1, "touched": 59, "pending": 0, "spam": 0, "refused": 0}


async def test_an_idempotency_key_serves_as_the_token(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    for _ in range(2):
        assert (await send(company, form, headers={"Idempotency-Key": "k1"})).status_code == 202
    assert await outcomes(owner, form) == [("created", None)]


async def test_exactly_as_many_as_the_limit_get_through(company: Company, owner: Client) -> None:
    form = await make_form(owner, limit_per_address=7)
    answers = await asyncio.gather(*(send(company, form, email=f"a{n}@example.com") for n in range(40)))
    assert sorted(answer.status_code for answer in answers) == [202] * 7 + [429] * 33
    late = next(answer for answer in answers if answer.status_code == 429)
    assert 3_590 <= int(late.headers["retry-after"]) <= 3_600
    assert await count(company, "leads.leads") == 7
    kernel = company.app.kernel
    assert kernel is not None
    kernel.clock = FixedClock(SystemClock().now() + timedelta(hours=1, seconds=5))
    try:
        assert (await send(company, form)).status_code == 202
    finally:
        kernel.clock = SystemClock()


async def test_the_limit_of_a_form_counts_everybody(company: Company, owner: Client) -> None:
    form = await make_form(owner, limit_per_form=1)
    assert [(await send(company, form)).status_code for _ in range(2)] == [202, 429]
    assert await count(company, "leads.leads") == 1


# -- spam ----------------------------------------------------------------------------------------------------


async def test_spam_is_answered_like_anything_else_and_only_counted(company: Company, owner: Client) -> None:
    form = await make_form(owner, min_seconds=3)
    kernel = company.app.kernel
    assert kernel is not None
    kernel.clock = FixedClock(SystemClock().now() - timedelta(seconds=30))
    old = stamp(kernel)
    kernel.clock = SystemClock()
    for sent in (
        {"seconds": 60, "fax_number": "buy now"},
        {"seconds": 2.9},
        {"seconds": "nan"},
        {},
        {"opened": stamp(kernel)},
        {"opened": old + "x", "seconds": 60},
    ):
        answer = await send(company, form, **sent)
        assert (answer.status_code, answer.json()) == (202, RECEIVED), sent
    assert await count(company, "leads.leads") == 0
    assert await outcomes(owner, form) == [("spam", "too_quick")] * 5 + [("spam", "honeypot")]
    found = await owner.ok("GET", f"/v1/forms/{form['id']}/submissions?status=spam&limit=1")
    assert (found["data"][0]["answers"], found["has_more"]) == (None, True)
    await send(company, form, opened=old, fax_number="")
    await send(company, form, seconds=3)
    assert await outcomes(owner, form) == [("touched", None), ("created", None)] + [
        ("spam", "too_quick")
    ] * 5 + [("spam", "honeypot")]


# -- whose form ----------------------------------------------------------------------------------------------


async def test_what_is_closed_unknown_or_suspended_looks_the_same(
    company: Company, rival: Company, owner: Client
) -> None:
    form = await make_form(owner)
    key = form["public_key"]
    closed = await make_form(owner, enabled=False)
    swapped = (await make_form(rival.owner))["public_key"][:22] + key[22:]
    answers = [
        await send(company, {"public_key": other})
        for other in ("nonsense", "A" * 46, swapped, closed["public_key"])
    ]
    async with acting(company) as uow:
        await uow.fetch("UPDATE tenants.tenants SET status = 'suspended' WHERE tenant_id = $1", uow.tenant_id)
    answers.append(await send(company, form))
    told = {(a.status_code, a.json()["code"], a.json()["detail"]) for a in answers}
    assert told == {(404, "not_found", "There is no such form.")}
    page = await Client(company.http).get(f"/forms/{key}")
    assert (page.status_code, "There is nothing here" in page.text) == (404, True)
    for each in (company, rival):
        assert await rows(each, "leads.form_submissions") == 0


async def test_a_key_leads_to_its_own_company_whoever_sends(
    company: Company, rival: Company, owner: Client
) -> None:
    form = await make_form(owner)
    path = f"/v1/forms/{form['public_key']}/submissions"
    sent = await rival.owner.post(path, {"name": "Bo", "email": "bo@example.com"})
    assert (sent.status_code, await count(rival, "leads.leads"), await count(company, "leads.leads")) == (
        202,
        0,
        1,
    )
    for read in (
        f"/v1/forms/{form['id']}",
        f"/v1/forms/{form['id']}/submissions",
        f"/v1/forms/{form['id']}/statistics",
    ):
        assert (await rival.owner.get(read)).status_code == 404


# -- origins -------------------------------------------------------------------------------------------------


async def test_only_listed_origins_may_send_and_read(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    nobody, path = Client(company.http), f"/v1/forms/{form['public_key']}/submissions"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = await nobody.request("OPTIONS", path, headers={"Origin": SHOP} | asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, SHOP)
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert "access-control-allow-credentials" not in allowed.headers
    sent = await send(company, form, headers={"Origin": SHOP})
    assert (sent.status_code, sent.headers["access-control-allow-origin"], sent.headers["vary"]) == (
        202,
        SHOP,
        "Origin",
    )
    wrong = await send(company, form, headers={"Origin": SHOP}, email="nobody")
    assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (422, SHOP)
    for origin in (
        "https://evil.example.net", "null", "http://shop.example.com", "https://shop.example.com:8443",
        "https://sub.shop.example.com", "https://shop.example.com.evil.net",
        "http://[", "://", "https://shop.example.com/",
    ):  # fmt: skip
        refused = await send(company, form, headers={"Origin": origin}, email="x@example.com")
        preflight = await nobody.request("OPTIONS", path, headers={"Origin": origin} | asked)
        assert (refused.status_code, refused.json()["code"], preflight.status_code) == (
            403,
            "origin_not_allowed",
            403,
        )
        for answer in (refused, preflight):
            assert not [name for name in answer.headers if name.startswith("access-control")], origin
    assert await count(company, "leads.leads") == 1


async def test_the_operators_own_origins_are_not_the_forms(
    company: Company, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = await make_form(owner)
    app = "https://app.example.com"
    monkeypatch.setattr(company.app.cors, "_origins", frozenset({app}))
    refused = await send(company, form, headers={"Origin": app})
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    path = f"/v1/forms/{form['id']}/submissions"
    asked = {
        "Origin": app,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    reading = await Client(company.http).request("OPTIONS", path, headers=asked)
    assert (reading.status_code, reading.headers["access-control-allow-origin"]) == (204, app)
    assert (await owner.get(path, headers={"Origin": app})).headers[
        "access-control-allow-credentials"
    ] == "true"


# -- bodies --------------------------------------------------------------------------------------------------


async def test_a_plain_html_form_is_led_on(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    to_shop = await make_form(owner, redirect_url=f"{SHOP}/thanks")
    body = urlencode(
        {"name": "Ann", "email": "ann@example.com", "send": "Send", "redirect_url": "https://evil.net"}
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for which, target in ((form, f"/forms/{form['public_key']}/thanks?lang=en"), (to_shop, f"{SHOP}/thanks")):
        path = f"/v1/forms/{which['public_key']}/submissions"
        answer = await Client(company.http).request("POST", path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, target)
    assert await count(company, "leads.leads") == 1


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"[1]", 422),
        ("application/json", b'{"name": "a\\u0000b"}', 422),
        ("application/json", b'{"name": "' + b"x" * 66_000 + b'"}', 413),
        ("application/x-www-form-urlencoded", b"name=%00&email=a%40example.com", 422),
        ("application/x-www-form-urlencoded", b"name=%ff", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(300)), 400),
        ("multipart/form-data", b"x", 415),
        ("application/json", b'{"name": "A", "email": "a@example.com", "token": ""}', 202),
        ("application/json", b'{"name": "A", "email": "a@example.com", "token": 5}', 422),
        ("application/json", b'{"name": {"a": 1}, "email": ["a"], "utm_source": 7, "first_touch": "x"}', 422),
    ],
)
async def test_bodies_that_cannot_be_right_are_refused(
    company: Company, owner: Client, kind: str, body: bytes, status: int
) -> None:
    form = await make_form(owner)
    path = f"/v1/forms/{form['public_key']}/submissions"
    answer = await Client(company.http).request("POST", path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert await count(company, "leads.leads") == (1 if status == 202 else 0)


# -- lists ---------------------------------------------------------------------------------------------------


async def test_submissions_come_in_pages_with_few_statements(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    for number in range(5):
        await send(company, form, email=f"a{number}@example.com", name=f"P{number}")
    seen: list[str] = []
    cursor = ""
    while True:
        found = await owner.ok("GET", f"/v1/forms/{form['id']}/submissions?limit=2{cursor}")
        seen += [one["answers"]["name"] for one in found["data"]]
        if not found["has_more"]:
            break
        cursor = f"&cursor={found['next_cursor']}"
    assert seen == ["P4", "P3", "P2", "P1", "P0"]
    async with acting(company) as uow:
        before = uow.statements
        await submissions(uow, UUID(form["id"]), status=None, limit=200, cursor=None)
        await statistics(uow, UUID(form["id"]), since=None, until=None)
        assert uow.statements - before == 4
    other = await make_form(owner)
    mixed = await owner.get(f"/v1/forms/{other['id']}/submissions?limit=2{cursor}")
    assert (mixed.status_code, mixed.json()["code"]) == (400, "invalid_cursor")


async def test_statistics_count_days_of_the_companys_time_zone(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    for moment in ("2026-03-01T23:30:00Z", "2026-03-02T00:30:00Z", "2026-03-02T23:59:59Z"):
        async with acting(company) as uow:
            await uow.fetch(
                "INSERT INTO leads.form_submissions (tenant_id, id, form_id, status, reason, answers, language,"
                " created_at) VALUES ($1, gen_random_uuid(), $2::text::uuid, 'spam', 'honeypot', '{}', 'en',"
                " $3::text::timestamptz)",
                uow.tenant_id, form["id"], moment,
            )  # fmt: skip
    path = f"/v1/forms/{form['id']}/statistics"
    found = await owner.ok("GET", f"{path}?since=2026-03-01&until=2026-03-02")
    assert [(day["day"], day["spam"]) for day in found["days"]] == [("2026-03-01", 1), ("2026-03-02", 2)]
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE tenants.tenants SET time_zone = 'Asia/Shanghai' WHERE tenant_id = $1", uow.tenant_id
        )
    kernel = company.app.kernel
    assert kernel is not None
    kernel.authenticator.forget(company.tenant_id)
    found = await owner.ok("GET", f"{path}?since=2026-03-01&until=2026-03-02")
    assert [(day["day"], day["spam"]) for day in found["days"]] == [("2026-03-02", 2)]
    assert (await owner.get(f"{path}?since=2026-03-02&until=2026-03-01")).status_code == 422
