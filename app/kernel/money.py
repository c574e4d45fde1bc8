"""Money: whole minor units and a currency, never a float.

The table of decimal places is our own, after ISO 4217 (list one, the "minor unit" column): Babel and
ICU follow what people use in shops instead, and differ for IQD, RSD, MGA and others, which would
shift every amount of those currencies by a factor of ten to a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final, LiteralString, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidatorFunctionWrapHandler,
    with_config,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict  # pydantic refuses typing's below Python 3.12

_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
    "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
    "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
    "VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
# No longer legal tender, but years of imported deals still carry them.
_WITHDRAWN_TWO_DECIMALS = "ANG BGN HRK"

EXPONENTS: Final[dict[str, int]] = {
    code: exponent
    for exponent, codes in (
        (2, f"{_TWO_DECIMALS} {_WITHDRAWN_TWO_DECIMALS}"),
        (0, _NO_DECIMALS),
        (3, _THREE_DECIMALS),
        (4, _FOUR_DECIMALS),
    )
    for code in codes.split()
}
"""Decimal places of the minor unit by ISO 4217 code."""

MAX_MINOR: Final = 2**63 - 1
"""The largest amount in minor units: PostgreSQL's bigint. The smallest is its negative."""

UNIT_PRICE_DECIMALS: Final = 8
UNIT_PRICE_LIMIT: Final = Decimal(10) ** 12
"""A unit price is smaller than this in either direction, and so fits numeric(20, 8)."""

_AMOUNT_PATTERN = r"^-?[0-9]{1,19}(\.[0-9]{1,8})?$"
_AMOUNT = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]{1,18}))?", re.ASCII)


class InvalidMoney(ValueError):
    """What all refusals of this module share."""


class UnknownCurrency(InvalidMoney):
    """The code is not in ISO 4217."""


class CurrencyMismatch(InvalidMoney):
    """Two currencies met where only one makes sense."""


class InvalidAmount(InvalidMoney):
    """The text is not a plain decimal number."""


class TooManyDecimals(InvalidMoney):
    """The amount is finer than the currency's minor unit, or a unit price finer than 8 decimals."""


class AmountOutOfRange(InvalidMoney):
    """The amount does not fit where it is stored."""


