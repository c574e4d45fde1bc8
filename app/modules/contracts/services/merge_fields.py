"""Merge fields of clauses: `{{account.name}}` and others of a declared list, put in as text and never run.

What is put in is not escaped: whoever renders the text does that for what it renders to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from app.kernel.errors import Invalid
from app.kernel.money import Money

FIELDS: Final[Mapping[str, tuple[str, str]]] = {
    "account.name": ("The customer's name", "客户名称"),
    "contact.name": ("The contact's name", "联系人姓名"),
    "company.name": ("Your company's name", "本公司名称"),
    "contract.number": ("The contract's number", "合同编号"),
    "contract.title": ("The contract's title", "合同标题"),
    "contract.value": ("The value with its currency", "合同金额（含币种）"),
    "contract.currency": ("The currency", "币种"),
    "contract.starts_on": ("The first day", "开始日期"),
    "contract.ends_on": ("The last day", "结束日期"),
    "contract.notice_days": ("Days of notice", "提前通知天数"),
    "owner.name": ("The responsible member's name", "负责人姓名"),
}
"""The fields that a clause may hold: name, and what it stands for in English and Chinese."""

_MARK = re.compile(r"\{\{(?:[ \t]*([a-z_]+\.[a-z_]+)[ \t]*\}\})?|\}\}")
_AMOUNT = re.compile(r"-?[0-9][0-9.,]*\s?[A-Z]{3}\b")
_OPEN_END = {"en": "open end", "zh": "长期"}


def check(text: str, pointer: str) -> None:
    """Raises `Invalid` at `pointer` for a field that is not declared, or braces that are no field."""
    for found in _MARK.finditer(text):
        name = found.group(1)
        if name is None:
            raise Invalid.at(
                pointer,
                "malformed_placeholder",
                f"Two braces begin or end a field such as {{{{account.name}}}}; see character {found.start() + 1}.",
            )
        if name not in FIELDS:
            raise Invalid.at(
                pointer, "unknown_placeholder", f"There is no field {name!r}; see the list of merge fields."
            )


def fill(text: str, values: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """The text with the values in their places, and the names of fields that have none: those stay as they are."""
    missing: dict[str, None] = {}

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        known = values.get(name) if name else None
        if known is None:
            if name:
                missing[name] = None
            return found.group(0)
        return known

    return _MARK.sub(value, text), list(missing)


def text_without_amounts(text: str) -> str:
    """A text that was filled, with an ellipsis in the place of each amount of money, as `1200.00 USD`."""
    return _AMOUNT.sub("…", text)


def values_of(
    language: str,
    *,
    account: str | None,
    contact: str | None,
    company: str,
    owner: str | None,
    number: str,
    title: str,
    value: Money,
    starts_on: date,
    ends_on: date | None,
    notice_days: int,
) -> dict[str, str | None]:
    """Every declared field of one contract, as its language writes dates and sums."""
    return {
        "account.name": account,
        "contact.name": contact,
        "company.name": company,
        "contract.number": number,
        "contract.title": title,
        "contract.value": str(value),
        "contract.currency": value.currency,
        "contract.starts_on": day_text(starts_on, language),
        "contract.ends_on": _OPEN_END[language] if ends_on is None else day_text(ends_on, language),
        "contract.notice_days": str(notice_days),
        "owner.name": owner,
    }


def day_text(day: date, language: str) -> str:
    """`2026-01-31`, or `2026年1月31日`."""
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else day.isoformat()
