"""The wire forms of imports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.schemas import Input, Output

Mode = Literal["create", "update", "upsert"]
Rule = Literal["block", "warn", "allow"]
State = Literal[
    "open",
    "uploaded",
    "validating",
    "in_progress",
    "completed",
    "completed_with_errors",
    "failed",
    "cancelled",
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Mapping = Annotated[dict[Name, Name | None], Field(max_length=1_000)]
Defaults = Annotated[dict[Name, Any], Field(max_length=200)]


class ImportOptionsInput(Input):
    """How to read the file; what is left out is detected."""

    format: Literal["csv", "xlsx", "ndjson"] | None = None
    encoding: str | None = Field(None, max_length=40, description="`utf-8`, `gb18030`, `utf-16` …")
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    sheet: str | None = Field(None, max_length=100, description="XLSX: the first visible sheet unless named.")
    date_order: Literal["ymd", "dmy", "mdy"] = Field(
        "ymd", description="How to read `01/02/2026`; dates with the year first are always understood."
    )


class ImportCreate(Input):
    """What to import where."""

    object: Name = Field(description="A record type, `leads` or `lead`.")
    mode: Mode = "create"
    key: Name | None = Field(None, description="The unique field by which update and upsert find records.")
    duplicate_rule: Rule | None = Field(None, description="Absent means the company's own rule.")
    mapping: Mapping | None = Field(None, description="Column → field, null to leave out; absent is guessed.")
    defaults: Defaults = Field(default_factory=dict, description="Field → value where the file has none.")
    options: ImportOptionsInput = Field(default_factory=ImportOptionsInput)
    dry_run: bool = Field(False, description="Find all errors, write nothing.")
    file_id: UUID | None = Field(None, description="A file uploaded before.")
    start: bool | None = Field(
        None, description="Start at once. Absent: yes for a form with a file whose columns could be mapped."
    )


class ImportUpdate(Input):
    """Changes before the start."""

    mode: Mode | None = None
    key: Name | None = None
    duplicate_rule: Rule | None = None
    mapping: Mapping | None = Field(None, description="Merged into the mapping; null leaves a column out.")
    defaults: Defaults | None = None
    options: ImportOptionsInput | None = None
    dry_run: bool | None = None


class ImportStart(Input):
    dry_run: bool | None = Field(None, description="Overrides what the import says.")


class ImportColumnRead(Output):
    """One column of the file and what it is taken for."""

    column: str
    field: str | None
    confidence: float | None = Field(description="Of the guess, from 0 to 1; null when nothing was guessed.")
    samples: list[str | None]


class ImportFieldRead(Output):
    """Something that a column may be mapped to."""

    field: str
    kind: str
    labels: list[str]
    required: bool
    choices: list[str]


class ImportFields(Output):
    data: list[ImportFieldRead]


class ImportDetected(Output):
    """How the file was read."""

    format: str
    encoding: str | None
    delimiter: str | None
    sheet: str | None
    warnings: list[str]


class ImportError_(Output):  # noqa: N801 - `ImportError` is Python's
    """Why an import failed as a whole."""

    code: str
    detail: str
    line: int | None = None


class ImportUndo(Output):
    """How far undoing has come; `kept` records had changed since and stayed as they are."""

    state: Literal["in_progress", "completed"]
    deleted: int
    restored: int
    kept: int


class ImportRead(Output):
    """One import, where it stands and where its results are."""

    id: UUID
    version: int
    object: str
    mode: Mode
    key: str
    duplicate_rule: Rule | None
    dry_run: bool
    state: State
    file_id: UUID | None
    job_id: UUID | None
    options: dict[str, Any]
    defaults: dict[str, Any]
    columns: list[ImportColumnRead]
    detected: ImportDetected | None
    total: int | None = Field(description="Rows in the file, once counted.")
    processed: int
    created: int
    updated: int
    unchanged: int
    failed: int
    error: ImportError_ | None
    undo: ImportUndo | None
    results: dict[str, str] = Field(description="Downloads: successful, failed, unprocessed, not_undone.")
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
