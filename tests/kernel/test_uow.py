"""The unit of work: everything of a transaction or nothing of it, rows that cannot be changed in place, ports."""

from __future__ import annotations

from datetime import date

import asyncpg
import pytest

from app.kernel.access import system_actor
from app.kernel.errors import NotFound, StaleVersion
from app.kernel.ids import new_id
from app.kernel.sharing import Share
from app.kernel.statements import columns_of
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


def full(uow):
    """What the database would fill in of a toy."""
    return {
        "tenant_id": uow.tenant_id,
        "id": new_id(),
        "version": 1,
        "created_at": uow.now,
        "updated_at": uow.now,
    }


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
        shared = {
            "object": "toy",
            "record_id": new_id(),
            "access": "read",
            "created_at": uow.now,
            "created_by": None,
        }
        await uow.insert_many(Share, [shared | row for row in rows])
        assert uow.statements == before + 1


def shares(uow, record_id, count):
    shared = {
        "object": "toy",
        "record_id": record_id,
        "access": "read",
        "created_at": uow.now,
        "created_by": None,
    }
    return [shared | {"member_id": new_id(), "team_id": None} for _ in range(count)]


async def count_of(uow, record_id):
    row = await uow.fetchrow(
        "SELECT (SELECT count(*) FROM toys.toys WHERE tenant_id = $1 AND id = $2) AS toys,"
        " (SELECT count(*) FROM kernel.shares WHERE tenant_id = $1 AND record_id = $2) AS shares,"
        " (SELECT count(*) FROM kernel.audit_entries WHERE tenant_id = $1 AND record_id = $2) AS audited",
        uow.tenant_id,
        record_id,
    )
    return tuple(row)


BALL = {"name": "Ball", "colour": "red", "fragile": False, "tags": [], "custom": {}, "tokens": ["ball"]}


async def insert_last(uow):
    return await uow.insert_last(Toy, audit="toy", **dict.fromkeys(columns_of(Toy)) | full(uow) | BALL)


async def test_a_row_its_many_lines_and_their_effects_are_one_statement(acting):
    async with acting() as uow:
        made = await insert_last(uow)
        await uow.insert_many_last(Share, shares(uow, made.id, 200))
        before = uow.statements
        await uow.flush()
        assert uow.statements == before + 1
        assert await count_of(uow, made.id) == (1, 200, 1)


async def test_new_rows_that_come_into_being_together_are_one_statement(acting):
    async with acting() as uow:
        made = [await insert_last(uow) for _ in range(3)]
        before = uow.statements
        await uow.flush()
        assert uow.statements == before + 1
        assert [await count_of(uow, one.id) for one in made] == [(1, 0, 1)] * 3


async def test_no_more_than_eight_writes_go_into_one_statement(acting):
    async with acting() as uow:
        before = uow.statements
        made = [await insert_last(uow) for _ in range(9)]
        assert uow.statements == before + 1
        await uow.flush()
        assert uow.statements == before + 2
        assert [await count_of(uow, one.id) for one in made] == [(1, 0, 1)] * 9


async def test_a_row_that_changes_goes_before_those_that_are_made(acting):
    async with acting() as uow:
        first = await insert_last(uow)
        before = uow.statements
        changed = await uow.update_last(first, audit="toy", name="Balloon")
        assert uow.statements == before + 1  # it has to be there to be changed
        await insert_last(uow)
        assert uow.statements == before + 2
        await uow.flush()
        assert uow.statements == before + 3
        stored = await uow.get(Toy, first.id)
        assert (stored.name, stored.version) == (changed.name, changed.version) == ("Balloon", 2)


