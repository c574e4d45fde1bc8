"""Members from files: whom they are by name, address or number, and with how many points they begin.

What a member brings along is an entry of the ledger as everything else: it is there from the day of the import on,
and expires as what is earned that day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Problem
from app.kernel.imports.references import place_ids, texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.periods import add_months
from app.modules.customers.interface import Customers
from app.modules.membership.models.programmes import LoyaltyMember
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.programmes import ProgrammeService

PROGRAMME = ImportColumn("programme", ("Programme", "会员计划"), ("program", "loyalty programme", "会员体系"))
ACCOUNT = ImportColumn("account", ("Account", "客户"), ("account name", "company", "客户名称", "公司"))
CONTACT = ImportColumn("contact", ("Contact", "联系人"), ("contact email", "联系人邮箱"))
POINTS = ImportColumn("opening_points", ("Opening points", "期初积分"), ("points", "balance", "积分"))
_STAYS: Final = ("programme_id", "account_id", "contact_id", "number", "since")
_MOST: Final = 1_000_000_000


class MemberImport(ImportRules):
    """The set-based hooks of `LoyaltyMemberService`."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = (PROGRAMME, ACCOUNT, CONTACT, POINTS)
    _opening: dict[UUID, int]

    if TYPE_CHECKING:

        async def learn(self, many: Collection[dict[str, Any]]) -> None: ...
        async def before_create(self, values: dict[str, Any]) -> None: ...
        async def before_update(self, row: LoyaltyMember, changes: dict[str, Any]) -> None: ...
        async def after_create(self, row: LoyaltyMember) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        """Complete new members. In a programme that is closed nobody joins."""
        await self._resolve(rows)
        await self.learn([row.values for row in rows])
        self._opening = {}
        for row in rows:
            if row.faults:
                continue
            if row.values.pop("referral_code", None):
                row.refuse("referral_code", "not_imported", "Who brought them in is said when they join.")
            points = _points(row)
            try:
                await self.before_create(row.values)
            except Problem as problem:
                row.refuse_by(problem)
            if points and row.id is not None:
                self._opening[row.id] = points

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Check changes. Whose the card is, and since when, stays; points are adjusted, not imported again."""
        await self._resolve(rows)
        for row in rows:
            row.values.pop("referral_code", None)
            for name in _STAYS:
                if row.values.get(name) not in (None, getattr(row.existing, name)):
                    row.refuse(name, "immutable", "This stays as it was when they joined.")
                row.values.pop(name, None)
            if row.extras.get(POINTS.name, "").strip():
                row.warn(
                    POINTS.name, "members_already", "Points of a member who is there are adjusted by hand."
                )
            try:
                await self.before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def after_import(self, created: Sequence[Any]) -> None:
        """Tell of each, and enter the points that they bring along."""
        for row in created:
            await self.after_create(row)
        opening = {row.id: self._opening[row.id] for row in created if row.id in self._opening}
        if not opening:
            return
        ledger = Ledger(self.uow)
        held = await ledger.hold(list(opening))
        programmes = await ProgrammeService(self.uow).get_many({one.programme_id for one in held.values()})
        for id, holding in held.items():
            months = programmes[holding.programme_id].row.expiry_months
            posting = ledger.post("opening", holding, id)
            holding.credit(
                posting,
                opening[id],
                day=ledger.today,
                today=ledger.today,
                expires_on=None if months is None else add_months(ledger.today, months),
                against="adjusted",
            )
        await ledger.close()

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file names programmes, accounts and contacts; refuse rows that name unknown ones."""
        customers = self.uow.of(Customers)
        if texts_of(rows, PROGRAMME):
            known: dict[str, UUID] = {}
            for one in await ProgrammeService(self.uow).all():
                names = (one.row.key, one.row.name_en, one.row.name_zh)
                known |= {name: one.row.id for name in names if name is not None}
            place_ids(rows, PROGRAMME, "programme_id", known)
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


def _points(row: ImportRow) -> int:
    """How many points a row brings along; it is refused where that is no such number."""
    text = row.extras.get(POINTS.name, "").strip().replace(",", "")
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or int(text) > _MOST:
        row.refuse(POINTS.name, "unreadable", "A whole number of points.")
        return 0
    return int(text)
