"""Which records are on a page of a search, found without reading many that are not.

Asked for the newest records with a rare word, PostgreSQL would go through the tenant by time until it has a page of
them, and they may not exist; asked for all with a common word, it would read and sort them all; and which words are
rare it can only guess. So it is told where to look, one after the other:

1. the newest thousand, one by one: a page of a common word is there;
2. where hardly any of those has the words, all that have them, if they are few;
3. so many of the newest as hold a page by what was seen: the index of the words and that of the time say together
   which records those are, and only they are read. Again in more of them, where the page is not full.

What is looked at in vain costs a few milliseconds, and the page is the same whichever way finds it (docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.record_reads import Selection

_NEWEST = 1_000  # looked at one by one
_HARDLY_ANY = 3
_FEW = 3_000  # read and sorted in 5 ms
_WIDER = 4


@dataclass(frozen=True, slots=True)
class TextPage:
    """The `limit` records behind a position (None: from the start) of a selection by a text."""

    uow: UnitOfWork
    selection: Selection
    limit: int
    position: Sequence[str | None] | None

    async def ids(self) -> list[UUID] | None:
        """Their ids, unordered; None if that is for PostgreSQL to find: of many in another order than of creation."""
        near, complete, ids = await self._near_or_few()
        if complete:
            return ids
        if not self.selection.keyset.by_creation:
            return None
        depth = 2 * _NEWEST * self.limit // max(near, 1)
        while edge := await self._edge(depth):
            ids = await self._up_to(edge)
            if len(ids) == self.limit:
                return ids
            depth *= _WIDER
        return await self._up_to(None)

    def _beyond(self, bind: Bindings) -> str:
        return self.selection.beyond(self.position, bind)

    async def _near_or_few(self) -> tuple[int, bool, list[UUID]]:
        """How many of the newest are found; whether this is the page; the ids.

        Where hardly any are near, or there are no more, all are asked for, one more than few at most. The planner
        takes the index of the words then, as no order is asked for; what is sorted are the values it is sorted by.
        """
        keyset, bind = self.selection.keyset, Bindings(*self.selection.bind.values)
        view, order, beyond = self.selection.record.view, keyset.order_of_named, self._beyond(bind)
        newest = f"FROM {view} t WHERE false"  # there may be no index of another order
        if keyset.by_creation:
            newest = (
                f"FROM {view} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL{beyond}"
                f" ORDER BY {keyset.order_by} LIMIT {_NEWEST}"
            )
        hardly_any = min(_HARDLY_ANY, self.limit)
        rows = await self.uow.fetch(
            f"WITH near AS MATERIALIZED (SELECT t.id, {keyset.named} FROM (SELECT * {newest}) t"
            f" WHERE {self.selection.walked}), seen AS MATERIALIZED (SELECT (SELECT count(*) FROM near) AS near,"
            f" (SELECT count(*) FROM (SELECT {newest}) looked_at) < {_NEWEST} AS ended),"
            f" found AS MATERIALIZED (SELECT t.id, {keyset.named}, true{beyond} AS beyond FROM {view} t"
            f" WHERE {self.selection.where} AND (SELECT near < {hardly_any} OR ended FROM seen) LIMIT {_FEW + 1})"
            f" SELECT near, near >= {self.limit} OR (near < {hardly_any} OR ended)"
            f" AND (SELECT count(*) FROM found) <= {_FEW} AS complete, page.id"
            f" FROM seen LEFT JOIN ((SELECT id FROM near ORDER BY {order} LIMIT {self.limit})"
            f" UNION (SELECT id FROM found WHERE beyond ORDER BY {order} LIMIT {self.limit})) page ON true",
            *bind.values,
        )
        return rows[0]["near"], rows[0]["complete"], [row["id"] for row in rows if row["id"]]

    async def _edge(self, depth: int) -> list[str | None] | None:
        """Where the next `depth` records end, whatever their words; None if there are not so many."""
        keyset, bind = self.selection.keyset, Bindings(self.uow.tenant_id)
        row = await self.uow.fetchrow(
            f"SELECT {keyset.columns_of_named} FROM (SELECT {keyset.named} FROM {self.selection.record.view} t"
            f" WHERE t.tenant_id = $1 AND t.deleted_at IS NULL{self._beyond(bind)}"
            f" ORDER BY {keyset.order_by} OFFSET {depth} LIMIT 1) edge",
            *bind.values,
        )
        found: list[str | None] | None = orjson.loads(row[0]) if row else None
        return found

    async def _up_to(self, edge: Sequence[str | None] | None) -> list[UUID]:
        """The page, as far as it is found up to an edge; without one, as far as there is anything."""
        keyset, bind = self.selection.keyset, Bindings(*self.selection.bind.values)
        until = f" AND {keyset.until(edge, bind)}" if edge else ""
        rows = await self.uow.fetch(
            # Materialized, so that no order tempts the planner to go through all of them by time.
            f"WITH found AS MATERIALIZED (SELECT t.id, {keyset.named} FROM {self.selection.record.view} t"
            f" WHERE {self.selection.where}{self._beyond(bind)}{until})"
            f" SELECT id FROM found ORDER BY {keyset.order_of_named} LIMIT {self.limit}",
            *bind.values,
        )
        return [row["id"] for row in rows]
