"""The driver: pools of asyncpg connections, transactions bound to a tenant, and SQLAlchemy as query language.

A transaction opens with one message, `BEGIN; SET LOCAL app.tenant_id = '…'`, which costs no extra round trip;
row-level security reads that setting. SQLAlchemy statements are compiled once per shape and run on the driver
(docs/adr/0003-explicit-writes.md has the measurements).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from app.kernel import restored
from app.kernel.config import Settings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    _DriverConnection = asyncpg.Connection[asyncpg.Record]
else:  # asyncpg's classes are generic for type checkers only
    Connection = asyncpg.Connection
    _DriverConnection = asyncpg.Connection

DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
# Times end in Z, in audit entries and events as in answers.
_JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_COMPILED: dict[Any, SQLCompiler] = {}
_COMPILED_LIMIT = 5_000


class _Connection(_DriverConnection):
    """A connection that skips the pool's reset query: the end of our transaction already leaves it clean.

    `made_at` says when, on the monotonic clock: a server that has crashed after that has closed it.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.made_at = monotonic()

    def get_reset_query(self) -> str:
        return "ROLLBACK" if self.is_in_transaction() else ""


def made_at(connection: Connection) -> float:
    """When a connection of our pools was made. Raises: AttributeError for another's."""
    return cast("_Connection", connection).made_at


async def _prepare_connection(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value, option=_JSON, default=str).decode(),
            decoder=orjson.loads,
        )


class Database:
    """The two pools of a process: `rapport_app` for tenants' work, `rapport_control` for work across tenants."""

    def __init__(
        self,
        app: asyncpg.Pool[asyncpg.Record],
        control: asyncpg.Pool[asyncpg.Record],
        *,
        lone_reads: bool = True,
    ) -> None:
        self._app = app
        self._control = control
        self.lone_reads = lone_reads

    @classmethod
    async def open(cls, settings: Settings) -> Database:
        """Connect both pools; `settings.database_url` must be set by now (the CLI starts the embedded one)."""
        if settings.database_url is None:
            raise RuntimeError("database_url is not set: start the embedded PostgreSQL or set DATABASE_URL")
        app = await _open_pool(
            settings, settings.database_app_url, "rapport_app", settings.database_pool_size
        )
        control = await _open_pool(
            settings, settings.database_control_url, "rapport_control", settings.database_control_pool_size
        )
        # `set_config` does not reach Citus's workers, as `SET LOCAL` in a transaction does.
        citus = await app.fetchval("SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')")
        database = cls(app, control, lone_reads=not citus)
        await database.assert_roles()
        if await restored.is_behind(control):
            raise restored.DatabaseRestored
        return database

    async def close(self) -> None:
        await self._app.close()
        await self._control.close()

    async def assert_roles(self) -> None:
        """Refuse to work with rights that would bypass row-level security."""
        for pool, role in ((self._app, "rapport_app"), (self._control, "rapport_control")):
            row = await pool.fetchrow(
                "SELECT current_user AS name, r.rolsuper OR r.rolbypassrls AS too_strong"
                " FROM pg_roles r WHERE r.rolname = current_user"
            )
            if row is None or row["name"] != role or row["too_strong"]:
                found = row["name"] if row else "nobody"
                raise RuntimeError(f"expected to work as {role} without BYPASSRLS, but am {found}")

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID, *, read_only: bool = False) -> AsyncIterator[Connection]:
        """A connection inside a transaction of one tenant; it commits on leaving, rolls back on an error."""
        async with self._app.acquire() as connection:
            await begin(connection, tenant_id, read_only=read_only)
            async with _finish(connection):
                yield connection

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A bare connection of `rapport_app`; nothing is visible until `begin` names a tenant."""
        return self._app.acquire()

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction of `rapport_control`: sign-in, tenant directory, relays."""
        async with self._control.acquire() as connection:
            await connection.execute("BEGIN")
            async with _finish(connection):
                yield connection

    def control_session(self) -> AbstractAsyncContextManager[Connection]:
        """A bare connection of `rapport_control`, for LISTEN and advisory locks that outlive transactions."""
        return self._control.acquire()


