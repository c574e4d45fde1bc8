"""The columns and indexes by which a record type's duplicates are found (app/kernel/duplicates.py)."""

from __future__ import annotations

from collections.abc import Iterable

from alembic import op


def duplicate_columns() -> str:
    """The columns of `DuplicateColumns`, for CREATE TABLE in SQL text."""
    return """
  email_key text,
  phone_key text,
  name_key text,
  duplicate_count bigint NOT NULL DEFAULT 0
"""


def duplicate_indexes(table: str, exact: Iterable[str] = (), *, both_ends: bool = False) -> None:
    """Index them, and further columns that are compared as they are; `both_ends` also names read backwards."""
    name = table.partition(".")[2]
    live = "WHERE deleted_at IS NULL"
    for column in ("email_key", "phone_key", "name_key", *exact):
        op.execute(
            f"CREATE INDEX ix_{name}_{column} ON {table} (tenant_id, {column}, id) {live}"
            f" AND {column} IS NOT NULL"
        )
    if both_ends:
        op.execute(
            f"CREATE INDEX ix_{name}_name_backwards ON {table} (tenant_id, reverse(name_key), id) {live}"
        )
