"""Pages and probes beside the API: documentation's parts, problems, health, metrics, mail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from app.kernel.errors import catalogue
from app.main import Application
from tests.support.api import Company

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def web(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://rapport.test") as client:
        yield client


async def test_the_front_page_leads_on(web: httpx.AsyncClient):
    links = (await web.get("/")).json()
    for name in ("docs", "openapi", "problems", "health", "mail"):
        assert (await web.get(links[name])).status_code == 200, name
    assert 'href="/docs"' in (await web.get("/", headers=HTML)).text


@pytest.mark.parametrize("path", ["/", "/docs", "/problems", "/problems/not_found"])
async def test_pages_forbid_what_they_do_not_need(web: httpx.AsyncClient, path: str):
    answer = await web.get(path, headers=HTML)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in answer.text
    assert "style=" not in answer.text
    assert "http" not in answer.text.replace("https://rapport.example", "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css"), ("docs.js", "javascript"),
     ("pages.css", "css"), ("favicon-32x32.png", "png")],
)  # fmt: skip
async def test_assets_are_served_once(web: httpx.AsyncClient, name: str, kind: str):
    first = await web.get(f"/docs/assets/{name}")
    assert (first.status_code, kind in first.headers["content-type"]) == (200, True)
    again = await web.get(f"/docs/assets/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["docs.html", "swagger-ui.js", "..%2fdocs_pages.py", "%2e%2e%2f%2e%2e%2fmain.py"]
)
async def test_other_files_are_no_assets(web: httpx.AsyncClient, name: str):
    assert (await web.get(f"/docs/assets/{name}")).status_code == 404


async def test_the_document_is_the_application_s_own(web: httpx.AsyncClient, app: Application):
    assert (await web.get("/openapi.json")).json() == app.openapi()
    assert not [path for path in app.openapi()["paths"] if path.startswith(("/docs", "/dev", "/problems"))]


async def test_every_problem_has_its_page(web: httpx.AsyncClient):
    listed = (await web.get("/problems")).json()["data"]
    assert [one["code"] for one in listed] == [kind.code for kind in catalogue()]
    for one in listed:
        page = await web.get(one["example"]["type"], headers=HTML)
        assert (page.status_code, one["code"] in page.text) == (200, True)
    assert (await web.get("/problems/no_such_code")).status_code == 404


async def test_healthz_says_that_the_process_answers(web: httpx.AsyncClient):
    assert (await web.get("/healthz")).json()["status"] == "ok"


async def test_readyz_looks_at_database_migrations_and_queue(web: httpx.AsyncClient):
    answer = await web.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    checks = answer.json()["checks"]
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": True,
        "migrations": True,
        "queue": True,
    }
    assert checks["queue"].keys() >= {"jobs_due", "events_unpublished", "oldest_event_seconds"}


async def test_metrics_count_requests(web: httpx.AsyncClient):
    await web.get("/healthz")
    text = (await web.get("/metrics")).text
    assert 'rapport_requests_total{operation="healthz",status="200"}' in text
    assert "rapport_jobs_waiting" in text


async def test_mail_can_be_read_by_scripts_in_development_only(
    web: httpx.AsyncClient, app: Application, company: Company, monkeypatch: pytest.MonkeyPatch
):
    assert (await web.get("/dev/mail.json")).status_code == 200
    monkeypatch.setattr(app.settings, "environment", "production")
    assert (await web.get("/dev/mail.json")).status_code == 404
    assert "mail" not in (await web.get("/")).json()
