"""The documentation in a real browser without the internet: it renders, one signs in, tries a request, signs out."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from app.main import Application
from tests.browser.conftest import patient
from tests.support.api import PASSWORD, Company
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


@pytest.fixture(scope="module")
async def url(app: Application) -> AsyncIterator[str]:
    async with served(app) as address:
        yield address


class Visit:
    """A page and everything that went wrong or left this machine while it was open."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda one: None if one.url.startswith((url, "data:")) else self.foreign.append(one.url),
        )


@pytest.fixture(scope="module")
async def opened(browser: Browser, url: str) -> AsyncIterator[Visit]:
    """The page, opened once: showing more than a thousand operations takes a browser seconds."""
    page = patient(await browser.new_page())
    visit = Visit(page, url)
    await page.goto(f"{url}/docs")
    await page.wait_for_selector("body[data-ready]")
    assert visit.complaints == []
    yield visit
    await page.close()


@pytest.fixture
async def visit(opened: Visit) -> AsyncIterator[Visit]:
    """The page, with nobody signed in."""
    opened.complaints.clear()
    yield opened
    if await opened.page.locator("#sign-out").is_visible():
        await opened.page.click("#sign-out")
        await expect(opened.page.locator("#status")).to_contain_text("Signed out")


async def sign_in(page: Page, company: Company, password: str = PASSWORD) -> None:
    await page.fill("#email", company.email)
    await page.fill("#password", password)
    await page.click("#submit")


async def open_list_leads(page: Page) -> Locator:
    """`GET /v1/leads` with its details shown."""
    operation = page.locator("#operations-leads-list_leads")
    if not await operation.count():
        await page.locator('.opblock-tag[data-tag="leads"]').click()
        await operation.locator(".opblock-summary-control").first.click()
    return operation


async def try_list_leads(page: Page) -> str:
    """Open `GET /v1/leads`, try it out, and return the status that the page shows."""
    operation = await open_list_leads(page)
    for what_is_left in ("Try it out", "Clear"):
        button = operation.get_by_role("button", name=what_is_left)
        if await button.is_visible():
            await button.click()
    await operation.get_by_role("button", name="Execute").click()
    status = operation.locator(".live-responses-table tbody .response-col_status").first
    await expect(status).to_contain_text("0" if await page.locator("#sign-out").is_visible() else "401")
    return (await status.inner_text()).split()[0]


async def test_one_signs_in_and_tries_a_request(visit: Visit, company: Company):
    await sign_in(visit.page, company)
    await expect(visit.page.locator("#status")).to_contain_text(f"Signed in as {company.email}")
    assert await try_list_leads(visit.page) == "200"
    assert visit.complaints == []


async def test_everything_comes_from_this_server(visit: Visit, company: Company):
    await sign_in(visit.page, company)
    await expect(visit.page.locator("#status")).to_contain_text("Signed in")
    await open_list_leads(visit.page)
    assert visit.foreign == []
    assert visit.complaints == []


async def test_requests_go_to_the_server_that_the_page_came_from(visit: Visit, url: str):
    assert await visit.page.locator(".servers select option").all_inner_texts() == [url]


async def test_a_wrong_password_is_said_and_signs_nobody_in(visit: Visit, company: Company):
    await sign_in(visit.page, company, "not the password")
    await expect(visit.page.locator("#status.wrong")).to_contain_text("not right")
    assert await visit.page.locator("#sign-out").is_hidden()
    assert await try_list_leads(visit.page) == "401"


async def test_signing_out_ends_the_session(visit: Visit, company: Company):
    await sign_in(visit.page, company)
    await expect(visit.page.locator("#status")).to_contain_text("Signed in")
    async with visit.page.expect_response("**/v1/sessions/current") as ended:
        await visit.page.click("#sign-out")
    assert (await ended.value).status == 204
    await expect(visit.page.locator("#status")).to_contain_text("Signed out")
    assert await try_list_leads(visit.page) == "401"


async def test_every_operation_is_listed(visit: Visit, app: Application):
    tags = {
        tag
        for methods in app.openapi()["paths"].values()
        for operation in methods.values()
        for tag in operation["tags"]
    }
    shown = await visit.page.locator(".opblock-tag").evaluate_all("all => all.map(one => one.dataset.tag)")
    assert set(shown) >= tags
