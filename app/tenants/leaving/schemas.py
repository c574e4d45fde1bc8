"""Wire schemas of leaving."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.kernel.job_reads import JobState
from app.kernel.schemas import Output


class TenantExport(Output):
    """One export of all the company's data."""

    id: UUID = Field(description="Of the job that writes it.")
    state: JobState
    rows: int = Field(description="Written so far; in the end, all of them.")
    files: int
    tables: int | None = Field(description="Known when it is completed.")
    size: int | None = Field(description="Bytes of the archive.")
    sha256: str | None = Field(description="Of the archive, in hexadecimal.")
    content: str | None = Field(description="Where the archive is downloaded; null until it is completed.")
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None
