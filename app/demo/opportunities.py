"""Opportunities: what converted leads led to, and what old customers bought again."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from app.demo import words
from app.demo.chance import around, later, weighted
from app.demo.customers import Customer
from app.demo.history import Window
from app.demo.records import DemoContact, DemoLead, DemoMoney, DemoOpportunity, Language
from app.demo.sources import BY_CODE

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation")
_FROM_LEAD = 0.8
_REPEATS_PER_ACCOUNT = 0.9
_REPEAT_BONUS = 0.12
_CYCLE_HOURS: dict[Language, float] = {"zh": 45 * 24, "en": 58 * 24}
_AMOUNTS: dict[Language, tuple[str, float]] = {"zh": ("CNY", 86_000), "en": ("USD", 15_500)}
_SIZE_FACTOR = {
    "1-10": 0.5,
    "11-50": 0.7,
    "51-200": 1.0,
    "201-500": 1.5,
    "501-1000": 2.2,
    "1001-5000": 3.5,
    "5000+": 6.0,
}
_LOSSES = {"price": 34, "competitor": 25, "no_decision": 20, "timing": 12, "missing_feature": 6, "other": 3}
_WINS = {"price": 20, "quality": 30, "delivery_time": 25, "relationship": 25}


class OpportunityFactory:
    """Opens opportunities and lets them run until they close or `now` comes."""

    def __init__(self, rng: random.Random, window: Window, customers: Sequence[Customer]) -> None:
        self._rng = rng
        self._window = window
        self._customers = {customer.account.external_id: customer for customer in customers}
        self._made: list[DemoOpportunity] = []

    def from_leads(self, leads: Sequence[DemoLead]) -> list[DemoLead]:
        """The leads, the converted ones with the opportunity that most conversions open."""
        answered = []
        for lead in leads:
            opened, became = lead.timeline.converted_at, lead.became
            if became and opened and self._rng.random() < _FROM_LEAD:
                opportunity = self._open(
                    self._customers[became.account], became.contact, lead.source, opened, repeat=False
                )
                became = replace(became, opportunity=opportunity.external_id)
            answered.append(replace(lead, became=became))
        return answered

    def repeats(self, contacts: Sequence[DemoContact]) -> list[DemoOpportunity]:
        """All opportunities, after old customers have come back; oldest first."""
        by_account: dict[str, list[DemoContact]] = {}
        for contact in contacts:
            by_account.setdefault(contact.account, []).append(contact)
        customers = list(self._customers.values())
        for customer in self._rng.choices(customers, k=round(_REPEATS_PER_ACCOUNT * len(customers))):
            account = customer.account
            opened = self._window.between(self._rng, max(account.created_at, self._window.start))
            people = [
                c.external_id for c in by_account.get(account.external_id, ()) if c.created_at <= opened
            ]
            self._open(
                customer, self._rng.choice(people) if people else None, account.source, opened, repeat=True
            )
        return sorted(self._made, key=lambda opportunity: (opportunity.created_at, opportunity.external_id))

    def _open(
        self, customer: Customer, contact: str | None, source: str, opened: datetime, *, repeat: bool
    ) -> DemoOpportunity:
        rng, account, language = self._rng, customer.account, customer.company.language
        closes = later(rng, opened, median_hours=_CYCLE_HOURS[language], spread=0.6)
        wins = rng.random() < BY_CODE[source].win_rate + (_REPEAT_BONUS if repeat else 0)
        is_open = closes > self._window.now
        reached = (self._window.now - opened) / (closes - opened) if is_open else rng.uniform(0.1, 1)
        stage = STAGES[min(int(reached * len(STAGES)), len(STAGES) - 1)]
        slip = timedelta(days=round(rng.gauss(-4, 12)))
        product = rng.choice(words.PRODUCTS)[0 if language == "zh" else 1]
        opportunity = DemoOpportunity(
            external_id=f"O-{len(self._made) + 1:04d}",
            name=_title(customer.company.short, product, language, repeat=repeat),
            account=account.external_id,
            contact=contact,
            amount=self._amount(language, account.size),
            stage=stage if is_open or not wins else "won",
            status="open" if is_open else "won" if wins else "lost",
            expected_close_on=max(opened, closes + slip).date(),
            closed_at=None if is_open else closes,
            loss_reason=None if is_open or wins else weighted(rng, _LOSSES),
            win_reason=weighted(rng, _WINS) if wins and not is_open else None,
            source=source,
            owner=account.owner,
            created_at=opened,
        )
        self._made.append(opportunity)
        return opportunity

    def _amount(self, language: Language, size: str | None) -> DemoMoney:
        currency, median = _AMOUNTS[language]
        units = around(self._rng, median * _SIZE_FACTOR.get(size or "1-10", 1.0), 0.85)
        return DemoMoney(Decimal(max(100, round(units / 50) * 50)).quantize(Decimal("0.01")), currency)


def _title(short: str, product: str, language: Language, *, repeat: bool) -> str:
    if language == "zh":
        return f"{short} · {product}{'续订' if repeat else '采购'}"
    return f"{short}: {product}{' reorder' if repeat else ''}"
