"""Pages of logs: every row once and in order, and cursors that belong to one list of one company."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.access import system_actor
from app.kernel.errors import InvalidCursor
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import BY_ID, NEWEST, fetch_page, order_by, select_page
from app.kernel.uow import transaction
from tests.support.toy import Toy

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
LOG = (
    "SELECT at, n FROM (SELECT $1::timestamptz + n / 3 * interval '1 microsecond' AS at, n"
    " FROM generate_series(0, 9) AS n) AS log WHERE n <> $2::bigint"
)


@pytest.fixture
async def acting(app, company):
    profile = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    return lambda: transaction(app.kernel, system_actor(profile))


async def walk(uow, order, *, name="log", limit=3):
    """The pages of `LOG` without its row 4, one behind the other."""
    pages, cursor = [], None
    while True:
        bind = Bindings(BEGAN, 4)
        page = await fetch_page(uow, LOG, bind, order, name=name, limit=limit, cursor=cursor)
        pages.append([row["n"] for row in page.rows])
        assert page.onward == {
            "next_cursor": page.next_cursor,
            "has_more": page.next_cursor is not None,
        }
        if page.next_cursor is None:
            return pages
        cursor = page.next_cursor


async def test_pages_show_every_row_once_in_order_though_moments_are_the_same(acting):
    by_time = {"log.at": Kind.DATETIME, "n": Kind.INTEGER}
    async with acting() as uow:
        assert await walk(uow, order_by(by_time)) == [[0, 1, 2], [3, 5, 6], [7, 8, 9]]
        assert await walk(uow, order_by(by_time, falling=True)) == [[9, 8, 7], [6, 5, 3], [2, 1, 0]]
        assert await walk(uow, order_by(by_time), limit=8) == [[0, 1, 2, 3, 5, 6, 7, 8], [9]]
        assert await walk(uow, order_by(by_time), limit=1_000) == [[0, 1, 2, 3, 5, 6, 7, 8, 9]]


async def test_rows_of_a_class_are_paged_by_their_ids(acting):
    async with acting() as uow:
        made = [
            await uow.insert(Toy, name=f"{n}", colour="red", fragile=False, tags=[], custom={}, tokens=[])
            for n in range(3)
        ]
        wanted = uow.select(Toy).where(Toy.id >= made[0].id)
        first = await select_page(uow, wanted, BY_ID, name="toys", limit=2, cursor=None)
        last = await select_page(uow, wanted, BY_ID, name="toys", limit=2, cursor=first.next_cursor)
        falling = await select_page(uow, wanted, NEWEST, name="toys", limit=1, cursor=None)
    assert first.page(lambda toy: toy.name).data == ["0", "1"]
    assert last.page(lambda toy: toy.name).model_dump() == {
        "data": ["2"], "next_cursor": None, "has_more": False, "total": None, "total_is_estimate": None,
    }  # fmt: skip
    assert [toy.id for toy in falling.rows] == [made[2].id]


async def test_a_cursor_of_another_list_or_order_is_refused(acting):
    order = order_by({"n": Kind.INTEGER})
    more = order_by({"at": Kind.DATETIME, "n": Kind.INTEGER})
    async with acting() as uow:
        bind = Bindings(BEGAN - timedelta(days=1), 4)
        page = await fetch_page(uow, LOG, bind, order, name="log", limit=2, cursor=None)
        for name, sorted_by in (("log:2", order), ("log", more)):
            with pytest.raises(InvalidCursor):
                await fetch_page(uow, LOG, bind, sorted_by, name=name, limit=2, cursor=page.next_cursor)
