"""A hardware seller moves in: accounts, agents in teams under managers, and 8,800 opportunities with their past.

Everything goes through the public API, and every figure it then tells is compared, to the unit, with a plain
computation over the files. What is wrong in the files is refused row by row, put right, and sent again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
import pytest

from app.main import Application
from tests.journeys.crm_sales import CrmSales, Result, Row, Sum, folder, product_name, quarter, results
from tests.journeys.importing import imported, written
from tests.support.api import Client, Company, sign_up
from tests.tenants.people import Look, colleague, role_id

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (folder() / "sales_pipeline.csv").exists(),
        reason=f"no crm_sales files in {folder()}; set RAPPORT_DATA to the folder that holds them",
    ),
]

STAGES = [
    {"key": "prospecting", "name": {"en": "Prospecting"}, "probability": 10},
    {"key": "engaging", "name": {"en": "Engaging"}, "probability": 50},
    {"key": "won", "name": {"en": "Won"}, "probability": 100, "is_closed": True, "is_won": True},
    {"key": "lost", "name": {"en": "Lost"}, "probability": 0, "is_closed": True},
]


@dataclass
class Seller:
    """The company with its people, and what was refused on the way in."""

    company: Company
    data: CrmSales
    members: dict[str, str] = field(default_factory=dict)  # member id by name
    clients: dict[str, Client] = field(default_factory=dict)
    refused_accounts: list[Row] = field(default_factory=list)  # rows as the import gave them back
    refused_opportunities: list[Row] = field(default_factory=list)
    taken_opportunities: list[Row] = field(default_factory=list)

    @property
    def owner(self) -> Client:
        return self.company.owner


@pytest.fixture(scope="module")
async def seller(app: Application, worker_database: str) -> Seller:
    """The company after everything has been loaded; the tests below look at it from several sides."""
    made = Seller(
        await sign_up(app, company="Hardware Seller", time_zone="UTC", currency="USD"), CrmSales.load()
    )
    connection = await asyncpg.connect(worker_database)
    try:
        await _people(made, Look(connection))
    finally:
        await connection.close()
    await _catalogue(made)
    await _accounts(made)
    await _opportunities(made)
    return made


async def _people(seller: Seller, look: Look) -> None:
    """Managers, a team for each, and the agents in them, all by invitation."""
    teams: dict[str, str] = {}
    managing = [await role_id(seller.company, "manager")]
    for manager, office in seller.data.managers.items():
        seller.clients[manager] = await colleague(
            seller.company, look, "manager", name=manager, role_ids=managing
        )
        seller.members[manager] = seller.clients[manager].facts["member_id"]
        team = {"name": f"{manager} ({office})", "manager_id": seller.members[manager]}
        teams[manager] = (await seller.owner.ok("POST", "/v1/teams", json=team))["id"]
    for agent, manager in seller.data.manager_of.items():
        seller.clients[agent] = await colleague(seller.company, look, name=agent, team_ids=[teams[manager]])
        seller.members[agent] = seller.clients[agent].facts["member_id"]


async def _catalogue(seller: Seller) -> None:
    """What is checked on the way in: the products of the price list, and the sectors; and the pipeline."""
    products = [row["product"] for row in seller.data.products]
    sectors = sorted({row["sector"] for row in seller.data.accounts} - {"technolgy"} | {"technology"})
    for object_name, key, known in (("opportunity", "product", products), ("account", "sector", sectors)):
        body = {
            "object": object_name,
            "key": key,
            "type": "text",
            "labels": {"en": key.title()},
            "rule": {"pattern": "|".join(known)},
        }
        await seller.owner.ok("POST", "/v1/custom-fields", json=body)
    pipeline = {"key": "hardware", "name": {"en": "Hardware"}, "is_default": True, "stages": STAGES}
    await seller.owner.ok("POST", "/v1/pipelines", json=pipeline)


async def _accounts(seller: Seller) -> None:
    """The file as it is; rows with a misspelt sector or country come back, are put right and sent again."""
    mapping = {
        "account": "name",
        "sector": "custom.sector",
        "year_established": None,
        "revenue": None,
        "employees": None,
        "office_location": "country",
        "subsidiary_of": "parent",
    }
    content = (folder() / "accounts.csv").read_text(encoding="utf-8")
    while content:
        _, failed = await imported(seller.company, "accounts", content, mapping)
        seller.refused_accounts += [row for row in failed if row["column"] != "subsidiary_of"]
        mended = [
            row
            | {
                "sector": row["sector"].replace("technolgy", "technology"),
                "office_location": row["office_location"].replace("Philipines", "Philippines"),
            }
            for row in failed
        ]
        content = written(mended) if mended else ""


async def _opportunities(seller: Seller) -> None:
    """8,800 opportunities; those of a product that is not on the list come back and are sent again."""
    mapping: dict[str, str | None] = {
        "opportunity_id": "external_id",
        "owner": "owner_id",
        "name": "name",
        "product": "product_name",
        "listed": "custom.product",
        "account": "account",
        "deal_stage": "stage",
        "engage_date": "opened_on",
        "close_date": "closed_on",
        "close_value": "amount",
        "loss_reason": "loss_reason",
    }
    content = written([_prepared(seller, row) for row in seller.data.pipeline])
    taken, failed = await imported(seller.company, "opportunities", content, mapping)
    seller.refused_opportunities = failed
    again, left = await imported(
        seller.company,
        "opportunities",
        written([row | {"product": product_name(row), "listed": product_name(row)} for row in failed]),
        mapping,
    )
    assert left == []
    seller.taken_opportunities = taken + again


def _prepared(seller: Seller, row: Row) -> Row:
    """A row with what the file lacks: a title, the agent's address, a reason for losses."""
    return {
        "opportunity_id": row["opportunity_id"],
        "owner": seller.clients[row["sales_agent"]].facts["email"],
        "name": f"{row['product']} for {row['account'] or 'an unnamed account'}",
        "product": row["product"],
        "listed": row["product"],
        "account": row["account"],
        "deal_stage": row["deal_stage"],
        "engage_date": row["engage_date"],
        "close_date": row["close_date"],
        "close_value": row["close_value"],
        "loss_reason": "not_recorded" if row["deal_stage"] == "Lost" else "",
    }


