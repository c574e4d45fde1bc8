"""Wire schemas of definitions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.custom_fields.models import FieldType, IndexState
from app.kernel.schemas import Input, Output

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Labels = Annotated[dict[Language, Label], Field(min_length=1, max_length=40)]
Help = Annotated[
    dict[Language, Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000)]],
    Field(max_length=40),
]
Bound = Annotated[str, StringConstraints(max_length=40)]


class FieldRule(Input):
    """Limits of a field's values, beyond its type."""

    min: Bound | None = Field(None, description="Least number, amount or date, as text.")
    max: Bound | None = Field(None, description="Greatest number, amount or date, as text.")
    min_length: int | None = Field(None, ge=0, le=50_000)
    max_length: int | None = Field(None, ge=1, le=50_000)
    pattern: str | None = Field(
        None, max_length=500, description="The whole text matches this RE2 expression."
    )


class FieldOption(Input):
    """One choice of a select; `archived` ones stay on records but cannot be chosen any more."""

    key: Key
    labels: Labels
    archived: bool = False


class CustomFieldCreate(Input):
    object: str = Field(max_length=60, description="The record type, say `lead`.", examples=["lead"])
    key: Key = Field(description="Name in `custom` and, as `custom.<key>`, in filters.", examples=["region"])
    type: FieldType
    labels: Labels = Field(description="By language.", examples=[{"en": "Region", "zh": "地区"}])
    help: Help = Field(default_factory=dict)
    required: bool = Field(False, description="New records must have it; existing ones stay as they are.")
    unique: bool = Field(False, description="No two records may have the same value.")
    indexed: bool = Field(False, description="Ranges over it are fast in large lists.")
    default: Any = Field(None, description="What new records get when nothing is sent.")
    rule: FieldRule = Field(default_factory=FieldRule)
    options: Annotated[list[FieldOption], Field(max_length=500)] = Field(default_factory=list)
    reference: str | None = Field(None, max_length=60, description="For `record`: the record type.")
    position: int = Field(0, ge=0, le=10_000)


class CustomFieldUpdate(Input):
    """A merge patch; object, key and type never change."""

    labels: Labels | None = None
    help: Help | None = None
    required: bool | None = None
    unique: bool | None = None
    indexed: bool | None = None
    default: Any = None
    rule: FieldRule | None = None
    options: Annotated[list[FieldOption], Field(max_length=500)] | None = None
    position: int | None = Field(None, ge=0, le=10_000)


class FieldRuleRead(Output):
    min: str | None
    max: str | None
    min_length: int | None
    max_length: int | None
    pattern: str | None


class FieldOptionRead(Output):
    key: str
    labels: dict[str, str]
    archived: bool


class CustomFieldRead(Output):
    id: UUID
    version: int
    object: str
    key: str
    type: FieldType
    labels: dict[str, str]
    help: dict[str, str]
    required: bool
    unique: bool
    indexed: bool
    index_state: IndexState = Field(description="`building` while existing values go into the index.")
    conflicts: int = Field(description="Records that shared a value when the field became unique.")
    default: Any
    rule: FieldRuleRead
    options: list[FieldOptionRead]
    reference: str | None
    position: int
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
