"""Pipelines and their stages. Every tenant has a default one, written when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import UUID, uuid5

from app.kernel.errors import Invalid, NotFound
from app.kernel.listing import Ask
from app.kernel.memory import Remembered
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import ForecastCategory
from app.modules.opportunities.schemas import (
    GuidanceRead,
    NamesRead,
    PipelineRead,
    PlaybookTemplateRead,
    RequirementsRead,
    StageRead,
)
from app.modules.opportunities.services.stage_rules import (
    PlaybookRule,
    StageRules,
)

DEFAULT_KEY = "sales"
_DEFAULT_NAMES = ("Sales", "销售")
_DEFAULT_STAGES: tuple[tuple[str, str, str, int, ForecastCategory], ...] = (
    ("qualification", "Qualification", "资格确认", 10, ForecastCategory.PIPELINE),
    ("needs_analysis", "Needs analysis", "需求分析", 30, ForecastCategory.PIPELINE),
    ("proposal", "Proposal", "方案报价", 50, ForecastCategory.BEST_CASE),
    ("negotiation", "Negotiation", "商务谈判", 75, ForecastCategory.COMMIT),
    ("won", "Won", "赢单", 100, ForecastCategory.CLOSED),
)


@dataclass(frozen=True, slots=True)
class StageInfo:
    """A stage as rules see it."""

    key: str
    name_en: str
    name_zh: str | None
    probability: int
    forecast_category: str
    is_closed: bool
    is_won: bool
    rotting_days: int | None = None
    guidance_en: str | None = None
    guidance_zh: str | None = None
    rules: StageRules = field(default_factory=StageRules)


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """A pipeline with its stages in their order. `stored` is False for a default that nobody has used yet.

    `team_ids` are the teams that may use it; None means all.
    """

    id: UUID
    version: int
    key: str
    name_en: str
    name_zh: str | None
    is_default: bool
    stages: tuple[StageInfo, ...]
    stored: bool = True
    team_ids: tuple[UUID, ...] | None = None

    @property
    def first(self) -> StageInfo:
        return self.stages[0]

    @property
    def won(self) -> StageInfo:
        return next(stage for stage in self.stages if stage.is_won)

    def find(self, key: str) -> StageInfo | None:
        return next((stage for stage in self.stages if stage.key == key), None)

    def named(self, text: str) -> StageInfo | None:
        """The stage that a person means: by its key, or by one of its names in any case."""
        found = self.find(text)
        if found is not None:
            return found
        wanted = text.strip().casefold()
        for stage in self.stages:
            if wanted in (stage.key, stage.name_en.casefold(), (stage.name_zh or "").casefold()):
                return stage
        return None

    def stage(self, key: str, pointer: str = "/stage") -> StageInfo:
        """The stage with this key or name. Raises `Invalid`."""
        found = self.named(key)
        if found is None:
            known = ", ".join(stage.key for stage in self.stages)
            raise Invalid.at(
                pointer, "unknown_stage", f"The pipeline {self.key!r} has no stage {key!r}: {known}."
            )
        return found


async def _read_all(uow: UnitOfWork) -> tuple[PipelineInfo, ...]:
    return tuple(_grouped(await uow.fetch(_ALL, uow.tenant_id)))


# A change of stages makes a version of their pipeline.
_PIPELINES: Final[Remembered[tuple[PipelineInfo, ...]]] = Remembered(
    "opportunities.pipelines", _read_all, empty=()
)


class PipelineService:
    """Asks for all pipelines of the tenant once per transaction, in one statement as long as none has changed."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self._known: Sequence[PipelineInfo] | None = None
        self._held = False

    async def all(self) -> Sequence[PipelineInfo]:
        """All pipelines in their order; the default one also before it is stored."""
        if self._known is None:
            await self._look()
        return cast("Sequence[PipelineInfo]", self._known)

    async def hold(self) -> None:
        """Let nobody take a stage away before this transaction, which puts something into one, has ended.

        Outside of a savepoint, which would let go of them when it is rolled back.
        """
        if not self._held:
            await self.hold_beside()

    async def hold_beside(self, *asked: Ask) -> list[Any]:
        """The values that are asked for, read together with all pipelines, which are held."""
        values = await self._look(asked, hold=True)
        self._held = True
        return values

    async def _look(self, beside: Sequence[Ask] = (), *, hold: bool = False) -> list[Any]:
        memory = self.uow.kernel.memory
        [found], values = await memory.exactly(self.uow, [_PIPELINES], beside, hold=hold or self._held)
        self._known = found or [self._unstored_default()]
        return values

    async def get(self, id: UUID) -> PipelineInfo:
        """Raises `NotFound`."""
        for pipeline in await self.all():
            if pipeline.id == id:
                return pipeline
        raise NotFound

    async def wanted(self, wanted: str | None) -> PipelineInfo:
        """The pipeline that an address names by id or key, absent the default one. Raises `NotFound`."""
        for pipeline in await self.all():
            if pipeline.is_default if wanted is None else wanted in (str(pipeline.id), pipeline.key):
                return pipeline
        raise NotFound("There is no pipeline with this id or key.")

    async def resolve(self, wanted: UUID | str | None, *, pointer: str = "/pipeline_id") -> PipelineInfo:
        """A pipeline by id or key, absent the default one. Raises `Invalid` at `pointer`."""
        for pipeline in await self.all():
            if wanted is None and pipeline.is_default:
                return pipeline
            if wanted is not None and str(wanted) in (str(pipeline.id), pipeline.key):
                return pipeline
        raise Invalid.at(pointer, "unknown_reference", "There is no pipeline with this id or key.")

    async def stored(self, wanted: UUID | str | None) -> PipelineInfo:
        """As `resolve`, for a row that will point at it: the default pipeline is written if it is not there."""
        found = await self.resolve(wanted)
        if not found.stored:
            await self.ensure_default()
            found = await self.resolve(wanted)
        return found

    def usable(self, pipeline: PipelineInfo) -> bool:
        """Whether the actor may put opportunities into it: theirs or everybody's, and any for who manages them."""
        if pipeline.team_ids is None or self.uow.actor.may("pipeline:manage"):
            return True
        mine = {*self.uow.actor.team_ids, *self.uow.actor.team_ids_below}
        return not mine.isdisjoint(pipeline.team_ids)

    async def shown(self) -> list[PipelineInfo]:
        """The pipelines that the actor may use, in their order."""
        return [pipeline for pipeline in await self.all() if self.usable(pipeline)]

    async def choose(self, wanted: UUID | str | None, *, pointer: str = "/pipeline_id") -> PipelineInfo:
        """As `resolve`, of those that the actor may use: absent, the default one or else the first of theirs.

        Raises: Invalid at `pointer`, also for one of other teams.
        """
        found = await self.resolve(wanted, pointer=pointer)
        if self.usable(found):
            return found
        others = await self.shown() if wanted is None else []
        if not others:
            raise Invalid.at(pointer, "other_teams_pipeline", "This pipeline is for other teams.")
        return others[0]

    async def for_use(self, wanted: UUID | str | None) -> PipelineInfo:
        """As `choose`, for a row that will point at it: the default pipeline is written if it is not there."""
        return await self.stored((await self.choose(wanted)).id)

    async def stage_of(self, pipeline_id: UUID, key: str) -> StageInfo | None:
        """A stage by its pipeline and key; None where it has gone."""
        found = next((pipeline for pipeline in await self.all() if pipeline.id == pipeline_id), None)
        return found.find(key) if found else None

    async def ensure_default(self) -> None:
        """Write the default pipeline unless the tenant has one; safe when many do it at once."""
        if any(pipeline.stored for pipeline in await self.all()):
            return
        default = self._unstored_default()
        # Whoever comes second waits for the first and then finds it there.
        await self.uow.fetch(
            _INSERT_DEFAULT,
            self.uow.tenant_id,
            default.id,
            default.key,
            default.name_en,
            default.name_zh,
            self.uow.now,
            *_columns(default.stages),
        )
        self._known = None

    def _unstored_default(self) -> PipelineInfo:
        stages = tuple(
            StageInfo(key, en, zh, probability, category.value, is_closed=key == "won", is_won=key == "won")
            for key, en, zh, probability, category in _DEFAULT_STAGES
        )
        id = uuid5(self.uow.tenant_id, "opportunities.pipelines.default")
        return PipelineInfo(id, 1, DEFAULT_KEY, *_DEFAULT_NAMES, is_default=True, stages=stages, stored=False)


