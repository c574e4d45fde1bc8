"""Passages that show why an article was found, as pieces of plain text for whoever shows them to escape."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from app.modules.after_sales.schemas.knowledge import TextPiece
from app.modules.after_sales.services.knowledge.terms import placed_terms

LENGTH: Final = 160
_BEFORE: Final = 30


def marked(text: str, wanted: Collection[str]) -> list[TextPiece]:
    """All of a text, cut where a wanted term begins or ends."""
    return _pieces(text, _marks(text, wanted), 0, len(text))


def passage(text: str, wanted: Collection[str], *, length: int = LENGTH) -> list[TextPiece]:
    """The stretch of `length` characters with most wanted terms, the first of several; its beginning without any."""
    marks = _marks(text, wanted)
    start = max(0, _best(marks, length) - _BEFORE)
    end = min(len(text), start + length)
    return _pieces(text, marks, start, end)


def _best(marks: list[tuple[int, int]], length: int) -> int:
    """Where the mark begins that is followed by most others within a passage."""
    best, most, last = 0, 0, 0
    for first, (start, _) in enumerate(marks):
        last = max(last, first)
        while last < len(marks) and marks[last][1] <= start + length - _BEFORE:
            last += 1
        if last - first > most:
            best, most = start, last - first
    return best


def _marks(text: str, wanted: Collection[str]) -> list[tuple[int, int]]:
    """Where wanted terms lie; those that touch or overlap are one."""
    singles = {term for term in wanted if len(term) == 1}
    marks: list[tuple[int, int]] = []
    for start, end, term in placed_terms(text):
        spots = [(start, end)] if term in wanted else []
        if not spots and singles and end - start == 2:
            spots = [(at, at + 1) for at in (start, start + 1) if text[at] in singles]
        for one in spots:
            if marks and one[0] <= marks[-1][1]:
                marks[-1] = (marks[-1][0], max(one[1], marks[-1][1]))
            else:
                marks.append(one)
    return marks


def _pieces(text: str, marks: list[tuple[int, int]], start: int, end: int) -> list[TextPiece]:
    found: list[TextPiece] = []
    at = start
    for first, last in marks:
        first, last = max(first, start), min(last, end)
        if first >= last:
            continue
        if first > at:
            found.append(TextPiece(text=text[at:first], match=False))
        found.append(TextPiece(text=text[first:last], match=True))
        at = last
    if at < end:
        found.append(TextPiece(text=text[at:end], match=False))
    return found
