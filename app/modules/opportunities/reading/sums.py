"""The kept sums: what they hold, how they are read, folded, built, and compared with a recomputation.

Triggers (migration 0070) write a signed contribution for every change, in the transaction of the change; no row
is ever updated, so writers never wait for each other here, and whoever reads adds up. Folding puts the contributions
of a group together; it changes no sum. Nothing in them is null: `NONE` stands for no owner and no team, an empty
text for no currency, and `-infinity` (the earliest `date`) for no month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.kernel.locks import lock_name
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork

NONE: Final = UUID(int=2**128 - 1)
_NONE_SQL: Final = f"'{NONE}'::uuid"

CONTRIBUTION: Final = f"""t.pipeline_id, t.stage, t.status, coalesce(t.owner_id, {_NONE_SQL}) AS owner_id,
  coalesce(t.team_id, {_NONE_SQL}) AS team_id, coalesce(t.currency, '') AS currency,
  coalesce(t.home_currency, '') AS home_currency, t.forecast_category AS category,
  coalesce(date_trunc('month', coalesce(t.closed_on, t.expected_close_on))::date, '-infinity') AS month,
  1::bigint AS n, coalesce(t.amount, 0)::numeric AS amount,
  coalesce(t.amount::numeric * t.probability, 0) AS weighted, coalesce(t.amount_home, 0)::numeric AS amount_home,
  coalesce(t.amount_home::numeric * t.probability, 0) AS weighted_home,
  (t.amount IS NOT NULL AND t.amount_home IS NULL)::int::bigint AS missing"""
"""One opportunity's contribution, over alias `t`. The triggers count the same."""


@dataclass(frozen=True)
class Kept:
    """A table of contributions: its groups, its measures, and the SQL of what they are recomputed from."""

    table: str
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    source: str

    @property
    def columns(self) -> str:
        return ", ".join((*self.dimensions, *self.measures))

    @property
    def sums(self) -> str:
        return ", ".join(f"sum({name}) AS {name}" for name in self.measures)

    @property
    def not_zero(self) -> str:
        return "(" + " OR ".join(f"sum({name}) <> 0" for name in self.measures) + ")"

    def grouped(self, rows: str) -> str:
        groups = ", ".join(self.dimensions)
        return f"SELECT {groups}, {self.sums} FROM ({rows}) r GROUP BY {groups} HAVING {self.not_zero}"

    @property
    def recomputed(self) -> str:
        return self.grouped(self.source)


SUMS: Final = Kept(
    "opportunities.sums",
    (
        "pipeline_id",
        "stage",
        "status",
        "owner_id",
        "team_id",
        "currency",
        "home_currency",
        "category",
        "month",
    ),
    ("n", "amount", "weighted", "amount_home", "weighted_home", "missing"),
    f"SELECT {CONTRIBUTION} FROM opportunities.opportunities t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL",
)
FUNNEL_SUMS: Final = Kept(
    "opportunities.funnel_sums",
    ("pipeline_id", "stage", "owner_id", "team_id", "month", "outcome", "won"),
    ("n",),
    "SELECT pipeline_id, stage, owner_id, team_id, month, outcome, won, 1::bigint AS n"
    " FROM opportunities.passages WHERE tenant_id = $1",
)
FUNNEL_DAYS: Final = Kept(
    "opportunities.funnel_days",
    ("pipeline_id", "stage", "team_id", "month", "days"),
    ("n",),
    "SELECT pipeline_id, stage, team_id, month, days, 1::bigint AS n"
    " FROM opportunities.passages WHERE tenant_id = $1 AND days >= 0",
)
KEPT: Final = (SUMS, FUNNEL_SUMS, FUNNEL_DAYS)
BATCH: Final = 2_000
_PASSAGES: Final = "opportunity_id, stage, pipeline_id, owner_id, team_id, month, outcome, won, days"


