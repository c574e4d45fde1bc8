"""Win and loss, velocity and the activity report against figures worked out by hand."""

from __future__ import annotations

from typing import Any

from app.kernel.access import Scope
from app.kernel.listing import Query
from app.modules.opportunities.reading.outcomes import OutcomeService
from tests.modules.opportunities.reading.support import eur, lived, usd
from tests.modules.opportunities.reading.test_exchange_rates import rate
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company
from tests.tenants.people import code_of


async def closed(owner: Client) -> None:
    """Three won (one in euro, one without an amount), two lost, one of them without a rate, and two open."""
    await rate(owner, "1.50", "2020-01-01")
    past = {"opened_on": "2025-01-01"}
    pounds = {"amount": "50.00", "currency": "GBP"}
    lost = {"status": "lost", "stage": "proposal"}
    for fields in (
        {
            "status": "won",
            "closed_on": "2025-01-11",
            "amount": usd("100.00"),
            "win_reason": "price",
            "source": "web",
        },
        {"status": "won", "closed_on": "2025-04-01", "amount": eur("200.00"), "win_reason": "service"},
        {"status": "won", "closed_on": "2025-04-02", "source": "web"},
        lost | {"closed_on": "2025-04-30", "amount": usd("300.00"), "loss_reason": "price", "source": "web"},
        lost | {"closed_on": "2025-07-01", "amount": pounds, "loss_reason": "timing"},
        {"amount": usd("10.00")},
        {"source": "web"},
    ):
        await make(owner, "opportunities", name="A", **past, **fields)


async def told(owner: Client, **parameters: Any) -> list[tuple[Any, ...]]:
    found = await owner.ok("GET", "/v1/opportunities/win-loss", params=parameters)
    return [figures(group) for group in [*found["data"], found["total"]]]


def figures(group: dict[str, Any]) -> tuple[Any, ...]:
    names = ("key", "won", "lost", "win_rate", "win_rate_by_value", "average_cycle_days", "unconverted")
    amounts = [group[name]["amount"] for name in ("won_amount", "lost_amount")]
    return tuple(group[name] for name in names) + tuple(amounts)


async def test_win_rates_by_number_and_value(owner: Client) -> None:
    await closed(owner)
    total = (None, 3, 2, "0.6000", "0.5714", "63.7", 1, "400.00", "300.00")  # 400 / 700; (10 + 90 + 91) / 3
    assert await told(owner, group_by="reason") == [
        ("service", 1, 0, "1.0000", "1.0000", "90.0", 0, "300.00", "0.00"),
        ("price", 1, 1, "0.5000", "0.2500", "10.0", 0, "100.00", "300.00"),
        ("timing", 0, 1, "0.0000", None, None, 1, "0.00", "0.00"),
        (None, 1, 0, "1.0000", None, "91.0", 0, "0.00", "0.00"),
        total,
    ]
    assert await told(owner, group_by="quarter") == [
        ("2025-01-01", 1, 0, "1.0000", "1.0000", "10.0", 0, "100.00", "0.00"),
        ("2025-04-01", 2, 1, "0.6667", "0.5000", "90.5", 0, "300.00", "300.00"),
        ("2025-07-01", 0, 1, "0.0000", None, None, 1, "0.00", "0.00"),
        total,
    ]
    assert [row[:3] for row in await told(owner, group_by="stage")] == [
        ("won", 3, 0),
        ("proposal", 0, 2),
        (None, 3, 2),
    ]


async def test_losses_go_by_who_won_instead(owner: Client) -> None:
    rival = await make(owner, "competitors", name="Rival Works")
    for against in (rival["id"], rival["id"], None):
        deal = await make(owner, "opportunities", name="A")
        why = {"loss_reason": "price", "winning_competitor_id": against}
        await owner.ok("POST", f"/v1/opportunities/{deal['id']}/lose", json=why, if_match=1)
    found = await owner.ok("GET", "/v1/opportunities/win-loss", params={"group_by": "winning_competitor"})
    assert [(row["key"], row["label"], row["lost"]) for row in found["data"]] == [
        (rival["id"], "Rival Works", 2),
        (None, None, 1),
    ]


