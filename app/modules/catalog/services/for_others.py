"""`Catalog` for other modules, bound to their transaction. The catalogue is one for all members of a tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ConfiguredLine, PriceQuery, Pricing, ProductRef, Violation
from app.modules.catalog.services.facts import Facts, product_ref, product_rows
from app.modules.catalog.services.price_books import ids_by_code
from app.modules.catalog.services.rule_facts import load_rules
from app.modules.catalog.services.violations import find_violations
from app.modules.catalog.services.waterfall import CannotPrice, Refusal, price_refusals, resolve


class CatalogOfTenant:
    """Products and prices of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ProductRef]:
        """`cost` is that in the tenant's currency."""
        if not ids:
            return {}
        hidden = "costs" in self._uow.actor.hidden("product")
        currency = self._uow.actor.tenant.currency
        rows = await product_rows(self._uow, ids, hold=hold)
        return {id: product_ref(row, currency, hidden=hidden) for id, row in rows.items()}

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        if not ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT id, name FROM catalog.products WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(ids),
        )
        return {row["id"]: row["name"] for row in rows}

    async def by_code(self, codes: Collection[str]) -> Mapping[str, UUID]:
        return await ids_by_code(self._uow, "products", codes) if codes else {}

    async def price(self, query: PriceQuery, *, pointer: str = "/lines") -> Pricing:
        facts = Facts(self._uow, query)
        await facts.load()
        unsellable = facts.refusals()
        if not unsellable:
            try:
                return resolve(query, [facts.of(line) for line in query.lines])
            except CannotPrice as error:
                raise _invalid(error.refusals, pointer) from None
        refused = {refusal.line for refusal in unsellable}
        known = [None if index in refused else facts.of(line) for index, line in enumerate(query.lines)]
        both = [*unsellable, *price_refusals(query, known)]
        raise _invalid(sorted(both, key=lambda one: -1 if one.line is None else one.line), pointer)

    async def violations(self, lines: Sequence[ConfiguredLine]) -> Sequence[Violation]:
        if not lines:
            return []
        return find_violations(lines, await load_rules(self._uow, {line.product_id for line in lines}))


def _invalid(refusals: Sequence[Refusal], pointer: str) -> Invalid:
    """A refusal of the header stands beside the lines."""
    header = pointer.rpartition("/")[0]
    errors = [
        FieldError(
            f"{header if one.line is None else f'{pointer}/{one.line}'}/{one.field}", one.code, one.detail
        )
        for one in refusals
    ]
    return Invalid(errors[0].detail, errors=errors)