class KeptSums:
    """Folds, builds and checks the sums of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def fold(self) -> int:
        """Put together what came since the last time; the number of contributions that went into others."""
        await self._lock()
        return sum([await self._fold(kept) for kept in KEPT])

    async def _fold(self, kept: Kept) -> int:
        same = " AND ".join(f"s.{name} = due.{name}" for name in kept.dimensions)
        row = await self._uow.fetchrow(
            f"WITH due AS (SELECT DISTINCT {', '.join(kept.dimensions)} FROM {kept.table}"
            " WHERE tenant_id = $1 AND NOT folded),"
            f" gone AS (DELETE FROM {kept.table} s USING {rows_of('due', *kept.dimensions)}"
            f" WHERE s.tenant_id = $1 AND {same}"
            f" RETURNING {', '.join(f's.{name}' for name in (*kept.dimensions, *kept.measures))}),"
            f" kept AS (INSERT INTO {kept.table} (tenant_id, {kept.columns}, folded)"
            f" SELECT $1, {kept.columns}, true FROM ({kept.grouped('SELECT * FROM gone')}) g RETURNING 1)"
            " SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM kept) AS fewer",
            self._uow.tenant_id,
        )
        return int(row["fewer"]) if row else 0

    async def keep_passages(self, after: UUID | None) -> UUID | None:
        """Make the passages of the next 2,000 opportunities behind `after` what their history says.

        The opportunities are locked, so that nobody changes them between looking and writing: one batch is one
        transaction. Answers where the next batch goes on, None at the end.
        """
        rows = await self._uow.fetch(
            "SELECT id FROM opportunities.opportunities WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id > $2)"
            f" ORDER BY id LIMIT {BATCH} FOR NO KEY UPDATE",
            self._uow.tenant_id,
            after,
        )
        ids = [row["id"] for row in rows]
        await self._uow.fetch(
            "SELECT opportunities.keep_passages(ARRAY[$1::uuid], $2::uuid[])", self._uow.tenant_id, ids
        )
        return ids[-1] if len(ids) == BATCH else None

    async def build(self) -> None:
        """Compute the sums anew from the opportunities and the passages. Changes meanwhile are not lost."""
        await self._lock()
        for kept in KEPT:
            # One statement, one snapshot: what is deleted and what is counted are the same commits.
            await self._uow.fetch(
                f"WITH gone AS (DELETE FROM {kept.table} WHERE tenant_id = $1)"
                f" INSERT INTO {kept.table} (tenant_id, {kept.columns}, folded)"
                f" SELECT $1, {kept.columns}, true FROM ({kept.recomputed}) g",
                self._uow.tenant_id,
            )
        await self._uow.fetch(
            "INSERT INTO opportunities.sums_built (tenant_id, id, built_at) VALUES ($1, $1, $2)"
            " ON CONFLICT (tenant_id, id) DO UPDATE SET built_at = $2",
            self._uow.tenant_id,
            self._uow.now,
        )

    async def is_built(self) -> bool:
        """Whether the sums were ever computed from what was there before the triggers."""
        row = await self._uow.fetchrow(
            "SELECT 1 FROM opportunities.sums_built WHERE tenant_id = $1", self._uow.tenant_id
        )
        return row is not None

    async def differences(self) -> Mapping[str, int]:
        """Per table, how many groups (or passages) are not what a recomputation says; 0 everywhere is right."""
        found: dict[str, int] = {}
        for kept in KEPT:
            stored = kept.grouped(f"SELECT {kept.columns} FROM {kept.table} WHERE tenant_id = $1")
            found[kept.table] = await self._different(stored, kept.recomputed)
        stored = f"SELECT {_PASSAGES} FROM opportunities.passages WHERE tenant_id = $1"
        computed = f"SELECT {_PASSAGES} FROM opportunities.passages_recomputed WHERE tenant_id = $1"
        found["opportunities.passages"] = await self._different(stored, computed)
        return found

    async def _different(self, left: str, right: str) -> int:
        row = await self._uow.fetchrow(
            f"WITH a AS ({left}), b AS ({right}) SELECT (SELECT count(*) FROM (TABLE a EXCEPT ALL TABLE b) x)"
            " + (SELECT count(*) FROM (TABLE b EXCEPT ALL TABLE a) y) AS n",
            self._uow.tenant_id,
        )
        return int(row["n"]) if row else 0

    async def _lock(self) -> None:
        """Folding and building take turns; readers and writers are not disturbed."""
        await lock_name(self._uow, "opportunities.sums")


def none(id: UUID) -> UUID | None:
    """An owner or team of a sum, None for nobody."""
    return None if id == NONE else id


def whole(value: Any) -> int:
    """A sum from the database; nothing added up is 0."""
    return int(value or 0)


def percent_of(weighted: int) -> int:
    """Minor units from a sum of minor units times percent, rounded half up once."""
    return (weighted + 50) // 100
