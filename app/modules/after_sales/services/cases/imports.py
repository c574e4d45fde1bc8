"""Cases from files: customers by name or number, a status beside the times, and no clocks that run in the past.

What is over when it comes in was promised to nobody: it has no clocks. The rest is promised from the import on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.imports.references import place_ids, texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.numbering import next_numbers
from app.modules.after_sales.interface import CaseStatus
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.cases.skills import required
from app.modules.after_sales.services.cases.states import check_times, status_of
from app.modules.customers.interface import Customers

if TYPE_CHECKING:
    from app.modules.after_sales.services.sla.clocks import CaseClocks

ACCOUNT = ImportColumn("account", ("Account", "客户"), ("account name", "company", "客户名称", "公司"))
CONTACT = ImportColumn("contact", ("Contact", "联系人"), ("contact email", "联系人邮箱"))
STATUS = ImportColumn("status", ("Status", "状态"), ("state", "case status", "工单状态"))
_ENDED: Final = (CaseStatus.RESOLVED, CaseStatus.CLOSED)


class CaseImport(ImportRules):
    """The set-based hooks of `CaseService`."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = (ACCOUNT, CONTACT, STATUS)
    clocks: CaseClocks

    if TYPE_CHECKING:
        NUMBER: ClassVar[str]

        async def complete_import(self, values: dict[str, Any]) -> None: ...
        async def before_update(self, row: Case, changes: dict[str, Any]) -> None: ...
        async def hold_parent(self, id: UUID, parent_id: UUID | None) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Complete new cases. A dry run takes no numbers."""
        await self._resolve(rows)
        for row in rows:
            if row.faults:
                continue
            if row.values.get("dedupe"):
                row.refuse("dedupe", "not_imported", "What is asked for by name is opened, not imported.")
                continue
            try:
                row.values["opened_at"] = row.values.get("opened_at") or self.uow.now
                self._stand(row)
                check_times(row.values, self.uow.now)
                await self.complete_import(row.values)
            except Problem as problem:
                row.refuse_by(problem)
        sound = [row for row in rows if not row.faults]
        await self.clocks.importing([row.values for row in sound])
        for row in sound:
            over = row.values["status"] in _ENDED
            row.values["required_skills"] = [] if over else await required(self.uow, row.values)
        if options.dry_run:
            numbers = [str(new_id()) for _ in sound]
        else:
            numbers = await next_numbers(self.uow, "case", len(sound), self.NUMBER) if sound else []
        for row, number in zip(sound, numbers, strict=True):
            row.values["number"] = number
            row.tokens = None

    def _stand(self, row: ImportRow) -> None:
        """The status of the file, which its times have to bear out; the times decide where it says none."""
        text = row.extras.get(STATUS.name, "").strip().lower().replace(" ", "_")
        row.values["status"] = status_of(row.values).value
        if not text:
            return
        try:
            wanted = CaseStatus(text)
        except ValueError:
            row.refuse(STATUS.name, "enum", f"One of: {', '.join(CaseStatus)}.")
            return
        if wanted is CaseStatus.CLOSED and row.values.get("closed_at") and not row.values.get("resolved_at"):
            row.values["resolved_at"] = row.values["closed_at"]
        if (
            wanted is CaseStatus.RESOLVED
            and row.values.get("closed_at")
            and not row.values.get("resolved_at")
        ):
            row.values["resolved_at"], row.values["closed_at"] = row.values["closed_at"], None
        stands = status_of(row.values)
        if (wanted in _ENDED or stands in _ENDED) and wanted is not stands:
            row.refuse(STATUS.name, "not_in_order", f"By its times it is {stands}: say when it was closed.")
        row.values["status"] = wanted.value

    async def before_restore(self, row: Case, before: Mapping[str, Any]) -> None:
        """No case becomes a part of its own part again."""
        if before.get("parent_id") is not None:
            await self.hold_parent(row.id, before["parent_id"])

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check changes; a case moves on by its steps, not by a file."""
        await self._resolve(rows)
        for row in rows:
            if row.extras.get(STATUS.name, "").strip():
                row.warn(STATUS.name, "not_imported", "A case that is there moves on by its steps.")
            row.values.pop("dedupe", None)
            try:
                await self.before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def after_import(self, created: Sequence[Any]) -> None:
        """Start what was promised of those that were stored. Nobody is told of cases of the past as of new ones."""
        await self.clocks.imported({row.id for row in created})

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file names accounts and contacts; refuse rows that name unknown ones."""
        customers = self.uow.of(Customers)
        texts = texts_of(rows, ACCOUNT)
        if texts:
            by_name = await customers.accounts_by_name(texts)
            place_ids(
                rows, ACCOUNT, "account_id", {**by_name, **await customers.accounts_by_external_id(texts)}
            )
        texts = texts_of(rows, CONTACT)
        if texts:
            by_email = await customers.contacts_by_email(texts)
            place_ids(
                rows, CONTACT, "contact_id", {**by_email, **await customers.contacts_by_external_id(texts)}
            )
        await self._require(rows)

    async def _require(self, rows: Sequence[ImportRow]) -> None:
        """Accounts and contacts that are named are there and visible, and a contact brings their account."""
        customers = self.uow.of(Customers)
        contact_ids: set[UUID] = {row.values["contact_id"] for row in rows if row.values.get("contact_id")}
        contacts = await customers.get_contacts(contact_ids, hold=True) if contact_ids else {}
        for row in rows:
            id = row.values.get("contact_id")
            if id is not None and id not in contacts:
                row.refuse("contact_id", "unknown_reference", "There is no contact with this id.")
            elif id is not None and row.values.get("account_id") is None and row.existing is None:
                row.values["account_id"] = contacts[id].account_id
        account_ids: set[UUID] = {row.values["account_id"] for row in rows if row.values.get("account_id")}
        accounts = await customers.get_many(account_ids, hold=True) if account_ids else {}
        for row in rows:
            if row.values.get("account_id") is not None and row.values["account_id"] not in accounts:
                row.refuse("account_id", "unknown_reference", "There is no account with this id.")
