"""Access tokens: short-lived JWTs signed with ES256 (RFC 9068), and the keys that sign them.

The only module that knows python-jose. That library decodes more than we want (JWE, `none`, an empty HMAC
key, a missing `aud`, unknown `crit`), so the header is checked here, word by word, before it sees a token.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk, jwt
from jose.backends.base import Key
from jose.exceptions import JOSEError

from app.kernel.clock import Clock
from app.kernel.ids import new_id
from app.kernel.secrets import encode_base64url

ALGORITHM: Final = "ES256"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type
LIFETIME: Final = timedelta(minutes=10)
MAX_LENGTH: Final = 8192
CACHE_SIZE: Final = 20_000
_CLOCK_SKEW: Final = timedelta(seconds=60)
_OPTIONS: Final = {
    "require_iat": True,
    "require_aud": True,
    "require_iss": True,
    "require_sub": True,
    "require_jti": True,
    # jose compares `exp` with the machine's clock; ours is injected, so `exp` is required and checked below.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_at_hash": False,
}


class AccessTokenInvalid(ValueError):
    """The token is not one of ours, was changed, or is for somebody else. The text is for logs only."""


class AccessTokenExpired(AccessTokenInvalid):
    """The token was good and is over."""


class JsonWebKey(TypedDict):
    """A public key of P-256 (RFC 7517, RFC 7518 §6.2)."""

    kty: str
    crv: str
    x: str
    y: str
    kid: str
    use: str
    alg: str


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says: who (`subject`), in which tenant, in which session, allowed what."""

    subject: UUID
    tenant_id: UUID
    session_id: UUID
    scope: frozenset[str]
    token_id: UUID
    issued_at: datetime
    expires_at: datetime
    operator: str | None = None
    """Who acts in the subject's place: the `act` claim (RFC 8693 §4.1)."""


