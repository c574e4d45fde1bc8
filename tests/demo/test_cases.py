"""What the demo company's customers asked for goes in through the API, with clocks; a second load changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.demo.case_loader import CaseLoader
from app.demo.cases import CASES, OPEN, POLICIES, DemoCase
from app.demo.catalogue_loader import CatalogueLoader
from app.demo.client import Api
from app.demo.generator import cases_of, generate
from tests.support.api import Client

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def asked(seed: int = 7, now: datetime = NOW) -> tuple[DemoCase, ...]:
    return cases_of(seed, generate(seed, now=now), now=now)


def test_the_same_seed_gives_the_same_cases_of_eighteen_months() -> None:
    first = asked()
    assert first == asked()
    assert first != asked(8)
    assert (len(first), sum(one.resolved_at is None for one in first)) == (CASES, OPEN)
    assert [one.opened_at for one in first] == sorted(one.opened_at for one in first)
    assert first[0].opened_at < NOW - timedelta(days=500)
    for one in first:
        times = [one.opened_at, one.first_response_at, one.resolved_at, NOW]
        known = [at for at in times if at is not None]
        assert known == sorted(known)


async def test_cases_are_loaded_once_and_the_open_ones_have_running_clocks(owner: Client) -> None:
    """With the owner in place of the company's people, and some of its cases."""
    whole = asked(now=datetime.now(UTC))
    cases = [replace(one, owner="me") for one in (*whole[:6], *whole[-6:])]
    api = Api("http://test", owner.token, http=owner.http)
    await CatalogueLoader(api).load()
    items = [
        {"ref": key, "record": {"external_id": key, "name": f"Customer {key}", "country": "US"}}
        for key in sorted({one.account for one in cases})
    ]
    made = await api.post("/v1/accounts/batch/upsert", {"items": items})
    pages = api.pages("/v1/products", fields="id,external_id")
    loader = CaseLoader(
        api,
        accounts={result["ref"]: result["id"] for result in made["results"]},
        products={one["external_id"]: one["id"] async for one in pages},
        members={"me": (await owner.ok("GET", "/v1/me"))["member_id"]},
    )
    await loader.load(cases)
    first = (await owner.ok("GET", "/v1/cases?limit=50&sort=number"))["data"]
    await loader.load(cases)
    assert (await owner.ok("GET", "/v1/cases?limit=50&sort=number"))["data"] == first
    states = Counter(one["status"] for one in first)
    assert states == {"resolved": 6, "new": 4, "open": 2}
    assert all(one["due_at"] is not None for one in first if one["status"] != "resolved")
    assert len((await owner.ok("GET", "/v1/sla-policies"))["data"]) == len(POLICIES)
