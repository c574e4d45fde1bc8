"""Money, quantities, percentages and dates as people read them, in English or Chinese (Unicode's CLDR, by babel)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent

from app.kernel.money import exponent_of

Language = Literal["en", "zh"]
_LOCALES: Final = {"en": "en", "zh": "zh_Hans_CN"}


class Figures:
    """Writes the figures of one document: its language, and its currency with the decimals of ISO 4217."""

    def __init__(self, language: Language, currency: str) -> None:
        self.currency = currency
        self._locale = _LOCALES[language]
        self._exponent = exponent_of(currency)
        self._decimals = "." + "0" * self._exponent if self._exponent else ""

    def money(self, minor: int) -> str:
        """An amount with the currency's sign."""
        return format_currency(
            self._major(minor),
            self.currency,
            f"¤#,##0{self._decimals}",
            locale=self._locale,
            currency_digits=False,
        )

    def amount(self, minor: int) -> str:
        """An amount without the sign."""
        return format_decimal(self._major(minor), f"#,##0{self._decimals}", locale=self._locale)

    def price(self, major: Decimal) -> str:
        """A unit price: all decimals that it has, and no fewer than the currency."""
        decimals = "0" * self._exponent + "#" * max(0, 8 - self._exponent)
        return format_decimal(major, f"#,##0.{decimals}", locale=self._locale)

    def quantity(self, quantity: Decimal) -> str:
        return format_decimal(quantity, "#,##0.########", locale=self._locale)

    def percent(self, rate: Decimal) -> str:
        """13 is 13%."""
        return format_percent(rate / 100, "#,##0.####%", locale=self._locale)

    def date(self, day: date) -> str:
        return format_date(day, "long", locale=self._locale)

    def moment(self, moment: datetime, zone: ZoneInfo) -> str:
        """Date and time in a zone, which is named."""
        local = moment.astimezone(zone)
        return f"{format_datetime(local, 'yyyy-MM-dd HH:mm', locale=self._locale)} ({zone.key})"

    def _major(self, minor: int) -> Decimal:
        return Decimal(minor).scaleb(-self._exponent)
