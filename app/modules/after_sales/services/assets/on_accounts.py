"""What assets and service add to accounts, contacts and products: a panel, timelines, and guards against deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.sharing import GoesAlong
from app.kernel.uow import UnitOfWork
from app.kernel.uses import live_uses
from app.modules.after_sales.services.assets.assets import AssetService
from app.modules.after_sales.services.moments import Moments, MomentSource
from app.modules.customers.interface import CUSTOMER_COLUMNS


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
        """How many of them name the account or contact; a service contract is with an account."""
        column = CUSTOMER_COLUMNS.get(object_name)
        tables = ["assets", "work_orders"] + ["service_contracts"] * (object_name == "account")
        if column is None:
            return {}
        rows = {name: f"after_sales.{name} t WHERE t.{column} = $2" for name in tables}
        return await live_uses(self._uow, id, rows)


class AssetProducts:
    """`ProductUser`: a product of which there are assets, warranty terms or rules is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        """How many of each are about the product."""
        tables = ("assets", "warranty_terms", "telemetry_rules")
        rows = {name: f"after_sales.{name} t WHERE t.product_id = $2" for name in tables}
        return await live_uses(self._uow, product_id, rows)


class AssetWork(GoesAlong):
    """An account's assets that somebody owns go along when it changes its owner."""

    service = AssetService
    columns: ClassVar = {"account": "account_id"}
    open = "t.owner_id IS NOT NULL"
