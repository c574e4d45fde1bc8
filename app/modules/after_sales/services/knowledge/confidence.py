"""How sure it is that an article answers a question, from 0 to 1.

`weight(t) = ln(1 + N / (1 + n))` of a term that `n` of the `N` articles asked among have: what few have says much.
`coverage` is the share of the question's weight that the article has, a term of its title whole and one of its text
alone half; 1 means that all that is asked stands in the title.
`confidence = sqrt(coverage x named)`, where `named` is the share of the title's terms that the question names in its
subject or its further text. So an article is trusted where it is about what is asked, and the question is about what
the article is about. One of another product than the case's counts half; all is rounded to four decimals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from math import log, sqrt
from typing import Final

TEXT_SHARE: Final = 0.5
OTHER_PRODUCT: Final = 0.5
_EXACT: Final = Decimal("0.0001")


def weight(articles: int, containing: int) -> float:
    """What a term is worth that `containing` of `articles` have."""
    return log(1 + articles / (1 + containing))


def coverage(asked: Collection[str], found: Mapping[str, bool], weights: Mapping[str, float]) -> float:
    """The share of what is asked that an article has; `found` says of its terms whether its title has them."""
    whole = sum(weights[term] for term in asked)
    if not whole:
        return 0.0
    had = sum(weights[term] * (1.0 if found[term] else TEXT_SHARE) for term in asked if term in found)
    return had / whole


def confidence(
    asked: Collection[str],
    found: Mapping[str, bool],
    weights: Mapping[str, float],
    *,
    title_terms: int,
    other_product: bool = False,
) -> Decimal:
    """See the module; `found` are the terms of subject and further text that the article has."""
    if not title_terms:
        return Decimal("0.0000")
    named = min(1.0, sum(found.values()) / title_terms)
    sure = sqrt(coverage(asked, found, weights) * named) * (OTHER_PRODUCT if other_product else 1.0)
    return rounded(sure)


def rounded(share: float) -> Decimal:
    """To four decimals, from 0 to 1."""
    return Decimal(min(1.0, max(0.0, share))).quantize(_EXACT)
