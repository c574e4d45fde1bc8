"""Dated exchange rates: what an amount in a foreign currency is worth in the company's own on a day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.locks import lock_name
from app.kernel.money import MAX_MINOR, Money, exponent_of
from app.kernel.uow import UnitOfWork
from app.tenants.interface import DatedRate, ExchangeRateChanged
from app.tenants.models import ExchangeRate

OBJECT = "exchange_rate"


def converted(amount: Money, rate: Decimal, home: str) -> Money | None:
    """`amount` at `rate` in `home`, rounded half up (away from zero) once; None beyond what money can hold."""
    exact = Fraction(amount.amount_minor) * Fraction(rate)
    exact *= Fraction(10) ** (exponent_of(home) - exponent_of(amount.currency))
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return Money(-whole if exact < 0 else whole, home) if whole <= MAX_MINOR else None


class RatesOfTenant:
    """Implements `ExchangeRates`; a currency's rates are read once per transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.home = uow.actor.tenant.currency
        self._known: dict[str, tuple[list[date], list[Decimal]]] = {}

    async def convert_many(self, amounts: Sequence[tuple[Money, date]]) -> list[Money | None]:
        """See `ExchangeRates`."""
        await self._learn({money.currency for money, _ in amounts} - {self.home} - self._known.keys())
        return [self._converted(money, day) for money, day in amounts]

    async def rates(self, currencies: Collection[str] | None = None) -> list[DatedRate]:
        """See `ExchangeRates`."""
        rows = await self.uow.fetch(
            "SELECT currency, valid_from, lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from) AS until,"
            " rate FROM tenants.exchange_rates WHERE tenant_id = $1 AND home_currency = $2"
            " AND ($3::text[] IS NULL OR currency = ANY($3::text[])) ORDER BY currency, valid_from",
            self.uow.tenant_id,
            self.home,
            None if currencies is None else sorted(currencies),
        )
        return [DatedRate(*row) for row in rows]

    async def settled(self) -> None:
        """See `ExchangeRates`."""
        await lock_name(self.uow, "exchange_rates")

    async def _learn(self, currencies: set[str]) -> None:
        if not currencies:
            return
        if not self.uow.read_only:
            await lock_name(self.uow, "exchange_rates", shared=True)
        self._known |= {currency: ([], []) for currency in currencies}
        for found in await self.rates(currencies):
            days, values = self._known[found.currency]
            days.append(found.valid_from)
            values.append(found.rate)

    def _converted(self, money: Money, day: date) -> Money | None:
        if money.currency == self.home:
            return money
        days, values = self._known[money.currency]
        place = bisect_right(days, day)
        return converted(money, values[place - 1], self.home) if place else None


class ExchangeRateService:
    """The rates as people keep them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def get(self, id: UUID) -> ExchangeRate:
        """Raises: NotFound."""
        return await self.uow.get(ExchangeRate, id)

    async def create(self, currency: str, valid_from: date, rate: Decimal) -> ExchangeRate:
        """Raises: Invalid for the company's own currency; DuplicateValue for a second one of a day."""
        home = self.uow.actor.tenant.currency
        if currency == home:
            raise Invalid.at("/currency", "home_currency", f"{home} is the company's own currency.")
        row = await self.uow.insert(
            ExchangeRate,
            audit=OBJECT,
            currency=currency,
            home_currency=home,
            valid_from=valid_from,
            rate=rate,
        )
        self._publish(row)
        return row

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> ExchangeRate:
        """Raises: NotFound; StaleVersion; DuplicateValue."""
        row = await self._locked(id, expected_version)
        changed = await self.uow.update(row, audit=OBJECT, **changes)
        if changed is not row:
            self._publish(changed)
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion."""
        row = await self._locked(id, expected_version)
        await self.uow.delete(row, audit=OBJECT)
        self._publish(row)

    async def _locked(self, id: UUID, expected_version: int) -> ExchangeRate:
        row = await self.uow.get(ExchangeRate, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    def _publish(self, row: ExchangeRate) -> None:
        self.uow.publish(ExchangeRateChanged(id=row.id, currency=row.currency, valid_from=row.valid_from))
