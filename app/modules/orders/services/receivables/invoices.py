"""Invoices as records: drafts by hand, their lines, and how a draft is issued or given up.

An issued invoice is immutable, in the database too; what is settled, credited and paid follows from allocations and
credit notes. Its number has no gaps: it is taken last, from a counter that stays locked until the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.errors import Invalid, require_version
from app.kernel.money import Money
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.states import StateMachine
from app.kernel.totals import Totals
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts
from app.modules.customers.interface import Customers
from app.modules.orders.interface import InvoiceIssued, InvoicePaid
from app.modules.orders.models.receivables import Invoice, InvoiceKind, InvoiceStatus
from app.modules.orders.schemas.receivables import (
    InvoiceCreate,
    InvoiceDetail,
    InvoiceIssue,
    InvoiceLineInput,
    InvoiceRead,
    InvoiceUpdate,
)
from app.modules.orders.services.receivables import lines as invoice_lines
from app.modules.orders.services.receivables.counters import release
from app.modules.orders.services.receivables.errors import InvoiceNotDraft, IssuedOutOfOrder
from app.modules.orders.services.receivables.lines import DraftLine

DRAFT, OPEN, PARTLY_PAID = InvoiceStatus.DRAFT, InvoiceStatus.OPEN, InvoiceStatus.PARTLY_PAID
PAID, CREDITED, VOID = InvoiceStatus.PAID, InvoiceStatus.CREDITED, InvoiceStatus.VOID
MACHINE: StateMachine[InvoiceStatus] = StateMachine(
    "The invoice",
    DRAFT,
    {
        (DRAFT, "issue"): OPEN,
        (DRAFT, "void"): VOID,
        (OPEN, "pay_part"): PARTLY_PAID,
        (OPEN, "pay"): PAID,
        (OPEN, "credit"): CREDITED,
        (PARTLY_PAID, "pay"): PAID,
        (PARTLY_PAID, "take_back"): OPEN,
        (PARTLY_PAID, "credit"): CREDITED,
        (PAID, "take_back"): OPEN,
        (PAID, "take_back_part"): PARTLY_PAID,
        (PAID, "credit"): CREDITED,
    },
)
ISSUED = (OPEN, PARTLY_PAID, PAID, CREDITED)
_PRINTED = frozenset({"due_on", "reference", "note"})
_NUMBERS = {
    InvoiceKind.INVOICE.value: "INV-{year}-{number:05d}",
    InvoiceKind.CREDIT_NOTE.value: "CN-{year}-{number:05d}",
}
_LAST_ISSUED = """
SELECT issued_on FROM orders.invoices
WHERE tenant_id = $1 AND kind = $2 AND issued_on IS NOT NULL AND deleted_at IS NULL
ORDER BY issued_on DESC, id DESC LIMIT 1"""
_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}
ISSUES = _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW}


def status_of(*, total: int, settled: int, credited: int) -> InvoiceStatus:
    """The status of what was issued, from its figures."""
    if settled < total:
        return PARTLY_PAID if settled > credited else OPEN
    return CREDITED if total and credited == total else PAID


class InvoiceService(RecordService[Invoice]):
    """Invoices and credit notes."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._draft: tuple[Sequence[DraftLine], Totals] | None = None

    @property
    def today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)

    # -- drafts --------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Invoice:
        """A draft by hand; it comes to what its lines come to. Raises `Invalid`, `Forbidden`."""
        values = dict(given)
        lines: Sequence[InvoiceLineInput] = values.pop("lines")
        drafts, sums = invoice_lines.entered(lines, tax_included=values["tax_included"])
        self.actor.require("invoice:create")
        await invoice_lines.require_products(self.uow, lines)
        names = None if explicit is None else set(explicit) - {"lines"}
        return await self.draft(values, drafts, sums, explicit=names)

    async def draft(
        self,
        values: Mapping[str, Any],
        lines: Sequence[DraftLine],
        sums: Totals,
        *,
        explicit: Collection[str] | None = None,
    ) -> Invoice:
        """A draft whose lines are known. Raises as `create`."""
        invoice_lines.require_storable(sums)
        self._draft = (lines, sums)
        return await super().create(values, explicit=explicit)

    async def before_create(self, values: dict[str, Any]) -> None:
        await self._require_account(values["account_id"])
        assert self._draft is not None  # noqa: S101 - set by `draft`, the only way here
        values.setdefault("kind", InvoiceKind.INVOICE.value)
        values |= {"status": DRAFT.value, "settled": 0, "credited": 0, "paid": 0} | _figures(self._draft[1])

    async def after_create(self, row: Invoice) -> None:
        assert self._draft is not None  # noqa: S101 - as above
        await invoice_lines.store(self.uow, row.id, self._draft[0])

    async def change(self, row: Invoice, given: Mapping[str, Any], *, action: str = "updated") -> Invoice:
        """As every record; with lines, as an upsert brings them, a draft by hand is written anew.

        Raises: InvoiceNotDraft; Invalid.
        """
        values = dict(given)
        lines: Sequence[InvoiceLineInput] | None = values.pop("lines", None)
        if lines is None:
            return await super().change(row, values, action=action)
        account = values.pop("account_id", row.account_id)
        included = values.pop("tax_included", row.tax_included)
        figures = await self._rewrite(row, lines, tax_included=included)
        if account != row.account_id:
            await self._require_account(account)
        row = await self.write(row, figures | {"tax_included": included, "account_id": account})
        return await super().change(row, values, action=action)

    async def _rewrite(
        self, row: Invoice, given: Sequence[InvoiceLineInput], *, tax_included: bool
    ) -> dict[str, Any]:
        """Other lines for a draft by hand; the figures that they make."""
        require_draft(row)
        if row.order_id is not None or row.instalment_id is not None:
            raise InvoiceNotDraft(
                "Its lines are those of the order or contract: delete the draft and make another.",
                state=row.status,
            )
        lines, sums = invoice_lines.entered(given, tax_included=tax_included)
        await invoice_lines.require_products(self.uow, given)
        await self.uow.fetch(
            "DELETE FROM orders.invoice_lines WHERE tenant_id = $1 AND invoice_id = $2",
            self.uow.tenant_id,
            row.id,
        )
        await invoice_lines.store(self.uow, row.id, lines)
        return _figures(sums)

    async def _require_account(self, id: UUID) -> None:
        if id not in await self.uow.of(Customers).get_many([id], hold=True):
            raise Invalid.at("/account_id", "unknown_reference", "There is no account with this id.")

    async def before_update(self, row: Invoice, changes: dict[str, Any]) -> None:
        """What is printed changes only in drafts. Raises `InvoiceNotDraft`."""
        if any(name in changes and changes[name] != getattr(row, name) for name in _PRINTED):
            require_draft(row)

    async def before_delete(self, row: Invoice) -> None:
        """Only drafts go."""
        require_draft(row)
        await release(self.uow, row)

    async def replace_lines(
        self, id: UUID, given: Sequence[InvoiceLineInput], *, expected_version: int
    ) -> Invoice:
        """Write a draft's lines anew; those of an order or a contract stay. Raises `InvoiceNotDraft`, `Invalid`."""
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        return await self.write(row, await self._rewrite(row, given, tax_included=row.tax_included))

    async def void(self, id: UUID, *, expected_version: int) -> Invoice:
        """Give a draft up, but keep it to be seen. Raises `InvalidTransition`, `StaleVersion`."""
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        MACHINE.next(InvoiceStatus(row.status), "void")
        await release(self.uow, row)
        return await self.write(row, {"status": VOID.value}, action="voided")

    # -- issuing -------------------------------------------------------------------------------------------

    async def issue(self, id: UUID, given: InvoiceIssue, *, expected_version: int) -> Invoice:
        """Give a draft its number; from then on it stands.

        Raises: InvalidTransition; StaleVersion; InstalmentExceeded; Invalid for a day that has not come yet;
        IssuedOutOfOrder for one before that of the last one issued.
        """
        row = await self.get(id, action="issue", lock="update")
        require_version(row.version, expected=expected_version)
        MACHINE.next(InvoiceStatus(row.status), "issue")
        if given.issued_on is not None and given.issued_on > self.today:
            raise Invalid.at("/issued_on", "in_the_future", "That day has not come yet.")
        if row.instalment_id is not None:
            await self.uow.of(Contracts).invoiced(row.instalment_id, Money(row.total, row.currency))
        return await self.number(row, given.issued_on)

    async def number(self, row: Invoice, wanted: date | None) -> Invoice:
        """Issue a locked draft. The last thing of a transaction: the counter stays locked until it ends.

        Absent, the day is today. Raises: IssuedOutOfOrder; Invalid.
        """
        number, issued_on = await self._next_in_series(row.kind, wanted)
        customers = self.uow.of(Customers)
        terms = (await customers.credit_terms([row.account_id])).get(row.account_id)
        due_on = row.due_on or issued_on + timedelta(days=(terms and terms.payment_terms_days) or 0)
        if due_on < issued_on:
            raise Invalid.at("/issued_on", "after_due", "It would be due before it is issued.")
        status = status_of(total=row.total, settled=0, credited=0)
        changes: dict[str, Any] = {
            "status": status.value,
            "number": number,
            "issued_on": issued_on,
            "due_on": due_on,
            "settled_on": issued_on if status is PAID else None,
            "customer_name": (await customers.account_names([row.account_id]))[row.account_id],
        }
        after = await self.write(row, changes, action="issued")
        self._tell_issued(after)
        if status is PAID and row.kind == InvoiceKind.INVOICE:
            tell_paid(self.uow, after)
        return after

    async def _next_in_series(self, kind: str, wanted: date | None) -> tuple[str, date]:
        """The next number, and a day not before that of the last one: the counter is held, so nobody comes between.

        Raises: IssuedOutOfOrder.
        """
        number = await next_number(self.uow, kind, _NUMBERS[kind], gap_free=True)
        row = await self.uow.fetchrow(_LAST_ISSUED, self.uow.tenant_id, kind)
        last: date | None = row["issued_on"] if row is not None else None
        if wanted is not None and last is not None and wanted < last:
            raise IssuedOutOfOrder(f"The last one was issued on {last}.", earliest_on=last.isoformat())
        # Who waited past midnight, or moved to another time zone, issues on the day of the last one.
        return number, wanted or max(self.today, last or self.today)

    def _tell_issued(self, row: Invoice) -> None:
        self.uow.publish(
            InvoiceIssued(
                id=row.id,
                account_id=row.account_id,
                order_id=row.order_id,
                contract_id=row.contract_id,
                kind=row.kind,
                number=row.number or "",
                total=Money(row.total, row.currency).to_texts(),
                due_on=row.due_on,
            )
        )


