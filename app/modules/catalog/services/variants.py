"""Variants: one for each combination of the values of a product's options."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.catalog.models import Product
from app.modules.catalog.schemas import ProductCreate
from app.modules.catalog.schemas.configuration import VariantsAnswer
from app.modules.catalog.services.products import ProductService

MAX_VARIANTS = 200
_SHORT = 200


class VariantService:
    """Makes the variants that are missing; whoever makes some holds the parent meanwhile."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._products = ProductService(uow)

    async def generate(self, parent_id: UUID) -> VariantsAnswer:
        """Raises `NotFound`, `Invalid` without options or with too many combinations, `DuplicateValue` for a code."""
        parent = await self._products.get(parent_id, action="update", lock="update")
        if not parent.options:
            raise Invalid.at("/options", "no_options", "This product has no options to choose from.")
        if prod(len(option["values"]) for option in parent.options) > MAX_VARIANTS:
            raise Invalid.at(
                "/options", "too_many_variants", f"At most {MAX_VARIANTS} variants are made at once."
            )
        rows = await self._uow.fetch(
            "SELECT option_values FROM catalog.products WHERE tenant_id = $1 AND parent_id = $2"
            " AND deleted_at IS NULL",
            self._uow.tenant_id,
            parent_id,
        )
        there = [row["option_values"] for row in rows]
        made = [
            (await self._products.create(fields_of(body), explicit=body.model_fields_set)).id
            for values, body in _combinations(parent)
            if values not in there
        ]
        return VariantsAnswer(created=made, existing=len(there))


def _combinations(parent: Product) -> Iterator[tuple[dict[str, str], ProductCreate]]:
    keys = [option["key"] for option in parent.options]
    for chosen in itertools.product(*(option["values"] for option in parent.options)):
        values = {key: value["key"] for key, value in zip(keys, chosen, strict=True)}
        yield values, _variant(parent, values, chosen)


def _variant(parent: Product, values: dict[str, str], chosen: Sequence[dict[str, Any]]) -> ProductCreate:
    code = "-".join([parent.code, *(value["key"].upper() for value in chosen)])
    if len(code) > 64:
        raise Invalid.at("/code", "too_long", f"The code {code} of a variant would be too long.")
    name_en = None
    if parent.name_en or any(value["name_en"] for value in chosen):
        parts = [parent.name_en or parent.name, *(value["name_en"] or value["name"] for value in chosen)]
        name_en = " ".join(parts)[:_SHORT]
    return ProductCreate.model_validate(
        {
            "code": code,
            "name": " ".join([parent.name, *(value["name"] for value in chosen)])[:_SHORT],
            "name_en": name_en,
            "status": parent.status,
            "parent_id": parent.id,
            "option_values": values,
        }
    )
