"""Forms by which customers open cases, and what was submitted to them."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.forms.models import WebForm, WebFormAttempt, WebFormSubmission
from app.kernel.models import one_of
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


class CaseFormSubmission(WebFormSubmission):
    """What one visitor sent to a form of cases."""

    __tablename__ = "case_form_submissions"
    __table_args__ = (one_of("status", CaseSubmissionStatus), {"schema": "after_sales"})

    case_id: Mapped[UUID | None]


class CaseFormAttempt(WebFormAttempt):
    """How often a visitor tried a form of cases."""

    __tablename__ = "case_form_attempts"
    __table_args__ = ({"schema": "after_sales"},)
