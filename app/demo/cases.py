"""What the demo company's customers asked for over the months, and what the company promises about that.

All of it follows from the accounts and the catalogue, drawn from a stream of its own. Most cases are of the past;
those of the last days are open, and their clocks run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from app.demo.catalogue import KIT, TEMPLATE, DemoProduct
from app.demo.chance import weighted
from app.demo.records import DemoAccount

Priority = Literal["low", "normal", "high", "urgent"]
CASES: Final = 180
OPEN: Final = 24
_PRIORITIES: Final[dict[Priority, float]] = {"low": 2, "normal": 6, "high": 3, "urgent": 1}
_CHANNELS: Final = {"phone": 4, "email": 4, "web": 3, "chat": 2}
_HOURS: Final[dict[Priority, float]] = {"low": 60, "normal": 30, "high": 14, "urgent": 5}
_SUBJECTS: Final = {
    "zh": ("设备无法启动", "交货少了一件", "发票抬头有误", "噪音过大", "需要更换密封件", "咨询保养周期"),
    "en": ("It does not start", "One piece is missing", "Wrong name on the invoice", "Too noisy",
           "The seal has to be replaced", "How often is it serviced?"),
}  # fmt: skip
_KINDS: Final = ("incident", "complaint", "question", "incident", "incident", "question")

_URGENT: Final = {"or": [{"and": [{"field": "priority", "op": "in", "value": ["high", "urgent"]}]}]}
POLICIES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "高优先级 / High priority",
        "position": 1,
        "conditions": _URGENT,
        "first_response_minutes": 60,
        "next_response_minutes": 120,
        "resolution_minutes": 960,
        "escalations": [{"after_minutes": 60, "to": "manager"}],
    },
    {
        "name": "标准 / Standard",
        "position": 2,
        "first_response_minutes": 240,
        "next_response_minutes": 480,
        "resolution_minutes": 2400,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCase:
    """A case; `account` and `product` are external ids, `owner` an e-mail address. One never resolved is open."""

    external_id: str
    subject: str
    type: str
    priority: Priority
    channel: str
    account: str
    product: str
    owner: str
    opened_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None


class CaseFactory:
    """Draws cases of the months before `now`."""

    def __init__(
        self, rng: random.Random, now: datetime, products: Sequence[DemoProduct], *, months: int = 18
    ) -> None:
        self._rng = rng
        self._now = now.replace(microsecond=0)
        self._days = round(months * 30.44)
        self._goods = [one.external_id for one in products if one.external_id not in (TEMPLATE, KIT)]

    def cases(self, accounts: Sequence[DemoAccount]) -> tuple[DemoCase, ...]:
        """In the order in which they came in."""
        ages = sorted((self._rng.uniform(4, self._days) for _ in range(CASES - OPEN)), reverse=True)
        fresh = sorted((self._rng.uniform(0.05, 3) for _ in range(OPEN)), reverse=True)
        past = [self._case(number, accounts, age, ended=True) for number, age in enumerate(ages)]
        return (
            *past,
            *(self._case(CASES - OPEN + n, accounts, age, ended=False) for n, age in enumerate(fresh)),
        )

    def _case(self, number: int, accounts: Sequence[DemoAccount], age: float, *, ended: bool) -> DemoCase:
        rng = self._rng
        account = rng.choice(accounts)
        language = "zh" if account.country == "CN" else "en"
        place = rng.randrange(len(_KINDS))
        priority = weighted(rng, _PRIORITIES)
        opened = (self._now - timedelta(days=age)).replace(microsecond=0)
        answered = self._later(opened, _HOURS[priority] / 12)
        resolved = max(self._later(opened, _HOURS[priority]), answered)
        responded = ended or number % 3 == 0
        return DemoCase(
            external_id=f"case-{number + 1:04}",
            subject=_SUBJECTS[language][place],
            type=_KINDS[place],
            priority=priority,
            channel=weighted(rng, _CHANNELS),
            account=account.external_id,
            product=rng.choice(self._goods),
            owner=account.owner,
            opened_at=opened,
            first_response_at=min(answered, self._now) if responded else None,
            resolved_at=min(resolved, self._now) if ended else None,
        )

    def _later(self, start: datetime, hours: float) -> datetime:
        return start + timedelta(minutes=round(self._rng.expovariate(1 / hours) * 60) + 1)
