"""Secrets: random tokens, their hashes, encryption at rest, and signed values that can be trusted back.

Everything here is stateless and takes its keys from the settings (`secret_keys`, newest first): the first
key writes, all of them read, so that a key is rotated by putting a new one in front.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 16
_FORMAT: Final = b"\x01"


class SecretUnreadable(ValueError):
    """A ciphertext was changed, belongs elsewhere, or its key left the ring."""


class SignatureInvalid(ValueError):
    """A signed value was changed, cut, or signed for another purpose or with another key."""


def random_token(nbytes: int = 32) -> str:
    """`nbytes` of the system's randomness in URL-safe base64 without padding."""
    return secrets.token_urlsafe(nbytes)


def hash_token(token: str) -> bytes:
    """SHA-256 of a token, for looking it up without keeping it.

    Only for random tokens of 128 bits or more: those cannot be guessed, so no slow hash is needed.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def same(left: str | bytes, right: str | bytes) -> bool:
    """Whether both are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(_bytes(left), _bytes(right))


def sign(payload: bytes, key: bytes) -> str:
    """`payload` behind a 128-bit HMAC-SHA-256, in URL-safe base64: safe from changes, not from readers."""
    return encode_base64url(_signature(payload, key) + payload)


def unsign(signed: str, key: bytes) -> bytes:
    """The payload of what `sign` made with the same key.

    Raises: SignatureInvalid.
    """
    try:
        raw = decode_base64url(signed)
    except ValueError:
        raise SignatureInvalid("not a signed value") from None
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, key)):
        raise SignatureInvalid("the signature does not fit")
    return payload


def encode_base64url(raw: bytes) -> str:
    """URL-safe base64 without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of strict, unpadded, canonical URL-safe base64.

    Raises: ValueError for anything else, so that one value has one spelling.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("not base64url") from None
    if encode_base64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw


def parse_key(text: str) -> bytes:
    """A 32-byte key from base64 in either alphabet, padded or not.

    Raises: ValueError without repeating the text, since it is a secret.
    """
    try:
        key = decode_base64url(text.strip().rstrip("=").replace("+", "-").replace("/", "_"))
    except ValueError:
        raise ValueError("a secret key is base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"a secret key has {KEY_BYTES} bytes, not {len(key)}")
    return key


class KeyRing:
    """Keys in use, newest first: encrypts with the first, reads with all, derives one key per purpose."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take 32-byte keys, newest first.

        Raises: ValueError for an empty ring, a short key or one given twice.
        """
        if not keys or any(len(key) != KEY_BYTES for key in keys) or len(set(keys)) != len(keys):
            raise ValueError(f"a key ring needs one or more different keys of {KEY_BYTES} bytes")
        self._keys = tuple(keys)
        self._ciphers = {_key_id(key): AESGCM(_derive(key, "encrypt")) for key in self._keys}
        self._newest = _key_id(self._keys[0])
        self._derived: dict[str, tuple[bytes, ...]] = {}

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> KeyRing:
        """A ring of base64 keys as the settings hold them.

        Raises: ValueError.
        """
        return cls([parse_key(text) for text in texts])

    @staticmethod
    def generate() -> str:
        """A new key as the settings want it."""
        return encode_base64url(os.urandom(KEY_BYTES))

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """AES-256-GCM under the newest key: format, key id, nonce, ciphertext and tag.

        `context` names where the secret lives (say `"totp:<member id>"`); it is authenticated, so that a
        ciphertext moved to another row is refused there.
        """
        nonce = os.urandom(_NONCE_BYTES)
        head = _FORMAT + self._newest
        return head + nonce + self._ciphers[self._newest].encrypt(nonce, plain, head + context.encode())

    def decrypt(self, cipher: bytes, *, context: str) -> bytes:
        """What `encrypt` was given with the same `context`.

        Raises: SecretUnreadable.
        """
        head, nonce, body = self._split(cipher)
        try:
            return self._ciphers[head[1:]].decrypt(nonce, body, head + context.encode())
        except (KeyError, InvalidTag):
            raise SecretUnreadable("the secret cannot be read with the keys at hand") from None

    def needs_rotation(self, cipher: bytes) -> bool:
        """Whether a readable ciphertext was written under an older key and should be written again."""
        return self._split(cipher)[0][1:] != self._newest

    def purpose_keys(self, purpose: str) -> tuple[bytes, ...]:
        """One 32-byte key per ring key for `purpose`, newest first; keys of two purposes share nothing."""
        if purpose not in self._derived:
            self._derived[purpose] = tuple(_derive(key, f"purpose:{purpose}") for key in self._keys)
        return self._derived[purpose]

    def sign(self, payload: bytes, *, purpose: str) -> str:
        """`sign` with the newest key of `purpose`."""
        return sign(payload, self.purpose_keys(purpose)[0])

    def unsign(self, signed: str, *, purpose: str) -> bytes:
        """`unsign` with whichever key of `purpose` fits.

        Raises: SignatureInvalid.
        """
        for key in self.purpose_keys(purpose)[:-1]:
            try:
                return unsign(signed, key)
            except SignatureInvalid:
                continue
        return unsign(signed, self.purpose_keys(purpose)[-1])

    @staticmethod
    def _split(cipher: bytes) -> tuple[bytes, bytes, bytes]:
        head_end = len(_FORMAT) + _KEY_ID_BYTES
        body_start = head_end + _NONCE_BYTES
        if len(cipher) <= body_start or not cipher.startswith(_FORMAT):
            raise SecretUnreadable("not a secret of ours")
        return cipher[:head_end], cipher[head_end:body_start], cipher[body_start:]


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _signature(payload: bytes, key: bytes) -> bytes:
    if len(key) < _SIGNATURE_BYTES:
        raise ValueError("a signing key has 16 bytes or more")
    return hmac.digest(key, payload, "sha256")[:_SIGNATURE_BYTES]


def _key_id(key: bytes) -> bytes:
    return _derive(key, "id")[:_KEY_ID_BYTES]


def _derive(key: bytes, info: str) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3): the ring's keys are uniformly random, so no extract step is due."""
    return HKDFExpand(algorithm=hashes.SHA256(), length=KEY_BYTES, info=f"rapport/{info}".encode()).derive(
        key
    )
