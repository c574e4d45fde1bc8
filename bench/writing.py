"""What the benchmark of record types writes: a record of each, and one of its fields changed."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from app.demo.client import Api
from app.kernel.ids import new_id
from app.kernel.records import RecordType, to_json
from app.kernel.statements import BETWEEN_TOKENS
from bench import load
from bench.raw_server import LINES

Json = dict[str, Any]
ACCOUNTS = 8_000
"""Customers who are in no programme yet: each can join once."""
CHANGED = 300


@dataclass
class Known:
    """What new records refer to."""

    account_id: str
    product_id: str
    asset_id: str
    programme_id: str
    opportunity_id: str
    free_accounts: Iterator[str]


@dataclass(frozen=True)
class Written:
    """How a record is made, and which of its texts is changed."""

    body: Callable[[int, Known], Json]
    field: str


WRITTEN: Final[Mapping[str, Written]] = {
    "accounts": Written(
        lambda n, _: {"name": f"Customer {n} {random.random()}", "allow_duplicates": True}, "industry"
    ),
    "contacts": Written(
        lambda n, known: {
            "name": f"Person {n}",
            "account_id": known.account_id,
            "allow_duplicates": True,
        },
        "title",
    ),
    "activities": Written(lambda n, _: {"kind": "task", "subject": f"Call {n}"}, "subject"),
    "products": Written(
        lambda n, _: {"code": f"B-{n}-{random.getrandbits(48)}", "name": f"Pump {n}"}, "name"
    ),
    "product-categories": Written(lambda n, _: {"name": f"Pumps {n}"}, "name"),
    "price-books": Written(
        lambda n, _: {"code": f"B-{n}-{random.getrandbits(48)}", "name": f"Book {n}", "currency": "USD"},
        "name",
    ),
    "opportunities": Written(lambda n, known: {"name": f"Deal {n}", "account_id": known.account_id}, "name"),
    "competitors": Written(lambda n, _: {"name": f"Rival {n} {random.random()}"}, "name"),
    "presales-requests": Written(
        lambda n, known: {"opportunity_id": known.opportunity_id, "kind": "demo", "name": f"Demo {n}"}, "name"
    ),
    "contracts": Written(
        lambda n, known: {
            "title": f"Frame {n}",
            "account_id": known.account_id,
            "value": {"amount": "100.00", "currency": "USD"},
            "starts_on": "2026-01-01",
        },
        "title",
    ),
    "quotes": Written(
        lambda n, known: {
            "name": f"Offer {n}",
            "account_id": known.account_id,
            "currency": "USD",
            "lines": [
                {
                    "description": "Pump",
                    "quantity": str(place),
                    "unit_price": {"amount": "10.00", "currency": "USD"},
                }
                for place in (1, 2)
            ],
        },
        "name",
    ),
    "cases": Written(lambda n, known: {"subject": f"Leak {n}", "account_id": known.account_id}, "subject"),
    "assets": Written(lambda n, known: {"name": f"Pump {n}", "account_id": known.account_id}, "name"),
    "service-contracts": Written(
        lambda n, known: {
            "name": f"Service {n}",
            "account_id": known.account_id,
            "starts_on": "2026-01-01",
            "ends_on": "2026-12-31",
        },
        "name",
    ),
    "maintenance-plans": Written(
        lambda n, known: {"name": f"Plan {n}", "asset_id": known.asset_id, "every_months": 6}, "name"
    ),
    "work-orders": Written(
        lambda n, known: {"subject": f"Repair {n}", "account_id": known.account_id}, "subject"
    ),
    "articles": Written(
        lambda n, _: {"title": f"How to {n}", "body": "Open the valve, then close it."}, "title"
    ),
    "loyalty-members": Written(
        lambda _, known: {"programme_id": known.programme_id, "account_id": next(known.free_accounts)},
        "external_id",
    ),
    "coupons": Written(
        lambda n, _: {
            "name": f"Spring {n}",
            "code": f"B{random.getrandbits(48):013}",
            "benefit": "percent",
            "percent": "10",
        },
        "name",
    ),
}


async def known(api: Api) -> Known:
    """Make what new records refer to."""
    account = await api.post("/v1/accounts", {"name": "Bench", "allow_duplicates": True})
    product = await api.post("/v1/products", {"code": f"B-{random.getrandbits(48)}", "name": "Pump"})
    asset = await api.post("/v1/assets", {"name": "Pump", "account_id": account["id"]})
    worth = {"amount": "1.00", "currency": "USD"}
    club = {"key": "bench", "name_en": "Bench", "currency": "USD", "burn": {"worth": worth}}
    programme = await api.post("/v1/loyalty-programmes", club)
    deal = await api.post("/v1/opportunities", {"name": "Bench"})
    free = []
    for start in range(0, ACCOUNTS, 100):
        items = [
            {"ref": str(n), "record": {"name": f"Free {n}", "allow_duplicates": True}}
            for n in range(start, start + 100)
        ]
        made = await api.post("/v1/accounts/batch/create", {"items": items})
        free += [one["id"] for one in made["results"]]
    return Known(account["id"], product["id"], asset["id"], programme["id"], deal["id"], iter(free))


def creates(plural: str, key: str, refers: Known) -> Iterator[bytes]:
    """Requests that make records, each under a key of its own."""
    for number in itertools.count():
        body = orjson.dumps(WRITTEN[plural].body(number, refers))
        yield load.request_bytes("POST", f"/v1/{plural}", key, body, f"Idempotency-Key: {new_id()}\r\n")


def updates(
    plural: str, key: str, versions: dict[UUID, int], made: Callable[[UUID, Json], Json] | None = None
) -> Iterator[bytes]:
    """Requests that change one text of records whose versions are known; `made` adds what else the limit is sent."""
    for number in itertools.count():
        for id in versions:
            headers = f'If-Match: "{versions[id]}"\r\n'
            versions[id] += 1
            change: Json = {WRITTEN[plural].field: f"Other {number} {random.random()}"}
            body = orjson.dumps(change if made is None else change | made(id, change))
            yield load.request_bytes("PATCH", f"/v1/{plural}/{id}", key, body, headers)


async def versions_of(connection: Any, record: RecordType[Any], tenant_id: UUID) -> dict[UUID, int]:
    """The newest records with their versions."""
    return {row["id"]: row["version"] for row in await _newest(connection, record, tenant_id)}


async def made_for_limit(
    connection: Any, record: RecordType[Any], tenant_id: UUID
) -> Callable[[UUID, Json], Json]:
    """Makes what goes with a change of one of the newest records: its event and, where it takes them, tokens."""
    rows = {row["id"]: row for row in await _newest(connection, record, tenant_id)}
    rendered = {id: orjson.loads(to_json(record.plan.render(row))) for id, row in rows.items()}
    known, search = {id: dict(row) for id, row in rows.items()}, record.search

    def made(id: UUID, change: Json) -> Json:
        found: Json = {"record": rendered[id] | change}
        if not change.keys().isdisjoint(search.columns):
            found["tokens"] = BETWEEN_TOKENS.join(search.tokens(known[id] | change))
        return {"made": found}

    return made


async def _newest(connection: Any, record: RecordType[Any], tenant_id: UUID) -> Sequence[Any]:
    found: Sequence[Any] = await connection.fetch(
        f"SELECT {record.plan.columns} FROM {record.table} t"
        " WHERE t.tenant_id = $1 AND t.deleted_at IS NULL ORDER BY t.created_at DESC, t.id LIMIT $2",
        tenant_id,
        CHANGED,
    )
    return found


async def rows_like(connection: Any, record: RecordType[Any], tenant_id: UUID) -> Iterator[bytes]:
    """Bodies for the raw limit: the newest record's row and lines again and again, unique where they have to be."""
    row = orjson.loads(
        await connection.fetchval(
            f"SELECT to_jsonb(t) FROM {record.table} t WHERE tenant_id = $1 AND deleted_at IS NULL"
            " ORDER BY created_at DESC LIMIT 1",
            tenant_id,
        )
    )
    tables, unique = [[row]], [await connection.fetch(_UNIQUE, record.table, False)]
    for table, of_record in LINES.get(record.path, ()):
        found = await connection.fetch(
            f"SELECT to_jsonb(t) AS line FROM {table} t WHERE tenant_id = $1 AND {of_record}",
            tenant_id,
            UUID(row["id"]),
        )
        tables.append([orjson.loads(one["line"]) for one in found])
        unique.append(await connection.fetch(_UNIQUE, table, True))
    return _bodies(tables, [[one["attname"] for one in names] for names in unique])


