"""What goes over the wire for forms by which customers open cases."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.kernel.contact import Email, Phone
from app.kernel.forms.schemas import WebFormInput, WebFormRead
from app.kernel.schemas import Input, LongText, Output, ShortText, patch_of
from app.modules.after_sales.interface import CasePriority
from app.modules.after_sales.models.cases import CaseSeverity
from app.modules.after_sales.models.forms import CaseSubmissionStatus
from app.modules.after_sales.schemas.cases import CaseKind


class CaseFormCreate(WebFormInput):
    """A form by which customers open cases."""

    type: CaseKind | None = Field(
        None, examples=["complaint"], description="Of its cases, unless the form asks for it."
    )
    priority: CasePriority = CasePriority.NORMAL
    queue_id: UUID | None = Field(None, description="Where its cases wait for somebody.")
    owner_id: UUID | None = Field(None, description="Whose its cases are, where they wait in no queue.")
    product_ids: Annotated[list[UUID], Field(max_length=100)] = Field(
        default_factory=list,
        description="The products to choose from, in this order, with field `product_id`.",
    )
    acknowledge: bool = Field(
        True,
        description="Mail whoever asked that it arrived, with the number, where it stands, and how to answer.",
    )


CaseFormUpdate = patch_of(CaseFormCreate)


class CaseFormRead(WebFormRead):
    """A form as stored, and where it is found."""

    type: str | None
    priority: CasePriority
    queue_id: UUID | None
    owner_id: UUID | None
    product_ids: list[UUID]
    acknowledge: bool


class CaseAnswers(Input):
    """What a form of cases can ask for by itself."""

    name: ShortText | None = None
    company: ShortText | None = None
    email: Email | None = None
    phone: Phone | None = None
    subject: ShortText | None = None
    description: LongText | None = None
    type: CaseKind | None = None
    severity: CaseSeverity | None = None
    product_id: UUID | None = None
    order_number: ShortText | None = None
    serial_number: ShortText | None = None


class CaseFormSubmissionRead(Output):
    """What one visitor sent, and what became of it."""

    id: UUID
    status: CaseSubmissionStatus
    reason: str | None = Field(description="Why it is spam or was refused.")
    case_id: UUID | None
    language: str
    answers: dict[str, Any] | None = Field(
        description="Null for spam, and for those who may not read all cases."
    )
    created_at: datetime
