"""Forms in a real browser: the hosted page on a phone, and the script on a page of another origin."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from app.main import Application
from tests.browser.conftest import patient
from tests.modules.after_sales.cases.test_forms import form_of
from tests.modules.after_sales.cases.test_mail import mailed
from tests.modules.leads.forms import leads, make_form, outcomes
from tests.support.api import Client, Company
from tests.support.served import served

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; CHROMIUM=/path names one"),
]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


@pytest.fixture
async def url(app: Application, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    async with served(app) as address:
        monkeypatch.setattr(app.settings, "public_url", address)
        yield address


def complaints_of(page: Page, url: str) -> list[str]:
    """Everything that goes wrong or leaves this machine while a page is open; refusals of the API apart."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda said: (
            found.append(said.text) if said.type == "error" and "status of 4" not in said.text else None
        ),
    )
    ours = ("http://127.0.0.1", "http://localhost", url)
    page.on("request", lambda one: None if one.url.startswith(ours) else found.append(one.url))
    return found


class Shop:
    """A website of somebody else, with a page that embeds a form."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        content = self.body.encode()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(content)}\r\n"
        )
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + content)
        await writer.drain()
        writer.close()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    site = Shop("")
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    site.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    yield site
    server.close()
    await server.wait_closed()


async def test_the_hosted_page_works_on_a_phone_without_scripts(
    browser: Browser, url: str, owner: Client
) -> None:
    form = await make_form(
        owner, consents=[{"channel": "email", "text": {"en": "News, please", "zh": "接收资讯"}}]
    )
    context = patient(
        await browser.new_context(
            viewport={"width": 360, "height": 740}, java_script_enabled=False, locale="zh-CN"
        )
    )
    page = await context.new_page()
    complaints = complaints_of(page, url)
    await page.goto(f"{url}/forms/{form['public_key']}?utm_source=wechat")
    await expect(page.get_by_role("heading")).to_have_text("联系我们")
    await page.get_by_label("您的姓名").fill("李华")
    await page.get_by_label("邮箱").fill("nobody")
    await page.get_by_role("button", name="提交").click()
    await expect(page.get_by_role("alert")).to_contain_text("邮箱地址格式不正确。")
    await expect(page.get_by_label("您的姓名")).to_have_value("李华")
    await page.get_by_label("邮箱").fill("li@sail.example.com")
    await page.get_by_label("接收资讯").check()
    await page.get_by_role("button", name="提交").click()
    await expect(page.get_by_role("status")).to_have_text("谢谢，我们已收到您的信息。")
    await context.close()
    [lead] = await leads(owner)
    assert (lead["name"], lead["email"], lead["utm_source"]) == ("李华", "li@sail.example.com", "wechat")
    assert complaints == []


async def test_a_customer_opens_a_case_on_a_phone_and_sees_where_it_stands(
    browser: Browser, url: str, company: Company
) -> None:
    form = await form_of(company.owner)
    context = patient(
        await browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    )
    page = await context.new_page()
    complaints = complaints_of(page, url)
    await page.goto(f"{url}/case-forms/{form['public_key']}?lang=en")
    await expect(page.get_by_role("heading")).to_have_text("Get help")
    await page.get_by_label("E-mail").fill("li@sail.example.com")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("Please fill this in.")
    await page.get_by_label("What is it about?").fill("The pump leaks")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("status")).to_have_text("Thank you. We have received your message.")
    [receipt] = await mailed(company)
    link = re.search(r"/case-status/\S+", receipt["text"])
    assert link is not None
    await page.goto(url + link[0])
    await expect(page.get_by_role("heading")).to_contain_text("Your request C-")
    await expect(page.locator("#status")).to_have_text("Received")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await context.close()
    assert complaints == []


async def test_the_page_does_not_scroll_sideways_and_is_styled(
    browser: Browser, url: str, owner: Client
) -> None:
    form = await make_form(owner)
    page = patient(await browser.new_page(viewport={"width": 320, "height": 600}))
    complaints = complaints_of(page, url)
    await page.goto(f"{url}/forms/{form['public_key']}")
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    box = await page.get_by_role("button").bounding_box()
    assert box is not None
    assert box["height"] >= 44
    await page.close()
    assert complaints == []


async def test_the_script_sends_from_a_listed_origin_and_keeps_the_first_visit(
    browser: Browser, url: str, owner: Client, shop: Shop
) -> None:
    form = await make_form(owner, allowed_origins=[shop.url], min_seconds=1)
    shop.body = f"<!doctype html><title>Shop</title>{form['snippet']}"
    page = patient(await browser.new_page(locale="en-GB"))
    complaints = complaints_of(page, url)
    await page.goto(f"{shop.url}/first?utm_source=baidu&utm_campaign=winter")
    await page.wait_for_selector("form.rapport-form")
    await page.goto(f"{shop.url}/later?utm_source=newsletter")
    await page.get_by_label("Your name (required)").fill("Ann Lee")
    await page.get_by_label("E-mail (required)").fill("nobody")
    await page.wait_for_timeout(1_100)  # whoever is quicker counts as a machine
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".rapport-error", has_text="This is not an e-mail address.")).to_be_visible()
    await expect(page.get_by_label("E-mail (required)")).to_be_focused()
    await page.get_by_label("E-mail (required)").fill("ann@lee.example.com")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("status")).to_have_text("Thank you. We have received your message.")
    await page.close()
    [lead] = await leads(owner)
    assert [lead[n] for n in ("name", "utm_source", "utm_campaign", "landing_page")] == [
        "Ann Lee", "baidu", "winter", f"{shop.url}/first?utm_source=baidu&utm_campaign=winter",
    ]  # fmt: skip
    latest: dict[str, Any] = lead["last_touch"]
    assert (latest["utm_source"], latest["utm_campaign"]) == ("newsletter", None)
    assert complaints == []


async def test_the_script_cannot_send_from_another_origin(
    browser: Browser, url: str, owner: Client, shop: Shop
) -> None:
    form = await make_form(owner, allowed_origins=["https://www.example.com"])
    shop.body = f"<!doctype html><title>Copy</title>{form['snippet']}"
    page = patient(await browser.new_page(locale="en-GB"))
    await page.goto(shop.url)
    await page.get_by_label("Your name (required)").fill("Ann")
    await page.get_by_label("E-mail (required)").fill("ann@lee.example.com")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("status")).to_have_text("That did not work. Please try again later.")
    await page.close()
    assert await outcomes(owner, form) == []
