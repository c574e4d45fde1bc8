"""A year of a gift shop moves in: products, customers, 541,909 invoice lines, and returns of what they give back. Its
customers earn points on every order and lose them on every return.

Everything goes through the public API, and what the shop then tells of itself is compared, to the last thousandth of
a pound, with a plain computation over the file. What no rule can place is reported with its worth. Points, tiers and
groups are compared with such a computation too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal

import pytest

from app.main import Application
from tests.journeys.gift_shop import TIERS, Json, Shop, every, moved_in
from tests.journeys.loyalty import Customer, computed
from tests.journeys.online_retail import Line, both, by, cents, file, month
from tests.modules.membership.points import adds_up

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.skipif(
        not file().exists(),
        reason=f"no {file()}; set RAPPORT_DATA to the folder that holds online_retail",
    ),
]

TOTAL = Decimal("9747747.934")


@pytest.fixture(scope="module")
async def shop(app: Application) -> AsyncIterator[Shop]:
    """The shop after everything has been brought in; the tests below look at it from several sides."""
    async with moved_in(app) as found:
        yield found


async def told(shop: Shop, group_by: str, **asked: str) -> Json:
    found: Json = await shop.owner.ok(
        "GET",
        "/v1/orders/statistics",
        params={"group_by": group_by, "limit": "10000", **asked},
    )
    assert not found["has_more"]
    return found


def values(groups: Iterable[Json], name: str = "key") -> dict[str | None, Decimal]:
    """Exact values of groups, all of them in pounds."""
    found: dict[str | None, Decimal] = {}
    for group in groups:
        (sums,) = group["sums"]
        assert sums["currency"] == "GBP"
        found[group[name]] = Decimal(sums["exact_value"])
    return found


async def codes(shop: Shop) -> dict[str | None, str]:
    """Product codes by id."""
    found: dict[str | None, str] = {}
    page = await shop.owner.ok("GET", "/v1/products", params={"limit": "200", "fields": "id,code"})
    while True:
        found |= {one["id"]: one["code"] for one in page["data"]}
        if not page["has_more"]:
            return found
        asked = {"limit": "200", "fields": "id,code", "cursor": page["next_cursor"]}
        page = await shop.owner.ok("GET", "/v1/products", params=asked)


def reported(shop: Shop) -> list[Line]:
    return [line for lines in shop.data.placed.reported.values() for line in lines]


async def test_every_line_is_placed_or_reported(shop: Shop) -> None:
    data, placed = shop.data, shop.data.placed
    assert (len(data.lines), len({line.invoice for line in data.lines})) == (541_909, 25_900)
    backs = [back for lines in placed.back.values() for back in lines]
    sold = [line for lines in placed.sold.values() for line in lines]
    assert len(sold) + len({back.line.key for back in backs}) + len(reported(shop)) == 541_909
    assert shop.made == {
        "orders": len(placed.sold),
        "orders lines": len(sold),
        "returns": len(placed.back),
        "returns lines": len(backs),
    }
    assert (len(placed.sold), len(sold)) == (20_725, 531_282)
    assert (len(placed.back), len({back.line.key for back in backs})) == (3_836, 9_288)


async def test_returns_are_matched_to_what_they_give_back(shop: Shop) -> None:
    backs = [back for lines in shop.data.placed.back.values() for back in lines]
    whole = {back.line.key for back in backs} - {back.line.key for back in backs if back.of is None}
    part = {back.line.key for back in backs if back.of is not None} - whole
    nothing = {back.line.key for back in backs} - whole - part
    assert (len(whole), len(part), len(nothing)) == (7_179, 53, 2_056)
    worth = [
        sum((back.quantity * back.line.price for back in backs if (back.of is None) is own), Decimal(0))
        for own in (False, True)
    ]
    assert worth == [Decimal("464214.27"), Decimal("432598.22")]


async def test_what_no_rule_can_place_is_reported_with_its_worth(shop: Shop) -> None:
    found = {
        reason: (len(lines), sum((line.value for line in lines), Decimal(0)))
        for reason, lines in shop.data.placed.reported.items()
    }
    assert found == {
        "stock corrected": (1_336, Decimal(0)),
        "bad debt adjusted": (3, Decimal("-11062.06")),
    }


async def test_the_total_is_9_747_747_934(shop: Shop) -> None:
    found = await told(shop, "year")
    (total,) = found["total"]
    assert (total["orders"], total["returns"]) == (20_725, 3_836)
    left_out = sum((line.value for line in reported(shop)), Decimal(0))
    assert Decimal(total["exact_value"]) + left_out == TOTAL
    assert sum((line.value for line in shop.data.lines), Decimal(0)) == TOTAL


@pytest.mark.parametrize(
    ("group_by", "key"), [("month", month), ("country", lambda line: line.nation)], ids=("month", "country")
)
async def test_revenue_agrees(shop: Shop, group_by: str, key: Callable[[Line], str | None]) -> None:
    found = values((await told(shop, group_by))["data"])
    assert both(found, by(reported(shop), key)) == by(shop.data.lines, key)


async def test_revenue_by_product_agrees(shop: Shop) -> None:
    code_of = await codes(shop)
    assert len(code_of) == 4_070
    groups = values((await told(shop, "product"))["data"]).items()
    found: dict[str | None, Decimal] = {code_of[key]: value for key, value in groups}
    assert both(found, by(reported(shop), lambda line: line.code)) == by(
        shop.data.lines, lambda line: line.code
    )


async def test_what_was_charged_and_refunded_agrees_to_the_penny(shop: Shop) -> None:
    """Lines are rounded one by one, as invoices are; no line that came back had a price of less than a penny."""
    placed = shop.data.placed
    (total,) = (await told(shop, "year"))["total"]
    charged = sum(cents(line.quantity, line.price) for lines in placed.sold.values() for line in lines)
    refunded = sum(cents(back.quantity, back.line.price) for backs in placed.back.values() for back in backs)
    assert (total["net"]["amount"], total["returned_net"]["amount"]) == (str(charged), str(refunded))


async def test_a_customer_and_a_returned_line_read_as_in_the_file(shop: Shop) -> None:
    """The return of most pieces, with the order that it gave back: 80,995 paper craft birds."""
    (sold,) = (line for line in shop.data.lines if line.quantity == 80_995)
    page = await shop.owner.ok("GET", "/v1/orders", params={"external_id": sold.invoice})
    (order,) = page["data"]
    detail = await shop.owner.ok("GET", f"/v1/orders/{order['id']}")
    (line,) = detail["lines"]
    assert (detail["total"]["amount"], detail["ordered_on"], detail["country"]) == (
        "168469.60",
        "2011-12-09",
        "GB",
    )
    assert (line["description"], line["quantity"], line["returned"]) == (
        "PAPER CRAFT , LITTLE BIRDIE",
        "80995",
        "80995",
    )
    page = await shop.owner.ok("GET", "/v1/returns", params={"order_id": order["id"]})
    (back,) = page["data"]
    assert (back["status"], back["total"]["amount"], back["requested_on"]) == (
        "refunded",
        "168469.60",
        "2011-12-09",
    )


# -- loyal customers ------------------------------------------------------------------------------------------


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
