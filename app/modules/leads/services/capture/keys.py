"""Public keys of forms and links to confirm an address: both begin with their company, the rest is random.

So a stranger's request finds its company by nothing but the key, and its row through the company's own index.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final
from uuid import UUID

_RANDOM_BYTES: Final = 18
_CONFIRMATION_BYTES: Final = 33


def new_public_key(tenant_id: UUID) -> str:
    """A key for a form, fit for addresses: 46 characters."""
    return _encode(tenant_id.bytes + secrets.token_bytes(_RANDOM_BYTES))


def new_confirmation(tenant_id: UUID) -> str:
    """A token for one link in one mail; only its hash is kept."""
    return _encode(tenant_id.bytes + secrets.token_bytes(_CONFIRMATION_BYTES))


def tenant_of_key(key: str) -> UUID | None:
    """The company that a public key belongs to, or None for what is no key."""
    return _tenant(key, _RANDOM_BYTES)


def tenant_of_confirmation(token: str) -> UUID | None:
    return _tenant(token, _CONFIRMATION_BYTES)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tenant(text: str, length: int) -> UUID | None:
    if not text.isascii() or len(text) > 200:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 16 + length and _encode(raw) == text else None
