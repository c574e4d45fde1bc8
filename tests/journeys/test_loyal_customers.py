"""The gift shop starts a loyalty programme: its customers earn on every order and lose on every return.

Points, tiers and groups are compared with a plain computation over the file, which knows nothing of the product.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.main import Application
from app.modules.membership import jobs
from tests.journeys.online_retail import Line, OnlineRetail, cents, file
from tests.journeys.test_online_retail import Shop, _accounts, _bring, _order, _products, _return
from tests.modules.membership.points import adds_up, react, scheduled
from tests.support.api import sign_up, with_key

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.skipif(
        not file().exists(),
        reason=f"no {file()}; set RAPPORT_DATA to the folder that holds online_retail",
    ),
]

TODAY = date(2011, 12, 10)
TIERS = (("silver", 1_000), ("gold", 5_000), ("platinum", 25_000))
Json = dict[str, Any]


@pytest.fixture(scope="module")
async def shop(app: Application) -> AsyncIterator[Shop]:
    """The shop on the day after the file ends: everybody is enrolled, then the orders and the returns come in."""
    found = Shop(
        await sign_up(app, company="Loyal Shop", time_zone="UTC", currency="GBP"), OnlineRetail.load(), {}
    )
    kernel = app.kernel
    assert kernel is not None
    former, kernel.clock = kernel.clock, FixedClock(datetime(2011, 12, 10, 12, tzinfo=UTC))
    try:
        await with_key(found.company)
        await _products(found)
        await _accounts(found)
        await _enrol(found)
        placed = found.data.placed
        await _bring(found, "orders", (_order(lines) for lines in placed.sold.values()))
        await react(found.company)
        await _bring(found, "returns", (_return(lines) for lines in placed.back.values()))
        await react(found.company)
        await jobs.classify_members(await scheduled(found.company))
        yield found
    finally:
        kernel.clock = former


async def _enrol(shop: Shop) -> None:
    tiers = [{"key": key, "name_en": key.title(), "threshold": str(pounds)} for key, pounds in TIERS]
    club = await shop.owner.ok(
        "POST",
        "/v1/loyalty-programmes",
        json={
            "key": "gifts",
            "name_en": "Gifts",
            "currency": "GBP",
            "burn": {"worth": {"amount": "1.00", "currency": "GBP"}},
            "earn_rules": [{"key": "base", "kind": "amount", "points": 1, "per_amount": "1"}],
            "tiers": tiers,
        },
    )
    ids = {key: id for id, key in (await every(shop, "accounts", "id,external_id")).items() if key.isdigit()}
    items = [
        {"programme_id": club["id"], "account_id": id, "external_id": key, "since": "2010-12-01"}
        for key, id in ids.items()
    ]
    for start in range(0, len(items), 100):
        body = {"items": [{"ref": one["external_id"], "record": one} for one in items[start : start + 100]]}
        answer = await shop.owner.ok("POST", "/v1/loyalty-members/batch/create", json=body)
        assert answer["failed"] == 0, answer


async def every(shop: Shop, plural: str, fields: str) -> dict[str, Any]:
    """The second of two fields by the first, of all records; or the whole record by its first field."""
    first, *rest = fields.split(",")
    found: dict[str, Any] = {}
    asked = {"limit": "200", "fields": fields}
    while True:
        page = await shop.owner.ok("GET", f"/v1/{plural}", params=asked)
        for one in page["data"]:
            found[one[first]] = one[rest[0]] if len(rest) == 1 else one
        if not page["has_more"]:
            return found
        asked["cursor"] = page["next_cursor"]


@dataclass
class Customer:
    """What the file says of a customer."""

    points: int = 0
    recent: Decimal = Decimal(0)
    orders: list[tuple[date, Decimal]] = field(
        default_factory=list
    )  # kept in part at least, with what was kept


def computed(data: OnlineRetail) -> dict[str, Customer]:
    """The plain computation: a point for each whole pound of an order, less what came back, line by line."""
    found: dict[str, Customer] = defaultdict(Customer)
    back: dict[str, int] = defaultdict(int)
    for backs in data.placed.back.values():
        for one in backs:
            if one.of is not None:
                back[one.of.key] += one.quantity
    for lines in data.placed.sold.values():
        customer = found[lines[0].account]
        amounts = [max(cents(line.quantity, line.price), Decimal(0)) for line in lines]
        shares = parted(int(sum(amounts)), amounts)
        customer.points += sum(shares) - sum(
            round_up(share, back[line.key], line) for share, line in zip(shares, lines, strict=True)
        )
        day = date.fromisoformat(lines[0].at[:10])
        if day > date(2010, 12, 10):
            customer.recent += sum(amounts)
        if any(back[line.key] < line.quantity for line in lines):
            kept = sum(
                int(amount * 100) - round_up(int(amount * 100), back[line.key], line)
                for amount, line in zip(amounts, lines, strict=True)
            )
            customer.orders.append((day, Decimal(kept) / 100))
    return {key: customer for key, customer in found.items() if key.isdigit()}


def round_up(whole: int, back: int, line: Line) -> int:
    return int((Decimal(whole) * back / line.quantity).quantize(Decimal(1), ROUND_HALF_UP))


def parted(points: int, amounts: list[Decimal]) -> list[int]:
    """Whole points by amount, the largest remainders first."""
    total = Fraction(sum(amounts))
    if not total:
        return [0] * len(amounts)
    exact = [points * Fraction(amount) / total for amount in amounts]
    shares = [int(one) for one in exact]
    order = sorted(range(len(amounts)), key=lambda place: (shares[place] - exact[place], place))
    for place in order[: points - sum(shares)]:
        shares[place] += 1
    return shares


async def members(shop: Shop) -> dict[str, Json]:
    return await every(
        shop,
        "loyalty-members",
        "external_id,points,points_debt,points_qualifying,tier,rfm_scores,rfm_explanation",
    )


@pytest.fixture(scope="module")
def wanted(shop: Shop) -> dict[str, Customer]:
    return computed(shop.data)


async def test_points_are_those_of_a_plain_computation(shop: Shop, wanted: dict[str, Customer]) -> None:
    found = await members(shop)
    assert len(found) == 4_372
    assert {key: (one["points"], one["points_debt"]) for key, one in found.items()} == {
        key: (wanted[key].points if key in wanted else 0, 0) for key in found
    }
    assert all(one["points_qualifying"] == one["points"] for one in found.values())
    assert sum(one["points"] for one in found.values()) > 7_000_000


async def test_tiers_are_those_of_what_was_bought_in_the_last_twelve_months(
    shop: Shop, wanted: dict[str, Customer]
) -> None:
    found = await members(shop)

    def tier(key: str) -> str | None:
        reached = [name for name, pounds in TIERS if key in wanted and wanted[key].recent >= pounds]
        return reached[-1] if reached else None

    assert {key: one["tier"] for key, one in found.items()} == {key: tier(key) for key in found}


async def test_groups_are_those_of_a_plain_computation(shop: Shop, wanted: dict[str, Customer]) -> None:
    found = await members(shop)
    figures = {
        key: (max(day for day, _ in one.orders), len(one.orders), sum(amount for _, amount in one.orders))
        for key, one in wanted.items()
        if one.orders
    }
    ranked = [sorted(figure[at] for figure in figures.values()) for at in range(3)]

    def scores(key: str) -> str | None:
        if key not in figures:
            return None
        own = zip(figures[key], ranked, strict=True)
        return "".join(str(1 + 5 * bisect_left(of_all, one) // len(figures)) for one, of_all in own)

    assert {key: one["rfm_scores"] for key, one in found.items()} == {key: scores(key) for key in found}


async def test_the_ledger_adds_up(shop: Shop) -> None:
    await adds_up(shop.company)
