"""Secret links: one mechanism for all that strangers open without signing in.

A link is a token, shown once and kept as its hash only. There are these kinds, by what is known when it is opened:

- `new_link`: carries its company, signed. A made-up one is refused by its signature, without a look-up, and it works
  for one purpose only. Logs leave these words out (`rl_…`, kernel/logging.py).
- `new_secret`: carries nothing; for links of a person who may belong to several companies, or to none yet.
- `new_key`: names its company in the open and is no secret; for things that are published, as forms on websites.
  `new_mail_key` is the same for the local part of a mail address, in which case is not kept.

All of it is 128 random bits or more, and looked up by equality of a SHA-256 or of the whole key in an index that the
company leads: nobody learns from an answer, or the time it takes, which companies there are.
Links that expire, can be revoked and count their views are rows of `kernel.links` (kernel/record_links.py).
"""

from __future__ import annotations

import base64
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from app.kernel.access import OPEN_TENANT_STATES
from app.kernel.errors import NotFound
from app.kernel.secrets import SignatureInvalid, decode_base64url, encode_base64url, hash_token, random_token

if TYPE_CHECKING:
    from app.kernel.access import TenantProfile
    from app.kernel.runtime import Kernel

PREFIX: Final = "rl_"
_TENANT_BYTES: Final = 16
_LINK_BYTES: Final = 16
_KEY_BYTES: Final = 18
_MAIL_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be handed out once, and what is kept of it."""

    token: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says: whose it is, and the hash to look it up by."""

    tenant_id: UUID
    hash: bytes


def new_link(kernel: Kernel, tenant_id: UUID, purpose: str) -> NewToken:
    """A signed token of a company. `purpose` is `module.what`, and tokens of two purposes never fit each other."""
    payload = tenant_id.bytes + secrets.token_bytes(_LINK_BYTES)
    token = PREFIX + kernel.secrets.sign(payload, purpose=purpose)
    return NewToken(token, hash_token(token))


def read_link(kernel: Kernel, token: str, purpose: str) -> Link:
    """What a token of `new_link` says. Raises `NotFound` for anything that was not made for this purpose."""
    try:
        payload = kernel.secrets.unsign(token.removeprefix(PREFIX), purpose=purpose)
    except SignatureInvalid:
        raise NotFound from None
    if len(payload) != _TENANT_BYTES + _LINK_BYTES or not token.startswith(PREFIX):
        raise NotFound
    return Link(UUID(bytes=payload[:_TENANT_BYTES]), hash_token(token))


def new_secret() -> NewToken:
    """A token that says nothing by itself."""
    token = random_token()
    return NewToken(token, hash_token(token))


def new_key(tenant_id: UUID) -> str:
    """A public key that names its company, fit for addresses: 46 characters."""
    return encode_base64url(tenant_id.bytes + secrets.token_bytes(_KEY_BYTES))


def new_mail_key(tenant_id: UUID) -> str:
    """A key that names its company, fit for the local part of a mail address: 45 letters and digits in lower case."""
    raw = tenant_id.bytes + secrets.token_bytes(_MAIL_BYTES)
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def tenant_of_key(key: str) -> UUID | None:
    """The company that a public key names, or None for what is no key."""
    try:
        raw = decode_base64url(key) if len(key) <= 2 * (_TENANT_BYTES + _KEY_BYTES) else b""
    except ValueError:
        return None
    return UUID(bytes=raw[:_TENANT_BYTES]) if len(raw) == _TENANT_BYTES + _KEY_BYTES else None


def is_over(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a link no longer works by the clock; None never ends. It works before that moment, not at it."""
    return expires_at is not None and expires_at <= now


async def open_company(kernel: Kernel, tenant_id: UUID | None) -> TenantProfile:
    """The company behind a link or key.

    Raises `NotFound` alike for one that is unknown, suspended or gone: a stranger is not told which.
    """
    if tenant_id is not None:
        with suppress(NotFound):
            profile = await kernel.authenticator.tenant_profile(tenant_id)
            if profile.status in OPEN_TENANT_STATES:
                return profile
    raise NotFound
