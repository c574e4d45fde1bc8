"""The funnel: how opportunities pass through the stages of a pipeline, from their stage history.

Of a stage, `entered` are the opportunities that came into it; each of them is `still_there` (open, standing in it),
`lost_from` it (lost while it was their last open stage) or has `moved_on` (everything else: it went to another stage
or was won). Conversion is moved_on ÷ entered, conversion to won is won ÷ entered, as things stand. A cohort are those
that came into the stage for the first time in a month, fiscal quarter or fiscal year of the tenant's zone. Days are
whole ones, over all visits of the stage together, of those that left it; a percentile is the smallest number of days
that at least that share of them stayed at most (nearest rank).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from app.kernel.listing import Bindings
from app.kernel.periods import period_start_sql
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.reach import Reach, require_shown
from app.modules.opportunities.reading.schemas import Funnel, FunnelCohort, FunnelStage, share
from app.modules.opportunities.schemas import NamesRead
from app.modules.opportunities.services.pipelines import PipelineInfo, PipelineService, StageInfo

CohortKind = Literal["month", "quarter", "year"]


@dataclass(frozen=True)
class FunnelQuestion:
    """What is asked: entries from `since` until before `before`, both first days of months."""

    pipeline: str | None = None
    owner_id: UUID | None = None
    team_ids: tuple[UUID, ...] = ()
    cohort: CohortKind | None = None
    since: date | None = None
    before: date | None = None


@dataclass
class _Counts:
    """One stage of one cohort while it is added up."""

    entered: int = 0
    here: int = 0
    lost: int = 0
    won: int = 0
    median: int | None = None
    p90: int | None = None


class FunnelService:
    """Two statements over kept sums."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def funnel(self, question: FunnelQuestion) -> Funnel:
        """Raises `NotFound` for an unknown pipeline."""
        require_shown(self._uow, "stage")
        pipeline = await PipelineService(self._uow).wanted(question.pipeline)
        counts: dict[tuple[date | None, str], _Counts] = {}
        await self._count(pipeline.id, question, counts)
        await self._measure(pipeline.id, question, counts)
        periods = (
            sorted({period for period, _ in counts if period is not None}) if question.cohort else [None]
        )
        return Funnel(
            pipeline_id=pipeline.id,
            data=[
                FunnelCohort(starts_on=period, stages=_stages(pipeline, period, counts)) for period in periods
            ],
        )

    async def _count(
        self, pipeline_id: UUID, question: FunnelQuestion, counts: dict[tuple[date | None, str], _Counts]
    ) -> None:
        bind = Bindings(self._uow.tenant_id)
        where = _where(pipeline_id, question, bind)
        rows = await self._uow.fetch(
            f"SELECT {self._period(question)} AS period, stage, outcome, won, sum(n)::bigint AS n FROM ("
            f"SELECT {'month' if question.cohort else 'NULL::date AS month'}, stage, outcome, won, sum(n) AS n"
            f" FROM ({Reach(self._uow, bind).passages(where)}) r GROUP BY 1, 2, 3, 4) m"
            " GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0",
            *bind.values,
        )
        for row in rows:
            found = counts.setdefault((row["period"], row["stage"]), _Counts())
            found.entered += row["n"]
            found.here += row["n"] if row["outcome"] == "here" else 0
            found.lost += row["n"] if row["outcome"] == "lost" else 0
            found.won += row["n"] if row["won"] else 0

    async def _measure(
        self, pipeline_id: UUID, question: FunnelQuestion, counts: dict[tuple[date | None, str], _Counts]
    ) -> None:
        """The percentiles, in the database: what comes back does not grow with the days."""
        bind = Bindings(self._uow.tenant_id)
        where = _where(pipeline_id, question, bind)
        source = Reach(self._uow, bind).days(where, by_owner=question.owner_id is not None)
        rows = await self._uow.fetch(
            # By month first: what a period begins with is worked out once per month and day, not per row.
            f"WITH m AS (SELECT {'month' if question.cohort else 'NULL::date AS month'}, stage, days,"
            f" sum(n)::bigint AS n FROM ({source}) r GROUP BY 1, 2, 3),"
            f" d AS (SELECT {self._period(question)} AS period, stage, days, sum(n)::bigint AS n"
            " FROM m GROUP BY 1, 2, 3 HAVING sum(n) <> 0),"
            " c AS (SELECT period, stage, days, sum(n) OVER (PARTITION BY period, stage ORDER BY days) AS upto,"
            " sum(n) OVER (PARTITION BY period, stage) AS total FROM d)"
            " SELECT period, stage, min(days) FILTER (WHERE upto * 100 >= total * 50) AS median,"
            " min(days) FILTER (WHERE upto * 100 >= total * 90) AS p90 FROM c GROUP BY 1, 2",
            *bind.values,
        )
        for row in rows:
            found = counts.setdefault((row["period"], row["stage"]), _Counts())
            found.median, found.p90 = row["median"], row["p90"]

    def _period(self, question: FunnelQuestion) -> str:
        """SQL of the first day of the cohort's period."""
        if question.cohort is None:
            return "NULL::date"
        return period_start_sql("month", question.cohort, self._uow.actor.tenant.fiscal_year_start_month)


def _where(pipeline_id: UUID, question: FunnelQuestion, bind: Bindings) -> str:
    clauses = [f"t.pipeline_id = {bind(pipeline_id)}"]
    if question.owner_id is not None:
        clauses.append(f"t.owner_id = {bind(question.owner_id)}")
    if question.team_ids:
        clauses.append(f"t.team_id = ANY({bind(list(question.team_ids))}::uuid[])")
    if question.since is not None:
        clauses.append(f"t.month >= {bind(question.since)}")
    if question.before is not None:
        clauses.append(f"t.month < {bind(question.before)}")
    return " AND ".join(clauses)


def _stages(
    pipeline: PipelineInfo, period: date | None, counts: Mapping[tuple[date | None, str], _Counts]
) -> list[FunnelStage]:
    return [_stage(stage, counts.get((period, stage.key)) or _Counts()) for stage in pipeline.stages]


def _stage(stage: StageInfo, found: _Counts) -> FunnelStage:
    here, lost = (found.here + found.lost, 0) if stage.is_closed else (found.here, found.lost)
    moved = found.entered - here - lost
    return FunnelStage(
        stage=stage.key,
        name=NamesRead(en=stage.name_en, zh=stage.name_zh),
        is_closed=stage.is_closed,
        entered=found.entered,
        still_there=here,
        moved_on=moved,
        lost_from=lost,
        won=found.won,
        conversion=None if stage.is_closed else share(moved, found.entered),
        conversion_to_won=share(found.won, found.entered),
        median_days=None if stage.is_closed else found.median,
        p90_days=None if stage.is_closed else found.p90,
    )