async def test_filters_and_days_of_closing_narrow(owner: Client) -> None:
    await closed(owner)
    narrow = {"source": "web", "closed_from": "2025-01-11", "closed_to": "2025-04-02"}
    assert [row[:3] for row in await told(owner, group_by="source", **narrow)] == [
        ("web", 2, 0),
        (None, 2, 0),
    ]
    for wrong in ({"group_by": "reason", "colour": "red"}, {"group_by": "reason", "sort": "name"}):
        answer = await owner.get("/v1/opportunities/win-loss", params=wrong)
        assert code_of(answer) == (400, "invalid_filter")
    assert (await owner.get("/v1/opportunities/win-loss", params={"group_by": "x"})).status_code == 422


async def test_velocity_is_the_product_of_its_parts_per_day(owner: Client) -> None:
    await closed(owner)
    found = await owner.ok("GET", "/v1/opportunities/velocity")
    assert found == {
        "closed_from": None, "closed_to": None, "open_count": 2, "won": 3, "lost": 2, "win_rate": "0.6000",
        "average_amount": usd("200.00"), "average_cycle_days": "63.7", "unconverted": 1,
        "velocity": usd("3.77"),  # 2 × 3/5 × 200 ÷ 191/3 = 3.7696…
    }  # fmt: skip
    nothing = await owner.ok("GET", "/v1/opportunities/velocity", params={"closed_from": "2026-01-01"})
    assert (nothing["won"], nothing["win_rate"], nothing["velocity"], nothing["open_count"]) == (
        0,
        None,
        None,
        2,
    )


async def test_only_what_one_sees_counts_in_a_fixed_number_of_statements(
    company: Company, owner: Client, rival: Company
) -> None:
    await closed(owner)
    await closed(rival.owner)
    everything = await actor_of(company)
    async with acting(company, everything) as uow:
        before = uow.statements
        found = await OutcomeService(uow).win_loss("owner", Query(), None, None)
        assert (found.total.won, found.data[0].label) == (3, "Olivia Owner")
        assert uow.statements - before <= 4  # custom fields twice, the groups, their names
    async with acting(company, colleague(everything, opportunity_read=Scope.OWN)) as uow:
        nothing = await OutcomeService(uow).win_loss("owner", Query(), None, None)
        assert (nothing.data, nothing.total.won) == ([], 0)


async def test_the_activity_report_counts_per_member_and_month(company: Company, owner: Client) -> None:
    for kind, at in (
        ("call", "2026-01-31T23:59:00Z"),
        ("call", "2026-02-01T00:00:00Z"),
        ("note", "2026-02-03T10:00:00Z"),
    ):
        await make(owner, "activities", kind=kind, subject="Spoke", happened_at=at)
    await make(owner, "activities", kind="task", subject="Later", due_at="2026-02-05T10:00:00Z")
    await lived(
        company,
        ("2026-01-10T09:00:00+00:00", {}),
        ("2026-02-02T09:00:00+00:00", {"stage": "proposal"}),
        ("2026-02-03T09:00:00+00:00", {"stage": "negotiation"}),
        ("2026-02-10T09:00:00+00:00", {"stage": "won"}),
    )
    asked = {"from": "2026-01-01", "before": "2026-03-01"}
    found = await owner.ok("GET", "/v1/reports/activity", params=asked)
    who = {"member_id": str(company.member_id), "name": "Olivia Owner"}
    assert found["data"] == [
        who | {
            "starts_on": "2026-01-01", "activities": {"call": 1}, "opportunities_opened": 1, "stages_moved": 0,
            "opportunities_won": 0, "won_amount": usd("0.00"),
        },
        who | {
            "starts_on": "2026-02-01", "activities": {"call": 1, "note": 1}, "opportunities_opened": 0,
            "stages_moved": 2, "opportunities_won": 1, "won_amount": usd("0.00"),
        },
    ]  # fmt: skip
    quarter = await owner.ok(
        "GET",
        "/v1/reports/activity",
        params={"period": "quarter", "from": "2026-01-01", "before": "2026-04-01"},
    )
    assert [(r["activities"], r["stages_moved"]) for r in quarter["data"]] == [({"call": 2, "note": 1}, 2)]
    for wrong in (
        {"from": "2026-01-02", "before": "2026-03-01"},
        {"from": "2026-03-01", "before": "2026-03-01"},
    ):
        assert code_of(await owner.get("/v1/reports/activity", params=wrong)) == (400, "invalid_filter")
