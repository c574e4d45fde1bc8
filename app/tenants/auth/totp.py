"""Time-based one-time passwords (RFC 6238) and the recovery codes for the day the phone is lost.

Pure functions: where secrets and used steps are kept, and how often one may try, is the caller's matter.
A code is worth one sign-in (RFC 6238 §5.2), hence the last step that was used.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pyotp

STEP_SECONDS: Final = 30
RECOVERY_CODES: Final = 10
_WINDOW: Final = 1
# Crockford's alphabet (no I, L, O, U): read aloud and typed without doubt.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES: Final = str.maketrans("ILO", "110", " -")
_RECOVERY_LENGTH: Final = 16


def new_totp_secret() -> str:
    """160 random bits in base32, as authenticator apps want it. Encrypt it before it is stored."""
    return pyotp.random_base32()


def otpauth_uri(secret: str, *, account: str, issuer: str) -> str:
    """The `otpauth://totp/…` address for a QR code; `account` is what the person signs in with."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=account, issuer_name=issuer)


def verify_totp(secret: str, code: str, *, at: datetime, last_step: int | None) -> int | None:
    """The time step that `code` belongs to, to be stored as the new `last_step`; None if it is refused.

    Steps from one before to one after `at` count, for clocks that are off, and only steps after `last_step`,
    so that no code works twice. Blanks inside the code are let through.
    """
    typed = code.replace(" ", "")
    if len(typed) != 6 or not typed.isascii() or not typed.isdigit():
        return None
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    current = int(at.timestamp()) // STEP_SECONDS
    matched: int | None = None
    for step in range(current - _WINDOW, current + _WINDOW + 1):
        fits = hmac.compare_digest(totp.generate_otp(step), typed)
        if fits and matched is None and (last_step is None or step > last_step):
            matched = step
    return matched


def new_recovery_codes() -> list[str]:
    """Ten codes of 80 random bits, `XXXX-XXXX-XXXX-XXXX`, to be shown once; store `hash_recovery_code`."""
    codes = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)
    )
    return ["-".join(code[i : i + 4] for i in range(0, _RECOVERY_LENGTH, 4)) for code in codes]


def hash_recovery_code(code: str) -> bytes:
    """SHA-256 of a code, whatever its case, blanks and hyphens, and with I, L and O read as 1, 1 and 0.

    80 random bits cannot be guessed from a hash, so a fast one does.
    """
    plain = code.upper().translate(_LOOKALIKES)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()


def find_recovery_code(code: str, hashes: Sequence[bytes]) -> int | None:
    """Which of the unused `hashes` the code belongs to, by position; remove that one. None if to none.

    All hashes are compared, in constant time.
    """
    wanted = hash_recovery_code(code)
    found = [i for i, stored in enumerate(hashes) if hmac.compare_digest(stored, wanted)]
    return found[0] if found else None
