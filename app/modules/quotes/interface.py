"""What other modules may know of quotes: look at some, and what customers answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRef:
    """A revision of a quote as others show it."""

    id: UUID
    number: str
    revision: int
    account_id: UUID
    opportunity_id: UUID | None
    status: str
    total: Money
    valid_until: date | None


class Quotes(Protocol):
    """Quotes of the tenant at hand, as far as the actor sees them."""

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, QuoteRef]:
        """Quotes by id; unknown or not visible ones are absent."""


class QuoteImmutable(Conflict):
    """Carries `status`; a new revision is the way."""

    code = "quote_immutable"
    title = "A quote that has left the draft does not change"


class QuoteExpired(Conflict):
    """Carries `valid_until`."""

    code = "quote_expired"
    title = "The offer is no longer valid"


class QuoteSuperseded(Conflict):
    """Carries `revision`, the newest one."""

    code = "quote_superseded"
    title = "There is a newer revision of this quote"


class QuoteWithdrawn(Conflict):
    """Another offer of its opportunity was accepted instead; a new revision is the way to offer this one again."""

    code = "quote_withdrawn"
    title = "This offer was withdrawn: another one was accepted instead"


class QuoteNotOpen(Conflict):
    """Carries `status`."""

    code = "quote_not_open"
    title = "The quote does not wait for an answer"


class QuoteSent(Event):
    """A quote went to the customer."""

    type: ClassVar[str] = "quotes.quote.sent.v1"
    object: ClassVar[str] = "quote"

    account_id: UUID
    opportunity_id: UUID | None
    number: str
    revision: int
    total: dict[str, str]
    valid_until: date | None


class QuoteAccepted(Event):
    """A customer accepted, and `order_id` or `contract_id` is what it became; `net` is the total without tax."""

    type: ClassVar[str] = "quotes.quote.accepted.v1"
    object: ClassVar[str] = "quote"

    account_id: UUID
    opportunity_id: UUID | None
    order_id: UUID | None
    contract_id: UUID | None
    number: str
    revision: int
    total: dict[str, str]
    net: dict[str, str]
    accepted_on: date


class QuoteDeclined(Event):
    """A customer declined."""

    type: ClassVar[str] = "quotes.quote.declined.v1"
    object: ClassVar[str] = "quote"

    account_id: UUID
    opportunity_id: UUID | None
    reason: str | None


class QuoteRevised(Conflict):
    """Carries `revision`, the one that was made of it already, and its `revision_id`."""

    code = "quote_revised"
    title = "A later revision of this quote is there already"


class QuoteEmpty(Conflict):
    code = "quote_empty"
    title = "A quote without lines offers nothing"


class ApprovalRequired(Conflict):
    """Carries `process`, whose approval it needs."""

    code = "approval_required"
    title = "The quote must be approved before it is sent"
