"""What the catalogue says of an opportunity's lines: that a product is there, its name, and what it costs whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.money import UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog, PriceQuery, PriceQueryLine
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.schemas.selling import OpportunityLineCreate


async def offered(uow: UnitOfWork, row: Opportunity, body: OpportunityLineCreate) -> dict[str, Any]:
    """Name and price of a new line: as given, else the catalogue's, for the account, in the lines' currency.

    Raises: Invalid for an unknown product, and for one that is not for sale or has no price where none is given.
    """
    if body.product_id is None:
        return {}
    if body.unit_price is not None:
        name = await name_of(uow, body.product_id)
        return {"product_name": body.product_name or name}
    currency = (row.currency if row.line_count else None) or uow.actor.tenant.currency
    query = PriceQuery(
        currency=currency,
        on=uow.actor.tenant.day_of(uow.now),
        account_id=row.account_id,
        lines=(PriceQueryLine(product_id=body.product_id, quantity=Decimal(body.quantity)),),
    )
    await name_of(uow, body.product_id)  # which is held
    try:
        [line] = (await uow.of(Catalog).price(query, pointer="")).lines
    except Invalid as refused:
        errors = [replace(error, pointer=error.pointer.removeprefix("/0")) for error in refused.errors]
        raise Invalid(errors[0].detail, errors=errors) from None
    return {
        "product_name": body.product_name or line.product.name,
        "unit_price": UnitPrice(line.unit_price, currency),
    }


async def name_of(uow: UnitOfWork, product_id: UUID) -> str:
    """The product's name; it is not deleted meanwhile. Raises `Invalid` for an unknown one."""
    found = (await uow.of(Catalog).get_many([product_id], hold=True)).get(product_id)
    if found is None:
        raise Invalid.at("/product_id", "unknown_reference", "There is no product with this id.")
    return found.name


class OfferedProducts:
    """`ProductUser`: a product that is offered in an opportunity is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        row = await self._uow.fetchrow(
            "SELECT count(DISTINCT l.opportunity_id) AS opportunities FROM opportunities.lines l"
            " JOIN opportunities.opportunities o"
            "  ON o.tenant_id = l.tenant_id AND o.id = l.opportunity_id AND o.deleted_at IS NULL"
            " WHERE l.tenant_id = $1 AND l.product_id = $2",
            self._uow.tenant_id,
            product_id,
        )
        return {} if row is None else {name: count for name, count in row.items() if count}
