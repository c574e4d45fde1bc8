"""Opportunities from files: accounts, contacts and pipelines by name, and outcomes of the past, a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from app.kernel.errors import Invalid, Problem
from app.kernel.imports.references import place_ids, texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.statements import entity
from app.modules.customers.interface import Customers
from app.modules.opportunities.models import Opportunity

if TYPE_CHECKING:
    from app.modules.opportunities.services.pipelines import PipelineService
    from app.modules.opportunities.services.references import References

ACCOUNT = ImportColumn(
    "account",
    labels=("Account", "客户"),
    synonyms=("account name", "company", "客户名称", "客户编号", "公司"),
)
CONTACT = ImportColumn("contact", labels=("Contact", "联系人"), synonyms=("contact email", "联系人编号"))
PIPELINE = ImportColumn("pipeline", labels=("Pipeline", "销售管道"))


class OpportunityImport(ImportRules):
    """The set-based hooks of `OpportunityService`."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = (ACCOUNT, CONTACT, PIPELINE)
    pipelines: PipelineService
    references: References

    if TYPE_CHECKING:

        async def complete(self, values: dict[str, Any]) -> None: ...
        async def enter_all(self, rows: Sequence[Opportunity]) -> list[UUID]: ...
        async def settle(self, row: Opportunity, changes: dict[str, Any]) -> None: ...
        async def note_move(self, before: Opportunity, after: Opportunity) -> UUID | None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        """Complete new opportunities. A row without an account is taken, and says so."""
        await self._resolve(rows)
        await self.references.learn(row.values for row in rows)
        for row in rows:
            if row.values.get("account_id") is None and not row.faults:
                row.warn(ACCOUNT.name, "without_account", "This opportunity names no account.")
            try:
                await self.complete(row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Complete changes, and note the stages that they lead through.

        A file tells how it was: moves, entry requirements and playbooks are for those who sell.
        """
        await self._resolve(rows)
        await self.references.learn(row.values for row in rows)
        for row in rows:
            try:
                await self.settle(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)
                continue
            if not row.faults:
                after = entity(Opportunity, {**row.existing.__dict__, **row.values})
                await self.note_move(row.existing, after)

    async def before_restore(self, row: Opportunity, before: Mapping[str, Any]) -> None:
        """Nothing goes back to a stage that has gone."""
        if before.keys().isdisjoint({"stage", "pipeline_id"}):
            return
        await self.pipelines.hold()
        place = {**row.__dict__, **before}
        if await self.pipelines.stage_of(place["pipeline_id"], place["stage"]) is None:
            raise Invalid(f"The stage {place['stage']!r}, in which it stood, has gone.")

    async def after_import(self, created: Sequence[Any]) -> None:
        """The first stage of each, and the outcomes of those that are over."""
        await self.enter_all(created)

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file names accounts, contacts and pipelines; refuse rows that name unknown ones."""
        await self.pipelines.hold()
        customers = self.uow.of(Customers)
        texts = texts_of(rows, ACCOUNT)
        if texts:
            found = {
                **await customers.accounts_by_name(texts),
                **await customers.accounts_by_external_id(texts),
            }
            place_ids(rows, ACCOUNT, "account_id", found)
        texts = texts_of(rows, CONTACT)
        if texts:
            found = {
                **await customers.contacts_by_email(texts),
                **await customers.contacts_by_external_id(texts),
            }
            place_ids(rows, CONTACT, "contact_id", found)
        for row in rows:
            text = row.extras.get(PIPELINE.name, "").strip()
            if text:
                try:
                    row.values["pipeline_id"] = (await self.pipelines.resolve(text)).id
                except Invalid:
                    row.refuse(PIPELINE.name, "unknown_reference", f"There is no pipeline {text!r}.")
