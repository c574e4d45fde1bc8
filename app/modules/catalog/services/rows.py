"""Many rows in one statement, also where columns hold lists, which arrays of arrays cannot carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.kernel.uow import UnitOfWork


async def insert_rows(uow: UnitOfWork, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of one shape, unaudited; the tenant is filled in."""
    if rows:
        names = ", ".join(rows[0])
        await uow.fetch(
            f"INSERT INTO {table} (tenant_id, {names})"
            f" SELECT $1, {names} FROM jsonb_populate_recordset(NULL::{table}, $2::jsonb)",
            uow.tenant_id,
            list(rows),
        )
