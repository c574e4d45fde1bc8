"""The document at /openapi.json: the one that was checked against the code, byte for byte, unless the code changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from app.cli.documents import DOCUMENT
from app.kernel import openapi
from app.main import Application

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def documented(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application of the tests has a module more, and is described as it is."""
    assert not app.is_documented
    monkeypatch.setattr(app, "is_documented", True)


async def asked(app: Application) -> bytes:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://rapport.test") as web:
        answer = await web.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.content


async def test_production_answers_the_document_that_was_checked(
    app: Application, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app.settings, "environment", "production")
    assert await asked(app) == DOCUMENT.read_bytes()


@pytest.mark.parametrize(("age", "is_current"), [(0, True), (3_600, False)])
async def test_code_that_was_changed_since_is_described_as_it_is(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, age: float, is_current: bool
):
    committed = tmp_path / "openapi.json"
    committed.write_bytes(b'{"info": "committed"}')
    newest = max(source.stat().st_mtime for source in (ROOT / "app").rglob("*.py"))
    os.utime(committed, (newest - age, newest - age))
    monkeypatch.setattr(openapi, "COMMITTED", committed)
    monkeypatch.setattr(app, "openapi_schema", {"info": "as it is"})
    assert app.settings.environment != "production"
    assert json.loads(await asked(app)) == {"info": "committed" if is_current else "as it is"}


async def test_without_a_committed_document_the_code_is_described(
    app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(openapi, "COMMITTED", tmp_path / "nowhere.json")
    monkeypatch.setattr(app, "openapi_schema", {"info": "as it is"})
    assert json.loads(await asked(app)) == {"info": "as it is"}
