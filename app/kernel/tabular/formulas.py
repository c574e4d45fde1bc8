"""Cells that a spreadsheet would run instead of show.

Excel, LibreOffice and Google Sheets evaluate a text cell of a CSV file that begins with `=`, `+`, `-` or
`@`; a leading TAB, CR or LF is dropped by some and uncovers the next character; East Asian editions also
take the full-width forms (OWASP, CSV Injection; ASVS 5.0 §1.2.10). Such a cell is written with a leading
apostrophe, which spreadsheets take to mean "text".

Left alone, because they hold no reference, function or operator and are what people export most: a sign
followed by digits with at most one decimal point (`-12.50`, `+8613800138000`). A phone number with spaces
or hyphens is escaped, since Excel would compute `+1-202-555`.

The escape is undone by `restore`: one apostrophe is removed where only apostrophes stand before a
dangerous character. A text that looked like that from the start gets one more on the way out, so that what
is written and read again is the same, character by character.
"""

from __future__ import annotations

import re

DANGEROUS = frozenset("=+-@\t\r\n＝＋－＠")
LEADING = DANGEROUS | {"'"}
"""First characters worth a closer look; any other first character needs no escape."""

_NUMBER = re.compile(r"[+-][0-9]+(?:\.[0-9]+)?", re.ASCII)
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def escape(text: str) -> str:
    """`text` with a leading apostrophe where a spreadsheet would take it for a formula."""
    first = text[:1]
    if first == "'":
        return "'" + text if _ESCAPED.match(text) else text
    if first not in DANGEROUS or _NUMBER.fullmatch(text):
        return text
    return "'" + text


def restore(text: str) -> str:
    """What `escape` was given: the inverse of `escape` on all texts."""
    return text[1:] if _ESCAPED.match(text) else text
