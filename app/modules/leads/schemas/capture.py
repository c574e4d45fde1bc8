"""The wire shapes of forms, of what is submitted to them, and of cards and mail that become leads."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.forms.schemas import PageText, WebFormInput, WebFormRead
from app.kernel.schemas import BatchItemError, Input, Output, ShortText, patch_of
from app.modules.leads.models.capture import ConsentChannel, SubmissionStatus


class ConsentTexts(Input):
    """What somebody agrees to, per language."""

    en: PageText
    zh: PageText | None = None


class ConsentTextsRead(Output):
    en: str
    zh: str | None


class FormConsentInput(Input):
    """A box to tick: may we reach you by this channel?"""

    channel: ConsentChannel
    text: ConsentTexts
    required: bool = False


class FormConsentRead(Output):
    channel: ConsentChannel
    text: ConsentTextsRead
    text_version: ConsentTextsRead = Field(
        description="The fingerprint of each text; it is kept with a consent."
    )
    required: bool


class FormCreate(WebFormInput):
    """A form that captures leads."""

    consents: Annotated[list[FormConsentInput], Field(max_length=5)] = Field(default_factory=list)
    owner_id: UUID | None = Field(None, description="Who gets the leads; absent they wait to be assigned.")
    team_id: UUID | None = None
    source: ShortText | None = Field("web", examples=["web"])
    channel: ShortText | None = None
    campaign: ShortText | None = Field(None, description="Unless the visit has a `utm_campaign`.")
    double_opt_in: bool = Field(
        False, description="The lead is made once its sender has confirmed the address."
    )
    touch_open_leads: bool = Field(
        True,
        description="Somebody who is an open lead already is touched again rather than made a second one.",
    )


FormUpdate = patch_of(FormCreate)


class FormRead(WebFormRead):
    """A form as stored, and where it is found."""

    consents: list[FormConsentRead]
    owner_id: UUID | None
    team_id: UUID | None
    source: str | None
    channel: str | None
    campaign: str | None
    double_opt_in: bool
    touch_open_leads: bool


class FormSubmissionRead(Output):
    """What one visitor sent, and what became of it."""

    id: UUID
    status: SubmissionStatus
    reason: str | None = Field(description="Why it is spam or was refused.")
    lead_id: UUID | None
    language: str
    answers: dict[str, Any] | None = Field(
        description="Null for spam, when it was never confirmed, and for those who may not read all leads."
    )
    created_at: datetime
    expires_at: datetime | None = Field(description="Until when the address can be confirmed.")
    confirmed_at: datetime | None


class FormCounts(Output):
    """Submissions by what became of them."""

    created: int
    touched: int
    pending: int
    spam: int
    refused: int


class FormDay(FormCounts):
    day: date


class FormStatistics(Output):
    """Days without submissions are left out; days follow the company's time zone."""

    since: date
    until: date
    total: FormCounts
    days: list[FormDay]


class LeadConsentRead(Output):
    """What a lead agreed to: when, by which text, and where."""

    id: UUID
    channel: ConsentChannel
    text: str
    text_version: str
    language: str
    source: str
    given_at: datetime


class LeadConsents(Output):
    data: list[LeadConsentRead]


# -- cards and mail ------------------------------------------------------------------------------------------

_CARD = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Li Hua\r\nORG:Cloud Sail\r\nEND:VCARD\r\n"


class CardsInput(Input):
    """Business cards as text."""

    text: Annotated[str, StringConstraints(min_length=1), Field(examples=[_CARD])]


class CardResult(Output):
    """What became of one card, in the order of the file."""

    name: str | None
    status: int
    lead_id: UUID | None
    error: BatchItemError | None


class CardsAnswer(Output):
    results: list[CardResult]
    succeeded: int
    failed: int


class MailAnswer(Output):
    """What became of a mail. `ignored` are answers of machines, and `repeated` says that it was known already."""

    status: Literal["created", "touched", "ignored"]
    reason: str | None
    repeated: bool
    lead_id: UUID | None
