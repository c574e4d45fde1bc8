"""What the server shows to people and to the machines that watch it, beside the API.

The documentation works without the internet: Swagger UI comes from a package, the rest lies beside this file.
No page runs a script or loads a style of another origin, and a policy says so to the browser.
"""

from __future__ import annotations

import hashlib
import importlib.util
import mimetypes
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.kernel import mail, metrics, openapi
from app.kernel.config import VERSION, Settings
from app.kernel.errors import NotFound, Problem, Unavailable, catalogue
from app.kernel.routing import Router
from app.kernel.runtime import Kernel

HERE: Final = Path(__file__).with_name("pages")
SWAGGER_ASSETS: Final = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"})
OWN_ASSETS: Final = frozenset({"docs.js", "pages.css"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = Router(tags=["pages"])


Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Response]])


def _page(path: str) -> Callable[[Endpoint], Endpoint]:
    """Register a page: for anyone, outside the API document, and without a transaction of its own."""
    return router.get(path, access="public", own_transaction=True, include_in_schema=False)


# -- documentation -------------------------------------------------------------------------------------------


@_page("/")
async def home(request: Request) -> Response:
    """Where to go from here."""
    links = {"docs": "/docs", "openapi": "/openapi.json", "problems": "/problems", "health": "/readyz"}
    kernel: Kernel = request.scope["rapport.kernel"]
    if not kernel.settings.in_production:
        links["mail"] = "/dev/mail"
    if not _wants_html(request):
        return _json({"name": "Rapport", "version": VERSION, **links})
    texts = {
        "docs": "Documentation, with sign-in and “Try it out”",
        "openapi": "The OpenAPI document",
        "problems": "Every error the API can answer",
        "health": "Whether all parts work",
        "mail": "Mail sent by this server (development)",
    }
    rows = "".join(
        f'<tr><td><a href="{path}">{path}</a></td><td>{texts[name]}</td></tr>' for name, path in links.items()
    )
    body = f'<h1>Rapport</h1><p class="soft">A CRM for many companies, by API. Version {VERSION}.</p>'
    return _html("Rapport", f"{body}<table>{rows}</table>")


@_page("/docs")
async def docs() -> Response:
    """Swagger UI with our sign-in."""
    return HTMLResponse(_file(HERE / "docs.html")[0], headers=_HEADERS | {"Content-Security-Policy": POLICY})


@_page("/docs/assets/{name}")
async def docs_asset(name: str, request: Request) -> Response:
    """A script, style or picture of the documentation."""
    if name in OWN_ASSETS:
        path = HERE / name
    elif name in SWAGGER_ASSETS:
        path = _swagger() / name
    else:
        raise NotFound
    content, etag = await run_in_threadpool(_file, path)
    headers = _HEADERS | {"ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


@_page("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The document that describes the API."""
    app = request.scope["app"]
    if app.is_documented and await run_in_threadpool(_may_answer_committed, app.settings):
        content, _ = await run_in_threadpool(_file, openapi.COMMITTED)
        return Response(content, 200, _HEADERS, "application/json")
    # Code that is being changed is described as it is: made once, in seconds, not on the loop that answers requests.
    return _json(await run_in_threadpool(app.openapi))


def _may_answer_committed(settings: Settings) -> bool:
    if settings.in_production:
        return openapi.COMMITTED.is_file()
    return openapi.committed_is_current(openapi.COMMITTED)


@lru_cache(maxsize=1)
def _swagger() -> Path:
    found = importlib.util.find_spec("fastapi_swagger")
    if found is None or not found.submodule_search_locations:
        raise Unavailable("The package fastapi-swagger is not installed; the API itself works.")
    return Path(found.submodule_search_locations[0]) / "resources"


@lru_cache(maxsize=16)
def _file(path: Path) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'


# -- problems ------------------------------------------------------------------------------------------------


@_page("/problems")
async def problem_catalogue(request: Request) -> Response:
    """Every code that the API may answer."""
    kinds = catalogue()
    if not _wants_html(request):
        return _json({"data": [_described(kind) for kind in kinds]})
    rows = "".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{kind.code}"><code>{kind.code}</code></a></td>'
        f"<td>{escape(kind.title)}</td></tr>"
        for kind in kinds
    )
    intro = "<p>Errors are RFC 9457 documents; <code>code</code> is stable, the wording is not.</p>"
    return _html("Problems", f"<h1>Problems</h1>{intro}<table>{rows}</table>")


@_page("/problems/{code}")
async def problem_page(code: str, request: Request) -> Response:
    """One code: what it means and what it looks like."""
    kind = next((kind for kind in catalogue() if kind.code == code), None)
    if kind is None:
        raise NotFound
    described = _described(kind)
    if not _wants_html(request):
        return _json(described)
    example = orjson.dumps(described["example"], option=orjson.OPT_INDENT_2).decode()
    body = (
        f'<p class="soft"><a href="/problems">Problems</a></p><h1>{kind.status} <code>{kind.code}</code></h1>'
        f"<p>{escape(kind.title)}.</p><p>{escape(described['description'])}</p><pre>{escape(example)}</pre>"
    )
    return _html(kind.code, body)


def _described(kind: type[Problem]) -> dict[str, Any]:
    # A subclass without a docstring of its own would show its parent's.
    doc = (kind.__dict__.get("__doc__") or "").split("\n\n")[0]
    example = kind().document(instance="/v1/…", request_id="0198c0de-0000-7000-8000-000000000000")
    return {
        "code": kind.code,
        "status": kind.status,
        "title": kind.title,
        "description": " ".join(doc.split()),
        "example": example,
    }


# -- health --------------------------------------------------------------------------------------------------


@_page("/healthz")
async def healthz() -> Response:
    """The process runs and answers."""
    return _json({"status": "ok", "version": VERSION})


@_page("/readyz")
async def readyz(request: Request) -> Response:
    """Whether requests can be served: database and migrations. The depth of the queue is told, not judged."""
    kernel: Kernel = request.scope["rapport.kernel"]
    checks: dict[str, dict[str, Any]] = {"database": await _database(kernel)}
    if checks["database"]["ok"]:
        checks["migrations"] = await _migrations(kernel)
        checks["queue"] = await _queue(kernel)
    ready = all(check["ok"] for check in checks.values())
    status = "ready" if ready else "not_ready"
    return _json({"status": status, "checks": checks}, 200 if ready else 503)


async def _database(kernel: Kernel) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with kernel.database.acquire() as connection:
            await connection.fetchval("SELECT 1", timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return {"ok": False}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 2)}


