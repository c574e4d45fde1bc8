"""What is particular about merging accounts and contacts: consent, stages, and their places in trees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.merging.rules import MergeSpec
from app.kernel.uow import UnitOfWork
from app.modules.customers.models import LifecycleStage
from app.modules.customers.services.trees import Tree

ACCOUNT_MERGE = MergeSpec(collects={"emails": ("email",), "phones": ("phone",)})
CONTACT_MERGE = MergeSpec(
    groups=(("name", "family_name", "given_name"), ("account_id", "role")),
    collects={"emails": ("email",)},
)
_STAGES = list(LifecycleStage)


def latest_consents(rows: Sequence[Any]) -> dict[str, Any]:
    """The state of each channel: the statement that was given last to any of these records."""
    found: dict[str, Any] = {}
    for row in rows:
        for channel, state in row.consents.items():
            standing = found.get(channel)
            if standing is None or _at(state) > _at(standing):
                found[channel] = state
    return found


def _at(state: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(state["at"])


def furthest_stage(rows: Sequence[Any]) -> UUID:
    """The record whose lifecycle stage is furthest on; a lost one says less than any other."""

    def reached(row: Any) -> int:
        stage = LifecycleStage(row.lifecycle_stage)
        return -1 if stage is LifecycleStage.LOST else _STAGES.index(stage)

    found: UUID = max(rows, key=reached).id
    return found


async def keep_place(
    uow: UnitOfWork, tree: Tree, row: Any, merged: Sequence[Any], changes: dict[str, Any]
) -> None:
    """Let a record that took others in stand below none of them, and not below itself."""
    wanted = changes.get(tree.column, row.__dict__[tree.column])
    changes[tree.column] = await tree.place(uow, wanted, {row.id, *(other.id for other in merged)})


async def clear_dead(
    uow: UnitOfWork, table: str, column: str, target: str, ids: Collection[UUID], also: str = ""
) -> None:
    """Empty a reference of records that came back where what it names was deleted meanwhile."""
    await uow.fetch(
        f"UPDATE {table} t SET {column} = NULL{also} WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[])"
        f" AND EXISTS (SELECT 1 FROM {target} d WHERE d.tenant_id = $1 AND d.id = t.{column}"
        " AND d.deleted_at IS NOT NULL)",
        uow.tenant_id,
        list(ids),
    )
