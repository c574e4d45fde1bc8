"""`Quotes` for other modules, bound to their transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.quotes.interface import QuoteRef
from app.modules.quotes.models import Quote
from app.modules.quotes.services.quotes import QuoteService


class QuotesOfTenant:
    """Quotes as far as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, QuoteRef]:
        if not ids or not self._uow.actor.may("quote:read"):
            return {}
        rows = await QuoteService(self._uow).get_many(list(ids))
        return {id: reference(row) for id, row in rows.items()}


def reference(row: Quote) -> QuoteRef:
    """A quote as others show it."""
    return QuoteRef(
        id=row.id,
        number=row.number,
        revision=row.revision,
        account_id=row.account_id,
        opportunity_id=row.opportunity_id,
        status=row.status,
        total=Money(row.total, row.currency),
        valid_until=row.valid_until,
    )
