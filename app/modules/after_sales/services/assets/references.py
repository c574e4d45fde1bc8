"""What assets and the records of service name must be there and visible when it is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import Invalid
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog, ProductRef
from app.modules.contracts.interface import Contracts
from app.modules.customers.interface import Customers
from app.modules.orders.interface import OrderLineRef, Orders

_OWN = {
    "asset_id": ("asset", "assets"),
    "case_id": ("case", "cases"),
    "service_contract_id": ("service_contract", "service_contracts"),
}


def fill(values: dict[str, Any], **found: Any) -> None:
    """Put in what follows from something else where nothing was said."""
    for name, value in found.items():
        if values.get(name) is None:
            values[name] = value


def unknown(name: str) -> Invalid:
    """The refusal of an id that names nothing."""
    noun = name.removesuffix("_id").replace("_", " ")
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")


class References:
    """Checks references through their owners; each is held until the transaction ends."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def own(self, name: str, id: UUID) -> Mapping[str, Any]:
        """A visible row of our own that the field `name` refers to. Raises `Invalid`."""
        object_name, table = _OWN[name]
        if not self._uow.actor.may(f"{object_name}:read"):
            raise unknown(name)
        bind = Bindings(self._uow.tenant_id, id)
        visible = visible_rows(self._uow.actor, object_name, "read", bind)
        row = await self._uow.fetchrow(
            f"SELECT t.* FROM after_sales.{table} t WHERE t.tenant_id = $1 AND t.id = $2 AND t.deleted_at IS NULL"
            f"{f' AND {visible}' if visible else ''} FOR KEY SHARE OF t",
            *bind.values,
        )
        if row is None:
            raise unknown(name)
        return dict(row)

    async def customer(self, values: dict[str, Any], changed: Collection[str]) -> None:
        """The contact and the account, which is the contact's where none is named. Raises `Invalid`."""
        customers = self._uow.of(Customers)
        contact_id = values.get("contact_id") if "contact_id" in changed else None
        if contact_id is not None:
            contact = (await customers.get_contacts([contact_id], hold=True)).get(contact_id)
            if contact is None:
                raise unknown("contact_id")
            fill(values, account_id=contact.account_id)
        account_id = values.get("account_id")
        if account_id is None or not {"account_id", "contact_id"} & set(changed):
            return
        if account_id not in await customers.get_many([account_id], hold=True):
            raise unknown("account_id")

    async def product(self, id: UUID | None) -> ProductRef | None:
        """Raises `Invalid`."""
        if id is None:
            return None
        found = (await self._uow.of(Catalog).get_many([id], hold=True)).get(id)
        if found is None:
            raise unknown("product_id")
        return found

    async def contract(self, id: UUID | None) -> None:
        """Raises `Invalid`."""
        if id is not None and id not in await self._uow.of(Contracts).get_many([id], hold=True):
            raise unknown("contract_id")

    async def order_line(self, values: dict[str, Any]) -> OrderLineRef | None:
        """The order's line, if one is named; the account is the order's where none is. Raises `Invalid`."""
        order_id, line_id = values.get("order_id"), values.get("order_line_id")
        if order_id is None:
            if line_id is not None:
                raise Invalid.at("/order_line_id", "order_missing", "Name the order of this line too.")
            return None
        orders = self._uow.of(Orders)
        order = (await orders.get_many([order_id])).get(order_id)
        if order is None:
            raise unknown("order_id")
        fill(values, account_id=order.account_id, bought_on=order.ordered_on)
        if line_id is None:
            return None
        line = next((one for one in await orders.lines_of([order_id]) if one.id == line_id), None)
        if line is None:
            raise Invalid.at("/order_line_id", "unknown_reference", "The order has no line with this id.")
        fill(values, product_id=line.product_id)
        return line
