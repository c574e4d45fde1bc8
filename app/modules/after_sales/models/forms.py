"""Forms by which customers open cases, and what was submitted to them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.forms.models import WebForm
from app.kernel.models import Base, Json, TenantOwned, one_of
from app.modules.after_sales.interface import CasePriority


class CaseSubmissionStatus(StrEnum):
    """What became of a submission."""

    CREATED = "created"
    SPAM = "spam"
    REFUSED = "refused"


class CaseForm(WebForm):
    """A form that opens cases of a type and priority, for a queue or a member.

    `product_ids` are those to choose from. With `acknowledge`, whoever asked gets a mail that says so.
    """

    __tablename__ = "case_forms"
    __table_args__ = (one_of("priority", CasePriority), {"schema": "after_sales"})

    type: Mapped[str | None]
    priority: Mapped[str]
    queue_id: Mapped[UUID | None]
    owner_id: Mapped[UUID | None]
    product_ids: Mapped[list[UUID]]
    acknowledge: Mapped[bool]


class CaseFormSubmission(TenantOwned):
    """What one visitor sent. `token` is the client's own key."""

    __tablename__ = "case_form_submissions"
    __table_args__ = (one_of("status", CaseSubmissionStatus), {"schema": "after_sales"})

    form_id: Mapped[UUID]
    status: Mapped[str]
    reason: Mapped[str | None]
    case_id: Mapped[UUID | None]
    token: Mapped[str | None]
    answers: Mapped[Json]
    language: Mapped[str]
    created_at: Mapped[datetime]


class CaseFormAttempt(Base):
    """A counter of submissions and mails in a window, shared by all processes."""

    __tablename__ = "case_form_attempts"
    __table_args__ = ({"schema": "after_sales"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True, info={"secret": True})
    window_started_at: Mapped[datetime]
    count: Mapped[int]
