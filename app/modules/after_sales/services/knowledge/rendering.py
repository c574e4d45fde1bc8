"""The text of an article as HTML: headings, lists and paragraphs. Everything that was written is escaped."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_HEADING: Final = re.compile(r"(#{1,3})\s+(.+)")
_BULLET: Final = re.compile(r"[-*]\s+(.+)")
_NUMBERED: Final = re.compile(r"[0-9]{1,3}[.)]\s+(.+)")


def html_of(text: str) -> str:
    """Paragraphs are parted by empty lines; `# ` begins a heading, `- ` and `1. ` an item of a list."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        while lines:
            part, lines = _part(lines)
            found.append(part)
    return "".join(found)


def _part(lines: list[str]) -> tuple[str, list[str]]:
    """The first heading, list or paragraph of some lines, and the lines behind it."""
    heading = _HEADING.fullmatch(lines[0])
    if heading:
        # The page's own heading is the title, so all of the text's are below it.
        return f"<h2>{escape(heading[2])}</h2>", lines[1:]
    for pattern, name in ((_BULLET, "ul"), (_NUMBERED, "ol")):
        items = _while(lines, pattern)
        if items:
            listed = "".join(f"<li>{escape(item)}</li>" for item in items)
            return f"<{name}>{listed}</{name}>", lines[len(items) :]
    count = 1
    while count < len(lines) and not any(p.fullmatch(lines[count]) for p in (_HEADING, _BULLET, _NUMBERED)):
        count += 1
    return f"<p>{'<br>'.join(map(escape, lines[:count]))}</p>", lines[count:]


def _while(lines: list[str], pattern: re.Pattern[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        found = pattern.fullmatch(line)
        if not found:
            break
        items.append(found[1])
    return items
