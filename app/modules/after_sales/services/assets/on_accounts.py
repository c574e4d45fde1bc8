"""What assets and service add to accounts, contacts and products: a panel, timelines, and guards against deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.sharing import give
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.services.assets.assets import AssetService
from app.modules.after_sales.services.moments import Moments, MomentSource


class AssetPanel:
    """`AccountPanel`: how many assets in which state, and how many of them are under warranty."""

    name = "assets"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        actor = self._uow.actor
        hidden = actor.hidden("asset")
        if not account_ids or not actor.may("asset:read") or {"status", "account_id"} & hidden:
            return {}
        today = actor.tenant.day_of(self._uow.now)
        bind = Bindings(self._uow.tenant_id, list(account_ids), today)
        visible = visible_rows(actor, "asset", "read", bind)
        rows = await self._uow.fetch(
            _PANEL.format(visible=f" AND {visible}" if visible else ""), *bind.values
        )
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(row["account_id"], {"by_status": {}, "under_warranty": 0})
            panel["by_status"][row["status"]] = row["count"]
            panel["under_warranty"] += row["covered"]
        if {"warranty_starts_on", "warranty_ends_on"} & hidden:
            for panel in found.values():
                del panel["under_warranty"]
        return found


_PANEL: Final = """
SELECT t.account_id, t.status, count(*) AS count,
  count(*) FILTER (WHERE $3::date BETWEEN coalesce(t.warranty_starts_on, $3::date) AND t.warranty_ends_on) AS covered
FROM after_sales.assets t
WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.deleted_at IS NULL{visible}
GROUP BY 1, 2 ORDER BY 1, 2"""


class AssetTimeline(MomentSource):
    """`TimelineSource`: when an account, contact, order or product got an asset."""

    kinds = frozenset({"asset"})
    moments = Moments(
        kind="asset",
        object="asset",
        source="after_sales.assets t",
        columns={
            "account": "account_id",
            "contact": "contact_id",
            "order": "order_id",
            "product": "product_id",
        },
        moments=(("t.created_at", "'Asset'"),),
        title="t.name || coalesce(', ' || t.serial_number, '')",
        needs=("name", "serial_number"),
        shows=("status", "warranty_ends_on"),
    )


class WorkOrderTimeline(MomentSource):
    """`TimelineSource`: the work that was done for an account, contact, asset or case."""

    kinds = frozenset({"work_order"})
    moments = Moments(
        kind="work_order",
        object="work_order",
        source="after_sales.work_orders t",
        columns={
            "account": "account_id",
            "contact": "contact_id",
            "asset": "asset_id",
            "case": "case_id",
        },
        moments=(
            ("t.created_at", "'Work order'"),
            ("t.started_at", "'Started'"),
            ("t.done_at", "'Done'"),
            ("t.signed_at", "'Signed off'"),
        ),
        title="t.number || ': ' || t.subject",
        needs=("number", "subject"),
        shows=("status",),
    )


class AssetUses:
    """`AccountUser`: an account or contact with assets, service contracts or work orders is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        tables = {
            "account": {
                "assets": "account_id",
                "service_contracts": "account_id",
                "work_orders": "account_id",
            },
            "contact": {"assets": "contact_id", "work_orders": "contact_id"},
        }.get(object_name)
        return {} if tables is None else await _count(self._uow, tables, id)


class AssetProducts:
    """`ProductUser`: a product of which there are assets, warranty terms or rules is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        tables = ("assets", "warranty_terms", "telemetry_rules")
        return await _count(self._uow, dict.fromkeys(tables, "product_id"), product_id)


async def _count(uow: UnitOfWork, tables: Mapping[str, str], id: UUID) -> Mapping[str, int]:
    counts = ", ".join(
        f"(SELECT count(*) FROM after_sales.{table} WHERE tenant_id = $1 AND {column} = $2"
        f" AND deleted_at IS NULL) AS {table}"
        for table, column in tables.items()
    )
    row = await uow.fetchrow(f"SELECT {counts}", uow.tenant_id, id)
    return {} if row is None else {name: count for name, count in row.items() if count}


class AssetWork:
    """`OpenWork`: an account's assets go along when it changes its owner."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the owned ones to the new owner. Raises `Forbidden`."""
        if object_name != "account":
            return {}
        where = "t.account_id = ANY($2::uuid[]) AND t.owner_id IS NOT NULL"
        return {"asset": await give(AssetService(self._uow), where, record_ids, owner_id)}
