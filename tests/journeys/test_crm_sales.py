"""A hardware seller moves in: accounts, agents in teams under managers, and 8,800 opportunities with their past.

Everything goes through the public API, and every figure it then tells is compared, to the unit, with a plain
computation over the files. What is wrong in the files is refused row by row, put right, and sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from app.main import Application
from tests.journeys.crm_sales import CrmSales, Row, Sum, folder, product_name, quarter
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
Refused = dict[str, tuple[str, str]]  # ref → (pointer, code)


@dataclass
class Seller:
    """The company with its people, and what was refused on the way in."""

    company: Company
    data: CrmSales
    members: dict[str, str] = field(default_factory=dict)  # member id by name
    clients: dict[str, Client] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)  # account id by name
    refused_accounts: Refused = field(default_factory=dict)
    refused_opportunities: Refused = field(default_factory=dict)

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


async def _batch(owner: Client, path: str, items: list[dict[str, Any]]) -> tuple[dict[str, str], Refused]:
    """(id by ref, refused by ref) of a batch of any length, a hundred at a time."""
    made: dict[str, str] = {}
    refused: Refused = {}
    for start in range(0, len(items), 100):
        answer = await owner.ok("POST", path, json={"items": items[start : start + 100]})
        for result in answer["results"]:
            if result["error"] is None:
                made[result["ref"]] = result["id"]
            else:
                place = result["error"]["errors"][0]
                refused[result["ref"]] = (place["pointer"], place["code"])
    return made, refused


async def _accounts(seller: Seller) -> None:
    """85 accounts; those whose sector is misspelt are refused, put right and sent again; then the hierarchy."""

    def item(row: Row, sector: str) -> dict[str, Any]:
        record = {"name": row["account"], "industry": sector, "custom": {"sector": sector}}
        return {"ref": row["account"], "record": record}

    path = "/v1/accounts/batch/create"
    rows = {row["account"]: row for row in seller.data.accounts}
    made, seller.refused_accounts = await _batch(
        seller.owner, path, [item(row, row["sector"]) for row in rows.values()]
    )
    again, left = await _batch(
        seller.owner, path, [item(rows[name], "technology") for name in seller.refused_accounts]
    )
    assert left == {}
    seller.accounts = made | again
    parents = [
        {
            "ref": name,
            "id": seller.accounts[name],
            "record": {"parent_id": seller.accounts[row["subsidiary_of"]]},
        }
        for name, row in rows.items()
        if row["subsidiary_of"]
    ]
    _, left = await _batch(seller.owner, "/v1/accounts/batch/update", parents)
    assert left == {}


async def _opportunities(seller: Seller) -> None:
    """8,800 opportunities with their outcomes; those of a product that is not on the list are sent again."""
    rows = {row["opportunity_id"]: row for row in seller.data.pipeline}
    path = "/v1/opportunities/batch/create"
    _, seller.refused_opportunities = await _batch(
        seller.owner, path, [_item(seller, row, row["product"]) for row in rows.values()]
    )
    _, left = await _batch(
        seller.owner,
        path,
        [_item(seller, rows[id], product_name(rows[id])) for id in seller.refused_opportunities],
    )
    assert left == {}


def _item(seller: Seller, row: Row, product: str) -> dict[str, Any]:
    stage = row["deal_stage"].lower()
    record: dict[str, Any] = {
        "external_id": row["opportunity_id"],
        "name": f"{product} for {row['account'] or 'an unnamed account'}",
        "owner_id": seller.members[row["sales_agent"]],
        "product_name": product,
        "custom": {"product": product},
        "stage": stage,
    }
    if row["account"]:
        record["account_id"] = seller.accounts[row["account"]]
    if row["engage_date"]:
        record["opened_on"] = row["engage_date"]
    if row["close_date"]:
        record |= {
            "closed_on": row["close_date"],
            "amount": {"amount": row["close_value"], "currency": "USD"},
        }
    if stage == "lost":
        record["loss_reason"] = "not_recorded"
    return {"ref": row["opportunity_id"], "record": record}


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
    misspelt = {row["account"] for row in seller.data.accounts if row["sector"] == "technolgy"}
    assert set(seller.refused_accounts) == misspelt
    assert len(misspelt) == 12
    assert {place for place, _ in seller.refused_accounts.values()} == {"/custom/sector"}
    unlisted = {row["opportunity_id"] for row in seller.data.pipeline if row["product"] == "GTXPro"}
    assert set(seller.refused_opportunities) == unlisted
    assert len(unlisted) == 1480
    assert {place for place, _ in seller.refused_opportunities.values()} == {"/custom/product"}
    nameless = {row["opportunity_id"] for row in seller.data.pipeline if not row["account"]}
    found: set[str] = set()
    parameters = {"account_id[is_null]": "true", "limit": "200", "include": "total"}
    page = await seller.owner.ok("GET", "/v1/opportunities", params=parameters)
    assert page["total"] == 1425
    while True:
        found |= {row["external_id"] for row in page["data"]}
        if not page["has_more"]:
            break
        page = await seller.owner.ok(
            "GET", "/v1/opportunities", params=parameters | {"cursor": page["next_cursor"]}
        )
    assert found == nameless


async def test_managers_and_agents_see_their_own_teams_figures(seller: Seller) -> None:
    manager_of = seller.data.manager_of
    everybody = seller.data.by(lambda row: manager_of[row["sales_agent"]])
    for manager in seller.data.managers:
        seen = figures(await told(seller.clients[manager], "manager"), "label")
        assert seen == {manager: everybody[manager]}, manager
    agent = seller.data.teams[0]["sales_agent"]
    seen = figures(await told(seller.clients[agent], "manager"), "label")
    assert seen == {manager_of[agent]: everybody[manager_of[agent]]}
