"""Refresh tokens: opaque, random, known to us only by their hash.

Rotation, families and reuse detection need the database and live with the sessions; this is what they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.kernel.secrets import hash_token, random_token

_PREFIX: Final = "rr_"
_RANDOM_BYTES: Final = 32
_LENGTH: Final = len(_PREFIX) + 43  # 32 bytes in base64 without padding


@dataclass(frozen=True, slots=True)
class NewRefreshToken:
    """A token at its birth: `token` goes to the client, `hash` is stored."""

    token: str
    hash: bytes

    def __repr__(self) -> str:
        return "NewRefreshToken(…)"


def generate_refresh_token() -> NewRefreshToken:
    """A new token of 256 random bits."""
    token = f"{_PREFIX}{random_token(_RANDOM_BYTES)}"
    return NewRefreshToken(token=token, hash=hash_token(token))


def hash_refresh_token(token: str) -> bytes | None:
    """The hash to look a presented token up by, or None if it cannot be one of ours."""
    if len(token) != _LENGTH or not token.startswith(_PREFIX) or not token.isascii():
        return None
    return hash_token(token)
