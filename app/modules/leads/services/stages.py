"""A tenant's own stages of leads: each lies within a built-in state and is a refinement of it (ADR 8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.errors import Invalid, require_version
from app.kernel.schemas import Input, Output, ShortText
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import LeadStageInUse
from app.modules.leads.models import StageList


class Category(StrEnum):
    """The built-in states that may be refined."""

    WORKING = "working"
    NURTURING = "nurturing"


class LeadStage(Input):
    """One stage of the company's own."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), Field(examples=["called"])]
    name_en: ShortText
    name_zh: ShortText | None = None
    category: Category = Field(description="The status of a lead in this stage.")


def _distinct(stages: list[LeadStage]) -> list[LeadStage]:
    seen: set[str] = set()
    for stage in stages:
        names = {stage.key, stage.name_en.casefold(), *([stage.name_zh.casefold()] if stage.name_zh else [])}
        if names & seen:
            raise PydanticCustomError("duplicate_stage", "Keys and names belong to one stage each")
        seen |= names
    return stages


class LeadStagesInput(Input):
    """All stages, in their order."""

    stages: Annotated[list[LeadStage], Field(max_length=50), AfterValidator(_distinct)]


class LeadStageRead(Output):
    key: str
    name_en: str
    name_zh: str | None
    category: Category


class LeadStages(Output):
    version: int = Field(description="0 while nothing has been set.")
    stages: list[LeadStageRead]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as rules see it."""

    key: str
    names: frozenset[str]
    category: str


class Stages:
    """The tenant's stages, and setting them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def read(self) -> LeadStages:
        """As set, in their order."""
        return _answer(await self._uow.first(self._uow.select(StageList)))

    async def held(self) -> Sequence[Stage]:
        """The stages, kept as they are until this transaction ends: for leads that are put into one."""
        found = await self._uow.fetchrow(
            "SELECT stages FROM leads.stage_lists WHERE tenant_id = $1 FOR KEY SHARE", self._uow.tenant_id
        )
        return [_stage(entry) for entry in (found["stages"] if found else ())]

    async def replace(self, body: LeadStagesInput, *, expected_version: int) -> LeadStages:
        """Set the whole list.

        Raises: `StaleVersion`; `LeadStageInUse` when a stage that leads stand in is left out or changes its state.
        """
        # The strongest lock: whoever puts a lead into a stage holds FOR KEY SHARE.
        row = await self._uow.first(self._uow.select(StageList).with_for_update())
        version = row.version if row else 0
        require_version(version, expected=expected_version)
        stages = body.model_dump(mode="json")["stages"]
        kept = {stage["key"]: stage["category"] for stage in stages}
        before = {entry["key"]: entry["category"] for entry in (row.stages if row else ())}
        await self._require_empty([key for key in before if kept.get(key) != before[key]])
        if row is None:
            return _answer(await self._uow.insert(StageList, audit="lead_stages", stages=stages))
        return _answer(await self._uow.update(row, audit="lead_stages", stages=stages))

    async def _require_empty(self, keys: Collection[str]) -> None:
        if not keys:
            return
        rows = await self._uow.fetch(
            "SELECT DISTINCT stage FROM leads.leads WHERE tenant_id = $1 AND stage = ANY($2::text[])"
            " AND deleted_at IS NULL ORDER BY stage",
            self._uow.tenant_id,
            list(keys),
        )
        if rows:
            used = [row["stage"] for row in rows]
            raise LeadStageInUse(f"Leads stand in: {', '.join(used)}.", stages=used)


def named(stages: Sequence[Stage], text: str) -> Stage:
    """The stage that is meant, by key or by name in any case. Raises `Invalid`."""
    wanted = text.strip().casefold()
    for stage in stages:
        if wanted in stage.names:
            return stage
    known = ", ".join(stage.key for stage in stages) or "none"
    raise Invalid.at("/stage", "unknown_stage", f"There is no stage {text!r}; the company has: {known}.")


def place(stage: Stage | None, values: dict[str, Any], *, status: str | None, current: str | None) -> None:
    """Bring a lead's status and stage into step, in `values`: what is written of it.

    `stage` is the one that is asked for, `status` the status that is, `current` the lead's stage so far.
    Raises: `Invalid` when both are asked for and do not go together.
    """
    if stage is not None:
        if status is not None and status != stage.category:
            raise Invalid.at(
                "/status",
                "status_differs",
                f"A lead in the stage {stage.key} is {stage.category}, not {status}.",
            )
        values |= {"stage": stage.key, "status": stage.category}
    elif status is not None and current is not None:
        values["stage"] = None


def _stage(entry: Any) -> Stage:
    names = [entry["key"], entry["name_en"], *([entry["name_zh"]] if entry["name_zh"] else [])]
    return Stage(entry["key"], frozenset(name.casefold() for name in names), entry["category"])


def _answer(row: StageList | None) -> LeadStages:
    return LeadStages(
        version=row.version if row else 0,
        stages=[LeadStageRead.model_validate(entry) for entry in (row.stages if row else ())],
    )
