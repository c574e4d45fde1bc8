"""Many orders and returns at once leave the rows, and tell the events, that they would one after the other."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.kernel.clock import FixedClock
from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import InsufficientPoints
from app.modules.membership.schemas.members import BurnInput
from app.modules.membership.services.orders import OrderPoints
from app.modules.membership.services.referrals import Referrals
from app.modules.membership.services.spending import Spending
from tests.modules.membership.points import ONE_PER_DOLLAR, adds_up, balances, enrol, programme, react
from tests.modules.membership.test_referrals import code_of, rewarding
from tests.modules.membership.test_wallet import usd
from tests.modules.support import acting, make
from tests.support.api import Company

Json = dict[str, Any]
ACCOUNTS = 4
ORDERS = 24
RETURNS = 14
HISTORIES = 6

# What may differ is left out: ids, and keys that are made of them.
_ROWS = {
    "members": "SELECT id, points, points_pending, points_reserved, points_debt, points_qualifying, tier, tier_until,"
    " tier_since, version FROM membership.loyalty_members WHERE tenant_id = $1",
    "earnings": "SELECT member_id, order_id, earned_on, visits, amount, amount_returned, spendable,"
    " spendable_reversed, qualifying, qualifying_reversed FROM membership.earnings WHERE tenant_id = $1",
    "shares": "SELECT order_id, member_id, order_line_id, quantity, returned, amount, spendable, spendable_reversed,"
    " qualifying, qualifying_reversed, burned, burned_restored FROM membership.order_shares WHERE tenant_id = $1",
    "lots": "SELECT l.member_id, e.order_id, l.earned_on, l.matures_on, l.expires_on, l.points, l.remaining,"
    " l.expired, l.reversed FROM membership.lots l LEFT JOIN membership.earnings e"
    " ON e.tenant_id = l.tenant_id AND e.id = l.earning_id WHERE l.tenant_id = $1",
    "entries": "SELECT t.kind, t.order_id, e.member_id, e.account, e.currency, e.points"
    " FROM membership.ledger_entries e JOIN membership.ledger_transactions t"
    " ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id WHERE e.tenant_id = $1",
    "returns": "SELECT kind, order_id, source_key FROM membership.ledger_transactions"
    " WHERE tenant_id = $1 AND kind IN ('return', 'cancel')",
    "returned": "SELECT id, return_id, order_id, order_line_id, quantity FROM membership.returned_lines"
    " WHERE tenant_id = $1",
    "burns": "SELECT member_id, order_id, status, points, restored FROM membership.burns WHERE tenant_id = $1",
    "tiers": "SELECT member_id, from_tier, to_tier, reason, until FROM membership.tier_changes WHERE tenant_id = $1",
    "referrals": "SELECT referrer_id, referred_id, order_id, status, due_on FROM membership.referrals"
    " WHERE tenant_id = $1",
}


class _Undone(Exception):
    """Nothing of a history stays."""


async def test_many_at_once_come_to_what_they_come_to_one_by_one(company: Company, clock: FixedClock) -> None:
    members = await _club(company)
    orders, returns = await _past(company, clock)
    seen: set[str] = set()
    for seed in range(HISTORIES):
        sizes = (1, 5 if seed % 2 else 1_000)
        found = [await _history(company, seed, members, orders, returns, size) for size in sizes]
        assert found[0] == found[1], seed
        seen |= {kind for of_one in found[0]["events"].values() for kind, _ in of_one}
    assert seen >= {
        f"membership.loyalty_member.{what}.v1"
        for what in (
            "points_earned",
            "points_reversed",
            "points_expired",
            "tier_changed",
            "referral_qualified",
        )
    }


async def _club(company: Company) -> list[str]:
    """Customers in two programmes, one of them with tiers and caps; two were brought in by the first."""
    owner = company.owner
    accounts = [
        await make(owner, "accounts", name=f"Customer {n}", external_id=f"K{n}") for n in range(ACCOUNTS)
    ]
    tiers = [
        {"key": "silver", "name_en": "S", "threshold": "150", "multiplier": "1.5"},
        {"key": "gold", "name_en": "G", "threshold": "400", "qualify_by": "points", "multiplier": "2"},
        {"key": "top", "name_en": "T", "threshold": "8", "qualify_by": "visits", "multiplier": "3"},
    ]
    more = {"key": "each", "kind": "order", "points": 7, "minimum_spend": "60"}
    clubs = [
        await programme(owner, tiers=tiers, earn_rules=[ONE_PER_DOLLAR, more]),
        await programme(owner, key="other"),
    ]
    rewards = [{"kind": "points", "points": 5}]
    promise = {"referrer": rewards, "referred": rewards, "minimum_spend": usd("30.00")}
    await rewarding(owner, clubs[0], referral=promise)
    since: Json = {"since": "2020-01-01"}
    first = await enrol(owner, clubs[0], accounts[0], **since)
    code = await code_of(owner, first)
    members = [first, await enrol(owner, clubs[1], accounts[0], **since)]
    for account in accounts[1:]:
        members.append(await enrol(owner, clubs[0], account, referral_code=code, **since))
    return [one["id"] for one in members]


async def _past(company: Company, clock: FixedClock) -> tuple[list[UUID], list[UUID]]:
    """Orders of the last fourteen months, and what came back of them."""
    dice = random.Random(3)
    today = clock.now().date()
    orders: list[Json] = [
        {
            "external_id": f"S{number}",
            "account": f"K{dice.randrange(ACCOUNTS)}",
            "currency": "USD",
            "ordered_on": str(today - timedelta(days=dice.choice([0, 0, 1, 10, 40, 200, 390, 420]))),
            "lines": [
                {
                    "external_id": f"S{number}L{line}",
                    "description": "Pump",
                    "quantity": str(dice.randint(1, 5)),
                    "unit_price": dice.choice(["3.33", "19.99", "40", "0"]),
                }
                for line in range(dice.randint(1, 4))
            ],
        }
        for number in range(ORDERS)
    ]
    left = {line["external_id"]: int(line["quantity"]) for order in orders for line in order["lines"]}
    account_of = {line["external_id"]: order["account"] for order in orders for line in order["lines"]}
    returns = []
    for number in range(RETURNS):
        line = dice.choice([key for key, quantity in left.items() if quantity])
        same = [
            key
            for key, quantity in left.items()
            if quantity and key != line and account_of[key] == account_of[line]
        ]
        lines = [line, *dice.sample(same, min(len(same), dice.randint(0, 2)))]
        back = [{"order_line": key, "quantity": str(dice.randint(1, left[key]))} for key in lines]
        for one in back:
            left[one["order_line"]] -= int(one["quantity"])
        returns.append(
            {"external_id": f"R{number}", "account": account_of[line], "currency": "USD"}
            | {"returned_on": str(today), "lines": back}
        )
    for plural, items in (("orders", orders), ("returns", returns)):
        answer = await company.owner.ok("POST", f"/v1/{plural}/batch/import", json={plural: items})
        assert answer["failed"] == 0, answer
    async with acting(company) as uow:
        found = [
            [row["id"] for row in await uow.fetch(f"SELECT id FROM orders.{name} ORDER BY id")]
            for name in ("orders", "returns")
        ]
    return found[0], found[1]


async def _history(
    company: Company,
    seed: int,
    members: Sequence[str],
    orders: Sequence[UUID],
    returns: Sequence[UUID],
    size: int,
) -> dict[str, Any]:
    """What a history leaves that a seed decides, told so many at a time; it is undone."""
    dice = random.Random(seed)
    left: dict[str, Any] = {}
    try:
        async with acting(company) as uow:
            await _other_rules(uow, dice)
            early = dice.sample(returns, dice.randint(0, 4))
            shuffled = dice.sample(orders, len(orders))
            await _told(early, size, OrderPoints.give_back, uow)
            await _told(shuffled[:10], size, OrderPoints.earn, uow)
            await _burned(uow, dice, members, shuffled)
            await _told(shuffled[5:], size, OrderPoints.earn, uow)
            await _told(shuffled, size, Referrals.qualify, uow)
            await _burned(uow, dice, members, shuffled)
            await _told(dice.sample(returns, len(returns)), size, OrderPoints.give_back, uow)
            await _told(dice.sample(orders, 3), size, OrderPoints.cancel, uow)
            left = await _left(uow)
            raise _Undone
    except _Undone:
        return left


async def _other_rules(uow: UnitOfWork, dice: random.Random) -> None:
    await uow.fetch(
        "UPDATE membership.programmes SET cap_day = $2, cap_member = $3, return_window_days = $4, expiry_months = $5"
        " WHERE tenant_id = $1",
        uow.tenant_id,
        dice.choice([None, None, 90]),
        dice.choice([None, None, 300]),
        dice.choice([0, 30]),
        dice.choice([None, 1, 13]),
    )


async def _told(
    ids: Sequence[UUID], size: int, do: Callable[[Any, Sequence[UUID]], Awaitable[None]], uow: UnitOfWork
) -> None:
    service = OrderPoints if do.__qualname__.startswith("OrderPoints") else Referrals
    for start in range(0, len(ids), size):
        await do(service(uow), ids[start : start + size])


async def _burned(
    uow: UnitOfWork, dice: random.Random, members: Sequence[str], orders: Sequence[UUID]
) -> None:
    """Points paid for orders, or for something else, or are kept."""
    for id in members:
        row = await uow.fetchrow(
            "SELECT m.points, o.id FROM membership.loyalty_members m LEFT JOIN orders.orders o"
            " ON o.tenant_id = m.tenant_id AND o.account_id = m.account_id AND o.id = ANY($3::uuid[])"
            " WHERE m.tenant_id = $1 AND m.id = $2 ORDER BY o.id LIMIT 1",
            uow.tenant_id,
            UUID(id),
            list(orders),
        )
        assert row is not None
        order_id = row["id"] if dice.random() < 0.5 else None
        points, reserve = int(row["points"] * dice.choice([0, 0.5, 1])), dice.random() < 0.4
        if order_id is not None:
            points = min(points, 100)
        if points:
            body = BurnInput(points=points, order_id=order_id, reserve=reserve)
            with suppress(
                Invalid, InsufficientPoints
            ):  # an order paid with points already, points that expired
                await Spending(uow).burn(UUID(id), body)


async def _left(uow: UnitOfWork) -> dict[str, Any]:
    left: dict[str, Any] = {}
    for name, sql in _ROWS.items():
        left[name] = sorted(repr(tuple(row)) for row in await uow.fetch(sql, uow.tenant_id))
    await uow.flush()
    events = await uow.fetch(
        "SELECT record_id, type, data FROM kernel.outbox WHERE tenant_id = $1 AND type LIKE 'membership.%' ORDER BY id",
        uow.tenant_id,
    )
    told: dict[UUID, list[Any]] = {}  # what happens to one member is told in order
    for event in events:
        told.setdefault(event["record_id"], []).append((event["type"], event["data"]))
    audited = await uow.fetch(
        "SELECT record_id, action, changes FROM kernel.audit_entries WHERE tenant_id = $1", uow.tenant_id
    )
    return left | {"events": told, "audit": sorted(repr(tuple(row)) for row in audited)}


async def test_a_hundred_orders_earn_in_as_many_statements_as_one(
    company: Company, clock: FixedClock
) -> None:
    owner = company.owner
    account = await make(owner, "accounts", name="Customer", external_id="K")
    member = await enrol(owner, await programme(owner), account, since="2020-01-01")
    line = {"description": "Pump", "quantity": "2", "unit_price": "10"}
    made = [
        {"external_id": f"S{n}", "account": "K", "currency": "USD", "lines": [line]}
        | {"ordered_on": str(clock.now().date())}
        for n in range(101)
    ]
    await owner.ok("POST", "/v1/orders/batch/import", json={"orders": made})
    async with acting(company) as uow:
        ids = [row["id"] for row in await uow.fetch("SELECT id FROM orders.orders ORDER BY id")]
        counts = []
        for some in (ids[:1], ids[1:]):
            before = uow.statements
            await OrderPoints(uow).earn(some)
            counts.append(uow.statements - before)
        assert counts[0] == counts[1] <= 20
    assert (await balances(owner, member))[0] == 2_020
    await react(company)
    assert (await balances(owner, member))[0] == 2_020
    await adds_up(company)
