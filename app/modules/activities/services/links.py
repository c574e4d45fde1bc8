"""Links that carry their company: signed, so that a made-up one costs no look-up, and stored as hashes only.

A token is `rl_` and the signed tenant id with 128 random bits; logs leave such words out (kernel/logging.py).
"""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.runtime import Kernel
from app.kernel.secrets import SignatureInvalid, hash_token
from app.kernel.uow import UnitOfWork

RSVP: Final = "activities.rsvp"
FEED: Final = "activities.calendar"
_PREFIX: Final = "rl_"
_RANDOM_BYTES: Final = 16


def new_link(uow: UnitOfWork, purpose: str) -> tuple[str, bytes]:
    """A token of the tenant at hand, and its hash."""
    payload = uow.tenant_id.bytes + os.urandom(_RANDOM_BYTES)
    token = _PREFIX + uow.kernel.secrets.sign(payload, purpose=purpose)
    return token, hash_token(token)


def tenant_of_link(kernel: Kernel, token: str, purpose: str) -> tuple[UUID, bytes]:
    """The tenant that a token names, and the hash to look up. Raises `NotFound`."""
    try:
        payload = kernel.secrets.unsign(token.removeprefix(_PREFIX), purpose=purpose)
    except SignatureInvalid:
        raise NotFound from None
    if len(payload) != 16 + _RANDOM_BYTES or not token.startswith(_PREFIX):
        raise NotFound
    return UUID(bytes=payload[:16]), hash_token(token)
