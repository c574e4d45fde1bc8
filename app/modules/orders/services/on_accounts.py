"""What orders add to accounts: a panel, timeline entries, a guard against deletion, open work, a fact for pools."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.money import money_dict
from app.kernel.record_reads import visible_of
from app.kernel.sharing import GoesAlong
from app.kernel.uow import UnitOfWork
from app.kernel.uses import live_uses
from app.modules.activities.interface import Position, Subject, TimelineEntry, place_in_sql
from app.modules.customers.interface import CUSTOMER_COLUMNS
from app.modules.orders.services.orders import OrderService

_SHOWN = 20
_COLUMNS = {**CUSTOMER_COLUMNS, "opportunity": "opportunity_id"}


class OrderPanel:
    """`AccountPanel`: how many orders in which state, what they came to, and the newest."""

    name = "orders"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Counts by status, sums per currency of what was not cancelled, and the newest orders, per account."""
        hidden = self._uow.actor.hidden("order")
        if not account_ids or "status" in hidden:
            return {}
        rows = await visible_of(self._uow, "order", _PANEL, list(account_ids), shown=str(_SHOWN))
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(row["account_id"], {"by_status": {}, "total": [], "newest": []})
            for status, count in row["by_status"].items():
                panel["by_status"][status] = panel["by_status"].get(status, 0) + count
            if row["total"] is not None and "total" not in hidden:
                panel["total"].append(money_dict(int(row["total"]), row["currency"]))
            newest = [item for of_status in row["newest"] for item in of_status]
            panel["newest"] += [_shown(item, row["currency"], hidden) for item in newest]
        for panel in found.values():
            panel["newest"].sort(key=lambda item: (item.get("ordered_on", ""), item["id"]), reverse=True)
            del panel["newest"][_SHOWN:]
        return found


def _shown(item: dict[str, Any], currency: str, hidden: frozenset[str]) -> dict[str, Any]:
    item["total"] = money_dict(item["total"], currency)
    return {name: value for name, value in item.items() if name not in hidden}


class OrderTimeline:
    """`TimelineSource`: what an account, contact or opportunity ordered, got and gave back."""

    kinds = frozenset({"order"})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first; nothing for other subjects."""
        column = _COLUMNS.get(subject.object)
        actor = self._uow.actor
        if column is None or not actor.may("order:read") or "number" in actor.hidden("order"):
            return []
        bind = Bindings(self._uow.tenant_id, subject.record_id, *place_in_sql(before), limit)
        visible = visible_rows(actor, "order", "read", bind)
        parts = [_PLACED, _SHIPPED]
        returns = None
        if actor.may("return:read") and column != "opportunity_id" and not actor.hidden("return"):
            returns = visible_rows(actor, "return", "read", bind)
            parts.append(_RETURNED)
        sql = " UNION ALL ".join(
            "(" + part.format(
                column=column,
                visible=f" AND {visible}" if visible else "",
                returns=f" AND {returns}" if returns else "",
            ) + ")"
            for part in parts
        )  # fmt: skip
        rows = await self._uow.fetch(f"{sql} ORDER BY at DESC, id DESC LIMIT $5", *bind.values)
        return [_entry(row, actor.hidden("order")) for row in rows]


def _entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    data = {name: value for name, value in (("status", row["status"]),) if name not in hidden}
    if row["total"] is not None and "total" not in hidden:
        data["total"] = money_dict(row["total"], row["currency"])
    return TimelineEntry(
        id=row["id"],
        at=row["at"],
        kind="order",
        title=f"{row['what']}: {row['number']}",
        actor_id=row["actor_id"],
        object=row["object"],
        record_id=row["record_id"],
        data=data,
    )


class OrderUses:
    """`AccountUser`: an account or contact with orders or returns is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live orders and returns name the account or contact."""
        column = CUSTOMER_COLUMNS.get(object_name)
        if column is None:
            return {}
        rows = {name: f"orders.{name} t WHERE t.{column} = $2" for name in ("orders", "returns")}
        return await live_uses(self._uow, id, rows)


class OrderWork(GoesAlong):
    """What an account ordered and did not get yet goes along when it changes its owner."""

    service = OrderService
    columns: ClassVar = {"account": "account_id"}
    open = "t.status IN ('draft', 'confirmed', 'in_fulfilment')"


class BoughtFact:
    """`PoolFact`: who has bought something has been won, with or without an opportunity."""

    name: ClassVar[str] = "won"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def true_of(self, object_name: str, ids: Sequence[UUID]) -> Collection[UUID]:
        column = CUSTOMER_COLUMNS.get(object_name)
        if column is None or not ids:
            return ()
        rows = await self._uow.fetch(
            "SELECT w.id FROM unnest($2::uuid[]) AS w(id) WHERE EXISTS ("
            f" SELECT 1 FROM orders.orders o WHERE o.tenant_id = $1 AND o.{column} = w.id"
            "  AND o.status NOT IN ('draft', 'cancelled') AND o.deleted_at IS NULL)",
            self._uow.tenant_id,
            list(ids),
        )
        return [row["id"] for row in rows]


_PANEL = """
SELECT t.account_id, t.currency, jsonb_object_agg(t.status, t.count) AS by_status,
  sum(t.total) FILTER (WHERE t.status NOT IN ('draft', 'cancelled')) AS total,
  jsonb_agg(t.newest) AS newest
FROM (
  SELECT t.account_id, t.currency, t.status, count(*) AS count, sum(t.total) AS total,
    to_jsonb((array_agg(jsonb_build_object('id', t.id, 'number', t.number, 'status', t.status, 'total', t.total,
      'ordered_on', t.ordered_on, 'owner_id', t.owner_id)
      ORDER BY t.ordered_on DESC, t.id DESC))[1:{shown}]) AS newest
  FROM orders.orders t
  WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{visible}
  GROUP BY 1, 2, 3
) t GROUP BY t.account_id, t.currency ORDER BY t.account_id, t.currency"""

_PLACED = """
SELECT t.id, t.confirmed_at AS at, 'Ordered' AS what, t.number, t.status, t.total, t.currency,
  t.created_by AS actor_id, 'order' AS object, t.id AS record_id
FROM orders.orders t
WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL AND t.confirmed_at IS NOT NULL
  AND ($3::timestamptz IS NULL OR (t.confirmed_at, t.id) < ($3, $4::uuid)){visible}
ORDER BY t.confirmed_at DESC, t.id DESC LIMIT $5"""

_SHIPPED = """
SELECT s.id, s.shipped_at AS at, 'Shipped' AS what, t.number, t.status, NULL::bigint AS total, t.currency,
  s.shipped_by AS actor_id, 'order' AS object, t.id AS record_id
FROM orders.orders t JOIN orders.shipments s ON s.tenant_id = t.tenant_id AND s.order_id = t.id
WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL
  AND ($3::timestamptz IS NULL OR (s.shipped_at, s.id) < ($3, $4::uuid)){visible}
ORDER BY s.shipped_at DESC, s.id DESC LIMIT $5"""

_RETURNED = """
SELECT t.id, t.created_at AS at, 'Return' AS what, t.number, t.status, t.total, t.currency,
  t.created_by AS actor_id, 'return' AS object, t.id AS record_id
FROM orders.returns t
WHERE t.tenant_id = $1 AND t.{column} = $2 AND t.deleted_at IS NULL
  AND ($3::timestamptz IS NULL OR (t.created_at, t.id) < ($3, $4::uuid)){returns}
ORDER BY t.created_at DESC, t.id DESC LIMIT $5"""
