"""What orders say of products: those that were sold or lie in stock are not deleted."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.uow import UnitOfWork


class OrderedProducts:
    """`ProductUser`: order lines, return lines, and goods on hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        row = await self._uow.fetchrow(
            "SELECT"
            " (SELECT count(DISTINCT l.order_id) FROM orders.order_lines l JOIN orders.orders o"
            "   ON o.tenant_id = l.tenant_id AND o.id = l.order_id AND o.deleted_at IS NULL"
            "   WHERE l.tenant_id = $1 AND l.product_id = $2) AS orders,"
            " (SELECT count(DISTINCT l.return_id) FROM orders.return_lines l JOIN orders.returns r"
            "   ON r.tenant_id = l.tenant_id AND r.id = l.return_id AND r.deleted_at IS NULL"
            "   WHERE l.tenant_id = $1 AND l.product_id = $2) AS returns,"
            " (SELECT count(*) FROM orders.stock_levels"
            "   WHERE tenant_id = $1 AND product_id = $2 AND on_hand > 0) AS stock_levels",
            self._uow.tenant_id,
            product_id,
        )
        return {} if row is None else {name: count for name, count in row.items() if count}
