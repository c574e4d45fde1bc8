"""What other modules may know of after-sales: open a case, look at some, and what happens to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event


class CaseChannel(StrEnum):
    """How a case came in."""

    EMAIL = "email"
    WEB = "web"
    PHONE = "phone"
    API = "api"
    CHAT = "chat"
    DEVICE = "device"


class CaseStatus(StrEnum):
    """Where a case stands.

    `pending_customer` holds the clocks of its resolution; `resolved` and `closed` end them.
    """

    NEW = "new"
    OPEN = "open"
    PENDING_CUSTOMER = "pending_customer"
    PENDING_INTERNAL = "pending_internal"
    RESOLVED = "resolved"
    CLOSED = "closed"


class CasePriority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """A case that another part opens.

    `dedupe` names what it is about: while a case of that name is not resolved, opening it again answers with that
    one, however many do so at once (a device that reports its fault all night).
    """

    subject: str
    channel: CaseChannel
    description: str | None = None
    type: str | None = None
    priority: CasePriority = CasePriority.NORMAL
    severity: str | None = None
    account_id: UUID | None = None
    contact_id: UUID | None = None
    product_id: UUID | None = None
    asset_id: UUID | None = None
    order_id: UUID | None = None
    order_line_id: UUID | None = None
    parent_id: UUID | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    queue_id: UUID | None = None
    dedupe: str | None = None
    email: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRef:
    """A case as others show it."""

    id: UUID
    number: str
    subject: str
    status: CaseStatus
    priority: CasePriority
    account_id: UUID | None
    contact_id: UUID | None
    owner_id: UUID | None
    opened_at: datetime


class Cases(Protocol):
    """Cases of the tenant at hand, as far as the actor sees them."""

    async def open(self, new: NewCase) -> CaseRef:
        """Open a case, or answer with the open one of the same `dedupe`. Raises: `Forbidden`; `Invalid`."""

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, CaseRef]:
        """Cases by id; unknown or not visible ones are absent."""

    async def open_of(self, account_ids: Collection[UUID], *, limit: int = 5) -> Mapping[UUID, list[CaseRef]]:
        """The unresolved cases of each account, most urgent first; one statement."""


class ReopenWindowOver(Conflict):
    """Carries `until`."""

    code = "reopen_window_over"
    title = "The time in which this case can be opened again is over; open a new one"


class CaseOpened(Event):
    """A case came in."""

    type: ClassVar[str] = "after_sales.case.opened.v1"
    object: ClassVar[str] = "case"

    account_id: UUID | None
    contact_id: UUID | None
    channel: str
    priority: str
    queue_id: UUID | None
    owner_id: UUID | None


class CaseAssigned(Event):
    """A case went to somebody, from a queue or another."""

    type: ClassVar[str] = "after_sales.case.assigned.v1"
    object: ClassVar[str] = "case"

    owner_id: UUID | None
    former_owner_id: UUID | None
    queue_id: UUID | None


class CaseCommented(Event):
    """Somebody said something about a case; what is `public` the customer sees, or said."""

    type: ClassVar[str] = "after_sales.case.commented.v1"
    object: ClassVar[str] = "case"

    comment_id: UUID
    author: str
    public: bool


class CaseResolved(Event):
    """A case is solved; surveys follow."""

    type: ClassVar[str] = "after_sales.case.resolved.v1"
    object: ClassVar[str] = "case"

    account_id: UUID | None
    contact_id: UUID | None
    owner_id: UUID | None
    product_id: UUID | None


class CaseReopened(Event):
    type: ClassVar[str] = "after_sales.case.reopened.v1"
    object: ClassVar[str] = "case"

    account_id: UUID | None
    owner_id: UUID | None


class CaseClosed(Event):
    type: ClassVar[str] = "after_sales.case.closed.v1"
    object: ClassVar[str] = "case"

    account_id: UUID | None


class CaseEscalated(Event):
    """A case went up; `reason` says whether a deadline was missed, a customer complained, or somebody asked."""

    type: ClassVar[str] = "after_sales.case.escalated.v1"
    object: ClassVar[str] = "case"

    reason: str
    level: int
    to_member_id: UUID | None


class SlaWarned(Event):
    """So much of the time of a target is used up that it will be missed unless somebody acts."""

    type: ClassVar[str] = "after_sales.case.sla_warned.v1"
    object: ClassVar[str] = "case"

    target: str
    due_at: datetime
    owner_id: UUID | None


class SlaBreached(Event):
    """A target was missed, for good."""

    type: ClassVar[str] = "after_sales.case.sla_breached.v1"
    object: ClassVar[str] = "case"

    target: str
    due_at: datetime
    owner_id: UUID | None


# -- the knowledge base --------------------------------------------------------------------------------------


class ArticleLocked(Conflict):
    """Carries `status_now`."""

    code = "article_locked"
    title = "Only the text of a draft can be changed"


class ArticleInUse(Conflict):
    code = "article_in_use"
    title = "What is published, or has translations, is not deleted; archive it, or delete those first"


class CategoryInUse(Conflict):
    """`articles` says how many."""

    code = "article_category_in_use"
    title = "Articles are filed under this category"


class ArticlePublished(Event):
    """Readers see another version of an article."""

    type: ClassVar[str] = "after_sales.article.published.v1"
    object: ClassVar[str] = "article"

    version_number: int
    language: str
    audience: str


class ArticleArchived(Event):
    """Readers do not see an article any more."""

    type: ClassVar[str] = "after_sales.article.archived.v1"
    object: ClassVar[str] = "article"


class CaseAnsweredByArticle(Event):
    """An article answered a case without a person; nobody has answered it yet."""

    type: ClassVar[str] = "after_sales.case.answered_by_article.v1"
    object: ClassVar[str] = "case"

    article_id: UUID
    confidence: str


class CaseHandedToPerson(Event):
    """The customer wrote back to what an article answered: somebody has to look at it."""

    type: ClassVar[str] = "after_sales.case.handed_to_person.v1"
    object: ClassVar[str] = "case"

    article_id: UUID
    owner_id: UUID | None


class ArticleRated(Event):
    """Somebody said whether an article helped; `member_id` is none for a reader of the public page."""

    type: ClassVar[str] = "after_sales.article.rated.v1"
    object: ClassVar[str] = "article"

    member_id: UUID | None
    helpful: bool


# -- surveys -------------------------------------------------------------------------------------------------


class SurveyInUse(Conflict):
    code = "survey_in_use"
    title = "Somebody was asked by this survey; switch it off instead"


class SurveyTooEarly(Conflict):
    """Carries `status_now` of the case."""

    code = "survey_too_early"
    title = "Customers are asked once their case is resolved"


class SurveyAlreadyAnswered(Conflict):
    code = "survey_already_answered"
    title = "The customer has answered; the first answer stands"


class SurveySent(Event):
    """A customer is asked how a case went."""

    type: ClassVar[str] = "after_sales.survey_invitation.sent.v1"
    object: ClassVar[str] = "survey_invitation"

    survey_id: UUID
    case_id: UUID
    kind: str


class SurveyAnswered(Event):
    """A customer said how a case went; `alerted` says that it is looked into."""

    type: ClassVar[str] = "after_sales.survey_invitation.answered.v1"
    object: ClassVar[str] = "survey_invitation"

    survey_id: UUID
    case_id: UUID
    kind: str
    score: int
    complaint: bool
    alerted: bool


class AssetBreached(Event):
    """A telemetry rule calls for a case: readings lie beyond its threshold, or none came (`value` is null then)."""

    type: ClassVar[str] = "after_sales.asset.breached.v1"
    object: ClassVar[str] = "asset"

    rule_id: UUID
    kind: str
    metric: str
    at: datetime
    value: float | None
