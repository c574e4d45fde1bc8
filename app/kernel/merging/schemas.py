"""The wire shapes of merging."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, create_model, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.merging.models import MasterRule
from app.kernel.records import RecordType
from app.kernel.schemas import Input, Output

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MOST_RECORDS = 10


class RecordVersion(Input):
    """A record as you read it; when it has changed since, nothing is merged (412)."""

    id: UUID
    version: int = Field(ge=1, examples=[1])


class MergeRequest(Input):
    """Records that are the same, which one survives, and whose values it takes.

    Say in `master_id` or by `master_rule` which record survives. Its values stand; its empty fields are filled from
    the others in the order given; lists are united. `fields` names another record for a field.
    """

    records: list[RecordVersion] = Field(min_length=2, max_length=MOST_RECORDS)
    master_id: UUID | None = Field(None, description="The record that survives; one of `records`.")
    master_rule: MasterRule | None = Field(None, description="How to find it when `master_id` is absent.")
    fields: dict[FieldName, UUID] = Field(
        default_factory=dict,
        max_length=500,
        description="Field → the record whose value survives; `custom.<key>` for custom fields.",
    )
    reason: str | None = Field(None, max_length=500, description="For the audit log.")

    @model_validator(mode="after")
    def _says_which(self) -> MergeRequest:
        ids = {record.id for record in self.records}
        if len(ids) < len(self.records):
            raise PydanticCustomError("same_record", "Name each record once")
        if (self.master_id is None) == (self.master_rule is None):
            raise PydanticCustomError("one_of", "Give either master_id or master_rule")
        return self


class MergeRead(Output):
    """A merge: what became of which records, and until when it can be undone."""

    id: UUID
    version: int
    object: str = Field(examples=["account"])
    survivor_id: UUID
    merged_ids: list[UUID]
    master_rule: MasterRule | None
    changed: list[str] = Field(description="Fields of the surviving record that the merge changed.")
    moved: dict[str, int] = Field(
        description="References that moved to the surviving record, by kind.", examples=[{"contacts": 3}]
    )
    reason: str | None
    created_at: datetime
    created_by: UUID | None
    undo_until: datetime
    undone_at: datetime | None
    undone_by: UUID | None


class UndoneMerge(Output):
    """What undoing a merge gave back."""

    merge: MergeRead
    restored_ids: list[UUID] = Field(description="The records that are there again.")
    moved_back: dict[str, int] = Field(description="References that named the survivor still, by kind.")
    fields_restored: list[str] = Field(description="Fields of the survivor that are as before the merge.")
    fields_kept: list[str] = Field(description="Fields that were changed since the merge and stay.")


class _Preview(Output):
    master_id: UUID
    merged_ids: list[UUID]
    taken: dict[str, UUID] = Field(description="Fields that take another record's value, and whose.")
    united: list[str] = Field(description="Lists that take entries from the others.")
    moved: dict[str, int] = Field(description="References that would move, by kind.")


def answers_of(record: RecordType[Any]) -> tuple[type[Output], type[Output]]:
    """What a merge and its preview answer for this type."""
    name = record.read.__name__.removesuffix("Read")
    noun = record.object.replace("_", " ")
    merged: type[Output] = create_model(
        f"{name}Merged",
        __base__=Output,
        __module__=__name__,
        __doc__=f"A merge and the {noun} that survived it.",
        merge=(MergeRead, ...),
        record=(record.read, ...),
    )
    preview: type[Output] = create_model(
        f"{name}MergePreview",
        __base__=_Preview,
        __module__=__name__,
        __doc__=f"The {noun} that a merge would leave, and what would move to it.",
        record=(record.read, ...),
    )
    return merged, preview