def _bodies(tables: list[list[Json]], unique: list[list[str]]) -> Iterator[bytes]:
    """The same rows with fresh ids and fresh unique values, the same ones wherever they stood."""
    rows = [row for table in tables for row in table]
    fresh: dict[bytes, Callable[[], bytes]] = {row["id"].encode(): _fresh_id for row in rows}
    for table, names in zip(tables, unique, strict=True):
        for row, name in itertools.product(table, names):
            value, mark = row.get(name), f"mark {len(fresh)}"
            maker = _maker(value)
            if maker is not None and not str(value).startswith("mark "):
                quotes = '"' if isinstance(value, int) else ""
                fresh[f"{quotes}{mark}{quotes}".encode()] = maker
                for other in rows:
                    other |= {at: mark for at, found in other.items() if _same(name, value, at, found)}
    body = orjson.dumps({"row": tables[0][0], "lines": tables[1:]})
    parts = re.split(b"(" + b"|".join(map(re.escape, fresh)) + b")", body)
    while True:
        made = {text: maker() for text, maker in fresh.items()}
        yield b"".join([made.get(part, part) for part in parts])


def _same(name: str, value: Any, at: str, found: Any) -> bool:
    """Whether a column holds what is made unique; of numbers only the same column: many are 1, and True equals it."""
    return found == value and (isinstance(value, str) or at == name)


def _fresh_id() -> bytes:
    return str(new_id()).encode()


def _maker(value: Any) -> Callable[[], bytes] | None:
    """Makes other values of the same kind; None for what is unique only beside others that are."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, int):
        return lambda: str(random.getrandbits(31)).encode()
    try:
        UUID(value)
    except ValueError:
        return lambda: f"B{random.getrandbits(53):016}".encode()
    return _fresh_id


# Of unique indexes on plain columns, those that are not of the tenant and hang on no other table; by `$2` only where
# they are unique by themselves.
_UNIQUE: Final = """
SELECT DISTINCT a.attname FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indexprs IS NULL AND (NOT $2 OR i.indnkeyatts = 2)
  AND a.attname NOT IN ('tenant_id', 'id') AND NOT EXISTS (
  SELECT 1 FROM pg_constraint c WHERE c.conrelid = i.indrelid AND c.contype = 'f' AND a.attnum = ANY(c.conkey))"""
