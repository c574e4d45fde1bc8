"""Leads from files: what follows from a row's columns, and duplicates for a whole chunk at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.kernel.duplicate_imports import mark_duplicates
from app.kernel.duplicates import DuplicateAware
from app.kernel.errors import Invalid, Problem
from app.kernel.imports.rules import ImportOptions, ImportRow, ImportRules
from app.kernel.statements import entity
from app.modules.leads.models import Cause, Lead, LeadStatus
from app.modules.leads.services.assignment.assigner import Assigner
from app.modules.leads.services.assignment.settings import is_active
from app.modules.leads.services.scoring.scorer import Scorer
from app.modules.leads.services.stages import Stage, Stages, named, place


class LeadImport(ImportRules, DuplicateAware[Lead]):
    """The set-based hooks of `LeadService`."""

    _for_rules: set[UUID | None]

    if TYPE_CHECKING:

        @property
        def scoring(self) -> Scorer: ...
        def complete(self, values: dict[str, Any]) -> None: ...
        def publish_state(self, row: Lead) -> None: ...

    def derive_columns(self, values: dict[str, Any]) -> None:
        """As `complete`; a stage decides on the status first, and is looked up."""
        if values.get("stage") is None:
            self.complete(values)

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Stages and owners of new leads; those that look like another go by the rule."""
        await self._leave_to_rules(rows)
        stages = await self._held(rows)
        for row in rows:
            if row.values.get("stage") is None:
                continue
            try:
                status = row.values["status"] if "status" in row.given else None
                place(named(stages, row.values["stage"]), row.values, status=status, current=None)
                self.complete(row.values)
            except Problem as problem:
                row.refuse_by(problem)
        await mark_duplicates(self, rows, options)
        await self.scoring.score_new_rows(rows)

    async def _held(self, rows: Sequence[ImportRow]) -> Sequence[Stage]:
        """The company's stages, where any row names one."""
        if all(row.values.get("stage") is None for row in rows):
            return ()
        return await Stages(self.uow).held()

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check the changes row by row; scores that the file brings give way to the model's."""
        computed = await self.scoring.model() is not None
        for row in rows:
            if computed and row.values.pop("score", None) is not None:
                row.warn("score", "score_is_computed", "The active scoring model computes the score.")
            try:
                await self.before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Score what changes, in two statements for all."""
        found = await self.scoring.changes_of_many([(row.existing, row.values) for row in rows])
        for row, scored in zip(rows, found, strict=True):
            row.values |= scored

    async def after_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Say which of the changed leads take a step or cross a threshold, and which left a pool."""
        for row in rows:
            after = entity(Lead, {**row.existing.__dict__, **row.values})
            await self.after_update(row.existing, after)

    async def before_restore(self, row: Lead, before: Mapping[str, Any]) -> None:
        """Nothing goes back to a stage that has gone, or that belongs to another state by now."""
        former = {**row.__dict__, **before}
        if before.keys().isdisjoint({"stage", "status"}) or former["stage"] is None:
            return
        stages = await Stages(self.uow).held()
        if (former["stage"], former["status"]) not in {(stage.key, stage.category) for stage in stages}:
            raise Invalid(f"The stage {former['stage']!r}, in which it stood, has gone.")

    async def after_import(self, created: Sequence[Any]) -> None:
        """Say which of the new leads are qualified or disqualified already; those without an owner get one."""
        for row in created:
            self.publish_state(row)
            if row.grade is not None:
                await self.scoring.crossed(None, row, "created")
        open_ones = [row.id for row in created if row.owner_id is None and row.id in self._for_rules]
        if open_ones:
            await Assigner(self.uow).assign(open_ones, Cause.IMPORTED, fresh=True)

    async def _leave_to_rules(self, rows: Sequence[ImportRow]) -> None:
        """While assignment is active, rows that name no owner are not the importer's: the rules decide."""
        active = await is_active(self.uow)
        self._for_rules = set()
        for row in rows:
            wish = row.values.pop("assign", None)
            ended = row.values.get("status") == LeadStatus.DISQUALIFIED
            if "owner_id" not in row.given and (active if wish is None else wish) and not ended:
                row.values |= {"owner_id": None, "team_id": None, "received_at": None}
                self._for_rules.add(row.id)
