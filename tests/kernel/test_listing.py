"""Keyset pages and the filter compiler, proved on real rows: every row once, and the rows that a filter means."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kernel.access import TenantProfile
from app.kernel.custom_fields.conditions import listing_field
from app.kernel.custom_fields.models import FieldType
from app.kernel.errors import InvalidCursor, InvalidFilter
from app.kernel.listing import (
    Bindings,
    Condition,
    Field,
    FieldSet,
    Keyset,
    Kind,
    Query,
    compile_filter,
    parse_sort,
    query_from_body,
    query_from_parameters,
    read_cursor,
    sign_cursor,
)
from app.kernel.secrets import KeyRing
from migrations.support import SPARSE

TENANT = TenantProfile(id=UUID(int=1), time_zone="Asia/Shanghai", currency="CNY")
NOW = datetime(2026, 3, 15, 20, 30, tzinfo=UTC)  # 04:30 on the 16th in Shanghai
NAMESPACE = UUID("0198c0de-0000-7000-8000-000000000000")

FIELDS = FieldSet(
    {
        "id": Field("id", Kind.UUID, "t.id", nullable=False),
        "name": Field("name", Kind.TEXT, "t.name"),
        "rank": Field("rank", Kind.INTEGER, "t.rank"),
        "live": Field("live", Kind.BOOLEAN, "t.live", nullable=False),
        "day": Field("day", Kind.DATE, "t.day"),
        "at": Field("at", Kind.DATETIME, "t.at", nullable=False),
        "price": Field("price", Kind.MONEY, "t.price", currency="t.currency"),
        "share": Field("share", Kind.DECIMAL, "t.share"),
        "tags": Field("tags", Kind.TEXT_LIST, "t.tags", nullable=False, sortable=False),
        "extra": Field("extra", Kind.JSON, "t.extra", sortable=False),
        "state": Field("state", Kind.TEXT, "t.state", choices=("new", "lost")),
    }
)
DDL = """
CREATE TEMP TABLE paged (id uuid, name text COLLATE "C", rank bigint, live boolean, day date, at timestamptz,
  price bigint, currency text, share numeric, tags text[], extra jsonb, state text)
