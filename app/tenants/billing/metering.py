"""Usage: taking events in, each once for ever, and adding them up by the hour.

The sums of an hour hold all that any aggregation of whole hours needs, so that a figure costs the same however many
events lie behind it. `moment` is the sum of value x time in seconds, from which weighted sums come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from app.kernel.allowances import KEPT
from app.kernel.decimals import decimal_text
from app.kernel.statements import in_utc
from app.kernel.uow import UnitOfWork
from app.tenants.billing.periods import Period, seconds_between, whole_hour

if TYPE_CHECKING:
    from app.kernel.schedules import ScheduledRun

PAST: Final = timedelta(days=35)
AHEAD: Final = timedelta(minutes=5)
EVERY: Final = timedelta(minutes=1)
STEP: Final = 50_000
ROLLING: Final = 0x52_41_50_55
"""Held shared while sums are added to, and alone by whoever counts anew what they are sums of."""

_SUMS = """
count(*), sum(value), max(value), (array_agg(value ORDER BY at DESC, value DESC))[1], max(at),
sum(value * floor(extract(epoch FROM at)))"""
_ADD = """
ON CONFLICT (tenant_id, metric, hour) DO UPDATE SET
  count = h.count + EXCLUDED.count, sum = h.sum + EXCLUDED.sum, max = greatest(h.max, EXCLUDED.max),
  latest = CASE WHEN (EXCLUDED.latest_at, EXCLUDED.latest) > (h.latest_at, h.latest) THEN EXCLUDED.latest
    ELSE h.latest END,
  latest_at = greatest(h.latest_at, EXCLUDED.latest_at), moment = h.moment + EXCLUDED.moment"""
_COLUMNS = "(tenant_id, metric, hour, count, sum, max, latest, latest_at, moment)"
_OWN_COLUMNS = _COLUMNS.replace(")", ", own_count, own_sum)")

# Sorted as it is, so that batches with the same keys wait for each other instead of for ever.
_TAKE: Final = f"""
WITH arrival AS MATERIALIZED (SELECT tenants.usage_arrival($1, $2) AS at), made AS (
  INSERT INTO tenants.usage_events
    (tenant_id, source, event_id, hash, metric, at, value, subject, received_at)
  SELECT $1, g.source, g.event_id, g.hash, g.metric, g.at, g.value, g.subject, arrival.at
  FROM arrival, unnest($3::text[], $4::text[], $5::bytea[], $6::text[], $7::timestamptz[], $8::numeric[], $9::text[])
    AS g(source, event_id, hash, metric, at, value, subject)
  ORDER BY g.source, g.event_id
  ON CONFLICT DO NOTHING
  RETURNING source, event_id, metric, at, value, subject
), hours AS (
  INSERT INTO tenants.usage_hours AS h {_COLUMNS}
  SELECT $1, metric, date_trunc('hour', at, 'UTC'), {_SUMS} FROM made GROUP BY 1, 2, 3 ORDER BY 2, 3
  {_ADD}
), subjects AS (
  INSERT INTO tenants.usage_subjects (tenant_id, metric, hour, subject)
  SELECT DISTINCT $1::uuid, metric, date_trunc('hour', at, 'UTC'), subject FROM made
  WHERE subject IS NOT NULL ORDER BY 2, 3, 4
  ON CONFLICT DO NOTHING
)
SELECT source, event_id FROM made"""

_KNOWN: Final = """
SELECT e.source, e.event_id, e.hash FROM unnest($2::text[], $3::text[]) AS g(source, event_id)
JOIN tenants.usage_events e ON e.tenant_id = $1 AND e.source = g.source AND e.event_id = g.event_id"""

_OF_PERIODS: Final = """
SELECT p.start, h.metric, sum(h.count)::bigint AS count, sum(h.sum) AS sum, max(h.max) AS max,
  (array_agg(h.latest ORDER BY h.latest_at DESC))[1] AS latest, sum(h.moment) AS moment,
  sum(h.own_count)::bigint AS own_count,
  (SELECT count(DISTINCT s.subject) FROM tenants.usage_subjects s
   WHERE s.tenant_id = $1 AND s.metric = h.metric AND s.hour >= p.start AND s.hour < p.until) AS subjects
