"""The PDF of a quote: made once for what was sent, anew for a draft, and only for those who may see prices."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from app.kernel.jobs import JobContext
from app.main import Application
from app.modules.quotes.services.keeping import KIND, SUBSCRIPTION, SentQuote, keep_pdf, on_sent
from tests.kernel.test_pdf import font_files, picture, reading, sizes_of_pictures, text_of
from tests.modules.quotes.conftest import Hire
from tests.modules.quotes.offers import account_of, again, line, quote_of, sent_quote, step
from tests.modules.quotes.pages import Customer, link_of, rows_in
from tests.modules.support import acting, actor_of
from tests.support.api import Client, Company


async def pdf_of(client: Client, quote: dict[str, Any], query: str = "") -> bytes:
    answer = await client.get(f"/v1/quotes/{quote['id']}/pdf{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    content: bytes = answer.content
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    return content


def title_of(pdf: bytes) -> str | None:
    found = reading(pdf).metadata
    return found.title if found else None


async def branded(client: Client) -> None:
    """A company with all that its documents show."""
    tenant = await client.ok("GET", "/v1/tenant")
    saved = await client.ok(
        "PATCH",
        "/v1/tenant",
        json={
            "legal_name": "北辰机器人有限公司",
            "address": "上海市张江路100号\n201203",
            "tax_number": "91310000MA1K35X00X",
            "country": "CN",
        },
        if_match=tenant["version"],
    )
    logo = await client.request(
        "PUT",
        "/v1/tenant/logo",
        content=picture(40, 10),
        headers={"Content-Type": "image/png"},
        if_match=saved["version"],
    )
    assert logo.status_code == 200


async def test_a_sent_quote_is_one_file_in_either_language(app: Application, owner: Client, company: Company):
    await branded(owner)
    account = await account_of(
        owner, name="蓝海贸易有限公司", address="科技园路8号", city="深圳市", region="广东省", country="CN"
    )
    quote = await sent_quote(
        owner,
        line(
            "1299.00", "3", "CNY", description="工业机器人", unit="台", discount_percent="10", tax_rate="13"
        ),
        line("500.00", "1", "CNY", description="延保", optional=True, tax_rate="6"),
        line("80.00", "2", "CNY", description="云服务", charge="monthly", tax_rate="6"),
        account_id=account["id"],
        currency="CNY",
        language="zh",
        terms="款到发货。",
        name="二期产线",
    )
    content = await pdf_of(owner, quote)
    text = text_of(content)
    for said in (
        "报价单", quote["number"], "北辰机器人有限公司", "上海市张江路100号", "税号91310000MA1K35X00X", "蓝海贸易有限公司",
        "中国广东省深圳市", "科技园路8号", "主题二期产线", "1工业机器人3台1,299.0010%13%3,507.30", "可选项目", "2延保1", "3云服务",
        "80.00/月", "不含税金额¥3,667.30", "税额6%¥9.60", "税额13%¥455.95", "合计¥4,132.85", "人民币肆仟壹佰叁拾贰元捌角伍分",
        "一次性：¥3,963.25", "每月：¥169.60", "款到发货。",
    ):  # fmt: skip
        assert said in text, said
    assert "草稿" not in text
    assert sizes_of_pictures(content) == [(40, 10)]
    assert all(font_files(content))
    assert title_of(content) == f"报价单 {quote['number']}"
    english = text_of(await pdf_of(owner, quote, "?language=en"))
    assert "Quotation" in english
    assert "TotalCN¥4,132.85" in english
    assert "Eachmonth:CN¥169.60" in english
    assert "人民币" not in english
    assert await rows_in(company, "kernel.documents") == 2


async def test_what_was_sent_stays_the_same_file_whatever_changes_around_it(owner: Client, company: Company):
    await branded(owner)
    quote = await sent_quote(owner)
    first = await pdf_of(owner, quote)
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"legal_name": "Renamed"}, if_match=tenant["version"])
    account = await owner.ok("GET", f"/v1/accounts/{quote['account_id']}")
    await owner.ok(
        "PATCH", f"/v1/accounts/{account['id']}", json={"name": "Other"}, if_match=account["version"]
    )
    assert await pdf_of(owner, quote) == first
    await step(owner, quote, "accept", name="Li Hua")
    assert await pdf_of(owner, quote) == first
    assert await rows_in(company, "kernel.documents") == 1


async def test_forty_who_ask_at_once_get_the_same_bytes_and_one_is_kept(
    app: Application, owner: Client, company: Company
):
    quote = await sent_quote(owner)
    contents = await asyncio.gather(*(pdf_of(owner, quote) for _ in range(40)))
    assert len(set(contents)) == 1
    assert await rows_in(company, "kernel.documents") == 1
    customer = Customer(app, await link_of(owner, quote))
    shown = await customer.client.get(f"{customer.path}/pdf")
    assert (shown.status_code, shown.content) == (200, contents[0])
    assert shown.headers["content-disposition"] == f'inline; filename="{quote["number"]}-1.pdf"'
    assert shown.headers["referrer-policy"] == "no-referrer"


async def test_a_lost_file_is_made_again(owner: Client, company: Company):
    quote = await sent_quote(owner)
    first = await pdf_of(owner, quote)
    kernel = company.app.kernel
    assert kernel is not None
    digest = hashlib.sha256(first).hexdigest()
    await kernel.files.delete(f"tenants/{company.tenant_id}/documents/{digest}.pdf")
    assert await pdf_of(owner, quote) == first
    assert await pdf_of(owner, quote) == first
    assert await rows_in(company, "kernel.documents") == 1


@pytest.mark.parametrize(("language", "mark"), [("en", "DRAFT"), ("zh", "草稿")])
async def test_a_draft_is_marked_and_follows_its_changes(
    owner: Client, company: Company, language: str, mark: str
):
    quote = await quote_of(owner, line("100.00"), language=language)
    first = text_of(await pdf_of(owner, quote))
    assert mark in first
    assert "100.00" in first
    await owner.ok(
        "PATCH", f"/v1/quotes/{quote['id']}", json={"lines": [line("77.00")]}, if_match=quote["version"]
    )
    assert "77.00" in text_of(await pdf_of(owner, quote))
    await step(owner, quote, "submit")
    assert (await again(owner, quote))["status"] == "approved"
    assert mark in text_of(await pdf_of(owner, quote))
    assert await rows_in(company, "kernel.documents") == 0
    await step(owner, quote, "send", by_mail=False)
    sent = text_of(await pdf_of(owner, quote))
    assert mark not in sent
    assert "77.00" in sent
    assert await rows_in(company, "kernel.documents") == 1


async def test_the_file_is_made_when_a_quote_is_sent(owner: Client, company: Company):
    assert (SUBSCRIPTION.event, KIND.name) == ("quotes.quote.sent.v1", "quotes.keep_pdf")
    quote = await sent_quote(owner)
    order = SentQuote(id=quote["id"])
    kernel, actor = company.app.kernel, await actor_of(company)
    assert kernel is not None
    async with acting(company) as uow:
        await on_sent(uow, order)
    async with acting(company) as uow:
        row = await uow.fetchrow(
            "SELECT id, payload FROM kernel.jobs WHERE tenant_id = $1 AND name = 'quotes.keep_pdf'",
            uow.tenant_id,
        )
    assert row is not None
    assert row["payload"] == {"id": quote["id"]}
    context = JobContext(kernel, actor, row["id"], row["payload"], 1)
    for _ in range(2):
        await keep_pdf(context, order)
    assert await rows_in(company, "kernel.documents") == 1


async def test_who_may_not_see_it_gets_no_file(owner: Client, company: Company, rival: Company, hire: Hire):
    quote = await sent_quote(owner)
    path = f"/v1/quotes/{quote['id']}/pdf"
    seller = await hire("salesperson")
    role = await owner.ok(
        "POST",
        "/v1/roles",
        json={
            "name": "Blind",
            "grants": {"quote:read": "all"},
            "field_rules": {"quote": {"hidden": ["total"], "readonly": []}},
        },
    )
    blind = await hire("viewer", role_ids=[role["id"]])
    assert (await rival.owner.get(path)).status_code == 404
    assert (await seller.get(path)).status_code == 404
    assert (await blind.get(path)).status_code == 403
    assert (await owner.get(f"{path}?language=fr")).status_code == 422
    assert await rows_in(company, "kernel.documents") == 0
