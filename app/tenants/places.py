"""The time zones that we know, from the library that keeps them current."""

from __future__ import annotations

from typing import Final
from zoneinfo import available_timezones

TIME_ZONES: Final = frozenset(available_timezones())
