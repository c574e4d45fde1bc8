"""API keys: `rk_live_<random>_<checksum>`.

The prefix lets secret scanners find a leaked key; the checksum lets them, and us, tell a key from a typing
error without asking the database. What is stored is the SHA-256 of the whole key.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from dataclasses import dataclass
from typing import Final

from app.kernel.secrets import hash_token, same

PREFIX: Final = "rk_live_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LENGTH: Final = 32  # of 62 letters: 190 bits
_CHECKSUM_LENGTH: Final = 6  # CRC-32 in base 62
_SHAPE: Final = re.compile(
    rf"([a-z_]+_)([0-9A-Za-z]{{{_RANDOM_LENGTH}}})_([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})", re.ASCII
)


class ApiKeyMalformed(ValueError):
    """The text is no key of ours: another shape, or a wrong checksum."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key at its birth: `key` is shown once, `hash` is stored, `hint` helps to recognise it in a list."""

    key: str
    hash: bytes
    hint: str

    def __repr__(self) -> str:
        return f"NewApiKey({self.hint})"


def generate_api_key(prefix: str = PREFIX) -> NewApiKey:
    """A new key."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    key = f"{prefix}{random}_{_checksum(prefix, random)}"
    return NewApiKey(key=key, hash=hash_token(key), hint=f"{prefix}{random[:4]}…")


def parse_api_key(text: str, prefix: str = PREFIX) -> bytes:
    """The hash to look a presented key up by.

    Raises: ApiKeyMalformed, without having cost a query.
    """
    found = _SHAPE.fullmatch(text)
    if found is None or found[1] != prefix or not same(_checksum(prefix, found[2]), found[3]):
        raise ApiKeyMalformed("not an API key")
    return hash_token(text)


def looks_like_api_key(text: str) -> bool:
    """Whether a bearer credential is meant as an API key rather than an access token."""
    return text.startswith(PREFIX)


def _checksum(prefix: str, random: str) -> str:
    value = zlib.crc32(f"{prefix}{random}".encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        value, rest = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
