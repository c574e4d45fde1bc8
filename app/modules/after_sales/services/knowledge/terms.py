"""What a text is about: its terms, in English and Chinese, by which published articles are found and ranked.

An English word is a term without its ending (`printers`, `printing`, `printed` and `print` are one), unless it is so
common that it says nothing. A Chinese run is its pairs of neighbours; a single character is a term where it stands
alone, and of articles each character is one besides, so that it finds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.kernel.tokens import fold, pieces_of

MOST_TERMS: Final = 5_000
"""Terms that are kept of one text."""

_COMMON_WORDS: Final = (
    "a about after all also am an and any are as at be been but by can cannot could did do does don dont "
    "for from get got had has have he hello help hi how i if in into is it its just me my no not of on "
    "one or our out please she so some thank thanks that the their them then there they this to up us was "
    "we were what when where which who why will with would you your "
)
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_SHORTEST_STEM: Final = 3


def stem(word: str) -> str:
    """A folded word without its ending: plural, `-ing`, `-ed` and the silent `e`, one after the other."""
    if not word.isascii() or not word.isalpha() or len(word) <= _SHORTEST_STEM:
        return word
    if word.endswith("ies") and len(word) > _SHORTEST_STEM + 1:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        cut = word.removesuffix(ending)
        if cut != word and len(cut) >= _SHORTEST_STEM:
            doubled = len(cut) > _SHORTEST_STEM and cut[-1] == cut[-2] and cut[-1] not in "lsz"
            word = cut[:-1] if doubled else cut
            break
    return word[:-1] if word.endswith("e") and len(word) > _SHORTEST_STEM + 1 else word


def placed_terms(text: str) -> Iterator[tuple[int, int, str]]:
    """The terms of a text and where each lies in it: start, end, term."""
    for start, end, is_run in pieces_of(text):
        if not is_run:
            word = fold(text[start:end])
            if word and word not in _COMMON:
                yield start, end, stem(word)
        elif end - start == 1:
            yield start, end, fold(text[start:end])
        else:
            for at in range(start, end - 1):
                yield at, at + 2, fold(text[at : at + 2])


def terms_of(text: str) -> list[str]:
    """What a text asks for, each term once, in the order of the text."""
    found: dict[str, None] = {}
    for _, _, term in placed_terms(text):
        found[term] = None
        if len(found) == MOST_TERMS:
            break
    return list(found)


def found_by(text: str) -> list[str]:
    """What a text is found by: its terms, and the characters of its Chinese runs."""
    found = dict.fromkeys(terms_of(text))
    for start, end, is_run in pieces_of(text):
        if is_run and end - start > 1:
            found.update(dict.fromkeys(fold(sign) for sign in text[start:end]))
        if len(found) >= MOST_TERMS:
            break
    return list(found)[:MOST_TERMS]
