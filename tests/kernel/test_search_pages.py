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
bounds = st.sampled_from([(1_000, 50_000), (0, 1), (1, 2), (2, 3), (3, 10), (0, 1_000)])


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=toys, search=searches, at=bounds)
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


@pytest.mark.parametrize(("kept", "at_once"), [(1_000, True), (100_000, True), (1_000_000, False)])
async def test_the_larger_a_company_the_sooner_a_word_is_looked_for_by_time(company, kept, at_once):
    """With 10 of the newest 1,000: 1,000 of 100,000 are read at once; 10,000 of a million are more than a page is far."""
    records = [
        {"name": "Kite" if number % 100 == 0 else "Ball", "colour": "red", "created": 0, "mine": False, "deleted": False}
        for number in range(1_100)
    ]  # fmt: skip
    async with undone(company, await actor_of(company)) as uow:
        await fill(uow, records, None)
        await uow.fetch(
            "INSERT INTO kernel.usage_records (tenant_id, id, at, metric, quantity)"
            " SELECT $1, gen_random_uuid(), now(), 'records.kept', $2"
            " - coalesce((SELECT sum(quantity) FROM kernel.usage_records WHERE metric = 'records.kept'), 0)",
            uow.tenant_id,
            kept,
        )
        query = query_from_parameters([("q", "kite"), ("limit", "20")])
        found = await ids_of_page(uow, await select_records(uow, TOY, query), 21, None)
        assert (found is not None) == at_once
        assert len(await pages(uow, {"q": "kite", "sort": None, "colour": None, "limit": 20})) == 1
