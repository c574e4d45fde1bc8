"""When things happen: working days more than weekends, fair seasons more than holidays, more each quarter."""

import random
from datetime import datetime, timedelta
from itertools import accumulate

from app.demo.records import Language

# January to December; the Spring Festival empties February, the fairs fill spring and autumn.
_SEASONS: dict[Language, tuple[float, ...]] = {
    "zh": (0.8, 0.55, 1.25, 1.2, 1.0, 1.05, 0.9, 0.85, 1.2, 0.95, 1.25, 1.0),
    "en": (0.95, 1.0, 1.1, 1.05, 1.1, 1.05, 0.8, 0.7, 1.2, 1.25, 1.1, 0.6),
}
_WEEKEND = 0.25
_GROWTH = 0.5
_HOURS_AHEAD_OF_UTC = {"CN": 8, "GB": 0, "US": -6, "CA": -5, "AU": 10}
_DAYS_PER_MONTH = 30.4375


class Window:
    """The months up to `now` in which the demo's history lies."""

    def __init__(self, *, months: int, now: datetime) -> None:
        self.now = now.replace(microsecond=0)
        self.start = self.now - timedelta(days=round(months * _DAYS_PER_MONTH))
        length = max(1, (self.now - self.start).days)
        self._days = [self.start + timedelta(days=day) for day in range(length)]
        self._weights = {
            language: list(
                accumulate(
                    season[day.month - 1]
                    * (_WEEKEND if day.weekday() > 4 else 1)
                    * (1 + _GROWTH * number / length)
                    for number, day in enumerate(self._days)
                )
            )
            for language, season in _SEASONS.items()
        }

    def moment(self, rng: random.Random, language: Language, country: str) -> datetime:
        """A moment in the window, mostly in that country's office hours, never after `now`."""
        day = rng.choices(self._days, cum_weights=self._weights[language])[0]
        hour = rng.triangular(8, 20, 10.5) - _HOURS_AHEAD_OF_UTC[country]
        moment = day.replace(hour=0, minute=0, second=0) + timedelta(seconds=round(hour * 3600))
        while moment >= self.now:
            moment -= timedelta(days=1)
        return max(moment, self.start)

    def between(self, rng: random.Random, start: datetime, end: datetime | None = None) -> datetime:
        """Any second from `start` to `end` (default: `now`)."""
        seconds = int(((end or self.now) - start).total_seconds())
        return start + timedelta(seconds=rng.randrange(max(1, seconds)))
