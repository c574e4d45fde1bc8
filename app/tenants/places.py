"""The time zones and countries that we know, from the libraries that keep them current."""

from __future__ import annotations

from typing import Final
from zoneinfo import available_timezones

from babel import Locale

TIME_ZONES: Final = frozenset(available_timezones())
# Two-letter territories of CLDR without its own inventions (EU, UN, pseudo-locales): ISO 3166-1 plus Kosovo.
COUNTRIES: Final = frozenset(
    code for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha()
) - {"EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"}
