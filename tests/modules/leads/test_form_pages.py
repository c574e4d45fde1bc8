"""Pages for visitors: the hosted form, confirming an address by a mailed link, and the script that embeds a form."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import orjson
import pytest

from app.kernel.clock import FixedClock, SystemClock
from app.kernel.schedules import ScheduledRun
from app.kernel.secrets import decode_base64url, encode_base64url
from app.modules.leads.services.capture.retention import forget
from tests.modules.leads.forms import SHOP, label, leads, make_form, outcomes, send
from tests.modules.support import acting, actor_of, count
from tests.support.api import Client, Company

NASTY = '"><script>alert(1)</script>'
ESCAPED = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


async def opened(company: Company, form: dict[str, Any], query: str = "", **headers: str) -> httpx.Response:
    return await Client(company.http).get(f"/forms/{form['public_key']}{query}", headers=headers)


def filled_in(page: httpx.Response, **values: str) -> dict[str, str]:
    """What a browser would send: the page's hidden inputs, and what somebody wrote."""
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    return {name: unescape(value) for name, value in hidden} | values


async def post(company: Company, path: str, data: dict[str, str], **headers: str) -> httpx.Response:
    return await Client(company.http).request("POST", path, data=data, headers=headers)


# -- the page ------------------------------------------------------------------------------------------------


async def test_the_page_sends_a_lead_without_any_script(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    page = await opened(company, form, "?utm_source=wechat&gclid=1", Referer="https://www.example.org/")
    assert page.status_code == 200
    sent = filled_in(page, name="Ann Lee", email="ann@lee.example.com", fax_number="")
    answer = await post(company, f"/forms/{form['public_key']}", sent, Origin="http://rapport.test")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/forms/{form['public_key']}/thanks?lang=en",
    )
    thanks = await Client(company.http).get(answer.headers["location"])
    assert "Thank you. We have received your message." in thanks.text
    again = await post(company, f"/forms/{form['public_key']}", sent)
    assert again.status_code == 303
    [lead] = await leads(owner)
    assert (lead["utm_source"], lead["referrer"]) == ("wechat", "https://www.example.org/")
    assert lead["landing_page"].endswith(f"/forms/{form['public_key']}?utm_source=wechat&gclid=1")
    assert await outcomes(owner, form) == [("created", None)]


async def test_the_page_forbids_what_it_does_not_need(company: Company, owner: Client) -> None:
    form = await make_form(owner, redirect_url=f"{SHOP}/thanks")
    page = await opened(company, form)
    policy = page.headers["content-security-policy"]
    [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; base-uri 'none'; frame-ancestors 'none';"
        f" form-action 'self' {SHOP}"
    )
    assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == (
        "nosniff",
        "same-origin",
    )
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert "url(" not in style


@pytest.mark.parametrize(
    ("query", "accepted", "title", "lang"),
    [
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "联系我们", "zh-CN"),
        ("", "fr;q=0.9, en;q=0.5, zh;q=0.7", "联系我们", "zh-CN"),
        ("", "en-GB,en;q=0.9", "Contact us", "en"),
        ("?lang=zh", "en", "联系我们", "zh-CN"),
        ("?lang=xx", "fr", "Contact us", "en"),
    ],
)
async def test_the_page_speaks_the_visitors_language(
    company: Company, owner: Client, query: str, accepted: str, title: str, lang: str
) -> None:
    form = await make_form(owner)
    page = await opened(company, form, query, **{"Accept-Language": accepted})
    assert f"<h1>{title}</h1>" in page.text
    assert f'<html lang="{lang}">' in page.text


