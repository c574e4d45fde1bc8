"""Values of custom fields: checked, brought into one stored form, and typed for the index.

The stored form is what the API answers: decimals and money are decimal strings, times are UTC with `Z`, members
and records are ids. One form per value, so that equality in JSON is equality of values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import orjson

from app.kernel.contact import (
    EmailInvalid,
    PhoneInvalid,
    UrlInvalid,
    clean_email,
    clean_phone,
    clean_url,
    normalise_email,
    phone_digits,
)
from app.kernel.currency_words import code_in
from app.kernel.custom_fields.models import FieldType
from app.kernel.money import InvalidMoney, Money

TEXT_MAX: Final = 500
LONG_TEXT_MAX: Final = 50_000
PATTERN_MAX: Final = 500
CHOICES_MAX: Final = 100
CUSTOM: Final = "custom."
CURRENCY: Final = ".currency"

INDEXABLE: Final = frozenset(
    {"text", "integer", "decimal", "money", "date", "datetime", "select", "url", "email", "phone"}
)
UNIQUE: Final = frozenset(
    {"text", "integer", "decimal", "date", "datetime", "url", "email", "phone", "member", "record"}
)
TEXTUAL: Final = frozenset({"text", "long_text", "url", "email", "phone"})
ORDERED: Final = frozenset({"integer", "decimal", "money", "date", "datetime"})


class ValueRefused(ValueError):
    """A value that the field does not take; `code` and text go to the caller."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Rule:
    """Limits of a field's values; `pattern` must match the whole text (RE2: linear time for any input)."""

    min: str | None = None
    max: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


def check_of(kind: FieldType, rule: Rule = Rule(), options: Sequence[str] = ()) -> Callable[[Any], Any]:
    """The check of a field: takes a JSON value, returns its stored form, raises `ValueRefused`.

    Raises: ValueRefused itself when the rule does not fit the type.
    """
    read = _READERS.get(kind)
    if kind is FieldType.SELECT:
        return lambda value: _option(value, options)
    if kind is FieldType.MULTI_SELECT:
        return lambda value: _option_list(value, options)
    if read is None:
        raise ValueRefused("unknown_type", f"{kind} is no type of field.")
    limits = _limits(kind, rule)
    if not limits:
        return read

    def checked(value: Any) -> Any:
        stored = read(value)
        for limit in limits:
            limit(stored)
        return stored

    return checked


# -- readers ---------------------------------------------------------------------------------------------------


def _plain_text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        raise ValueRefused("string_type", "This takes text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueRefused("invalid_text", "The text has half a character in it.") from None
    if "\0" in value:
        raise ValueRefused("nul_character", "Text may not contain the NUL character.")
    if len(value) > most:
        raise ValueRefused("string_too_long", f"This takes at most {most} characters.")
    return value


def _text(value: Any) -> str:
    found = _plain_text(value, TEXT_MAX).strip()
    if not found:
        raise ValueRefused("string_too_short", "Empty; send null to clear it.")
    return found


def _long_text(value: Any) -> str:
    found = _plain_text(value, LONG_TEXT_MAX)
    if not found.strip():
        raise ValueRefused("string_too_short", "Empty; send null to clear it.")
    return found


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRefused("int_type", "This takes a whole number.")
    if not -(2**63) <= value < 2**63:
        raise ValueRefused("out_of_range", "The number is too large.")
    return value


def decimal_text(value: Decimal) -> str:
    """The one text of a decimal: no exponent, no trailing zeros, no minus before zero."""
    return f"{value.normalize():f}" if value else "0"


def _decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 60:
        raise ValueRefused("decimal_type", 'This takes a decimal number, best as text: "12.50".')
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueRefused("decimal_type", 'This takes a decimal number, best as text: "12.50".') from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number.adjusted()) > 25 or exponent < -12:
        raise ValueRefused("out_of_range", "This takes up to 25 digits before and 12 behind the point.")
    return decimal_text(number)


def _money(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        raise ValueRefused("money_type", 'This takes {"amount": "12.50", "currency": "EUR"}.')
    amount, currency = value["amount"], value["currency"]
    if not isinstance(amount, str) or not isinstance(currency, str) or len(amount) > 40:
        raise ValueRefused("money_type", 'This takes {"amount": "12.50", "currency": "EUR"}.')
    try:
        return Money.from_major(amount, currency).to_texts()
    except InvalidMoney as refusal:
        raise ValueRefused("invalid_money", f"{refusal}.") from None


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _date(value: Any) -> str:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            if 1000 <= date.fromisoformat(value).year <= 9998:
                return value
        except ValueError:
            pass
    raise ValueRefused("date_type", "This takes a date from 1000 to 9998: 2026-01-31.")


def _datetime(value: Any) -> str:
    if isinstance(value, str) and 16 < len(value) <= 40 and value[10] in "Tt":
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is not None and 1000 <= found.year <= 9998:
                return found.astimezone(UTC).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError):
            pass
    raise ValueRefused("datetime_type", "This takes a moment with its offset: 2026-01-31T09:00:00Z.")


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueRefused("bool_type", "This takes true or false.")
    return value


