"""Contracts from files: accounts and contacts by name, numbers for a whole chunk at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.imports.references import place_ids, texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.numbering import next_numbers
from app.modules.contracts.models import Contract
from app.modules.customers.interface import Customers

if TYPE_CHECKING:
    from app.modules.contracts.services.references import References

SERIES = "contracts"
PATTERN = "C-{year}-{number:05d}"
ACCOUNT = ImportColumn(
    "account", labels=("Account", "客户"), synonyms=("account name", "company", "客户名称", "公司")
)
CONTACT = ImportColumn("contact", labels=("Contact", "联系人"), synonyms=("contact email", "联系人邮箱"))


class ContractImport(ImportRules):
    """The set-based hooks of `ContractService`. A file makes drafts."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = (ACCOUNT, CONTACT)
    references: References

    if TYPE_CHECKING:

        async def complete(self, values: dict[str, Any], number: str) -> None: ...
        async def settle(self, row: Contract, changes: dict[str, Any]) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:
        """Complete new contracts. A dry run takes no numbers."""
        await self._resolve(rows)
        await self.references.learn(row.values for row in rows)
        if options.dry_run:
            numbers = [str(new_id()) for _ in rows]
        else:
            numbers = await next_numbers(self.uow, SERIES, len(rows), PATTERN) if rows else []
        for row, number in zip(rows, numbers, strict=True):
            try:
                await self.complete(row.values, number)
            except Problem as problem:
                row.refuse_by(problem)

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check changes; value and term of a contract with a payment plan are not for a file to change."""
        await self._resolve(rows)
        await self.references.learn(row.values for row in rows)
        for row in rows:
            if row.existing.plan and moves_plan(row.existing, row.values):
                row.refuse("value", "has_plan", "Its payment plan is made of its value and term.")
                continue
            try:
                await self.settle(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def after_import(self, created: Sequence[Any]) -> None:
        """A draft from a file has nothing more."""

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file names accounts and contacts; refuse rows that name unknown ones."""
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


def moves_plan(row: Contract, changes: dict[str, Any]) -> bool:
    """Whether changes touch what a payment plan is computed from."""
    return any(
        name in changes and changes[name] != getattr(row, name)
        for name in ("value", "currency", "starts_on", "ends_on")
    )
