"""An access token is accepted only if we signed it, for us, as an access token, and it is not over."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from uuid import UUID

import jose.backends
import pytest
from cryptography.hazmat.primitives import serialization
from jose import jwt

from app.kernel.clock import FixedClock
from app.tenants.auth import access_tokens
from app.tenants.auth.access_tokens import (
    AccessTokenExpired,
    AccessTokenInvalid,
    AccessTokens,
    SigningKey,
)

PERSON, TENANT, SESSION = (UUID(int=i) for i in (1, 2, 3))
ISSUER, AUDIENCE = "https://crm.example", "rapport"
KEY, OTHER_KEY = SigningKey.generate(), SigningKey.generate()


def b64(value) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
def tokens(clock):
    return AccessTokens([KEY], issuer=ISSUER, audience=AUDIENCE, clock=clock)


@pytest.fixture
def claims(clock):
    now = int(clock.now().timestamp())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(PERSON),
        "tid": str(TENANT),
        "sid": str(SESSION),
        "scope": "lead:read lead:write",
        "jti": str(UUID(int=4)),
        "iat": now,
        "exp": now + 600,
    }


def forge(claims, *, key=KEY, drop=(), header=None):
    """A token signed by `key` with any claims and header, as a holder of the key could make it."""
    head = {"typ": "at+jwt", "kid": KEY.kid} | (header or {})
    return jwt.encode(
        {name: value for name, value in claims.items() if name not in drop},
        key.signer(),
        algorithm="ES256",
        headers=head,
    )


def issue(tokens):
    return tokens.issue(
        subject=PERSON, tenant_id=TENANT, session_id=SESSION, scope=["lead:read", "lead:write"]
    )


def test_jose_runs_on_cryptography():
    assert jose.backends.ECKey.__module__ == "jose.backends.cryptography_backend"


def test_an_issued_token_says_who_where_and_what(tokens, clock):
    found = tokens.verify(issue(tokens))
    assert (found.subject, found.tenant_id, found.session_id) == (PERSON, TENANT, SESSION)
    assert found.scope == {"lead:read", "lead:write"}
    assert (found.issued_at, found.expires_at) == (clock.now(), clock.now() + timedelta(minutes=10))
    assert found.token_id.version == 7


def test_the_forging_helper_makes_good_tokens(tokens, claims):
    assert tokens.verify(forge(claims)).subject == PERSON


def test_the_header_says_access_token_and_key(tokens):
    assert jwt.get_unverified_header(issue(tokens)) == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}


def test_a_token_ends_after_ten_minutes_even_when_remembered(tokens, clock):
    token = issue(tokens)
    clock.advance(seconds=599)
    assert tokens.verify(token).subject == PERSON
    clock.advance(seconds=1)
    with pytest.raises(AccessTokenExpired):
        tokens.verify(token)
    with pytest.raises(AccessTokenExpired):
        tokens.verify(token)


def test_a_token_from_the_future_is_refused_beyond_a_minute(tokens, claims, clock):
    clock.advance(seconds=-60)
    assert tokens.verify(forge(claims)).subject == PERSON
    clock.advance(seconds=-1)
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(forge(claims))


@pytest.mark.parametrize("claim", ["exp", "iat", "jti", "aud", "iss", "sub", "tid", "sid", "scope"])
def test_a_token_without_one_of_its_claims_is_refused(tokens, claims, claim):
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(forge(claims, drop=[claim]))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "https://evil.example"),
        ("aud", "another"),
        ("aud", [AUDIENCE, "another"]),
        ("aud", []),
        ("sub", "not-a-uuid"),
        ("tid", None),
        ("sid", ""),
        ("scope", ["lead:read"]),
        ("jti", "1"),
        ("exp", "99999999999"),
        ("exp", 1e300),
        ("exp", True),
        ("exp", 10**30),
        ("iat", "yesterday"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(tokens, claims, claim, value):
    claims[claim] = value
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(".".join(_sign_raw(claims)))


def _sign_raw(claims, header=None):
    """Sign without jose's own checks of what it encodes."""
    head = header or {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
    signed = f"{b64(head)}.{b64(claims)}"
    return signed, b64(KEY.signer().sign(signed.encode()))


def test_the_raw_signing_helper_makes_good_tokens(tokens, claims):
    assert tokens.verify(".".join(_sign_raw(claims))).subject == PERSON


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "at+JWT"},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"jwk": dict(OTHER_KEY.public_jwk)},
        {"kid": "unknown"},
        {"kid": 7},
        {"zip": "DEF"},
    ],
)
def test_a_token_with_another_header_is_refused(tokens, claims, header):
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(forge(claims, header=header))


