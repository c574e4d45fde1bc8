"""Birthdays and anniversaries: what members get, once in a year, by the clock of where they are."""

from __future__ import annotations

import calendar as months
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.modules.membership.models.rewards import Occasion
from app.modules.membership.services.days import candidates, day_in, due_day
from tests.modules.membership.points import adds_up, again, calendar, delivered, enrol, programme
from tests.modules.membership.test_referrals import rewarding
from tests.modules.membership.test_wallet import usd
from tests.modules.orders.orders import line
from tests.modules.support import make
from tests.support.api import Client, Company

Json = dict[str, Any]
ZONES = st.sampled_from(
    ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago",
     "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca"]
)  # fmt: skip
POINTS: Json = {"kind": "points", "points": 100}


@settings(max_examples=300, deadline=None)
@given(
    of=st.dates(date(1904, 1, 1), date(2011, 12, 31)),
    days=st.integers(0, 7000),
    hops=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    zone=ZONES,
    catch_up=st.integers(0, 60),
)
def test_a_day_comes_once_a_year_however_often_somebody_looks(
    of: date, days: int, hops: list[int], zone: str, catch_up: int
) -> None:
    """Against walking through the days: what has begun there and was looked for in time is found, and nothing else."""
    now, place = datetime(2011, 12, 20, tzinfo=UTC) + timedelta(days=days), ZoneInfo(zone)
    given_in: dict[int, date] = {}
    for hop in [0, *hops]:
        now += timedelta(hours=hop)
        today = now.astimezone(place).date()
        walked = None
        for back in range(catch_up + 1):
            day = today - timedelta(days=back)
            born = (of.month, of.day)
            if born == (2, 29) and not months.isleap(day.year):
                born = (2, 28)
            if (day.month, day.day) == born:
                walked = day
                break
        found = due_day(
            of,
            now=now,
            zone=place,
            catch_up_days=catch_up,
            occasion=Occasion.BIRTHDAY,
            since=date(1900, 1, 1),
        )
        assert found == walked
        if found is not None:
            assert given_in.setdefault(found.year, found) == found
            assert (of, found.year) in set(zip(*candidates(now, catch_up), strict=True))


def test_the_last_of_february_and_the_first_year() -> None:
    assert [day_in(year, date(2000, 2, 29)) for year in (2023, 2024, 2100)] == [
        date(2023, 2, 28), date(2024, 2, 29), date(2100, 2, 28),
    ]  # fmt: skip
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    common = {"now": noon, "zone": ZoneInfo("UTC"), "catch_up_days": 7, "since": date(2026, 3, 1)}
    assert due_day(date(2026, 3, 1), occasion=Occasion.ANNIVERSARY, **common) is None  # type: ignore[arg-type]
    assert due_day(date(1990, 3, 1), occasion=Occasion.BIRTHDAY, **common) == date(2026, 3, 1)  # type: ignore[arg-type]
    assert due_day(date(1990, 2, 27), occasion=Occasion.BIRTHDAY, **common) is None  # type: ignore[arg-type]


async def club_with(owner: Client, *occasions: Json, **fields: Any) -> Json:
    club = await programme(owner, **fields)
    await rewarding(owner, club, occasions=list(occasions))
    return club


async def benefits(owner: Client, member: Json) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/loyalty-members/{member['id']}/benefits"))["data"]
    return found


