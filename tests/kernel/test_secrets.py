"""Secrets are readable with the ring's keys in their own place, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.secrets import (
    KeyRing,
    SecretUnreadable,
    SignatureInvalid,
    decode_base64url,
    encode_base64url,
    hash_token,
    parse_key,
    random_token,
    same,
    sign,
    unsign,
)
from tests.support.postgres import ROOT

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def test_a_secret_is_read_back_in_its_context():
    ring = KeyRing([NEW])
    cipher = ring.encrypt(b"JBSWY3DPEHPK3PXP", context="totp:7")
    assert ring.decrypt(cipher, context="totp:7") == b"JBSWY3DPEHPK3PXP"
    assert b"JBSWY3DPEHPK3PXP" not in cipher


def test_the_same_secret_never_looks_the_same():
    ring = KeyRing([NEW])
    assert ring.encrypt(b"x", context="") != ring.encrypt(b"x", context="")


def test_a_secret_moved_to_another_place_is_refused():
    ring = KeyRing([NEW])
    with pytest.raises(SecretUnreadable):
        ring.decrypt(ring.encrypt(b"x", context="totp:7"), context="totp:8")


@pytest.mark.parametrize("place", [0, 1, 5, 17, -1])
def test_one_changed_bit_anywhere_makes_a_secret_unreadable(place):
    ring = KeyRing([NEW])
    cipher = bytearray(ring.encrypt(b"secret", context="c"))
    cipher[place] ^= 1
    with pytest.raises(SecretUnreadable):
        ring.decrypt(bytes(cipher), context="c")


@pytest.mark.parametrize("cipher", [b"", b"\x01", b"\x01" * 17, b"plain text that nobody encrypted"])
def test_what_is_no_ciphertext_is_refused(cipher):
    with pytest.raises(SecretUnreadable):
        KeyRing([NEW]).decrypt(cipher, context="c")


def test_a_new_key_in_front_writes_while_the_old_one_still_reads():
    old = KeyRing([OLD]).encrypt(b"x", context="c")
    ring = KeyRing([NEW, OLD])
    new = ring.encrypt(b"x", context="c")
    assert ring.decrypt(old, context="c") == ring.decrypt(new, context="c") == b"x"
    assert (ring.needs_rotation(old), ring.needs_rotation(new)) == (True, False)
    assert KeyRing([NEW]).decrypt(new, context="c") == b"x"
    with pytest.raises(SecretUnreadable):
        KeyRing([NEW]).decrypt(old, context="c")


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, NEW], [b""]])
def test_a_ring_wants_different_full_keys(keys):
    with pytest.raises(ValueError, match="key ring"):
        KeyRing(keys)


def test_keys_come_as_base64_of_32_bytes():
    made = KeyRing.generate()
    assert len(parse_key(made)) == 32
    assert parse_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=") == OLD
    for bad in ("", "AAAA", "not base64!", made[:-4]):
        with pytest.raises(ValueError, match="secret key"):
            KeyRing.from_texts([bad])


@given(st.binary(max_size=200))
def test_a_signed_value_comes_back(payload):
    assert unsign(sign(payload, NEW), NEW) == payload


@given(st.binary(max_size=40), st.integers(min_value=0), st.sampled_from("ABCxyz019-_"))
def test_a_changed_signed_value_is_refused(payload, place, letter):
    signed = sign(payload, NEW)
    place %= len(signed)
    changed = signed[:place] + letter + signed[place + 1 :]
    if changed != signed:
        with pytest.raises(SignatureInvalid):
            unsign(changed, NEW)


@pytest.mark.parametrize("signed", ["", "A", "AAAA", "é", "=", "A" * 21, "\ud800", "A A A A " * 4])
def test_what_nobody_signed_is_refused(signed):
    with pytest.raises(SignatureInvalid):
        unsign(signed, NEW)


def test_a_value_signed_for_one_purpose_is_refused_for_another():
    ring = KeyRing([NEW])
    signed = ring.sign(b"cursor", purpose="leads")
    assert ring.unsign(signed, purpose="leads") == b"cursor"
    with pytest.raises(SignatureInvalid):
        ring.unsign(signed, purpose="accounts")


def test_a_value_signed_before_rotation_is_still_good():
    signed = KeyRing([OLD]).sign(b"cursor", purpose="leads")
    assert KeyRing([NEW, OLD]).unsign(signed, purpose="leads") == b"cursor"
    with pytest.raises(SignatureInvalid):
        KeyRing([NEW]).unsign(signed, purpose="leads")


def test_signing_without_a_real_key_is_impossible():
    with pytest.raises(ValueError, match="16 bytes"):
        sign(b"x", b"")


def test_base64url_has_one_spelling_for_each_value():
    assert encode_base64url(b"\xff\xfe") == "__4"
    assert decode_base64url("__4") == b"\xff\xfe"
    for other in ("__5", "__4=", "//4", "__4\n"):
        with pytest.raises(ValueError, match="base64url"):
            decode_base64url(other)


def test_tokens_are_long_and_hash_to_sha_256():
    assert len({random_token() for _ in range(100)}) == 100
    assert len(random_token(32)) == 43
    assert hash_token("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_comparison_takes_text_and_bytes():
    assert same("a", b"a")
    assert same("名", "名")
    assert not same("a", "b")


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from app.kernel.config import Settings; from app.kernel.startup import key_ring\n"
        "settings = Settings(environment='development', data_dir=sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.readline(); key_ring(settings)\n"
        "print((settings.data_dir / 'secret.key').read_text())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(4)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=120)[0] for process in started}
    assert keys == {(tmp_path / "data" / "secret.key").read_bytes() + b"\n"}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600
