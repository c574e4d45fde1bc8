"""The page of a survey, and that of an article, in a real browser: on a phone, by keyboard, for a screen reader."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from app.kernel.clock import FixedClock
from app.main import Application
from tests.browser.conftest import patient
from tests.browser.test_forms import complaints_of
from tests.browser.test_offers import _AUDIT, _FOCUSED, browser, phone, pytestmark, send, url, width_of
from tests.modules.after_sales.knowledge.articles import published
from tests.modules.after_sales.surveys.asked import asked, customer, path_of, resolved, survey
from tests.support.api import Client

__all__ = ["browser", "phone", "pytestmark", "url"]
Json = dict[str, Any]


async def link_of(owner: Client, kind: str = "csat", **fields: Any) -> str:
    made = await survey(owner, kind, **fields)
    case = await resolved(owner, await customer(owner), subject="W" * 120)
    return path_of(await asked(owner, made, case))


async def answers(owner: Client) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", "/v1/survey-answers"))["data"]
    return found


async def test_a_customer_answers_on_a_phone_without_scripts(
    phone: BrowserContext, url: str, owner: Client
) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    address = url + await link_of(owner, "nps") + "?lang=zh"
    page = await phone.new_page()
    complaints = complaints_of(page, url)
    await page.goto(address)
    await expect(page.get_by_role("heading", level=1)).to_have_text("服务评价")
    await expect(page.get_by_role("banner")).to_contain_text(tenant["name"])
    assert await width_of(page) == 360
    await page.get_by_role("button", name="提交").click()
    await expect(page.get_by_role("alert")).to_contain_text("请选择一个分数。")
    await page.get_by_label("3", exact=True).check()
    await page.get_by_label("您还有什么想告诉我们的？").fill("等了很久。")
    await page.get_by_label("我要投诉").check()
    await page.get_by_role("button", name="提交").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("感谢您的评价")
    await expect(page.get_by_role("status")).to_contain_text("您的评分：3（满分 10）")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("感谢您的评价")
    (answer,) = await answers(owner)
    assert (answer["score"], answer["comment"], answer["complaint"]) == (3, "等了很久。", True)
    assert complaints == []


async def test_two_tabs_give_the_first_answer(phone: BrowserContext, url: str, owner: Client) -> None:
    address = url + await link_of(owner)
    tabs = [await phone.new_page() for _ in range(2)]
    for score, tab in zip(("5", "1"), tabs, strict=True):
        await tab.goto(address)
        await tab.get_by_label(score, exact=True).check()
    for tab in tabs:
        await tab.get_by_role("button", name="Send").click()
        await expect(tab.get_by_role("status")).to_contain_text("You gave us 5 out of 5.")
    assert [one["score"] for one in await answers(owner)] == [5]


async def test_a_survey_that_is_over_explains_itself(
    app: Application, phone: BrowserContext, url: str, owner: Client
) -> None:
    kernel = app.kernel
    assert kernel is not None
    address = url + await link_of(owner, expires_days=1)
    former = kernel.clock
    kernel.clock = FixedClock(former.now() + timedelta(days=2))
    try:
        page = await phone.new_page()
        answer = await page.goto(address)
        assert answer is not None
        assert answer.status == 410
        await expect(page.get_by_role("heading", level=1)).to_have_text("This survey is closed")
        await expect(page.get_by_role("button")).to_have_count(0)
    finally:
        kernel.clock = former


async def test_a_survey_is_answered_by_keyboard_alone(browser: Browser, url: str, owner: Client) -> None:
    address = url + await link_of(owner, "ces")
    page = patient(await browser.new_page())
    await page.goto(address)
    await page.keyboard.press("Tab")  # the other language
    await page.keyboard.press("Tab")  # the scale
    assert (await page.evaluate(_FOCUSED))["outline"] >= 2
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    for _ in range(3):
        await page.keyboard.press("Tab")
    assert (await page.evaluate(_FOCUSED))["name"] == "Send"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("out of 7.")
    await page.close()
    assert len(await answers(owner)) == 1


@pytest.mark.parametrize("color", [None, "#ffe600", "#000000"])
async def test_every_state_is_accessible_in_any_colour(
    browser: Browser, url: str, owner: Client, color: str | None
) -> None:
    tenant = await owner.ok("GET", "/v1/tenant")
    await owner.ok("PATCH", "/v1/tenant", json={"brand_color": color}, if_match=tenant["version"])
    address = url + await link_of(owner, "nps")
    page = patient(await browser.new_page(viewport={"width": 320, "height": 700}))
    complaints = complaints_of(page, url)
    await page.goto(address)
    assert await page.evaluate(_AUDIT) == []
    assert await width_of(page) == 320
    for label in await page.locator(".scale label").all():
        box = await label.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    await send(page, "Send")
    await expect(page.get_by_role("alert")).to_contain_text("Please choose a number.")
    assert await page.evaluate(_AUDIT) == []
    await page.get_by_label("9", exact=True).check()
    await send(page, "Send")
    await expect(page.get_by_role("status")).to_contain_text("You gave us 9 out of 10.")
    assert await page.evaluate(_AUDIT) == []
    await page.goto(f"{url}/s/nothing")
    assert await page.evaluate(_AUDIT) == []
    made = await published(owner, "W" * 200, audience="public", body="# Steps\n\n- one\n\n1. two\n\nThree")
    for query in ("", "?thanks=1"):
        await page.goto(f"{url}/kb/{made['public_key']}{query}")
        assert await page.evaluate(_AUDIT) == []
        assert await width_of(page) == 320
    await page.close()
    assert complaints == []
