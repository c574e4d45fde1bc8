"""What goes over the wire for assets and their warranty."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.schemas import Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.after_sales.models.assets import AssetStatus

SerialNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class WarrantyTermCreate(RecordInput):
    """What is promised with a product; it has one set of terms."""

    product_id: UUID
    months: Annotated[int, Field(ge=1, le=1200, examples=[24])]
    coverage: ShortText = Field(examples=["Parts and labour, on site"])


WarrantyTermUpdate = patch_of(WarrantyTermCreate)


class WarrantyTermRead(RecordOutput):
    """What is promised with a product."""

    product_id: UUID
    months: int
    coverage: str


class AssetCreate(RecordInput):
    """Something that a customer has. Warranty dates that are left out follow from the product and the purchase."""

    name: ShortText | None = Field(None, description="Absent means the product's name.")
    serial_number: SerialNumber | None = Field(None, description="Unique among those of the product.")
    status: AssetStatus = AssetStatus.INSTALLED
    product_id: UUID | None = None
    account_id: UUID | None = Field(None, description="Absent means the contact's or the order's.")
    contact_id: UUID | None = None
    order_id: UUID | None = None
    order_line_id: UUID | None = Field(None, description="What was bought; needs its order.")
    bought_on: date | None = None
    installed_on: date | None = None
    location: ShortText | None = Field(None, examples=["Pier 4, pump house"])
    warranty_starts_on: date | None = Field(None, description="Absent means when it was bought.")
    warranty_ends_on: date | None = Field(
        None, description="The last day; absent means as the product's terms say."
    )
    warranty_terms: ShortText | None = Field(None, description="Absent means what the product's terms cover.")


AssetUpdate = patch_of(AssetCreate)


class AssetRead(RecordOutput):
    """An asset as stored."""

    name: str
    serial_number: str | None
    status: AssetStatus
    product_id: UUID | None
    account_id: UUID | None
    contact_id: UUID | None
    order_id: UUID | None
    order_line_id: UUID | None
    bought_on: date | None
    installed_on: date | None
    location: str | None
    warranty_starts_on: date | None
    warranty_ends_on: date | None = Field(description="The last day; null where nothing was promised.")
    warranty_terms: str | None = Field(description="What is covered, as it was promised then.")


class AssetWarranty(Output):
    """Whether an asset is under warranty on a day."""

    on: date
    covered: bool
    starts_on: date | None
    ends_on: date | None
    days_left: int | None = Field(
        description="Days after this one on which it is covered; null if it is not."
    )
    terms: str | None
