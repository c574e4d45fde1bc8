"""Which records are on a page of a search, found without reading many that are not.

Asked for the newest records with a rare word, PostgreSQL would go through the tenant by time until it has a page of
them, and they may not exist; asked for all with a common word, it would read and sort them all; and which words are
rare it can only guess. So it is told where to look, one after the other:

1. among the newest thousand, one by one: a page of a common word is there;
2. where hardly any of those has the words, among all that have them, if they are not too many;
3. else where it is cheaper: among all, whose number follows from their share of the newest and the company's size, or
   among all records in their order, where that share says how far a page is.

The page is the same whichever way finds it (docs/adr/0006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from app.kernel.allowances import METRICS, LimitName
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.record_reads import Selection

_NEWEST = 1_000
_HARDLY_ANY = 3
_FEW = 10_000
_KEPT = f"(SELECT total FROM kernel.usage_totals WHERE tenant_id = $1 AND metric = '{METRICS[LimitName.RECORDS]}')"


async def ids_of_page(
    uow: UnitOfWork, selection: Selection, limit: int, position: Sequence[str | None] | None
) -> list[UUID] | None:
    """The `limit` records behind a position (None: from the start) that a text finds, unordered; one statement.

    None if they are found soonest in their order. Of all that are found the planner takes the index of the words, as
    no order is asked for; what is sorted are the few values that they are sorted by.
    """
    keyset, bind = selection.keyset, Bindings(*selection.bind.values)
    view, order, beyond = selection.record.view, keyset.order_of_named, selection.beyond(position, bind)
    newest = f"FROM {view} t WHERE false"  # there may be no index of another order
    if keyset.by_creation:
        newest = (
            f"FROM {view} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL{beyond}"
            f" ORDER BY {keyset.order_by} LIMIT {_NEWEST}"
        )
    # Hardly any may be chance, and what is read among all has a bound. Else about near · kept / newest have the
    # words, each at half as much again as one gone through in order, of which a page takes newest · limit / near.
    cheaper = "false"
    if not selection.filtered:  # else the index of the words finds more than the newest tell of
        cheaper = f"near < {limit} AND 3 * near * near * coalesce({_KEPT}, 0) < {2 * _NEWEST**2 * limit}"
    among_all = f"(near < {min(_HARDLY_ANY, limit)} OR ended OR {cheaper})"
    rows = await uow.fetch(
        f"WITH near AS MATERIALIZED (SELECT t.id, {keyset.named} FROM (SELECT * {newest}) t"
        f" WHERE {selection.walked}), seen AS MATERIALIZED (SELECT (SELECT count(*) FROM near) AS near,"
        f" (SELECT count(*) FROM (SELECT {newest}) looked_at) < {_NEWEST} AS ended),"
        f" found AS MATERIALIZED (SELECT t.id, {keyset.named}, true{beyond} AS beyond FROM {view} t"
        f" WHERE {selection.where} AND (SELECT {among_all} FROM seen) LIMIT {_FEW + 1})"
        f" SELECT near >= {limit} OR {among_all} AND (SELECT count(*) FROM found) <= {_FEW} AS complete, page.id"
        f" FROM seen LEFT JOIN ((SELECT id FROM near ORDER BY {order} LIMIT {limit})"
        f" UNION (SELECT id FROM found WHERE beyond ORDER BY {order} LIMIT {limit})) page ON true",
        *bind.values,
    )
    return [row["id"] for row in rows if row["id"]] if rows[0]["complete"] else None
