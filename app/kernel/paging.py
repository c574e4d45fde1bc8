"""The parameters of operations that answer a log or a settings list page by page (`app.kernel.log_pages`)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, description="Above 200 counts as 200.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
