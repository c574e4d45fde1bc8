"""The report on sources: exact counts, sums and rates per source and period."""

from __future__ import annotations

from typing import Any

from app.kernel.access import Scope
from app.kernel.listing import Query
from app.modules.leads.services.sources import sources
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company, sign_up


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def lead(owner: Client, name: str, source: str, created_at: str, **fields: Any) -> dict[str, Any]:
    return await make(owner, "leads", name=name, source=source, created_at=created_at, **fields)


async def convert(owner: Client, found: dict[str, Any], amount: str | None, *, win: bool) -> None:
    plan = {"opportunity": {"name": "Deal", "amount": usd(amount) if amount else None}}
    result = await owner.ok("POST", f"/v1/leads/{found['id']}/convert", json=plan, if_match=1)
    if win:
        deal = await owner.ok("GET", f"/v1/opportunities/{result['opportunity']['id']}")
        await owner.ok("POST", f"/v1/opportunities/{deal['id']}/win", if_match=deal["version"])


async def some_leads(owner: Client) -> None:
    """Web: four in the first quarter (one won, one converted, one qualified), one in the second; event: one."""
    first = await lead(owner, "Olga Novak", "web", "2025-01-15T12:00:00Z")
    await convert(owner, first, "100.10", win=True)
    second = await lead(owner, "Bernd Diallo", "web", "2025-02-15T12:00:00Z")
    await convert(owner, second, "70.00", win=False)
    await lead(owner, "Mei Yamamoto", "web", "2025-03-01T12:00:00Z", status="qualified")
    await lead(owner, "Hugo Eriksson", "web", "2025-03-31T12:00:00Z")
    await lead(owner, "Zoltan Achterberg", "web", "2025-04-01T12:00:00Z")
    third = await lead(owner, "Ruth Kwame", "event", "2025-02-01T12:00:00Z")
    await convert(owner, third, None, win=True)


async def test_the_report_counts_by_source(owner: Client) -> None:
    await some_leads(owner)
    report = await owner.ok("GET", "/v1/leads/sources")
    assert report == {
        "period": "all",
        "touch": "first",
        "data": [
            {
                "source": "web", "period_start": None, "leads": 5, "qualified": 3, "converted": 2, "won": 1,
                "won_amount": [usd("100.10")], "conversion_rate": 0.4,
            },
            {
                "source": "event", "period_start": None, "leads": 1, "qualified": 1, "converted": 1, "won": 1,
                "won_amount": [], "conversion_rate": 1.0,
            },
        ],
    }  # fmt: skip


async def test_the_report_by_quarter_and_with_filters(owner: Client) -> None:
    await some_leads(owner)
    report = await owner.ok("GET", "/v1/leads/sources?period=quarter")
    assert [(r["period_start"], r["source"], r["leads"], r["converted"]) for r in report["data"]] == [
        ("2025-04-01", "web", 1, 0),
        ("2025-01-01", "web", 4, 2),
        ("2025-01-01", "event", 1, 1),
    ]
    months = await owner.ok("GET", "/v1/leads/sources?period=month&source=web&created_at[gte]=2025-03-01")
    assert [(r["period_start"], r["leads"], r["qualified"]) for r in months["data"]] == [
        ("2025-04-01", 1, 0),
        ("2025-03-01", 2, 1),
    ]


async def test_the_last_touch_has_a_report_of_its_own(owner: Client) -> None:
    made = await lead(owner, "Olga Novak", "web", "2025-01-15T12:00:00Z")
    await owner.ok("POST", f"/v1/leads/{made['id']}/touches", json={"source": "email"}, if_match=1)
    first = await owner.ok("GET", "/v1/leads/sources?touch=first")
    last = await owner.ok("GET", "/v1/leads/sources?touch=last")
    assert [r["source"] for r in first["data"] + last["data"]] == ["web", "email"]


async def test_periods_follow_the_tenants_zone_and_fiscal_year(company: Company) -> None:
    shanghai = await sign_up(company.app, time_zone="Asia/Shanghai", country="CN", currency="CNY")
    found = await shanghai.owner.get("/v1/tenant")
    changed = await shanghai.owner.patch(
        "/v1/tenant", {"fiscal_year_start_month": 4}, if_match=found.json()["version"]
    )
    assert changed.status_code == 200
    await lead(shanghai.owner, "Olga Novak", "web", "2025-03-31T16:00:00Z")  # midnight of April in Shanghai
    await lead(shanghai.owner, "Mei Yamamoto", "web", "2025-03-31T15:59:59Z")
    for period, starts in (
        ("month", ["2025-04-01", "2025-03-01"]),
        ("quarter", ["2025-04-01", "2025-01-01"]),
        ("year", ["2025-04-01", "2024-04-01"]),
    ):
        report = await shanghai.owner.ok("GET", f"/v1/leads/sources?period={period}")
        assert [r["period_start"] for r in report["data"]] == starts, period


async def test_the_report_takes_three_statements_and_counts_what_the_actor_sees(
    company: Company, owner: Client
) -> None:
    await some_leads(owner)
    everything = await actor_of(company)
    async with acting(company, everything) as uow:
        before = uow.statements
        report = await sources(uow, "quarter", "first", Query())
        assert len(report.data) == 3
        assert uow.statements - before <= 3
    async with acting(company, colleague(everything, lead_read=Scope.ALL)) as uow:
        blind = await sources(uow, "all", "first", Query())
        assert [(r.leads, r.won, r.won_amount) for r in blind.data] == [(5, 0, []), (1, 0, [])]
    async with acting(company, colleague(everything, lead_read=Scope.OWN)) as uow:
        assert (await sources(uow, "all", "first", Query())).data == []
