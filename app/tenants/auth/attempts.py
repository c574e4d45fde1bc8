"""Brute-force limits: how often someone may try per account and per address (OWASP Authentication Cheat Sheet).

Success takes its own count back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.attempts import Allowance, Attempts
from app.kernel.errors import TooManyRequests

PER_ACCOUNT_AND_ADDRESS: Final = 10
PER_ACCOUNT: Final = 100
PER_ADDRESS: Final = 100
SIGN_UPS_PER_ADDRESS: Final = 300
MAILS_PER_ACCOUNT: Final = 5


class TooManyAttempts(TooManyRequests):
    code = "too_many_attempts"
    title = "Too many attempts; wait before you try again"


COUNTERS: Final = Attempts("tenants.attempts", timedelta(minutes=15), TooManyAttempts)


def for_password(account: str, ip: str) -> list[Allowance]:
    """What limits proving who one is: by account and address together, by account, by address."""
    return [
        Allowance(f"password\0{account}\0{ip}", PER_ACCOUNT_AND_ADDRESS),
        Allowance(f"password\0{account}", PER_ACCOUNT),
        Allowance(f"password-address\0{ip}", PER_ADDRESS),
    ]


def for_mail(kind: str, account: str, ip: str) -> list[Allowance]:
    """What limits letting us send mail to somebody."""
    return [
        Allowance(f"mail\0{kind}\0{account}", MAILS_PER_ACCOUNT),
        Allowance(f"mail-address\0{ip}", PER_ADDRESS),
    ]


def for_token(ip: str) -> list[Allowance]:
    """What limits guessing at tokens from mails."""
    return [Allowance(f"token-address\0{ip}", PER_ADDRESS)]


def for_sign_up(ip: str) -> list[Allowance]:
    return [Allowance(f"sign-up-address\0{ip}", SIGN_UPS_PER_ADDRESS)]
