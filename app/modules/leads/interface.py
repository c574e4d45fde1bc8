"""What other modules may know of leads: who they are, what they became, and why a step is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event


@dataclass(frozen=True, slots=True)
class LeadRef:
    """A lead as others show it."""

    id: UUID
    name: str
    company: str | None
    status: str
    source: str | None
    owner_id: UUID | None
    converted_account_id: UUID | None
    converted_contact_id: UUID | None
    converted_opportunity_id: UUID | None


class Leads(Protocol):
    """Leads of the tenant at hand, as far as the actor sees them."""

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, LeadRef]:
        """Leads by id; ids that are unknown or not visible are absent."""

    async def responded(self, id: UUID, at: datetime) -> None:
        """Note the first response to a lead; a later one changes nothing."""


class LeadAlreadyConverted(Conflict):
    """Carries what it became: `account_id`, `contact_id`, `opportunity_id`."""

    code = "lead_already_converted"
    title = "A converted lead is read-only"


class LeadQualified(Event):
    """A lead is worth selling to."""

    type: ClassVar[str] = "leads.lead.qualified.v1"
    object: ClassVar[str] = "lead"

    owner_id: UUID | None
    source: str | None


class LeadDisqualified(Event):
    """A lead is not worth more work, and why."""

    type: ClassVar[str] = "leads.lead.disqualified.v1"
    object: ClassVar[str] = "lead"

    reason: str
    note: str | None


class LeadConverted(Event):
    """A lead became an account, a contact and, if asked, an opportunity."""

    type: ClassVar[str] = "leads.lead.converted.v1"
    object: ClassVar[str] = "lead"

    account_id: UUID
    account_created: bool
    contact_id: UUID | None
    contact_created: bool
    opportunity_id: UUID | None
    owner_id: UUID
    source: str | None


class FormSubmitted(Event):
    """Something that a visitor sent became a lead (`created`) or a touch on one (`touched`)."""

    type: ClassVar[str] = "leads.form.submitted.v1"
    object: ClassVar[str] = "form"

    submission_id: UUID
    lead_id: UUID
    outcome: str