FROM unnest($2::timestamptz[], $3::timestamptz[]) AS p(start, until)
JOIN tenants.usage_hours h ON h.tenant_id = $1 AND h.hour >= p.start AND h.hour < p.until
GROUP BY p.start, p.until, h.metric ORDER BY p.start, h.metric"""

# What the hours would say had they been added up at a moment: events that came later are left out.
_ARRIVED: Final = """
WITH events AS (
  SELECT p.start, p.until, e.metric, count(*) AS count, sum(e.value) AS sum, max(e.value) AS max,
    (array_agg(e.value ORDER BY e.at DESC, e.value DESC))[1] AS latest,
    sum(e.value * floor(extract(epoch FROM e.at))) AS moment, count(DISTINCT e.subject) AS subjects
  FROM unnest($2::timestamptz[], $3::timestamptz[]) AS p(start, until)
  CROSS JOIN LATERAL (SELECT DISTINCT h.metric FROM tenants.usage_hours h
    WHERE h.tenant_id = $1 AND h.hour >= p.start AND h.hour < p.until) m
  JOIN tenants.usage_events e ON e.tenant_id = $1 AND e.metric = m.metric AND e.at >= p.start AND e.at < p.until
    AND e.received_at <= $4
  GROUP BY 1, 2, 3
), own AS (
  SELECT p.start, p.until, h.metric, sum(h.own_count)::bigint AS count, sum(h.own_sum) AS sum, max(h.max) AS max,
    (array_agg(h.latest ORDER BY h.latest_at DESC))[1] AS latest, sum(h.moment) AS moment
  FROM unnest($2::timestamptz[], $3::timestamptz[]) AS p(start, until)
  JOIN tenants.usage_hours h ON h.tenant_id = $1 AND h.hour >= p.start AND h.hour < p.until
  WHERE h.own_count > 0 GROUP BY 1, 2, 3
)
SELECT start, metric, coalesce(e.count, 0) + coalesce(o.count, 0) AS count,
  coalesce(e.sum, 0) + coalesce(o.sum, 0) AS sum, coalesce(o.max, e.max) AS max,
  coalesce(o.latest, e.latest) AS latest, coalesce(o.moment, e.moment) AS moment,
  coalesce(o.count, 0) AS own_count, coalesce(e.subjects, 0) AS subjects
