"""Making pipelines, and changing them under the deals that stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import require_version
from app.kernel.people import People
from app.modules.opportunities.interface import StageInUse
from app.modules.opportunities.models import Pipeline, Stage
from app.modules.opportunities.schemas import PipelineCreate, PipelineUpdate, StageInput
from app.modules.opportunities.services.pipelines import PipelineInfo, PipelineService
from app.modules.opportunities.services.stage_rules import check_rules, rest_again, stored_rules


class PipelineChanges(PipelineService):
    """What who manages pipelines does to them."""

    async def create(self, body: PipelineCreate) -> PipelineInfo:
        """A new pipeline with its stages. Raises `DuplicateValue` for a key that is taken, `Invalid`."""
        await self.ensure_default()
        await self.uow.of(People).require_teams(body.team_ids or (), pointer="/team_ids")
        await check_rules(self.uow, body.stages)
        position = len(await self.all())
        if body.is_default:
            await self._unset_default()
        made = await self.uow.insert(
            Pipeline,
            audit="pipeline",
            key=body.key,
            name_en=body.name.en,
            name_zh=body.name.zh,
            is_default=body.is_default,
            position=position,
            team_ids=body.team_ids,
        )
        await self._write_stages(made.id, body.stages)
        self._known = None
        return await self.get(made.id)

    async def update(self, id: UUID, body: PipelineUpdate, *, expected_version: int) -> PipelineInfo:
        """Raises `NotFound`, `StaleVersion`, `StageInUse` for a stage that is left out and not empty."""
        await self.ensure_default()
        # Where a stage goes, whoever holds the pipelines to put something into one is waited for, or comes after us.
        loses = self._loses_stages(await self.get(id), body, expected_version)
        row = await self.uow.get(Pipeline, id, lock="exclusive" if loses else "update")
        require_version(row.version, expected=expected_version)
        self._known = None  # what was read before the lock may be of the version before
        await self.uow.of(People).require_teams(body.team_ids or (), pointer="/team_ids")
        await check_rules(self.uow, body.stages or ())
        changes: dict[str, Any] = {}
        if "team_ids" in body.model_fields_set:
            changes["team_ids"] = body.team_ids
        if body.name is not None:
            changes |= {"name_en": body.name.en, "name_zh": body.name.zh}
        if body.is_default and not row.is_default:
            await self._unset_default()
            changes["is_default"] = True
        if body.stages is not None:  # before the version that they are remembered by
            await self._replace_stages(id, body.stages)
        after = await self.uow.update(row, audit="pipeline", **changes)
        if body.stages is not None and after is row:
            await self._bump(row)
        self._known = None
        return await self.get(id)

    @staticmethod
    def _loses_stages(known: PipelineInfo, body: PipelineUpdate, expected_version: int) -> bool:
        """Whether a stage of the version that is expected goes; where another one is known, it may."""
        if body.stages is None:
            return False
        kept = {stage.key for stage in body.stages}
        return known.version != expected_version or any(stage.key not in kept for stage in known.stages)

    async def _bump(self, row: Pipeline) -> None:
        """The stages are part of the pipeline's state, so its version moves with them."""
        await self.uow.fetch(
            "UPDATE opportunities.pipelines SET version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND id = $2",
            row.tenant_id,
            row.id,
            self.uow.now,
        )

    async def _unset_default(self) -> None:
        statement = self.uow.select(Pipeline).where(Pipeline.is_default)
        former = await self.uow.first(statement)
        if former is not None:
            await self.uow.update(former, audit="pipeline", is_default=False)

    async def _replace_stages(self, pipeline_id: UUID, stages: Sequence[StageInput]) -> None:
        kept = [stage.key for stage in stages]
        used = await self.uow.fetch(
            "SELECT DISTINCT stage FROM opportunities.opportunities WHERE tenant_id = $1 AND pipeline_id = $2"
            " AND deleted_at IS NULL AND stage <> ALL($3::text[]) LIMIT 10",
            self.uow.tenant_id,
            pipeline_id,
            kept,
        )
        if used:
            names = sorted(row["stage"] for row in used)
            raise StageInUse(f"Opportunities stand in: {', '.join(names)}.", stages=names)
        former = (await self.get(pipeline_id)).stages
        await self.uow.fetch(
            "DELETE FROM opportunities.stages WHERE tenant_id = $1 AND pipeline_id = $2",
            self.uow.tenant_id,
            pipeline_id,
        )
        await self._write_stages(pipeline_id, stages)
        patience = {stage.key: stage.rotting_days for stage in former}
        for stage in stages:
            if stage.key in patience and patience[stage.key] != stage.rotting_days:
                await rest_again(self.uow, pipeline_id, stage.key, patience[stage.key], stage.rotting_days)
        before, after = [stage.key for stage in former], kept
        self.uow.record_audit("pipeline", pipeline_id, "stages_replaced", {"stages": [before, after]})

    async def _write_stages(self, pipeline_id: UUID, stages: Sequence[StageInput]) -> None:
        await self.uow.insert_many(
            Stage,
            [
                {
                    "pipeline_id": pipeline_id,
                    "key": stage.key,
                    "name_en": stage.name.en,
                    "name_zh": stage.name.zh,
                    "probability": stage.probability,
                    "forecast_category": stage.forecast_category.value,
                    "is_closed": stage.is_closed,
                    "is_won": stage.is_won,
                    "position": position,
                    "rotting_days": stage.rotting_days,
                    "guidance_en": stage.guidance.en if stage.guidance else None,
                    "guidance_zh": stage.guidance.zh if stage.guidance else None,
                    "rules": stored_rules(stage),
                }
                for position, stage in enumerate(stages)
            ],
        )
