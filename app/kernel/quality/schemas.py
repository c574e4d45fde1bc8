"""What goes over the wire for rules of data quality and their report."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.quality.models import Severity
from app.kernel.schemas import FilterTree, Input, Output, ShortText

FieldName = Annotated[
    str,
    StringConstraints(pattern=r"^(custom\.)?[a-z][a-z0-9_]{0,59}$"),
    Field(examples=["description"], description="A field of the record type, or `custom.<key>`."),
]
Limit = int | Annotated[str, StringConstraints(min_length=1, max_length=40)]


class Required(Input):
    """The field is filled in."""

    kind: Literal["required"]


class Format(Input):
    """A text that is there matches the pattern as a whole; nothing is said of an empty field."""

    kind: Literal["format"]
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="A regular expression without look-around and back-references."
    )


class Range(Input):
    """A number, amount or time that is there lies between both ends; nothing is said of an empty field."""

    kind: Literal["range"]
    min: Limit | None = Field(None, description="Smallest good value; times may be relative (`-30d`).")
    max: Limit | None = None

    @model_validator(mode="after")
    def _an_end(self) -> Range:
        if self.min is None and self.max is None:
            raise PydanticCustomError("one_of", "Give min, max or both")
        return self


Requirement = Annotated[Required | Format | Range, Field(discriminator="kind")]


class QualityRuleCreate(Input):
    """What one field must be like, in records of which the condition holds; without one, in all."""

    object: Annotated[str, Field(max_length=60, description="The record type.", examples=["lead"])]
    field: FieldName
    name_en: ShortText
    name_zh: ShortText | None = None
    severity: Severity = Severity.WARN
    requirement: Requirement
    condition: FilterTree | None = Field(None, description="As in `POST …/search`; say, only of a stage.")


class QualityRuleUpdate(Input):
    """A merge patch; the record type never changes."""

    field: FieldName | None = None
    name_en: ShortText | None = None
    name_zh: ShortText | None = None
    severity: Severity | None = None
    requirement: Requirement | None = None
    condition: FilterTree | None = None


class QualityRuleRead(Output):
    id: UUID
    version: int
    object: str
    field: str
    name_en: str
    name_zh: str | None
    severity: Severity
    requirement: dict[str, Any]
    condition: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


class RuleFindings(Output):
    """How many records break one rule."""

    rule_id: UUID
    object: str
    field: str
    name_en: str
    name_zh: str | None
    severity: Severity
    failing: int = Field(description="Records that you may see and that break the rule.")
    records: str = Field(description="Where those records are listed.")


class ObjectFindings(Output):
    """One record type in the report."""

    object: str
    checked: int = Field(description="Records that you may see.")
    failing: int = Field(description="Those of them that break at least one rule.")
    rules: list[RuleFindings]


class QualityReport(Output):
    data: list[ObjectFindings]


class FailingRecord(Output):
    """A record that breaks the rule."""

    id: UUID
    title: str
    owner_id: UUID | None
    updated_at: datetime
    path: str = Field(description="Where the record is.")
