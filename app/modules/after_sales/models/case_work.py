"""What hangs on cases: comments, files, and how the company wants cases to end."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.attachments.models import AttachedFile
from app.kernel.models import Json, TenantOwned, Versioned, module_ref, one_of


class CommentAuthor(StrEnum):
    """Whose words a comment is."""

    MEMBER = "member"
    CUSTOMER = "customer"


class CaseComment(TenantOwned):
    """Something said about a case. The customer sees what is `public`; their own words always are."""

    __tablename__ = "case_comments"
    __table_args__ = (one_of("author", CommentAuthor), {"schema": "after_sales"})

    case_id: Mapped[UUID]
    author: Mapped[str]
    public: Mapped[bool]
    member_id: Mapped[UUID | None]  # who wrote it, or entered it for the customer
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="keep")
    body: Mapped[str]
    at: Mapped[datetime]
    email: Mapped[str | None]  # where it came from, if by mail


class CaseAttachment(AttachedFile):
    """A file on a case; whoever may read the case may open it. `comment_id`: with which words it came or went."""

    __tablename__ = "case_attachments"
    __table_args__ = ({"schema": "after_sales"},)

    case_id: Mapped[UUID]
    public: Mapped[bool]
    comment_id: Mapped[UUID | None]


class CaseSkillRule(Versioned):
    """Which skills the cases ask for that `conditions`, a filter of cases, hold for; without one: all of them."""

    __tablename__ = "case_skill_rules"
    __table_args__ = ({"schema": "after_sales"},)

    name: Mapped[str]
    enabled: Mapped[bool]
    conditions: Mapped[Json | None]
    skills: Mapped[list[Any]]  # [{"skill", "level", "required"}]


class CaseSettings(Versioned):
    """For how many days a resolved case can be opened again, and after how many it closes by itself (None: never).

    Whether customers get by mail what is said to them, and in which queue what they mail waits.
    """

    __tablename__ = "case_settings"
    __table_args__ = ({"schema": "after_sales"},)

    reopen_days: Mapped[int]
    close_after_days: Mapped[int | None]
    mail_comments: Mapped[bool] = mapped_column(sort_order=1000)
    mail_queue_id: Mapped[UUID | None] = mapped_column(sort_order=1000)


class CaseAddress(TenantOwned):
    """The key of an address to which answers about a case go. A case that others were merged into has theirs, too."""

    __tablename__ = "case_addresses"
    __table_args__ = ({"schema": "after_sales"},)

    case_id: Mapped[UUID]
    key: Mapped[str]
    created_at: Mapped[datetime]


class MailDirection(StrEnum):
    IN = "in"
    OUT = "out"


class CaseMail(TenantOwned):
    """A mail about a case: what it said is a comment, or the case itself. Each counts once, by `message_hash`."""

    __tablename__ = "case_mails"
    __table_args__ = (one_of("direction", MailDirection), {"schema": "after_sales"})

    case_id: Mapped[UUID]
    comment_id: Mapped[UUID | None]
    direction: Mapped[str]
    message_hash: Mapped[bytes]
    message_id: Mapped[str | None]
    address: Mapped[str]  # of the customer
    at: Mapped[datetime]