def _figures(sums: Totals) -> dict[str, Any]:
    return {
        "currency": sums.currency,
        "net": sums.net,
        "tax": sums.tax,
        "total": sums.total,
        "open_amount": sums.total,
    }


def require_draft(row: Invoice) -> None:
    """Raises `InvoiceNotDraft`."""
    if row.status != DRAFT:
        raise InvoiceNotDraft(f"The invoice is {row.status}.", state=row.status)


def tell_paid(uow: UnitOfWork, row: Invoice) -> None:
    """Nothing is open on it any more."""
    uow.publish(
        InvoicePaid(id=row.id, account_id=row.account_id, order_id=row.order_id, contract_id=row.contract_id)
    )


INVOICE: RecordType[Invoice] = RecordType(
    object="invoice",
    plural="invoices",
    module="orders",
    model=Invoice,
    read=InvoiceRead,
    create=InvoiceCreate,
    update=InvoiceUpdate,
    service=InvoiceService,
    title="number",
    detail=InvoiceDetail,
    parts=(invoice_lines.LINES, invoice_lines.TAXES),
    search=Search(names=("number", "reference", "customer_name")),
    importable=False,
    follows=dict.fromkeys(("net", "tax", "paid", "credited", "open_amount"), "total"),
    labels={
        "number": ("Number", "发票号"),
        "kind": ("Kind", "类型"),
        "status": ("Status", "状态"),
        "account_id": ("Account", "客户"),
        "customer_name": ("Customer", "客户名称"),
        "net": ("Net", "不含税金额"),
        "tax": ("Tax", "税额"),
        "total": ("Total", "价税合计"),
        "paid": ("Paid", "已收"),
        "credited": ("Credited", "已冲红"),
        "open_amount": ("Open", "未收"),
        "issued_on": ("Issued", "开票日期"),
        "due_on": ("Due", "到期日"),
    },
)
InvoiceService.record = INVOICE
