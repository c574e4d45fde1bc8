"""Standard Webhooks 1.0.0: secrets and the three headers of a message (standardwebhooks.com, "Signature scheme")."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh secret as receivers configure it: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def signature_headers(
    message_id: str, moment: datetime, body: bytes, secrets: Sequence[str]
) -> list[tuple[bytes, bytes]]:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature`; one signature per live secret.

    `moment` is that of this attempt: receivers refuse messages older than some minutes.
    """
    stamp = str(int(moment.timestamp()))
    content = f"{message_id}.{stamp}.".encode() + body
    signatures = " ".join(f"v1,{_sign(content, secret)}" for secret in secrets)
    return [
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", stamp.encode()),
        (b"webhook-signature", signatures.encode()),
    ]


def _sign(content: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
