"""A point read in one statement of its own sees just what it would see in a transaction of its tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.kernel.record_reads import read_one
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


async def test_a_database_that_cannot_do_it_gets_a_transaction(company, owner, toy, monkeypatch):
    monkeypatch.setattr(company.app.kernel.database, "lone_reads", False)
    assert await owner.ok("GET", f"/v1/toys/{toy['id']}") == toy
    assert refusal(await owner.get(f"/v1/toys/{new_id()}")) == (404, "not_found")
