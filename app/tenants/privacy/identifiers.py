"""What a person is known by: names, addresses and numbers, and the patterns that find them in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from app.kernel.contact import EmailInvalid, normalise_email, phone_digits, to_e164

_ODD: Final = re.compile(r"([\\^$.|?*+()\[\]{}])")
_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_MOMENT: Final = r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?"
_WORD: Final = r"[a-z][a-z0-9]*(?:[_.:][a-z0-9_]+)*|[A-Z]{2,3}|[A-Z]{1,6}-\d{4}-\d+|-?\d{1,13}\.\d+"
_SURE: Final = re.compile(f"(?:{_UUID}|{_MOMENT})")
_HARMLESS: Final = re.compile(f"(?:{_UUID}|{_MOMENT}|{_WORD})")
_ID: Final = re.compile(_UUID)
_OWN: Final = frozenset({"custom", "tags", "name", "email", "phone", "note", "answers", "birthday"})
_COMPANYS: Final = "custom"
_NEVER: Final = "$^x"
_BEFORE: Final = r"(?:(?<![A-Za-z0-9_])(?<![A-Za-z0-9][.+%-])|(?<=\\[bfnrt]))"
"""An address begins here: also amid Chinese, and after the end of a line as JSON writes it."""
_AFTER: Final = r"(?![A-Za-z0-9_]|-[A-Za-z0-9])"
REDACTED: Final = "[redacted]"
MIN_DIGITS: Final = 7


@dataclass(frozen=True)
class Identifiers:
    """What one person is known by, as it was typed."""

    names: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str], emails: Iterable[str], phones: Iterable[str]) -> Identifiers:
        """Without what is empty."""
        return cls(
            *(frozenset(one.strip() for one in many if one.strip()) for many in (names, emails, phones))
        )

    def __or__(self, other: Identifiers) -> Identifiers:
        return Identifiers(self.names | other.names, self.emails | other.emails, self.phones | other.phones)

    def as_json(self) -> dict[str, list[str]]:
        """As it is kept while an erasure is under way."""
        return {name: sorted(getattr(self, name)) for name in ("names", "emails", "phones")}

    @cached_property
    def email_keys(self) -> list[str]:
        """Addresses as they are compared."""
        return sorted({_email_key(email) for email in self.emails})

    @cached_property
    def phone_keys(self) -> list[str]:
        """Numbers as they are compared, where a country is known."""
        return sorted({found for phone in self.phones if (found := to_e164(phone))} | self.phones)

    @cached_property
    def here(self) -> str:
        """A regular expression that finds the person in what is theirs anyway; understood by both sides."""
        return f"{self.addresses}|{_either(self.names)}"

    @cached_property
    def everywhere(self) -> str:
        """A regular expression for texts of others: without names that many people or things may have."""
        return f"{self.addresses}|{_either(name for name in self.names if _distinct(name))}"

    @cached_property
    def addresses(self) -> str:
        """A regular expression that finds addresses and numbers, and not longer ones that these are a part of."""
        found = [one for one in self.phone_keys if len(phone_digits(one)) >= MIN_DIGITS]
        found += [*self.emails, *self.email_keys, *(name for name in self.names if "@" in name)]
        return f"{_BEFORE}(?:{_either(found)}){_AFTER}"

    @cached_property
    def _found_here(self) -> re.Pattern[str]:
        return re.compile(self.here, re.IGNORECASE)

    @cached_property
    def _found_everywhere(self) -> re.Pattern[str]:
        return re.compile(self.everywhere, re.IGNORECASE)

    def meant_in(self, text: str) -> bool:
        """Whether a text of somebody else's names the person."""
        return self._found_everywhere.search(text) is not None

    def blanked(self, value: Any, *, strict: bool = False, keys: frozenset[str] = frozenset()) -> Any:
        """JSON about the person without what it says: ids, moments and numbers stay.

        Words of lists of choices (`status: open`) stay too unless `strict`, which is for the person's own records.
        Of what says something of people by nature, days go as well, and numbers of a company's own fields: a birthday
        is as good as a name. `keys` are the keys of the objects that the value lies in.
        """
        if isinstance(value, dict):
            return {name: self.blanked(one, strict=strict, keys=keys | {name}) for name, one in value.items()}
        if isinstance(value, list):
            return [self.blanked(one, strict=strict, keys=keys) for one in value]
        if isinstance(value, str) and value:
            harmless = _ID if keys & _OWN else _SURE if strict else _HARMLESS
            return value if harmless.fullmatch(value) and not self._found_here.search(value) else REDACTED
        return None if _COMPANYS in keys and isinstance(value, int | float) else value

    def swept(self, value: Any) -> Any:
        """JSON about others with the person's names and addresses replaced."""
        if isinstance(value, dict):
            return {self._found_everywhere.sub(REDACTED, k): self.swept(one) for k, one in value.items()}
        if isinstance(value, list):
            return [self.swept(one) for one in value]
        return self._found_everywhere.sub(REDACTED, value) if isinstance(value, str) else value


def _distinct(name: str) -> bool:
    if "@" in name:  # an address, which is looked for whole
        return False
    wide = sum(ord(char) > 0x2E80 for char in name)
    return wide >= 3 or len(name) >= 8 or (len(name) >= 5 and " " in name)


def _email_key(email: str) -> str:
    try:
        return normalise_email(email)
    except EmailInvalid:
        return email.lower()


def _either(texts: Iterable[str]) -> str:
    """The longest first, so that a part never wins over the whole."""
    found = sorted({text for text in texts if len(text) > 1}, key=lambda text: (-len(text), text))
    return "|".join(_ODD.sub(r"\\\1", text) for text in found) or _NEVER
