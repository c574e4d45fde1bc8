"""Row-level security, tried on rows of two companies in every table and view: a new one is covered by existing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.architecture.catalogue import CONTROL_TABLES, TABLES, VIEWS


async def relations(superuser: Any) -> list[str]:
    """Every table and view that holds tenants' rows."""
    tables = [row["qualified"] for row in await superuser.fetch(TABLES)]
    return sorted({*tables, *(row["name"] for row in await superuser.fetch(VIEWS))} - set(CONTROL_TABLES))


async def tables(superuser: Any) -> list[str]:
    return sorted({row["qualified"] for row in await superuser.fetch(TABLES)} - set(CONTROL_TABLES))


@asynccontextmanager
async def as_app(url: str, tenant: Any = None) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection with the rights of the API, in a transaction that leaves nothing behind."""
    connection = await asyncpg.connect(url)
    try:
        # Triggers that keep documents as they are would refuse before row security could.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET ROLE rapport_app")
        transaction = connection.transaction()
        await transaction.start()
        if tenant is not None:
            await connection.execute(f"SET LOCAL app.tenant_id = '{tenant}'")
        yield connection
        await transaction.rollback()
    finally:
        await connection.close()


async def counted(connection: Any, name: str, where: str = "true") -> int:
    """Rows that this connection sees; a table that it may not read at all shows none."""
    try:
        async with connection.transaction():
            return int(await connection.fetchval(f"SELECT count(*) FROM {name} WHERE {where}"))
    except asyncpg.InsufficientPrivilegeError:
        return 0


async def test_most_tables_hold_rows_of_both_companies(look, ours, theirs):
    """Otherwise the walks below would prove little."""
    empty = []
    for name in await tables(look.connection):
        for world in (ours, theirs):
            if not await counted(look.connection, name, f"tenant_id = '{world.company.tenant_id}'"):
                empty.append(name)
    assert len(set(empty)) <= len(await tables(look.connection)) // 2, sorted(set(empty))


async def test_without_a_company_nothing_is_seen(look, ours, worker_database):
    async with as_app(worker_database) as connection:
        for setting in (None, "", "RESET"):
            if setting is not None:
                await connection.execute(
                    "RESET app.tenant_id" if setting == "RESET" else "SET LOCAL app.tenant_id = ''"
                )
            seen = {name: await counted(connection, name) for name in await relations(look.connection)}
            assert {name: rows for name, rows in seen.items() if rows} == {}


async def test_a_company_sees_all_of_its_own_rows_and_none_of_others(look, ours, theirs, worker_database):
    for mine, other in ((ours, theirs), (theirs, ours)):
        async with as_app(worker_database, mine.company.tenant_id) as connection:
            for name in await relations(look.connection):
                assert await counted(connection, name, f"tenant_id = '{other.company.tenant_id}'") == 0, name
                assert await counted(connection, name, f"tenant_id <> '{mine.company.tenant_id}'") == 0, name
            for name in await tables(look.connection):
                theirs_all = await counted(look.connection, name, f"tenant_id = '{mine.company.tenant_id}'")
                assert await counted(connection, name) in (0, theirs_all), name
            for name in (row["name"] for row in await look.connection.fetch(VIEWS)):
                table = name.removesuffix("_read")
                own = await counted(look.connection, table, f"tenant_id = '{mine.company.tenant_id}'")
                assert await counted(connection, name) == own, name


async def test_a_company_cannot_change_or_delete_rows_of_another(look, ours, theirs, worker_database):
    async with as_app(worker_database, theirs.company.tenant_id) as connection:
        for name in await tables(look.connection):
            for statement in (
                f"UPDATE {name} SET tenant_id = tenant_id WHERE tenant_id = $1",
                f"DELETE FROM {name} WHERE tenant_id = $1",
            ):
                try:
                    async with connection.transaction():
                        assert await connection.execute(statement, ours.company.tenant_id) in (
                            "UPDATE 0",
                            "DELETE 0",
                        ), name
                except asyncpg.InsufficientPrivilegeError:
                    continue  # may not be changed by anybody


async def test_a_company_cannot_write_rows_into_another(look, ours, theirs, worker_database):
    tried = 0
    async with as_app(worker_database, theirs.company.tenant_id) as connection:
        for name in await tables(look.connection):
            row = await look.connection.fetchval(
                f"SELECT to_jsonb(t)::text FROM {name} t WHERE tenant_id = $1 LIMIT 1", ours.company.tenant_id
            )
            if row is None:
                continue
            columns = await look.connection.fetchval(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
                name,
            )
            record = f"jsonb_populate_record(NULL::{name}, $1::jsonb)"
            insert = f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {record}"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(insert, row)
            tried += 1
    assert tried >= 20


async def test_a_company_cannot_push_its_own_rows_into_another(look, ours, theirs, worker_database):
    async with as_app(worker_database, theirs.company.tenant_id) as connection:
        for name in await tables(look.connection):
            if not await counted(connection, name):
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(f"UPDATE {name} SET tenant_id = $1", ours.company.tenant_id)


@pytest.mark.parametrize("name", sorted(CONTROL_TABLES))
async def test_tables_across_companies_are_out_of_reach(name, ours, worker_database):
    async with as_app(worker_database, ours.company.tenant_id) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval(f"SELECT count(*) FROM {name}")


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE kernel.audit_entries",
        "DELETE FROM kernel.audit_entries",
        "UPDATE kernel.audit_entries SET actor_name = 'x'",
        "DROP TABLE kernel.outbox",
        "ALTER TABLE kernel.outbox DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE kernel.mine ()",
        "CREATE TABLE public.mine ()",
    ],
)
async def test_the_application_role_cannot_undo_its_bounds(statement, ours, worker_database):
    async with as_app(worker_database, ours.company.tenant_id) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)
