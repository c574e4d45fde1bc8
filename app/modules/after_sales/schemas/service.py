"""What goes over the wire for service contracts, maintenance plans and work orders."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from app.kernel.decimals import DecimalOut, decimal_field
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.after_sales.models.service import EntitlementKind, WorkOrderStatus
from app.modules.after_sales.schemas.assets import SerialNumber

Included = Annotated[int, Field(ge=0, le=10_000_000)]
ResponseClass = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Metric = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,59}$"), Field(examples=["operating_hours"])
]
"""The name of something that is measured."""
Quantity = Annotated[str, *decimal_field(r"^[0-9]{1,10}(\.[0-9]{1,4})?$", "1")]


class ServiceContractCreate(RecordInput):
    """What a customer may have done within a term."""

    name: ShortText = Field(examples=["Full service"])
    account_id: UUID
    contract_id: UUID | None = Field(None, description="The contract in which it was agreed.")
    asset_id: UUID | None = Field(None, description="Absent means all assets of the account.")
    response_class: ResponseClass | None = Field(
        None, examples=["gold"], description="How fast we answer; your own word."
    )
    starts_on: date
    ends_on: date = Field(description="The last day.")
    minutes_included: Included = Field(0, description="Working time, in minutes.")
    visits_included: Included = 0
    cancelled_on: date | None = Field(None, description="The first day on which it no longer holds.")


ServiceContractUpdate = patch_of(ServiceContractCreate)


class ServiceContractRead(RecordOutput):
    """A service contract, and what was drawn on it."""

    number: str
    name: str
    account_id: UUID
    contract_id: UUID | None
    asset_id: UUID | None
    response_class: str | None
    starts_on: date
    ends_on: date
    minutes_included: int
    minutes_used: int
    visits_included: int
    visits_used: int
    cancelled_on: date | None


class EntitlementDrawCreate(Input):
    """Take something from what is included."""

    kind: EntitlementKind
    quantity: Annotated[int, Field(ge=1, le=1_000_000, description="Minutes, or visits.", examples=[1])]
    note: ShortText | None = None


class EntitlementDrawRead(Output):
    """Something that was taken, and for what."""

    id: UUID
    kind: EntitlementKind
    quantity: int
    work_order_id: UUID | None
    note: str | None
    drawn_at: datetime
    drawn_by: UUID | None


class MaintenancePlanCreate(RecordInput):
    """Work that comes again: by the calendar, by a meter, or by both."""

    name: ShortText = Field(examples=["Yearly inspection"])
    asset_id: UUID
    service_contract_id: UUID | None = None
    is_active: bool = True
    every_months: Annotated[int, Field(ge=1, le=1200)] | None = Field(
        12, description="Null means not by the calendar."
    )
    starts_on: date | None = Field(None, description="The first day on which it is due; absent means today.")
    lead_days: Annotated[int, Field(ge=0, le=365)] = Field(
        0, description="How many days before it is due its work order is opened."
    )
    metric: Metric | None = Field(None, description="The meter that decides.")
    every_reading: Quantity | None = Field(None, description="Due each time that the meter has gone so far.")
    instructions: LongText | None = None


MaintenancePlanUpdate = patch_of(MaintenancePlanCreate)


class MaintenancePlanRead(RecordOutput):
    """A maintenance plan, and what it opens a work order for next."""

    name: str
    asset_id: UUID
    service_contract_id: UUID | None
    is_active: bool
    every_months: int | None
    starts_on: date | None
    lead_days: int
    next_due_on: date | None
    metric: str | None
    every_reading: DecimalOut | None
    next_reading: DecimalOut | None
    instructions: str | None


class WorkOrderCreate(RecordInput):
    """Work to be done. Its owner is who does it."""

    subject: ShortText = Field(examples=["Replace the seal"])
    description: LongText | None = None
    account_id: UUID | None = Field(None, description="Absent means that of the asset or the case.")
    contact_id: UUID | None = None
    asset_id: UUID | None = Field(None, description="Absent means the case's.")
    case_id: UUID | None = None
    service_contract_id: UUID | None = Field(
        None, description="What time and visits are drawn from; of the same account."
    )
    due_on: date | None = None


WorkOrderUpdate = patch_of(WorkOrderCreate)


class WorkOrderRead(RecordOutput):
    """A work order as stored."""

    number: str
    subject: str
    description: str | None
    status: WorkOrderStatus
    account_id: UUID | None
    contact_id: UUID | None
    asset_id: UUID | None
    case_id: UUID | None
    service_contract_id: UUID | None
    maintenance_plan_id: UUID | None = Field(description="The plan that opened it.")
    due_on: date | None
    planned_on: date | None = Field(description="The day of the plan for which it was opened.")
    due_reading: DecimalOut | None = Field(description="The meter reading for which it was opened.")
    window_starts_at: datetime | None
    window_ends_at: datetime | None
    started_at: datetime | None
    done_at: datetime | None
    report: str | None
    minutes_worked: int
    signed_by: str | None
    signed_at: datetime | None
    signature_file_id: UUID | None
    cancel_reason: str | None


class WorkOrderSchedule(Input):
    """When it is done, and by whom."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime = Field(examples=["2026-03-01T14:00:00Z"])
    assignee_id: UUID | None = Field(None, description="Who does it; absent means its owner.")


