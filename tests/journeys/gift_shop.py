"""A gift shop moves in: products, customers in a loyalty programme, orders, returns. The public API only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from app.kernel.clock import FixedClock
from app.main import Application
from app.modules.membership import jobs
from tests.journeys.importing import imported, written
from tests.journeys.online_retail import Back, Line, OnlineRetail
from tests.modules.membership.points import react, scheduled
from tests.support.api import Client, Company, sign_up, with_key

MOST_BYTES = 300_000
MOST = 1_000
TIERS = (("silver", 1_000), ("gold", 5_000), ("platinum", 25_000))
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


@asynccontextmanager
async def moved_in(app: Application) -> AsyncIterator[Shop]:
    """The shop on the day after the file ends: everybody is enrolled, then the orders and the returns come in."""
    found = Shop(
        await sign_up(app, company="Gift Shop", time_zone="UTC", currency="GBP"), OnlineRetail.load(), {}
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
