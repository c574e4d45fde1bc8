"""The tables of prices: price books, their entries, and prices agreed with one account or in one contract."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, module_ref, one_of


class BookKind(StrEnum):
    """Whom a price book is for; earlier ones go before later ones."""

    CONTRACT = "contract"
    PARTNER = "partner"
    SEGMENT = "segment"
    CHANNEL = "channel"
    DEFAULT = "default"


class TierKind(StrEnum):
    """A range prices the whole quantity at one tier's price, slabs price each part at its own."""

    RANGE = "range"
    SLAB = "slab"


class PriceBook(RecordTable):
    """Prices in one currency for whoever its kind and key name. Of several, the smaller `priority` goes first.

    Contracts and partners belong to modules above this one: their ids are compared with those of a query, no more.
    """

    __tablename__ = "price_books"
    __table_args__ = (one_of("kind", BookKind), {"schema": "catalog"})

    code: Mapped[str]
    name: Mapped[str]
    name_en: Mapped[str | None]
    currency: Mapped[str]
    kind: Mapped[str]
    contract_id: Mapped[UUID | None]
    partner_id: Mapped[UUID | None]
    segment: Mapped[str | None]
    channel: Mapped[str | None]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    priority: Mapped[int]
    active: Mapped[bool]


class PriceBookEntry(RecordTable):
    """A product's price in a book, in major units, and its tiers: what costs how much from which quantity on."""

    __tablename__ = "price_book_entries"
    __table_args__ = (one_of("tier_kind", TierKind), {"schema": "catalog"})

    price_book_id: Mapped[UUID]
    product_id: Mapped[UUID]
    currency: Mapped[str]
    price: Mapped[Decimal]
    tier_kind: Mapped[str]
    tiers: Mapped[list[Any]]


class AgreedPrice(RecordTable):
    """What one account, or one contract, pays for a product, in major units."""

    __tablename__ = "agreed_prices"
    __table_args__ = ({"schema": "catalog"},)

    product_id: Mapped[UUID]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="keep")
    contract_id: Mapped[UUID | None]
    currency: Mapped[str]
    price: Mapped[Decimal]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