class WorkOrderReport(Input):
    """What was done."""

    report: LongText | None = None
    outside_contract: bool = Field(
        False, description="Draw no visit, although the service contract includes some."
    )


class WorkOrderSignature(Input):
    """The customer's word that it was done."""

    signed_by: ShortText = Field(examples=["R. de Vries"])
    signed_at: AwareDatetime | None = Field(None, description="Not later than now; absent means now.")
    signature_file_id: UUID | None = Field(None, description="A picture of the signature: an uploaded file.")


class WorkOrderCancellation(Input):
    reason: ShortText = Field(examples=["The customer repaired it"])


class WorkOrderPartCreate(Input):
    """Something that is used: a product, or anything else by its description."""

    product_id: UUID | None = None
    description: ShortText | None = Field(
        None, description="Absent means the product's name.", examples=["Seal"]
    )
    quantity: Quantity
    serial_numbers: list[SerialNumber] = Field(default_factory=list, max_length=1000)
    from_stock: bool = Field(
        True,
        description="False: a stocked product that does not come from our stock, but from a van or a shop.",
    )


class WorkOrderPartRead(Output):
    id: UUID
    product_id: UUID | None
    description: str
    quantity: DecimalOut
    serial_numbers: list[str]
    from_stock: bool = Field(
        description="It is kept in stock from when the work is scheduled or begun, and taken out at sign-off."
    )
    created_at: datetime
    created_by: UUID | None


class WorkOrderTimeCreate(Input):
    """Time that somebody worked."""

    member_id: UUID | None = Field(None, description="Absent means you.")
    started_at: AwareDatetime
    minutes: Annotated[int, Field(ge=1, le=10_080, examples=[45])]
    note: ShortText | None = None
    outside_contract: bool = Field(False, description="Draw nothing from the service contract.")


class WorkOrderTimeRead(Output):
    id: UUID
    member_id: UUID
    started_at: datetime
    minutes: int
    note: str | None
    draw_id: UUID | None = Field(description="What it took from the service contract.")
    created_at: datetime
    created_by: UUID | None


class WorkOrderParts(Output):
    """What was used, in the order it was noted."""

    data: list[WorkOrderPartRead]


class WorkOrderTimes(Output):
    """Who worked when, in the order it was noted."""

    data: list[WorkOrderTimeRead]


def decimal_of(text: str | None) -> Decimal | None:
    """A number of the wire as it is stored."""
    return None if text is None else Decimal(text)
