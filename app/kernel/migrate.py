"""Bring a database to the state that the code expects: roles first, then one linear history of migrations.

Every start may call `upgrade`: starters that race wait for each other, and nothing happens when all is there.
Each migration is its own transaction, gives up after `LOCK_TIMEOUT` rather than make traffic queue behind it,
and is tried again; a failure leaves those before it applied, and the next `upgrade` goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.kernel import restored

MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "migrations"
VERSION_SCHEMA: Final = "kernel"
VERSION_TABLE: Final = "schema_version"
LOCK_TIMEOUT: Final = "4s"
OWNER: Final = "rapport_owner"
COVERING: Final = "tenants.admit_erasure"
"""Makes tables that a migration added erasable with their tenant."""
ROLES: Final = (OWNER, "rapport_app", "rapport_control", "rapport_reader")
# The connecting user becomes these by SET ROLE; the reader owns views and nobody becomes it but the owner.
_WORN_BY_US: Final = (OWNER, "rapport_app", "rapport_control")
_ATTEMPTS: Final = 5
_ADVISORY_LOCK: Final = 0x5261_7070_6F72_7401  # "Rapport", 1


def upgrade(url: str, target: str = "head") -> list[str]:
    """Apply what is pending to the database at `url` and return the revisions applied, oldest first.

    The user of `url` must be able to create roles, or the roles must exist and be granted to it.

    Raises: asyncpg.PostgresError or sqlalchemy.exc.DBAPIError when a migration fails.
    """
    return asyncio.run(upgrade_async(url, target))


async def upgrade_async(url: str, target: str = "head") -> list[str]:
    """The same, where a loop runs already."""
    async with _only_starter(url) as connection:
        await ensure_roles(connection)
        await connection.execute(f"SET ROLE {OWNER}")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {VERSION_SCHEMA}")
        before = _revisions_to(await _version(connection))
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await _run(url, target)
                break
            except DBAPIError as error:
                if (
                    attempt == _ATTEMPTS or getattr(error.orig, "sqlstate", None) != "55P03"
                ):  # lock_not_available
                    raise
                await asyncio.sleep(attempt)
        after = _revisions_to(await _version(connection))
        if after != before and await connection.fetchval("SELECT to_regproc($1)", COVERING) is not None:
            await connection.execute(f"SELECT {COVERING}()")
        if after == _revisions_to("heads"):
            await restored.catch_up(connection, OWNER)
    return [revision for revision in after if revision not in before]


async def current(url: str) -> str | None:
    """The revision that the database is at; None when it is empty."""
    connection = await asyncpg.connect(url)
    try:
        return await _version(connection)
    finally:
        await connection.close()


async def pending(url: str) -> list[str]:
    """The revisions that `upgrade` would apply, oldest first."""
    done = _revisions_to(await current(url))
    return [revision for revision in _revisions_to("heads") if revision not in done]


async def behind(url: str) -> bool:
    """Whether the database came from another server and `upgrade` has to number transactions on."""
    connection = await asyncpg.connect(url)
    try:
        if await _version(connection) is None:
            return False
        await connection.execute("SET ROLE rapport_control")
        return await restored.is_behind(connection)
    finally:
        await connection.close()


def offline_sql(start: str = "base") -> str:
    """The SQL of the whole history, or of what follows revision `start`, for review and for squawk."""
    output = io.StringIO()
    config = _config()
    config.output_buffer = output
    command.upgrade(config, f"{start}:head" if start != "base" else "head", sql=True)
    return output.getvalue()


def fingerprint() -> str:
    """Changes whenever a migration does; tests name their template database by it."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(MIGRATIONS.rglob("*")):
        if path.suffix in {".py", ".sql"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


async def ensure_roles(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Create the four roles if missing and let the connecting user, by SET ROLE, be those that work.

    Roles belong to the whole cluster, and PostgreSQL has no lock across databases that we may take: another
    database's starter may do the same at this moment, which shows as a duplicate or a concurrent update.
    """
    for attempt in range(1, 20):
        try:
            async with connection.transaction():
                await _create_roles(connection)
            return
        except (
            asyncpg.DuplicateObjectError,
            asyncpg.UniqueViolationError,
            asyncpg.InternalServerError,  # "tuple concurrently updated"
        ):
            if attempt == 19:
                raise
            await asyncio.sleep(0.05 * attempt)


async def _create_roles(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    known = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    for role in ROLES:
        if role not in known:
            await connection.execute(
                f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
            )
    # Since PostgreSQL 16 a membership may come without the right to SET ROLE.
    right = "SET" if connection.get_server_version().major >= 16 else "MEMBER"
    for role in _WORN_BY_US:
        if not await connection.fetchval("SELECT pg_has_role(current_user, $1, $2)", role, right):
            await connection.execute(f"GRANT {role} TO CURRENT_USER")
    if not await connection.fetchval("SELECT pg_has_role($1, 'rapport_reader', $2)", OWNER, right):
        await connection.execute(f"GRANT rapport_reader TO {OWNER}")
    if not await connection.fetchval(
        "SELECT has_database_privilege($1, current_database(), 'CREATE')", OWNER
    ):
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"GRANT CREATE ON DATABASE {database} TO {OWNER}")


@asynccontextmanager
async def _only_starter(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that holds this database's migration lock.

    It asks again and again instead of waiting in the server, because a waiting statement holds a snapshot,
    and CREATE INDEX CONCURRENTLY in the migration that holds the lock would wait for that one for ever.
    """
    connection = await asyncpg.connect(url)
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        yield connection
    finally:
        await connection.close()


async def _run(url: str, target: str) -> None:
    settings = {"role": OWNER, "lock_timeout": LOCK_TIMEOUT, "application_name": "rapport:migrate"}

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(url, server_settings=settings)

    def migrate(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, target)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


async def _version(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    table = f"{VERSION_SCHEMA}.{VERSION_TABLE}"
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    version: str | None = await connection.fetchval(f"SELECT version_num FROM {table}")
    return version


def _revisions_to(revision: str | None) -> list[str]:
    if revision is None:
        return []
    history = ScriptDirectory.from_config(_config())
    return [step.revision for step in history.iterate_revisions(revision, "base")][::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
