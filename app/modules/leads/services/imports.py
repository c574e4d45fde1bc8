"""Leads from files: what follows from a row's columns, and duplicates for a whole chunk in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from app.kernel.errors import Problem
from app.kernel.imports.rules import ImportOptions, ImportRow, ImportRules
from app.kernel.uow import entity

if TYPE_CHECKING:
    from app.kernel.duplicates import DuplicateSpec
    from app.kernel.uow import UnitOfWork
    from app.modules.leads.models import Lead

_FORMS = ("email_key", "phone_key", "name_key")
_REASONS = {"email_key": "email", "phone_key": "phone", "name_key": "name"}


class LeadImport(ImportRules):
    """The set-based hooks of `LeadService`."""

    if TYPE_CHECKING:
        uow: UnitOfWork
        duplicates: ClassVar[DuplicateSpec]

        def complete(self, values: dict[str, Any]) -> None: ...
        def _publish_state(self, row: Lead) -> None: ...
        async def before_update(self, row: Lead, changes: dict[str, Any]) -> None: ...
        async def after_update(self, before: Lead, after: Lead) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Complete the columns of new leads; rows that look like a lead or an earlier row go by the rule.

        Equal e-mail addresses, telephone numbers and names within a company count; similar names do not: they
        would cost a look-up each, and are shown on the lead.
        """
        country = self.uow.actor.tenant.country
        ready: list[ImportRow] = []
        for row in rows:
            try:
                self.complete(row.values)
            except Problem as problem:
                row.refuse_by(problem)
                continue
            row.values |= self.duplicates.columns(row.values, country)
            row.values["duplicate_count"] = 0
            ready.append(row)
        rule = options.duplicate_rule or await self._rule()
        if rule != "allow" and ready:
            await self._mark_duplicates(ready, rule)

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
                after = entity(type(row.existing), {**row.existing.__dict__, **row.values})
                await self.after_update(row.existing, after)

    async def after_import(self, created: Sequence[Any]) -> None:
        """Say which of the new leads are qualified or disqualified already."""
        for row in created:
            self._publish_state(row)

    async def _rule(self) -> str:
        row = await self.uow.fetchrow(
            "SELECT action FROM kernel.duplicate_rules WHERE tenant_id = $1 AND object = 'lead'",
            self.uow.tenant_id,
        )
        return str(row["action"]) if row else "warn"

    async def _mark_duplicates(self, rows: Sequence[ImportRow], rule: str) -> None:
        known = await self._known(rows)
        seen: dict[tuple[str, str], int] = {}  # form → line of the first row that has it
        for row in rows:
            reasons: dict[str, int | None] = {}
            for form in _FORMS:
                value = row.values.get(form)
                if value is None:
                    continue
                if (form, value) in known:
                    reasons[_REASONS[form]] = None
                elif (form, value) in seen:
                    reasons[_REASONS[form]] = seen[form, value]
            if not reasons:
                self._remember(row, seen)
                continue
            row.values["duplicate_count"] = 1
            text = _reason_text(reasons)
            field = next(iter(reasons))
            if rule == "block":
                row.refuse(field, "duplicate_found", text)
            else:
                row.warn(field, "duplicate_found", text)
                self._remember(row, seen)

    @staticmethod
    def _remember(row: ImportRow, seen: dict[tuple[str, str], int]) -> None:
        for form in _FORMS:
            value = row.values.get(form)
            if value is not None:
                seen.setdefault((form, value), row.line)

    async def _known(self, rows: Sequence[ImportRow]) -> set[tuple[str, str]]:
        """The compared forms of these rows that leads have already; one statement."""
        wanted = [list({v for row in rows if (v := row.values.get(form)) is not None}) for form in _FORMS]
        source = "FROM leads.leads h WHERE h.tenant_id = $1 AND h.deleted_at IS NULL AND"
        parts = [
            f"SELECT DISTINCT '{form}' AS form, h.{form} AS value {source} h.{form} = ANY(${number}::text[])"
            for number, form in enumerate(_FORMS, 2)
        ]
        found = await self.uow.fetch(" UNION ALL ".join(parts), self.uow.tenant_id, *wanted)
        return {(row["form"], row["value"]) for row in found}


def _reason_text(reasons: dict[str, int | None]) -> str:
    lines = {line for line in reasons.values() if line is not None}
    same = " and ".join(reasons)
    if lines and len(lines) == len(reasons):
        return f"Same {same} as in line {min(lines)}."
    return f"A lead with the same {same} is there already."
