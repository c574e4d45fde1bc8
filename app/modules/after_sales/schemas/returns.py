"""What goes over the wire for the returns of cases."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.kernel.schemas import Input, Output, ShortText
from app.modules.after_sales.schemas.assets import SerialNumber
from app.modules.after_sales.schemas.service import Quantity


class CaseReturnLine(Input):
    """So much of an order's line comes back."""

    order_line_id: UUID
    quantity: Quantity
    reason: ShortText | None = Field(None, description="Absent means that of the return.")
    serial_numbers: list[SerialNumber] = Field(default_factory=list, max_length=1000)


class CaseReturnCreate(Input):
    """A return that comes of a case."""

    order_id: UUID | None = Field(None, description="Absent means the case's.")
    reason: ShortText | None = Field(None, description="Absent means the case's subject.")
    lines: Annotated[list[CaseReturnLine], Field(min_length=1, max_length=200)] | None = Field(
        None, description="Absent means one of the case's order line."
    )


class CaseReturnRead(Output):
    """A return as its case shows it; it goes on at `/v1/returns`."""

    id: UUID
    number: str
    status: str
    order_id: UUID | None
    account_id: UUID
    requested_on: date


class CaseReturns(Output):
    """The returns of a case, oldest first."""

    data: list[CaseReturnRead]
