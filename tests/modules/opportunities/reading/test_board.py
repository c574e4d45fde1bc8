"""The board: columns, totals, cards and pages, filtered and as far as one sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from app.kernel.access import Scope
from app.kernel.listing import Query
from app.modules.opportunities.reading.board import BoardService
from tests.modules.opportunities.reading.support import eur, hiding, usd
from tests.modules.opportunities.reading.test_exchange_rates import rate
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of


async def board(owner: Client, **parameters: Any) -> dict[str, dict[str, Any]]:
    """Columns by stage."""
    found = await owner.ok("GET", "/v1/opportunities/board", params=parameters)
    return {column["stage"]["key"]: column for column in found["columns"]}


def totals(column: dict[str, Any]) -> tuple[Any, ...]:
    found = column["totals"]
    names = ("amount", "weighted")
    sums = [{m["currency"]: m["amount"] for m in found[name]} for name in names]
    home = [found[name]["amount"] for name in ("amount_home", "weighted_home")]
    return found["count"], *sums, *home, found["unconverted"]


async def some(owner: Client) -> None:
    await rate(owner, "1.10", "2020-01-01")
    yen = {"amount": "700", "currency": "JPY"}
    for fields in (
        {"name": "A", "amount": usd("100.05")},
        {"name": "B", "amount": usd("10.00"), "probability": 33},
        {"name": "C", "amount": eur("1.00"), "stage": "proposal"},
        {"name": "D", "amount": yen, "stage": "proposal"},
        {"name": "E", "stage": "proposal"},
        {"name": "F", "amount": usd("5.00"), "stage": "proposal", "status": "lost", "loss_reason": "price"},
        {"name": "G", "amount": usd("7.77"), "status": "won"},
    ):
        await make(owner, "opportunities", **fields)


async def test_columns_have_counts_sums_and_weighted_sums_per_currency_and_at_home(owner: Client) -> None:
    await some(owner)
    found = await board(owner)
    assert list(found) == ["qualification", "needs_analysis", "proposal", "negotiation", "won"]
    # 100.05 × 10 % + 10.00 × 33 % = 10.005 + 3.30 = 13.305, half up
    qualification = (2, {"USD": "110.05"}, {"USD": "13.31"}, "110.05", "13.31", 0)
    assert totals(found["qualification"]) == qualification
    assert totals(found["needs_analysis"]) == (0, {}, {}, "0.00", "0.00", 0)
    proposal = (3, {"EUR": "1.00", "JPY": "700"}, {"EUR": "0.50", "JPY": "350"}, "1.10", "0.55", 1)
    assert totals(found["proposal"]) == proposal
    assert totals(found["won"]) == (1, {"USD": "7.77"}, {"USD": "7.77"}, "7.77", "7.77", 0)
    assert [card["name"] for card in found["proposal"]["cards"]] == ["E", "D", "C"]
    assert [card["name"] for card in found["won"]["cards"]] == ["G"]


async def test_a_filter_says_the_same_as_the_kept_sums_where_it_lets_all_through(
    company: Company, owner: Client
) -> None:
    await some(owner)
    everything = await board(owner)
    assert await board(owner, **{"name[ne]": "nothing"}) == everything
    assert await board(owner, owner_id=str(company.member_id)) == everything
    nobody = await board(owner, owner_id="0198c0de-0000-7000-8000-000000000000")
    assert [column["totals"]["count"] for column in nobody.values()] == [0] * 5
    narrow = await board(owner, **{"name[in]": "A,C"})
    assert totals(narrow["qualification"]) == (1, {"USD": "100.05"}, {"USD": "10.01"}, "100.05", "10.01", 0)
    assert [card["name"] for column in narrow.values() for card in column["cards"]] == ["A", "C"]


async def test_columns_go_on_page_by_page_under_the_same_filter_only(owner: Client) -> None:
    made = [(await make(owner, "opportunities", name=f"N{n}"))["id"] for n in range(7)]
    first = (await board(owner, limit=3, sort="name"))["qualification"]
    assert (first["has_more"], [card["name"] for card in first["cards"]]) == (True, ["N0", "N1", "N2"])
    path = "/v1/opportunities/board/columns/qualification"
    seen = [card["id"] for card in first["cards"]]
    cursor = first["next_cursor"]
    while cursor:
        page = await owner.ok("GET", path, params={"limit": 3, "sort": "name", "cursor": cursor})
        seen += [card["id"] for card in page["data"]]
        cursor = page["next_cursor"]
    assert seen == made
    other = await owner.get(path, params={"limit": 3, "sort": "-name", "cursor": first["next_cursor"]})
    assert code_of(other) == (400, "invalid_cursor")
    elsewhere = {"limit": 3, "sort": "name", "cursor": first["next_cursor"]}
    wrong = await owner.get("/v1/opportunities/board/columns/proposal", params=elsewhere)
    assert code_of(wrong) == (400, "invalid_cursor")


async def test_unknown_pipelines_stages_filters_and_parameters_are_refused(owner: Client) -> None:
    path = "/v1/opportunities/board"
    assert code_of(await owner.get(path, params={"pipeline": "none"})) == (404, "not_found")
    assert code_of(await owner.get(f"{path}/columns/none")) == (404, "not_found")
    for wrong in ({"colour": "red"}, {"fields": "name"}, {"include": "total"}, {"cursor": "x"}):
        assert code_of(await owner.get(path, params=wrong)) == (400, "invalid_filter")


async def test_what_one_sees_is_counted_once_and_shared_records_too(
    company: Company, owner: Client, rival: Company
) -> None:
    await some(owner)
    await some(rival.owner)
    everything = await actor_of(company)
    other = colleague(everything, opportunity_read=Scope.OWN)
    async with acting(company, other) as uow:
        columns = orjson.loads(await BoardService(uow).board(None, Query(limit=5)))["columns"]
        assert [column["totals"]["count"] for column in columns] == [0] * 5
    mine = replace(other, member_id=company.member_id)
    async with acting(company, mine) as uow:
        before = uow.statements
        columns = orjson.loads(await BoardService(uow).board(None, Query(limit=5)))["columns"]
        assert [column["totals"]["count"] for column in columns] == [2, 0, 3, 0, 1]
        assert uow.statements - before <= 4  # pipelines, custom fields, cards, totals
    first = (await owner.ok("GET", "/v1/opportunities", params={"name": "C"}))["data"][0]
    team = everything.team_ids[0]
    body = {"team_id": str(team)}
    await owner.ok("POST", f"/v1/opportunities/{first['id']}/shares", json=body)
    async with acting(company, replace(other, team_ids=(team,))) as uow:
        columns = orjson.loads(await BoardService(uow).board(None, Query(limit=5)))["columns"]
        assert [column["totals"]["count"] for column in columns] == [0, 0, 1, 0, 0]
        assert columns[2]["totals"]["amount_home"] == usd("1.10")
    both = replace(everything, everything=False, grants={"opportunity:read": Scope.TEAM})
    async with acting(company, both) as uow:
        columns = orjson.loads(await BoardService(uow).board(None, Query(limit=5)))["columns"]
        assert [column["totals"]["count"] for column in columns] == [2, 0, 3, 0, 1]


async def test_hidden_amounts_show_nowhere(company: Company, owner: Client) -> None:
    await some(owner)
    actor = hiding(await actor_of(company), "amount", "amount_home")
    async with acting(company, actor) as uow:
        columns = orjson.loads(await BoardService(uow).board(None, Query(limit=5)))["columns"]
    for column in columns:
        assert {
            column["totals"][name] for name in ("amount", "weighted", "amount_home", "weighted_home")
        } == {None}
        assert all("amount" not in card and "amount_home" not in card for card in column["cards"])


async def test_a_role_that_hides_the_amount_hides_what_it_is_worth_at_home(
    company: Company, owner: Client, look: Any
) -> None:
    from tests.tenants.people import colleague as joins

    role = {
        "name": "Blind",
        "grants": {"opportunity:read": "all"},
        "field_rules": {"opportunity": {"hidden": ["amount"], "readonly": []}},
    }
    made = await owner.ok("POST", "/v1/roles", json=role)
    blind = await joins(company, look, name="Blind", role_ids=[made["id"]])
    await make(owner, "opportunities", name="A", amount=usd("100.00"))
    (record,) = (await blind.ok("GET", "/v1/opportunities"))["data"]
    assert {"amount", "amount_home"}.isdisjoint(record)
    for path in ("board", "funnel", "velocity", "win-loss?group_by=owner"):
        assert "100.00" not in (await blind.get(f"/v1/opportunities/{path}")).text
    for path in ("/v1/forecast", "/v1/forecast/accuracy"):
        found = await blind.get(path)
        assert found.status_code == 200
        assert "100.00" not in found.text
