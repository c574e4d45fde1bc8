"""The demo company's articles and survey answers: made once, however often the load begins again."""

from __future__ import annotations

from typing import Any

import pytest

from app.demo.care import ARTICLES, CASES, CareLoader
from app.demo.client import Api, ApiFailure
from tests.modules.after_sales.surveys.asked import customer
from tests.support.api import Company


async def test_the_demo_knows_and_asks_the_same_however_often_it_is_loaded(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = company.owner
    contacts = {f"c{number}": (await customer(owner))["id"] for number in range(3)}
    api = Api("http://rapport.test", owner.token, http=owner.http)
    loader = CareLoader(api, contacts, [str(company.member_id)])
    kept, broken = api.send, 0

    async def breaks(method: str, path: str, **options: Any) -> Any:
        nonlocal broken
        if path.startswith("/s/"):
            broken += 1
            if broken == 4:
                raise ApiFailure(method, path, 503, {})
        return await kept(method, path, **options)

    monkeypatch.setattr(api, "send", breaks)
    with pytest.raises(ApiFailure):
        await loader.load()
    monkeypatch.setattr(api, "send", kept)
    for _ in range(2):
        assert await loader.load() == {"articles": 2 * len(ARTICLES), "survey answers": len(CASES)}
        articles = (await owner.ok("GET", "/v1/articles", params={"limit": 100}))["data"]
        assert {one["status"] for one in articles} == {"published"}
        assert len(articles) == 2 * len(ARTICLES)
        found = await owner.ok("GET", "/v1/surveys/statistics", params={"group_by": "agent"})
        assert (found["total"]["answers"], found["total"]["csat_percent"]) == (len(CASES), "75")
        assert (found["total"]["nps"], found["total"]["ces_mean"]) == ("33.33", "4.5")
