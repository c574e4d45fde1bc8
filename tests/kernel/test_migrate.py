"""The migration runner: roles, races, and what it leaves alone."""

import asyncio

import asyncpg
import pytest

from app.kernel import migrate
from tests.support.postgres import TestServer


async def test_upgrade_brings_an_empty_database_to_the_newest_revision(empty_database: str):
    assert await migrate.current(empty_database) is None
    planned = await migrate.pending(empty_database)
    assert await migrate.upgrade_async(empty_database) == planned
    assert await migrate.pending(empty_database) == []


async def test_a_second_upgrade_does_nothing(own_database: str):
    assert await migrate.upgrade_async(own_database) == []


async def test_starters_that_race_apply_each_migration_once(empty_database: str):
    planned = await migrate.pending(empty_database)
    applied = await asyncio.gather(*(migrate.upgrade_async(empty_database) for _ in range(4)))
    assert sorted(applied, key=len) == [[], [], [], planned]


async def test_databases_of_one_cluster_may_make_the_roles_at_the_same_time(postgres: TestServer):
    urls = [postgres.create(empty=True) for _ in range(4)]
    connections = [await asyncpg.connect(url) for url in urls]
    try:
        await asyncio.gather(*(migrate.ensure_roles(connection) for connection in connections))
        for connection in connections:
            await connection.execute("SET ROLE rapport_owner; CREATE SCHEMA made_by_owner; RESET ROLE")
    finally:
        for connection in connections:
            await connection.close()
        for url in urls:
            postgres.drop(url)


@pytest.mark.parametrize("role", migrate.ROLES)
async def test_no_role_can_bypass_row_level_security(own_database: str, role: str):
    connection = await asyncpg.connect(own_database)
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = $1", role
        )
        assert row is not None
        assert tuple(row) == (False, False, False, False)
    finally:
        await connection.close()


async def test_an_ordinary_user_with_the_roles_granted_can_migrate(postgres: TestServer, empty_database: str):
    """Hosted databases give no superuser: one that may create roles and owns the database is enough."""
    name = f"operator_{empty_database.rsplit('_', 1)[1]}"
    database = empty_database.rsplit("/", 1)[1]
    postgres.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'secret'")
    postgres.execute(f"ALTER DATABASE {database} OWNER TO {name}")
    for role in migrate.ROLES:
        if postgres.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            postgres.execute(f"GRANT {role} TO {name} WITH ADMIN OPTION")
    url = f"postgresql://{name}:secret@{empty_database.split('@')[1]}"
    try:
        planned = await migrate.pending(url)
        assert await migrate.upgrade_async(url) == planned
    finally:
        postgres.drop(empty_database)
        postgres.execute(f"DROP ROLE {name}")
