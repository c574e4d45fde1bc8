"""Asking for approval: what is asked, and what happens to the quote when it is decided."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalQuestion, ApprovalRef, Approvals, ApprovalStatus
from app.modules.customers.interface import Customers
from app.modules.quotes.interface import QuoteEmpty
from app.modules.quotes.models import Quote, QuoteLine, QuoteStatus
from app.modules.quotes.schemas.steps import QuoteSubmission
from app.modules.quotes.services.quotes import QuoteService
from app.modules.quotes.services.states import MACHINE
from app.modules.quotes.services.summing import plain

_STEPS: Final = {
    ApprovalStatus.APPROVED: "approve",
    ApprovalStatus.REFUSED: "refuse",
    ApprovalStatus.RECALLED: "recall",
}


class QuoteApprovals:
    """Submitting and recalling quotes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)

    async def submit(self, id: UUID, given: QuoteSubmission, *, expected_version: int) -> Quote:
        """Ask for approval; where nothing has to be asked the quote is approved at once.

        Raises: `InvalidTransition`; `QuoteEmpty`; `NoApprover`.
        """
        row = await self._quotes.locked(id, expected_version)
        after, _ = await self.ask(row, given)
        return after

    async def ask(self, row: Quote, given: QuoteSubmission) -> tuple[Quote, ApprovalRef]:
        """As `submit`, of a locked draft; also the request as it stands."""
        MACHINE.next(QuoteStatus(row.status), "submit")
        if not row.line_count:
            raise QuoteEmpty
        request = await self._uow.of(Approvals).request(await self._question(row, given))
        row = await self._uow.get(Quote, row.id, lock="update")
        if row.status != QuoteStatus.DRAFT:
            return row, request  # decided while it was asked
        action = "submit" if request.status is ApprovalStatus.PENDING else "approve"
        return await self._quotes.step(row, action, note=given.note), request

    async def recall(self, id: UUID, *, expected_version: int, note: str | None = None) -> Quote:
        """Back to the draft, while it is being approved or before it is sent. Raises `InvalidTransition`."""
        row = await self._quotes.locked(id, expected_version)
        if row.status != QuoteStatus.IN_APPROVAL:
            return await self._quotes.step(row, "recall", note=note)
        await self._uow.of(Approvals).recall("quote", row.id, note=note)
        return await self._uow.get(Quote, row.id)

    async def _question(self, row: Quote, given: QuoteSubmission) -> ApprovalQuestion:
        names = await self._uow.of(Customers).account_names([row.account_id])
        account = names.get(row.account_id)
        label = f"{row.number} rev. {row.revision}" + (f" · {account}" if account else "")
        earlier = [one.id for one in await self._quotes.revisions_of(row) if one.revision < row.revision]
        lines = await self._quotes.lines_of(row.id)
        return ApprovalQuestion(
            object="quote",
            record_id=row.id,
            label=label,
            row={name: getattr(row, name) for name in columns_of(Quote)},
            fingerprint=fingerprint(row, lines),
            owner_id=row.owner_id,
            earlier_ids=tuple(reversed(earlier)),
            chosen_ids=tuple(given.chosen_ids),
            note=given.note,
            resubmit=given.resubmit,
        )


class QuoteSubject:
    """`ApprovalSubject`: a decision moves the quote in the same transaction."""

    object: ClassVar[str] = "quote"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def decided(self, record_id: UUID, status: ApprovalStatus, request: ApprovalRef) -> None:
        row = await self._uow.get(Quote, record_id, lock="update")
        await QuoteService(self._uow).step(row, _STEPS[status], note=request.note)

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        if not record_ids or not self._uow.actor.may("quote:read"):
            return ()
        return (await QuoteService(self._uow).get_many(list(record_ids))).keys()


def fingerprint(row: Quote, lines: Sequence[QuoteLine]) -> str:
    """Stands for what is approved: who buys what at which prices, costs and terms; descriptions may change."""
    header: list[Any] = [
        row.account_id, row.currency, row.tax_included, plain(row.discount_percent), row.discount_amount, row.total,
        row.terms, row.becomes, row.term_months, row.payment_required, row.signature_required,
        plain(row.prepayment_percent),
    ]  # fmt: skip
    content = [
        [
            line.product_id, None if line.product_id else line.description, plain(line.quantity),
            plain(line.unit_price), plain(line.exact_gross), plain(line.discount_percent),
            line.discount_amount, plain(line.tax_rate), line.charge, line.optional, line.component_of,
            plain(line.unit_cost),
        ]
        for line in lines
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps([header, content], default=str)).hexdigest()