async def told(client: Client, group_by: str, **filters: str) -> list[dict[str, Any]]:
    answer = await client.ok("GET", "/v1/opportunities/statistics", params={"group_by": group_by, **filters})
    groups: list[dict[str, Any]] = answer["data"]
    return groups


def figures(groups: Iterable[dict[str, Any]], name: str = "key") -> dict[str | None, Sum]:
    """Groups as the plain computation has them; dollars and cents must come out whole."""
    found: dict[str | None, Sum] = {}
    for group in groups:
        value = sum(int(money["amount"].removesuffix(".00")) for money in group["won_amount"])
        found[group[name]] = Sum(group["count"], group["won"], value)
    return found


async def test_the_won_value_is_10_005_534(seller: Seller) -> None:
    assert await told(seller.owner, "status") == [
        {
            "key": "open", "label": None, "count": 2089, "open": 2089, "won": 0, "lost": 0,
            "amount": [], "open_amount": [], "won_amount": [],
        },
        {
            "key": "won", "label": None, "count": 4238, "open": 0, "won": 4238, "lost": 0,
            "amount": [{"amount": "10005534.00", "currency": "USD"}], "open_amount": [],
            "won_amount": [{"amount": "10005534.00", "currency": "USD"}],
        },
        {
            "key": "lost", "label": None, "count": 2473, "open": 0, "won": 0, "lost": 2473,
            "amount": [{"amount": "0.00", "currency": "USD"}], "open_amount": [], "won_amount": [],
        },
    ]  # fmt: skip


async def test_stages_agree(seller: Seller) -> None:
    groups = figures(await told(seller.owner, "stage"))
    assert list(groups) == ["prospecting", "engaging", "won", "lost"]
    assert {key: group.count for key, group in groups.items()} == {
        "prospecting": 500,
        "engaging": 1589,
        "won": 4238,
        "lost": 2473,
    }
    assert groups == seller.data.by(lambda row: row["deal_stage"].lower())


async def test_agents_agree(seller: Seller) -> None:
    groups = await told(seller.owner, "owner")
    assert figures(groups, "label") == seller.data.by(lambda row: row["sales_agent"])
    assert {group["key"] for group in groups} <= set(seller.members.values())


async def test_managers_agree(seller: Seller) -> None:
    manager_of = seller.data.manager_of
    expected = seller.data.by(lambda row: manager_of[row["sales_agent"]])
    assert figures(await told(seller.owner, "manager"), "label") == expected
    teams = figures(await told(seller.owner, "team"), "label")
    assert teams == {
        f"{name} ({seller.data.managers[name or '']})": found for name, found in expected.items()
    }


async def test_quarters_agree(seller: Seller) -> None:
    assert figures(await told(seller.owner, "quarter")) == seller.data.by(
        lambda row: quarter(row["close_date"])
    )
    won = figures(await told(seller.owner, "quarter", status="won"))
    assert won == seller.data.by(lambda row: quarter(row["close_date"]), only="Won")
    assert sum(group.won_value for group in won.values()) == 10_005_534


async def test_products_and_accounts_agree(seller: Seller) -> None:
    assert figures(await told(seller.owner, "product")) == seller.data.by(product_name)
    accounts = await told(seller.owner, "account")
    assert figures(accounts, "label") == seller.data.by(lambda row: row["account"] or None)


