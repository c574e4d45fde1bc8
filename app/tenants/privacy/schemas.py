"""Wire schemas of what one person may ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.schemas import Input, Output
from app.tenants.privacy.models import PrivacyKind, PrivacyState

PersonObject = Literal["contact", "lead", "account"]


class PrivacySubject(Input):
    """A record that is the person; an account only if it is a consumer's."""

    object: PersonObject
    record_id: UUID


class PrivacyRequestCreate(Input):
    """What somebody asks for, and who they are."""

    kind: PrivacyKind
    subjects: list[PrivacySubject] = Field(
        min_length=1,
        max_length=20,
        description="The person's records. What they were merged from or converted to is found by itself.",
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] = Field(
        description="Who asked when, and how it was made sure that it is them.",
        examples=["Asked by mail on 3 March; address confirmed."],
    )


class HeldData(Output):
    """Rows of one table that are about the person."""

    module: str
    table: str
    rows: int
    action: Literal["deleted", "pseudonymised", "kept"] = Field(
        description="What an erasure does with them. An export has all of them."
    )
    why: str | None = Field(description="Why rows are kept.")


class PrivacyCandidate(Output):
    """A record that may be the same person: it has an address or a number in common."""

    object: PersonObject
    record_id: UUID
    same: list[Literal["email", "phone", "further_address"]]


class PrivacyRecord(Output):
    """A record that is the person."""

    object: PersonObject
    record_id: UUID


class PrivacyRequestRead(Output):
    """A request, and how far it is."""

    id: UUID
    kind: PrivacyKind
    state: PrivacyState
    subjects: list[PrivacyRecord]
    reason: str | None
    held: list[HeldData] = Field(description="Of a draft: what there is. In the end: what was answered.")
    candidates: list[PrivacyCandidate] = Field(
        description="Records that were not named and may be the same person, as the draft found them."
    )
    job_id: UUID | None
    created_at: datetime
    created_by: UUID | None
    confirmed_at: datetime | None
    confirmed_by: UUID | None
    completed_at: datetime | None
    content: str | None = Field(description="Where the file of an export is downloaded; null without one.")
    size: int | None = Field(description="Bytes of that file.")
    sha256: str | None = Field(description="Of that file, in hexadecimal.")
    expires_at: datetime | None = Field(description="Until when it can be downloaded.")


class PersonFound(Output):
    """A record with the address or number that was asked for."""

    object: PersonObject
    record_id: UUID
    name: str
    email: str | None
    phone: str | None


class PeopleFound(Output):
    """Whose address or number it is."""

    people: list[PersonFound]
    refused: list[str] = Field(
        description="Channels that somebody with this address had refused before they were erased."
    )


class PersonCertificate(Output):
    """What was erased of a person, signed."""

    certificate: dict[str, Any]
    key_id: str = Field(description="The public key (Ed25519) in base64url.")
    signature: str = Field(description="In base64url.")
    valid: bool = Field(description="Whether a key of this installation signed it, for this request.")