async def test_a_change_that_waits_alone_answers_how_the_row_is_then(acting):
    async with acting() as uow:
        row = await insert(uow, pieces=1)
        await uow.flush()
        after = await uow.update_last(row, audit="toy", pieces=2)
        before = uow.statements
        found = await uow.flush_answering(after, "t.pieces, t.version")
        assert (tuple(found), uow.statements) == ((2, 2), before + 1)
        assert await uow.flush_answering(after, "t.pieces") is None  # nothing waits any more
        assert uow.statements == before + 1
        last = await uow.update_last(after, audit="toy", pieces=3)
        await insert_last(uow)
        assert await uow.flush_answering(last, "t.pieces") is None  # more than that waited
        assert (await uow.get(Toy, row.id)).pieces == 3


async def change_in_vain(acting, row):
    async with acting() as uow:
        after = await uow.update_last(row, audit="toy", pieces=9)
        await uow.flush_answering(after, "t.pieces")


async def test_a_change_of_what_has_changed_meanwhile_answers_nothing(acting, unchanged):
    async with acting() as uow:
        row = await insert(uow, pieces=1)
        await uow.update(row, audit="toy", pieces=2)
    async with unchanged():
        with pytest.raises(StaleVersion):
            await change_in_vain(acting, row)


async def test_what_waits_is_there_for_whoever_reads_before_the_end(acting):
    async with acting() as uow:
        made = await insert_last(uow)
        await uow.insert_many_last(Share, shares(uow, made.id, 3))
        assert await count_of(uow, made.id) == (1, 3, 0)
        await uow.insert_many_last(Share, shares(uow, made.id, 2))
        await uow.insert_many_last(Share, [])
        await uow.insert_many_last(Share, shares(uow, made.id, 1_001))
        await uow.flush()
        assert await count_of(uow, made.id) == (1, 1_006, 1)


async def refused(acting):
    async with acting() as uow:
        made = await insert_last(uow)
        await uow.insert_many_last(Share, [one | {"access": "all"} for one in shares(uow, made.id, 2)])


async def of_two_shapes(acting):
    async with acting() as uow:
        await uow.insert_many_last(Share, [*shares(uow, new_id(), 1), {"object": "toy"}])


async def test_lines_that_are_refused_take_everything_with_them(acting, unchanged):
    async with unchanged():
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await refused(acting)
        with pytest.raises(ValueError, match="shapes"):
            await of_two_shapes(acting)


async def undone(uow, record_id):
    async with uow.savepoint():
        await uow.insert_many_last(Share, shares(uow, record_id, 5))
        raise RuntimeError


async def test_lines_of_a_savepoint_that_failed_are_not_written(acting):
    async with acting() as uow:
        of = new_id()
        await uow.insert_many_last(Share, shares(uow, of, 1))
        with pytest.raises(RuntimeError):
            await undone(uow, of)
        await uow.flush()
        assert await count_of(uow, of) == (0, 1, 0)


async def test_many_rows_keep_every_kind_of_value(acting):
    async with acting() as uow:
        rows = [
            {
                "name": 'Q"\\ 水\n',
                "colour": "red",
                "fragile": True,
                "tags": ["a,b", '"'],
                "custom": {"x": [1, None]},
                "sold_on": date(2031, 2, 28),
                "seen_at": uow.now,
                "pieces": 2**31 - 1,
            },
            {
                "name": "Plain",
                "colour": "blue",
                "fragile": False,
                "tags": [],
                "custom": {},
                "sold_on": None,
                "seen_at": None,
                "pieces": None,
            },
        ]
        ids = [new_id(), new_id()]
        full_rows = [
            {"id": id, "tokens": ["t"], "deleted_at": None, **row} for id, row in zip(ids, rows, strict=True)
        ]
        await uow.insert_many(Toy, full_rows)
        for id, row in zip(ids, rows, strict=True):
            stored = await uow.get(Toy, id)
            assert {name: getattr(stored, name) for name in row} == row
            assert (stored.created_at, stored.version) == (uow.now, 1)


async def test_the_setting_of_one_transaction_does_not_reach_the_next(app, acting):
    async with acting() as uow:
        assert await uow.fetch("SELECT kernel.tenant() IS NOT NULL AS set") != []
    async with app.kernel.database.acquire() as connection:
        assert await connection.fetchval("SELECT kernel.tenant()") is None
