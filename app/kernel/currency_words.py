"""What stands beside an amount in a file: codes, signs and names of currencies.

A sign that several currencies share says less than a code: `$5` is of the currency that the amount has anyway if that
is one of dollars, and otherwise nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from app.kernel.money import EXPONENTS

_SHARED: Final[Mapping[str, frozenset[str]]] = {
    word: frozenset(codes.split())
    for word, codes in {
        "$": "USD AUD BBD BMD BND BSD BZD CAD CLP COP FJD GYD HKD JMD KYD LRD MXN NAD NZD SBD SGD SRD TTD TWD XCD",
        "¥": "CNY JPY",
        "元": "CNY HKD MOP TWD",
        "块": "CNY HKD MOP TWD",
        "圆": "CNY HKD JPY MOP TWD",
        "圓": "CNY HKD JPY MOP TWD",
        "FR": "BIF CDF CHF DJF GNF KMF RWF XAF XOF XPF",
        "KR": "DKK ISK NOK SEK",
        "RS": "INR LKR MUR NPR PKR SCR",
    }.items()
}
"""Words that several currencies share, in capitals, with those."""

_ONE: Final[Mapping[str, str]] = {
    word: code
    for code, words in {
        "AUD": "A$ AU$ 澳元",
        "BRL": "R$",
        "CAD": "C$ CA$ 加元",
        "CHF": "SFR 瑞士法郎",
        "CNY": "RMB CN¥ 人民币 人民幣 元人民币 人民币元",
        "CZK": "KČ",
        "EUR": "€ 欧元 歐元",
        "GBP": "£ 英镑 英鎊",
        "HKD": "HK$ 港元 港币 港幣",
        "HUF": "FT",
        "IDR": "RP",
        "ILS": "₪",
        "INR": "₹",
        "JPY": "JP¥ 円 日元 日圆",
        "KRW": "₩ 원 韩元",
        "KZT": "₸",
        "MOP": "MOP$ 澳门元",
        "MXN": "MX$",
        "MYR": "RM",
        "NGN": "₦",
        "NZD": "NZ$",
        "PHP": "₱",
        "PLN": "ZŁ",
        "RUB": "₽ 卢布",
        "SGD": "S$ 新加坡元",
        "THB": "฿ 泰铢",
        "TRY": "₺",
        "TWD": "NT$ 台币 台幣 新台币 新臺幣",
        "UAH": "₴",
        "USD": "US$ 美元 美金",
        "VND": "₫ Đ",
        "ZAR": "R",
    }.items()
    for word in words.split()
}
"""Signs and names of one currency, in capitals, with its code."""

_WIDE = str.maketrans("＄￥￡￦", "$¥£₩")


def named_by(words: Sequence[str]) -> str:
    """The currency that all of the words name: its code, or a shared sign. Raises: ValueError if none is."""
    folded = [_ONE.get(word, word) for word in (word.translate(_WIDE).upper() for word in words)]
    meant = [_SHARED.get(word) or frozenset({word} & EXPONENTS.keys()) for word in folded]
    unknown = [word for word, codes in zip(words, meant, strict=True) if not codes]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no currency that is known.")
    common = frozenset.intersection(*meant)
    if len(common) == 1:
        return next(iter(common))
    # Of two signs the narrower; `$` and `元` have some currencies in common, but neither says which.
    for word, codes in zip(folded, meant, strict=True):
        if codes == common:
            return word
    raise ValueError(f"{words[0]!r} and {words[-1]!r} do not say one currency.")


def has_code(named: str) -> bool:
    """Whether what `named_by` found is one currency, and no sign of several."""
    return bool(named) and named not in _SHARED


def settled(named: str | None, column: str, otherwise: str) -> str:
    """The code of an amount's currency, from what `named_by` found beside it and what a column of currencies says.

    `otherwise` is that of an amount with neither. Raises: ValueError where they differ, or a sign is of other ones.
    """
    own = column or otherwise
    code = named or own
    shared = _SHARED.get(code)
    if named and shared is not None:
        code = own if own in shared else ""
    if not code or (column and code != column):
        raise ValueError(f"The amount is in {named}, but its currency is {own}.")
    return code


def code_in(cell: str, otherwise: str) -> str:
    """The code of what a column of currencies says; a shared sign is of `otherwise` if that is one of its currencies.

    What says none stays, in capitals, to be refused as the currency it is not; nothing stays nothing.
    """
    word = cell.strip()
    if not word:
        return ""
    try:
        return settled(named_by([word]), "", otherwise)
    except ValueError:
        return word.upper()
