"""Business cards: vCard 4.0 (RFC 6350), 3.0 (RFC 2426) and 2.1, as far as a lead is concerned.

Strict about the frame (BEGIN, VERSION, END, lines that are no property) and silent about properties that a lead
has no use for. Files are read as bytes: 2.1 names a character set per property, later versions are UTF-8.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from app.kernel.charsets import codec_of

MAX_CARDS: Final = 500
_VERSIONS: Final = frozenset({"2.1", "3.0", "4.0"})
_NAME: Final = re.compile(rb"(?:[A-Za-z0-9-]+\.)?([A-Za-z0-9-]+)")
_PARAMETER: Final = re.compile(r';(?:([A-Za-z0-9-]+)=)?((?:"[^"]*"|[^;"])*)')
_NO_TEXT: Final = re.compile(r"[\0\ud800-\udfff]")
_IDEOGRAPHS: Final = re.compile(r"[\u3400-\u9fff\uac00-\ud7af\u3040-\u30ff]")
_USED: Final = frozenset({"FN", "N", "ORG", "TITLE", "ROLE", "EMAIL", "TEL", "ADR", "URL", "NOTE"})


class CardInvalid(ValueError):
    """The text is no vCard, and why."""


@dataclass(frozen=True, slots=True)
class Property:
    """One line of a card: parameters in upper case, values still escaped."""

    name: str
    parameters: dict[str, list[str]]
    value: str

    @property
    def rank(self) -> float:
        """Preference, smaller first: `PREF=1` of 4.0, `TYPE=pref` of the others, else by the order of the card."""
        for text in self.parameters.get("PREF", ()):
            if len(text) <= 3 and text.isascii() and text.isdigit():
                return int(text)
        return 1 if "PREF" in self.types else 101

    @property
    def types(self) -> frozenset[str]:
        return frozenset(text.upper() for text in self.parameters.get("TYPE", ()))

    def text(self) -> str:
        return _unescape(self.value).strip()

    def parts(self) -> list[str]:
        """The parts of a structured value."""
        return [_unescape(part).strip() for part in re.split(r"(?<!\\);", self.value)]


@dataclass(slots=True)
class Card:
    """The properties of one card, or why it cannot be read."""

    properties: list[Property] = field(default_factory=list)
    error: str | None = None

    def all(self, name: str) -> list[Property]:
        """The properties of a name, the preferred first."""
        return sorted(
            (found for found in self.properties if found.name == name), key=lambda found: found.rank
        )

    def first(self, *names: str) -> str | None:
        """The first text that is not empty."""
        texts = (found.text() for name in names for found in self.all(name))
        return next((text for text in texts if text), None)


def read_cards(raw: bytes) -> list[Card]:
    """The cards of a file, in order. Raises: CardInvalid for what is no vCard file, or has over 500 cards."""
    cards: list[Card] = []
    lines: list[bytes] | None = None
    for line in _unfolded(raw.removeprefix(b"\xef\xbb\xbf")):
        word = line.strip().upper().replace(b" ", b"")
        if word == b"BEGIN:VCARD":
            if lines is not None:
                raise CardInvalid("A card begins within another.")
            lines = []
        elif word == b"END:VCARD":
            if lines is None:
                raise CardInvalid("A card ends that did not begin.")
            cards.append(_card(lines))
            lines = None
            if len(cards) > MAX_CARDS:
                raise CardInvalid(f"A file may hold {MAX_CARDS} cards.")
        elif lines is not None:
            lines.append(line)
        elif line.strip():
            raise CardInvalid("There is something outside of the cards.")
    if lines is not None:
        raise CardInvalid("The last card does not end.")
    if not cards:
        raise CardInvalid("There is no card: a card begins with BEGIN:VCARD.")
    return cards


def _unfolded(raw: bytes) -> Iterator[bytes]:
    """Logical lines: a blank at the beginning, or a quoted-printable `=` at the end, continues (RFC 6350, 3.2)."""
    pending: list[bytes] = []  # joined once: a line of many pieces would be copied for each
    quoted = False
    for line in re.split(rb"\r\n|\n|\r", raw):
        if pending and line[:1] in (b" ", b"\t"):
            pending.append(line[1:])
        elif quoted and pending[-1].endswith(b"="):
            pending[-1] = pending[-1][:-1]
            pending.append(line)
        else:
            if pending:
                yield b"".join(pending)
            pending, quoted = [line], False
        if not quoted and line.endswith(b"="):
            quoted = _is_quoted(b"".join(pending))
    if pending:
        yield b"".join(pending)


def _is_quoted(line: bytes) -> bool:
    return b"QUOTED-PRINTABLE" in line.partition(b":")[0].upper()


def _card(lines: Sequence[bytes]) -> Card:
    card = Card()
    version = None
    try:
        for line in lines:
            if not line.strip():
                continue
            found = _property(line)
            if found is None:
                continue
            if found.name == "VERSION":
                version = found.value.strip()
            else:
                card.properties.append(found)
        if version not in _VERSIONS:
            raise CardInvalid("A card says its version: 2.1, 3.0 or 4.0.")
    except CardInvalid as error:
        card.error = str(error)
    return card


def _property(line: bytes) -> Property | None:
    """A line that matters to a lead; None for any other property."""
    match = _NAME.match(line)
    if match is None:
        raise CardInvalid("A line is no property.")
    name = match[1].decode("ascii").upper()
    if name not in _USED and name != "VERSION":
        if b":" not in line:
            raise CardInvalid(f"{name} has no value.")
        return None
    colon = _colon(line, match.end())
    parameters = _parameters(line[match.end() : colon].decode("utf-8", "replace"))
    value = line[colon + 1 :]
    if "QUOTED-PRINTABLE" in (text.upper() for text in parameters.get("ENCODING", ())):
        value = quopri.decodestring(value)
    return Property(name, parameters, _decoded(value, (parameters.get("CHARSET") or ["UTF-8"])[0], name))


def _colon(line: bytes, start: int) -> int:
    """Where the value begins: the first colon outside of quotation marks."""
    quoted = False
    for at in range(start, len(line)):
        char = line[at : at + 1]
        if char == b'"':
            quoted = not quoted
        elif char == b":" and not quoted:
            return at
    raise CardInvalid("A line is no property.")


def _parameters(text: str) -> dict[str, list[str]]:
    """`;TYPE=work,cell;PREF=1`, and `;WORK;CELL` of 2.1, where names may be left out."""
    found: dict[str, list[str]] = {}
    for name, value in _PARAMETER.findall(text):
        values = [part.strip('"') for part in value.split(",")]
        if not name:
            quoted = value.upper() in ("QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT")
            name = "ENCODING" if quoted else "TYPE"
        found.setdefault(name.upper(), []).extend(part for part in values if part)
    return found


def _decoded(value: bytes, charset: str, name: str) -> str:
    codec = codec_of(charset)
    if codec is None:
        raise CardInvalid(f"{name} is in {charset[:40]}, which is not read here.")
    try:
        text = value.decode(codec)
    except UnicodeDecodeError:
        raise CardInvalid(f"{name} is not {charset[:40]}.") from None
    if _NO_TEXT.search(text):
        raise CardInvalid(f"{name} has a NUL character or half a surrogate pair.")
    return text


def _unescape(text: str) -> str:
    return re.sub(r"\\([nN,;:\\])", lambda match: "\n" if match[1] in "nN" else match[1], text).replace(
        "\r\n", "\n"
    )


# -- as a lead -----------------------------------------------------------------------------------------------


def lead_of(card: Card) -> dict[str, Any]:
    """The fields of the lead that a card stands for. Raises: CardInvalid for one without a name."""
    company = next((parts[0] for found in card.all("ORG") if (parts := found.parts()) and parts[0]), None)
    email = card.first("EMAIL")
    name = card.first("FN") or _structured_name(card) or company or email
    if card.error is not None or name is None:
        raise CardInvalid(card.error or "The card has neither a name nor a company.")
    fields = {
        "name": name,
        "company": company,
        "title": card.first("TITLE", "ROLE"),
        "email": email.removeprefix("mailto:") if email else None,
        "phone": _phone(card),
        "website": card.first("URL"),
        "description": card.first("NOTE"),
    }
    return {key: value for key, value in (fields | _address(card)).items() if value}


def _structured_name(card: Card) -> str | None:
    """Family and given name as people write them: together in Chinese, Japanese and Korean, else given first."""
    for found in card.all("N"):
        family, given, *rest = [*found.parts(), "", "", "", ""][:5]
        if family and given and _IDEOGRAPHS.search(family):
            return family + given
        name = " ".join(part for part in (rest[1], given, rest[0], family, rest[2]) if part)
        if name:
            return name
    return None


def _phone(card: Card) -> str | None:
    """The preferred number, else a mobile one, else the first that is no fax."""
    numbers = [found for found in card.all("TEL") if "FAX" not in found.types and found.text()]
    if not numbers:
        return None
    best = min(numbers, key=lambda found: (found.rank, "CELL" not in found.types))
    text = best.text()
    return unquote(text[4:].partition(";")[0]) if text.lower().startswith("tel:") else text


def _address(card: Card) -> dict[str, str]:
    for found in card.all("ADR"):
        box, extended, street, city, region, code, country = [*found.parts(), *[""] * 7][:7]
        if any((box, extended, street, city, region, code, country)):
            lines = ", ".join(part for part in (street, extended, box, code) if part)
            return {"address": lines, "city": city, "region": region, "country": country}
    return {}
