"""Targets and forecasts: figures by member and up the team tree, submissions, overrides, weeks and accuracy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.kernel.periods import period_start
from app.kernel.schedules import ScheduledRun
from app.modules.opportunities.reading.forecast import ForecastService
from app.modules.opportunities.reading.periods import Period
from app.modules.opportunities.reading.snapshots import SnapshotService
from app.modules.opportunities.reading.upkeep import look_after
from tests.modules.opportunities.reading.support import eur, lived, usd
from tests.modules.support import acting, actor_of, make
from tests.support.api import Client, Company, sign_up
from tests.tenants.people import Look, code_of, colleague, role_id

Q1 = {"period": "quarter", "starts_on": "2026-01-01"}


@dataclass
class Sales:
    """A head, two teams below, and somebody in each."""

    company: Company
    teams: dict[str, str]
    people: dict[str, Client]

    def id(self, name: str) -> str:
        return str(self.people[name].facts["member_id"])


@pytest.fixture
async def sales(company: Company, look: Look) -> Sales:
    owner = company.owner
    teams: dict[str, str] = {}
    for name, above in (("World", None), ("North", "World"), ("South", "World")):
        body = {"name": name, "parent_id": above and teams[above]}
        teams[name] = (await owner.ok("POST", "/v1/teams", json=body))["id"]
    people = {}
    for name, role, team in (
        ("Nora", "salesperson", "North"),
        ("Sam", "salesperson", "South"),
        ("Mia", "manager", "North"),
    ):
        roles = [await role_id(company, role)]
        people[name] = await colleague(company, look, name=name, role_ids=roles, team_ids=[teams[team]])
    return Sales(company, teams, people)


async def deals(sales: Sales) -> None:
    """Won, and open in every category, of Nora and of Sam."""
    owner = sales.company.owner
    for who, fields in (
        ("Nora", {"status": "won", "opened_on": "2025-12-01", "closed_on": "2026-02-10", "amount": usd("1000.00")}),
        ("Nora", {"stage": "negotiation", "expected_close_on": "2026-03-31", "amount": usd("400.00")}),
        ("Nora", {"stage": "proposal", "expected_close_on": "2026-01-01", "amount": usd("100.01")}),
        ("Nora", {"stage": "proposal", "expected_close_on": "2026-04-01", "amount": usd("9999.00")}),
        ("Sam", {"expected_close_on": "2026-02-01", "amount": usd("50.00")}),
        ("Sam", {"stage": "proposal", "expected_close_on": "2026-02-01", "amount": eur("70.00")}),
        ("Sam", {"amount": usd("1.00")}),
        ("Sam", {"status": "lost", "closed_on": "2026-02-01", "opened_on": "2026-01-01", "loss_reason": "price",
                 "amount": usd("77.00")}),
    ):  # fmt: skip
        await make(owner, "opportunities", name="A", owner_id=sales.id(who), **fields)


def amounts(line: dict[str, Any], name: str = "amount") -> list[str | None]:
    return [c[name] and c[name]["amount"] for c in line["categories"]]


async def lines(client: Client, **parameters: Any) -> dict[str, dict[str, Any]]:
    found = await client.ok("GET", "/v1/forecast", params=Q1 | parameters)
    assert (found["starts_on"], found["ends_on"]) == ("2026-01-01", "2026-03-31")
    return {f"{line['subject']}:{line['name']}": line for line in found["data"]}


async def test_categories_add_up_by_member_team_and_company(sales: Sales) -> None:
    await deals(sales)
    owner = sales.company.owner
    found = await lines(owner)
    nora, sam = found["member:Nora"], found["member:Sam"]
    assert [c["category"] for c in nora["categories"]] == ["closed", "commit", "best_case", "pipeline"]
    assert amounts(nora) == ["1000.00", "400.00", "100.01", "0.00"]
    assert [c["count"] for c in nora["categories"]] == [1, 1, 1, 0]
    assert nora["weighted"] == usd("1350.01")  # 1000 + 400 × 75 % + 100.01 × 50 % = 1350.005
    assert (amounts(sam), sam["weighted"], sam["unconverted"]) == (
        ["0.00", "0.00", "0.00", "50.00"],
        usd("5.00"),
        1,
    )
    assert amounts(found["team:North"]) == amounts(nora)
    assert amounts(found["team:World"]) == ["1000.00", "400.00", "100.01", "50.00"]
    company_line = next(line for name, line in found.items() if name.startswith("tenant:"))
    assert amounts(company_line) == amounts(found["team:World"])
    assert company_line["weighted"] == usd("1355.01")
    whole = await owner.ok("GET", "/v1/forecast", params=Q1)
    assert whole["undated"] == 1
    assert list(await lines(owner, member_id=sales.id("Sam"))) == ["member:Sam"]
    assert list(await lines(owner, team_id=sales.teams["North"])) == ["team:North", "member:Nora"]
    unknown = await owner.get("/v1/forecast", params=Q1 | {"team_id": sales.id("Sam")})
    assert code_of(unknown) == (404, "not_found")


async def test_an_opportunity_counts_in_its_own_category(sales: Sales) -> None:
    await deals(sales)
    owner = sales.company.owner
    found = await owner.ok("GET", "/v1/opportunities", params={"stage": "negotiation"})
    deal = found["data"][0]
    assert deal["forecast_category"] == "commit"
    path = f"/v1/opportunities/{deal['id']}"
    await owner.ok("PATCH", path, json={"forecast_category": "best_case"}, if_match=deal["version"])
    assert amounts((await lines(owner))["member:Nora"]) == ["1000.00", "0.00", "500.01", "0.00"]


async def test_people_see_their_part_of_it(sales: Sales, rival: Company) -> None:
    await deals(sales)
    mine = await lines(sales.people["Sam"])
    assert {"member:Nora", "team:North"}.isdisjoint(mine)
    assert amounts(mine["member:Sam"]) == ["0.00", "0.00", "0.00", "50.00"]
    theirs = await lines(sales.people["Mia"])
    assert "member:Sam" not in theirs
    assert amounts(theirs["member:Nora"]) == ["1000.00", "400.00", "100.01", "0.00"]
    others = await rival.owner.ok("GET", "/v1/forecast", params=Q1)
    assert amounts(others["data"][0]) == ["0.00"] * 4
    async with acting(sales.company) as uow:
        before = uow.statements
        await ForecastService(uow).forecast(Period("quarter", date(2026, 1, 1)), None, None)
        assert uow.statements - before == 5  # people, teams, sums, submissions, targets


async def target(client: Client, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.ok("POST", "/v1/targets", json=Q1 | fields)
    return made


async def test_targets_are_attained_and_roll_up(sales: Sales) -> None:
    await deals(sales)
    owner = sales.company.owner
    nora = await target(owner, member_id=sales.id("Nora"), measure="won_amount", amount=usd("3000.00"))
    assert (nora["attained_amount"], nora["attainment"], nora["members_total"]) == (
        usd("1000.00"),
        "0.3333",
        None,
    )
    await target(owner, member_id=sales.id("Sam"), measure="won_amount", amount=usd("500.00"))
    world = await target(owner, team_id=sales.teams["World"], measure="won_amount", amount=usd("800.00"))
    assert (world["attained_amount"], world["attainment"]) == (usd("1000.00"), "1.2500")
    assert world["members_total"] == usd("3500.00")
    count = await target(owner, team_id=sales.teams["North"], measure="won_count", quantity=4)
    assert (count["attained_quantity"], count["attainment"], count["members_total"]) == (1, "0.2500", 0)
    opened = await target(owner, measure="new_opportunities", quantity=10)
    assert (opened["subject"], opened["attained_quantity"], opened["attainment"]) == ("tenant", 1, "0.1000")
    found = await lines(owner)
    assert (found["member:Nora"]["target"], found["member:Nora"]["gap"]) == (usd("3000.00"), usd("2000.00"))
    assert (found["team:World"]["attainment"], found["team:World"]["gap"]) == ("1.2500", usd("-200.00"))
    assert found["team:North"]["target"] is None
    page = await owner.ok("GET", "/v1/targets", params={"limit": 2})
    rest = await owner.ok("GET", "/v1/targets", params={"limit": 9, "cursor": page["next_cursor"]})
    assert {row["id"] for row in page["data"] + rest["data"]} >= {nora["id"], world["id"], count["id"]}
    assert len(page["data"] + rest["data"]) == 5


async def test_activities_count_towards_their_target(sales: Sales) -> None:
    nora = sales.people["Nora"]
    await make(nora, "activities", kind="call", subject="Spoke", happened_at="2026-02-01T10:00:00Z")
    await make(nora, "activities", kind="call", subject="Spoke", happened_at="2026-04-01T00:00:00Z")
    made = await target(sales.company.owner, team_id=sales.teams["World"], measure="activities", quantity=3)
    assert (made["attained_quantity"], made["attainment"]) == (1, "0.3333")


async def test_there_is_one_target_per_who_period_and_measure(sales: Sales) -> None:
    owner = sales.company.owner
    body = Q1 | {"member_id": sales.id("Nora"), "measure": "won_count", "quantity": 3}
    answers = await asyncio.gather(*(owner.post("/v1/targets", body) for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 39
    assert len((await owner.ok("GET", "/v1/targets"))["data"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"starts_on": "2026-02-01"},
        {"measure": "won_amount"},
        {"amount": usd("1.00")},
        {"quantity": 0},
        {"measure": "won_amount", "quantity": None, "amount": eur("1.00")},
        {
            "team_id": "0198c0de-0000-7000-8000-000000000000",
            "member_id": "0198c0de-0000-7000-8000-000000000000",
        },
        {"team_id": "0198c0de-0000-7000-8000-000000000000"},
    ],
)
async def test_a_target_that_makes_no_sense_is_refused(owner: Client, wrong: dict[str, Any]) -> None:
    body = Q1 | {"measure": "won_count", "quantity": 3} | wrong
    assert (await owner.post("/v1/targets", body)).status_code == 422
    assert (await owner.ok("GET", "/v1/targets"))["data"] == []


async def test_targets_are_set_and_seen_within_ones_scope(sales: Sales) -> None:
    mia, sam, owner = sales.people["Mia"], sales.people["Sam"], sales.company.owner
    fields = {"measure": "won_count", "quantity": 3}
    mine = await target(mia, member_id=sales.id("Nora"), **fields)
    for other in ({"member_id": sales.id("Sam")}, {"team_id": sales.teams["World"]}, {}):
        assert code_of(await mia.post("/v1/targets", Q1 | fields | other)) == (403, "forbidden")
    assert code_of(await sam.post("/v1/targets", Q1 | fields)) == (403, "forbidden")
    theirs = await target(owner, member_id=sales.id("Sam"), **fields)
    assert [row["id"] for row in (await mia.ok("GET", "/v1/targets"))["data"]] == [mine["id"]]
    assert [row["id"] for row in (await sam.ok("GET", "/v1/targets"))["data"]] == [theirs["id"]]
    path = f"/v1/targets/{theirs['id']}"
    assert code_of(await mia.get(path)) == (404, "not_found")
    assert code_of(await mia.patch(path, {"quantity": 1}, if_match=1)) == (404, "not_found")
    assert code_of(await mia.delete(path, if_match=1)) == (404, "not_found")
    assert code_of(await owner.patch(path, {"amount": usd("1.00")}, if_match=1)) == (422, "invalid")
    assert (await owner.ok("PATCH", path, json={"quantity": 7}, if_match=1))["quantity"] == 7
    assert code_of(await owner.delete(path, if_match=1)) == (412, "stale_version")
    await owner.ok("DELETE", path, if_match=2)
    assert code_of(await owner.get(path)) == (404, "not_found")


async def test_submissions_and_overrides_stand_side_by_side(sales: Sales) -> None:
    nora, mia, sam, owner = (
        sales.people["Nora"],
        sales.people["Mia"],
        sales.people["Sam"],
        sales.company.owner,
    )
    path = "/v1/forecast/submissions"
    await nora.ok("POST", path, json=Q1 | {"amount": usd("900.00")})
    made = await nora.ok("POST", path, json=Q1 | {"amount": usd("1200.00"), "note": "One more"})
    assert (made["kind"], made["category"], made["submitted_by"]) == (
        "submission",
        "commit",
        sales.id("Nora"),
    )
    await sam.ok("POST", path, json=Q1 | {"amount": usd("10.00")})
    override = Q1 | {"member_id": sales.id("Nora"), "amount": usd("1000.00")}
    assert code_of(await mia.post(path, override)) == (422, "invalid")  # says no reason
    assert code_of(await sam.post(path, override | {"note": "x"})) == (403, "forbidden")
    of_sam = override | {"member_id": sales.id("Sam"), "note": "x"}
    assert code_of(await mia.post(path, of_sam)) == (403, "forbidden")
    done = await mia.ok("POST", path, json=override | {"note": "She is too hopeful"})
    assert (done["kind"], done["member_id"]) == ("override", sales.id("Nora"))
    found = await lines(owner)
    assert amounts(found["member:Nora"], "submitted")[1] == "1200.00"
    assert amounts(found["member:Nora"], "overridden")[1] == "1000.00"
    assert amounts(found["team:World"], "submitted") == [None, "1210.00", None, None]
    assert amounts(found["team:World"], "overridden") == [None, "1010.00", None, None]
    assert amounts(found["team:South"], "overridden") == [None] * 4
    listed = await owner.ok("GET", path, params=Q1 | {"member_id": sales.id("Nora")})
    assert [(s["kind"], s["amount"]["amount"], s["note"]) for s in listed["data"]] == [
        ("override", "1000.00", "She is too hopeful"),
        ("submission", "1200.00", "One more"),
        ("submission", "900.00", None),
    ]
    assert [s["member_id"] for s in (await sam.ok("GET", path))["data"]] == [sales.id("Sam")]
    audit = await owner.ok("GET", "/v1/audit", params={"object": "forecast_submission"})
    assert [entry["actor_name"] for entry in audit["data"]] == ["Mia", "Sam", "Nora", "Nora"]


async def test_a_week_is_taken_once_however_many_workers_there_are(company: Company, owner: Client) -> None:
    await make(owner, "opportunities", name="A", amount=usd("10.00"), expected_close_on="2026-03-01")
    kernel = company.app.kernel
    assert kernel is not None
    run = ScheduledRun(kernel, await kernel.authenticator.tenant_profile(company.tenant_id))
    await look_after(run)
    from app.kernel.jobs import JobRunner

    await JobRunner(kernel).run_due()
    await asyncio.gather(*(look_after(run) for _ in range(20)))
    async with acting(company) as uow:
        weeks = await uow.fetch(
            "SELECT starts_on FROM opportunities.forecast_weeks WHERE tenant_id = $1", uow.tenant_id
        )
        lines = await uow.fetch(
            "SELECT n FROM opportunities.forecast_lines WHERE tenant_id = $1", uow.tenant_id
        )
    assert [row["starts_on"].weekday() for row in weeks] == [0]
    assert len(lines) <= 1


async def test_accuracy_sets_each_weeks_forecast_beside_what_came(app: Any) -> None:
    company = await sign_up(app, time_zone="Asia/Shanghai")
    owner = company.owner

    async def snapshot(moment: str) -> None:
        async with acting(company) as uow:
            uow.now = datetime.fromisoformat(moment)
            assert await SnapshotService(uow).take()

    first = await lived(
        company,
        ("2026-01-02T00:00:00+00:00", {"stage": "negotiation", "amount": 10_000, "currency": "USD",
                                      "expected_close_on": date(2026, 2, 1)}),
    )  # fmt: skip
    await snapshot("2026-01-04T15:59:00+00:00")  # still Sunday in Shanghai
    await snapshot("2026-01-04T16:00:00+00:00")  # Monday
    async with acting(company) as uow:
        uow.now = datetime(2026, 1, 20, tzinfo=UTC)
        from app.modules.opportunities.services.opportunities import OpportunityService

        await OpportunityService(uow).update(
            first.id, {"stage": "won", "amount": 8_000, "currency": "USD"}, expected_version=None
        )
    await snapshot("2026-01-20T00:00:00+00:00")
    found = await owner.ok("GET", "/v1/forecast/accuracy", params=Q1)
    assert found["actual"] == usd("80.00")
    shown = [
        (w["week_starts_on"], w["closed"]["amount"], w["commit"]["amount"], w["weighted"]["amount"], w["weighted_error"],
         w["commit_error"])
        for w in found["weeks"]
    ]  # fmt: skip
    assert shown == [
        ("2025-12-29", "0.00", "100.00", "75.00", "-0.0625", "0.2500"),
        ("2026-01-05", "0.00", "100.00", "75.00", "-0.0625", "0.2500"),
        ("2026-01-19", "80.00", "0.00", "80.00", "0.0000", "0.0000"),
    ]
    assert found["mean_absolute_error"] == "0.0417"
    async with acting(company, await actor_of(company)) as uow:
        uow.now = datetime(2026, 1, 21, tzinfo=UTC)
        assert not await SnapshotService(uow).take()


def test_periods_follow_the_fiscal_year() -> None:
    assert period_start(date(2026, 3, 31), "year", 4) == date(2025, 4, 1)
    assert period_start(date(2026, 3, 31), "quarter", 2) == date(2026, 2, 1)
    assert period_start(date(2026, 1, 31), "quarter", 2) == date(2025, 11, 1)
    assert period_start(date(2026, 3, 31), "month", 4) == date(2026, 3, 1)
