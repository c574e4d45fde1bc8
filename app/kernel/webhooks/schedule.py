"""When a delivery is tried again, and when an endpoint is given up (Standard Webhooks 1.0.0, "Deliverability")."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

RETRY_AFTER = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from each failed attempt to the next: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
ATTEMPTS = 1 + len(RETRY_AFTER)
JITTER = 0.1
GIVE_UP_AFTER = timedelta(days=5)

_chance = random.SystemRandom()


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failed ones, spread by a tenth either way; None when it was the last."""
    if attempts >= ATTEMPTS:
        return None
    return now + timedelta(seconds=RETRY_AFTER[attempts - 1] * _chance.uniform(1 - JITTER, 1 + JITTER))
