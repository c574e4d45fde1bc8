"""The wire shapes that all forms share: fields, texts, where a form may stand, and the answer to a submission."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.contact import Url
from app.kernel.schemas import Input, Output, ShortText

PageText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _exact_origin(text: str) -> str:
    """An origin as browsers send it: scheme, host and a port that is not the scheme's own (RFC 6454)."""
    refused = PydanticCustomError(
        "invalid_origin", "An origin is like https://www.example.com, without a path"
    )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise refused from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not parts.hostname.isascii():
        raise refused
    bare = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port is not None else "")
    if text.lower() != bare or any(char in "*\"'<>;,\\ " for char in bare):
        raise refused
    return bare if port != _DEFAULT_PORTS[parts.scheme] else bare.rpartition(":")[0]


Origin = Annotated[
    str,
    Field(max_length=300, examples=["https://www.example.com"]),
    StringConstraints(strip_whitespace=True),
    AfterValidator(_exact_origin),
]


class FormTexts(Input):
    """A text per language."""

    en: ShortText
    zh: ShortText | None = None


class FormTextsRead(Output):
    en: str
    zh: str | None


class Thanks(Input):
    """What is shown after a submission, per language."""

    en: PageText | None = None
    zh: PageText | None = None


class ThanksRead(Output):
    en: str | None
    zh: str | None


class FormOption(Input):
    """One answer to choose."""

    value: ShortText
    label: FormTexts


class FormOptionRead(Output):
    value: str
    label: FormTextsRead


class FormFieldInput(Input):
    """One field of the form: one that it can ask for by itself, or `custom.<key>`."""

    name: Annotated[
        str,
        StringConstraints(pattern=r"^(custom\.)?[a-z][a-z0-9_]{0,59}$"),
        Field(examples=["name"], description="`name`, `email`, … or `custom.<key>`."),
    ]
    label: FormTexts
    placeholder: FormTexts | None = None
    required: bool = False
    options: Annotated[list[FormOption], Field(max_length=100)] = Field(
        default_factory=list, description="With options, one of them has to be chosen."
    )
    hidden: bool = Field(
        False, description="Not shown, and never taken from the visitor: it always has the default."
    )
    default: ShortText | None = Field(
        None, description="The value of a hidden field; else what the page shows first."
    )


class FormFieldRead(Output):
    name: str
    label: FormTextsRead
    placeholder: FormTextsRead | None
    required: bool
    options: list[FormOptionRead]
    hidden: bool
    default: str | None


class WebFormInput(Input):
    """What is said of every form."""

    name: FormTexts
    enabled: bool = True
    fields: Annotated[list[FormFieldInput], Field(min_length=1, max_length=40)]
    allowed_origins: Annotated[list[Origin], Field(max_length=50)] = Field(
        default_factory=list, description="The websites that may show the form: exact origins, no patterns."
    )
    redirect_url: Url | None = Field(
        None,
        description="Where a visitor goes afterwards, on one of the allowed origins; else thanks are shown.",
    )
    thanks: Thanks = Field(default_factory=Thanks)
    honeypot: Annotated[
        str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), Field(examples=["fax_number"])
    ] = Field("fax_number", description="A field that people do not see; whatever fills it in is spam.")
    min_seconds: int = Field(
        2, ge=0, le=3_600, description="Whoever is quicker, or does not say, is spam. 0 for your own servers."
    )
    limit_per_address: int = Field(30, ge=1, le=100_000, description="Submissions per hour from one address.")
    limit_per_form: int = Field(1_000, ge=1, le=1_000_000, description="Submissions per hour in all.")


class WebFormRead(Output):
    """What is stored of every form, and where it is found."""

    id: UUID
    version: int
    name: FormTextsRead
    enabled: bool
    public_key: str
    page_url: str = Field(description="The form as a page of its own.")
    submit_url: str = Field(description="Where websites and your own servers send what was filled in.")
    snippet: str = Field(description="What shows the form on a page of an allowed origin.")
    fields: list[FormFieldRead]
    allowed_origins: list[str]
    redirect_url: str | None
    thanks: ThanksRead
    honeypot: str
    min_seconds: int
    limit_per_address: int
    limit_per_form: int
    created_at: datetime
    updated_at: datetime


class SubmissionReceipt(Output):
    """The answer to every submission alike: it does not tell a stranger what is known here."""

    status: Literal["received"]
    message: str = Field(description="Thanks, in the language asked for.")
    redirect_url: str | None
