"""The funnel against a plain computation over the visits that the API tells."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.kernel.access import Scope
from app.modules.opportunities.reading.funnel import FunnelQuestion, FunnelService
from tests.modules.opportunities.reading.support import lived
from tests.modules.support import acting, actor_of
from tests.support.api import Client, Company, sign_up
from tests.tenants.people import code_of

STAGES = ["qualification", "needs_analysis", "proposal", "negotiation", "won"]
ZONE = ZoneInfo("Asia/Shanghai")


def four(part: int, whole: int) -> str | None:
    return str((Decimal(part) / whole).quantize(Decimal("0.0001"), ROUND_HALF_UP)) if whole else None


def quarter_of(day: date) -> str:
    """First day of the fiscal quarter of a year that begins in April: those of the calendar."""
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1).isoformat()


def plain(
    records: list[dict[str, Any]], visits: dict[str, list[dict[str, Any]]], *, cohort: bool
) -> dict[str | None, dict[str, dict[str, Any]]]:
    """The funnel from records and visits as the API shows them."""
    found: dict[Any, dict[str, dict[str, Any]]] = defaultdict(
        lambda: {s: {"entered": 0, "here": 0, "moved": 0, "lost": 0, "won": 0, "days": []} for s in STAGES}
    )
    for record in records:
        mine = visits[record["id"]]
        for stage in {visit["to_stage"] for visit in mine}:
            own = [visit for visit in mine if visit["to_stage"] == stage]
            first = min(datetime.fromisoformat(visit["entered_at"]) for visit in own)
            counts = found[quarter_of(first.astimezone(ZONE).date()) if cohort else None][stage]
            counts["entered"] += 1
            counts["won"] += record["status"] == "won"
            if record["status"] == "lost" and record["last_open_stage"] == stage:
                counts["lost"] += 1
            elif record["stage"] == stage:
                counts["here"] += 1
            else:
                counts["moved"] += 1
            open_there = record["status"] == "open" and record["stage"] == stage
            seconds = [v["duration_seconds"] for v in own if v["status"] == "open" and v["left_at"]]
            if seconds and not open_there:
                counts["days"].append(sum(seconds) // 86400)
    return found


def percentile(days: list[int], percent: int) -> int | None:
    return sorted(days)[math.ceil(len(days) * percent / 100) - 1] if days else None


def shown(stages: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The plain figures as the API would tell them."""
    return [
        {
            "stage": stage,
            "entered": c["entered"],
            "still_there": c["here"],
            "moved_on": c["moved"],
            "lost_from": c["lost"],
            "won": c["won"],
            "conversion": None if stage == "won" else four(c["moved"], c["entered"]),
            "conversion_to_won": four(c["won"], c["entered"]),
            "median_days": None if stage == "won" else percentile(c["days"], 50),
            "p90_days": None if stage == "won" else percentile(c["days"], 90),
        }
        for stage, c in stages.items()
    ]


def told(cohort: dict[str, Any]) -> list[dict[str, Any]]:
    return [{n: v for n, v in stage.items() if n not in ("name", "is_closed")} for stage in cohort["stages"]]


async def histories(company: Company) -> None:
    """Thirty opportunities on random ways through 2025, forth and back, some lost, some won, some reopened."""
    chance = random.Random(11)
    for number in range(30):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(5_000))
        steps: list[tuple[str, dict[str, Any]]] = [(moment.isoformat(), {"name": f"H{number}"})]
        for _ in range(chance.randrange(5)):
            moment += timedelta(hours=chance.randrange(1, 900))
            steps.append((moment.isoformat(), {"stage": chance.choice(STAGES[:4])}))
        ending = chance.randrange(4)
        moment += timedelta(hours=chance.randrange(1, 900))
        if ending < 2:
            steps.append(
                (
                    moment.isoformat(),
                    {"status": "lost", "loss_reason": "price"} if ending else {"stage": "won"},
                )
            )
        if chance.random() < 0.2 and ending < 2:
            steps.append(((moment + timedelta(days=40)).isoformat(), {"status": "open"}))
        await lived(company, *steps)