_KEEP_PLANS: Final = "; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off"


async def begin(
    connection: Connection,
    tenant_id: UUID,
    *,
    read_only: bool = False,
    point_work: bool = False,
    then: str = "",
) -> None:
    """Open a transaction bound to a tenant, in one simple-protocol message.

    `point_work` is for requests that write and for chunks of imports: each statement finds rows by index, and
    planning it anew each time would cost more than running it (measured: 860 µs against 260 for the duplicate
    check). A plan that is kept must not read the whole table because that was small when it was made. `then` is a
    statement without arguments that travels along; what it answers is not seen, but it may fail.
    """
    if not isinstance(tenant_id, UUID):
        raise TypeError("tenant_id must be a UUID")
    mode = " READ ONLY" if read_only else ""
    plans = _KEEP_PLANS if point_work else ""
    await connection.execute(
        f"BEGIN{mode}; SET LOCAL app.tenant_id = '{tenant_id}'{plans}{'; ' if then else ''}{then}"
    )


def lone_read(sql: str, tail: str = "", order: str = "") -> str:
    """A SELECT that ends in a condition, and perhaps the `tail` behind it, made to name its tenant (`$1`) itself.

    One statement outside a transaction instead of BEGIN, SELECT and COMMIT. The conditions refer to the tenant
    that was set, and neither subquery can be flattened, so that row-level security looks after it is set, never
    before; were it otherwise, nothing would be found. `order` is what the tail orders by, as columns of the SELECT.
    """
    return (
        "SELECT found.* FROM (SELECT set_config('app.tenant_id', $1::uuid::text, true) AS id OFFSET 0) tenant"
        f" CROSS JOIN LATERAL ({sql} AND tenant.id IS NOT NULL{tail} OFFSET 0) found{order}"
    )


@asynccontextmanager
async def _finish(connection: Connection) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _open_pool(
    settings: Settings, url: str | None, role: str, size: int
) -> asyncpg.Pool[asyncpg.Record]:
    options = {
        "timezone": "UTC",
        "application_name": f"rapport:{role}",
        "statement_timeout": str(settings.statement_timeout_ms),
        # A kilobyte-sized statement is never worth compiling; JIT adds tens of milliseconds at random.
        "jit": "off",
    }
    if url is None:
        options["role"] = role
    return await asyncpg.create_pool(
        url or settings.database_url,
        min_size=1,
        max_size=size,
        connection_class=_Connection,
        init=_prepare_connection,
        server_settings=options,
        statement_cache_size=settings.database_statement_cache,
        max_cached_statement_lifetime=0,
    )


def compile_statement(statement: ClauseElement) -> tuple[str, list[Any]]:
    """SQL text and arguments in driver order; compiled once per shape.

    `IN` with a list expands per value and would defeat the cache: write `column == any_(values)` instead.
    """
    # The one private name we rely on: SQLAlchemy's engines find compiled statements by it.
    key = statement._generate_cache_key()  # noqa: SLF001
    if key is None:
        once = statement.compile(dialect=DIALECT)
        return str(once), _arguments(once, once.params)
    compiled = _COMPILED.get(key.key)
    if compiled is None:
        if len(_COMPILED) >= _COMPILED_LIMIT:
            _COMPILED.clear()
        compiled = cast("SQLCompiler", statement.compile(dialect=DIALECT, cache_key=key))
        if "POSTCOMPILE" in str(compiled):
            raise TypeError(
                "write column == any_(values) instead of IN: lists would defeat the statement cache"
            )
        _COMPILED[key.key] = compiled
    params = compiled.construct_params(extracted_parameters=key.bindparams)
    return str(compiled), _arguments(compiled, params)


def _arguments(compiled: Any, params: Any) -> list[Any]:
    names: Sequence[str] = compiled.positiontup or ()
    return [params[name] for name in names]
