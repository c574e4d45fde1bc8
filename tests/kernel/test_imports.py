"""Imports: files become records with every rule on; whatever is wrong stays with its row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bulk import Bench, bench

MAPPING: dict[str, str | None] = {"Id": "external_id", "Name": "name", "Price": "price", "Sold": "sold_on"}
FILE = b"Id,Name,Price,Sold\nt1,Robot,12.50,2026-01-31\nt2,Kite,3,2026/2/1\n"


@pytest.fixture
async def toys(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(own_database, tmp_path) as made:
        yield made


async def test_each_row_becomes_a_record_with_its_audit_entry_event_and_usage(toys: Bench):
    done = await toys.run(FILE, MAPPING)
    assert (done.state, done.total, done.created, done.failed) == ("completed", 2, 2, 0)
    rows = await toys.fetch("SELECT * FROM toys.toys ORDER BY external_id")
    assert [(r["name"], r["price"], r["currency"], str(r["sold_on"])) for r in rows] == [
        ("Robot", 1250, "EUR", "2026-01-31"),
        ("Kite", 300, "EUR", "2026-02-01"),
    ]
    assert rows[0]["owner_id"] == toys.actor.member_id
    assert "robot" in rows[0]["tokens"]
    audit = await toys.fetch(
        "SELECT * FROM kernel.audit_entries WHERE object = 'toy' AND record_id = $1", rows[0]["id"]
    )
    assert [(a["action"], a["changes"]["name"], a["actor_name"]) for a in audit] == [
        ("created", [None, "Robot"], "olivia@example.com")
    ]
    event = (await toys.fetch("SELECT * FROM kernel.outbox WHERE record_id = $1", rows[0]["id"]))[0]
    assert event["type"] == "toys.toy.created.v1"
    assert event["data"]["record"]["price"] == {"amount": "12.50", "currency": "EUR"}
    usage = await toys.value(
        "SELECT sum(quantity) FROM kernel.usage_records WHERE metric = 'records.created'"
    )
    assert usage == 2
