"""How a record type is merged: what its declaration says, and the hooks for its module's own rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.kernel.models import RecordTable

M = TypeVar("M", bound=RecordTable)


@dataclass(frozen=True)
class MergeSpec:
    """What makes sense only together, and which lists take up what would be lost.

    The fields of a group come from one record. A list in `collects` also keeps the values that the records had in
    the named single fields, such as the e-mail address that did not become the first one. Lists are united anyway.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    collects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class MergeHooks(Generic[M]):
    """What a module adds to merging records of its type; `RecordService` has these."""

    async def lock_merge(self) -> None:
        """Take locks that come before those of the rows, when merging and when undoing it."""

    async def before_merge(self, rows: Sequence[M]) -> None:
        """Refuse by raising. The rows are locked, the surviving one comes first."""

    def merge_preferences(self, rows: Sequence[M]) -> Mapping[str, UUID]:  # noqa: ARG002
        """Fields that by default come from another record than the first one, by that record's id."""
        return {}

    async def complete_merge(self, row: M, merged: Sequence[M], changes: dict[str, Any]) -> None:
        """Complete the columns that follow from others; may change `changes`.

        `row` is the surviving record as it stands. Without `merged` a merge is being undone.
        """

    async def after_merge(self, row: M, merged: Sequence[M]) -> None:
        """Check what must hold when all references have moved; refuse by raising."""

    async def after_unmerge(self, row: M, restored: Sequence[UUID]) -> None:
        """Check or mend what the records that came back refer to, which may have gone meanwhile."""
