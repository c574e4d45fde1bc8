"""A read in one statement of its own, of a record or a page of them, sees just what it would see in a transaction of its tenant."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from app.kernel.db import begin
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.kernel.listing import query_from_parameters
from app.kernel.record_reads import list_records, read_one
from app.kernel.uow import UnitOfWork, transaction
from tests.kernel.conftest import make_toy, member_id, refusal
from tests.modules.support import actor_of
from tests.support.toy import TOY


@pytest.fixture
async def toy(owner):
    return await make_toy(owner, name="Kite")


async def alone(company, actor, id, then="SELECT current_setting('app.tenant_id', true)"):
    """What a read answers whose transaction has not begun, and what the connection says after it."""
    kernel = company.app.kernel
    async with kernel.database.acquire() as connection:
        uow = UnitOfWork(kernel, connection, actor, read_only=True, begun=False)
        body, tag = await read_one(uow, TOY, id)
        await uow.commit()
        return body, tag, uow.statements, await connection.fetchval(then)


async def test_it_answers_what_a_transaction_answers_in_one_statement(company, toy):
    actor = await actor_of(company)
    body, tag, statements, left = await alone(company, actor, toy["id"])
    async with transaction(company.app.kernel, actor, read_only=True) as uow:
        assert await read_one(uow, TOY, toy["id"]) == (body, tag)
    assert (tag, statements) == ('"1"', 1)
    assert left in (None, "")


async def test_nothing_of_the_tenant_is_seen_on_the_connection_afterwards(company, toy):
    actor = await actor_of(company)
    *_, left = await alone(company, actor, toy["id"], "SELECT count(*) FROM toys.toys")
    assert left == 0


async def test_another_company_and_a_colleague_without_a_share_find_nothing(company, rival, toy):
    for actor in (
        await actor_of(rival),
        replace(await actor_of(company), tenant=(await actor_of(rival)).tenant),
    ):
        with pytest.raises(NotFound):
            await alone(company, actor, toy["id"])
    with pytest.raises(NotFound):
        await alone(company, await actor_of(company), new_id())


async def test_scopes_shares_and_hidden_fields_hold(company, owner, hire, toy):
    reader = await hire({"toy:read": "own"}, field_rules={"toy": {"hidden": ["colour"]}})
    assert refusal(await reader.get(f"/v1/toys/{toy['id']}")) == (404, "not_found")
    share = {"member_id": member_id(reader), "access": "read"}
    await owner.ok("POST", f"/v1/toys/{toy['id']}/shares", json=share)
    seen = await reader.ok("GET", f"/v1/toys/{toy['id']}")
    assert seen == {name: value for name, value in toy.items() if name != "colour"}


async def listed(company, actor, alone=True, **query):
    """A page, the statements that it took, and what the connection says after it."""
    kernel = company.app.kernel
    async with kernel.database.acquire() as connection:
        if not alone:
            await begin(connection, actor.tenant.id, read_only=True)
        uow = UnitOfWork(kernel, connection, actor, read_only=True, begun=not alone)
        body = await list_records(uow, TOY, query_from_parameters(list(query.items())))
        await uow.commit()
        left = await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
        return orjson.loads(body), uow.statements, left


@pytest.mark.parametrize("sort", ["-created_at", "name", "-pieces,name", "seen_at,-colour", "price"])
@pytest.mark.parametrize("more", [{}, {"colour": "red"}, {"fields": "name,price"}])
async def test_a_page_alone_is_the_page_of_a_transaction(company, owner, sort, more):
    for number in range(9):
        await make_toy(
            owner, name=f"Kite {number % 4}", pieces=number % 3 or None, colour=("red", "blue")[number % 2]
        )
    actor, query = await actor_of(company), {"sort": sort, "limit": "2"} | more
    seen, cursor = [], {}
    while True:
        page, statements, left = await listed(company, actor, **query, **cursor)
        assert (page, 1) == (await listed(company, actor, alone=False, **query, **cursor))[:2]
        assert (statements, left or None) == (1, None)
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    whole, _, _ = await listed(company, actor, alone=False, **query | {"limit": "50"})
    assert seen == [one["id"] for one in whole["data"]]
    assert len(seen) == (5 if "colour" in more else 9)


async def test_a_page_that_asks_for_more_than_rows_is_of_one_transaction(company, owner, toy):
    actor = await actor_of(company)
    for query, count in (({"include": "total"}, 2), ({"q": "Kite"}, 2), ({"name[contains]": "it"}, 1)):
        page, statements, _ = await listed(company, actor, **query)
        assert ([one["id"] for one in page["data"]], statements) == ([toy["id"]], count)


async def test_a_list_alone_shows_nothing_of_another_company(company, rival, toy):
    for actor in (
        await actor_of(rival),
        replace(await actor_of(company), tenant=(await actor_of(rival)).tenant),
    ):
        assert (await listed(company, actor))[0]["data"] == []


async def test_scopes_hold_in_a_list_alone(company, owner, hire, toy):
    reader = await hire({"toy:read": "own"}, field_rules={"toy": {"hidden": ["colour"]}})
    assert (await reader.ok("GET", "/v1/toys"))["data"] == []
    share = {"member_id": member_id(reader), "access": "read"}
    await owner.ok("POST", f"/v1/toys/{toy['id']}/shares", json=share)
    (seen,) = (await reader.ok("GET", "/v1/toys"))["data"]
    assert seen == {name: value for name, value in toy.items() if name != "colour"}


async def test_a_database_that_cannot_do_it_gets_a_transaction(company, owner, toy, monkeypatch):
    monkeypatch.setattr(company.app.kernel.database, "lone_reads", False)
    assert await owner.ok("GET", f"/v1/toys/{toy['id']}") == toy
    assert (await owner.ok("GET", "/v1/toys"))["data"] == [toy]
    assert refusal(await owner.get(f"/v1/toys/{new_id()}")) == (404, "not_found")
