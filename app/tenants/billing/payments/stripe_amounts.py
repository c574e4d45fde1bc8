"""Amounts as Stripe counts them, which is not always in the minor unit of ISO 4217.

https://docs.stripe.com/currencies: some currencies have no decimals there, those with three end in a zero, and
ISK and UGX are written with two that are zero.
"""

from __future__ import annotations

from typing import Final

from app.kernel.money import exponent_of

_NONE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THREE: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


def _exponent(currency: str) -> int:
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def to_stripe(amount: int, currency: str) -> int | None:
    """Minor units of ours as Stripe's, or None for what Stripe cannot charge to the last unit."""
    ours, theirs = exponent_of(currency), _exponent(currency)
    if theirs >= ours:
        found = amount * int(10 ** (theirs - ours))
    elif amount % 10 ** (ours - theirs):
        return None
    else:
        found = amount // 10 ** (ours - theirs)
    return None if currency in _THREE and found % 10 else found


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's units as minor units of ours."""
    code = currency.upper()
    ours, theirs = exponent_of(code), _exponent(code)
    if ours >= theirs:
        return amount * int(10 ** (ours - theirs))
    return amount // int(10 ** (theirs - ours))
