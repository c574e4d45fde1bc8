"""The pages of what a text finds are those of sorting all of it, wherever the search stops looking for more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kernel import db
from app.kernel.access import Actor, Scope
from app.kernel.ids import new_id
from app.kernel.listing import query_from_parameters
from app.kernel.record_reads import list_records, select_records
from app.kernel.text_pages import ids_of_page
from app.kernel.tokens import record_tokens
from app.kernel.uow import UnitOfWork
from tests.modules.support import actor_of, colleague
from tests.support.api import Company
from tests.support.toy import TOY

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEANT = {
    "kite": {"Kite", "Kite Ball"},
    "ball kite": {"Kite Ball"},
    "王伟": {"王伟", "王伟强", "强王王伟伟强"},
    "王伟强": {"王伟强"},
    "wangwei": {"王伟", "王伟强", "强王王伟伟强"},
    "nobody": set(),
}
"""Search texts, and the names that each of them finds."""
NAMES = ("Kite", "Kite Ball", "Ball", "王伟", "王伟强", "强王王伟伟强", "伟王")
COLUMNS = (
    "tenant_id", "id", "name", "colour", "fragile", "owner_id", "tokens", "created_at", "updated_at", "deleted_at",
)  # fmt: skip

toys = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(NAMES),
            "colour": st.sampled_from(["red", "blue"]),
            "created": st.integers(0, 6),  # seconds: many were made at the same moment
            "mine": st.booleans(),
            "deleted": st.sampled_from([False, False, False, True]),
        }
    ),
    min_size=12,
    max_size=40,
)
searches = st.fixed_dictionaries(
    {
        "q": st.sampled_from(sorted(MEANT)),
        "sort": st.sampled_from([None, None, "created_at", "-name", "-created_at,name"]),
        "colour": st.sampled_from([None, None, "red"]),
        "limit": st.integers(1, 4),
        "own": st.booleans(),  # by somebody who sees their own records only
    }
)
# Where the search turns to other ways: how many are all found at once, and how many of the newest are looked at.
BOUNDS = [(1_000, 50_000), (0, 1), (1, 2), (2, 3), (3, 10), (0, 1_000)]


async def fill(uow: UnitOfWork, records: Sequence[dict[str, Any]], member_id: UUID | None) -> list[UUID]:
    """Store toys; their ids in the order given."""
    rows = []
    for one in records:
        at = START + timedelta(seconds=one["created"])
        rows.append(
            (
                uow.tenant_id, new_id(), one["name"], one["colour"], False, member_id if one["mine"] else None,
                record_tokens([one["name"]]), at, at, at if one["deleted"] else None,
            )
        )  # fmt: skip
    marks = ", ".join(f"${place}" for place in range(1, len(COLUMNS) + 1))
    await uow.settle()
    await uow.connection.executemany(f"INSERT INTO toys.toys ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
    return [row[1] for row in rows]


async def expected(
    uow: UnitOfWork, records: Sequence[dict[str, Any]], ids: Sequence[UUID], search: dict[str, Any]
) -> list[str]:
    """What a search means, computed from all rows: those that match, sorted."""
    matching = [
        id
        for id, one in zip(ids, records, strict=True)
        if one["name"] in MEANT[search["q"]]
        and not one["deleted"]
        and search["colour"] in (None, one["colour"])
        and (one["mine"] or not search["own"])
    ]
    keys = (search["sort"] or "-created_at").split(",")
    order = [
        f"{key[1:]} DESC" if key[0] == "-" else key for key in (*keys, "-id" if keys[-1][0] == "-" else "id")
    ]
    rows = await uow.fetch(
        f"SELECT id FROM toys.toys WHERE tenant_id = $1 AND id = ANY($2) ORDER BY {', '.join(order)}",
        uow.tenant_id,
        matching,
    )
    return [str(row["id"]) for row in rows]


async def pages(uow: UnitOfWork, search: dict[str, Any]) -> list[list[str]]:
    """The ids of all pages of a search, from the first to the last."""
    names = ("q", "sort", "colour", "limit")
    query = query_from_parameters([(name, str(search[name])) for name in names if search[name] is not None])
    found: list[list[str]] = []
    while True:
        page = orjson.loads(await list_records(uow, TOY, query))
        found.append([row["id"] for row in page["data"]])
        if not page["has_more"]:
            return found
        query = replace(query, cursor=page["next_cursor"])


@asynccontextmanager
async def undone(company: Company, actor: Actor) -> AsyncIterator[UnitOfWork]:
    """A unit of work that leaves nothing behind."""
    async with company.kernel.database.acquire() as connection:
        await db.begin(connection, actor.tenant.id)
        uow = UnitOfWork(company.kernel, connection, actor)
        try:
            yield uow
        finally:
            await uow.rollback()


@pytest.mark.parametrize("at", BOUNDS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=toys, search=searches)
async def test_pages_of_a_search_are_those_of_all_that_it_finds_sorted(company, records, search, at):
    owner = await actor_of(company)
    seller = colleague(owner, toy_read=Scope.OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.kernel.text_pages._FEW", at[0])
        patch.setattr("app.kernel.text_pages._NEWEST", at[1])
        async with undone(company, seller if search["own"] else owner) as uow:
            ids = await fill(uow, records, seller.member_id)
            wanted, limit = await expected(uow, records, ids, search), search["limit"]
            cut = [wanted[start : start + limit] for start in range(0, len(wanted), limit)]
            assert await pages(uow, search) == (cut or [[]])


@pytest.mark.parametrize(
    ("kites", "kept", "limit", "colour", "among_all"),
    [
        (10, 1_000, 20, None, True),
        (10, 100_000, 20, None, True),
        (10, 1_000_000, 20, None, False),
        (10, 1_000, 20, "red", False),  # who knows how many have the word in another colour
        (2, 5_000_000, 20, None, True),
        (2, 5_000_000, 2, None, True),
        (1, 5_000_000, 1, None, True),
    ],
)
async def test_a_word_is_looked_for_where_a_page_is_cheaper_to_find(
    company, kites, kept, limit, colour, among_all
):
    """With 10 of the newest 1,000 a page of 21 is 2,100 records away: to read 1,000 of 100,000 is no dearer, 10,000 of
    a million are. Of one or two nobody knows how many more there are."""
    records = [
        {"name": "Kite" if number < kites else "Ball", "colour": "red", "created": 0, "mine": False, "deleted": False}
        for number in range(1_100)
    ]  # fmt: skip
    async with undone(company, await actor_of(company)) as uow:
        await fill(uow, records[::-1], None)
        await uow.fetch(
            "INSERT INTO kernel.usage_totals AS t (tenant_id, metric, total) VALUES ($1, 'records.kept', $2)"
            " ON CONFLICT (tenant_id, metric) DO UPDATE SET total = $2",
            uow.tenant_id,
            kept,
        )
        asked = [("q", "kite"), ("limit", str(limit)), *([("colour", colour)] if colour else [])]
        selection = await select_records(uow, TOY, query_from_parameters(asked))
        found = await ids_of_page(uow, selection, limit + 1, None)
        assert (found is not None) == among_all
        search = {"q": "kite", "sort": None, "colour": colour, "limit": limit}
        assert sum(len(page) for page in await pages(uow, search)) == kites
