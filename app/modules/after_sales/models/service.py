"""Service: what customers are entitled to, the maintenance that is planned, and the work that is done."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, module_ref, one_of


class EntitlementKind(StrEnum):
    """What a service contract includes: working time in minutes, or visits."""

    MINUTES = "minutes"
    VISITS = "visits"


class WorkOrderStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    SIGNED_OFF = "signed_off"
    CANCELLED = "cancelled"


class ServiceContract(RecordTable):
    """What an account may have done for it within a term, for one asset or for all of its assets.

    What was used is the sum of the draws, and never more than is included. It holds until the day before
    `cancelled_on`, or to the end of `ends_on`.
    """

    __tablename__ = "service_contracts"
    __table_args__ = ({"schema": "after_sales"},)

    number: Mapped[str]
    name: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    contract_id: Mapped[UUID | None] = module_ref("contracts.contracts", on_delete="keep")
    asset_id: Mapped[UUID | None]
    response_class: Mapped[str | None]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    minutes_included: Mapped[int]
    minutes_used: Mapped[int]
    visits_included: Mapped[int]
    visits_used: Mapped[int]
    cancelled_on: Mapped[date | None]


class EntitlementDraw(TenantOwned):
    """So much was taken from a service contract, for a work order or by hand."""

    __tablename__ = "entitlement_draws"
    __table_args__ = (one_of("kind", EntitlementKind), {"schema": "after_sales"})

    service_contract_id: Mapped[UUID]
    kind: Mapped[str]
    quantity: Mapped[int]
    work_order_id: Mapped[UUID | None]
    note: Mapped[str | None]
    drawn_at: Mapped[datetime]
    drawn_by: Mapped[UUID | None]


class MaintenancePlan(RecordTable):
    """Work that an asset needs again and again: every so many months, every so much on a meter, or both.

    `next_due_on` and `next_reading` are what the next work order is opened for; it is opened `lead_days` before.
    """

    __tablename__ = "maintenance_plans"
    __table_args__ = ({"schema": "after_sales"},)

    name: Mapped[str]
    asset_id: Mapped[UUID]
    service_contract_id: Mapped[UUID | None]
    is_active: Mapped[bool]
    every_months: Mapped[int | None]
    starts_on: Mapped[date | None]
    lead_days: Mapped[int]
    next_due_on: Mapped[date | None]
    metric: Mapped[str | None]
    every_reading: Mapped[Decimal | None]
    next_reading: Mapped[Decimal | None]
    instructions: Mapped[str | None]


class WorkOrder(RecordTable):
    """Work to be done; its owner does it, within the window. `minutes_worked` is the sum of its time entries.

    One that a maintenance plan opened says in `planned_on` or `due_reading` for which day or meter reading; of each
    there is one, whatever becomes of it.
    """

    __tablename__ = "work_orders"
    __table_args__ = (one_of("status", WorkOrderStatus), {"schema": "after_sales"})

    number: Mapped[str]
    subject: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    asset_id: Mapped[UUID | None]
    case_id: Mapped[UUID | None]
    service_contract_id: Mapped[UUID | None]
    maintenance_plan_id: Mapped[UUID | None]
    due_on: Mapped[date | None]
    planned_on: Mapped[date | None]
    due_reading: Mapped[Decimal | None]
    window_starts_at: Mapped[datetime | None]
    window_ends_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    report: Mapped[str | None]
    minutes_worked: Mapped[int]
    signed_by: Mapped[str | None]
    signed_at: Mapped[datetime | None]
    signature_file_id: Mapped[UUID | None] = module_ref("kernel.files", on_delete="keep")
    cancel_reason: Mapped[str | None]


class WorkOrderPart(TenantOwned):
    """Something that is used for a work order. What comes `from_stock` is kept for it once the work is planned."""

    __tablename__ = "work_order_parts"
    __table_args__ = ({"schema": "after_sales"},)

    work_order_id: Mapped[UUID]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    description: Mapped[str]
    quantity: Mapped[Decimal]
    serial_numbers: Mapped[list[Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]
    from_stock: Mapped[bool]


class WorkOrderTime(TenantOwned):
    """Time that somebody worked on a work order; `draw_id` is what it took from the service contract."""

    __tablename__ = "work_order_times"
    __table_args__ = ({"schema": "after_sales"},)

    work_order_id: Mapped[UUID]
    member_id: Mapped[UUID] = module_ref("tenants.members", on_delete="keep")
    started_at: Mapped[datetime]
    minutes: Mapped[int]
    note: Mapped[str | None]
    draw_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]
