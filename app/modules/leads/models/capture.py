"""Forms that capture leads, what was submitted to them, and the consents that leads gave."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.forms.models import WebForm, WebFormAttempt, WebFormSubmission
from app.kernel.models import TenantOwned, one_of


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


class FormSubmission(WebFormSubmission):
    """What one visitor sent to a form of leads. `confirmation_hash` is that of the mailed link."""

    __tablename__ = "form_submissions"
    __table_args__ = (one_of("status", SubmissionStatus), {"schema": "leads"})

    lead_id: Mapped[UUID | None]
    confirmation_hash: Mapped[bytes | None] = mapped_column(info={"secret": True})
    expires_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]


class FormAttempt(WebFormAttempt):
    """How often a visitor tried a form of leads."""

    __tablename__ = "form_attempts"
    __table_args__ = ({"schema": "leads"},)


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
