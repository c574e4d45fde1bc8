"""Surveys: what customers are asked after a case, who was asked, and what they said."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import TenantOwned, Versioned, module_ref, one_of


class SurveyKind(StrEnum):
    """Satisfaction from 1 to 5, recommendation from 0 to 10, ease from 1 to 7."""

    CSAT = "csat"
    NPS = "nps"
    CES = "ces"


class InvitationStatus(StrEnum):
    """`skipped` is somebody without an address; `withdrawn` one whose case was opened again, or who was let off."""

    SCHEDULED = "scheduled"
    SENT = "sent"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    SKIPPED = "skipped"


class Survey(Versioned):
    """What is asked, when, and what follows. Without a question of its own it asks that of its kind.

    Scores up to `alert_at` are looked into; `care_plan` are the tasks that this brings, as
    `{"subject": …, "due_days": …}`.
    """

    __tablename__ = "surveys"
    __table_args__ = (one_of("kind", SurveyKind), {"schema": "after_sales"})

    name: Mapped[str]
    kind: Mapped[str]
    question_en: Mapped[str | None]
    question_zh: Mapped[str | None]
    is_active: Mapped[bool]
    position: Mapped[int]
    delay_minutes: Mapped[int]
    quiet_days: Mapped[int]
    expires_days: Mapped[int]
    alert_at: Mapped[int]
    care_plan: Mapped[list[Any]]


class SurveyInvitation(TenantOwned):
    """One contact who is asked about one case, and the answer; agent and product are those of the case then."""

    __tablename__ = "survey_invitations"
    __table_args__ = (
        one_of("kind", SurveyKind),
        one_of("status", InvitationStatus),
        {"schema": "after_sales"},
    )

    survey_id: Mapped[UUID]
    case_id: Mapped[UUID]
    kind: Mapped[str]
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="keep")
    agent_id: Mapped[UUID | None]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    status: Mapped[str]
    send_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    score: Mapped[int | None]
    comment: Mapped[str | None]
    complaint: Mapped[bool]
    alerted: Mapped[bool]
    created_at: Mapped[datetime]
