"""The demo company's quotes: one in each state, and a load that begins again goes on where it was."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from app.demo.client import Api, ApiFailure
from app.demo.quotes import QUOTES, QuoteLoader
from tests.modules.quotes.offers import account_of
from tests.support.api import Client, Company


async def states(owner: Client) -> Counter[str]:
    found = await owner.ok("GET", "/v1/quotes?limit=100")
    return Counter(quote["status"] for quote in found["data"])


async def test_the_demo_has_quotes_in_every_state_however_often_it_is_loaded(
    owner: Client, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = {f"a{n}": (await account_of(owner, name=f"A{n}"))["id"] for n in range(3)}
    api = Api("http://rapport.test", owner.token, http=owner.http)
    today = datetime.now(UTC).date()
    loader = QuoteLoader(api, accounts, today, lambda done, total: None)
    kept = api.send

    async def breaks(method: str, path: str, **options: object) -> object:
        if path.endswith("/decline"):
            raise ApiFailure(method, path, 503, {})
        return await kept(method, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "send", breaks)
    with pytest.raises(ApiFailure):
        await loader.load()
    monkeypatch.setattr(api, "send", kept)
    for _ in range(2):
        await loader.load()
        assert await states(owner) == {
            "draft": 1, "in_approval": 1, "approved": 1, "sent": 3, "viewed": 1, "accepted": 1, "declined": 1,
            "superseded": 1,
        }  # fmt: skip
    assert sum((await states(owner)).values()) == len(QUOTES) + 1
