"""Tiers: reached at once, kept to the end of the period and its grace, and what they do to points. And groups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.kernel.clock import FixedClock
from app.modules.membership import jobs
from tests.modules.membership.points import (
    adds_up,
    again,
    calendar,
    delivered,
    enrol,
    gave_back,
    programme,
    scheduled,
)
from tests.modules.orders.orders import line
from tests.modules.support import acting, make
from tests.support.api import Company

Json = dict[str, Any]
SILVER: Json = {
    "key": "silver",
    "name_en": "Silver",
    "threshold": "100",
    "multiplier": "1.5",
    "grace_days": 10,
}
GOLD: Json = {"key": "gold", "name_en": "Gold", "threshold": "500", "multiplier": "2", "benefits": ["lounge"]}


async def tier(company: Company, member: Json) -> tuple[str | None, str | None]:
    found = await again(company.owner, member)
    return found["tier"], found["tier_until"]


async def changes(company: Company, member: Json) -> list[tuple[str | None, str | None, str]]:
    page = await company.owner.ok("GET", f"/v1/loyalty-members/{member['id']}/tiers")
    return [(one["from_tier"], one["to_tier"], one["reason"]) for one in reversed(page["data"])]


async def test_a_tier_is_reached_at_once_and_raises_what_is_earned_next(
    company: Company, account: Json, clock: FixedClock
) -> None:
    member = await enrol(company.owner, await programme(company.owner, tiers=[SILVER, GOLD]), account)
    await delivered(company, account, line("1", "99.99"))
    assert await tier(company, member) == (None, None)
    await delivered(company, account, line("1", "0.01"))
    assert await tier(company, member) == ("silver", "2027-03-01")
    await delivered(company, account, line("1", "400.00"))
    found = await again(company.owner, member)
    assert (found["tier"], found["points"], found["points_qualifying"]) == ("gold", 99 + 600, 499)
    assert await changes(company, member) == [(None, "silver", "qualified"), ("silver", "gold", "qualified")]


async def test_a_tier_is_kept_until_the_grace_is_over_and_then_lowered_or_renewed(
    company: Company, account: Json, clock: FixedClock
) -> None:
    tiers = [SILVER, GOLD | {"grace_days": 10}]
    club = await programme(company.owner, tiers=tiers)
    member = await enrol(company.owner, club, account)
    await delivered(company, account, line("1", "500.00"))
    clock.set(datetime(2026, 9, 1, 12, tzinfo=UTC))
    await delivered(company, account, line("1", "100.00"))
    clock.set(datetime(2027, 3, 11, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == ("gold", "2027-03-01")
    clock.set(datetime(2027, 3, 12, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == ("silver", "2028-03-12")
    clock.set(datetime(2028, 3, 1, 12, tzinfo=UTC))
    await delivered(company, account, line("1", "100.00"))
    clock.set(datetime(2028, 3, 23, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == ("silver", "2029-03-23")
    clock.set(datetime(2030, 1, 1, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == (None, None)
    assert await changes(company, member) == [
        (None, "gold", "qualified"),
        ("gold", "silver", "period_ended"),
        ("silver", "silver", "renewed"),
        ("silver", None, "period_ended"),
    ]


async def test_a_calendar_year_decides_for_the_next(
    company: Company, account: Json, clock: FixedClock
) -> None:
    year = {
        "key": "year",
        "name_en": "Year",
        "qualify_by": "visits",
        "threshold": "2",
        "period": "calendar_year",
    }
    member = await enrol(company.owner, await programme(company.owner, tiers=[year]), account)
    await delivered(company, account)
    order = await delivered(company, account)
    assert await tier(company, member) == ("year", "2026-12-31")
    clock.set(datetime(2027, 1, 1, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == ("year", "2027-12-31")
    await gave_back(company, order, (0, "1"))
    clock.set(datetime(2028, 1, 1, 12, tzinfo=UTC))
    await calendar(company)
    assert await tier(company, member) == (None, None)


async def test_a_tier_by_qualifying_points_counts_what_a_rolling_window_holds(
    company: Company, account: Json, clock: FixedClock
) -> None:
    points = {"key": "points", "name_en": "P", "qualify_by": "points", "threshold": "150", "period_months": 3}
    member = await enrol(company.owner, await programme(company.owner, tiers=[points]), account)
    await delivered(company, account, line("1", "100.00"))
    clock.set(datetime(2026, 6, 2, 12, tzinfo=UTC))  # the first order has left the window
    await delivered(company, account, line("1", "100.00"))
    assert await tier(company, member) == (None, None)
    await delivered(company, account, line("1", "50.00"))
    assert await tier(company, member) == ("points", "2026-09-02")


async def test_members_tiers_stay_in_the_programme(company: Company, account: Json) -> None:
    club = await programme(company.owner, tiers=[SILVER])
    await enrol(company.owner, club, account)
    await delivered(company, account)
    path = f"/v1/loyalty-programmes/{club['id']}"
    answer = await company.owner.patch(path, {"tiers": [GOLD]}, if_match=1)
    assert (answer.status_code, answer.json()["code"], answer.json()["tiers"]) == (
        409,
        "tier_in_use",
        ["silver"],
    )
    assert (await company.owner.ok("GET", path)) == club


async def test_groups_by_recency_frequency_and_amount(company: Company, clock: FixedClock) -> None:
    """Five customers: each buys later, more often and more than the one before; the fifth gives all back."""
    club = await programme(company.owner)
    members, last, first = [], None, None
    for number in range(1, 6):
        buyer = await make(company.owner, "accounts", name=f"Buyer {number}")
        members.append(await enrol(company.owner, club, buyer))
        clock.advance(days=1)
        for _ in range(number):
            last = await delivered(company, buyer, line("1", f"{number}.00"))
            first = first or last
    await jobs.classify_members(await scheduled(company))
    found = [await again(company.owner, member) for member in members]
    assert [(one["rfm_scores"], one["rfm_class"], one["value_class"]) for one in found] == [
        ("111", "hibernating", "low"),
        ("222", "hibernating", "low"),
        ("333", "regular", "medium"),
        ("444", "champions", "high"),
        ("555", "champions", "high"),
    ]
    assert found[3]["rfm_explanation"] == {
        "recency_days": 1, "last_order_on": "2026-03-05", "frequency": 4, "amount_minor": 1600, "currency": "USD",
        "recency_score": 4, "frequency_score": 4, "amount_score": 4, "members_compared": 5,
    }  # fmt: skip
    assert last is not None
    assert first is not None
    await gave_back(company, last, (0, "1"))
    await jobs.classify_members(await scheduled(company))
    assert (await again(company.owner, members[4]))["rfm_scores"] == "545"
    await gave_back(company, first, (0, "1"))
    await jobs.classify_members(await scheduled(company))
    emptied = await again(company.owner, members[0])
    assert (emptied["rfm_scores"], emptied["rfm_class"], emptied["value_class"]) == (None, "none", "low")
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT data ->> 'to_class' AS told FROM kernel.outbox WHERE tenant_id = $1"
            " AND type = 'membership.loyalty_member.class_changed.v1'",
            company.tenant_id,
        )
    assert [row["told"] for row in rows].count("none") == 1
    await adds_up(company)
