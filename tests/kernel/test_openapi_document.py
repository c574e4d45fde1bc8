"""The document at /openapi.json: in production the one that was checked against the code, byte for byte."""

from __future__ import annotations

import httpx
import pytest

from app.cli.documents import DOCUMENT
from app.main import Application


async def test_production_answers_the_document_that_was_checked(
    app: Application, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app.settings, "environment", "production")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://rapport.test") as web:
        answer = await web.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == DOCUMENT.read_bytes()
