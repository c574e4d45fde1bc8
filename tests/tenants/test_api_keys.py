"""API keys and refresh tokens are random, recognised by shape, and looked up by hash."""

import hashlib
import re

import pytest

from app.tenants.auth.api_keys import ApiKeyMalformed, generate_api_key, looks_like_api_key, parse_api_key
from app.tenants.auth.refresh_tokens import generate_refresh_token, hash_refresh_token


def test_a_key_has_prefix_random_part_and_checksum():
    new = generate_api_key()
    assert re.fullmatch(r"rk_live_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}", new.key)
    assert new.hash == hashlib.sha256(new.key.encode()).digest() == parse_api_key(new.key)
    assert new.hint == new.key[:12] + "…"
    assert new.key not in repr(new)


def test_keys_differ():
    assert len({generate_api_key().key for _ in range(200)}) == 200


def test_the_checksum_is_crc32_in_six_letters():
    assert _accepted("rk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV_41OCdw")
    assert not _accepted("rk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV_000000")


def _accepted(key):
    try:
        return bool(parse_api_key(key))
    except ApiKeyMalformed:
        return False


def test_any_single_wrong_letter_is_noticed():
    key = generate_api_key().key
    for place in range(len(key)):
        wrong = "x" if key[place] != "x" else "y"
        assert not _accepted(key[:place] + wrong + key[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "rk_live_", "rk_test_abc", "Bearer rk_live_x", "\ud800", "rk_live_" + "é" * 32]
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ApiKeyMalformed):
        parse_api_key(text)


def test_a_key_with_anything_around_it_is_refused():
    key = generate_api_key().key
    assert not any(_accepted(text) for text in (f" {key}", f"{key}\n", key[:-1], key + "0"))


def test_a_credential_tells_its_kind_by_the_prefix():
    assert looks_like_api_key(generate_api_key().key)
    assert not looks_like_api_key("eyJhbGciOiJFUzI1NiJ9.e30.x")


def test_a_refresh_token_is_known_by_its_hash():
    new = generate_refresh_token()
    assert hash_refresh_token(new.token) == new.hash == hashlib.sha256(new.token.encode()).digest()
    assert new.token not in repr(new)
    assert generate_refresh_token().token != new.token


@pytest.mark.parametrize("text", ["", "rr_", "rr_" + "a" * 42, "xx_" + "a" * 43, "rr_" + "é" * 43])
def test_what_cannot_be_a_refresh_token_has_no_hash(text):
    assert hash_refresh_token(text) is None
