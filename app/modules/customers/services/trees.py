"""Trees within a table, of accounts and of who reports to whom: no loops, at most so many levels.

A check that reads before it writes is only as good as its lock: writers of one tree of one tenant wait for
each other, and each reads what the one before has committed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from app.kernel.errors import Conflict, Invalid, Problem
from app.kernel.locks import lock_keys
from app.kernel.uow import UnitOfWork


class HierarchyLoop(Conflict):
    code = "hierarchy_loop"
    title = "A record cannot stand below itself"


class HierarchyTooDeep(Conflict):
    code = "hierarchy_too_deep"
    title = "This would have more levels than allowed"


@dataclass(frozen=True, slots=True)
class Tree:
    """A table whose rows point at one above them."""

    table: str
    column: str
    levels: int

    async def lock(self, uow: UnitOfWork) -> None:
        """Be the only writer of this tree until the transaction ends."""
        await lock_keys(uow, self.table, [self.column])

    async def check(self, uow: UnitOfWork, parent_id: UUID, *, id: UUID | None = None) -> None:
        """`id`, or a new row, may be put under `parent_id`. Locks the tree.

        Raises: `Invalid` for an unknown parent, `HierarchyLoop`, `HierarchyTooDeep`.
        """
        await self.lock(uow)
        row = await uow.fetchone(_LEVELS.format(**self._names), uow.tenant_id, parent_id, id, self.levels)
        if not row["above"]:
            raise Invalid.at(f"/{self.column}", "unknown_reference", "There is no such record.")
        if row["loops"]:
            raise HierarchyLoop(pointer=f"/{self.column}")
        if row["above"] + row["below"] > self.levels:
            raise HierarchyTooDeep(
                f"At most {self.levels} levels.", pointer=f"/{self.column}", levels=self.levels
            )

    async def refused_moves(self, uow: UnitOfWork, moves: Mapping[UUID, UUID]) -> dict[UUID, Problem]:
        """Of records about to be put under others, each fit by itself, those that the ones before leave no room for.

        Locks the tree; one statement for all.
        """
        if len(moves) < 2:
            return {}
        await self.lock(uow)
        ids, parents = list(moves), sorted(set(moves.values()))
        rows = await uow.fetch(_AROUND.format(**self._names), uow.tenant_id, ids, parents, self.levels)
        tree = _Forest({row["id"]: row["above"] for row in rows})
        refused: dict[UUID, Problem] = {}
        for id, parent_id in moves.items():
            above = tree.above(parent_id)
            if id in above:
                refused[id] = HierarchyLoop(pointer=f"/{self.column}")
            elif len(above) + tree.height(id) > self.levels:
                refused[id] = HierarchyTooDeep(
                    f"At most {self.levels} levels.", pointer=f"/{self.column}", levels=self.levels
                )
            else:
                tree.move(id, parent_id)
        return refused

    async def recheck(self, uow: UnitOfWork, ids: Collection[UUID]) -> None:
        """What stands above and below each of these is no loop and not too deep, whatever moved there.

        Raises: `HierarchyLoop`, `HierarchyTooDeep`.
        """
        parents = await uow.fetch(_ABOVE.format(**self._names), uow.tenant_id, list(ids))
        for id, parent_id in parents:
            row = await uow.fetchone(_LEVELS.format(**self._names), uow.tenant_id, parent_id, id, self.levels)
            if row["loops"]:
                raise HierarchyLoop(pointer=f"/{self.column}")
            if row["above"] + row["below"] > self.levels:
                raise HierarchyTooDeep(f"At most {self.levels} levels.", levels=self.levels)

    async def place(self, uow: UnitOfWork, parent_id: UUID | None, among: Collection[UUID]) -> UUID | None:
        """The nearest record from `parent_id` upwards that has none of `among` above it, nor is one of them.

        Where the records of a merge stand above one another, the surviving one takes the highest place.
        """
        if parent_id is None:
            return None
        rows = await uow.fetch(_UP.format(**self._names), uow.tenant_id, parent_id, self.levels)
        chain: list[UUID] = [row["id"] for row in rows]
        highest = max((at for at, id in enumerate(chain) if id in among), default=-1)
        return chain[highest + 1] if highest + 1 < len(chain) else None

    async def depths(self, uow: UnitOfWork, ids: Collection[UUID]) -> dict[UUID, int]:
        """The level that each record stands on, 1 at the top; of a set, in one statement."""
        rows = await uow.fetch(_DEPTHS.format(**self._names), uow.tenant_id, sorted(ids), self.levels)
        return {row["id"]: row["level"] for row in rows}

    @property
    def _names(self) -> dict[str, str]:
        return {"table": self.table, "column": self.column}


class _Forest:
    """Part of a tree, held in hand to try moves in."""

    def __init__(self, parents: dict[UUID, UUID | None]) -> None:
        self._parents = parents
        self._children: defaultdict[UUID | None, set[UUID]] = defaultdict(set)
        for id, parent_id in parents.items():
            self._children[parent_id].add(id)

    def above(self, id: UUID) -> list[UUID]:
        """A record and all above it, upwards."""
        chain: list[UUID] = []
        place: UUID | None = id
        while place is not None and place not in chain:
            chain.append(place)
            place = self._parents.get(place)
        return chain

    def height(self, id: UUID) -> int:
        """The levels that a record and what stands below it take."""
        level, height = {id}, 0
        while level:
            height += 1
            level = {child for place in level for child in self._children[place]} - level
        return height

    def move(self, id: UUID, parent_id: UUID) -> None:
        """Put a record, with all below it, under another."""
        self._children[self._parents.get(id)].discard(id)
        self._children[parent_id].add(id)
        self._parents[id] = parent_id


# One level more than allowed is walked, so that too deep shows; a loop, should there be one, ends there too.
_LEVELS = """
WITH RECURSIVE up AS (
  SELECT id, {column} AS above, 1 AS level FROM {table}
  WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
  UNION ALL
  SELECT t.id, t.{column}, up.level + 1 FROM {table} t JOIN up ON t.id = up.above
  WHERE t.tenant_id = $1 AND up.level <= $4
), down AS (
  SELECT $3::uuid AS id, 1 AS level
  UNION ALL
  SELECT t.id, down.level + 1 FROM {table} t JOIN down ON t.{column} = down.id
  WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND down.level <= $4
)
SELECT (SELECT coalesce(max(level), 0) FROM up) AS above, (SELECT coalesce(max(level), 1) FROM down) AS below,
  EXISTS (SELECT 1 FROM up WHERE id = $3) AS loops"""

_AROUND = """
WITH RECURSIVE up AS (
  SELECT id, {column} AS above, 1 AS level FROM {table}
  WHERE tenant_id = $1 AND id = ANY($2::uuid[] || $3::uuid[]) AND deleted_at IS NULL
  UNION
  SELECT t.id, t.{column}, up.level + 1 FROM {table} t JOIN up ON t.id = up.above
  WHERE t.tenant_id = $1 AND up.level <= $4
), down AS (
  SELECT id, {column} AS above, 1 AS level FROM {table} WHERE tenant_id = $1 AND id = ANY($2::uuid[])
  UNION
  SELECT t.id, t.{column}, down.level + 1 FROM {table} t JOIN down ON t.{column} = down.id
  WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND down.level <= $4
)
SELECT id, above FROM up UNION SELECT id, above FROM down"""

_ABOVE = "SELECT id, {column} FROM {table} WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id"

_UP = """
WITH RECURSIVE up AS (
  SELECT id, {column} AS above, 1 AS level FROM {table} WHERE tenant_id = $1 AND id = $2
  UNION ALL
  SELECT t.id, t.{column}, up.level + 1 FROM {table} t JOIN up ON t.id = up.above
  WHERE t.tenant_id = $1 AND up.level <= $3
)
SELECT id FROM up ORDER BY level"""

_DEPTHS = """
WITH RECURSIVE up AS (
  SELECT id AS start, {column} AS above, 1 AS level FROM {table}
  WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL
  UNION ALL
  SELECT up.start, t.{column}, up.level + 1 FROM {table} t JOIN up ON t.id = up.above
  WHERE t.tenant_id = $1 AND up.level <= $3
)
SELECT start AS id, max(level) AS level FROM up GROUP BY start"""
