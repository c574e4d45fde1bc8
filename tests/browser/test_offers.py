"""The page of an offer in a real browser: on a phone, by keyboard alone, and as a screen reader sees it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from app.kernel.clock import FixedClock
from app.main import Application
from tests.browser.conftest import patient
from tests.browser.test_forms import complaints_of
from tests.kernel.test_pdf import picture
from tests.modules.quotes.offers import account_of, again, line, lines_of, sent_quote, step
from tests.modules.quotes.pages import link_of
from tests.support.api import Client
from tests.support.served import served

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}

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


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = patient(await browser.new_context(**PHONE, java_script_enabled=False))
    yield context
    await context.close()


async def robots(owner: Client, **fields: Any) -> dict[str, Any]:
    """An offer of two lines and an option, in Chinese unless another language is given."""
    account = await account_of(owner, name="蓝海贸易")
    return await sent_quote(
        owner,
        line("1000.00", "2", "CNY", description="工业机器人", unit="台", tax_rate="13"),
        line("0.01", "3", "CNY", description="W" * 150, unit="个"),
        line("500.00", "1", "CNY", description="延保一年", optional=True, tax_rate="6"),
        **{"account_id": account["id"], "currency": "CNY", "language": "zh", "terms": "款到发货。"} | fields,
    )


async def width_of(page: Page) -> int:
    found: int = await page.evaluate("document.documentElement.scrollWidth")
    return found


async def send(page: Page, button: str) -> None:
    """Presses a button that sends the page's form, and waits for the page that answers.

    For what looks at the page itself, as an audit does: a click is over when it was given, when the former page
    may still stand there, or none. What expects something of a page waits for that by itself.
    """
    async with page.expect_navigation():
        await page.get_by_role("button", name=button).click()


# -- a phone -------------------------------------------------------------------------------------------------


async def test_a_customer_chooses_and_accepts_on_a_phone_without_scripts(
    phone: BrowserContext, url: str, owner: Client
) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    logo = await owner.request(
        "PUT", "/v1/tenant/logo", content=picture(90, 30), headers={"Content-Type": "image/png"},
        if_match=tenant["version"],
    )  # fmt: skip
    assert logo.status_code == 200
    quote = await robots(owner)
    page = await phone.new_page()
    complaints = complaints_of(page, url)
    await page.goto(url + await link_of(owner, quote))
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"报价单 {quote['number']}")
    await expect(page.get_by_role("img", name=tenant["name"])).to_be_visible()
    await page.get_by_label("延保一年").check()
    await page.get_by_label("您的姓名").fill("李华")
    await page.get_by_label("您的职务").fill("采购经理")
    await page.get_by_role("button", name="接受").click()
    await expect(page.get_by_role("status")).to_contain_text("¥2,790.03")
    await expect(page.get_by_label("您的姓名")).to_have_value("李华")
    await page.get_by_label("我接受本报价，合计 ¥2,790.03").check()
    await page.get_by_role("button", name="接受").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("报价已被接受")
    await expect(page.get_by_role("status")).to_contain_text("李华 已于")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("报价已被接受")
    answer = await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer")
    assert (answer["name"], answer["job_title"], answer["total"]["amount"]) == ("李华", "采购经理", "2790.03")
    assert answer["chosen_line_ids"] == [(await lines_of(owner, quote))[2]["id"]]
    assert complaints == []


async def test_accepting_twice_from_two_tabs_gives_the_first_answer(
    phone: BrowserContext, url: str, owner: Client
) -> None:
    quote = await robots(owner)
    address = url + await link_of(owner, quote)
    tabs = [await phone.new_page() for _ in range(2)]
    for number, tab in enumerate(tabs):
        await tab.goto(address)
        await tab.get_by_label("您的姓名").fill(f"第{number}位")
        await tab.get_by_label("我接受本报价").check()
    for tab in tabs:
        await tab.get_by_role("button", name="接受").click()
        await expect(tab.get_by_role("status")).to_contain_text("第0位 已于")
    assert (await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer"))["name"] == "第0位"


async def test_a_customer_declines_on_a_phone(phone: BrowserContext, url: str, owner: Client) -> None:
    quote = await robots(owner)
    page = await phone.new_page()
    await page.goto(url + await link_of(owner, quote))
    await page.get_by_text("谢绝报价").click()
    await page.get_by_label("原因").fill("预算不足")
    await page.get_by_role("button", name="谢绝").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("报价已被谢绝")
    assert (await again(owner, quote))["decline_reason"] == "预算不足"


async def test_what_is_over_explains_itself_on_a_phone(
    app: Application, phone: BrowserContext, url: str, owner: Client
) -> None:
    kernel = app.kernel
    assert kernel is not None
    today = kernel.clock.now()
    expiring = await robots(owner, language="en", valid_until=(today + timedelta(days=3)).date().isoformat())
    replaced = await robots(owner, language="en")
    addresses = [url + await link_of(owner, quote) for quote in (expiring, replaced)]
    newer = await step(owner, replaced, "revise")
    await step(owner, newer, "send", by_mail=False)
    former = kernel.clock
    kernel.clock = FixedClock(today + timedelta(days=9))
    try:
        page = await phone.new_page()
        for address, heading in zip(
            addresses,
            ("This offer is no longer valid", "There is a newer version of this offer"),
            strict=True,
        ):
            answer = await page.goto(address)
            assert answer is not None
            assert answer.status == 410
            await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            await expect(page.get_by_role("link", name="@")).to_be_visible()
            await expect(page.get_by_role("button")).to_have_count(0)
            assert await width_of(page) == 360
    finally:
        kernel.clock = former


@pytest.mark.parametrize("width", [320, 360, 768])
async def test_no_page_scrolls_sideways_and_targets_are_large(
    browser: Browser, url: str, owner: Client, width: int
) -> None:
    quote = await robots(owner)
    page = patient(await browser.new_page(viewport={"width": width, "height": 700}))
    complaints = complaints_of(page, url)
    await page.goto(url + await link_of(owner, quote))
    assert await width_of(page) == width
    for button in await page.get_by_role("button", name="接受").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    await page.close()
    assert complaints == []


# -- the keyboard --------------------------------------------------------------------------------------------


async def test_an_offer_is_accepted_by_keyboard_alone(browser: Browser, url: str, owner: Client) -> None:
    quote = await robots(owner, language="en", signature_required=True)
    page = patient(await browser.new_page())
    await page.goto(url + await link_of(owner, quote))

    async def tab_to(name: str) -> None:
        for _ in range(40):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(_FOCUSED)
            assert focused["outline"] >= 2, focused  # whatever has the focus shows it
            if focused["name"].startswith(name):
                return
        raise AssertionError(name)

    await tab_to("Your name")
    await page.keyboard.type("Li Hua")
    await page.keyboard.press("Enter")  # sends the form, which says what is missing
    await expect(page.get_by_role("alert")).to_contain_text("Please fill this in.")
    await tab_to("Your signature")
    await page.keyboard.press("Enter")  # the link to the field
    await expect(page.get_by_label("Your signature")).to_be_focused()
    await page.keyboard.type("Li Hua")
    await tab_to("I accept this offer")
    await page.keyboard.press("Space")
    await tab_to("Accept")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This offer was accepted")
    await page.close()
    assert (await owner.ok("GET", f"/v1/quotes/{quote['id']}/answer"))["signature"] == "Li Hua"


_FOCUSED = """() => {
  const one = document.activeElement, label = one.labels && one.labels[0];
  return {name: (label || one).innerText || '', outline: parseFloat(getComputedStyle(one).outlineWidth) || 0};
}"""


# -- what a screen reader and weak eyes get ------------------------------------------------------------------

_AUDIT = """() => {
  const found = [];
  const channel = value => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = numbers(getComputedStyle(node).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  if (!document.documentElement.lang) found.push('no language');
  if (!document.title) found.push('no title');
  if (document.querySelectorAll('main').length !== 1) found.push('no main landmark');
  if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
  let level = 0;
  for (const heading of document.querySelectorAll('h1,h2,h3,h4')) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) found.push('heading skips a level: ' + heading.innerText);
    level = own;
  }
  const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
  if (new Set(ids).size !== ids.length) found.push('an id twice');
  for (const input of document.querySelectorAll('input:not([type=hidden]),select,textarea'))
    if (!input.labels.length || !input.labels[0].textContent.trim()) found.push('no label: ' + input.outerHTML);
  for (const image of document.querySelectorAll('img')) if (!image.alt) found.push('no alt');
  for (const one of document.querySelectorAll('a,button,summary')) if (!one.textContent.trim()) found.push('no name');
  for (const one of document.querySelectorAll('[aria-describedby]'))
    if (!document.getElementById(one.getAttribute('aria-describedby'))) found.push('describes nothing');
  for (const node of document.querySelectorAll('main *, header *')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.getClientRects().length) continue;
    const style = getComputedStyle(node), one = light(numbers(style.color)), other = light(behind(node));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${node.innerText.slice(0, 40)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("color", [None, "#ffe600", "#000000", "#7fd3ff"])
async def test_every_state_of_the_page_is_accessible_in_any_colour(
    browser: Browser, url: str, owner: Client, color: str | None
) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"brand_color": color}, if_match=tenant["version"])
    quote = await robots(owner, language="en", signature_required=True)
    page = patient(await browser.new_page())
    complaints = complaints_of(page, url)
    await page.goto(url + await link_of(owner, quote))
    await page.get_by_text("Decline this offer").click()
    assert await page.evaluate(_AUDIT) == []
    await send(page, "Accept")
    await expect(page.get_by_role("alert")).to_contain_text("Please fill this in.")
    assert await page.evaluate(_AUDIT) == []
    await page.get_by_label("延保一年").check()
    await send(page, "Accept")
    await expect(page.get_by_role("status")).to_contain_text("2,790.03")
    assert await page.evaluate(_AUDIT) == []
    await page.get_by_label("Your name").fill("Li Hua")
    await page.get_by_label("Your signature").fill("Li Hua")
    await page.get_by_label("I accept this offer").check()
    await send(page, "Accept")
    await expect(page.get_by_role("heading", level=1)).to_have_text("This offer was accepted")
    assert await page.evaluate(_AUDIT) == []
    await page.goto(f"{url}/q/nothing")
    assert await page.evaluate(_AUDIT) == []
    await page.close()
    assert complaints == []
