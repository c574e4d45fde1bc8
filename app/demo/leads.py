"""Leads with a life: answered, qualified, converted or dropped, each step after the one before.

The outcome is simulated forward and cut at `now`, so that young leads are open as in life.
"""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from app.demo import companies, texts, words
from app.demo.chance import later, weighted
from app.demo.companies import Company
from app.demo.customers import CHINESE_SHARE, Customer, CustomerFactory
from app.demo.history import Window
from app.demo.organisation import Territories
from app.demo.people import person
from app.demo.records import (
    DemoContact,
    DemoLead,
    Language,
    LeadOutcome,
    LeadStatus,
    LeadTimeline,
    Rating,
)
from app.demo.sources import Source, attribution, draw_source

_NEGLECTED = 0.03
_COLLEAGUE = 0.12
_STUCK_AT_QUALIFIED = 0.08
_QUALIFIES_IN, _CONVERTS_IN, _DISQUALIFIES_IN, _NURTURED_AFTER = 120.0, 168.0, 96.0, 240.0
DISQUALIFIED_REASONS = {
    "no_budget": 24,
    "not_a_fit": 22,
    "no_response": 26,
    "competitor": 12,
    "bad_data": 10,
    "spam": 6,
}
RATINGS: dict[LeadStatus, dict[Rating, float]] = {
    "new": {"hot": 2, "warm": 4, "cold": 4},
    "working": {"hot": 3, "warm": 5, "cold": 2},
    "nurturing": {"hot": 0, "warm": 4, "cold": 6},
    "qualified": {"hot": 6, "warm": 4, "cold": 0},
    "converted": {"hot": 7, "warm": 3, "cold": 0},
    "disqualified": {"hot": 0, "warm": 2, "cold": 8},
}


@dataclass(frozen=True, slots=True)
class Life:
    """How one lead went: its first touch and how far it came by now."""

    source: Source
    language: Language
    place: companies.Place
    created_at: datetime
    status: LeadStatus
    timeline: LeadTimeline


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the lead is."""

    name: str
    title: str
    email: str
    phone: str
    company: Company
    address: str
    owner: str
    outcome: LeadOutcome | None


def live(rng: random.Random, window: Window, *, convertible: bool) -> Life:
    """One lead's course; `convertible` False stops short of conversion."""
    language: Language = "zh" if rng.random() < CHINESE_SHARE else "en"
    source, place = draw_source(rng, language), companies.place(rng, language)
    created = window.moment(rng, language, place.country)
    status, timeline = _course(rng, source, created, window.now, convertible=convertible)
    return Life(source, language, place, created, status, timeline)


def _course(
    rng: random.Random, source: Source, created: datetime, now: datetime, *, convertible: bool
) -> tuple[LeadStatus, LeadTimeline]:
    response = later(rng, created, median_hours=source.response_hours, spread=1.1)
    if response > now or rng.random() < _NEGLECTED:
        return "new", LeadTimeline()
    draw = rng.random() - source.disqualified
    if draw < 0:
        dropped = later(rng, response, median_hours=_DISQUALIFIES_IN)
        if dropped > now:
            return "working", LeadTimeline(first_response_at=response)
        return "disqualified", LeadTimeline(first_response_at=response, disqualified_at=dropped)
    draw -= source.nurtured
    if draw < 0:
        status: LeadStatus = (
            "nurturing" if later(rng, response, median_hours=_NURTURED_AFTER) <= now else "working"
        )
        return status, LeadTimeline(first_response_at=response)
    draw -= source.converts + _STUCK_AT_QUALIFIED
    qualified = later(rng, response, median_hours=_QUALIFIES_IN)
    if draw >= 0 or qualified > now:
        return "working", LeadTimeline(first_response_at=response)
    converted = later(rng, qualified, median_hours=_CONVERTS_IN)
    if draw >= -_STUCK_AT_QUALIFIED or converted > now or not convertible:
        return "qualified", LeadTimeline(first_response_at=response, qualified_at=qualified)
    return "converted", LeadTimeline(
        first_response_at=response, qualified_at=qualified, converted_at=converted
    )


