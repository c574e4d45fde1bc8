"""Claims and distribution: exact under concurrency, in the order in which limits are checked."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.access import Actor
from app.kernel.ids import new_id
from app.main import Application
from app.modules.customers.services.pools.claims import Claims
from app.modules.customers.services.pools.distribution import in_turn
from app.modules.customers.services.pools.schemas import Claim
from tests.modules.customers.pooling import (
    START,
    Json,
    clock_at,
    id_of,
    make_pool,
    pooled,
    rows,
    salespeople,
    scattered,
)
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look


async def claim(client: Client, pool: Json, ids: list[Any], **more: Any) -> httpx.Response:
    return await client.post(f"/v1/pools/{pool['id']}/claim", {"ids": [str(id) for id in ids]} | more)


def outcomes(answer: httpx.Response) -> list[str]:
    """`claimed`, or why not, per item."""
    assert answer.status_code == 207, answer.text
    return [result["error"]["code"] if result["error"] else "claimed" for result in answer.json()["results"]]


async def owners(company: Company) -> Counter[str]:
    found = await rows(
        company, "SELECT owner_id FROM customers.accounts WHERE tenant_id = $1 AND pool_id IS NULL"
    )
    return Counter(str(row["owner_id"]) for row in found)


async def uses(company: Company) -> list[tuple[str, int]]:
    found = await rows(
        company, "SELECT member_id, claims FROM customers.pool_uses WHERE tenant_id = $1 ORDER BY member_id"
    )
    return [(str(row["member_id"]), row["claims"]) for row in found]


async def test_two_hundred_claims_of_one_account_give_one_owner(
    owner: Client, company: Company, look: Look
) -> None:
    people = [owner, *await salespeople(company, look, 4)]
    pool = await make_pool(owner, open_to_all=True)
    [account] = await scattered(company, pool, 1)
    answers = await asyncio.gather(
        *(people[n % len(people)].post(f"/v1/accounts/{account}/claim") for n in range(200))
    )
    counted = Counter(answer.status_code for answer in answers)
    assert counted[200] == 1
    assert set(counted) <= {200, 404, 409}  # 404: it is somebody else's by then, and not to be seen
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"not_in_pool"}
    winner = next(answer.json()["owner_id"] for answer in answers if answer.status_code == 200)
    assert await owners(company) == {winner: 1}
    assert await uses(company) == [(winner, 1)]
    moved = (await owner.ok("GET", f"/v1/pools/{pool['id']}/movements"))["data"]
    assert [(m["kind"], m["to_owner_id"]) for m in moved] == [("claimed", winner)]
    events = await rows(
        company,
        "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'customers.account.claimed.v1'",
    )
    assert [row["data"]["owner_id"] for row in events] == [winner]


async def test_fifty_claims_of_one_member_at_once_at_a_limit_of_ten_give_ten(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner, member_ids=[id_of(hunter)], claim_limit_per_day=10)
    accounts = await scattered(company, pool, 50)
    answers = await asyncio.gather(*(hunter.post(f"/v1/accounts/{id}/claim") for id in accounts))
    codes = Counter(a.status_code if a.is_success else a.json()["code"] for a in answers)
    assert codes == {200: 10, "claim_limit_reached": 40}
    assert await owners(company) == {id_of(hunter): 10}
    assert await uses(company) == [(id_of(hunter), 10)]
    lists = await asyncio.gather(*(claim(hunter, pool, accounts[n::10]) for n in range(10)))
    assert {code for answer in lists for code in outcomes(answer)} <= {"claim_limit_reached", "not_in_pool"}
    assert await owners(company) == {id_of(hunter): 10}


async def test_overlapping_lists_of_many_members_share_the_records_without_a_rest(
    owner: Client, company: Company, look: Look
) -> None:
    people = await salespeople(company, look, 5)
    pool = await make_pool(owner, open_to_all=True)
    accounts = await scattered(company, pool, 100)
    asked = [(people[n % 5], accounts[n * 2 : n * 2 + 40]) for n in range(40)]
    answers = await asyncio.gather(*(claim(client, pool, ids or accounts[:3]) for client, ids in asked))
    won = Counter(
        (result["id"], id_of(client))
        for (client, _), answer in zip(asked, answers, strict=True)
        for result in answer.json()["results"]
        if result["error"] is None
    )
    assert len(won) == 100
    assert set(won.values()) == {1}
    assert len({record for record, _ in won}) == 100
    assert await owners(company) == Counter(member for _, member in won)
    assert dict(await uses(company)) == Counter(member for _, member in won)


async def test_a_holding_limit_holds_across_pools_and_requests_at_once(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    pools = [await make_pool(owner, open_to_all=True, holding_limit=7) for _ in range(2)]
    for name in ("One", "Two"):
        await make(hunter, "accounts", name=f"Own {name}")
    there = [(pool, id) for pool in pools for id in await scattered(company, pool, 20)]
    answers = await asyncio.gather(*(claim(hunter, pool, [id]) for pool, id in there))
    assert Counter(outcomes(answer)[0] for answer in answers) == {"claimed": 5, "holding_limit_reached": 35}
    assert (await owners(company))[id_of(hunter)] == 7


async def test_won_customers_count_for_holding_only_where_the_pool_says_so(
    owner: Client, company: Company, look: Look
) -> None:
    [hunter] = await salespeople(company, look)
    for number in range(2):
        await make(hunter, "accounts", name=f"Customer {number}", lifecycle_stage="customer")
    strict = await make_pool(owner, open_to_all=True, holding_limit=2)
    lenient = await make_pool(owner, open_to_all=True, holding_limit=2, holding_counts_won=False)
    [first] = await scattered(company, strict, 1)
    others = await scattered(company, lenient, 3)
    assert outcomes(await claim(hunter, strict, [first])) == ["holding_limit_reached"]
    assert outcomes(await claim(hunter, lenient, others)) == ["claimed", "claimed", "holding_limit_reached"]


async def test_the_first_check_that_fails_says_why(owner: Client, company: Company, look: Look) -> None:
    [hunter] = await salespeople(company, look)
    with clock_at(company.app) as clock:
        pool = await make_pool(
            owner, open_to_all=True, claim_limit_per_request=2, claim_limit_per_day=3, former_owner_ban_days=5,
            embargo_hours=24,
        )  # fmt: skip
        me = UUID(id_of(hunter))
        banned = await scattered(company, pool, 2, former_owner_id=me)
        free = await scattered(company, pool, 6)
        fresh = await claim(hunter, pool, [banned[0], free[0]])
        assert outcomes(fresh) == ["former_owner_banned", "pool_embargo"]
        assert await uses(company) == []
        clock.advance(hours=24)
        [gone] = await scattered(company, await make_pool(owner, is_enabled=False), 1)
        answer = await claim(hunter, pool, [gone, banned[0], free[0], free[1], banned[1], free[2]])
        assert outcomes(answer) == [
            "not_in_pool", "former_owner_banned", "claimed", "claimed",
            "claim_request_limit_reached", "claim_request_limit_reached",
        ]  # fmt: skip
        assert outcomes(await claim(hunter, pool, [free[2], free[3]])) == ["claimed", "claim_limit_reached"]
        single = await hunter.post(f"/v1/accounts/{free[3]}/claim")
        assert (single.status_code, single.json()["code"], single.json()["limit"], single.json()["day"]) == (
            409, "claim_limit_reached", 3, "2026-03-03",
        )  # fmt: skip
        assert await uses(company) == [(id_of(hunter), 3)]
        clock.advance(days=4)
        assert outcomes(await claim(hunter, pool, banned)) == ["claimed", "claimed"]


async def test_what_is_refused_changes_nothing(owner: Client, company: Company, look: Look) -> None:
    hunter, stranger = await salespeople(company, look, 2)
    pool = await make_pool(owner, member_ids=[id_of(hunter)], claim_limit_per_day=1, holding_limit=2)
    off = await make_pool(owner, member_ids=[id_of(hunter)], is_enabled=False)
    accounts = await scattered(company, pool, 3)
    [idle] = await scattered(company, off, 1)
    viewer = await make(owner, "roles", name="Looks", grants={"account:read": "all", "pool:read": "all"})
    from tests.tenants.people import colleague

    onlooker = await colleague(company, look, "viewer", role_ids=[viewer["id"]])
    before = await fingerprint(look.connection, company.tenant_id)
    for answer, status, code in (
        (await claim(stranger, pool, accounts), 403, "forbidden"),
        (await claim(onlooker, pool, accounts), 403, "forbidden"),
        (await onlooker.post(f"/v1/accounts/{accounts[0]}/claim"), 403, "forbidden"),
        (await stranger.post(f"/v1/accounts/{accounts[0]}/claim"), 404, "not_found"),
        (await claim(hunter, off, [idle]), 409, "pool_disabled"),
        (await claim(hunter, pool, accounts, all_or_none=True), 422, "batch_failed"),
        (await claim(hunter, pool, []), 422, "invalid"),
        (await claim(hunter, pool, [new_id() for _ in range(51)]), 422, "invalid"),
        (await hunter.get(f"/v1/pools/{pool['id']}/movements"), 403, "forbidden"),
        (
            await hunter.post(
                f"/v1/pools/{pool['id']}/distribute",
                {"ids": [str(accounts[0])], "member_ids": [id_of(hunter)]},
            ),
            403,
            "forbidden",
        ),
        (
            await owner.post(
                f"/v1/pools/{pool['id']}/distribute",
                {"ids": [str(accounts[0])], "member_ids": [str(new_id())]},
            ),
            422,
            "invalid",
        ),
        (
            await owner.post(
                f"/v1/pools/{pool['id']}/distribute",
                {"ids": [str(id) for id in accounts], "member_ids": [id_of(hunter)], "all_or_none": True},
            ),
            422,
            "batch_failed",
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
    assert outcomes(await claim(hunter, pool, accounts)) == ["claimed", *["claim_limit_reached"] * 2]


async def test_a_claim_sent_twice_with_its_key_counts_once(owner: Client, company: Company) -> None:
    pool = await make_pool(owner, claim_limit_per_day=5)
    accounts = await scattered(company, pool, 2)
    path, body = f"/v1/pools/{pool['id']}/claim", {"ids": [str(id) for id in accounts]}
    first, second = await owner.post(path, body, key="k1"), await owner.post(path, body, key="k1")
    assert (first.json(), second.headers["Idempotent-Replayed"]) == (second.json(), "true")
    assert await uses(company) == [(str(company.member_id), 2)]


async def test_the_day_of_a_limit_is_that_of_the_company(app: Application, look: Look) -> None:
    from tests.support.api import sign_up

    company = await sign_up(app, time_zone="America/New_York")
    pool = await make_pool(company.owner, claim_limit_per_day=1)
    first, second, third = await scattered(company, pool, 3)
    # The night in which clocks go forward: the 8th of March begins at 05:00 UTC and ends at 04:00 UTC.
    with clock_at(app, datetime(2026, 3, 8, 4, 59, tzinfo=UTC)) as clock:
        assert outcomes(await claim(company.owner, pool, [first, second])) == [
            "claimed",
            "claim_limit_reached",
        ]
        clock.advance(minutes=1)
        assert outcomes(await claim(company.owner, pool, [second, third])) == [
            "claimed",
            "claim_limit_reached",
        ]
        clock.set(datetime(2026, 3, 9, 3, 59, tzinfo=UTC))
        assert outcomes(await claim(company.owner, pool, [third])) == ["claim_limit_reached"]
        clock.advance(minutes=1)
        assert outcomes(await claim(company.owner, pool, [third])) == ["claimed"]
    found = await rows(company, "SELECT day FROM customers.pool_uses WHERE tenant_id = $1 ORDER BY day")
    assert [row["day"].isoformat() for row in found] == ["2026-03-07", "2026-03-08", "2026-03-09"]


# -- distribution --------------------------------------------------------------------------------------------


async def test_an_administrator_gives_records_out_in_turn_past_limits_and_bans_of_claims(
    owner: Client, company: Company, look: Look
) -> None:
    boss, one, two, full = await salespeople(company, look, 4)
    pool = await make_pool(
        owner, admin_ids=[id_of(boss)], claim_limit_per_day=1, claim_limit_per_request=1, former_owner_ban_days=9,
        embargo_hours=48, holding_limit=4,
    )  # fmt: skip
    for number in range(3):
        await make(full, "accounts", name=f"Held {number}")
    accounts = await scattered(company, pool, 8, former_owner_id=UUID(id_of(one)))
    body = {"ids": [str(id) for id in accounts], "member_ids": [id_of(one), id_of(two), id_of(full)]}
    answer = await boss.ok("POST", f"/v1/pools/{pool['id']}/distribute", json=body)
    assert (answer["succeeded"], answer["failed"]) == (8, 0)
    given_to = [result["owner_id"] for result in answer["results"]]
    assert given_to == [id_of(c) for c in (one, two, full, one, two, one, two, one)]
    assert await owners(company) == {id_of(one): 4, id_of(two): 3, id_of(full): 4}
    assert await uses(company) == []
    more = await scattered(company, pool, 3)
    body = {"ids": [str(id) for id in [*more, accounts[0]]], "member_ids": [id_of(one), id_of(two)]}
    answer = await boss.ok("POST", f"/v1/pools/{pool['id']}/distribute", json=body)
    assert [(r["owner_id"], r["error"] and r["error"]["code"]) for r in answer["results"]] == [
        (id_of(two), None), (None, "holding_limit_reached"), (None, "holding_limit_reached"), (None, "not_in_pool"),
    ]  # fmt: skip
    kinds = await rows(
        company, "SELECT DISTINCT kind, actor_id FROM customers.pool_movements WHERE tenant_id = $1"
    )
    assert [(row["kind"], str(row["actor_id"])) for row in kinds] == [("distributed", id_of(boss))]


async def test_claims_and_distributions_at_once_never_share_a_record(
    owner: Client, company: Company, look: Look
) -> None:
    people = await salespeople(company, look, 3)
    pool = await make_pool(owner, open_to_all=True, holding_limit=20)
    accounts = await scattered(company, pool, 90)
    give = {"ids": [str(id) for id in accounts], "member_ids": [id_of(person) for person in people]}
    answers = await asyncio.gather(
        *(claim(people[n % 3], pool, accounts[n * 3 : n * 3 + 10]) for n in range(27)),
        *(owner.post(f"/v1/pools/{pool['id']}/distribute", give) for _ in range(3)),
    )
    won = Counter(r["id"] for a in answers for r in a.json()["results"] if r["error"] is None)
    assert set(won.values()) == {1}
    assert await owners(company) == {id_of(person): 20 for person in people}
    assert len(won) == 60


@given(
    count=st.integers(0, 40),
    room=st.none() | st.lists(st.integers(0, 12), min_size=1, max_size=6),
    members=st.integers(1, 6),
)
def test_turns_are_even_and_within_everybodys_room(count: int, room: list[int] | None, members: int) -> None:
    people = [new_id() for _ in range(len(room) if room is not None else members)]
    left = dict(zip(people, room, strict=True)) if room is not None else None
    ids = [new_id() for _ in range(count)]
    found = in_turn(ids, people, left)
    got = Counter(found.values())
    capacity = sum(room) if room is not None else count
    assert len(found) == min(count, capacity)
    assert list(found) == ids[: len(found)]
    if left is not None:
        assert all(got[person] <= left[person] for person in people)
    free = [got[person] for person in people if left is None or got[person] < left[person]]
    assert not free or max(free) - min(free) <= 1
    assert not free or max(got.values(), default=0) - min(free) <= 1


async def test_any_sequence_of_claims_keeps_every_limit(owner: Client, company: Company) -> None:
    """A model of one member beside the real thing, over made-up requests of many sizes and days."""
    import random

    chance = random.Random(7)
    kernel = company.app.kernel
    assert kernel is not None
    member: Actor = await kernel.authenticator.authenticate(f"Bearer {owner.token}", None)
    with clock_at(company.app, START) as clock:
        pool = await make_pool(owner, holding_limit=25, claim_limit_per_day=6, claim_limit_per_request=4)
        free = await scattered(company, pool, 60)
        chance.shuffle(free)
        held, today, day = 0, 0, clock.now().date()
        for _ in range(40):
            if chance.random() < 0.3:
                clock.advance(hours=chance.randint(1, 30))
            if clock.now().date() != day:
                day, today = clock.now().date(), 0
            wanted = free[: chance.randint(1, 8)]
            room = min(25 - held, 6 - today, 4, len(wanted))
            async with acting(company, member) as uow:
                answer = await Claims(uow).claim(UUID(pool["id"]), Claim(ids=wanted))
            assert answer.succeeded == max(room, 0)
            taken = {result.id for result in answer.results if result.error is None}
            assert taken == set(wanted[: max(room, 0)])
            free = [id for id in free if id not in taken]
            held, today = held + len(taken), today + len(taken)
        assert held == 25
    assert await owners(company) == {str(company.member_id): 25}


async def test_contacts_go_along_with_a_claimed_account(owner: Client, company: Company, look: Look) -> None:
    [hunter] = await salespeople(company, look)
    pool = await make_pool(owner, member_ids=[id_of(hunter)])
    [account] = await pooled(owner, pool)
    contact = await make(owner, "contacts", name="Wei Zhang", account_id=account["id"])
    other = await make(owner, "contacts", name="Li Na", account_id=account["id"])
    await owner.ok("PATCH", f"/v1/contacts/{contact['id']}", json={"owner_id": None}, if_match=1)
    await hunter.ok("POST", f"/v1/accounts/{account['id']}/claim")
    found = [await owner.ok("GET", f"/v1/contacts/{one['id']}") for one in (contact, other)]
    assert [one["owner_id"] for one in found] == [id_of(hunter), str(company.member_id)]
    history = (await owner.ok("GET", f"/v1/contacts/{contact['id']}/history"))["data"]
    assert (history[0]["action"], history[0]["changes"]["owner_id"]) == ("claimed", [None, id_of(hunter)])
