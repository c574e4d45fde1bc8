"""A one-time code works once, near its time; a recovery code works whenever, once."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from app.tenants.auth.totp import (
    find_recovery_code,
    hash_recovery_code,
    new_recovery_codes,
    new_totp_secret,
    otpauth_uri,
    verify_totp,
)

# RFC 6238 appendix B, SHA-1: the secret "12345678901234567890"; the last six of the eight digits there.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
]


def at(seconds):
    return datetime.fromtimestamp(seconds, tz=UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_codes_are_those_of_the_rfc(seconds, code):
    assert verify_totp(SECRET, code, at=at(seconds), last_step=None) == seconds // 30


@pytest.mark.parametrize(
    ("late", "accepted"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_a_code_is_good_one_step_early_or_late(late, accepted):
    moment = at(1234567890) + timedelta(seconds=late)
    step = verify_totp(SECRET, "005924", at=moment, last_step=None)
    assert step == (1234567890 // 30 if accepted else None)


def test_a_code_works_once():
    step = verify_totp(SECRET, "005924", at=at(1234567890), last_step=None)
    assert verify_totp(SECRET, "005924", at=at(1234567890), last_step=step) is None
    assert verify_totp(SECRET, "005924", at=at(1234567890 + 30), last_step=step) is None
    assert verify_totp(SECRET, "005924", at=at(1234567890), last_step=step - 1) == step


@pytest.mark.parametrize("code", ["", "5924", "0059244", "abcdef", "००५९२४", "\ud800", "-05924", "+05924"])
def test_what_is_no_code_is_refused(code):
    assert verify_totp(SECRET, code, at=at(1234567890), last_step=None) is None


def test_a_code_may_be_typed_with_a_blank():
    assert verify_totp(SECRET, "005 924", at=at(1234567890), last_step=None) == 1234567890 // 30


def test_the_address_for_the_qr_code_names_issuer_and_account():
    address = urlsplit(otpauth_uri(SECRET, account="li@example.com", issuer="Rapport"))
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Rapport:li%40example.com")
    assert parse_qs(address.query) == {"secret": [SECRET], "issuer": ["Rapport"]}


def test_secrets_have_160_bits_and_differ():
    assert len({new_totp_secret() for _ in range(20)}) == 20
    assert len(new_totp_secret()) == 32


def test_ten_recovery_codes_are_found_by_their_hash():
    codes = new_recovery_codes()
    hashes = [hash_recovery_code(code) for code in codes]
    assert len(set(codes)) == len(set(hashes)) == 10
    assert [find_recovery_code(code, hashes) for code in codes] == list(range(10))
    assert find_recovery_code(codes[3], hashes[:3]) is None


def test_a_recovery_code_may_be_typed_carelessly():
    stored = [hash_recovery_code("A10B-CDEF-1234-5678")]
    assert find_recovery_code(" aiob cdefl2345678 ", stored) == 0
    assert find_recovery_code("A10B-CDEF-1234-5679", stored) is None
    assert find_recovery_code("", stored) is None
