"""The parameters of operations that answer a plain log or settings list page by page; see `app.kernel.positions`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.kernel.positions import MAX_LIMIT, read_position, sign_position

__all__ = ["MAX_LIMIT", "Cursor", "Limit", "read_position", "sign_position"]

Limit = Annotated[int, Query(ge=1, description="Above 200 counts as 200.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
