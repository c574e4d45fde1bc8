"""A dump restored on another server: its transactions are numbered on from where the dump left off.

PostgreSQL counts the transactions of a whole server. Another one may have counted fewer, so that new entries of the
audit log and new events would stand before those of the dump, which are sealed and read already (migration 0387).
"""

from __future__ import annotations

from typing import Final

import asyncpg

_HORIZON: Final = "kernel.tx_horizon()"
# Only what lies behind the horizon is sealed, so that no head can be in front of it on the server that sealed.
_BEHIND: Final = f"SELECT max(tx) >= {_HORIZON} FROM kernel.audit_heads"
_LAST: Final = """
SELECT greatest((SELECT max(tx) FROM kernel.audit_heads), (SELECT max(tx) FROM kernel.audit_entries),
  (SELECT max(tx) FROM kernel.outbox))::text::bigint
"""


class DatabaseRestored(RuntimeError):
    """The database came from another server, and transactions would be numbered as if they were older."""

    def __init__(self) -> None:
        super().__init__(
            "this database was restored from a dump: run `rapport db upgrade` before anything else"
        )


async def is_behind(connection: asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]) -> bool:
    """Whether this server's numbers lie before those in the database; asked as `rapport_control`."""
    if await connection.fetchval("SELECT to_regprocedure($1)", _HORIZON) is None:
        return False  # a migration is pending, and that is said elsewhere
    return bool(await connection.fetchval(_BEHIND))


async def catch_up(connection: asyncpg.Connection[asyncpg.Record], owner: str) -> bool:
    """Number transactions on from the last one of a restored dump; whether that was needed.

    The session may become `rapport_control`, which sees all companies, and `owner`, which owns the functions.
    """
    await connection.execute("SET ROLE rapport_control")
    distance = None
    if await is_behind(connection):
        # From the oldest transaction that runs, be it in another database: so the horizon is past the dump at once.
        oldest = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        distance = await connection.fetchval(f"SELECT ({_LAST}) - {oldest} + 1")
    await connection.execute(f"SET ROLE {owner}")
    if distance is not None:
        await number_from(connection, distance)
    return distance is not None


async def number_from(connection: asyncpg.Connection[asyncpg.Record], distance: int) -> None:
    """Let a transaction's number be PostgreSQL's and `distance`."""
    async with connection.transaction():
        for name, number in (
            ("kernel.tx()", "pg_current_xact_id()"),
            (_HORIZON, "pg_snapshot_xmin(pg_current_snapshot())"),
        ):
            safe = "SAFE" if name == _HORIZON else "RESTRICTED"
            await connection.execute(
                f"CREATE OR REPLACE FUNCTION {name} RETURNS xid8 LANGUAGE sql STABLE PARALLEL {safe} AS"
                f" $$ SELECT ({number}::text::bigint + {distance:d})::text::xid8 $$"
            )
