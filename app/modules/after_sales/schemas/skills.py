"""What goes over the wire for skills: what a queue or a case asks of whoever takes it, and by which rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.schemas import FilterTree, Input, Output, ShortText

SkillName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class QueueSkill(Input):
    """What somebody must be able to do who takes a case."""

    skill: SkillName = Field(examples=["german"])
    level: int = Field(1, ge=1, le=5, description="The least.")
    required: bool = Field(True, description="False: asked for only while a case is young.")


class QueueSkillRead(Output):
    skill: str
    level: int
    required: bool


def each_once(skills: list[QueueSkill]) -> list[QueueSkill]:
    """Raises where a skill is named twice."""
    refuse_twice(skill.skill for skill in skills)
    return skills


def refuse_twice(names: Iterable[str]) -> None:
    """Raises where two of these are one, however they are written."""
    told = [name.casefold() for name in names]
    if len(set(told)) < len(told):
        raise PydanticCustomError("not_unique", "A skill is named twice")


Skills = Annotated[list[QueueSkill], Field(max_length=20), AfterValidator(each_once)]


class CaseSkillRuleCreate(Input):
    """Which skills the cases ask for that `conditions` hold for. All rules that hold add up."""

    name: ShortText
    enabled: bool = True
    conditions: FilterTree | None = Field(
        None,
        description="A filter of cases, by product, type, language or anything else; absent: all of them.",
    )
    skills: Annotated[Skills, Field(min_length=1, examples=[[{"skill": "german", "level": 3}]])]


class CaseSkillRuleUpdate(Input):
    """Changes to a rule; absent fields stay as they are."""

    name: ShortText | None = None
    enabled: bool | None = None
    conditions: FilterTree | None = None
    skills: Annotated[Skills, Field(min_length=1)] | None = None


class CaseSkillRuleRead(Output):
    """By which cases ask for skills."""

    id: UUID
    version: int
    name: str
    enabled: bool
    conditions: dict[str, Any] | None
    skills: list[QueueSkillRead]
    created_at: datetime
    updated_at: datetime


class CaseSkillRules(Output):
    """All rules by name."""

    data: list[CaseSkillRuleRead]
