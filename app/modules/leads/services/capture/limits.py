"""How often forms take something, an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.attempts import Attempts

COUNTERS: Final = Attempts("leads.form_attempts", timedelta(hours=1))
