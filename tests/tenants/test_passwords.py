"""Passwords are hashed with argon2id off the loop, and refused when an attacker would try them first."""

import asyncio
import threading

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from app.tenants.auth.passwords import Passwords, Verdict, WeakPassword, _common, check_password

GOOD = "eleven purple anvils"


@pytest.fixture(scope="module")
def passwords():
    made = Passwords()
    yield made
    made.close()


async def test_a_password_fits_its_own_hash_only(passwords):
    stored = await passwords.hash(GOOD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(GOOD, stored) == Verdict(ok=True)
    assert await passwords.verify(GOOD + "!", stored) == Verdict(ok=False)


async def test_nobody_signs_in_without_a_stored_hash(passwords):
    for guess in (GOOD, "", "what nobody's account has as its password"):
        assert await passwords.verify(guess, None) == Verdict(ok=False)


async def test_an_unknown_person_costs_the_same_work(passwords, monkeypatch):
    seen = []
    real = passwords._hasher.verify_and_update
    monkeypatch.setattr(
        passwords._hasher, "verify_and_update", lambda *args: seen.append(args[1]) or real(*args)
    )
    await passwords.verify(GOOD, None)
    assert [stored.split("$")[3] for stored in seen] == ["m=19456,t=2,p=1"]


async def test_a_hash_with_older_parameters_is_replaced(passwords):
    old = Argon2Hasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(GOOD)
    verdict = await passwords.verify(GOOD, old)
    assert verdict.ok
    assert verdict.new_hash is not None
    assert await passwords.verify(GOOD, verdict.new_hash) == Verdict(ok=True)


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_an_unreadable_hash_fits_nothing(passwords, stored):
    assert await passwords.verify("plain", stored) == Verdict(ok=False)


async def test_a_password_over_the_limit_never_fits(passwords):
    assert await passwords.verify("x" * 1_000_000, await passwords.hash("")) == Verdict(ok=False)


async def test_two_ways_to_type_a_character_are_one_password(passwords):
    stored = await passwords.hash("caf\u00e9 au lait")
    assert (await passwords.verify("cafe\u0301 au lait", stored)).ok


async def test_at_most_two_hashes_run_at_a_time_and_none_on_the_loop(passwords, monkeypatch):
    running, most, threads = 0, 0, set()
    lock = threading.Lock()
    real = passwords._hasher.hash

    def counted(password):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            threads.add(threading.current_thread().name)
        try:
            return real(password)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(passwords._hasher, "hash", counted)
    await asyncio.gather(*(passwords.hash(GOOD) for _ in range(6)))
    assert most == 2
    assert all(name.startswith("passwords") for name in threads)


@pytest.mark.parametrize(
    "password", [GOOD, "correct 马 battery", "8 chars!", "a" * 64 + "b" * 64, "悟空大闹天宫三千年"]
)
def test_any_composition_is_allowed(password):
    check_password(password)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("seven77", "password_too_short"),
        ("", "password_too_short"),
        ("ab" * 65, "password_too_long"),
        ("password", "password_common"),
        ("PassWord", "password_common"),
        ("12345678", "password_common"),
        ("1qaz2wsx", "password_common"),
        ("woaini1314", "password_common"),
        ("ｐａｓｓｗｏｒｄ", "password_common"),
        ("zzzzzzzzzzz", "password_common"),
        ("Li.Hua@Example.com", "password_personal"),
        ("li.hua.88", "password_personal"),
        ("Example Trading", "password_personal"),
    ],
)
def test_a_weak_password_is_refused_by_name(password, code):
    with pytest.raises(WeakPassword) as caught:
        check_password(password, personal=["li.hua@example.com", "li.hua.88@example.com", "Example Trading"])
    assert caught.value.code == code


def test_the_list_of_common_passwords_holds_thousands_that_the_length_rule_lets_through():
    common = _common()
    assert len(common) > 3000
    assert all(8 <= len(entry) <= 128 and entry == entry.casefold() for entry in common)
