"""What lies in stock: the default of the `Stock` port, on tables of our own.

Whoever changes stock locks the levels of all products concerned in one order, the products' ids, so that no two
orders wait for each other; `on_hand >= reserved >= 0` holds by constraint besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, literal

from app.kernel.decimals import decimal_text
from app.kernel.errors import Conflict, Invalid
from app.kernel.ids import new_id
from app.kernel.listing import Kind
from app.kernel.log_pages import NEWEST, order_by, select_page
from app.kernel.schemas import Page
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.orders.interface import OutOfStock, Stock, StockNeed
from app.modules.orders.models.orders import MovementKind, StockLevel, StockMovement
from app.modules.orders.schemas.orders import StockAdjustment, StockLevelRead, StockMovementRead

_ZERO = Decimal(0)
_BY_PRODUCT = order_by({"product_id": Kind.UUID})


def stock_of(uow: UnitOfWork) -> Stock:
    """Where goods lie: the last registered implementation of the port, a warehouse system's before our own."""
    return uow.ports(Stock)[-1]


class OnHandStock:
    """`Stock` on `stock_levels`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def reserve(self, needs: Sequence[StockNeed]) -> None:
        wanted = _by_product(needs)
        if not wanted:
            return
        levels = await self.locked(wanted)
        lacking = [
            {
                "product_id": str(product),
                "wanted": decimal_text(quantity),
                "available": decimal_text(_available(levels.get(product))),
            }
            for product, quantity in sorted(wanted.items())
            if quantity > _available(levels.get(product))
        ]
        if lacking:
            raise OutOfStock(lacking=lacking)
        await self.change({product: (_ZERO, quantity) for product, quantity in wanted.items()})
        await self._uow.fetch(
            "INSERT INTO orders.stock_reservations (tenant_id, id, order_id, product_id, quantity)"
            " SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::numeric[])",
            self._uow.tenant_id,
            [need.line_id for need in needs],
            [need.order_id for need in needs],
            [need.product_id for need in needs],
            [need.quantity for need in needs],
        )

    async def release(self, line_ids: Collection[UUID]) -> None:
        kept = await self._kept(line_ids)
        freed: dict[UUID, Decimal] = {}
        for product, quantity in kept.values():
            freed[product] = freed.get(product, _ZERO) + quantity
        if not freed:
            return
        await self.locked(freed)
        await self._uow.fetch(
            "DELETE FROM orders.stock_reservations WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(kept),
        )
        await self.change({product: (_ZERO, -quantity) for product, quantity in freed.items()})

    async def ship(self, needs: Sequence[StockNeed]) -> None:
        kept = await self._kept([need.line_id for need in needs])
        needs = [
            need for need in needs if need.line_id in kept
        ]  # what was never reserved is not kept on hand
        wanted = _by_product(needs)
        if not wanted:
            return
        levels = await self.locked(wanted)
        taken = await self._uow.fetch(
            "UPDATE orders.stock_reservations r SET quantity = r.quantity - n.quantity"
            " FROM unnest($2::uuid[], $3::numeric[]) AS n(id, quantity)"
            " WHERE r.tenant_id = $1 AND r.id = n.id AND r.quantity >= n.quantity RETURNING r.id",
            self._uow.tenant_id,
            [need.line_id for need in needs],
            [need.quantity for need in needs],
        )
        if len(taken) < len(needs):
            raise Conflict("Some of it was not reserved.")
        await self.change({product: (-quantity, -quantity) for product, quantity in wanted.items()})
        await self._note(needs, MovementKind.SHIPPED, levels, sign=-1)

    async def _kept(self, line_ids: Collection[UUID]) -> dict[UUID, tuple[UUID, Decimal]]:
        """Product and quantity that are reserved, by line."""
        if not line_ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT id, product_id, quantity FROM orders.stock_reservations"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(line_ids),
        )
        return {row["id"]: (row["product_id"], row["quantity"]) for row in rows}

    async def take_back(self, needs: Sequence[StockNeed]) -> None:
        wanted = _by_product(needs)
        if not wanted:
            return
        await self.ensure(wanted)
        levels = await self.locked(wanted)
        await self.change({product: (quantity, _ZERO) for product, quantity in wanted.items()})
        await self._note(needs, MovementKind.TAKEN_BACK, levels, sign=1)

    async def locked(self, products: Collection[UUID]) -> dict[UUID, StockLevel]:
        """The levels of these products, held in the order of their ids."""
        rows = await self._uow.fetch(
            "SELECT * FROM orders.stock_levels WHERE tenant_id = $1 AND product_id = ANY($2::uuid[])"
            " ORDER BY product_id FOR NO KEY UPDATE",
            self._uow.tenant_id,
            list(products),
        )
        return {level.product_id: level for level in entities(StockLevel, rows)}

    async def ensure(self, products: Collection[UUID]) -> None:
        """A level for each of these products, of nothing where there was none."""
        ordered = sorted(products)
        await self._uow.fetch(
            "INSERT INTO orders.stock_levels"
            " (tenant_id, id, product_id, on_hand, reserved, created_at, updated_at)"
            " SELECT $1, n.id, n.product_id, 0, 0, $4, $4"
            " FROM unnest($2::uuid[], $3::uuid[]) AS n(id, product_id)"
            " ON CONFLICT (tenant_id, product_id) DO NOTHING",
            self._uow.tenant_id,
            [new_id() for _ in ordered],
            ordered,
            self._uow.now,
        )

    async def change(self, changes: Mapping[UUID, tuple[Decimal, Decimal]]) -> None:
        """Add to what is on hand and what is reserved, of levels that are locked."""
        await self._uow.fetch(
            "UPDATE orders.stock_levels s SET on_hand = s.on_hand + n.on_hand, reserved = s.reserved + n.reserved,"
            " version = s.version + 1, updated_at = $5"
            " FROM unnest($2::uuid[], $3::numeric[], $4::numeric[]) AS n(product_id, on_hand, reserved)"
            " WHERE s.tenant_id = $1 AND s.product_id = n.product_id",
            self._uow.tenant_id,
            list(changes),
            [on_hand for on_hand, _ in changes.values()],
            [reserved for _, reserved in changes.values()],
            self._uow.now,
        )

    async def _note(
        self, needs: Sequence[StockNeed], kind: MovementKind, levels: Mapping[UUID, StockLevel], *, sign: int
    ) -> None:
        on_hand = {product: level.on_hand for product, level in levels.items()}
        rows = []
        for need in needs:
            on_hand[need.product_id] += sign * need.quantity
            rows.append(
                {
                    "product_id": need.product_id,
                    "kind": kind.value,
                    "quantity": sign * need.quantity,
                    "on_hand_after": on_hand[need.product_id],
                    "reason": need.note,
                    "order_id": need.order_id,
                    "order_line_id": need.line_id,
                    "moved_by": self._uow.actor.member_id,
                    "moved_at": self._uow.now,
                }
            )
        await self._uow.insert_many(StockMovement, rows)


class StockService:
    """Levels and movements, and what is changed by hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._stock = OnHandStock(uow)

    async def adjust(self, body: StockAdjustment) -> StockMovement:
        """Something came in, went out or was counted. Raises `Invalid`, `OutOfStock`."""
        quantity = Decimal(body.quantity)
        if not quantity:
            raise Invalid.at("/quantity", "nothing", "Nothing came in or went out.")
        product = body.product_id
        await self._require_stocked(product)
        await self._stock.ensure([product])
        level = (await self._stock.locked([product]))[product]
        if quantity < 0 and -quantity > _available(level):
            available = decimal_text(_available(level))
            lacking = {
                "product_id": str(product),
                "wanted": decimal_text(-quantity),
                "available": available,
            }
            raise OutOfStock(lacking=[lacking])
        await self._stock.change({product: (quantity, _ZERO)})
        return await self._uow.insert(
            StockMovement,
            audit="stock_movement",
            product_id=product,
            kind=MovementKind.ADJUSTED.value,
            quantity=quantity,
            on_hand_after=level.on_hand + quantity,
            reason=body.reason,
            moved_by=self._uow.actor.member_id,
            moved_at=self._uow.now,
        )

    async def _require_stocked(self, product_id: UUID) -> None:
        found = (await self._uow.of(Catalog).get_many([product_id], hold=True)).get(product_id)
        if found is None:
            raise Invalid.at("/product_id", "unknown_reference", "There is no product with this id.")
        if not found.stocked:
            raise Invalid.at("/product_id", "not_stocked", "This product is not kept on hand.")

    async def levels(
        self, product_ids: Sequence[UUID] | None, *, limit: int, cursor: str | None
    ) -> Page[StockLevelRead]:
        """Levels by product id. Raises `InvalidCursor`."""
        statement = self._uow.select(StockLevel)
        if product_ids:
            statement = statement.where(
                StockLevel.product_id == any_(literal(list(product_ids), ARRAY(Uuid())))
            )
        name = f"stock-levels:{sorted(map(str, product_ids or ()))}"
        found = await select_page(self._uow, statement, _BY_PRODUCT, name=name, limit=limit, cursor=cursor)
        return found.page(_read_level)

    async def movements(
        self, product_id: UUID | None, *, limit: int, cursor: str | None
    ) -> Page[StockMovementRead]:
        """Movements, newest first. Raises `InvalidCursor`."""
        statement = self._uow.select(StockMovement)
        if product_id is not None:
            statement = statement.where(StockMovement.product_id == product_id)
        name = f"stock-movements:{product_id}"
        found = await select_page(self._uow, statement, NEWEST, name=name, limit=limit, cursor=cursor)
        return found.page(read_movement)


def _by_product(needs: Sequence[StockNeed]) -> dict[UUID, Decimal]:
    found: dict[UUID, Decimal] = {}
    for need in needs:
        found[need.product_id] = found.get(need.product_id, _ZERO) + need.quantity
    return found


def _available(level: StockLevel | None) -> Decimal:
    return _ZERO if level is None else level.on_hand - level.reserved


def _read_level(level: StockLevel) -> StockLevelRead:
    return StockLevelRead(
        product_id=level.product_id,
        on_hand=level.on_hand,
        reserved=level.reserved,
        available=_available(level),
        updated_at=level.updated_at,
    )


def read_movement(row: StockMovement) -> StockMovementRead:
    """The wire form."""
    names = StockMovementRead.model_fields
    values: dict[str, Any] = {name: getattr(row, name) for name in names}
    return StockMovementRead(**values)