async def test_what_is_wrong_in_the_files_is_reported_row_by_row(seller: Seller) -> None:
    sectors = {row["account"] for row in seller.data.accounts if row["sector"] == "technolgy"}
    countries = {row["account"] for row in seller.data.accounts if row["office_location"] == "Philipines"}
    reported = {
        (row["account"], column) for row in seller.refused_accounts for column in row["column"].split("; ")
    }
    assert reported == {(name, "sector") for name in sectors} | {
        (name, "office_location") for name in countries
    }
    assert (len(sectors), len(countries)) == (12, 1)
    lines = {row["opportunity_id"]: number for number, row in enumerate(seller.data.pipeline, 2)}
    unlisted = {row["opportunity_id"] for row in seller.data.pipeline if row["product"] == "GTXPro"}
    assert {row["opportunity_id"]: int(row["line"]) for row in seller.refused_opportunities} == {
        id: lines[id] for id in unlisted
    }
    assert len(unlisted) == 1480
    assert {row["column"] for row in seller.refused_opportunities} == {"listed"}


async def test_opportunities_without_an_account_are_taken_and_said_to_be(seller: Seller) -> None:
    nameless = {row["opportunity_id"] for row in seller.data.pipeline if not row["account"]}
    assert len(nameless) == 1425
    warned = {row["id"] for row in seller.taken_opportunities if "names no account" in row["warnings"]}
    parameters = {"account_id[is_null]": "true", "limit": "200", "include": "total"}
    page = await seller.owner.ok("GET", "/v1/opportunities", params=parameters)
    assert page["total"] == 1425
    found: dict[str, str] = {}
    while True:
        found |= {row["external_id"]: row["id"] for row in page["data"]}
        if not page["has_more"]:
            break
        page = await seller.owner.ok(
            "GET", "/v1/opportunities", params=parameters | {"cursor": page["next_cursor"]}
        )
    assert set(found) == nameless
    assert set(found.values()) == warned


async def test_managers_and_agents_see_their_own_teams_figures(seller: Seller) -> None:
    manager_of = seller.data.manager_of
    everybody = seller.data.by(lambda row: manager_of[row["sales_agent"]])
    for manager in seller.data.managers:
        seen = figures(await told(seller.clients[manager], "manager"), "label")
        assert seen == {manager: everybody[manager]}, manager
    agent = seller.data.teams[0]["sales_agent"]
    seen = figures(await told(seller.clients[agent], "manager"), "label")
    assert seen == {manager_of[agent]: everybody[manager_of[agent]]}


def rounded(part: int, whole: int, places: str) -> str | None:
    """A quotient as the API writes it."""
    return str((Decimal(part) / whole).quantize(Decimal(places), ROUND_HALF_UP)) if whole else None


def expected(found: Result) -> dict[str, Any]:
    """A group's outcome as the API should tell it; what was lost is worth nothing in the files."""
    return {
        "won": found.won,
        "lost": found.lost,
        "won_amount": {"amount": f"{found.won_value}.00", "currency": "USD"},
        "lost_amount": {"amount": "0.00", "currency": "USD"},
        "unconverted": 0,
        "win_rate": rounded(found.won, found.won + found.lost, "0.0001"),
        "win_rate_by_value": "1.0000" if found.won_value else None,
        "average_cycle_days": rounded(found.cycle_days, found.won, "0.1"),
    }