"""
COLUMNS = ("id", "name", "rank", "live", "day", "at", "price", "share", "tags", "state")

rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | st.sampled_from(["", "a", "A", "ab", "b%", "b_", "\\", "悟空", "é"]),
            "rank": st.none() | st.integers(-2, 2) | st.sampled_from([2**63 - 1, -(2**63)]),
            "live": st.booleans(),
            "day": st.none() | st.sampled_from([date(2026, 3, 15), date(2026, 3, 16), date(2024, 2, 29)]),
            "at": st.sampled_from([NOW, datetime(2026, 3, 15, 15, 59, 59, 999999, tzinfo=UTC)]),
            "price": st.none() | st.sampled_from([0, 99, 100]),
            "share": st.none() | st.sampled_from([0, 1]),
            "tags": st.lists(st.sampled_from(["x", "y", "z"]), max_size=2),
            "state": st.none() | st.sampled_from(["new", "lost"]),
        }
    ),
    max_size=25,
)
sorts = st.lists(
    st.tuples(st.sampled_from(["name", "rank", "live", "day", "at", "share", "id"]), st.booleans()),
    max_size=3,
    unique_by=lambda key: key[0],
)
bounded = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
async def connection(worker_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    found = await asyncpg.connect(worker_database)
    await found.execute(DDL)
    yield found
    await found.close()


@asynccontextmanager
async def filled(
    connection: Any, records: Sequence[dict[str, Any]], first: int = 0
) -> AsyncIterator[list[dict[str, Any]]]:
    await connection.execute("TRUNCATE paged")
    yield await insert(connection, records, first)


async def insert(connection: Any, records: Sequence[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    stored = [
        {**record, "id": uuid5(NAMESPACE, str(first + number))} for number, record in enumerate(records)
    ]
    await connection.copy_records_to_table(
        "paged", records=[tuple(row[name] for name in COLUMNS) for row in stored], columns=COLUMNS
    )
    return stored


async def page(
    connection: Any, keyset: Keyset, position: Sequence[str | None] | None, limit: int
) -> list[Any]:
    import orjson

    bind = Bindings()
    where = keyset.after(position, bind) if position is not None else "true"
    found = await connection.fetch(
        f"SELECT t.id, {keyset.columns} FROM paged t WHERE {where} ORDER BY {keyset.order_by} LIMIT {limit}",
        *bind.values,
    )
    return [(row[0], orjson.loads(row[1])) for row in found]


async def walk(connection: Any, keyset: Keyset, limit: int) -> list[UUID]:
    seen: list[UUID] = []
    position = None
    for _ in range(60):
        found = await page(connection, keyset, position, limit)
        seen += [id for id, _ in found]
        if len(found) < limit:
            return seen
        position = found[-1][1]
    raise AssertionError("the pages never end")


@bounded
@given(records=rows, sort=sorts, limit=st.integers(1, 7))
async def test_pages_show_every_row_exactly_once_in_order(connection, records, sort, limit):
    async with filled(connection, records):
        keyset = Keyset.of(sort, (("at", True),), FIELDS)
        expected = await connection.fetch(f"SELECT t.id FROM paged t ORDER BY {keyset.order_by}")
        assert await walk(connection, keyset, limit) == [row["id"] for row in expected]


@bounded
@given(records=rows, more=rows, sort=sorts, limit=st.integers(1, 5))
async def test_rows_that_arrive_between_pages_are_neither_repeated_nor_do_they_hide_others(
    connection, records, more, sort, limit
):
    async with filled(connection, records) as stored:
        keyset = Keyset.of(sort, (("at", True),), FIELDS)
        seen: list[UUID] = []
        position = None
        late = iter([more])
        while True:
            found = await page(connection, keyset, position, limit)
            seen += [id for id, _ in found]
            if len(found) < limit:
                break
            position = found[-1][1]
            await insert(connection, next(late, []), first=1_000)
        assert len(seen) == len(set(seen))
        assert {row["id"] for row in stored} <= set(seen)


async def test_the_id_always_decides_last_so_that_ties_have_an_order():
    keyset = Keyset.of(parse_sort(["-name"]), (), FIELDS)
    assert keyset.order_by == "t.name DESC, t.id DESC"


@pytest.mark.parametrize("sort", [["name", "-name"], ["name", "rank", "live", "day"]])
def test_a_sort_names_at_most_three_different_fields(sort):
    with pytest.raises(InvalidFilter):
        parse_sort(sort)


@pytest.mark.parametrize("name", ["secret", "tags", "extra"])
def test_only_declared_plain_fields_can_be_sorted_by(name):
    with pytest.raises(InvalidFilter):
        Keyset.of(((name, False),), (), FIELDS)


# -- filters -------------------------------------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "name": ["", "a", "A", "b%", "b_", "\\", "悟空", "%"],
    "rank": [-2, 0, 2, 2**63 - 1],
    "live": [True, False],
    "day": ["2026-03-15", "2026-03-16", "today", "-1d"],
    "at": ["2026-03-15T20:30:00Z", "2026-03-16T04:30:00+08:00", "2026-03-16", "today"],
    "price": ["0.99", "1.00", 1],
    "share": ["0", 1, 0.5],
    "state": ["new", "lost"],
    "tags": ["x", "y", "w"],
}
MEANT: dict[str, dict[Any, Any]] = {
    "day": {
        "2026-03-15": date(2026, 3, 15), "2026-03-16": date(2026, 3, 16),
        "today": date(2026, 3, 16), "-1d": date(2026, 3, 15),
    },
    "at": {
        "2026-03-15T20:30:00Z": NOW, "2026-03-16T04:30:00+08:00": NOW,
        "2026-03-16": datetime(2026, 3, 15, 16, tzinfo=UTC), "today": datetime(2026, 3, 15, 16, tzinfo=UTC),
    },
    "price": {"0.99": 99, "1.00": 100, 1: 100},
    "share": {"0": 0, 1: 1, 0.5: 0.5},
}  # fmt: skip
COMPARED = ["eq", "ne", "lt", "lte", "gt", "gte"]


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(VALUES)))
    value = st.sampled_from(VALUES[name])
    many = st.lists(value, min_size=1, max_size=3)
    if name == "tags":
        op = draw(st.sampled_from(["has_any", "has_all"]))
        return Condition(name, op, draw(many))
    ops = ["is_null", "eq", "ne"] if name == "live" else [*COMPARED, "is_null", "in", "not_in", "between"]
    if name in ("name", "state"):
        ops += ["contains", "starts_with"] if name == "name" else []
    op = draw(st.sampled_from(ops))
    if op == "is_null":
        return Condition(name, op, draw(st.booleans()))
    if op in ("in", "not_in"):
        return Condition(name, op, draw(many))
    if op == "between":
        return Condition(name, op, [draw(value), draw(value)])
    return Condition(name, op, draw(value))


def holds(c: Condition, row: dict[str, Any]) -> bool:
    """What a condition means, said without SQL."""
    found = row[c.field]
    if c.op == "is_null":
        return (found is None) is c.value
    if c.op in ("has_any", "has_all"):
        return bool(set(c.value) & set(found)) if c.op == "has_any" else set(c.value) <= set(found)
    meant = MEANT.get(c.field, {})
    if isinstance(c.value, list):
        wanted = [meant.get(value, value) for value in c.value]
        if c.op == "not_in":
            return found not in wanted
        if found is None:
            return False
        return found in wanted if c.op == "in" else wanted[0] <= found <= wanted[1]
    value = meant.get(c.value, c.value)
    if c.op == "ne":
        return bool(found != value)
    if found is None:
        return False
    if isinstance(found, str):
        if c.op == "contains":
            return value.lower() in found.lower()
        if c.op == "starts_with":
            return found.lower().startswith(value.lower())
        found, value = found.encode(), value.encode()
    return bool(
        {
            "eq": found == value,
            "lt": found < value,
            "lte": found <= value,
            "gt": found > value,
            "gte": found >= value,
        }[c.op]
    )


@settings(bounded, max_examples=300)
@given(records=rows, groups=st.lists(st.lists(conditions(), min_size=1, max_size=3), min_size=1, max_size=3))
async def test_a_filter_finds_exactly_the_rows_that_it_means(connection, records, groups):
    async with filled(connection, records) as stored:
        bind = Bindings()
        where = compile_filter(groups, FIELDS, TENANT, NOW, bind)
        found = await connection.fetch(f"SELECT t.id FROM paged t WHERE {where}", *bind.values)
        expected = {row["id"] for row in stored if any(all(holds(c, row) for c in group) for group in groups)}
        assert {row["id"] for row in found} == expected


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.just("9" * 400)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(bounded, max_examples=400)
@given(
    name=st.sampled_from([*FIELDS.fields, "nothing"]),
    op=st.sampled_from(
        [*COMPARED, "in", "not_in", "is_null", "contains", "starts_with", "between", "has_any", "has_all"]
    ),
    value=anything,
)
async def test_any_value_at_all_either_compiles_to_runnable_sql_or_is_refused(connection, name, op, value):
    bind = Bindings()
    try:
        where = compile_filter([[Condition(name, op, value)]], FIELDS, TENANT, NOW, bind)
    except InvalidFilter as refusal:
        assert refusal.errors[0].pointer == name  # noqa: PT017 - refused or run: both are right
        return
    await connection.fetch(f"SELECT 1 FROM paged t WHERE {where}", *bind.values)


def test_values_are_never_part_of_the_sql():
    bind = Bindings()
    where = compile_filter([[Condition("name", "contains", "x' OR 1=1 --")]], FIELDS, TENANT, NOW, bind)
    assert where == "t.name ILIKE $1"
    assert bind.values == ["%x' OR 1=1 --%"]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (Condition("owner", "eq", "x"), "unknown_field"),
        (Condition("tags", "eq", "x"), "unknown_operator"),
        (Condition("live", "gt", True), "unknown_operator"),
        (Condition("rank", "eq", "1.5"), "invalid_value"),
        (Condition("rank", "eq", 2**63), "invalid_value"),
        (Condition("rank", "eq", True), "invalid_value"),
        (Condition("day", "eq", "0000-01-01"), "invalid_value"),
        (Condition("day", "eq", "9999-12-31"), "invalid_value"),
        (Condition("at", "eq", "2026-03-15T20:30:00"), "invalid_value"),
        (Condition("share", "eq", float("inf")), "invalid_value"),
        (Condition("share", "eq", "1e400"), "invalid_value"),
        (Condition("name", "eq", "a\0b"), "invalid_value"),
        (Condition("name", "in", []), "invalid_value"),
        (Condition("name", "in", ["x"] * 201), "invalid_value"),
        (Condition("name", "between", ["x"]), "invalid_value"),
        (Condition("state", "eq", "gone"), "invalid_value"),
        (Condition("price", "eq", "1.001"), "invalid_value"),
    ],
)
def test_what_a_filter_cannot_mean_is_refused_with_its_place(condition, code):
    with pytest.raises(InvalidFilter) as refusal:
        compile_filter([[replace(condition, pointer="/filter/or/0/and/0")]], FIELDS, TENANT, NOW, Bindings())
    assert [(error.pointer, error.code) for error in refusal.value.errors] == [("/filter/or/0/and/0", code)]


def test_more_than_five_groups_or_ten_conditions_are_refused():
    one = Condition("rank", "eq", 1)
    for groups in ([[one]] * 6, [[one] * 11]):
        with pytest.raises(InvalidFilter):
            compile_filter(groups, FIELDS, TENANT, NOW, Bindings())


# -- how a list request is read ------------------------------------------------------------------------------


def test_query_parameters_become_a_query():
    found = query_from_parameters(
        [
            ("state", "new"), ("at[gte]", "-30d"), ("rank[in]", "1,2"), ("sort", "-at,name"), ("limit", "500"),
            ("fields", "name,rank"), ("include", "total"), ("q", "wukong"), ("cursor", "c"),
        ]
    )  # fmt: skip
    assert found == Query(
        groups=((Condition("state", "eq", "new", "state"), Condition("at", "gte", "-30d", "at[gte]"),
                 Condition("rank", "in", ["1", "2"], "rank[in]")),),
        text="wukong", sort=(("at", True), ("name", False)), limit=200, cursor="c", fields=("name", "rank"),
        total=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "parameters",
    [
        [("limit", "0")], [("limit", "-1")], [("limit", "ten")], [("limit", "²")], [("limit", "9" * 10)],
        [("include", "everything")], [("sort", "name"), ("sort", "rank")], [("state", "new"), ("state", "lost")],
        [("at[gte", "x")], [("At", "x")], [("at[gte][lt]", "x")], [("", "x")],
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_read_is_refused(parameters):
    with pytest.raises(InvalidFilter):
        query_from_parameters(parameters)


def test_a_search_body_becomes_the_same_query():
    body = {
        "filter": {"or": [{"and": [{"field": "rank", "op": "gte", "value": 3}]}]},
        "query": "text",
        "sort": ["-rank"],
        "limit": 1_000,
        "include": ["total"],
    }
    assert query_from_body(body) == Query(
        groups=((Condition("rank", "gte", 3, "/filter/or/0/and/0"),),),
        text="text",
        sort=(("rank", True),),
        limit=200,
        total=True,
    )


# -- cursors -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys() -> KeyRing:
    return KeyRing.from_texts([KeyRing.generate()])


def test_a_cursor_comes_back_as_the_position_it_was_made_of(keys):
    query = Query(sort=(("name", False),))
    cursor = sign_cursor(keys, TENANT.id, "toy", query, '["a", null]')
    assert read_cursor(keys, TENANT.id, "toy", replace(query, cursor=cursor, limit=7)) == ["a", None]


def test_a_cursor_is_of_one_tenant_list_filter_text_and_sort(keys):
    query = Query(groups=((Condition("rank", "eq", "1"),),), text="x", sort=(("name", False),))
    cursor = sign_cursor(keys, TENANT.id, "toy", query, '["a", "b"]')
    strangers = [
        (UUID(int=2), "toy", query),
        (TENANT.id, "doll", query),
        (TENANT.id, "toy", replace(query, sort=(("name", True),))),
        (TENANT.id, "toy", replace(query, text="y")),
        (TENANT.id, "toy", replace(query, groups=((Condition("rank", "eq", "2"),),))),
        (TENANT.id, "toy", replace(query, groups=())),
    ]
    for tenant_id, name, other in strangers:
        with pytest.raises(InvalidCursor):
            read_cursor(keys, tenant_id, name, replace(other, cursor=cursor))


@settings(bounded, max_examples=200)
@given(forged=st.text(max_size=80) | st.binary(max_size=40).map(bytes.hex))
def test_no_invented_cursor_is_taken(keys, forged):
    with pytest.raises(InvalidCursor):
        read_cursor(keys, TENANT.id, "toy", Query(cursor=forged))


def test_changing_any_character_of_a_cursor_spoils_it(keys):
    cursor = sign_cursor(keys, TENANT.id, "toy", Query(), '["a"]')
    for index, new in itertools.product(range(len(cursor)), "A_"):
        if cursor[index] != new:
            with pytest.raises(InvalidCursor):
                read_cursor(keys, TENANT.id, "toy", Query(cursor=cursor[:index] + new + cursor[index + 1 :]))


def test_a_query_with_numbers_beyond_64_bits_still_has_a_shape():
    assert Query(groups=((Condition("share", "eq", 10**30),),)).shape != Query().shape


@pytest.mark.parametrize(
    ("condition", "column"),
    [
        (Condition("tags", "has_any", ["vip"]), "tags"),
        (Condition("tags", "has_all", ["vip", "fair"]), "tags"),
        (Condition("custom.branch", "eq", "east"), "custom"),
        (Condition("custom.branch", "in", ["east", "west"]), "custom"),
    ],
)
async def test_filters_of_what_few_records_have_reach_the_index_of_those(connection, condition, column):
    """The index holds only records that have tags, or custom fields; the filter says so in the index's own words."""
    branch = listing_field("branch", FieldType.TEXT, UUID(int=2), indexed=False)
    fields = FieldSet({"tags": Field("tags", Kind.TEXT_LIST, "t.tags"), "custom.branch": branch})
    bind = Bindings(TENANT.id)
    where = compile_filter([[condition]], fields, TENANT, NOW, bind)
    async with connection.transaction():
        await connection.execute(
            "CREATE TEMPORARY TABLE sparse (tenant_id uuid, deleted_at timestamptz, tags text[], custom jsonb)"
            " ON COMMIT DROP; SET LOCAL enable_seqscan = off"
        )
        await connection.execute(f"CREATE INDEX {SPARSE[column].on('pg_temp.sparse', column)}")
        plan = await connection.fetch(
            f"EXPLAIN SELECT 1 FROM sparse t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND {where}",
            *[json.dumps(value) if isinstance(value, dict) else value for value in bind.values],
        )
    assert any(f"ix_sparse_{SPARSE[column].name}" in row[0] for row in plan), plan