FROM events e FULL JOIN own o USING (start, until, metric) ORDER BY start, metric"""

_ROLL: Final = f"""
WITH taken AS (
  DELETE FROM kernel.usage_records WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM kernel.usage_records WHERE $2::uuid IS NULL OR tenant_id = $2 LIMIT {STEP}))
  RETURNING tenant_id, metric, at, quantity::numeric AS value
), kept AS (
  INSERT INTO kernel.usage_totals AS t (tenant_id, metric, total)
  SELECT tenant_id, metric, sum(value)::bigint FROM taken WHERE metric = ANY($1::text[]) GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (tenant_id, metric) DO UPDATE SET total = t.total + EXCLUDED.total
), hours AS (
  INSERT INTO tenants.usage_hours AS h {_OWN_COLUMNS}
  SELECT tenant_id, metric, date_trunc('hour', at, 'UTC'), {_SUMS}, count(*), sum(value) FROM taken
  WHERE metric <> ALL($1::text[]) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
  {_ADD}, own_count = h.own_count + EXCLUDED.own_count, own_sum = h.own_sum + EXCLUDED.own_sum
)
SELECT count(*) FROM taken"""


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """Something used at a moment; `source` and `id` name it for ever.

    `said_at` is the time that the report itself gave, if any: sent again without one, it is still the same event.
    """

    source: str
    id: str
    metric: str
    at: datetime
    said_at: datetime | None
    value: Decimal
    subject: str | None

    @property
    def hash(self) -> bytes:
        """Of all it says: two events of one name are the same, or one of them is wrong."""
        said = (
            self.metric,
            in_utc(self.said_at).isoformat() if self.said_at else "",
            decimal_text(self.value),
            self.subject or "",
        )
        return hashlib.sha256("\0".join(said).encode()).digest()


@dataclass(frozen=True, slots=True)
class MetricUsage:
    """What a period came to for one metric, in every way that a price may count it.

    `own` of the count are what the product counted of itself, of which there are no events.
    """

    metric: str
    count: int
    sum: Decimal
    max: Decimal
    latest: Decimal
    unique: int
    weighted_sum: Fraction
    own: int = 0


class Meter:
    """The usage of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def take(self, events: Sequence[UsageEvent]) -> list[str]:
        """Keep and count events; for each, `accepted`, `duplicate`, `conflict` or `out_of_time`.

        A name that is taken by the same event is a duplicate, by another a conflict. Two statements at most.
        """
        now = self._uow.now
        outcomes = ["out_of_time"] * len(events)
        first: dict[tuple[str, str], int] = {}
        hashes = [event.hash for event in events]
        for place, event in enumerate(events):
            if now - PAST <= event.at <= now + AHEAD:
                before = first.setdefault((event.source, event.id), place)
                same = hashes[before] == hashes[place]
                outcomes[place] = "accepted" if before == place else "duplicate" if same else "conflict"
        if not first:
            return outcomes
        made = await self._insert([(events[place], hashes[place]) for place in first.values()])
        known = await self._known([name for name in first if name not in made])
        for place, event in enumerate(events):
            kept = known.get((event.source, event.id))
            if kept is not None and outcomes[place] != "out_of_time":
                outcomes[place] = "duplicate" if kept == hashes[place] else "conflict"
        return outcomes

    async def of_period(self, period: Period) -> list[MetricUsage]:
        """All metrics that were used in a period of whole hours, by name; one statement."""
        return (await self.of_periods([period]))[period]

    async def of_periods(
        self, periods: Sequence[Period], *, arrived: datetime | None = None
    ) -> dict[Period, list[MetricUsage]]:
        """The same of several periods that begin at different moments; one statement, however many.

        One that ends within an hour, as the last one of a company that leaves, takes the whole of it: nothing is used
        after it. It reads the sums of hours; with `arrived`, the events themselves, without those that came later.
        """
        found: dict[Period, list[MetricUsage]] = {period: [] for period in periods}
        begin = {period.start: period for period in periods}
        rows = await self._uow.fetch(
            _ARRIVED if arrived else _OF_PERIODS,
            self._uow.tenant_id,
            [period.start for period in periods],
            [whole_hour(period.end + timedelta(minutes=59, seconds=59)) for period in periods],
            *([arrived] if arrived else []),
        )
        for row in rows:
            period = begin[row["start"]]
            found[period].append(_usage(row, period))
        return found

    async def _insert(self, events: Sequence[tuple[UsageEvent, bytes]]) -> set[tuple[str, str]]:
        rows = await self._uow.fetch(
            _TAKE,
            self._uow.tenant_id,
            self._uow.now,
            [event.source for event, _ in events],
            [event.id for event, _ in events],
            [digest for _, digest in events],
            [event.metric for event, _ in events],
            [event.at for event, _ in events],
            [event.value for event, _ in events],
            [event.subject for event, _ in events],
        )
        return {(row["source"], row["event_id"]) for row in rows}

    async def _known(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        if not names:
            return {}
        sources, ids = [source for source, _ in names], [id for _, id in names]
        rows = await self._uow.fetch(_KNOWN, self._uow.tenant_id, sources, ids)
        return {(row["source"], row["event_id"]): row["hash"] for row in rows}


def _usage(row: Any, period: Period) -> MetricUsage:
    # Each value weighs from its time to the end: end x sum of values - sum of value x time.
    epoch = datetime.fromtimestamp(0, period.end.tzinfo)
    weighted = Fraction(row["sum"]) * seconds_between(epoch, period.end) - Fraction(row["moment"])
    return MetricUsage(
        metric=row["metric"],
        count=row["count"],
        sum=row["sum"],
        max=row["max"],
        latest=row["latest"],
        unique=row["subjects"],
        weighted_sum=weighted / period.seconds,
        own=row["own_count"],
    )


async def roll(run: ScheduledRun) -> None:
    """Add what the product counted of itself to the hours of its tenants, each record once, until none is left.

    What is kept (records, storage) goes to one sum for each tenant instead.
    """
    taken = STEP
    while taken == STEP:
        async with run.kernel.database.control() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", ROLLING)
            taken = await connection.fetchval(_ROLL, list(KEPT), None)


async def roll_tenant(uow: UnitOfWork) -> None:
    """The same of the tenant at hand alone, with its control transaction."""
    await uow.fetch("SELECT pg_advisory_xact_lock_shared($1)", ROLLING)
    taken = STEP
    while taken == STEP:
        [row] = await uow.fetch(_ROLL, list(KEPT), uow.tenant_id)
        taken = row[0]
