"""New rows made whole: the columns that follow without asking the database, and what is told of them.

The reader's thread does it while the server works on rows before, on the guess that no rule will change a row any
more. What a rule did change is told anew (`Shape.told_of`), so a wrong guess costs time alone.
"""

from __future__ import annotations

from typing import Any

from app.kernel.duplicate_imports import compared
from app.kernel.duplicates import DuplicateAware
from app.kernel.errors import Problem
from app.kernel.holding import received
from app.kernel.imports.owners import Owners
from app.kernel.imports.rules import ImportRow, ImportRules, own_hook
from app.kernel.imports.shape import Shape
from app.kernel.records import RecordService


class NewRows:
    """Completes new rows of one record type for the actor and the moment of a service's unit of work."""

    def __init__(self, shape: Shape, service: RecordService[Any], owners: Owners) -> None:
        self._shape = shape
        self._record = shape.record
        self._service = service
        self._owners = owners
        self._derive = own_hook(service, "derive_columns", ImportRules)

    def complete(self, row: ImportRow) -> None:
        """Owner, times and whatever else each record has, then what the module adds."""
        actor, now = self._service.actor, self._service.uow.now
        self._owners.complete(row, actor)
        values = row.values
        values |= {
            "tenant_id": actor.tenant.id, "id": row.id, "version": 1, "created_by": actor.member_id,
            "created_at": values.get("created_at") or now, "updated_at": now,
        }  # fmt: skip
        if self._record.held:
            values |= received(values["owner_id"], now)
        row.completed = True
        if self._derive is not None:
            try:
                self._derive(values)
            except Problem as problem:
                row.refuse_by(problem)

    def guess(self, row: ImportRow) -> None:
        """Complete a row and make what will be told of it, where the module says what follows from its columns.

        Rows for somebody else are left to `complete`: whether they may be is for the database to say.
        """
        service = self._service
        if self._derive is None or "owner_id" in row.extras:
            return
        if row.values.get("owner_id") not in (None, service.actor.member_id):
            return
        self.complete(row)
        if row.faults:
            return
        if isinstance(service, DuplicateAware):
            compared(service.duplicates, row, service.actor.tenant.country)
        row.told = self._shape.told_of(row)
