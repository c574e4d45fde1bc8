"""Passwords: argon2id off the event loop, and the few rules that help (NIST SP 800-63B §3.1.1).

Length and a list of common choices, no composition rules and no expiry. Parameters are the OWASP
minimum for argon2id: 19 MiB, two passes, one lane; 20 to 30 ms of a core.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128
_COMMON: Final = Path(__file__).with_name("common_passwords.txt")
_DUMMY: Final = "what nobody's account has as its password"

WeakPasswordCode = Literal["password_too_short", "password_too_long", "password_common", "password_personal"]


class WeakPassword(ValueError):
    """The password is refused; `code` says why, the text can be shown."""

    def __init__(self, code: WeakPasswordCode, text: str) -> None:
        super().__init__(text)
        self.code: WeakPasswordCode = code


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password fits, and the hash to store instead when parameters have moved on."""

    ok: bool
    new_hash: str | None = None


def check_password(password: str, *, personal: Iterable[str] = ()) -> None:
    """Let through what a person may choose: 8 to 128 characters, not common, not their own name or address.

    `personal` are texts such as the e-mail address and names: equal to one of them, or to the part before
    the `@`, is refused.
    Raises: WeakPassword.
    """
    plain = _normal(password)
    if len(plain) < MIN_LENGTH:
        raise WeakPassword("password_too_short", f"A password has {MIN_LENGTH} characters or more")
    if len(plain) > MAX_LENGTH:
        raise WeakPassword("password_too_long", f"A password has {MAX_LENGTH} characters or fewer")
    folded = plain.casefold()
    if folded in _common() or len(set(folded)) == 1:
        raise WeakPassword("password_common", "This password is one of the first that an attacker tries")
    own = {_normal(text).casefold() for text in personal}
    if folded in own | {text.partition("@")[0] for text in own}:
        raise WeakPassword("password_personal", "A password is not one's own name or address")


HASHER = Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Passwords:
    """Hashes and verifies; two at a time, so that sign-ins cannot take the machine's memory or cores."""

    def __init__(self, hasher: Argon2Hasher = HASHER) -> None:
        self._hasher = PasswordHash((hasher,))
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")
        self._dummy_hash = self._hasher.hash(_DUMMY)

    async def hash(self, password: str) -> str:
        """The argon2id hash in PHC format. Call `check_password` first."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hash, password)

    async def verify(self, password: str, stored: str | None) -> Verdict:
        """Whether `password` made `stored`; with None (nobody by that name) it says no after the same work.

        A hash that cannot be read says no too, and so does a password over the limit, unhashed.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password, stored)

    def close(self) -> None:
        """Let running work end and take no more."""
        self._threads.shutdown()

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_normal(password))

    def _verify(self, password: str, stored: str | None) -> Verdict:
        plain = _normal(password)
        if len(plain) > MAX_LENGTH:
            plain = ""
        try:
            fits, new_hash = self._hasher.verify_and_update(plain, stored or self._dummy_hash)
        except PwdlibError:
            return Verdict(ok=False)
        if not fits or stored is None or not plain:
            return Verdict(ok=False)
        return Verdict(ok=True, new_hash=new_hash)


def _normal(password: str) -> str:
    """NFKC, so that one password typed on two keyboards is one; lone surrogates cannot reach the hasher."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()


@cache
def _common() -> frozenset[str]:
    return frozenset(_COMMON.read_text("utf-8").split())