def read(pipeline: PipelineInfo) -> PipelineRead:
    """The wire form."""
    return PipelineRead(
        id=pipeline.id,
        version=pipeline.version,
        key=pipeline.key,
        name=NamesRead(en=pipeline.name_en, zh=pipeline.name_zh),
        is_default=pipeline.is_default,
        team_ids=None if pipeline.team_ids is None else list(pipeline.team_ids),
        stages=[read_stage(stage) for stage in pipeline.stages],
    )


def read_stage(stage: StageInfo) -> StageRead:
    """The wire form of one stage."""
    rules = stage.rules
    return StageRead(
        key=stage.key,
        name=NamesRead(en=stage.name_en, zh=stage.name_zh),
        probability=stage.probability,
        forecast_category=ForecastCategory(stage.forecast_category),
        is_closed=stage.is_closed,
        is_won=stage.is_won,
        rotting_days=stage.rotting_days,
        guidance=GuidanceRead(en=stage.guidance_en, zh=stage.guidance_zh),
        moves=None if rules.moves is None else list(rules.moves),
        requirements=RequirementsRead.model_validate(rules.requirements.as_json()),
        playbook=[_read_task(task) for task in rules.playbook],
    )


def _read_task(task: PlaybookRule) -> PlaybookTemplateRead:
    return PlaybookTemplateRead(
        key=task.key,
        subject=NamesRead(en=task.subject_en, zh=task.subject_zh),
        due_in_days=task.due_in_days,
        team_role=task.team_role,
        repeat=task.repeat,
    )