_up_to_date: set[str] = set()  # databases seen at this code's revision or beyond; that is never taken back


async def _migrations(kernel: Kernel) -> dict[str, Any]:
    url = kernel.settings.database_url or ""
    if url in _up_to_date:
        return {"ok": True}
    from alembic.util import CommandError  # with what it brings 30 MB, for one look at the start

    from app.kernel import migrate

    try:
        missing = await migrate.pending(url)
    except (asyncpg.PostgresError, OSError):
        return {"ok": False}
    except CommandError:  # a revision that this code does not know: the database is newer, which is fine
        missing = []
    if missing:
        return {"ok": False, "pending": missing}
    _up_to_date.add(url)
    return {"ok": True}


async def _queue(kernel: Kernel) -> dict[str, Any]:
    await metrics.measure_depths(kernel.database)
    return {
        "ok": True,
        "jobs_due": int(_gauge("rapport_jobs_waiting")),
        "events_unpublished": int(_gauge("rapport_outbox_unpublished")),
        "oldest_event_seconds": round(_gauge("rapport_outbox_oldest_seconds"), 1),
    }


def _gauge(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(name) or 0.0


@_page("/metrics")
async def metrics_page(request: Request) -> Response:
    """For Prometheus."""
    kernel: Kernel = request.scope["rapport.kernel"]
    return Response(await metrics.render(kernel.database), media_type=metrics.CONTENT_TYPE)


# -- mail in development -------------------------------------------------------------------------------------


@_page("/dev/mail.json")
async def dev_mail(request: Request) -> Response:
    """The latest mail that this installation has sent, for scripts; development only, as `/dev/mail` is."""
    kernel: Kernel = request.scope["rapport.kernel"]
    if kernel.settings.in_production:
        raise NotFound("There is no such address.")
    mails = await run_in_threadpool(mail.stored_mails, kernel.mailer.folder)
    found = [
        {"name": one.name, "at": one.at, "to": one.to, "subject": one.subject, "text": one.text}
        for one in mails
    ]
    return _json({"data": found})


# -- answers -------------------------------------------------------------------------------------------------


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status, _HEADERS, "application/json")


def _html(title: str, body: str) -> Response:
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        '<link rel="icon" href="/docs/assets/favicon-32x32.png">'
        '<link rel="stylesheet" href="/docs/assets/pages.css"></head>'
    )
    return HTMLResponse(
        f"{head}<body><main>{body}</main></body></html>",
        headers=_HEADERS | {"Content-Security-Policy": POLICY},
    )


@_page("/favicon.ico")
async def favicon() -> Response:
    """What browsers ask for by themselves."""
    return RedirectResponse("/docs/assets/favicon-32x32.png", 308)
