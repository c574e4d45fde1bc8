"""Assets made of shipments: each serial number that goes out is one."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.assets import AssetStatus
from app.modules.after_sales.services.assets.assets import AssetService
from app.modules.after_sales.services.assets.warranties import last_day, promises
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.orders.interface import Orders, ShippedLine


class Shipped(BaseModel):
    """What we need of `orders.order.shipped.v1`."""

    id: UUID
    account_id: UUID
    shipment_id: UUID


async def register_shipped(uow: UnitOfWork, event: Shipped) -> None:
    """Make an asset of each serial number; one that is known already stays as it is."""
    lines = [
        line
        for line in await uow.of(Orders).shipped(event.shipment_id)
        if line.serial_numbers and line.product_id is not None
    ]
    if not lines:
        return
    products = await uow.of(Catalog).get_many({line.product_id for line in lines if line.product_id})
    known = await _known(uow, lines)
    promised = await promises(uow, list(products.values()))
    account = (await uow.of(Customers).get_many([event.account_id])).get(event.account_id)
    service = AssetService(uow)
    for line in lines:
        product, day = products.get(line.product_id or event.id), uow.actor.tenant.day_of(line.at)
        promise = None if product is None else promised.get(product.id)
        for number in line.serial_numbers:
            if product is None or (product.id, number) in known:
                continue
            await service.create_complete(
                {
                    "name": product.name,
                    "serial_number": number,
                    "status": AssetStatus.INSTALLED.value,
                    "product_id": product.id,
                    "account_id": event.account_id,
                    "order_id": event.id,
                    "order_line_id": line.order_line_id,
                    "bought_on": day,
                    "warranty_starts_on": day,
                    "warranty_ends_on": None if promise is None else last_day(day, promise.months),
                    "warranty_terms": None if promise is None else promise.coverage,
                    "owner_id": None if account is None else account.owner_id,
                    "team_id": None if account is None else account.team_id,
                }
            )


async def _known(uow: UnitOfWork, lines: list[ShippedLine]) -> set[tuple[UUID, str]]:
    pairs = [(line.product_id, number) for line in lines for number in line.serial_numbers]
    rows = await uow.fetch(
        "SELECT a.product_id, a.serial_number FROM unnest($2::uuid[], $3::text[]) AS n(product_id, number)"
        " JOIN after_sales.assets a ON a.tenant_id = $1 AND a.product_id = n.product_id"
        " AND a.serial_number = n.number AND a.deleted_at IS NULL",
        uow.tenant_id,
        [product for product, _ in pairs],
        [number for _, number in pairs],
    )
    return {(row["product_id"], row["serial_number"]) for row in rows}
