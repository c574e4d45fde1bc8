"""What goes over the wire for mails about cases."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.kernel.schemas import Output


class CaseMailAnswer(Output):
    """What became of a mail. `repeated` says that it was known already."""

    status: Literal["opened", "commented", "ignored"]
    reason: str | None = Field(
        description="Why it is ignored: `auto_submitted`, `bulk`, `bounce`, `no_reply`, `own_mail`, `too_many`."
    )
    repeated: bool
    case_id: UUID | None
    comment_id: UUID | None
    attachments: int = Field(description="Files that were kept.")
    left_out: list[str] = Field(description="Why each file was not kept: `too_many`, `no_room`.")