def exponent_of(currency: str) -> int:
    """Decimal places of `currency`.

    Raises: UnknownCurrency.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not a currency of ISO 4217") from None


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise PydanticCustomError("unknown_currency", "Not a currency code of ISO 4217")
    return code


Currency = Annotated[
    str,
    Field(strict=True, json_schema_extra={"pattern": "^[A-Z]{3}$", "examples": ["CNY"]}),
    AfterValidator(_known_currency),
]
"""An ISO 4217 code in capitals; pydantic refuses any other."""


def format_minor(amount_minor: int, currency: str) -> str:
    """`amount_minor` as a decimal string in major units with all decimals of the currency: `"1299.00"`.

    Raises: UnknownCurrency.
    """
    exponent = exponent_of(currency)
    if exponent == 2 and amount_minor >= 0:
        return f"{amount_minor // 100}.{amount_minor % 100:02}"
    if not exponent:
        return str(amount_minor)
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    return f"{'-' if amount_minor < 0 else ''}{digits[:-exponent]}.{digits[-exponent:]}"


def parse_major(amount: str, currency: str) -> int:
    """Minor units meant by a plain decimal string in major units.

    No exponent, sign plus, grouping, blank, infinity or NaN is read; `"1299"`, `"1299.0"` and
    `"1299.00"` are the same.
    Raises: UnknownCurrency, InvalidAmount, TooManyDecimals, AmountOutOfRange.
    """
    exponent = exponent_of(currency)
    found = _AMOUNT.fullmatch(amount)
    if found is None:
        raise InvalidAmount("An amount is a plain decimal number such as 1299.00")
    sign, whole, fraction = found.group(1), found.group(2), found.group(3) or ""
    if len(fraction) > exponent:
        raise TooManyDecimals(f"{currency} has {exponent} decimals")
    minor = int(whole + fraction.ljust(exponent, "0"))
    return _in_range(-minor if sign else minor)


def _in_range(minor: int) -> int:
    if not -MAX_MINOR <= minor <= MAX_MINOR:
        raise AmountOutOfRange("The amount is too large")
    return minor


def half_up(value: Fraction) -> int:
    """The nearest whole number, halves away from zero, as invoices are rounded."""
    return half_up_ratio(value.numerator, value.denominator)


def half_up_ratio(numerator: int, denominator: int) -> int:
    """As `half_up`, of a ratio with a positive denominator: several times as fast as making a fraction of it."""
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -whole if numerator < 0 else whole


def _exact(value: Decimal | int) -> Fraction:
    """`value` without any loss.

    Decimals with absurd exponents are refused before they become integers of a million digits.
    """
    if isinstance(value, Decimal) and (not value.is_finite() or not -60 <= _power(value) <= 60):
        raise InvalidAmount(f"Cannot compute with {value}")
    return Fraction(value)


def _power(value: Decimal) -> int:
    """The exponent of a finite decimal; infinity and NaN carry a letter there instead."""
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


@with_config(ConfigDict(extra="forbid"))
class MoneyValue(TypedDict):
    """An amount in major units as a decimal string, and its currency (ISO 4217)."""

    amount: Annotated[
        str,
        Field(
            strict=True,
            max_length=40,
            json_schema_extra={"pattern": _AMOUNT_PATTERN, "examples": ["1299.00"]},
        ),
    ]
    currency: Currency


def money_dict(amount_minor: int, currency: str) -> MoneyValue:
    """The wire form straight from two columns, without building a `Money`."""
    return {"amount": format_minor(amount_minor, currency), "currency": currency}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in whole minor units (cents, fils, yen) of one currency.

    Raises: UnknownCurrency, AmountOutOfRange (beyond bigint), TypeError for anything but an int.
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError("amount_minor is a whole number of minor units")
        exponent_of(self.currency)
        _in_range(self.amount_minor)

    @classmethod
    def zero(cls, currency: str) -> Self:
        """Nothing, in `currency`."""
        return cls(0, currency)

    @classmethod
    def from_major(cls, amount: str, currency: str) -> Self:
        """Read a plain decimal string in major units; see `parse_major` for what is refused."""
        return cls(parse_major(amount, currency), currency)

    @classmethod
    def rounded(cls, major: Decimal, currency: str) -> Self:
        """`major` units rounded half up (away from zero) to the minor unit."""
        return cls(half_up(_exact(major) * 10 ** exponent_of(currency)), currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Self:
        """The sum; zero when there is nothing to add.

        Raises: CurrencyMismatch, AmountOutOfRange.
        """
        minor = 0
        for amount in amounts:
            if amount.currency != currency:
                raise CurrencyMismatch(f"{amount.currency} and {currency} do not mix")
            minor += amount.amount_minor
        return cls(minor, currency)

    @property
    def exponent(self) -> int:
        """Decimal places of the currency."""
        return EXPONENTS[self.currency]

    def to_major(self) -> str:
        """The amount in major units with all decimals of the currency: `"1299.00"`."""
        return format_minor(self.amount_minor, self.currency)

    def to_decimal(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.to_major())

    def to_wire(self) -> MoneyValue:
        """`{"amount": "1299.00", "currency": "CNY"}`."""
        return money_dict(self.amount_minor, self.currency)

    def to_texts(self) -> dict[str, str]:
        """As `to_wire`, for where any texts may stand: events, custom fields."""
        return {"amount": self.to_major(), "currency": self.currency}

    def _same(self, other: Money) -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")
        return other.amount_minor

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.amount_minor), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount_minor <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount_minor > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount_minor >= self._same(other)

    def __str__(self) -> str:
        return f"{self.to_major()} {self.currency}"

    def multiply(self, factor: Decimal | int) -> Money:
        """`factor` times this amount, rounded once, half up (away from zero).

        Raises: InvalidAmount for NaN, infinity and factors beyond 60 digits; AmountOutOfRange.
        """
        return Money(half_up(self.amount_minor * _exact(factor)), self.currency)

    def allocate(self, weights: Sequence[Decimal | int]) -> list[Money]:
        """Share the amount by `weights` so that the shares add up to it exactly.

        Largest remainder (Hare–Niemeyer): each share is its exact part rounded towards zero, and what is
        left goes one minor unit at a time to the largest remainders, the earlier first among equals.
        A weight of zero gets nothing; a negative amount is shared as its mirror image.
        Raises: ValueError without weights, with a negative one, or when all are zero.
        """
        exact = [_exact(weight) for weight in weights]
        whole = sum(exact, Fraction(0))
        if whole <= 0 or min(exact) < 0:
            raise ValueError("weights are not negative and not all zero")
        amount = abs(self.amount_minor)
        parts = [amount * weight / whole for weight in exact]
        shares = [part.numerator // part.denominator for part in parts]
        by_remainder = sorted(range(len(parts)), key=lambda i: (shares[i] - parts[i], i))
        for i in by_remainder[: amount - sum(shares)]:
            shares[i] += 1
        sign = -1 if self.amount_minor < 0 else 1
        return [Money(sign * share, self.currency) for share in shares]


class MoneySum(Money):
    """A sum of amounts, which may be larger than any single one that is stored."""

    __slots__ = ()

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError("amount_minor is a whole number of minor units")
        exponent_of(self.currency)


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The price of one unit in major units, to 8 decimals: half a fen per message is a real price.

    Raises: UnknownCurrency, InvalidAmount, TooManyDecimals, AmountOutOfRange.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        if not self.amount.is_finite():
            raise InvalidAmount("A unit price is a plain decimal number such as 0.0035")
        if _power(self.amount) < -UNIT_PRICE_DECIMALS:
            raise TooManyDecimals(f"A unit price has at most {UNIT_PRICE_DECIMALS} decimals")
        if abs(self.amount) >= UNIT_PRICE_LIMIT:
            raise AmountOutOfRange("The unit price is too large")

    @classmethod
    def from_major(cls, amount: str, currency: str) -> Self:
        """Read a plain decimal string in major units.

        Raises: as the class.
        """
        if _AMOUNT.fullmatch(amount) is None:
            raise InvalidAmount("A unit price is a plain decimal number such as 0.0035")
        return cls(Decimal(amount), currency)

    def times(self, quantity: Decimal | int) -> Money:
        """The price of `quantity` units, rounded once, half up, to the minor unit."""
        scale = 10 ** exponent_of(self.currency)
        return Money(half_up(_exact(self.amount) * _exact(quantity) * scale), self.currency)

    def to_major(self) -> str:
        """The shortest plain decimal string with at least the currency's decimals: `"0.0035"`, `"12.00"`."""
        whole, _, fraction = f"{abs(self.amount):.{UNIT_PRICE_DECIMALS}f}".partition(".")
        exponent = exponent_of(self.currency)
        fraction = fraction[:exponent] + fraction[exponent:].rstrip("0")
        return f"{'-' if self.amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"

    def to_wire(self) -> MoneyValue:
        """`{"amount": "0.0035", "currency": "CNY"}`."""
        return {"amount": self.to_major(), "currency": self.currency}


