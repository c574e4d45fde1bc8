"""Configuration rules: what a product needs beside it, does not go with, or how many of it there may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from app.kernel.errors import FieldError, Invalid
from app.kernel.records import RecordService, RecordType, Search
from app.modules.catalog.models.configuration import ConfigurationRule, RuleKind
from app.modules.catalog.schemas.configuration import (
    ConfigurationRuleCreate,
    ConfigurationRuleRead,
    ConfigurationRuleUpdate,
)
from app.modules.catalog.services.categories import KEPT_BY_MANAGERS
from app.modules.catalog.services.price_books import held_products

_BOUNDS = ("min_quantity", "max_quantity", "multiple_of")


class ConfigurationRuleService(RecordService[ConfigurationRule]):
    """Rules; each has what its kind needs, and nothing else."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        _check_shape(values)
        await self._check_products(values)

    async def before_update(self, row: ConfigurationRule, changes: dict[str, Any]) -> None:
        after = {**row.__dict__, **changes}
        _check_shape(after)
        if {"product_id", "other_product_ids"} & changes.keys():
            await self._check_products(after)

    async def _check_products(self, values: Mapping[str, Any]) -> None:
        others = values["other_product_ids"]
        found = await held_products(self.uow, {values["product_id"], *others})
        errors = []
        if values["product_id"] not in found:
            errors.append(_unknown("/product_id"))
        errors += [
            _unknown(f"/other_product_ids/{index}") for index, id in enumerate(others) if id not in found
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)


def _unknown(pointer: str) -> FieldError:
    return FieldError(pointer, "unknown_reference", "There is no product with this id.")


def _check_shape(values: Mapping[str, Any]) -> None:
    """Raises `Invalid`."""
    others = values["other_product_ids"]
    bounds = [name for name in _BOUNDS if values.get(name) is not None]
    if values["kind"] == RuleKind.QUANTITY:
        if others:
            raise Invalid.at(
                "/other_product_ids", "wrong_kind", "A rule of quantity names no other products."
            )
        if not bounds:
            raise Invalid.at("/min_quantity", "required", "A rule of quantity says how many.")
    else:
        if bounds:
            raise Invalid.at(f"/{bounds[0]}", "wrong_kind", "Only a rule of quantity says how many.")
        if not others:
            raise Invalid.at("/other_product_ids", "required", "Name the other products.")
        if values["product_id"] in others or len(set(others)) < len(others):
            raise Invalid.at(
                "/other_product_ids", "repeated_product", "Name each of the other products once."
            )
    for name in bounds:
        if values[name] <= 0:
            raise Invalid.at(f"/{name}", "not_positive", "A quantity is more than nothing.")
    least, most = values.get("min_quantity"), values.get("max_quantity")
    if least is not None and most is not None and most < least:
        raise Invalid.at("/max_quantity", "below_minimum", "At most is no less than at least.")


CONFIGURATION_RULE: RecordType[ConfigurationRule] = RecordType(
    object="configuration_rule",
    plural="configuration_rules",
    module="catalog",
    model=ConfigurationRule,
    read=ConfigurationRuleRead,
    create=ConfigurationRuleCreate,
    update=ConfigurationRuleUpdate,
    service=ConfigurationRuleService,
    search=Search(names=("name",)),
    importable=False,
    default_scopes=KEPT_BY_MANAGERS,
)
ConfigurationRuleService.record = CONFIGURATION_RULE
