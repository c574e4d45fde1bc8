"""A year of a gift shop moves in: products, customers, 541,909 invoice lines, and returns of what they give back.

Everything goes through the public API, and what the shop then tells of itself is compared, to the last thousandth of
a pound, with a plain computation over the file. What no rule can place is reported with its worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pytest

from app.main import Application
from tests.journeys.importing import imported, written
from tests.journeys.online_retail import Back, Line, OnlineRetail, both, by, cents, file, month
from tests.support.api import Client, Company, sign_up, with_key

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.skipif(
        not file().exists(),
        reason=f"no {file()}; set RAPPORT_DATA to the folder that holds online_retail",
    ),
]

MOST_BYTES = 300_000
MOST = 1_000
TOTAL = Decimal("9747747.934")
Json = dict[str, Any]


@dataclass
class Shop:
    """The company, the file, and how many orders, returns and lines the API said it made."""

    company: Company
    data: OnlineRetail
    made: dict[str, int]

    @property
    def owner(self) -> Client:
        return self.company.owner


@pytest.fixture(scope="module")
async def shop(app: Application) -> Shop:
    """The shop after everything has been brought in; the tests below look at it from several sides."""
    found = Shop(
        await sign_up(app, company="Gift Shop", time_zone="UTC", currency="GBP"), OnlineRetail.load(), {}
    )
    await with_key(found.company)
    await _products(found)
    await _accounts(found)
    placed = found.data.placed
    await _bring(found, "orders", (_order(lines) for lines in placed.sold.values()))
    await _bring(found, "returns", (_return(lines) for lines in placed.back.values()))
    return found


async def _products(shop: Shop) -> None:
    rows = [{"stock_code": code, "name": name} for code, name in shop.data.products.items()]
    mapping: dict[str, str | None] = {"stock_code": "code", "name": "name"}
    taken, failed = await imported(shop.company, "products", written(rows), mapping)
    assert (len(taken), failed) == (4_070, [])


async def _accounts(shop: Shop) -> None:
    rows = [
        {
            "external_id": key,
            "name": f"Customer {key}" if key.isdigit() else key.capitalize(),
            "country": country or "",
        }
        for key, country in shop.data.accounts.items()
    ]
    mapping: dict[str, str | None] = {name: name for name in rows[0]}
    taken, failed = await imported(shop.company, "accounts", written(rows), mapping)
    assert (len(taken), failed) == (4_372 + 9, [])


def _order(lines: list[Line]) -> Json:
    first = lines[0]
    return {
        "external_id": first.invoice,
        "account": first.account,
        "country": first.nation,
        "currency": "GBP",
        "ordered_on": first.at[:10],
        "lines": [_sold(line) for line in lines],
    }


def _sold(line: Line) -> Json:
    sold = {
        "external_id": line.key,
        "product": line.code,
        "quantity": str(line.quantity),
        "unit_price": str(line.price),
    }
    return sold | {"description": line.description} if line.description else sold


def _return(backs: list[Back]) -> Json:
    first = backs[0].line
    return {
        "external_id": first.invoice,
        "account": first.account,
        "country": first.nation,
        "currency": "GBP",
        "returned_on": first.at[:10],
        "lines": [_gave_back(back) for back in backs],
    }


def _gave_back(back: Back) -> Json:
    if back.of is not None:
        return {"order_line": back.of.key, "quantity": str(back.quantity)}
    return {
        "product": back.line.code,
        "quantity": str(back.quantity),
        "unit_price": str(back.line.price),
    }


async def _bring(shop: Shop, plural: str, items: Iterable[Json]) -> None:
    """Send them, many in a request; none may be refused."""
    shop.made |= {plural: 0, f"{plural} lines": 0}
    for body in _bodies(plural, items):
        answer = await shop.owner.ok(
            "POST",
            f"/v1/{plural}/batch/import",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert answer["failed"] == 0, [one for one in answer["results"] if one["errors"]][:3]
        shop.made[plural] += answer["created"]
        shop.made[f"{plural} lines"] += answer["lines"]


def _bodies(plural: str, items: Iterable[Json]) -> Iterator[bytes]:
    """Bodies of up to a thousand items: short enough that none of them takes long on a busy machine."""
    batch: list[bytes] = []
    size = 0
    for item in map(orjson.dumps, items):
        if batch and (len(batch) == MOST or size + len(item) > MOST_BYTES):
            yield b'{"%b":[%b]}' % (plural.encode(), b",".join(batch))
            batch, size = [], 0
        batch.append(item)
        size += len(item) + 1
    yield b'{"%b":[%b]}' % (plural.encode(), b",".join(batch))


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
