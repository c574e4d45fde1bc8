"""From the text in a cell to the value that a field's schema validates.

Only what spreadsheets do to values is undone here: dates written the local way, thousands separators, yes and
no in two languages, lists in one cell. Whether the value is right is the schema's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from app.kernel.currency_words import named_by
from app.kernel.listing import Kind

Read = Callable[[str], Any]
"""Reads a cell's text; raises ValueError whose message is fit for the person who imports."""

DateOrder = str  # "ymd", "dmy" or "mdy"

TRUE = frozenset({"true", "yes", "y", "1", "on", "是", "对", "有", "真", "√"})
FALSE = frozenset({"false", "no", "n", "0", "off", "否", "错", "无", "假", "×"})
LIST_SEPARATORS = re.compile(r"[;；,，、\n]")
# Thousands, lakhs (1,00,000), ten thousands (1,0000); `12,50` is a fraction that somebody wrote their way.
_WHOLE = r"[0-9]+(?:(?:[,，_ \u00a0'][0-9]{2,4})*[,，_ \u00a0'][0-9]{3,4})?"
_NUMBER = re.compile(rf"[+-]?{_WHOLE}(?:\.[0-9]+)?")
# `-$5` is what spreadsheets make of `$-5` in America, and `¥-5` what they show in China: one sign, in either place.
_AMOUNT = re.compile(
    rf"([+-])?([^0-9.,+\-\s]{{0,4}})\s*((?(1)|[+-]?){_WHOLE}(?:\.[0-9]+)?)"
    r"\s*([万萬亿億]?)\s*([^0-9.,\s]{0,4}?)[整正]?"
)
_SEPARATORS = re.compile(r"[,，_ \u00a0'+]")
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)  # rounds no amount, however long
_POWERS = {"万": 4, "萬": 4, "亿": 8, "億": 8}
_YEAR_FIRST = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s]\s*(.+))?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:[T\s]\s*(.+))?")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_boolean(text: str) -> bool:
    """`yes`, `no`, `是`, `否`, `1`, `0` and their like."""
    word = text.strip().casefold()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError(f"{text!r} is neither yes nor no.")


def read_integer(text: str) -> str:
    """A whole number, without separators of thousands and without a fraction of zeros, as spreadsheets write it."""
    number = read_decimal(text)
    whole, _, fraction = number.partition(".")
    return whole if not fraction.strip("0") else number


def read_decimal(text: str) -> str:
    """A number without separators of thousands."""
    tidy = text.strip()
    if tidy.isdigit() and tidy.isascii():
        return tidy
    if _NUMBER.fullmatch(tidy) is None:
        raise ValueError(f"{text!r} is no number{_point(tidy)}.")
    return re.sub(r"[,，_ \u00a0']", "", tidy)


def read_amount(text: str) -> str:
    """The digits of an amount and, behind a blank, what `amount_and_currency` says stands beside it."""
    digits, named = amount_and_currency(text)
    return digits if named is None else f"{digits} {named}"


def amount_and_currency(text: str) -> tuple[str, str | None]:
    """The digits of an amount, and the ISO 4217 code or shared sign beside them, if any (`currency_words.settled`).

    Raises: ValueError for what is no amount, has two currencies, or something beside it that names none.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount of money{_point(text)}.")
    sign, before, number, times, behind = match.groups("")
    digits = _SEPARATORS.sub("", sign + number)
    if times:
        digits = f"{Decimal(digits).scaleb(_POWERS[times], _EXACT).normalize(_EXACT):f}"
    words = [word for word in (before, behind) if word]
    if not words:
        return digits, None
    if "(" in before or "（" in before:
        raise ValueError(f"{text!r} is no amount of money; write what is less than nothing with a minus.")
    return digits, named_by(words)


def _point(text: str) -> str:
    return "; write fractions with a point, as 12.50" if "," in text or "，" in text else ""


def read_figure(text: str) -> str:
    """A number without separators of thousands; what is written otherwise stays as it is."""
    try:
        return read_integer(text)
    except ValueError:
        return text


def read_money(text: str) -> str:
    """The same as `read_amount`; what is written otherwise stays as it is, and the field says what it takes."""
    try:
        return read_amount(text)
    except ValueError:
        return text


def read_list(text: str) -> list[str]:
    """Items by `;`, `,` or their full-width forms; a JSON array stays one."""
    if text.startswith("["):
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, list):
            return found
    return [item for item in (part.strip() for part in LIST_SEPARATORS.split(text)) if item]


def read_json(text: str) -> Any:
    """A JSON value, for fields that are objects."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError(f"{text[:40]!r} is no JSON value.") from None


