"""The shapes the generator yields: one frozen record per row that goes in through the API.

Fields marked `private` are facts the generator knows and the API does not take when a record is created (when
a lead was first answered, what it became): whoever loads the demo replays them through the matching actions.
"""

from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Language = Literal["zh", "en"]
LeadStatus = Literal["new", "working", "nurturing", "qualified", "converted", "disqualified"]
Rating = Literal["hot", "warm", "cold"]
_PRIVATE = {"private": True}


@dataclass(frozen=True, slots=True)
class DemoMoney:
    """An amount in major units with the exponent of its ISO 4217 currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTeam:
    """A node of the sales organisation; `manager` is a member's e-mail."""

    external_id: str
    name: str
    parent: str | None
    manager: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMember:
    """Someone who works in the demo company; the e-mail is how records name their owner."""

    email: str
    name: str
    role: Literal["owner", "manager", "salesperson"]
    team: str
    locale: str
    time_zone: str
    phone: str
    language: Language = field(metadata=_PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAccount:
    """A customer organisation, or a consumer (`kind` person)."""

    external_id: str
    name: str
    kind: Literal["company", "person"]
    industry: str
    size: str | None
    country: str
    region: str
    city: str
    address: str
    website: str | None
    phone: str
    email: str
    registration_number: str | None
    source: str
    lifecycle_stage: str
    rating: Rating
    tags: tuple[str, ...]
    owner: str
    parent: str | None
    created_at: datetime = field(metadata=_PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoContact:
    """A person at an account, with the role they play when the account buys."""

    external_id: str
    account: str
    name: str
    family_name: str
    given_name: str
    title: str
    department: str
    email: str
    phone: str
    role: str
    created_at: datetime = field(metadata=_PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTimeline:
    """When a lead reached each step; None where it has not. The steps never run backwards."""

    first_response_at: datetime | None = None
    qualified_at: datetime | None = None
    converted_at: datetime | None = None
    disqualified_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadOutcome:
    """What a converted lead became, by external id."""

    account: str
    contact: str
    opportunity: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLead:
    """Somebody who showed interest, with where they came from and how far they got."""

    external_id: str
    name: str
    company: str
    title: str
    email: str
    phone: str
    website: str | None
    source: str
    channel: str
    campaign: str | None
    medium: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    referrer: str | None
    landing_page: str | None
    status: LeadStatus
    disqualified_reason: str | None
    rating: Rating
    industry: str
    country: str
    region: str
    city: str
    address: str
    description: str
    tags: tuple[str, ...]
    owner: str | None
    created_at: datetime
    timeline: LeadTimeline = field(metadata=_PRIVATE)
    became: LeadOutcome | None = field(metadata=_PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOpportunity:
    """A chance to sell. A lost one keeps the last stage it reached; a won one stands in the stage `won`."""

    external_id: str
    name: str
    account: str
    contact: str | None
    amount: DemoMoney
    stage: str
    status: Literal["open", "won", "lost"]
    expected_close_on: date
    closed_at: datetime | None
    loss_reason: str | None
    win_reason: str | None = field(metadata=_PRIVATE)
    source: str
    owner: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCompetitor:
    """Somebody who sells the same."""

    external_id: str
    name: str
    website: str
    strengths: str
    weaknesses: str
    price_notes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLine:
    """Something offered in an opportunity; the lines of one add up to its amount."""

    product_name: str
    quantity: str
    unit_price: DemoMoney


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoDeal:
    """What an opportunity is made of, by external ids and e-mails; `moves_to` is where it goes next, today."""

    opportunity: str
    lines: tuple[DemoLine, ...]
    competitors: tuple[str, ...]
    lost_to: str | None
    contacts: tuple[tuple[str, str], ...]
    colleague: str | None
    share: int | None
    moves_to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoActivity:
    """A note, task, call, meeting or visit on the timeline of an account or a lead.

    `occurred_at` is when it was written, planned or dialled; `due_at` and `done_at` belong to tasks,
    `direction`, `outcome` and `duration_seconds` to calls, `starts_at` to `attendees` to meetings and visits.
    Attendees are external ids of contacts, or e-mail addresses of members.
    """

    external_id: str
    kind: Literal["note", "task", "call", "meeting", "visit"]
    about: Literal["account", "lead"]
    about_external_id: str
    subject: str
    body: str
    author: str
    occurred_at: datetime
    due_at: datetime | None = None
    done_at: datetime | None = None
    direction: Literal["inbound", "outbound"] | None = None
    outcome: str | None = None
    duration_seconds: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    time_zone: str | None = None
    place: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    recurrence: str | None = None
    remind_minutes: int | None = None
    attendees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """A record put in on purpose to resemble another, and the reason a finder should give."""

    kind: Literal["account", "contact", "lead"]
    external_id: str
    resembles: str
    reason: Literal["email", "phone", "name", "registration_number"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCompany:
    """Everything the demo tenant holds; each tuple lists a record after those it refers to."""

    name: str
    slug: str
    locale: str
    time_zone: str
    currency: str
    teams: tuple[DemoTeam, ...]
    members: tuple[DemoMember, ...]
    accounts: tuple[DemoAccount, ...]
    contacts: tuple[DemoContact, ...]
    leads: tuple[DemoLead, ...]
    opportunities: tuple[DemoOpportunity, ...]
    competitors: tuple[DemoCompetitor, ...]
    deals: tuple[DemoDeal, ...]
    activities: tuple[DemoActivity, ...]
    near_duplicates: tuple[NearDuplicate, ...]


Record: TypeAlias = (
    DemoTeam
    | DemoMember
    | DemoAccount
    | DemoContact
    | LeadTimeline
    | LeadOutcome
    | DemoLead
    | DemoOpportunity
    | DemoCompetitor
    | DemoLine
    | DemoDeal
    | DemoActivity
    | NearDuplicate
    | DemoCompany
)


def as_payload(record: Record, *, private: bool = False) -> dict[str, Json]:
    """The record as a JSON object for the API: absent values left out, times in RFC 3339 with `Z`.

    With `private`, the facts the API does not take are there too.
    """
    payload: dict[str, Json] = {}
    for column in fields(record):
        value = getattr(record, column.name)
        if value is None or (column.metadata and not private):
            continue
        payload[column.name] = _json(value, private=private)
    return payload


def _json(value: object, *, private: bool) -> Json:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, DemoMoney):
        return {"amount": str(value.amount), "currency": value.currency}
    if isinstance(value, tuple):
        return [_json(item, private=private) for item in value]
    if isinstance(value, Record):
        return as_payload(value, private=private)
    raise TypeError(f"no JSON form for {type(value).__name__}")
