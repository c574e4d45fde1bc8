"""Wire schemas every module shares: bases of requests and answers, and the generic shapes of lists and batches.

A validator is built when it is first asked for (`defer_build`): there are a thousand, a process needs the few that
its requests and jobs ask for, and building all of them took three seconds of each start and 14 MB.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, field_validator
from pydantic_core import PydanticCustomError

T = TypeVar("T")

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
LongText = Annotated[str, StringConstraints(max_length=50_000)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
ExternalId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Input(BaseModel):
    """A request: unknown fields are refused, never ignored."""

    model_config = ConfigDict(defer_build=True, extra="forbid", allow_inf_nan=False, str_max_length=50_000)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """Whole numbers fit 64 bits; years are 1000 to 9998, so that no time zone moves a moment off the calendar."""
        if isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise PydanticCustomError("out_of_range", "The number does not fit 64 bits.")
        elif isinstance(value, date) and not 1000 <= value.year <= 9998:
            raise PydanticCustomError("out_of_range", "The year must be from 1000 to 9998.")
        return value


class Output(BaseModel):
    """An answer: every field is always present."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class RecordInput(Input):
    """What every record type takes when it is created."""

    external_id: ExternalId | None = Field(None, description="Your own key; unique per record type.")
    owner_id: UUID | None = Field(None, description="The responsible member; absent means you.")
    team_id: UUID | None = Field(None, description="Absent means the owner's team.")
    tags: Annotated[list[Tag], Field(max_length=50)] = Field(default_factory=list)
    custom: dict[str, Any] = Field(default_factory=dict, description="Custom fields by key.")


class RecordOutput(Output):
    """What every record answers."""

    id: UUID
    version: int = Field(description="Grows with each change; the ETag.")
    external_id: str | None
    owner_id: UUID | None
    team_id: UUID | None
    tags: list[str]
    custom: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None


def patch_of(create: type[BaseModel], name: str | None = None) -> type[BaseModel]:
    """The JSON Merge Patch (RFC 7396) of a create schema: every field optional; `null` only where it may be null.

    A field with a default that is not null (tags, a status) is cleared by sending its empty value. It is named after
    the create schema: `LeadCreate` becomes `LeadUpdate`; fields that are only a part of one need a `name`.
    """
    fields: dict[str, Any] = {}
    for field, info in create.model_fields.items():
        annotation: Any = info.annotation
        if info.metadata:
            annotation = Annotated[(annotation, *info.metadata)]
        fields[field] = (
            annotation,
            Field(default=None, description=info.description, validate_default=False),
        )
    name = name or create.__name__.removesuffix("Create") + "Update"
    doc = f"Changes to a {name.removesuffix('Update').lower()}; absent fields stay as they are."
    return create_model(name, __base__=Input, __doc__=doc, __module__=create.__module__, **fields)


class Page(Output, Generic[T]):
    """One page of a list."""

    data: list[T]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
    has_more: bool
    total: int | None = Field(None, description="Only with `include=total`.")
    total_is_estimate: bool | None = Field(None, description="True when counting stopped at the cap.")


class FilterCondition(Input):
    field: str = Field(max_length=100)
    op: Literal[
        "eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "is_null", "contains", "starts_with",
        "between", "has_any", "has_all",
    ]  # fmt: skip
    value: Any = None


class FilterGroup(Input):
    and_: list[FilterCondition] = Field(alias="and", min_length=1, max_length=10)


class FilterTree(Input):
    or_: list[FilterGroup] = Field(alias="or", min_length=1, max_length=5)


class SearchRequest(Input):
    """Groups are OR-ed, conditions within a group AND-ed."""

    filter: FilterTree | None = None
    query: str | None = Field(None, max_length=200, description="Free text: names, e-mail, phone, pinyin.")
    sort: list[str] | None = Field(None, max_length=3)
    fields: list[str] | None = Field(None, max_length=200)
    limit: int | None = Field(None, ge=1)
    cursor: str | None = None
    include: list[Literal["total"]] | None = None


class BatchItemError(Output):
    """What was wrong with one item, as its problem document's code, detail and places."""

    code: str
    detail: str
    errors: list[dict[str, Any]] = []


class BatchResult(Output):
    """One item's outcome, at the item's place in the request."""

    ref: str | None
    status: int
    id: UUID | None
    version: int | None
    error: BatchItemError | None


class BatchAnswer(Output):
    results: list[BatchResult]
    succeeded: int
    failed: int


class HistoryEntry(Output):
    """One change: who, when, what."""

    id: UUID
    at: datetime
    actor_kind: str
    actor_id: UUID
    actor_name: str
    action: str
    changes: dict[str, list[Any]] = Field(description="Field → [before, after].")
    reason: str | None
    request_id: str | None


class ShareInput(Input):
    member_id: UUID | None = None
    team_id: UUID | None = None
    access: Literal["read", "write"] = "read"


class ShareOutput(Output):
    id: UUID
    member_id: UUID | None
    team_id: UUID | None
    access: Literal["read", "write"]
    created_at: datetime


class TransferRequest(Input):
    ids: list[UUID] = Field(min_length=1, max_length=1_000)
    owner_id: UUID
    with_open_work: bool = Field(
        True,
        description="Open activities go along, and with an account its contacts and open opportunities.",
    )
    reason: str | None = Field(None, max_length=500, description="For the audit log.")


class TransferAnswer(Output):
    transferred: list[UUID]
    unchanged: list[UUID] = Field(description="Already owned by that member.")
    went_along: dict[str, int] = Field(
        description="Open work that changed its owner with them, by record type.", examples=[{"activity": 3}]
    )


class DuplicateCandidate(Output):
    """A record that looks like the one asked about."""

    id: UUID
    name: str
    reasons: list[str] = Field(examples=[["email", "name"]])
    score: float = Field(description="0 to 100; equal addresses, numbers and keys are 100.")