class SigningKey:
    """A P-256 key pair with its RFC 7638 thumbprint as `kid`."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("access tokens are signed with P-256")
        self._private = private
        numbers = private.public_key().public_numbers()
        x, y = (encode_base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        members = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
        self.kid = encode_base64url(hashlib.sha256(members.encode()).digest())
        self.public_jwk: JsonWebKey = {
            "kty": "EC",
            "crv": "P-256",
            "x": x,
            "y": y,
            "kid": self.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Read what `to_pem` wrote.

        Raises: ValueError for anything but an unencrypted P-256 private key.
        """
        private = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("access tokens are signed with P-256")
        return cls(private)

    def to_pem(self) -> bytes:
        """PKCS #8 in PEM, not encrypted: encrypt it before it is stored."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def signer(self) -> Key:
        """The key as jose signs with it."""
        return jwk.construct(self.to_pem().decode(), ALGORITHM)

    def verifier(self) -> Key:
        """The public half as jose verifies with it."""
        public = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return jwk.construct(public.decode(), ALGORITHM)


class AccessTokens:
    """Issues access tokens with the newest key and verifies them with any key of the ring.

    Verified tokens are remembered until they expire (at most `CACHE_SIZE`), because a signature costs a
    hundred times a look-up. Revocation is not decided here: the caller compares the session.
    """

    def __init__(self, keys: Sequence[SigningKey], *, issuer: str, audience: str, clock: Clock) -> None:
        """Sign with the first of `keys`, verify with all.

        Raises: ValueError without a key.
        """
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._known: dict[str, AccessClaims] = {}
        self.use_keys(keys)

    def use_keys(self, keys: Sequence[SigningKey]) -> None:
        """Rotate: `keys` replace the ring, newest first; tokens of keys that left are refused from here on.

        A new key should be published by `jwks` for a while before it comes first, and the old one should
        stay for `LIFETIME` after.
        """
        if not keys:
            raise ValueError("a key is needed to sign access tokens")
        self._keys = tuple(keys)
        self._kid = keys[0].kid
        self._signer = keys[0].signer()
        self._verifiers = {key.kid: key.verifier() for key in keys}
        self._known.clear()

    def jwks(self) -> dict[str, list[JsonWebKey]]:
        """The public keys, newest first, as a JWK Set (RFC 7517 §5)."""
        return {"keys": [key.public_jwk for key in self._keys]}

    def issue(
        self,
        *,
        subject: UUID,
        tenant_id: UUID,
        session_id: UUID,
        scope: Sequence[str] = (),
        lifetime: timedelta = LIFETIME,
        operator: str | None = None,
    ) -> str:
        """A token for `subject` in one tenant and session; `expires_at` is now plus `lifetime`.

        With `operator` it says who acts in the subject's place (`act`, RFC 8693 §4.1).
        """
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(subject),
            "tid": str(tenant_id),
            "sid": str(session_id),
            "scope": " ".join(scope),
            "jti": str(new_id()),
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        if operator is not None:
            claims["act"] = {"sub": operator}
        headers = {"typ": TOKEN_TYPE, "kid": self._kid}
        # jose takes a ready Key too, which spares parsing PEM for each token.
        return str(jwt.encode(claims, self._signer, algorithm=ALGORITHM, headers=headers))

    def verify(self, token: str) -> AccessClaims:
        """What a token says, if it is ours, meant for us, unchanged and not over.

        Raises: AccessTokenExpired; AccessTokenInvalid for everything else.
        """
        claims = self._known.get(token)
        if claims is None:
            claims = self._decode(token)
        now = self._clock.now()
        if now >= claims.expires_at:
            self._known.pop(token, None)
            raise AccessTokenExpired("the token has expired")
        if claims.issued_at > now + _CLOCK_SKEW:
            raise AccessTokenInvalid("the token is from the future")
        self._remember(token, claims)
        return claims

    def _remember(self, token: str, claims: AccessClaims) -> None:
        if token in self._known:
            return
        if len(self._known) >= CACHE_SIZE:
            self._known.pop(next(iter(self._known)))
        self._known[token] = claims

    def _decode(self, token: str) -> AccessClaims:
        verifier = self._verifiers.get(_key_id(token))
        if verifier is None:
            raise AccessTokenInvalid("the key is not known")
        try:
            claims = jwt.decode(
                token,
                verifier,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options=_OPTIONS.copy(),
            )
        except JOSEError as error:
            raise AccessTokenInvalid(str(error)) from None
        if claims.get("aud") != self._audience:
            raise AccessTokenInvalid("the audience is not us alone")
        return _read_claims(claims)


def _read_claims(claims: dict[str, Any]) -> AccessClaims:
    try:
        return AccessClaims(
            subject=UUID(claims["sub"]),
            tenant_id=UUID(claims["tid"]),
            session_id=UUID(claims["sid"]),
            scope=frozenset(claims["scope"].split()),
            token_id=UUID(claims["jti"]),
            issued_at=_moment(claims["iat"]),
            expires_at=_moment(claims["exp"]),
            operator=str(claims["act"]["sub"]) if "act" in claims else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise AccessTokenInvalid("a claim is missing or malformed") from None


def _moment(value: Any) -> datetime:
    if type(value) is not int:
        raise TypeError("times are whole seconds")
    return datetime.fromtimestamp(value, tz=UTC)


def _key_id(token: str) -> str:
    """The `kid` of a compact JWS whose header is exactly ours: `alg`, `typ` and `kid`, nothing else.

    A header with `crit`, `jwk`, `jku`, `x5c`, `zip` or `enc` is refused by that alone.
    """
    if len(token) > MAX_LENGTH or token.count(".") != 2 or not token.isascii():
        raise AccessTokenInvalid("not a compact JWS of reasonable length")
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.b64decode(head + "=" * (-len(head) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise AccessTokenInvalid("the header is not JSON") from None
    if not isinstance(header, dict) or header.keys() != {"alg", "typ", "kid"}:
        raise AccessTokenInvalid("the header is not exactly alg, typ and kid")
    if header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE or not isinstance(header["kid"], str):
        raise AccessTokenInvalid("the header names another algorithm or type")
    return header["kid"]