class LeadFactory:
    """Turns lives into leads; converted ones are people who stand among the contacts."""

    def __init__(
        self, rng: random.Random, window: Window, territories: Territories, customers: CustomerFactory
    ) -> None:
        self._rng = rng
        self._window = window
        self._territories = territories
        self._customers = customers
        self._known: dict[Language, list[Company]] = {"zh": [], "en": []}

    def leads(self, count: int, customers: list[Customer], contacts: Iterable[DemoContact]) -> list[DemoLead]:
        """`count` leads, oldest first; at most half of the contacts came from one."""
        homes = {customer.account.external_id: customer for customer in customers}
        pool: dict[Language, deque[DemoContact]] = {"zh": deque(), "en": deque()}
        shuffled = list(contacts)
        self._rng.shuffle(shuffled)
        for contact in shuffled[: len(shuffled) // 2]:
            pool[homes[contact.account].company.language].append(contact)
        lives = []
        left = {language: len(people) for language, people in pool.items()}
        for _ in range(count):
            life = live(self._rng, self._window, convertible=min(left.values()) > 0)
            left[life.language] -= life.status == "converted"
            lives.append(life)
        lives.sort(key=lambda life: life.created_at)
        made = []
        for number, life in enumerate(lives, 1):
            if life.status == "converted":
                contact = pool[life.language].popleft()
                who = self._convert(contact, homes[contact.account])
            else:
                who = self._stranger(life)
            made.append(self._lead(number, life, who))
        return made

    def _convert(self, contact: DemoContact, home: Customer) -> Identity:
        outcome = LeadOutcome(account=contact.account, contact=contact.external_id, opportunity=None)
        return Identity(
            contact.name,
            contact.title,
            contact.email,
            contact.phone,
            home.company,
            home.account.address,
            home.account.owner,
            outcome,
        )

    def _stranger(self, life: Life) -> Identity:
        rng, known = self._rng, self._known[life.language]
        if known and rng.random() < _COLLEAGUE:
            company = rng.choice(known)
        else:
            company = self._customers.register.found(life.language)
            known.append(company)
        someone = person(rng, life.language)
        return Identity(
            someone.name,
            words.post(rng, rng.choice(tuple(words.ROLES)), life.language).title,
            self._customers.mailboxes.address(someone.local, company.domain),
            self._customers.phones.number(company.place.country, company.place.city, mobile=True),
            company,
            companies.address(rng, company.place),
            self._territories.owner(rng, company.place.country, company.place.region),
            None,
        )

    def _lead(self, number: int, life: Life, who: Identity) -> DemoLead:
        rng, company = self._rng, who.company
        product = rng.choice(words.PRODUCTS)[0 if life.language == "zh" else 1]
        unowned = life.status == "new" and rng.random() < 0.6
        return DemoLead(
            external_id=f"L-{number:05d}",
            name=who.name,
            company=company.name,
            title=who.title,
            email=who.email,
            phone=who.phone,
            website=f"https://{company.domain}",
            source=life.source.code,
            channel=life.source.channel,
            **asdict(attribution(rng, life.source, life.language, life.created_at)),
            status=life.status,
            disqualified_reason=weighted(rng, DISQUALIFIED_REASONS)
            if life.status == "disqualified"
            else None,
            rating=weighted(rng, RATINGS[life.status]),
            industry=company.industry.code,
            country=company.place.country,
            region=company.place.region,
            city=company.place.city,
            address=who.address,
            description=rng.choice(texts.LEAD_DESCRIPTIONS[life.language]).format(product=product),
            tags=tuple(sorted(rng.sample(words.TAGS[life.language], k=rng.choice((0, 0, 0, 1, 1, 2))))),
            owner=None if unowned else who.owner,
            created_at=life.created_at,
            timeline=life.timeline,
            became=who.outcome,
        )
