"""A price changed: owners of open quotes with that product are told, once for each quote and change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.quotes.models import PriceNotice, Quote
from app.modules.quotes.schemas.steps import PriceChangeRead, PriceChanges
from app.modules.quotes.services.quotes import QuoteService
from app.modules.quotes.services.states import OPEN

PRICE_CHANGED: Final = "quote.price_changed"
_TITLE: Final = {
    "en": "{quote}: the price of {product} changed from {former} to {price}",
    "zh": "{quote}：{product} 的价格由 {former} 变为 {price}",
}
_NONE: Final = {"en": "none", "zh": "无"}


async def price_changed(
    uow: UnitOfWork,
    product_id: UUID,
    *,
    currency: str,
    former: str | None,
    price: str | None,
    price_book_id: UUID | None,
    account_id: UUID | None,
    contract_id: UUID | None,
) -> None:
    """Note it at every open quote in this currency, of the account or contract that it was agreed with if any.

    It counts for lines of the product, and of its variants that take its price.
    """
    products = await uow.of(Catalog).priced_by(
        product_id,
        currency,
        price_book_id=price_book_id,
        account_id=account_id,
        contract_id=contract_id,
    )
    rows = await uow.fetch(
        _NOTE,
        uow.tenant_id,
        products,
        currency,
        former,
        price,
        account_id,
        contract_id,
        list(OPEN),
        uow.now,
    )
    concerned = [row for row in rows if row["owner_id"] is not None]
    if concerned:
        language = uow.actor.tenant.language
        prices = {"former": _text(former, currency, language), "price": _text(price, currency, language)}
        await _tell_owners(uow, concerned, product_id, prices)


async def _tell_owners(
    uow: UnitOfWork, quotes: Sequence[Any], product_id: UUID, prices: Mapping[str, str]
) -> None:
    name = (await uow.of(Catalog).names([product_id])).get(product_id, "")
    notices = []
    for row in quotes:
        title = _TITLE[uow.actor.tenant.language].format(
            quote=f"{row['number']} rev. {row['revision']}", product=name, **prices
        )
        notices.append((row["owner_id"], Notice(PRICE_CHANGED, title, object="quote", record_id=row["id"])))
    await Notifications(uow).tell_each(notices)


def _text(price: str | None, currency: str, language: str) -> str:
    return _NONE[language] if price is None else f"{price} {currency}"


class PriceNotices:
    """What changed since a quote was priced."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    async def of(self, id: UUID) -> PriceChanges:
        """Raises `NotFound`."""
        await self._quotes.get(id)
        statement = self._uow.select(PriceNotice).where(PriceNotice.quote_id == id)
        rows = await self._uow.all(statement.order_by(PriceNotice.changed_at, PriceNotice.id))
        names = await self._uow.of(Catalog).names([row.product_id for row in rows])
        shown = "total" not in self._uow.actor.hidden("quote")
        return PriceChanges(
            data=[
                PriceChangeRead(
                    product_id=row.product_id,
                    product_name=names.get(row.product_id),
                    former=row.former if shown else None,
                    price=row.price if shown else None,
                    changed_at=row.changed_at,
                )
                for row in rows
            ]
        )

    async def keep(self, id: UUID, *, expected_version: int) -> Quote:
        """The quote stays at its prices, and nobody has to look at it. Raises `NotFound`, `StaleVersion`."""
        row = await self._quotes.locked(id, expected_version)
        await self._quotes.settle_prices(row)
        self._uow.record_audit("quote", row.id, "prices_kept")
        return row


# By keys, not by joins, which went through all pairs of quotes and lines as long as the tables were not analyzed.
_NOTE: Final = """
WITH touched AS (
  SELECT q.id, q.owner_id, q.number, q.revision FROM quotes.quotes q
  WHERE q.tenant_id = $1 AND q.currency = $3 AND q.status = ANY($8::text[]) AND q.deleted_at IS NULL
    AND ($6::uuid IS NULL OR q.account_id = $6) AND ($7::uuid IS NULL OR q.contract_id = $7)
    AND q.id = ANY(ARRAY(
      SELECT DISTINCT l.quote_id FROM quotes.quote_lines l
      WHERE l.tenant_id = $1 AND l.product_id = ANY($2::uuid[])))
  ORDER BY q.id FOR KEY SHARE OF q
), noted AS (
  INSERT INTO quotes.price_notices AS n (tenant_id, id, quote_id, product_id, former, price, changed_at)
  SELECT $1, gen_random_uuid(), t.id, l.product_id, $4::text, $5::text, $9::timestamptz
  FROM touched t CROSS JOIN LATERAL (
    SELECT DISTINCT l.product_id FROM quotes.quote_lines l
    WHERE l.tenant_id = $1 AND l.quote_id = t.id AND l.product_id = ANY($2::uuid[])) l
  ORDER BY t.id, l.product_id
  ON CONFLICT (tenant_id, quote_id, product_id) DO UPDATE SET price = $5, changed_at = $9
    WHERE n.price IS DISTINCT FROM $5
  RETURNING n.quote_id
)
SELECT t.* FROM touched t WHERE t.id = ANY(ARRAY(SELECT n.quote_id FROM noted n)) ORDER BY t.id"""
