"""Recycling by the clock: which rule fires when, what is exempt, who is reminded, and that a kill costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.access import system_actor
from app.kernel.jobs import JobContext, JobPaused
from app.kernel.outbox import Relay
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork, transaction
from app.main import Application
from app.modules.customers.jobs import RECYCLE, RecycleOrder, order_recycling, run_recycling
from app.modules.customers.services.pools import recycling
from app.modules.customers.services.pools.days import days_after, days_before
from tests.modules.customers.pooling import (
    START,
    Json,
    clock_at,
    id_of,
    make_pool,
    pooled,
    recycled,
    rows,
    salespeople,
    scattered,
)
from tests.modules.customers.pooling import (
    run_recycling as run_all,
)
from tests.modules.support import acting, make
from tests.support.api import Client, Company, sign_up
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look

NO_FOLLOW_UP = {"kind": "no_follow_up", "days": 30}
NO_OPPORTUNITY = {"kind": "no_opportunity", "days": 30}
NOT_WON = {"kind": "not_won", "days": 30}


async def recycling_pool(owner: Client, *rules: Json, object_name: str = "account", **fields: Any) -> Json:
    return await make_pool(owner, object_name, open_to_all=True, recycle_rules=list(rules), **fields)


async def accounts(owner: Client, *many: Json) -> list[str]:
    return [
        (await make(owner, "accounts", **({"name": f"Account {n}", "allow_duplicates": True} | fields)))["id"]
        for n, fields in enumerate(many)
    ]


async def in_pools(company: Company) -> list[str]:
    found = await rows(
        company, "SELECT id FROM customers.accounts WHERE tenant_id = $1 AND pool_id IS NOT NULL ORDER BY id"
    )
    return [str(row["id"]) for row in found]


async def hear(app: Application) -> None:
    """Let the reactions to everything that has happened so far take place."""
    assert app.kernel is not None
    while await Relay(app.kernel).run_once():
        pass


async def test_an_account_without_follow_up_goes_back_after_its_days(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        pool = await recycling_pool(owner, NO_FOLLOW_UP)
        [account] = await accounts(owner, {})
        contact = await make(owner, "contacts", name="Wei Zhang", account_id=account)
        clock.advance(days=30, seconds=-1)
        assert await recycled(company) == 0
        clock.advance(seconds=1)
        assert await recycled(company) == 1
        found = await owner.ok("GET", f"/v1/accounts/{account}")
        me = str(company.member_id)
        assert [found[n] for n in ("owner_id", "team_id", "pool_id", "former_owner_id", "received_at", "version")] == [
            None, None, pool["id"], me, None, 2,
        ]  # fmt: skip
        assert found["pooled_at"] == "2026-04-01T09:00:00Z"
        assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["owner_id"] is None
        [moved] = (await owner.ok("GET", f"/v1/accounts/{account}/pool-movements"))["data"]
        assert [moved[n] for n in ("kind", "rule", "reason", "from_owner_id", "held_since", "actor_kind")] == [
            "recycled", "no_follow_up:30", None, me, "2026-03-02T09:00:00Z", "system",
        ]  # fmt: skip
        history = (await owner.ok("GET", f"/v1/accounts/{account}/history"))["data"]
        assert (history[0]["action"], history[0]["reason"]) == ("recycled", "no_follow_up:30")
        events = await rows(
            company,
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'customers.account.pooled.v1'",
        )
        assert [event["data"]["rule"] for event in events] == ["no_follow_up:30"]
        assert await recycled(company) == 0


async def test_a_follow_up_by_somebody_starts_the_days_anew(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        await recycling_pool(owner, NO_FOLLOW_UP)
        called, planned, untouched = await accounts(owner, {}, {}, {})
        clock.advance(days=10)

        async def about(id: str, **fields: Any) -> Json:
            return await make(
                owner, "activities", about=[{"object": "account", "record_id": id}], subject="Talk", **fields
            )

        await about(called, kind="call", body="Spoke")
        task = await about(planned, kind="task", due_at="2026-03-20T09:00:00Z")
        await hear(company.app)
        found = await owner.ok("GET", f"/v1/accounts/{called}")
        assert (found["last_follow_up_at"], found["version"]) == ("2026-03-12T09:00:00Z", 1)
        assert (await owner.ok("GET", f"/v1/accounts/{planned}"))["last_follow_up_at"] is None
        clock.advance(days=5)
        await owner.ok("POST", f"/v1/activities/{task['id']}/complete", json={}, if_match=1)
        await about(called, kind="note", body="Earlier", happened_at="2026-03-03T09:00:00Z")
        await hear(company.app)
        assert (await owner.ok("GET", f"/v1/accounts/{planned}"))[
            "last_follow_up_at"
        ] == "2026-03-17T09:00:00Z"
        assert (await owner.ok("GET", f"/v1/accounts/{called}"))[
            "last_follow_up_at"
        ] == "2026-03-12T09:00:00Z"
        due = [(15, [untouched]), (10, [called]), (5, [planned])]
        gone: list[str] = []
        for days, ids in due:
            clock.advance(days=days, seconds=-1)
            assert await recycled(company) == 0
            clock.advance(seconds=1)
            assert await recycled(company) == 1
            gone += ids
            assert await in_pools(company) == sorted(gone)


async def test_what_the_product_writes_itself_is_no_follow_up(owner: Client, company: Company) -> None:
    from app.modules.activities.interface import Activities, Subject

    [account] = await accounts(owner, {})
    profile = await company.kernel.authenticator.tenant_profile(company.tenant_id)
    async with acting(company, system_actor(profile)) as uow:
        await uow.of(Activities).add_note([Subject("account", UUID(account))], "Noted by a rule")
    await hear(company.app)
    assert (await owner.ok("GET", f"/v1/accounts/{account}"))["last_follow_up_at"] is None


async def test_rules_are_alternatives_and_the_first_that_fires_is_logged(
    owner: Client, company: Company
) -> None:
    with clock_at(company.app) as clock:
        await recycling_pool(
            owner, {"kind": "not_won", "days": 60}, {"kind": "no_opportunity", "days": 40}, NO_FOLLOW_UP
        )
        idle, busy, selling = await accounts(owner, {}, {}, {})
        for id in (busy, selling):
            async with acting(company) as uow:
                await uow.fetch(
                    "UPDATE customers.accounts SET last_follow_up_at = $3 WHERE tenant_id = $1 AND id = $2",
                    uow.tenant_id,
                    UUID(id),
                    START + timedelta(days=39),
                )
        await make(owner, "opportunities", name="Pumps", account_id=selling)
        for days, expected in ((30, [idle]), (10, [idle, busy]), (20, [idle, busy, selling])):
            clock.advance(days=days)
            await recycled(company)
            assert await in_pools(company) == sorted(expected)
        fired = await rows(
            company, "SELECT record_id, rule FROM customers.pool_movements WHERE tenant_id = $1 ORDER BY id"
        )
        assert [(str(row["record_id"]), row["rule"]) for row in fired] == [
            (idle, "no_follow_up:30"), (busy, "no_opportunity:40"), (selling, "not_won:60"),
        ]  # fmt: skip


async def test_days_differ_by_level(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        by_rating = {
            "kind": "no_follow_up",
            "days": 20,
            "level_field": "rating",
            "levels": {"hot": 5, "cold": None},
        }
        by_stage = {
            "kind": "not_won", "days": None, "level_field": "lifecycle_stage", "levels": {"qualified": 10},
        }  # fmt: skip
        await recycling_pool(owner, by_rating, by_stage)
        hot, warm, cold, unrated, qualified = await accounts(
            owner,
            {"rating": "hot"},
            {"rating": "warm"},
            {"rating": "cold"},
            {},
            {"rating": "cold", "lifecycle_stage": "qualified"},
        )
        for days, expected in (
            (5, [hot]),
            (5, [hot, qualified]),
            (10, [hot, qualified, warm, unrated]),
            (900, None),
        ):
            clock.advance(days=days)
            await recycled(company)
            if expected is not None:
                assert await in_pools(company) == sorted(expected)
        assert cold not in await in_pools(company)
        rules = await rows(
            company, "SELECT rule FROM customers.pool_movements WHERE tenant_id = $1 ORDER BY at, rule"
        )
        assert [row["rule"] for row in rules] == [
            "no_follow_up:5", "not_won:10", "no_follow_up:20", "no_follow_up:20",
        ]  # fmt: skip


async def test_exempt_records_stay_with_their_owners(owner: Client, company: Company, look: Look) -> None:
    with clock_at(company.app) as clock:
        await recycling_pool(
            owner,
            NO_FOLLOW_UP,
            recycle_exemptions=["won", "open_opportunity"],
            recycle_exempt_tags=["key account", "partner"],
        )
        customer, won, selling, _, locked, plain, lost = await accounts(
            owner,
            {"lifecycle_stage": "customer"},
            {},
            {},
            {"tags": ["partner", "old"]},
            {},
            {"tags": ["old"]},
            {},
        )
        deals = {
            id: await make(owner, "opportunities", name="Pumps", account_id=id) for id in (won, selling, lost)
        }
        await owner.ok("POST", f"/v1/opportunities/{deals[won]['id']}/win", json={}, if_match=1)
        await owner.ok(
            "POST", f"/v1/opportunities/{deals[lost]['id']}/lose", json={"loss_reason": "price"}, if_match=1
        )
        await owner.ok("POST", f"/v1/accounts/{locked}/lock", if_match=1)
        clock.advance(days=31)
        assert await recycled(company) == 2
        assert await in_pools(company) == sorted([plain, lost])
        before = await fingerprint(look.connection, company.tenant_id)
        assert await recycled(company) == 0
        assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
        path = f"/v1/accounts/{locked}"
        version = (await owner.ok("GET", path))["version"]
        await owner.ok("POST", f"{path}/unlock", if_match=version)
        assert await recycled(company) == 1
        assert customer not in await in_pools(company)


async def test_a_won_deal_ends_the_rule_for_what_is_not_won(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        await recycling_pool(owner, NOT_WON)
        won, customer, neither = await accounts(owner, {}, {"lifecycle_stage": "evangelist"}, {})
        deal = await make(owner, "opportunities", name="Pumps", account_id=won)
        await owner.ok("POST", f"/v1/opportunities/{deal['id']}/win", json={}, if_match=1)
        clock.advance(days=30)
        assert await recycled(company) == 1
        assert await in_pools(company) == [neither]
        assert customer != neither


async def test_a_pool_recycles_what_its_members_own_and_the_oldest_pool_goes_first(
    owner: Client, company: Company, look: Look
) -> None:
    mine, theirs, nobodys = await salespeople(company, look, 3)
    with clock_at(company.app) as clock:
        first = await make_pool(owner, member_ids=[id_of(mine)], recycle_rules=[NO_FOLLOW_UP])
        second = await make_pool(owner, member_ids=[id_of(mine), id_of(theirs)], recycle_rules=[NO_FOLLOW_UP])
        off = await make_pool(
            owner, member_ids=[id_of(nobodys)], recycle_rules=[NO_FOLLOW_UP], recycle_enabled=False
        )
        owned = [
            (await make(owner, "accounts", name=f"Account {n}", owner_id=id_of(who)))["id"]
            for n, who in enumerate((mine, theirs, nobodys))
        ]
        clock.advance(days=30)
        assert await recycled(company) == 2
        found = [(await owner.ok("GET", f"/v1/accounts/{id}"))["pool_id"] for id in owned]
        assert found == [first["id"], second["id"], None]
        await owner.ok("PATCH", f"/v1/pools/{off['id']}", json={"recycle_enabled": True}, if_match=1)
        assert await recycled(company) == 1


async def test_the_members_of_a_pools_teams_are_its_members(
    owner: Client, company: Company, look: Look
) -> None:
    [seller] = await salespeople(company, look)
    team = await make(owner, "teams", name="East")
    member = await owner.ok("GET", f"/v1/members/{id_of(seller)}")
    await owner.ok(
        "PATCH", f"/v1/members/{id_of(seller)}", json={"team_ids": [team["id"]]}, if_match=member["version"]
    )
    with clock_at(company.app) as clock:
        await make_pool(owner, team_ids=[team["id"]], recycle_rules=[NO_FOLLOW_UP])
        theirs = await make(owner, "accounts", name="Theirs", owner_id=id_of(seller))
        await make(owner, "accounts", name="Mine")
        clock.advance(days=30)
        await recycled(company)
        assert await in_pools(company) == [theirs["id"]]


# -- days ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "received", "due"),
    [
        ("America/New_York", "2026-03-01T12:00:00-05:00", "2026-03-31T12:00:00-04:00"),  # an hour less
        ("America/New_York", "2026-10-20T12:00:00-04:00", "2026-11-19T12:00:00-05:00"),  # an hour more
        ("Asia/Shanghai", "2026-03-01T12:00:00+08:00", "2026-03-31T12:00:00+08:00"),
    ],
)
async def test_a_day_is_one_of_the_companys_calendar(
    app: Application, zone: str, received: str, due: str
) -> None:
    company = await sign_up(app, time_zone=zone)
    with clock_at(app, datetime.fromisoformat(received)) as clock:
        await recycling_pool(company.owner, NO_FOLLOW_UP)
        await accounts(company.owner, {})
        clock.set(datetime.fromisoformat(due) - timedelta(seconds=1))
        assert await recycled(company) == 0
        clock.advance(seconds=1)
        assert await recycled(company) == 1


@given(
    moment=st.integers(946_684_800, 4_102_444_800).map(lambda second: datetime.fromtimestamp(second, UTC)),
    days=st.integers(0, 3650),
    zone=st.sampled_from(
        ["UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Lord_Howe"]
    ),
)
def test_days_move_the_date_and_keep_the_time_on_the_wall(moment: datetime, days: int, zone: str) -> None:
    there = ZoneInfo(zone)
    earlier = days_before(moment, days, there)
    wall, before = moment.astimezone(there), earlier.astimezone(there)
    assert abs((wall.date() - before.date()).days - days) <= 1
    assert abs(moment - earlier - timedelta(days=days)) <= timedelta(hours=1, minutes=30)
    if earlier.astimezone(there).replace(tzinfo=None) == (wall - timedelta(days=days)).replace(tzinfo=None):
        assert abs(days_after(earlier, days, there) - moment) <= timedelta(hours=1)


# -- reminders -----------------------------------------------------------------------------------------------


async def reminders(company: Company) -> list[tuple[str, str]]:
    found = await rows(
        company,
        "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type LIKE '%.recycle_reminded.v1' ORDER BY id",
    )
    return [(row["data"]["id"], row["data"]["due_at"]) for row in found]


async def test_an_owner_is_reminded_once_before_and_again_only_after_a_follow_up(
    owner: Client, company: Company, look: Look
) -> None:
    with clock_at(company.app) as clock:
        await recycling_pool(owner, NO_FOLLOW_UP, reminder_days=3, recycle_exempt_tags=["kept"])
        first, second, _ = await accounts(owner, {"name": "First"}, {"name": "Second"}, {"tags": ["kept"]})
        clock.advance(days=27, seconds=-1)
        await run_all(company)
        assert await reminders(company) == []
        clock.advance(seconds=1)
        for _ in range(3):
            await run_all(company)
        due = "2026-04-01T09:00:00Z"
        assert await reminders(company) == [(first, due), (second, due)]
        [task] = (await owner.ok("GET", "/v1/activities?kind=task"))["data"]
        assert (task["owner_id"], task["due_at"], task["status"], task["subject"]) == (
            str(company.member_id), due, "open", "2 accounts will go back to the pool “East” from 2026-04-01 on",
        )  # fmt: skip
        assert {about["record_id"] for about in task["about"]} == {first, second}
        clock.advance(hours=1)
        await make(
            owner, "activities", kind="note", body="Spoke", about=[{"object": "account", "record_id": first}]
        )
        await hear(company.app)
        clock.advance(days=3)
        assert await recycled(company) == 1
        assert await in_pools(company) == [second]
        clock.advance(days=24)
        await run_all(company)
        await run_all(company)
        assert await reminders(company) == [(first, due), (second, due), (first, "2026-04-28T10:00:00Z")]
        assert (await owner.ok("GET", f"/v1/accounts/{first}"))["version"] == 1


async def test_a_reminder_speaks_the_companys_language(app: Application) -> None:
    company = await sign_up(app, locale="zh-CN", time_zone="Asia/Shanghai")
    with clock_at(app) as clock:
        await recycling_pool(company.owner, NO_FOLLOW_UP, reminder_days=30)
        await accounts(company.owner, {})
        clock.advance(hours=1)
        await run_all(company)
        [task] = (await company.owner.ok("GET", "/v1/activities?kind=task"))["data"]
        assert task["subject"] == "1 个客户将从 2026-04-01 起回收到公海「华东」"


# -- batches, kills, rivals ----------------------------------------------------------------------------------


async def many_due(owner: Client, company: Company, count: int) -> Json:
    pool = await recycling_pool(owner, NO_FOLLOW_UP, reminder_days=1)
    await scattered(
        company, pool, count, pool_id=None, pooled_at=None, owner_id=company.member_id, received_at=START
    )
    return pool


async def moved(company: Company) -> tuple[int, int, int, int]:
    """Accounts in pools, movements, audit entries and events: all the same where nothing is lost or doubled."""
    [found] = await rows(
        company,
        "SELECT (SELECT count(*) FROM customers.accounts WHERE tenant_id = $1 AND pool_id IS NOT NULL),"
        " (SELECT count(DISTINCT record_id) FROM customers.pool_movements WHERE tenant_id = $1),"
        " (SELECT count(*) FROM kernel.audit_entries WHERE tenant_id = $1 AND action = 'recycled'),"
        " (SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = 'customers.account.pooled.v1')",
    )
    [total] = await rows(company, "SELECT count(*) FROM customers.pool_movements WHERE tenant_id = $1")
    assert total[0] == found[1]
    return found[0], found[1], found[2], found[3]


async def test_batches_go_through_everything_once(owner: Client, company: Company) -> None:
    with clock_at(company.app) as clock:
        await many_due(owner, company, 95)
        clock.advance(days=30)
        steps = await run_all(company, batch=10)
        assert [step.recycled for step in steps if step.recycled] == [*[10] * 9, 5]
        assert await moved(company) == (95, 95, 95, 95)
        assert await recycled(company) == 0


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["between", "within"])
async def test_a_kill_loses_nothing_and_doubles_nothing(
    owner: Client, company: Company, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    kernel = company.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    with clock_at(company.app) as clock:
        await many_due(owner, company, 60)
        clock.advance(days=30)
        begun = 0

        @asynccontextmanager
        async def mortal() -> AsyncIterator[UnitOfWork]:
            nonlocal begun
            begun += 1
            if where == "between" and begun == 4:
                raise Killed
            async with transaction(kernel, system_actor(profile)) as uow:
                yield uow
                if where == "within" and begun == 4:
                    await uow.flush()
                    raise Killed

        with pytest.raises(Killed):
            async for _ in recycling.recycle(mortal, batch=10):
                pass
        assert await moved(company) == (20, 20, 20, 20)
        assert await recycled(company, batch=10) == 40
        assert await moved(company) == (60, 60, 60, 60)


async def test_workers_that_recycle_at_once_and_people_who_claim_meanwhile_do_not_meet(
    owner: Client, company: Company
) -> None:
    with clock_at(company.app) as clock:
        pool = await many_due(owner, company, 120)
        free = await scattered(company, pool, 20)
        clock.advance(days=30)
        runs, _ = await asyncio.gather(
            asyncio.gather(*(run_all(company, batch=15) for _ in range(4))),
            asyncio.gather(*(owner.post(f"/v1/accounts/{id}/claim") for id in free)),
        )
        done = sum(step.recycled for steps in runs for step in steps)
        done += await recycled(company)
        assert done == 120
        claimed = await rows(
            company, "SELECT count(*) FROM customers.pool_movements WHERE tenant_id = $1 AND kind = 'claimed'"
        )
        assert claimed[0][0] == 20
        assert (await moved(company))[0] == 120


async def test_a_record_that_changes_meanwhile_is_left_for_the_next_run(
    owner: Client, company: Company
) -> None:
    kernel = company.kernel
    assert kernel is not None
    with clock_at(company.app) as clock:
        await many_due(owner, company, 3)
        clock.advance(days=30)
        profile = await kernel.authenticator.tenant_profile(company.tenant_id)
        async with transaction(kernel, system_actor(profile)) as uow:
            [plan] = await recycling.plans_of(uow)
            found = await recycling._waiting(uow, plan, recycling.FIRST, 10, early=None)
            fired = await recycling._fired(uow, plan, found)
            assert len(fired) == 3
            async with transaction(kernel, system_actor(profile)) as other:
                await other.fetch(
                    "UPDATE customers.accounts SET last_follow_up_at = $3 WHERE tenant_id = $1 AND id = $2",
                    other.tenant_id,
                    found[0]["id"],
                    clock.now(),
                )
            async with transaction(kernel, system_actor(profile)) as rival:
                await rival.fetch(
                    "SELECT 1 FROM customers.accounts WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
                    rival.tenant_id,
                    found[1]["id"],
                )
                step = await recycling.recycle_batch(uow, plan, recycling.FIRST, 10)
            assert step.recycled == 1
        assert await recycled(company) == 1
        assert (await moved(company))[0] == 2


async def test_the_schedule_queues_a_job_that_recycles_and_pauses_when_its_worker_stops(
    owner: Client, company: Company
) -> None:
    kernel = company.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)

    async def queued() -> int:
        found = await rows(
            company, "SELECT count(*) FROM kernel.jobs WHERE tenant_id = $1 AND name = $2", RECYCLE
        )
        return int(found[0][0])

    with clock_at(company.app) as clock:
        await order_recycling(ScheduledRun(kernel, profile))
        assert await queued() == 0  # there is no pool
        await many_due(owner, company, 4)
        clock.advance(days=30)
        await order_recycling(ScheduledRun(kernel, profile))
        assert await queued() == 1
        context = JobContext(kernel, system_actor(profile), UUID(int=1), {}, 1)
        context.stopping.set()
        with pytest.raises(JobPaused):
            await run_recycling(context, RecycleOrder())
        assert await moved(company) == (4, 4, 4, 4)
        context.stopping.clear()
        assert await run_recycling(context, RecycleOrder()) == {"recycled": 0, "reminded": 0}


async def test_counters_of_days_gone_by_are_forgotten(owner: Client, company: Company) -> None:
    kernel = company.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    with clock_at(company.app) as clock:
        pool = await make_pool(owner, claim_limit_per_day=5)
        for _ in range(2):
            [account] = await pooled(owner, pool)
            await owner.ok("POST", f"/v1/accounts/{account['id']}/claim")
            clock.advance(days=5)
        await order_recycling(ScheduledRun(kernel, profile))
    found = await rows(company, "SELECT day FROM customers.pool_uses WHERE tenant_id = $1")
    assert [row["day"].isoformat() for row in found] == ["2026-03-07"]
