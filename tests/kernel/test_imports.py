"""Imports: files become records with every rule on; whatever is wrong stays with its row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.kernel.statements import joined
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


async def test_texts_arrive_as_they_are_whatever_they_hold(toys: Bench):
    """Rows travel joined, and what stands between them may stand in them."""
    names = ["a\x1eb", "\x1d", "c\x1d\x1fd", "NULL", 'q"uo,te', "back\\slash", "{curly}", "'", "平\u3000安"]
    tags = [["NULL", ""], ['q"', "b\\"], ["{", "}"], [","], ["a b", "\x1e"], [], ["x"], ["'"], ["平"]]
    told = [[tag for tag in row if tag] for row in tags]
    lines = [
        ",".join('"' + cell.replace('"', '""') + '"' for cell in (f"t{n}", name, orjson.dumps(row).decode()))
        for n, (name, row) in enumerate(zip(names, told, strict=True))
    ]
    mapping: dict[str, str | None] = {"Id": "external_id", "Name": "name", "Tags": "tags"}
    done = await toys.run("\n".join(["Id,Name,Tags", *lines]).encode(), mapping)
    assert (done.state, done.created, done.failed) == ("completed", len(names), 0)
    rows = await toys.fetch(
        "SELECT external_id, name, tags, email, pieces FROM toys.toys ORDER BY external_id"
    )
    assert [tuple(row) for row in rows] == [
        (f"t{n}", name, row, None, None) for n, (name, row) in enumerate(zip(names, told, strict=True))
    ]
    events = await toys.fetch("SELECT data->'record'->>'name' AS name FROM kernel.outbox ORDER BY id")
    assert [event["name"] for event in events] == names


@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
@example([""])
@example(["\x1d", None])
@example(["a\x1eb", "c"])
def test_joined_texts_say_all_of_what_was_joined(values: list[str | None]):
    found = joined(values)
    if isinstance(found, str):  # as string_to_array parts it: PostgreSQL manual, 9.19
        assert [None if part == "\x1d" else part for part in found.split("\x1e")] == values
        assert found
    else:
        assert found == values
