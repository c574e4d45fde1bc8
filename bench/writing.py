"""What the benchmark of record types writes: a record of each, and one of its fields changed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from app.demo.client import Api
from app.kernel.ids import new_id
from app.kernel.records import RecordType
from bench import load
from bench.raw_server import LINES

Json = dict[str, Any]
ACCOUNTS = 4_000
"""Customers who are in no programme yet: each can join once."""
CHANGED = 300


@dataclass
class Known:
    """What new records refer to."""

    account_id: str
    product_id: str
    asset_id: str
    programme_id: str
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
    "opportunities": Written(lambda n, known: {"name": f"Deal {n}", "account_id": known.account_id}, "name"),
    "contracts": Written(
        lambda n, known: {
            "title": f"Frame {n}",
            "account_id": known.account_id,
            "value": {"amount": "100.00", "currency": "USD"},
            "starts_on": "2026-01-01",
        },
        "title",
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
    free = []
    for start in range(0, ACCOUNTS, 100):
        items = [
            {"ref": str(n), "record": {"name": f"Free {n}", "allow_duplicates": True}}
            for n in range(start, start + 100)
        ]
        made = await api.post("/v1/accounts/batch/create", {"items": items})
        free += [one["id"] for one in made["results"]]
    return Known(account["id"], product["id"], asset["id"], programme["id"], iter(free))


def creates(plural: str, key: str, refers: Known) -> Iterator[bytes]:
    """Requests that make records, each under a key of its own."""
    for number in itertools.count():
        body = orjson.dumps(WRITTEN[plural].body(number, refers))
        yield load.request_bytes("POST", f"/v1/{plural}", key, body, f"Idempotency-Key: {new_id()}\r\n")


def updates(plural: str, key: str, versions: dict[UUID, int]) -> Iterator[bytes]:
    """Requests that change one text of records whose versions are known."""
    for number in itertools.count():
        for id in versions:
            headers = f'If-Match: "{versions[id]}"\r\n'
            versions[id] += 1
            body = orjson.dumps({WRITTEN[plural].field: f"Other {number} {random.random()}"})
            yield load.request_bytes("PATCH", f"/v1/{plural}/{id}", key, body, headers)


async def versions_of(connection: Any, record: RecordType[Any], tenant_id: UUID) -> dict[UUID, int]:
    """The newest records with their versions."""
    rows = await connection.fetch(
        f"SELECT id, version FROM {record.table} WHERE tenant_id = $1 AND deleted_at IS NULL"
        " ORDER BY created_at DESC LIMIT $2",
        tenant_id,
        CHANGED,
    )
    return {row["id"]: row["version"] for row in rows}


async def rows_like(connection: Any, record: RecordType[Any], tenant_id: UUID) -> Iterator[bytes]:
    """Bodies for the raw limit: the newest record's row and lines again and again, unique where they have to be."""
    row = orjson.loads(
        await connection.fetchval(
            f"SELECT to_jsonb(t) FROM {record.table} t WHERE tenant_id = $1 AND deleted_at IS NULL"
            " ORDER BY created_at DESC LIMIT 1",
            tenant_id,
        )
    )
    unique = await connection.fetch(_UNIQUE, record.table)
    names = [one["attname"] for one in unique]
    if record.path not in LINES:
        return _rows(row, names)
    table, column = LINES[record.path]
    lines = await connection.fetch(
        f"SELECT to_jsonb(t) AS line FROM {table} t WHERE tenant_id = $1 AND {column} = $2",
        tenant_id,
        UUID(row["id"]),
    )
    return _rows(row, names, [orjson.loads(one["line"]) for one in lines], column)


def _rows(row: Json, unique: list[str], lines: Sequence[Json] = (), column: str = "") -> Iterator[bytes]:
    while True:
        id = str(new_id())
        fresh = {name: _fresh(row[name]) for name in unique if row.get(name) is not None}
        body: Json = {"row": row | fresh | {"id": id}}
        if column:
            body["lines"] = [line | {"id": str(new_id()), column: id} for line in lines]
        yield orjson.dumps(body)


def _fresh(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, int):
        return random.getrandbits(31)
    if not isinstance(value, str):
        return value  # unique only beside others that are
    try:
        UUID(value)
    except ValueError:
        return f"{random.getrandbits(53):016}"
    return str(new_id())


# Of unique indexes on plain columns, those that are not of the tenant and hang on no other table.
_UNIQUE: Final = """
SELECT DISTINCT a.attname FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indexprs IS NULL
  AND a.attname NOT IN ('tenant_id', 'id') AND NOT EXISTS (
  SELECT 1 FROM pg_constraint c WHERE c.conrelid = i.indrelid AND c.contype = 'f' AND a.attnum = ANY(c.conkey))"""
