"""Forms that capture leads, what was submitted to them, and the consents that leads gave."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.forms.models import WebForm
from app.kernel.models import Base, Json, TenantOwned, one_of


class SubmissionStatus(StrEnum):
    """What became of a submission. `pending` waits for its sender to confirm the address."""

    CREATED = "created"
    TOUCHED = "touched"
    PENDING = "pending"
    SPAM = "spam"
    REFUSED = "refused"


class ConsentChannel(StrEnum):
    """By what somebody may be reached; the channels of contacts' consents that a form can ask for."""

    EMAIL = "email"
    PHONE = "phone"
    SMS = "sms"
    WECHAT = "wechat"
    POST = "post"


class LeadForm(WebForm):
    """A form that captures leads."""

    __tablename__ = "forms"
    __table_args__ = ({"schema": "leads"},)

    consents: Mapped[list[Any]]
    owner_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    source: Mapped[str | None]
    channel: Mapped[str | None]
    campaign: Mapped[str | None]
    double_opt_in: Mapped[bool]
    touch_open_leads: Mapped[bool]


class FormSubmission(TenantOwned):
    """What one visitor sent. `token` is the client's own key; `confirmation_hash` that of the mailed link."""

    __tablename__ = "form_submissions"
    __table_args__ = (one_of("status", SubmissionStatus), {"schema": "leads"})

    form_id: Mapped[UUID]
    status: Mapped[str]
    reason: Mapped[str | None]
    lead_id: Mapped[UUID | None]
    token: Mapped[str | None]
    answers: Mapped[Json]
    language: Mapped[str]
    confirmation_hash: Mapped[bytes | None] = mapped_column(info={"secret": True})
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class FormAttempt(Base):
    """A counter of submissions in a window, shared by all processes."""

    __tablename__ = "form_attempts"
    __table_args__ = ({"schema": "leads"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True, info={"secret": True})
    window_started_at: Mapped[datetime]
    count: Mapped[int]


class LeadConsent(TenantOwned):
    """That a lead agreed to be reached: when, by which text in which language, and where. Never changed."""

    __tablename__ = "consents"
    __table_args__ = (one_of("channel", ConsentChannel), {"schema": "leads"})

    lead_id: Mapped[UUID]
    channel: Mapped[str]
    text: Mapped[str]
    text_version: Mapped[str]
    language: Mapped[str]
    source: Mapped[str]
    given_at: Mapped[datetime]


class CapturedMail(TenantOwned):
    """A mail that became a lead or a touch, known again by the hash of its Message-ID."""

    __tablename__ = "captured_mails"
    __table_args__ = ({"schema": "leads"},)

    message_hash: Mapped[bytes]
    status: Mapped[str]
    lead_id: Mapped[UUID]
    created_at: Mapped[datetime]
