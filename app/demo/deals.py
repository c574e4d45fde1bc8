"""What opportunities are made of: lines that add up, competitors, a committee, and a colleague who helps."""

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal

from app.demo import words
from app.demo.chance import weighted
from app.demo.opportunities import STAGES
from app.demo.records import (
    DemoCompetitor,
    DemoContact,
    DemoDeal,
    DemoLine,
    DemoMember,
    DemoMoney,
    DemoOpportunity,
)

COMPETITORS = tuple(
    DemoCompetitor(
        external_id=f"K-{number}",
        name=name,
        website=f"https://www.{site}.example.com",
        strengths=strengths,
        weaknesses=weaknesses,
        price_notes=price,
    )
    for number, (name, site, strengths, weaknesses, price) in enumerate(
        (
            ("Kestrel Supply", "kestrel-supply", "Stock in Europe", "No service in China", "5 % above ours"),
            ("华锐供应链", "huarui", "价格低，交期短", "质量不稳定", "低于我方约8%"),
            ("Orbis Components", "orbis", "Broad catalogue", "Slow to quote", "Discounts at year's end"),
            ("北辰工业品", "beichen", "本地服务团队", "高端产品少", "与我方持平"),
        ),
        start=1,
    )
)
_CLOSED_SHOWN = 40
_MOVING = 0.3
_LINES = {1: 35, 2: 40, 3: 25}
_RIVALS = {0: 30, 1: 45, 2: 25}
_SERVICE = {"CNY": "安装与培训", "USD": "Installation and training"}
_ROLES = {
    "decision_maker": "decision_maker",
    "influencer": "influencer",
    "user": "user",
    "gatekeeper": "gatekeeper",
    "champion": "champion",
    "blocker": "blocker",
}


class DealFactory:
    """Fills the open opportunities, and those that were closed last."""

    def __init__(
        self, rng: random.Random, contacts: Sequence[DemoContact], members: Sequence[DemoMember]
    ) -> None:
        self._rng = rng
        self._people: dict[str, list[DemoContact]] = {}
        for contact in contacts:
            self._people.setdefault(contact.account, []).append(contact)
        self._sellers = [member.email for member in members if member.role == "salesperson"]

    def deals(self, opportunities: Iterable[DemoOpportunity]) -> tuple[DemoDeal, ...]:
        """In the order of the opportunities."""
        known = list(opportunities)
        closed = sorted((o for o in known if o.closed_at), key=lambda o: (o.closed_at, o.external_id))
        shown = {o.external_id for o in closed[-_CLOSED_SHOWN:]}
        return tuple(self._deal(o) for o in known if o.status == "open" or o.external_id in shown)

    def _deal(self, opportunity: DemoOpportunity) -> DemoDeal:
        rng = self._rng
        rivals = [one.external_id for one in rng.sample(COMPETITORS, weighted(rng, _RIVALS))]
        if opportunity.loss_reason == "competitor" and not rivals:
            rivals = [rng.choice(COMPETITORS).external_id]
        colleagues = [email for email in self._sellers if email != opportunity.owner]
        helped = rng.random() < 0.4
        at = STAGES.index(opportunity.stage) if opportunity.stage in STAGES else len(STAGES)
        goes_on = opportunity.status == "open" and at + 1 < len(STAGES) and rng.random() < _MOVING
        return DemoDeal(
            opportunity=opportunity.external_id,
            lines=self._lines(opportunity.amount),
            competitors=tuple(rivals),
            lost_to=rivals[0] if opportunity.loss_reason == "competitor" else None,
            contacts=self._committee(opportunity.account),
            colleague=rng.choice(colleagues) if helped else None,
            share=rng.choice((20, 25, 30, 40)) if helped else None,
            moves_to=STAGES[at + 1] if goes_on else None,
        )

    def _lines(self, amount: DemoMoney) -> tuple[DemoLine, ...]:
        """Lines that add up to the amount exactly; the last one takes what is left."""
        rng, currency, left = self._rng, amount.currency, amount.amount
        language = 0 if currency == "CNY" else 1
        lines: list[DemoLine] = []
        for _ in range(weighted(rng, _LINES) - 1):
            quantity = rng.randint(2, 20)
            price = (left * Decimal(rng.randint(30, 60)) / 100 / quantity).quantize(Decimal("0.01"))
            lines.append(self._line(rng.choice(words.PRODUCTS)[language], quantity, price, currency))
            left -= price * quantity
        name = _SERVICE[currency] if lines else rng.choice(words.PRODUCTS)[language]
        return (*lines, self._line(name, 1, left, currency))

    @staticmethod
    def _line(name: str, quantity: int, price: Decimal, currency: str) -> DemoLine:
        return DemoLine(
            product_name=name,
            quantity=str(quantity),
            unit_price=DemoMoney(price.quantize(Decimal("0.01")), currency),
        )

    def _committee(self, account: str) -> tuple[tuple[str, str], ...]:
        people = self._people.get(account, [])
        return tuple((one.external_id, _ROLES.get(one.role, "other")) for one in people[:2])