async def test_mistakes_are_named_and_what_was_written_stays(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    page = await opened(company, form, "?lang=zh")
    sent = filled_in(page, name=NASTY, email="nobody")
    answer = await post(company, f"/forms/{form['public_key']}", sent)
    assert answer.status_code == 422
    assert '<div class="wrong" role="alert">' in answer.text
    assert '<a href="#f-email">邮箱</a>: 邮箱地址格式不正确。' in answer.text
    assert 'aria-invalid="true" aria-describedby="e-email"' in answer.text
    assert f'value="{ESCAPED}"' in answer.text
    assert "<script" not in answer.text
    assert filled_in(answer)["token"] == sent["token"]
    assert filled_in(answer)["opened"] == sent["opened"]
    assert await count(company, "leads.leads") == 0


async def test_what_a_company_writes_is_escaped_everywhere(company: Company, owner: Client) -> None:
    options = [{"value": NASTY, "label": label(NASTY)}]
    form = await make_form(
        owner,
        name=label(NASTY),
        thanks={"en": NASTY},
        fields=[
            {"name": "name", "label": label(NASTY), "placeholder": label(NASTY), "default": NASTY},
            {"name": "company", "label": label(NASTY), "options": options},
        ],
        consents=[{"channel": "email", "text": {"en": NASTY}}],
    )
    for path in ("", "/thanks"):
        page = await Client(company.http).get(f"/forms/{form['public_key']}{path}?utm_source={NASTY}")
        assert page.status_code == 200
        assert "<script" not in page.text
        assert ESCAPED in page.text


async def test_every_input_of_the_page_has_its_label(company: Company, owner: Client) -> None:
    form = await make_form(owner, consents=[{"channel": "email", "text": {"en": "News"}}])
    text = (await opened(company, form)).text
    shown = re.findall(r'<(?:input|textarea|select)[^>]* id="([^"]+)"', text)
    assert sorted(shown) == [
        "f-consent.email",
        "f-description",
        "f-email",
        "f-fax_number",
        "f-name",
        "f-phone",
    ]
    assert sorted(re.findall(r'<label for="([^"]+)"', text)) == sorted(shown)
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in text


async def test_a_page_of_another_origin_cannot_post_the_page(company: Company, owner: Client) -> None:
    form = await make_form(owner)
    path = f"/forms/{form['public_key']}"
    for origin in ("https://evil.example.net", "null"):
        answer = await post(company, path, {"name": "A", "email": "a@example.com"}, Origin=origin)
        assert answer.status_code == 404
    assert await outcomes(owner, form) == []


async def test_too_many_posts_of_the_page_say_when_to_come_back(company: Company, owner: Client) -> None:
    form = await make_form(owner, limit_per_address=1)
    path = f"/forms/{form['public_key']}"
    answers = [await post(company, path, {"name": "A", "email": "a@example.com"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 429]
    assert int(answers[1].headers["retry-after"]) > 3_590
    assert 'value="A"' in answers[1].text


# -- the script ----------------------------------------------------------------------------------------------


async def test_the_script_carries_only_what_the_page_shows(company: Company, owner: Client) -> None:
    hidden = {"name": "industry", "label": label("I"), "hidden": True, "default": "secret"}
    fields = [{"name": "email", "label": label(f"{NASTY}\u2028x"), "required": True}, hidden]
    form = await make_form(owner, fields=fields, source="secret", campaign="secret")
    script = await opened(company, form, "/embed.js")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "secret" not in script.text
    assert "\u2028" not in script.text
    config = orjson.loads(script.text[script.text.rindex('({"key"') + 1 : script.text.rindex(")")])
    assert config["endpoint"] == form["submit_url"]
    assert config["fields"] == [
        {
            "name": "email", "label": f"{NASTY}\u2028x", "placeholder": "", "required": True, "value": None,
            "kind": "email", "options": [],
        }
    ]  # fmt: skip
    unknown = await Client(company.http).get(f"/forms/{'A' * 46}/embed.js")
    assert unknown.status_code == 404


# -- confirming an address -----------------------------------------------------------------------------------


async def mails(company: Company) -> list[dict[str, Any]]:
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT payload FROM kernel.jobs WHERE tenant_id = $1 AND name = 'mail.send'"
            " AND payload->>'subject' IN ('Please confirm your e-mail address', '请确认您的邮箱地址') AND"
            " payload->>'text' LIKE '%/forms/confirmations/%' ORDER BY created_at, id",
            uow.tenant_id,
        )
    return [row["payload"] for row in rows]


def link_in(mail: dict[str, Any]) -> str:
    found = re.search(r"http://127\.0\.0\.1:8000(/forms/confirmations/\S+)", mail["text"])
    assert found is not None
    return found[1]


async def test_a_lead_is_made_when_its_sender_confirms_and_not_before(
    company: Company, owner: Client
) -> None:
    form = await make_form(owner, double_opt_in=True, consents=[{"channel": "email", "text": {"en": "News"}}])
    agreed: dict[str, Any] = {"consent.email": True}
    answer = await send(company, form, name="http://spam.example.net", language="zh", **agreed)
    assert answer.json()["message"].startswith("谢谢。我们已向您发送邮件")
    assert (await count(company, "leads.leads"), await outcomes(owner, form)) == (0, [("pending", None)])
    [mail] = await mails(company)
    assert (mail["to"], mail["subject"]) == ("ann@lee.example.com", "请确认您的邮箱地址")
    assert "联系我们" in mail["text"]
    assert "spam" not in mail["text"]
    path = link_in(mail)
    for _ in range(2):  # programs that look at mails open links
        page = await Client(company.http).get(path)
        assert (page.status_code, "请点击按钮" in page.text) == (200, True)
    assert await count(company, "leads.leads") == 0
    done = [await post(company, path, {}) for _ in range(2)]
    assert [(one.status_code, "您的邮箱地址已确认。" in one.text) for one in done] == [(200, True)] * 2
    assert done[0].text == done[1].text == (await Client(company.http).get(path)).text
    [lead] = await leads(owner)
    assert lead["name"] == "http://spam.example.net"
    assert len((await owner.ok("GET", f"/v1/leads/{lead['id']}/consents"))["data"]) == 1
    [sent] = (await owner.ok("GET", f"/v1/forms/{form['id']}/submissions"))["data"]
    assert (sent["status"], sent["lead_id"], sent["confirmed_at"]) == (
        "created",
        lead["id"],
        lead["created_at"],
    )


async def test_confirming_a_hundred_times_at_once_makes_one_lead(company: Company, owner: Client) -> None:
    form = await make_form(owner, double_opt_in=True)
    await send(company, form)
    path = link_in((await mails(company))[0])
    answers = await asyncio.gather(*(post(company, path, {}) for _ in range(100)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert (await count(company, "leads.leads"), await outcomes(owner, form)) == (1, [("created", None)])


async def test_an_expired_link_explains_itself_and_what_was_sent_is_forgotten(
    company: Company, owner: Client
) -> None:
    form = await make_form(owner, double_opt_in=True)
    await send(company, form)
    path = link_in((await mails(company))[0])
    kernel = company.app.kernel
    assert kernel is not None
    kernel.clock = FixedClock(SystemClock().now() + timedelta(days=7, minutes=1))
    try:
        for answer in (await Client(company.http).get(path), await post(company, path, {})):
            assert (answer.status_code, "This link has expired" in answer.text) == (410, True)
            assert f'href="/forms/{form["public_key"]}?lang=en"' in answer.text
        await forget(ScheduledRun(kernel, (await actor_of(company)).tenant))
    finally:
        kernel.clock = SystemClock()
    assert await outcomes(owner, form) == [("refused", "not_confirmed")]
    [sent] = (await owner.ok("GET", f"/v1/forms/{form['id']}/submissions"))["data"]
    assert sent["answers"] is None
    assert (await post(company, path, {})).status_code == 410
    assert await count(company, "leads.leads") == 0


async def test_links_that_were_never_sent_or_of_a_suspended_company_lead_nowhere(
    company: Company, rival: Company, owner: Client
) -> None:
    form = await make_form(owner, double_opt_in=True)
    await send(company, form)
    path = link_in((await mails(company))[0])
    stem, _, token = path.rpartition("/")
    foreign = link_in_of(rival, token)
    for wrong in (f"{stem}/nonsense", f"{stem}/{token[:-4]}AAAA", f"{stem}/{foreign}"):
        assert (await post(company, wrong, {})).status_code == 404
    async with acting(company) as uow:
        await uow.fetch("UPDATE tenants.tenants SET status = 'suspended' WHERE tenant_id = $1", uow.tenant_id)
    assert (await post(company, path, {})).status_code == 404
    assert (await Client(company.http).get(path)).status_code == 404
    assert await count(company, "leads.leads") == 0


def link_in_of(rival: Company, token: str) -> str:
    """The same link, as if it belonged to another company."""
    raw = decode_base64url(token.removeprefix("rl_"))
    return "rl_" + encode_base64url(raw[:16] + rival.tenant_id.bytes + raw[32:])


async def test_nobody_is_mailed_more_than_five_times_an_hour(company: Company, owner: Client) -> None:
    form = await make_form(owner, double_opt_in=True)
    answers = await asyncio.gather(*(send(company, form, name=f"N{n}") for n in range(12)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len(await mails(company)) == 5
    assert (
        sorted(await outcomes(owner, form)) == [("pending", None)] * 5 + [("refused", "too_many_mails")] * 7
    )
