"""Holding: who has a record since when, who had it before, and the pool that it lies in while nobody has it.

A record type takes part by having these columns. Whatever changes an owner passes by `taken_over`, so that the
time of receipt is always that of the owner at hand. Pools themselves belong to the customers module.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.schemas import RecordOutput

_DERIVED = {"derived": True}  # follows from owner_id, pool_id and activities, which are audited themselves


class HoldingColumns:
    """The columns; a record with an owner lies in no pool (a CHECK of each table)."""

    pool_id: Mapped[UUID | None] = mapped_column(sort_order=910)
    pooled_at: Mapped[datetime | None] = mapped_column(sort_order=911, info=_DERIVED)
    former_owner_id: Mapped[UUID | None] = mapped_column(sort_order=912, info=_DERIVED)
    received_at: Mapped[datetime | None] = mapped_column(sort_order=913, info=_DERIVED)
    last_follow_up_at: Mapped[datetime | None] = mapped_column(sort_order=914, info=_DERIVED)
    recycle_reminded_at: Mapped[datetime | None] = mapped_column(sort_order=915, info=_DERIVED)
    is_locked: Mapped[bool] = mapped_column(sort_order=916)


class HeldOutput(RecordOutput):
    """What a record with these columns answers."""

    pool_id: UUID | None = Field(
        description="The pool it lies in, to be claimed; null while somebody owns it."
    )
    pooled_at: datetime | None = Field(description="When it came into that pool.")
    former_owner_id: UUID | None = Field(
        description="Who had it before the present owner, or before the pool."
    )
    received_at: datetime | None = Field(description="When the present owner got it.")
    last_follow_up_at: datetime | None = Field(
        description="The last activity about it that somebody completed; changes without a new version."
    )
    is_locked: bool = Field(description="A locked record is never recycled into a pool.")


def taken_over_sql(owner: str, now: str) -> str:
    """`taken_over` for a set of rows: SET items over alias `t`; `owner` and `now` are SQL."""
    stays = f"{owner} IS NOT DISTINCT FROM t.owner_id"
    return f"""
  former_owner_id = CASE WHEN {stays} THEN t.former_owner_id ELSE coalesce(t.owner_id, t.former_owner_id) END,
  received_at = CASE WHEN {stays} THEN t.received_at WHEN {owner} IS NOT NULL THEN {now}::timestamptz END,
  recycle_reminded_at = CASE WHEN {stays} THEN t.recycle_reminded_at END,
  pool_id = CASE WHEN {owner} IS NULL THEN t.pool_id END,
  pooled_at = CASE WHEN {owner} IS NULL THEN t.pooled_at END"""


def is_held(model: type[Any]) -> bool:
    """Whether a table has these columns."""
    return issubclass(model, HoldingColumns)


def received(owner_id: UUID | None, now: datetime) -> dict[str, Any]:
    """The columns of a new record."""
    return {"received_at": now if owner_id is not None else None, "is_locked": False}


def taken_over(before: Mapping[str, Any], changes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The columns that follow from `changes` of a row's owner; none if the owner stays."""
    former = before["owner_id"]
    owner = changes.get("owner_id", former)
    if owner == former:
        return {}
    found: dict[str, Any] = {
        "received_at": now if owner is not None else None,
        "recycle_reminded_at": None,
        "former_owner_id": former if former is not None else before["former_owner_id"],
    }
    if owner is not None and before["pool_id"] is not None:
        found |= {"pool_id": None, "pooled_at": None}
    return found
