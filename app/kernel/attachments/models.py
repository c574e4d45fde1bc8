"""The columns of a table of files on records of one type."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import TenantOwned, module_ref


class AttachedFile(TenantOwned):
    """A file on a record, with its name and size as they were. The table adds the record's id."""

    __abstract__ = True

    file_id: Mapped[UUID] = module_ref("kernel.files", on_delete="keep", sort_order=800)
    name: Mapped[str] = mapped_column(sort_order=801)
    media_type: Mapped[str] = mapped_column(sort_order=802)
    size: Mapped[int] = mapped_column(sort_order=803)
    created_at: Mapped[datetime] = mapped_column(sort_order=804)
    created_by: Mapped[UUID | None] = mapped_column(sort_order=805)
