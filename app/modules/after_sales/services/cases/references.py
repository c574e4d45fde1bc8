"""What a case names must be there and visible when it is written; what follows from that is filled in."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.services.cases.ports import (
    AssetFacts,
    AssetSource,
    QueueSource,
    ResponseClassSource,
)
from app.modules.after_sales.services.sla.book import SlaBook
from app.modules.catalog.interface import Catalog, ProductRef
from app.modules.customers.interface import Customers
from app.modules.orders.interface import OrderLineRef, Orders

_COPIED: Final = {"asset_id", "order_line_id"}


class References:
    """Checks through the other modules' interfaces and the other topics' ports."""

    def __init__(self, uow: UnitOfWork, book: SlaBook) -> None:
        self._uow = uow
        self._book = book

    async def check(self, values: dict[str, Any], named: Collection[str]) -> None:
        """Look at the `named` references of a whole row, and fill in what is empty and follows from them.

        The warranty is copied when the asset or the order line is named.

        Raises: `Invalid` at the field for what is not there.
        """
        changed = set(named)
        copied = bool(_COPIED & changed)
        if copied:
            changed |= _COPIED | {"order_id"}
        asset = await self._asset(values, changed)
        line = await self._order(values, changed)
        if asset is not None:
            _fill(values, account_id=asset.account_id, product_id=asset.product_id)
        if line is not None:
            _fill(values, account_id=line.account_id, product_id=line.product_id)
        product = await self._product(values, changed)
        await self._contact(values, changed)
        await self._queue(values, changed)
        if copied:
            values["warranty"] = self._warranty(values["opened_at"], asset, line, product)
        await self._account(values, hold="account_id" in changed)

    async def _account(self, values: dict[str, Any], *, hold: bool) -> None:
        """What is agreed with the account, which is held where it is named; one statement, with the book."""
        values["response_class"] = None
        id: UUID | None = values.get("account_id")
        if id is None:
            return
        day = self._uow.actor.tenant.day_of(values["opened_at"])
        about = (id, values.get("asset_id"), day)
        asked = [partial(port.response_class, *about) for port in self._uow.ports(ResponseClassSource)]
        if hold:
            asked.append(partial(self._uow.of(Customers).holds_account, id))
        found = await self._book.beside(*asked)
        if hold and not found.pop():
            raise _unknown("account_id", "account")
        values["response_class"] = next((one for one in found if one is not None), None)

    async def _asset(self, values: dict[str, Any], changed: set[str]) -> AssetFacts | None:
        id: UUID | None = values.get("asset_id") if "asset_id" in changed else None
        if id is None:
            return None
        for port in self._uow.ports(AssetSource):
            found = (await port.assets([id], hold=True)).get(id)
            if found is not None:
                return found
        raise _unknown("asset_id", "asset")

    async def _order(self, values: dict[str, Any], changed: set[str]) -> OrderLineRef | None:
        if not {"order_id", "order_line_id"} & changed:
            return None
        order_id, line_id = values.get("order_id"), values.get("order_line_id")
        if order_id is None:
            if line_id is not None:
                raise Invalid.at("/order_line_id", "order_missing", "Name the order of this line too.")
            return None
        orders = self._uow.of(Orders)
        order = (await orders.get_many([order_id])).get(order_id)
        if order is None:
            raise _unknown("order_id", "order")
        _fill(values, account_id=order.account_id)
        if line_id is None:
            return None
        line = next((one for one in await orders.lines_of([order_id]) if one.id == line_id), None)
        if line is None:
            raise Invalid.at("/order_line_id", "unknown_reference", "The order has no line with this id.")
        return line

    async def _product(self, values: dict[str, Any], changed: set[str]) -> ProductRef | None:
        id: UUID | None = values.get("product_id")
        if id is None or not {"product_id", *_COPIED} & changed:
            return None
        found = (await self._uow.of(Catalog).get_many([id], hold=True)).get(id)
        if found is None and "product_id" in changed:
            raise _unknown("product_id", "product")
        return found

    async def _contact(self, values: dict[str, Any], changed: set[str]) -> None:
        id: UUID | None = values.get("contact_id") if "contact_id" in changed else None
        if id is None:
            return
        contact = (await self._uow.of(Customers).get_contacts([id], hold=True)).get(id)
        if contact is None:
            raise _unknown("contact_id", "contact")
        _fill(values, account_id=contact.account_id)

    async def _queue(self, values: dict[str, Any], changed: set[str]) -> None:
        id: UUID | None = values.get("queue_id") if "queue_id" in changed else None
        if id is None:
            return
        for port in self._uow.ports(QueueSource):
            if id in await port.queues([id]):
                return
        raise _unknown("queue_id", "queue")

    def _warranty(
        self,
        opened_at: datetime,
        asset: AssetFacts | None,
        line: OrderLineRef | None,
        product: ProductRef | None,
    ) -> dict[str, Any] | None:
        """What was promised; the asset knows better than the line on which it was bought."""
        zone = self._uow.actor.tenant
        if asset is not None:
            source, id, name = "asset", asset.id, asset.name
            starts, ends, terms = asset.warranty_starts_on, asset.warranty_ends_on, asset.warranty_terms
        elif line is None:
            return None
        else:
            source, id, name, terms = "order_line", line.id, line.description, None
            starts = zone.day_of(line.at)
            months = product.warranty_months if product is not None else None
            ends = add_months(starts, months) if months else None
        day = zone.day_of(opened_at)
        covered = ends is not None and day <= ends and (starts is None or starts <= day)
        return {
            "source": source,
            "source_id": str(id),
            "name": name,
            "starts_on": None if starts is None else starts.isoformat(),
            "ends_on": None if ends is None else ends.isoformat(),
            "covered": covered,
            "terms": terms,
        }


def _fill(values: dict[str, Any], **found: Any) -> None:
    for name, value in found.items():
        if values.get(name) is None:
            values[name] = value


def _unknown(name: str, noun: str) -> Invalid:
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")
