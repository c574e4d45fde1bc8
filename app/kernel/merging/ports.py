"""The port through which every module moves its references when records are merged, and back when it is undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Merging:
    """Records becoming one, or being taken apart again. All of them are locked against new references.

    `rows` are the records as they were, the surviving one first; none when a merge is undone.
    """

    merge_id: UUID
    object: str
    survivor_id: UUID
    merged_ids: tuple[UUID, ...]
    rows: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """One reference that moved: in which row, which record it named before, and what else taking it back needs.

    What does not count is no reference of its own: a row that is itself merged away, or a copy kept beside it.
    """

    row_id: UUID
    former_id: UUID
    detail: dict[str, Any] | None = None
    counts: bool = True


class Merger(Protocol):
    """Port: moves a module's references to merged records. Set-based: as many statements for one as for thousands.

    Rows that users see get a new version, an audit entry and an event, as with any change. `name` is stored with
    a merge and must stay; `kind` says in the plural what is counted; `columns` are what it looks after, as
    `schema.table.column`.
    """

    name: str
    kind: str
    objects: frozenset[str]
    columns: frozenset[str]

    def present(self, merging: Merging) -> str:
        """SQL that is true where something of the tenant $1 names one of the records $2; `move` is spared else.

        All mergers are asked in one statement. One that cannot say it cheaply answers `true`.
        """

    async def move(self, merging: Merging) -> list[Moved]:
        """Let all references to merged records name the surviving one; what moved."""

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        """Put back those that still name the surviving record; how many of those that count."""