async def test_a_birthday_begins_where_the_member_is_and_comes_once_a_year(
    company: Company, clock: FixedClock
) -> None:
    owner = company.owner
    clock.set(datetime(2026, 3, 9, 9, tzinfo=UTC))
    rewards = [POINTS, {"kind": "wallet", "amount": usd("8.00"), "valid_days": 1}]
    club = await club_with(owner, {"occasion": "birthday", "rewards": rewards, "catch_up_days": 3})
    people = {}
    for zone in ("Pacific/Kiritimati", "America/New_York", None):
        account = await make(owner, "accounts", name=f"At {zone}")
        people[zone] = await enrol(owner, club, account, birthday="1990-03-10", time_zone=zone)

    async def who() -> set[str | None]:
        await calendar(company)
        return {zone for zone, one in people.items() if await benefits(owner, one)}

    assert await who() == set()
    clock.set(datetime(2026, 3, 9, 10, tzinfo=UTC))  # midnight at UTC+14
    assert await who() == {"Pacific/Kiritimati"}
    clock.set(datetime(2026, 3, 10, 0, tzinfo=UTC))
    assert await who() == {"Pacific/Kiritimati", None}
    clock.set(datetime(2026, 3, 10, 3, 59, 59, tzinfo=UTC))  # summer time since two days
    assert await who() == {"Pacific/Kiritimati", None}
    clock.set(datetime(2026, 3, 10, 4, tzinfo=UTC))
    assert await who() == {"Pacific/Kiritimati", None, "America/New_York"}
    member = await again(owner, people[None])
    assert member["points"] == 100
    moved = await owner.patch(
        f"/v1/loyalty-members/{member['id']}", {"birthday": "1990-03-11"}, if_match=member["version"]
    )
    assert moved.is_success
    clock.advance(days=1)
    await calendar(company)
    assert (await again(owner, people[None]))["points"] == 100
    (one,) = await benefits(owner, people[None])
    assert (one["occasion"], one["year"], one["day"]) == ("birthday", 2026, "2026-03-10")
    assert [reward["kind"] for reward in one["rewards"]] == ["points", "wallet"]
    (wallet,) = (await owner.ok("GET", f"/v1/loyalty-members/{member['id']}/wallets"))["data"]
    assert wallet["balance"] == usd("0.00")  # it was for that day
    clock.set(datetime(2027, 3, 14, 12, tzinfo=UTC))  # down for three days
    await calendar(company)
    clock.set(datetime(2028, 3, 15, 12, tzinfo=UTC))  # and for too long
    await calendar(company)
    assert [one["year"] for one in await benefits(owner, people[None])] == [2027, 2026]
    assert (await again(owner, people[None]))["points"] == 200
    await adds_up(company)


async def test_an_anniversary_begins_with_the_year_after(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    coupon = await make(
        owner, "coupons", name="Cake", distribution="personal", currency="USD", percent="10", benefit="percent",
    )  # fmt: skip
    active = await owner.ok("POST", f"/v1/coupons/{coupon['id']}/activate", if_match=coupon["version"])
    rewards = [POINTS, {"kind": "coupon", "coupon_id": coupon["id"], "valid_days": 10}]
    club = await club_with(owner, {"occasion": "anniversary", "rewards": rewards})
    member = await enrol(owner, club, account)
    await calendar(company)
    assert await benefits(owner, member) == []
    clock.advance(days=365)
    await calendar(company)
    await calendar(company)
    (one,) = await benefits(owner, member)
    assert (one["year"], one["day"]) == (2027, "2027-03-01")
    assert (await again(owner, member))["points"] == 100
    found = await owner.ok("GET", f"/v1/coupons/{active['id']}")
    assert found["codes"] == 1
    await adds_up(company)


async def test_orders_of_the_day_earn_more_once_a_year(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    club = await club_with(
        owner,
        {"occasion": "birthday", "rewards": [{"kind": "multiplier", "factor": "3"}], "catch_up_days": 0},
    )
    member = await enrol(owner, club, account, birthday="1980-03-01")
    await delivered(company, account, line("1", "10.00"))
    await calendar(company)
    await delivered(company, account, line("1", "10.00"))
    found = await again(owner, member)
    assert (found["points"], found["points_qualifying"]) == (60, 20)
    await owner.patch(
        f"/v1/loyalty-members/{member['id']}", {"birthday": "1980-03-02"}, if_match=found["version"]
    )
    clock.advance(days=1)
    await delivered(company, account, line("1", "10.00"))
    assert (await again(owner, member))["points"] == 70


async def test_a_reward_says_what_its_kind_needs(company: Company) -> None:
    owner = company.owner
    club = await programme(owner)
    for reward in (
        {"kind": "points"}, {"kind": "points", "points": 5, "factor": "2"}, {"kind": "wallet", "points": 5},
        {"kind": "multiplier", "factor": "2", "valid_days": 3},
    ):  # fmt: skip
        body = {"occasions": [{"occasion": "birthday", "rewards": [reward]}]}
        path = f"/v1/loyalty-programmes/{club['id']}/rewards"
        refused = await owner.request("PUT", path, if_match=0, json=body)
        assert refused.status_code == 422, reward
    assert (await owner.ok("GET", f"/v1/loyalty-programmes/{club['id']}/rewards"))["version"] == 0
