"""Plain comparisons, made without the database, say what SQL says; all else is SQL's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.kernel.conditions import Prepared, answers, compile_each, groups_of, holding
from app.kernel.listing import Bindings
from app.kernel.uow import transaction
from tests.support.kernel import bare_kernel, new_tenant
from tests.support.toy import TOY

IDS = [uuid4() for _ in range(3)]
TEXTS = ["", "red", "Red", "blue", "é", "e\u0301", "铁", " red"]
VALUES: dict[str, list[Any]] = {
    "name": TEXTS,
    "email": TEXTS,
    "colour": ["red", "blue"],
    "owner_id": [str(id) for id in IDS] + [str(IDS[0]).upper()],
    "fragile": [True, False, "true", "false"],
}
Tree = dict[str, Any]


def of(*conditions: tuple[str, str, Any]) -> Tree:
    return {"or": [{"and": [{"field": f, "op": op, "value": value} for f, op, value in conditions]}]}


def made_up(chance: random.Random) -> Tree:
    """A tree of plain comparisons."""

    def condition() -> Tree:
        field = chance.choice(sorted(VALUES))
        op = chance.choice(["eq", "ne", "is_null"] + ([] if field == "fragile" else ["in", "not_in"]))
        value: Any = chance.choice(VALUES[field])
        if op == "is_null":
            value = chance.choice([True, False, "false", None])
        elif op in ("in", "not_in"):
            value = chance.choices(VALUES[field], k=chance.randint(1, 3))
        return {"field": field, "op": op, "value": value}

    return {
        "or": [
            {"and": [condition() for _ in range(chance.randint(0, 3))]} for _ in range(chance.randint(0, 3))
        ]
    }


def row(chance: random.Random) -> dict[str, Any]:
    found = {
        "name": chance.choice(TEXTS),
        "email": chance.choice([*TEXTS, None]),
        "colour": chance.choice(["red", "blue"]),
        "owner_id": chance.choice([*IDS, None]),
        "fragile": chance.choice([True, False]),
    }
    return {name: value for name, value in found.items() if chance.random() < 0.9}


async def test_plain_comparisons_say_what_sql_says_and_ask_nothing(
    worker_database: str, tmp_path: Path
) -> None:
    chance = random.Random(20)
    trees = [groups_of(made_up(chance)) for _ in range(300)]
    rows = [row(chance) for _ in range(60)]
    async with bare_kernel(worker_database, tmp_path) as kernel, transaction(kernel, new_tenant()) as uow:
        await holding(
            uow, TOY, rows[:1], [groups_of(of(("name", "contains", "e")))]
        )  # its own fields are read
        before = uow.statements
        found = await holding(uow, TOY, rows, trees)
        assert uow.statements == before
        for start in range(0, len(trees), 50):
            bind = Bindings()
            tests = await compile_each(uow, TOY, trees[start : start + 50], bind)
            asked = await answers(uow, TOY, rows, tests, bind)
            assert [one[start : start + 50] for one in found] == asked
    assert {True, False} == {held for one in found for held in one}


async def test_whatever_is_more_than_plain_is_asked_of_sql(worker_database: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"name": "Ball", "colour": "red", "pieces": 3},
        {"name": "Kite", "colour": "blue"},
    ]
    trees = [
        of(("name", "starts_with", "ba")),  # a pattern
        of(("pieces", "gt", 2)),  # an order
        of(("pieces", "eq", 3), ("colour", "eq", "red")),  # a number
        of(("colour", "eq", "red")),
        of(("colour", "eq", "mauve")),  # no such choice: false
        of(("colour", "is_null", "perhaps")),
        of(("gone", "eq", "x")),  # no such field: false
        of(("name", "has_any", ["Ball"])),  # no such operator: false
        {"or": []},
        {"or": [{"and": []}] * 6},  # too many groups: false
    ]
    async with bare_kernel(worker_database, tmp_path) as kernel, transaction(kernel, new_tenant()) as uow:
        told = await holding(uow, TOY, rows, [groups_of(tree) for tree in trees])
        ready = [Prepared.of(TOY, groups_of(tree)) for tree in trees]
        assert await holding(uow, TOY, rows, ready) == told
        assert await holding(uow, TOY, [{"colour": 7}], ready[3:4]) == [[False]]  # no text: SQL says
    assert told == [
        [True, True, True, True, False, False, False, False, True, False],
        [False, False, False, False, False, False, False, False, True, False],
    ]
    assert [place for place, one in enumerate(ready) if one.test is not None] == [3, 8]