def _columns(stages: Sequence[StageInfo]) -> list[list[Any]]:
    """The stages as arrays, column by column."""
    names = ("key", "name_en", "name_zh", "probability", "forecast_category", "is_closed", "is_won")
    return [[getattr(stage, name) for stage in stages] for name in names]


def _grouped(rows: Sequence[Any]) -> list[PipelineInfo]:
    found: dict[UUID, tuple[Any, list[StageInfo]]] = {}
    for row in rows:
        _, stages = found.setdefault(row["id"], (row, []))
        stages.append(
            StageInfo(
                row["stage"],
                row["stage_name_en"],
                row["stage_name_zh"],
                row["probability"],
                row["forecast_category"],
                row["is_closed"],
                row["is_won"],
                row["rotting_days"],
                row["guidance_en"],
                row["guidance_zh"],
                StageRules.of(row["rules"]),
            )
        )
    return [
        PipelineInfo(
            row["id"],
            row["version"],
            row["key"],
            row["name_en"],
            row["name_zh"],
            row["is_default"],
            tuple(stages),
            team_ids=None if row["team_ids"] is None else tuple(row["team_ids"]),
        )
        for row, stages in found.values()
    ]


_ALL = """
SELECT p.id, p.version, p.key, p.name_en, p.name_zh, p.is_default, p.team_ids, s.key AS stage,
  s.name_en AS stage_name_en, s.name_zh AS stage_name_zh, s.probability, s.forecast_category, s.is_closed, s.is_won,
  s.rotting_days, s.guidance_en, s.guidance_zh, s.rules
FROM opportunities.pipelines p
JOIN opportunities.stages s ON s.tenant_id = p.tenant_id AND s.pipeline_id = p.id
WHERE p.tenant_id = $1 ORDER BY p.position, p.id, s.position"""

_INSERT_DEFAULT = """
WITH made AS (
  INSERT INTO opportunities.pipelines
    (tenant_id, id, key, name_en, name_zh, is_default, position, version, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, true, 0, 1, $6, $6)
  ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO opportunities.stages
  (tenant_id, id, pipeline_id, key, name_en, name_zh, probability, forecast_category, is_closed, is_won, position)
SELECT $1, gen_random_uuid(), made.id, s.key, s.name_en, s.name_zh, s.probability, s.category, s.is_closed, s.is_won,
  s.position - 1
FROM made CROSS JOIN unnest($7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::boolean[],
  $13::boolean[]) WITH ORDINALITY
  AS s(key, name_en, name_zh, probability, category, is_closed, is_won, position)"""
