"""Limits on records where several processes serve one company: two applications, each with a memory of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.kernel.limits import GOOD_FOR_SECONDS, MARGIN, SHARE, Limits
from app.main import Application
from tests.support import toy
from tests.support.api import Client, Company, running, sign_in, stranger
from tests.tenants.billing.plan import allow
from tests.tenants.people import Look

LIMIT = 10_000


@pytest.fixture
async def other(app: Application, worker_database: str, tmp_path: Path) -> AsyncIterator[Application]:
    """Another process of the same installation."""
    async with running(worker_database, tmp_path, (toy.MODULE,)) as found:
        yield found


async def make(client: Client) -> int:
    answer = await client.post("/v1/toys", {"name": "Ball"})
    return int(answer.status_code)


async def kept(look: Look, company: Company) -> int:
    """Records of the company: what is summed up and what is not yet."""
    return int(
        await look.value(
            "SELECT coalesce((SELECT total FROM kernel.usage_totals WHERE tenant_id = $1 AND metric = 'records.kept'), 0)"
            " + coalesce((SELECT sum(quantity) FROM kernel.usage_records WHERE tenant_id = $1"
            " AND metric = 'records.kept'), 0)::bigint",
            company.tenant_id,
        )
    )


async def at(look: Look, company: Company, left: int) -> None:
    """As if others had made records until so many are left."""
    await look.run(
        "INSERT INTO kernel.usage_totals AS t (tenant_id, metric, total) VALUES ($1, 'records.kept', $2)"
        " ON CONFLICT (tenant_id, metric) DO UPDATE SET total = t.total + EXCLUDED.total",
        company.tenant_id,
        LIMIT - left - await kept(look, company),
    )


async def test_two_processes_that_race_stop_at_exactly_the_limit(app, other, company, look):
    await allow(company, look, records=60)
    there = await sign_in(stranger(other), company.email)
    answers = await asyncio.gather(*(make((company.owner, there)[number % 2]) for number in range(150)))
    assert Counter(answers) == {201: 60, 403: 90}
    assert await look.value("SELECT count(*) FROM toys.toys WHERE tenant_id = $1", company.tenant_id) == 60
    assert await kept(look, company) == 60


async def test_an_old_grant_goes_beyond_by_its_share_and_not_for_longer_than_it_is_good(
    app, other, company, look, monkeypatch
):
    now: list[float] = [0.0]

    def seconds() -> float:
        return now[0]

    for one in (app, other):
        monkeypatch.setattr(one.kernel, "limits", Limits(seconds=seconds))
    await allow(company, look, records=LIMIT)
    there = await sign_in(stranger(other), company.email)
    left = MARGIN + 10 * SHARE
    await at(look, company, left + 1)
    assert await make(company.owner) == 201  # granted a 64th of what is left
    await at(look, company, 1)
    assert [await make(there) for _ in range(2)] == [201, 403], "the other one counts: the limit is reached"
    share = left // SHARE
    answers = await asyncio.gather(*(make(company.owner) for _ in range(share + 60)))
    assert Counter(answers) == {201: share, 403: 60}
    assert await kept(look, company) == LIMIT + share
    assert await make(there) == 403


async def test_a_grant_that_is_over_is_counted_anew(app, other, company, look, monkeypatch):
    now: list[float] = [0.0]
    limits = Limits(seconds=lambda: now[0])
    monkeypatch.setattr(app.kernel, "limits", limits)
    await allow(company, look, records=LIMIT)
    await at(look, company, MARGIN + 10 * SHARE)
    assert await make(company.owner) == 201
    await at(look, company, 0)
    now[0] = GOOD_FOR_SECONDS + 0.01
    assert await make(company.owner) == 403
    assert await kept(look, company) == LIMIT
