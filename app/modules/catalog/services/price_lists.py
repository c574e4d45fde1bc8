"""Whole price lists at once: a thousand entries of a book are set in a handful of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.ids import new_id
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.catalog.models.prices import PriceBook, PriceBookEntry
from app.modules.catalog.schemas.prices import EntriesInput, EntriesSet, EntryInput
from app.modules.catalog.services.price_books import (
    PRICE_BOOK_ENTRY,
    PriceBookService,
    held_products,
    ids_by_code,
    tell_book_price,
    tiers_as_stored,
)

_CHANGING = ("price", "tier_kind", "tiers")


class PriceListService:
    """Sets entries; writers of one book's list wait for each other."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def set(self, book_id: UUID, body: EntriesInput) -> EntriesSet:
        """Make or change the entry of each product, all or none; other entries stay as they are.

        Raises: `NotFound`; `Invalid`, with every product that is unknown or given twice.
        """
        self._uow.actor.require("price_book_entry:create")
        book = await PriceBookService(self._uow).get(book_id, action="update", lock="update")
        products = await self._products(body.entries)
        rows = await self._uow.fetch(
            "SELECT * FROM catalog.price_book_entries WHERE tenant_id = $1 AND price_book_id = $2"
            " AND product_id = ANY($3::uuid[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
            self._uow.tenant_id,
            book_id,
            products,
        )
        there = {row["product_id"]: entity(PriceBookEntry, row) for row in rows}
        wanted = {id: _values(one) for id, one in zip(products, body.entries, strict=True)}
        new = {id: values for id, values in wanted.items() if id not in there}
        changed = {
            id: values
            for id, values in wanted.items()
            if id in there and any(getattr(there[id], name) != values[name] for name in _CHANGING)
        }
        await self._create(book, new)
        await self._change([there[id] for id in changed], list(changed.values()))
        return EntriesSet(
            created=len(new), updated=len(changed), unchanged=len(wanted) - len(new) - len(changed)
        )

    async def _products(self, entries: Sequence[EntryInput]) -> list[UUID]:
        """Their ids in the order given, held so that nobody deletes them meanwhile."""
        codes = {one.product_code for one in entries if one.product_code is not None}
        by_code = await ids_by_code(self._uow, "products", codes) if codes else {}
        named = [one.product_id or by_code.get(one.product_code or "") for one in entries]
        found = await held_products(self._uow, {id for id in named if id is not None})
        errors, ids = [], []
        for index, (one, id) in enumerate(zip(entries, named, strict=True)):
            pointer = f"/entries/{index}/{'product_id' if one.product_id else 'product_code'}"
            if id is None or id not in found:
                errors.append(FieldError(pointer, "unknown_reference", "There is no such product."))
            elif id in ids:
                errors.append(FieldError(pointer, "repeated_product", "This product is given twice."))
            else:
                ids.append(id)
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        return ids

    async def _create(self, book: PriceBook, new: dict[UUID, dict[str, Any]]) -> None:
        actor = self._uow.actor
        stamps = {"version": 1, "created_at": self._uow.now, "updated_at": self._uow.now}
        rows = [
            {
                "id": new_id(),
                "price_book_id": book.id,
                "product_id": id,
                "currency": book.currency,
                **values,
                "external_id": None,
                "owner_id": actor.member_id,
                "team_id": actor.home_team_id,
                "tags": [],
                "custom": {},
                "tokens": [],
                "created_by": actor.member_id,
                "deleted_at": None,
                **stamps,
            }
            for id, values in new.items()
        ]
        await self._uow.insert_many(PriceBookEntry, rows)
        for row in rows:
            made = entity(PriceBookEntry, {"tenant_id": self._uow.tenant_id, **row})
            shown = ("price_book_id", "product_id", *_CHANGING)
            changes = {name: [None, row[name]] for name in shown}
            self._uow.record_audit(PRICE_BOOK_ENTRY.object, made.id, "created", changes)
            self._uow.publish_record(
                PRICE_BOOK_ENTRY.created, made.id, 1, record=PRICE_BOOK_ENTRY.render(made)
            )
            tell_book_price(self._uow, made, None, made.price)
        if rows:
            self._uow.meter("records.created", len(rows))

    async def _change(self, rows: Sequence[PriceBookEntry], values: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        await self._uow.fetch(
            _UPDATE,
            self._uow.tenant_id,
            [{"id": row.id, **one} for row, one in zip(rows, values, strict=True)],
            self._uow.now,
        )
        for row, one in zip(rows, values, strict=True):
            version = row.version + 1
            after = entity(
                PriceBookEntry, {**row.__dict__, **one, "version": version, "updated_at": self._uow.now}
            )
            changes = {
                name: [getattr(row, name), one[name]] for name in _CHANGING if getattr(row, name) != one[name]
            }
            self._uow.record_audit(PRICE_BOOK_ENTRY.object, row.id, "updated", changes)
            record = PRICE_BOOK_ENTRY.render(after)
            self._uow.publish_record(
                PRICE_BOOK_ENTRY.updated, row.id, version, changed=list(changes), record=record
            )
            tell_book_price(self._uow, after, row.price, after.price)


def _values(one: EntryInput) -> dict[str, Any]:
    return {"price": one.price, "tier_kind": one.tier_kind.value, "tiers": tiers_as_stored(one.tiers)}


_UPDATE = """
UPDATE catalog.price_book_entries t
SET price = n.price, tier_kind = n.tier_kind, tiers = n.tiers, version = t.version + 1, updated_at = $3
FROM jsonb_to_recordset($2::jsonb) AS n(id uuid, price numeric, tier_kind text, tiers jsonb)
WHERE t.tenant_id = $1 AND t.id = n.id"""
