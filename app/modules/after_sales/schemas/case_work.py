"""What goes over the wire for comments, files, splitting, and how cases end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import Input, Output, ShortText
from app.modules.after_sales.interface import CasePriority
from app.modules.after_sales.models.case_work import CommentAuthor

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50_000)]


class CommentCreate(Input):
    """Something said about a case, by us or by the customer. What the customer says is always public."""

    body: Said = Field(examples=["Please send a photo of the seal."])
    public: bool = Field(False, description="The customer sees it; of ours it is the answer they wait for.")
    author: CommentAuthor = Field(
        CommentAuthor.MEMBER, description="`customer`: their words, that came by mail, chat or phone."
    )
    contact_id: UUID | None = Field(None, description="Who of the customer; absent: the case's contact.")
    attachment_ids: Annotated[list[UUID], Field(max_length=10)] = Field(
        default_factory=list,
        description="Files of the case that go with it. What the customer sees, they see too, and get by mail: at"
        " most 10 MiB in all.",
    )

    @model_validator(mode="after")
    def _who(self) -> CommentCreate:
        if self.author is CommentAuthor.MEMBER and self.contact_id is not None:
            raise PydanticCustomError("not_a_customer", "Only the customer's words are a contact's")
        return self


class CommentRead(Output):
    """A comment on a case."""

    id: UUID
    case_id: UUID
    author: CommentAuthor
    public: bool
    member_id: UUID | None = Field(description="Who wrote it, or entered it for the customer.")
    contact_id: UUID | None
    email: str | None = Field(description="Where it came from, if by mail.")
    body: str
    at: datetime


class CaseAttachmentInput(Input):
    """A file that you uploaded by `POST /v1/files`, or may open."""

    file_id: UUID
    public: bool = Field(False, description="The customer may see it.")


class CaseAttachmentRead(Output):
    """A file on a case."""

    id: UUID
    file_id: UUID
    name: str
    media_type: str
    size: int
    public: bool
    created_at: datetime
    created_by: UUID | None
    comment_id: UUID | None = Field(description="The words with which it came or went.")


class CaseAttachments(Output):
    """The files of a case, in the order they were added."""

    data: list[CaseAttachmentRead]


class CaseSplit(Input):
    """What of a case becomes a case of its own."""

    subject: ShortText = Field(examples=["The invoice is wrong"])
    comment_ids: Annotated[list[UUID], Field(max_length=200)] = Field(
        default_factory=list, description="Comments that go along."
    )
    priority: CasePriority | None = Field(None, description="Absent means that of the first one.")


class CaseSettingsWrite(Input):
    """How cases end."""

    reopen_days: int = Field(ge=0, le=3650, description="A resolved case can be opened again for so long.")
    close_after_days: int | None = Field(
        ge=0, le=3650, description="A resolved case closes by itself after so many days; null: never."
    )
    mail_comments: bool = Field(True, description="Customers get by mail what is said to them in public.")
    mail_queue_id: UUID | None = Field(
        None, description="Where cases wait that came by mail; null: nowhere, whoever hands them on has them."
    )


class CaseSettingsRead(Output):
    """How cases end; version 0 before anybody has said so."""

    version: int
    reopen_days: int
    close_after_days: int | None
    mail_comments: bool
    mail_queue_id: UUID | None
