"""Leads from files: what follows from a row's columns, and duplicates for a whole chunk at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.kernel.duplicate_imports import mark_duplicates
from app.kernel.duplicates import DuplicateAware
from app.kernel.errors import Problem
from app.kernel.imports.rules import ImportOptions, ImportRow, ImportRules
from app.kernel.statements import entity
from app.modules.leads.models import Lead


class LeadImport(ImportRules, DuplicateAware[Lead]):
    """The set-based hooks of `LeadService`."""

    if TYPE_CHECKING:

        def complete(self, values: dict[str, Any]) -> None: ...
        def publish_state(self, row: Lead) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Complete the columns of new leads; those that look like another go by the rule."""
        for row in rows:
            try:
                self.complete(row.values)
            except Problem as problem:
                row.refuse_by(problem)
        await mark_duplicates(self, rows, options)

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check the changes row by row, and say which leads take a step by them."""
        for row in rows:
            try:
                await self.before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)
                continue
            if not row.faults:
                after = entity(Lead, {**row.existing.__dict__, **row.values})
                await self.after_update(row.existing, after)

    async def after_import(self, created: Sequence[Any]) -> None:
        """Say which of the new leads are qualified or disqualified already."""
        for row in created:
            self.publish_state(row)
