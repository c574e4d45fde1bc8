"""Statistics: counts and sums by group, as far as one sees."""

from __future__ import annotations

from typing import Any

from app.kernel.access import Scope
from app.kernel.listing import Query
from app.modules.opportunities.services.statistics import StatisticsService
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def deals(owner: Client) -> None:
    """Two won in different quarters, one lost, two open, one of them in another currency."""
    found: dict[str, dict[str, Any]] = {
        "A": {"status": "won", "opened_on": "2025-01-10", "closed_on": "2025-02-01", "amount": usd("100.10")},
        "B": {"status": "won", "opened_on": "2025-01-10", "closed_on": "2025-05-01", "amount": usd("200.20")},
        "C": {"status": "lost", "opened_on": "2025-01-10", "closed_on": "2025-05-31", "loss_reason": "price",
              "stage": "proposal", "amount": usd("50.00")},
        "D": {"stage": "proposal", "opened_on": "2025-03-31", "amount": {"amount": "7", "currency": "JPY"}},
        "E": {"opened_on": "2025-04-01", "product_name": "GTX Pro"},
    }  # fmt: skip
    for name, fields in found.items():
        await make(owner, "opportunities", name=name, **fields)


async def by(owner: Client, **parameters: str) -> list[dict[str, Any]]:
    found = await owner.ok("GET", "/v1/opportunities/statistics", params=parameters)
    data: list[dict[str, Any]] = found["data"]
    return data


async def test_stages_come_in_the_pipelines_order_with_sums_per_currency(owner: Client) -> None:
    await deals(owner)
    assert await by(owner, group_by="stage") == [
        {
            "key": "qualification", "label": None, "count": 1, "open": 1, "won": 0, "lost": 0,
            "amount": [], "open_amount": [], "won_amount": [],
        },
        {
            "key": "proposal", "label": None, "count": 2, "open": 1, "won": 0, "lost": 1,
            "amount": [{"amount": "7", "currency": "JPY"}, usd("50.00")],
            "open_amount": [{"amount": "7", "currency": "JPY"}], "won_amount": [],
        },
        {
            "key": "won", "label": None, "count": 2, "open": 0, "won": 2, "lost": 0,
            "amount": [usd("300.30")], "open_amount": [], "won_amount": [usd("300.30")],
        },
    ]  # fmt: skip


async def test_quarters_go_by_the_chosen_date_and_the_open_come_last(owner: Client) -> None:
    await deals(owner)
    closed = await by(owner, group_by="quarter")
    assert [(g["key"], g["count"], g["won_amount"]) for g in closed] == [
        ("2025-01-01", 1, [usd("100.10")]),
        ("2025-04-01", 2, [usd("200.20")]),
        (None, 2, []),
    ]
    opened = await by(owner, group_by="quarter", date_field="opened_on")
    assert [(g["key"], g["count"]) for g in opened] == [("2025-01-01", 4), ("2025-04-01", 1)]
    months = await by(owner, group_by="month", status="won")
    assert [g["key"] for g in months] == ["2025-02-01", "2025-05-01"]


async def test_owners_carry_their_names_and_filters_narrow(company: Company, owner: Client) -> None:
    await deals(owner)
    assert [(g["key"], g["label"], g["count"]) for g in await by(owner, group_by="owner")] == [
        (str(company.member_id), "Olivia Owner", 5)
    ]
    assert [(g["key"], g["count"]) for g in await by(owner, group_by="product", stage="qualification")] == [
        ("GTX Pro", 1)
    ]
    refused = await owner.get("/v1/opportunities/statistics", params={"group_by": "stage", "nothing": "1"})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_filter")
    unknown = await owner.get("/v1/opportunities/statistics", params={"group_by": "colour"})
    assert unknown.status_code == 422


async def test_one_statement_counts_only_what_the_actor_sees(
    company: Company, owner: Client, rival: Company
) -> None:
    await deals(owner)
    await deals(rival.owner)
    everything = await actor_of(company)
    async with acting(company, everything) as uow:
        before = uow.statements
        found = await StatisticsService(uow).grouped("status", "closed_on", Query())
        assert [(g.key, g.count) for g in found.data] == [("open", 2), ("won", 2), ("lost", 1)]
        assert uow.statements - before <= 2  # the tenant's custom fields, and the question
    async with acting(company, colleague(everything, opportunity_read=Scope.OWN)) as uow:
        assert (await StatisticsService(uow).grouped("status", "closed_on", Query())).data == []