def _id(value: Any) -> str:
    if isinstance(value, str) and len(value) <= 45:
        try:
            return str(UUID(value))
        except ValueError:
            pass
    raise ValueRefused("uuid_type", "This takes an id.")


def _contact(clean: Callable[[str], str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _plain_text(value, 2_000)
        try:
            found = clean(text)
        except (EmailInvalid, PhoneInvalid, UrlInvalid) as refusal:
            raise ValueRefused("invalid_format", f"{refusal}.") from None
        if len(found) > TEXT_MAX:
            raise ValueRefused("string_too_long", f"This takes at most {TEXT_MAX} characters.")
        return found

    return read


def _option(value: Any, options: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in options:
        raise ValueRefused("unknown_option", f"This takes one of: {', '.join(options) or 'nothing'}.")
    return value


def _option_list(value: Any, options: Sequence[str]) -> list[str]:
    if not isinstance(value, list) or not value or len(value) > CHOICES_MAX:
        raise ValueRefused("list_type", "This takes a list of options; send null to clear it.")
    chosen = {_option(item, options) for item in value}
    return [option for option in options if option in chosen]


_READERS: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.TEXT: _text,
    FieldType.LONG_TEXT: _long_text,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.MONEY: _money,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.BOOLEAN: _boolean,
    FieldType.URL: _contact(clean_url),
    FieldType.EMAIL: _contact(clean_email),
    FieldType.PHONE: _contact(clean_phone),
    FieldType.MEMBER: _id,
    FieldType.RECORD: _id,
}


# -- rules -----------------------------------------------------------------------------------------------------


def _limits(kind: FieldType, rule: Rule) -> list[Callable[[Any], None]]:
    lengths = rule.min_length is not None or rule.max_length is not None or rule.pattern is not None
    if lengths and kind not in TEXTUAL:
        raise ValueRefused("rule_unfit", f"min_length, max_length and pattern are for text, not {kind}.")
    if (rule.min is not None or rule.max is not None) and kind not in ORDERED:
        raise ValueRefused("rule_unfit", f"min and max are for numbers, money and dates, not {kind}.")
    found: list[Callable[[Any], None]] = []
    if rule.min is not None or rule.max is not None:
        found.append(_between(kind, rule.min, rule.max))
    if rule.min_length is not None or rule.max_length is not None:
        found.append(_length(rule.min_length or 0, rule.max_length or LONG_TEXT_MAX))
    if rule.pattern is not None:
        found.append(_matching(rule.pattern))
    return found


def _magnitude(kind: FieldType, stored: Any) -> Any:
    """A stored value as something that compares as it should."""
    if kind is FieldType.MONEY:
        return Decimal(stored["amount"])
    if kind is FieldType.DATETIME:
        return datetime.fromisoformat(stored)
    return Decimal(stored) if kind in (FieldType.INTEGER, FieldType.DECIMAL) else stored


def _bound(kind: FieldType, text: str) -> Any:
    numeric = kind in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY)
    return Decimal(_decimal(text)) if numeric else _magnitude(kind, _READERS[kind](text))


def _between(kind: FieldType, low: str | None, high: str | None) -> Callable[[Any], None]:
    least = None if low is None else _bound(kind, low)
    most = None if high is None else _bound(kind, high)
    if least is not None and most is not None and least > most:
        raise ValueRefused("rule_unfit", "min is above max.")

    def check(stored: Any) -> None:
        value = _magnitude(kind, stored)
        if least is not None and value < least:
            raise ValueRefused("rule_violated", f"This is at least {low}.")
        if most is not None and value > most:
            raise ValueRefused("rule_violated", f"This is at most {high}.")

    return check


def _length(least: int, most: int) -> Callable[[Any], None]:
    if least > most:
        raise ValueRefused("rule_unfit", "min_length is above max_length.")

    def check(stored: str) -> None:
        if not least <= len(stored) <= most:
            raise ValueRefused("rule_violated", f"This has {least} to {most} characters.")

    return check


@lru_cache(maxsize=5_000)
def _compiled(pattern: str) -> Any:
    import re2  # type: ignore[import-untyped]  # here: few companies have patterns, and it takes 2 MB

    options = re2.Options()
    options.max_mem = 1 << 20
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise ValueRefused(
            "rule_unfit", "The pattern is no RE2 expression (look-around and back-references are not)."
        ) from None


def _matching(pattern: str) -> Callable[[Any], None]:
    if len(pattern) > PATTERN_MAX:
        raise ValueRefused("rule_unfit", f"A pattern has at most {PATTERN_MAX} characters.")
    compiled = _compiled(pattern)

    def check(stored: str) -> None:
        if compiled.fullmatch(stored) is None:
            raise ValueRefused("rule_violated", f"This matches the pattern {pattern}.")

    return check


# -- the index -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Indexed:
    """One value's row in the index table; all None clears it."""

    field_id: UUID
    key: str
    text_value: str | None = None
    integer_value: int | None = None
    decimal_value: Decimal | None = None
    date_value: date | None = None
    moment_value: datetime | None = None
    unique_key: str | None = None

    @property
    def empty(self) -> bool:
        return all(
            value is None
            for value in (
                self.text_value,
                self.integer_value,
                self.decimal_value,
                self.date_value,
                self.moment_value,
                self.unique_key,
            )
        )


INDEX_COLUMNS: Final[dict[FieldType, str]] = {
    FieldType.TEXT: "text_value",
    FieldType.SELECT: "text_value",
    FieldType.URL: "text_value",
    FieldType.EMAIL: "text_value",
    FieldType.PHONE: "text_value",
    FieldType.MEMBER: "text_value",
    FieldType.RECORD: "text_value",
    FieldType.INTEGER: "integer_value",
    FieldType.MONEY: "integer_value",
    FieldType.DECIMAL: "decimal_value",
    FieldType.DATE: "date_value",
    FieldType.DATETIME: "moment_value",
}
_TYPED: Final[Mapping[FieldType, Callable[[Any], Any]]] = {
    FieldType.MONEY: lambda stored: Money.from_major(stored["amount"], stored["currency"]).amount_minor,
    FieldType.DECIMAL: Decimal,
    FieldType.DATE: date.fromisoformat,
    FieldType.DATETIME: datetime.fromisoformat,
}
_COMPARED: Final[Mapping[FieldType, Callable[[str], str]]] = {
    FieldType.EMAIL: normalise_email,
    FieldType.PHONE: phone_digits,
}


def indexed(kind: FieldType, field_id: UUID, key: str, stored: Any, *, unique: bool) -> Indexed:
    """The index row of a stored value; None as value gives the row that clears.

    Unique fields compare e-mail addresses without case and telephone numbers by their digits.
    """
    if stored is None:
        return Indexed(field_id, key)
    typed = _TYPED.get(kind, lambda value: value)(stored)
    compared = _COMPARED.get(kind, str)(stored) if unique else None
    return Indexed(field_id, key, **{INDEX_COLUMNS[kind]: typed}, unique_key=compared)


# -- names in files --------------------------------------------------------------------------------------------


def currency_of(name: str) -> str:
    """The column of a file that holds the currency of the amounts in `custom.<key>`; no key has a point in it."""
    return name + CURRENCY


def is_currency(name: str) -> bool:
    """Whether a column is such a one, and not that of a field with the key `currency`."""
    return name.startswith(CUSTOM) and name.removeprefix(CUSTOM).endswith(CURRENCY)


# -- texts from files ------------------------------------------------------------------------------------------

_YES: Final = frozenset({"true", "yes", "y", "1", "x", "是", "真", "对"})
_NO: Final = frozenset({"false", "no", "n", "0", "否", "假", "错"})


def from_text(kind: FieldType, text: str, labels: Mapping[str, str], currency: str) -> Any:
    """A cell of a file as the JSON value that it means; the field's check follows.

    `labels` are options by lower-case key and label; money without a currency is in `currency`.
    """
    text = text.strip()
    if kind is FieldType.INTEGER and re.fullmatch(r"[+-]?\d{1,19}(\.0+)?", text, re.ASCII):
        return int(text.partition(".")[0])
    if kind is FieldType.BOOLEAN:
        folded = text.casefold()
        return True if folded in _YES else False if folded in _NO else text
    if kind is FieldType.SELECT:
        return labels.get(text.casefold(), text)
    if kind is FieldType.MULTI_SELECT:
        parts = [part.strip() for part in _items(text)]
        return [labels.get(part.casefold(), part) for part in parts if part]
    if kind is FieldType.MONEY:
        match = re.fullmatch(r"(?:([A-Z]{3}) *)?(-?[0-9.]+)(?: *([^\d.,\s]{1,3}))?", text)
        if match is None:
            return text
        own = match[1] or currency
        code = code_in(match[3], own) if match[3] else own
        return text if match[1] and match[1] != code else {"amount": match[2], "currency": code}
    return text


def _items(text: str) -> list[str]:
    """The items of a list: as JSON, which NDJSON has, or by separators."""
    if text.startswith("["):
        try:
            found = orjson.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return found
    return re.split(r"[;,、；，]", text)
