"""The wire shapes of bundles, generated variants and configuration rules."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut
from app.kernel.money import UnitPriceOut
from app.kernel.schemas import Input, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.catalog.models.configuration import ComponentPricing, RuleKind
from app.modules.catalog.schemas import Prices, Quantity

MAX_COMPONENTS = 100


class ComponentInput(Input):
    """A product in a bundle; quantities are those of one bundle."""

    product_id: UUID
    required: bool = False
    min_quantity: Quantity = Decimal(1)
    max_quantity: Quantity | None = None
    default_quantity: Quantity = Field(Decimal(1), description="What is offered at first; 0 is not chosen.")
    pricing: ComponentPricing = ComponentPricing.INCLUDED
    fixed_prices: Prices = Field(default_factory=list, description="Of pricing `fixed`: per currency.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        least, most, usual = self.min_quantity, self.max_quantity, self.default_quantity
        if not least > 0 or (most is not None and most < least):
            raise PydanticCustomError("quantities", "At least more than nothing, at most no less than that")
        chosen = usual != 0 or self.required
        if chosen and (usual < least or (most is not None and usual > most)):
            raise PydanticCustomError("default_quantity", "The default lies between least and most")
        if (self.pricing is ComponentPricing.FIXED) != bool(self.fixed_prices):
            raise PydanticCustomError(
                "fixed_prices", "Fixed prices belong to the pricing `fixed`, and only to it"
            )
        return self


class GroupInput(Input):
    """Components among which one chooses."""

    name: ShortText
    name_en: ShortText | None = None
    min_components: int = Field(0, ge=0, le=MAX_COMPONENTS, description="So many of them at least.")
    max_components: int | None = Field(None, ge=1, le=MAX_COMPONENTS, description="So many of them at most.")
    components: Annotated[list[ComponentInput], Field(min_length=1, max_length=MAX_COMPONENTS)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        required = sum(one.required for one in self.components)
        most = len(self.components) if self.max_components is None else self.max_components
        if self.min_components > min(most, len(self.components)) or required > most:
            raise PydanticCustomError("impossible_choice", "No choice of components fits the group's numbers")
        return self


def _each_once(groups: list[GroupInput]) -> list[GroupInput]:
    ids = [one.product_id for group in groups for one in group.components]
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("repeated_component", "A product is a component of a bundle once")
    return groups


Groups = Annotated[list[GroupInput], Field(max_length=20), AfterValidator(_each_once)]


class BundleInput(Input):
    """The whole of a bundle; without groups the product is no bundle any more."""

    groups: Groups


class ComponentRead(Output):
    """A product in a bundle."""

    product_id: UUID
    product_code: str
    product_name: str
    required: bool
    min_quantity: DecimalOut
    max_quantity: DecimalOut | None
    default_quantity: DecimalOut
    pricing: ComponentPricing
    fixed_prices: list[UnitPriceOut]


class GroupRead(Output):
    """Components among which one chooses."""

    name: str
    name_en: str | None
    min_components: int
    max_components: int | None
    components: list[ComponentRead]


class BundleRead(Output):
    """What a bundle is made of. `version` is the product's."""

    product_id: UUID
    version: int
    groups: list[GroupRead]


class ProductAttachmentInput(Input):
    """A file that you uploaded by `POST /v1/files`, or may open."""

    file_id: UUID


class ProductAttachmentRead(Output):
    """A file on a product."""

    id: UUID
    file_id: UUID
    name: str
    media_type: str
    size: int
    created_at: datetime
    created_by: UUID | None


class ProductAttachments(Output):
    """The files of a product, in the order they were added."""

    data: list[ProductAttachmentRead]


class VariantsAnswer(Output):
    """The variants that were made; combinations that exist already are left as they are."""

    created: list[UUID]
    existing: int


class ConfigurationRuleCreate(RecordInput):
    """What a product needs beside it, does not go with, or how many of it there may be. A rule on a product with
    options holds for its variants too.
    """

    name: ShortText
    kind: RuleKind
    product_id: UUID
    other_product_ids: Annotated[list[UUID], Field(max_length=100)] = Field(
        default_factory=list, description="Of `requires` any of which must be there; of `excludes` none."
    )
    min_quantity: Quantity | None = None
    max_quantity: Quantity | None = None
    multiple_of: Quantity | None = None
    message: ShortText | None = Field(
        None, description="What people read; absent, the product tells it itself."
    )
    active: bool = True


ConfigurationRuleUpdate = patch_of(ConfigurationRuleCreate)


class ConfigurationRuleRead(RecordOutput):
    """A configuration rule."""

    name: str
    kind: RuleKind
    product_id: UUID
    other_product_ids: list[UUID]
    min_quantity: DecimalOut | None
    max_quantity: DecimalOut | None
    multiple_of: DecimalOut | None
    message: str | None
    active: bool
