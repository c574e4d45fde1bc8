"""Statements that can be checked without us: Ed25519 (RFC 8032) with keys that are not in the database."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.kernel.secrets import KeyRing, decode_base64url, encode_base64url


class Signatures:
    """Signs for one purpose with the newest key of the ring, and knows all its keys again."""

    def __init__(self, keys: KeyRing, purpose: str) -> None:
        self._keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in keys.purpose_keys(purpose)]
        self._known = {_key_id(key.public_key()): key.public_key() for key in self._keys}

    def sign(self, statement: bytes) -> tuple[str, bytes]:
        """The public key in base64url, by which the signature is checked, and the signature."""
        key = self._keys[0]
        return _key_id(key.public_key()), key.sign(statement)

    def ours(self, key_id: str, signature: bytes, statement: bytes) -> bool:
        """Whether a key of the ring signed this statement."""
        return key_id in self._known and fits(key_id, signature, statement)


def fits(key_id: str, signature: bytes, statement: bytes) -> bool:
    """Whether the holder of the key signed this statement, whoever that is."""
    try:
        Ed25519PublicKey.from_public_bytes(decode_base64url(key_id)).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def _key_id(key: Ed25519PublicKey) -> str:
    return encode_base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