async def test_the_funnel_is_what_the_visits_say(app: Any) -> None:
    company = await sign_up(app, time_zone="Asia/Shanghai", currency="CNY")
    await histories(company)
    owner = company.owner
    records = (await owner.ok("GET", "/v1/opportunities", params={"limit": 200}))["data"]
    visits = {r["id"]: await owner.ok("GET", f"/v1/opportunities/{r['id']}/stage-history") for r in records}
    whole = await owner.ok("GET", "/v1/opportunities/funnel")
    expected = shown(plain(records, visits, cohort=False)[None])
    for stage, own in zip(told(whole["data"][0]), expected, strict=True):
        assert stage == own
    assert whole["data"][0]["stages"][0]["entered"] == 30
    by_quarter = plain(records, visits, cohort=True)
    found = await owner.ok("GET", "/v1/opportunities/funnel", params={"cohort": "quarter"})
    assert {c["starts_on"]: told(c) for c in found["data"]} == {q: shown(s) for q, s in by_quarter.items()}
    assert len(by_quarter) == 3
    some = await owner.ok(
        "GET",
        "/v1/opportunities/funnel",
        params={"cohort": "quarter", "entered_from": "2025-04-01", "entered_before": "2025-10-01"},
    )
    assert [c["starts_on"] for c in some["data"]] == ["2025-04-01", "2025-07-01"]
    assert told(some["data"][0]) == shown(by_quarter["2025-04-01"])


async def test_entered_is_the_sum_of_its_outcomes_in_every_stage(company: Company) -> None:
    await histories(company)
    found = await company.owner.ok("GET", "/v1/opportunities/funnel")
    for stage in found["data"][0]["stages"]:
        assert stage["entered"] == stage["still_there"] + stage["moved_on"] + stage["lost_from"]


async def test_owner_team_and_scope_narrow_the_funnel(
    company: Company, owner: Client, rival: Company
) -> None:
    await histories(company)
    await histories(rival)
    everything = await actor_of(company)
    whole = await owner.ok("GET", "/v1/opportunities/funnel")
    for narrow in ({"owner_id": str(company.member_id)}, {"team_id": str(everything.team_ids[0])}):
        assert await owner.ok("GET", "/v1/opportunities/funnel", params=narrow) == whole
    for scope in (Scope.OWN, Scope.TEAM, Scope.TEAM_AND_BELOW):
        seer = replace(everything, everything=False, grants={"opportunity:read": scope})
        async with acting(company, seer) as uow:
            before = uow.statements
            found = await FunnelService(uow).funnel(FunnelQuestion())
            assert found.model_dump(mode="json") == whole
            assert uow.statements - before == 3
    blind = replace(
        everything, everything=False, member_id=None, team_ids=(), grants={"opportunity:read": Scope.OWN}
    )
    async with acting(company, blind) as uow:
        nothing = await FunnelService(uow).funnel(FunnelQuestion())
    assert {stage.entered for stage in nothing.data[0].stages} == {0}
    shared = (await owner.ok("GET", "/v1/opportunities", params={"status": "won"}))["data"][0]
    body = {"team_id": str(everything.team_ids[0])}
    await owner.ok("POST", f"/v1/opportunities/{shared['id']}/shares", json=body)
    async with acting(company, replace(blind, team_ids=everything.team_ids)) as uow:
        one = await FunnelService(uow).funnel(FunnelQuestion())
    assert (one.data[0].stages[0].entered, one.data[0].stages[-1].won) == (1, 1)


async def test_months_are_whole_ones(owner: Client) -> None:
    answer = await owner.get("/v1/opportunities/funnel", params={"entered_from": "2025-04-02"})
    assert code_of(answer) == (400, "invalid_filter")