@pytest.mark.parametrize("missing", ["alg", "typ", "kid"])
def test_a_token_whose_header_lacks_a_part_is_refused(tokens, claims, missing):
    header = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
    del header[missing]
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(".".join(_sign_raw(claims, header)))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_an_unsigned_token_is_refused(tokens, claims, alg):
    head = b64({"alg": alg, "typ": "at+jwt", "kid": KEY.kid})
    for signature in ("", b64(b"\0" * 64)):
        with pytest.raises(AccessTokenInvalid):
            tokens.verify(f"{head}.{b64(claims)}.{signature}")


def public_pem() -> bytes:
    private = serialization.load_pem_private_key(KEY.to_pem(), password=None)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    "secret",
    [public_pem(), public_pem().strip(), b"", KEY.kid.encode()],
    ids=["pem", "stripped", "empty", "kid"],
)
def test_a_token_signed_by_hmac_is_refused(tokens, claims, secret):
    signed = f"{b64({'alg': 'HS256', 'typ': 'at+jwt', 'kid': KEY.kid})}.{b64(claims)}"
    signature = b64(hmac.digest(secret, signed.encode(), hashlib.sha256))
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(f"{signed}.{signature}")


def test_a_token_of_a_key_we_do_not_have_is_refused(tokens, claims):
    for kid in (KEY.kid, OTHER_KEY.kid):
        with pytest.raises(AccessTokenInvalid):
            tokens.verify(forge(claims, key=OTHER_KEY, header={"kid": kid}))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_changed_in_any_part_is_refused(tokens, part):
    parts = issue(tokens).split(".")
    middle = len(parts[part]) // 2
    parts[part] = (
        parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    )
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(".".join(parts))


def test_a_token_with_exchanged_claims_is_refused(tokens, claims):
    head, _, signature = issue(tokens).split(".")
    claims["tid"] = str(UUID(int=9))
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(f"{head}.{b64(claims)}.{signature}")


def test_an_encrypted_token_is_refused(tokens):
    head = b64({"alg": "dir", "enc": "A256GCM"})
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(f"{head}..{b64(b'0' * 12)}.{b64(b'x')}.{b64(b'0' * 16)}")


def test_a_token_over_eight_kilobytes_is_refused_though_well_signed(tokens, claims):
    claims["scope"] = "x" * 6700
    assert len(forge(claims)) > 9000
    with pytest.raises(AccessTokenInvalid, match="length"):
        tokens.verify(forge(claims))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é.é.é", "\ud800..", "[].e30.", "WzFd.e30.x", "e30.e30.x"]
)
def test_what_is_no_token_is_refused(tokens, text):
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(text)


def test_a_deeply_nested_header_is_refused(tokens):
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(f"{b64(b'[' * 5000)}.e30.x"[:8000])


def test_rotation_accepts_both_keys_then_only_the_new_one(tokens):
    old = issue(tokens)
    tokens.use_keys([OTHER_KEY, KEY])
    new = issue(tokens)
    assert tokens.verify(old) != tokens.verify(new)
    assert jwt.get_unverified_header(new)["kid"] == OTHER_KEY.kid
    tokens.use_keys([OTHER_KEY])
    assert tokens.verify(new).subject == PERSON
    with pytest.raises(AccessTokenInvalid):
        tokens.verify(old)


def test_the_key_set_shows_public_halves_only(tokens):
    tokens.use_keys([OTHER_KEY, KEY])
    keys = tokens.jwks()["keys"]
    assert [key["kid"] for key in keys] == [OTHER_KEY.kid, KEY.kid]
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys)


def test_a_key_survives_being_stored():
    assert SigningKey.from_pem(KEY.to_pem()).kid == KEY.kid


def test_the_memory_of_good_tokens_is_bounded(tokens, monkeypatch):
    monkeypatch.setattr(access_tokens, "CACHE_SIZE", 3)
    made = [issue(tokens) for _ in range(5)]
    for token in made:
        tokens.verify(token)
    assert list(tokens._known) == made[2:]
