"""The unit of work: everything of a transaction or nothing of it, rows that cannot be changed in place, ports."""

from __future__ import annotations

import asyncpg
import pytest

from app.kernel.access import system_actor
from app.kernel.errors import NotFound, StaleVersion
from app.kernel.ids import new_id
from app.kernel.uow import transaction
from tests.kernel.conftest import make_toy
from tests.support.toy import Toy


@pytest.fixture
async def acting(app, company):
    """`async with acting() as uow:` a transaction of the system for the company."""
    profile = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    return lambda **options: transaction(app.kernel, system_actor(profile), **options)


async def insert(uow, **values):
    row = {"name": "Ball", "colour": "red", "fragile": False, "tags": [], "custom": {}, "tokens": []}
    return await uow.insert(Toy, audit="toy", **row | values)


async def fail_halfway(acting):
    async with acting() as uow:
        await insert(uow)
        uow.meter("records.created")
        uow.enqueue("mail.send", {})
        await uow.flush()
        raise RuntimeError


async def test_a_failure_leaves_no_row_audit_entry_event_job_or_usage(acting, unchanged):
    async with unchanged():
        with pytest.raises(RuntimeError):
            await fail_halfway(acting)


async def try_in_vain(uow):
    async with uow.savepoint():
        await insert(uow, name="gone")
        raise RuntimeError


async def test_a_savepoint_undoes_its_rows_and_what_goes_with_them_only(acting, company, look):
    async with acting() as uow:
        await insert(uow, name="kept")
        with pytest.raises(RuntimeError):
            await try_in_vain(uow)
        async with uow.savepoint():
            await insert(uow, name="kept too")
    rows = await look.rows("SELECT name FROM toys.toys WHERE tenant_id = $1 ORDER BY id", company.tenant_id)
    assert [row["name"] for row in rows] == ["kept", "kept too"]
    audit = [
        entry["changes"]["name"][1]
        for entry in await look.audit(company.tenant_id, "created")
        if entry["object"] == "toy"
    ]
    assert audit == ["kept", "kept too"]


async def test_an_update_writes_differences_only_and_counts_versions(acting):
    async with acting() as uow:
        first = await insert(uow, pieces=1)
        same = await uow.update(first, audit="toy", pieces=1)
        assert same is first
        second = await uow.update(first, audit="toy", pieces=2)
        assert (second.version, second.pieces, first.pieces) == (2, 2, 1)
        with pytest.raises(StaleVersion):
            await uow.update(first, audit="toy", pieces=3)


async def test_a_deleted_row_is_found_only_by_those_who_ask_for_it(acting):
    async with acting() as uow:
        row = await insert(uow)
        await uow.delete(row, audit="toy")
        assert await uow.find(Toy, row.id) is None
        with pytest.raises(NotFound):
            await uow.get(Toy, row.id)
        assert (await uow.get(Toy, row.id, deleted=True)).deleted_at == uow.now
        assert await uow.all(uow.select(Toy)) == []
        assert len(await uow.all(uow.select(Toy, deleted=True))) == 1


async def test_a_transaction_sees_its_own_company_only(acting, rival):
    foreign = await make_toy(rival.owner)
    async with acting() as uow:
        assert await uow.find(Toy, foreign["id"]) is None
        assert await uow.all(uow.select(Toy)) == []
        assert await uow.fetch("SELECT id FROM toys.toys") == []


async def test_a_row_cannot_be_put_into_another_company(acting, rival):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting() as uow:
            await insert(uow, tenant_id=rival.tenant_id)


async def test_a_read_only_transaction_cannot_write(acting):
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with acting(read_only=True) as uow:
            await insert(uow)


async def test_many_rows_cost_one_statement(acting):
    async with acting() as uow:
        before = uow.statements
        rows = [{"member_id": new_id(), "team_id": None} for _ in range(500)]
        from app.kernel.sharing import Share

        shared = {
            "object": "toy",
            "record_id": new_id(),
            "access": "read",
            "created_at": uow.now,
            "created_by": None,
        }
        await uow.insert_many(Share, [shared | row for row in rows])
        assert uow.statements == before + 1


async def test_the_setting_of_one_transaction_does_not_reach_the_next(app, acting):
    async with acting() as uow:
        assert await uow.fetch("SELECT kernel.tenant() IS NOT NULL AS set") != []
    async with app.kernel.database.acquire() as connection:
        assert await connection.fetchval("SELECT kernel.tenant()") is None