_CODES: Final[dict[type[InvalidMoney], LiteralString]] = {
    InvalidAmount: "invalid_amount",
    TooManyDecimals: "too_many_decimals",
    AmountOutOfRange: "amount_out_of_range",
    UnknownCurrency: "unknown_currency",
}


class _Wire:
    """Teaches pydantic the wire form of `Money` and `UnitPrice`: one object in, the same object out."""

    def __init__(self, kind: type[Money | UnitPrice]) -> None:
        self._kind = kind

    def _read(self, value: Any, validate: ValidatorFunctionWrapHandler) -> Money | UnitPrice:
        if isinstance(value, self._kind):
            return value
        fields: MoneyValue = validate(value)
        try:
            return self._kind.from_major(fields["amount"], fields["currency"])
        except InvalidMoney as refusal:
            raise PydanticCustomError(_CODES[type(refusal)], "{reason}", {"reason": str(refusal)}) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema pydantic compiles; `Money` objects pass unchanged."""
        fields = handler.generate_schema(MoneyValue)
        return core_schema.no_info_wrap_validator_function(
            self._read,
            fields,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._kind.to_wire, return_schema=fields, when_used="always"
            ),
        )


MoneyIn = Annotated[Money, _Wire(Money)]
"""A request's `{"amount": "1299.00", "currency": "CNY"}`, read into `Money`."""

MoneyOut = Annotated[Money, _Wire(Money)]
"""An answer's `Money`, written as `{"amount": "1299.00", "currency": "CNY"}`."""

UnitPriceIn = Annotated[UnitPrice, _Wire(UnitPrice)]
"""A request's unit price, up to 8 decimals."""

UnitPriceOut = Annotated[UnitPrice, _Wire(UnitPrice)]
"""An answer's unit price."""