async def outcomes(
    client: Client, group_by: str, **filters: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    asked = {"group_by": group_by, **filters}
    found = await client.ok("GET", "/v1/opportunities/win-loss", params=asked)
    return found["data"], found["total"]


async def agree(
    seller: Seller, group_by: str, expectation: dict[str | None, Result], name: str = "label"
) -> None:
    groups, _ = await outcomes(seller.owner, group_by)
    told_by_name = {
        group[name]: {n: v for n, v in group.items() if n not in ("key", "label")} for group in groups
    }
    assert told_by_name == {key: expected(found) for key, found in expectation.items()}


async def test_win_rates_and_cycle_lengths_agree(seller: Seller) -> None:
    rows, manager_of = seller.data.pipeline, seller.data.manager_of
    _, total = await outcomes(seller.owner, "owner")
    assert (total["won"], total["lost"], total["win_rate"]) == (4238, 2473, "0.6315")
    everything = results(rows, lambda row: None)[None]
    assert {n: v for n, v in total.items() if n not in ("key", "label")} == expected(everything)
    await agree(seller, "owner", results(rows, lambda row: row["sales_agent"]))
    await agree(seller, "manager", results(rows, lambda row: manager_of[row["sales_agent"]]))
    await agree(seller, "product", results(rows, product_name), "key")
    await agree(seller, "quarter", results(rows, lambda row: quarter(row["close_date"])), "key")
    await agree(seller, "account", results(rows, lambda row: row["account"] or None))


async def test_sectors_agree_account_by_account(seller: Seller) -> None:
    """Opportunities carry no sector; the accounts found by one narrow the outcomes to it."""
    sector_of = {
        row["account"]: row["sector"].replace("technolgy", "technology") for row in seller.data.accounts
    }
    rows = [row for row in seller.data.pipeline if row["account"]]
    by_sector = results(rows, lambda row: sector_of[row["account"]])
    assert len(by_sector) == 10
    for sector, found in by_sector.items():
        asked = {"custom.sector": str(sector), "limit": "200"}
        page = await seller.owner.ok("GET", "/v1/accounts", params=asked)
        accounts = ",".join(account["id"] for account in page["data"])
        _, total = await outcomes(seller.owner, "account", **{"account_id[in]": accounts})
        assert {n: v for n, v in total.items() if n not in ("key", "label")} == expected(found), sector


async def test_the_funnel_agrees(seller: Seller) -> None:
    found = await seller.owner.ok("GET", "/v1/opportunities/funnel")
    stages = {stage["stage"]: stage for stage in found["data"][0]["stages"]}
    counts = Counter(row["deal_stage"].lower() for row in seller.data.pipeline)
    # The files hold where each one stands, not how it came there: each has entered one stage.
    assert {key: (s["entered"], s["still_there"], s["moved_on"]) for key, s in stages.items()} == {
        key: (counts[key], counts[key], 0) for key in ("prospecting", "engaging", "won", "lost")
    }
    by_quarter = await seller.owner.ok("GET", "/v1/opportunities/funnel", params={"cohort": "quarter"})
    won = {
        c["starts_on"]: s["entered"] for c in by_quarter["data"] for s in c["stages"] if s["stage"] == "won"
    }
    expectation = results(seller.data.pipeline, lambda row: quarter(row["close_date"]))
    assert {key: n for key, n in won.items() if n} == {key: r.won for key, r in expectation.items() if r.won}
    agent = seller.data.teams[0]["sales_agent"]
    seen = await seller.owner.ok(
        "GET", "/v1/opportunities/funnel", params={"owner_id": seller.members[agent]}
    )
    own = Counter(row["deal_stage"].lower() for row in seller.data.pipeline if row["sales_agent"] == agent)
    assert {s["stage"]: s["entered"] for s in seen["data"][0]["stages"]} == {
        key: own[key] for key in ("prospecting", "engaging", "won", "lost")
    }


async def test_board_and_forecast_agree(seller: Seller) -> None:
    board = await seller.owner.ok("GET", "/v1/opportunities/board", params={"limit": "1"})
    totals = {column["stage"]["key"]: column["totals"] for column in board["columns"]}
    assert {key: total["count"] for key, total in totals.items()} == {
        "prospecting": 500, "engaging": 1589, "won": 4238, "lost": 2473,
    }  # fmt: skip
    assert totals["won"]["amount_home"]["amount"] == "10005534.00"
    manager_of, offices = seller.data.manager_of, seller.data.managers
    for starts_on in ("2017-04-01", "2017-10-01"):
        rows = [row for row in seller.data.pipeline if quarter(row["close_date"]) == starts_on]
        asked = {"period": "quarter", "starts_on": starts_on}
        lines = (await seller.owner.ok("GET", "/v1/forecast", params=asked))["data"]
        closed = {
            (line["subject"], line["name"]): line["categories"][0]["amount"]["amount"]
            for line in lines
            if line["categories"][0]["count"]
        }
        agents = {
            ("member", key): f"{r.won_value}.00"
            for key, r in results(rows, lambda row: row["sales_agent"]).items()
            if r.won
        }
        managers = {
            ("team", f"{key} ({offices[key or '']})"): f"{r.won_value}.00"
            for key, r in results(rows, lambda row: manager_of[row["sales_agent"]]).items()
            if r.won
        }
        whole = results(rows, lambda row: None)[None].won_value
        assert closed == agents | managers | {("tenant", "Hardware Seller"): f"{whole}.00"}


async def test_velocity_agrees(seller: Seller) -> None:
    won = [row for row in seller.data.pipeline if row["deal_stage"] == "Won"]
    everything = results(won, lambda row: None)[None]
    found = await seller.owner.ok("GET", "/v1/opportunities/velocity")
    assert (found["open_count"], found["win_rate"]) == (2089, "0.6315")
    average = (Decimal(10_005_534) / 4238).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert found["average_amount"]["amount"] == str(average)
    assert found["average_cycle_days"] == rounded(everything.cycle_days, 4238, "0.1")
    velocity = Decimal(2089) * 4238 / 6711 * 10_005_534 / everything.cycle_days
    assert found["velocity"]["amount"] == str(velocity.quantize(Decimal("0.01"), ROUND_HALF_UP))
