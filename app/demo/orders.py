"""What the demo company's customers bought: the history of what they won, what came back, and orders under way.

All of it follows from the company's opportunities and its catalogue, drawn from a stream of its own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

from app.demo.catalogue import KIT, TEMPLATE, DemoProduct
from app.demo.records import DemoAccount, DemoOpportunity

Progress = Literal["draft", "confirmed", "in_fulfilment", "fulfilled", "cancelled"]
CHINESE_TAX: Final = "13"
_RETURNED_SHARE: Final = 0.12
_MOST_LINES: Final = 4
_UNDER_WAY: Final[tuple[Progress, ...]] = (
    "draft", "draft", "confirmed", "confirmed", "confirmed", "in_fulfilment", "in_fulfilment", "in_fulfilment",
    "fulfilled", "fulfilled", "fulfilled", "cancelled",
)  # fmt: skip
_PAID: Final = ("0", "1", "0.5", "1", "1", "0", "1", "0.25", "1", "0", "1", "0")
"""What part of the latest invoices was paid, the oldest first."""
_REASONS: Final = {"CNY": ("质量问题", "发错货", "订多了"), "USD": ("defective", "wrong item", "too many")}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrderLine:
    """So much of a product at a price, in major units of the order's currency; `tax` is in percent."""

    external_id: str
    product: str
    quantity: int
    unit_price: Decimal
    unit_cost: Decimal | None
    tax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrder:
    """An order of the past, delivered then; `account` is an external id, `owner` an e-mail address."""

    external_id: str
    account: str
    owner: str
    currency: str
    ordered_on: date
    source: str
    lines: tuple[DemoOrderLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReturn:
    """So much of a line that came back and was refunded."""

    external_id: str
    account: str
    owner: str
    currency: str
    returned_on: date
    reason: str
    line: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCurrentOrder:
    """An order of these days that was placed, shipped and cancelled step by step, as far as `progress`."""

    reference: str
    account: str
    progress: Progress
    currency: str
    goods: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoInvoice:
    """An invoice of a past order, and what part of it was paid when."""

    order: str
    account: str
    issued_on: date
    paid: Decimal
    paid_on: date


@dataclass(frozen=True, slots=True)
class DemoSales:
    """All that was bought."""

    orders: tuple[DemoOrder, ...]
    returns: tuple[DemoReturn, ...]
    current: tuple[DemoCurrentOrder, ...]
    invoices: tuple[DemoInvoice, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many records of each kind they make."""
        return {
            "orders": len(self.orders) + len(self.current),
            "returns": len(self.returns),
            "invoices": len(self.invoices),
            "payments": sum(bool(one.paid) for one in self.invoices),
        }


class OrderFactory:
    """Draws orders from what was won; each comes to about the worth of its opportunity."""

    def __init__(self, rng: random.Random, now: datetime, products: Sequence[DemoProduct]) -> None:
        self._rng = rng
        self._now = now
        self._goods = [one for one in products if one.external_id not in (TEMPLATE, KIT) and one.stocked]

    def sales(self, accounts: Sequence[DemoAccount], opportunities: Sequence[DemoOpportunity]) -> DemoSales:
        """The whole history, and a dozen orders under way."""
        won = [(one, one.closed_at) for one in opportunities if one.status == "won" and one.closed_at]
        orders = [self._order(number, one, at) for number, (one, at) in enumerate(won, start=1)]
        returns = [self._return(order) for order in orders if self._rng.random() < _RETURNED_SHARE]
        came = tuple(one for one in returns if one.returned_on <= self._now.date())
        back = {one.line.partition("/")[0] for one in came}
        kept = [order for order in orders if order.external_id not in back]
        return DemoSales(tuple(orders), came, self._current(accounts), self._invoices(kept))

    def _order(self, number: int, won: DemoOpportunity, at: datetime) -> DemoOrder:
        key, currency = f"SO-{number:04}", won.amount.currency
        picked = self._rng.sample(self._goods, self._rng.randint(1, _MOST_LINES))
        share = won.amount.amount / len(picked)
        return DemoOrder(
            external_id=key,
            account=won.account,
            owner=won.owner,
            currency=currency,
            ordered_on=at.date(),
            source=won.source,
            lines=tuple(
                self._line(f"{key}/{place}", product, share, currency)
                for place, product in enumerate(picked, start=1)
            ),
        )

    def _line(self, key: str, product: DemoProduct, share: Decimal, currency: str) -> DemoOrderLine:
        price = _listed(product, currency)
        cost = next((Decimal(one["amount"]) for one in product.costs if one["currency"] == currency), None)
        return DemoOrderLine(
            external_id=key,
            product=product.code,
            quantity=max(1, int((share / price).to_integral_value(ROUND_HALF_UP))),
            unit_price=price,
            unit_cost=cost,
            tax=CHINESE_TAX if currency == "CNY" else "0",
        )

    def _return(self, order: DemoOrder) -> DemoReturn:
        line = self._rng.choice(order.lines)
        return DemoReturn(
            external_id=order.external_id.replace("SO", "SR"),
            account=order.account,
            owner=order.owner,
            currency=order.currency,
            returned_on=order.ordered_on + timedelta(days=self._rng.randint(3, 40)),
            reason=self._rng.choice(_REASONS[order.currency]),
            line=line.external_id,
            quantity=self._rng.randint(1, max(1, line.quantity // 4)),
        )

    def _current(self, accounts: Sequence[DemoAccount]) -> tuple[DemoCurrentOrder, ...]:
        customers = [one for one in accounts if one.lifecycle_stage == "customer"]
        picked = self._rng.sample(customers, min(len(customers), len(_UNDER_WAY)))
        return tuple(
            DemoCurrentOrder(
                reference=f"PO-{number:04}",
                account=account.external_id,
                progress=progress,
                currency="CNY" if account.country == "CN" else "USD",
                goods=tuple(
                    (one.external_id, self._rng.randint(2, 20)) for one in self._rng.sample(self._goods, 2)
                ),
            )
            for number, (account, progress) in enumerate(zip(picked, _UNDER_WAY, strict=False), start=1)
        )

    def _invoices(self, orders: Sequence[DemoOrder]) -> tuple[DemoInvoice, ...]:
        """Of every fourth of the latest orders, as old as they are, so that what is open is of every age."""
        latest = sorted(orders, key=lambda one: (one.ordered_on, one.external_id))[-4 * len(_PAID) :: 4]
        today = self._now.date()
        return tuple(
            DemoInvoice(
                order=order.external_id,
                account=order.account,
                issued_on=order.ordered_on,
                paid=Decimal(paid),
                paid_on=min(today, order.ordered_on + timedelta(days=self._rng.randint(5, 45))),
            )
            for order, paid in zip(latest, _PAID, strict=False)
        )


def _listed(product: DemoProduct, currency: str) -> Decimal:
    return next(Decimal(one["amount"]) for one in product.prices if one["currency"] == currency)