def date_reader(order: DateOrder) -> Read:
    """Reads dates: ISO first, then `2026/1/31` and `2026年1月31日`, then by `order` where day or month lead."""

    @lru_cache(maxsize=4_096)
    def read(text: str) -> str:
        text = text.strip()
        if _ISO_DATE.fullmatch(text):
            return text
        year, month, day, _ = _parts(text, order)
        return _iso(year, month, day, text)

    return read


def datetime_reader(order: DateOrder, zone: ZoneInfo) -> Read:
    """Reads moments; one without a zone is meant in the company's."""

    @lru_cache(maxsize=4_096)
    def read(text: str) -> Any:
        text = text.strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            year, month, day, clock = _parts(text, order)
            stamp = f"{_iso(year, month, day, text)}T{_clock(clock)}"
            try:
                moment = datetime.fromisoformat(stamp)
            except ValueError:
                raise ValueError(f"{text!r} is no time.") from None
        try:
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        except (
            OverflowError
        ):  # before the year 1, which some systems write for "never", or after 9999, in UTC
            raise ValueError(f"{text!r} is out of the calendar.") from None

    return read


def _parts(text: str, order: DateOrder) -> tuple[str, str, str, str | None]:
    match = _YEAR_FIRST.fullmatch(text)
    if match:
        return match[1], match[2], match[3], match[4]
    match = _COMPACT.fullmatch(text)
    if match:
        return match[1], match[2], match[3], None
    match = _DAY_OR_MONTH_FIRST.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no date; write it as 2026-01-31.")
    first, second, year, clock = match[1], match[2], match[3], match[4]
    if order == "dmy" or (order == "ymd" and int(first) > 12):
        return year, second, first, clock
    if order == "mdy" or (order == "ymd" and int(second) > 12):
        return year, first, second, clock
    raise ValueError(f"{text!r} could be two dates; say with `date_order` whether day or month comes first.")


def _iso(year: str, month: str, day: str, text: str) -> str:
    try:
        return datetime(int(year), int(month), int(day), tzinfo=UTC).date().isoformat()
    except ValueError:
        raise ValueError(f"{text!r} is no day of the calendar.") from None


def _clock(text: str | None) -> str:
    if not text:
        return "00:00:00"
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp][Mm])?", text.strip())
    if match is None:
        return text.strip()
    hour = int(match[1])
    if match[4]:
        hour = hour % 12 + (12 if match[4].lower() == "pm" else 0)
    return f"{hour:02}:{match[2]}:{match[3] or '00'}"


def choice_reader(choices: Mapping[str, str]) -> Read:
    """Reads a choice by value or label, whatever case; what is not known passes on to the schema's refusal."""

    def read(text: str) -> str:
        found = choices.get(text)
        if found is None:
            key = text.strip().casefold()
            found = choices.get(key) or choices.get(re.sub(r"[\s\-]+", "_", key)) or text
        return found

    return read


def custom_reader_for(kind: Kind, *, order: DateOrder, zone: ZoneInfo) -> Read | None:
    """How to read the cells of a custom field; the rest is left to the field, which says what it takes."""
    if kind is Kind.MONEY:
        return read_money
    if kind is Kind.DATETIME:
        read = datetime_reader(order, zone)
        return lambda text: read(text).isoformat()
    if kind is Kind.DATE:
        return date_reader(order)
    return read_figure if kind in (Kind.INTEGER, Kind.DECIMAL) else None


def reader_for(kind: Kind, choices: Mapping[str, str], *, order: DateOrder, zone: ZoneInfo) -> Read | None:
    """How to read the cells of a field of this kind; None takes the text as it is."""
    if choices:
        return choice_reader(choices)
    plain: dict[Kind, Read] = {
        Kind.INTEGER: read_integer,
        Kind.DECIMAL: read_decimal,
        Kind.MONEY: read_amount,
        Kind.BOOLEAN: read_boolean,
        Kind.TEXT_LIST: read_list,
        Kind.UUID_LIST: read_list,
        Kind.JSON: read_json,
    }
    if kind is Kind.DATE:
        return date_reader(order)
    if kind is Kind.DATETIME:
        return datetime_reader(order, zone)
    return plain.get(kind)
