"""Which value survives a merge, over rows that hypothesis makes up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import Invalid
from app.kernel.merging.choice import Choosable, choose, filled, is_empty

WHAT = Choosable(
    columns={
        "name": ("name",), "city": ("city",), "email": ("email",), "score": ("score",), "limit": ("limit", "currency"),
        "status": ("status",), "status_note": ("status_note",), "tags": ("tags",), "emails": ("emails",),
    },
    groups=(("status", "status_note"),),
    lists={"tags": 50, "emails": 20},
    collects={"emails": ("email",)},
)  # fmt: skip
SINGLES = ("name", "city", "email", "score")
words = st.sampled_from(["a", "b", "c", "d"])
some = st.none() | words


@st.composite
def records(draw: Any) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(2, 10))):
        limit = draw(st.none() | st.integers(0, 9))
        found.append(
            {
                "id": UUID(int=number + 1),
                "name": draw(words),
                "city": draw(some),
                "email": draw(some),
                "score": draw(st.none() | st.integers(0, 2)),
                "limit": limit,
                "currency": None if limit is None else draw(st.sampled_from(["EUR", "CNY"])),
                "status": draw(some),
                "status_note": draw(some),
                "tags": draw(st.lists(words, max_size=4, unique=True)),
                "emails": draw(st.lists(words, max_size=3, unique=True)),
                "custom": draw(st.dictionaries(st.sampled_from(["x", "y"]), some | st.just(0))),
            }
        )
    return found


def after(rows: list[dict[str, Any]], outcome: Any) -> dict[str, Any]:
    return {**rows[0], **outcome.changes, "custom": outcome.custom}


def first_filled(rows: list[dict[str, Any]], name: str) -> Any:
    return next((row[name] for row in rows if not is_empty(row[name])), rows[0][name])


@given(records())
def test_each_field_is_the_masters_or_the_first_that_says_something(rows):
    result = after(rows, choose(WHAT, rows, chosen={}, preferred={}))
    for name in SINGLES:
        assert result[name] == first_filled(rows, name)
    for key in {key for row in rows for key in row["custom"]}:
        values = [row["custom"][key] for row in rows if not is_empty(row["custom"].get(key))]
        assert result["custom"].get(key) == (values[0] if values else rows[0]["custom"].get(key))


@given(records())
def test_money_and_groups_come_from_one_record_whole(rows):
    result = after(rows, choose(WHAT, rows, chosen={}, preferred={}))
    assert (result["limit"], result["currency"]) in [(row["limit"], row["currency"]) for row in rows]
    assert (result["status"], result["status_note"]) in [(row["status"], row["status_note"]) for row in rows]
    if rows[0]["status"] or rows[0]["status_note"]:
        assert (result["status"], result["status_note"]) == (rows[0]["status"], rows[0]["status_note"])


@given(records())
def test_lists_lose_nothing_and_gain_nothing_that_nobody_had(rows):
    result = after(rows, choose(WHAT, rows, chosen={}, preferred={}))
    assert set(result["tags"]) == {tag for row in rows for tag in row["tags"]}
    reachable = {*result["emails"], result["email"]} - {None}
    assert reachable == {e for row in rows for e in (*row["emails"], row["email"])} - {None}
    for name in ("tags", "emails"):
        assert result[name][: len(rows[0][name])] == rows[0][name]
        assert len(set(result[name])) == len(result[name])
    assert result["email"] not in set(result["emails"]) - set(rows[0]["emails"])


@given(records(), st.data())
def test_a_choice_is_followed_even_where_its_value_is_empty(rows, data):
    name = data.draw(st.sampled_from([*SINGLES, "limit", "status", "tags", "emails"]))
    chosen = data.draw(st.sampled_from(rows))
    result = after(rows, choose(WHAT, rows, chosen={name: chosen["id"]}, preferred={}))
    assert result[name] == chosen[name]
    if name == "status":
        assert result["status_note"] == chosen["status_note"]
    key = data.draw(st.sampled_from(["x", "y"]))
    result = after(rows, choose(WHAT, rows, chosen={f"custom.{key}": chosen["id"]}, preferred={}))
    assert result["custom"].get(key) == chosen["custom"].get(key)


@given(records(), st.data())
def test_fixed_fields_stay_whatever_the_others_say(rows, data):
    fixed = data.draw(st.sets(st.sampled_from([*WHAT.columns, "custom"])))
    result = after(rows, choose(WHAT, rows, chosen={}, preferred={}, fixed=fixed))
    for name in fixed - {"custom"}:
        assert result[name] == rows[0][name]
    if "custom" in fixed:
        assert result["custom"] == rows[0]["custom"]


@given(records(), st.data())
def test_a_callers_choice_goes_before_a_preference(rows, data):
    chosen, preferred = data.draw(st.sampled_from(rows)), data.draw(st.sampled_from(rows))
    result = after(rows, choose(WHAT, rows, chosen={}, preferred={"city": preferred["id"]}))
    assert result["city"] == preferred["city"]
    both = choose(WHAT, rows, chosen={"city": chosen["id"]}, preferred={"city": preferred["id"]})
    assert after(rows, both)["city"] == chosen["city"]


@given(records())
def test_where_values_came_from_is_told(rows):
    outcome = choose(WHAT, rows, chosen={}, preferred={})
    by_id = {row["id"]: row for row in rows}
    result = after(rows, outcome)
    for name, id in outcome.taken.items():
        source = by_id[id]
        value = source["custom"].get(name[7:]) if name.startswith("custom.") else source[name]
        assert value == (result["custom"].get(name[7:]) if name.startswith("custom.") else result[name])
    told = {*outcome.taken, *outcome.united, "currency"}
    assert {name for name in outcome.changes if name not in told} == set()


def test_fields_of_a_group_chosen_from_two_records_are_refused():
    rows = [row(1), row(2)]
    with pytest.raises(Invalid) as refusal:
        choose(WHAT, rows, chosen={"status": UUID(int=1), "status_note": UUID(int=2)}, preferred={})
    assert [(e.pointer, e.code) for e in refusal.value.errors] == [
        ("/fields/status", "contradiction"),
        ("/fields/status_note", "contradiction"),
    ]


def test_a_united_list_that_is_too_long_is_refused_rather_than_cut():
    rows = [
        row(1, emails=[f"a{n}" for n in range(15)]),
        row(2, emails=[f"b{n}" for n in range(5)], email="c"),
        row(3, email="d"),
    ]
    with pytest.raises(Invalid) as refusal:
        choose(WHAT, rows, chosen={}, preferred={})
    assert [(e.pointer, e.code) for e in refusal.value.errors] == [("/fields/emails", "too_long")]
    assert choose(WHAT, rows[:2], chosen={}, preferred={}).changes["emails"][15:] == [
        "b0",
        "b1",
        "b2",
        "b3",
        "b4",
    ]


def test_zero_and_false_say_something():
    assert (is_empty(0), is_empty(False), is_empty(""), is_empty([]), is_empty(None)) == (
        False,
        False,
        True,
        True,
        True,
    )
    assert filled(WHAT, row(1, score=0, city="")) == 2


def row(number: int, **values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("city", "email", "score", "limit", "currency", "status", "status_note"))
    return {"id": UUID(int=number), "name": "n", **empty, "tags": [], "emails": [], "custom": {}, **values}
