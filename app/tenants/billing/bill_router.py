"""`/v1/billing/invoices` and what belongs to them: reading them, the balance, and redeeming coupons."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import Invalid, InvalidCursor, NotFound, problems
from app.kernel.figures import Language
from app.kernel.listing import Kind
from app.kernel.log_pages import NEWEST, order_by, select_page
from app.kernel.money import Money
from app.kernel.paging import Cursor, Limit
from app.kernel.pdf.answers import PDF, pdf_answer
from app.kernel.pdf.documents import Document
from app.kernel.pdf.kept import fresh_pdf
from app.kernel.pdf.render import DocumentNotRendered
from app.kernel.routing import CurrentActor, KernelDep, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.tenants.auth.caller import CallerDep
from app.tenants.billing.bill_schemas import (
    BalanceMovement,
    BillCouponRead,
    BillCouponRedeem,
    BillCreditNoteRead,
    BillingBalance,
    BillRead,
    BillState,
    BillSummary,
    bill_read,
    bill_summary,
    coupon_read,
    credit_note_read,
)
from app.tenants.billing.coupons import CouponUsedUp, redeem_coupon
from app.tenants.billing.ledger import BillingLedger
from app.tenants.billing.models import Bill, BillCreditNote, BillStatus
from app.tenants.billing.paper import describe_bill
from app.tenants.billing.subscriptions import Subscriptions

router = Router(prefix="/v1/billing", tags=["billing"])
_BY_PERIOD: Final = order_by({"period_end": Kind.DATETIME, "id": Kind.UUID}, falling=True)


@router.get("/invoices", access="bill:read", while_cancelled=True, responses=problems(InvalidCursor))
async def list_bills(
    uow: Uow,
    status: Annotated[BillState | None, Query(description="Of this state; absent: all.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BillSummary]:
    """The company's invoices for the product itself, newest first."""
    statement = uow.select(Bill).where(Bill.status != BillStatus.DRAFT.value)
    if status is not None:
        statement = statement.where(Bill.status == status)
    name = f"bills {status}"
    found = await select_page(uow, statement, _BY_PERIOD, name=name, limit=limit, cursor=cursor)
    return found.page(bill_summary)


@router.get("/invoices/{id}", access="bill:read", while_cancelled=True, responses=problems(NotFound))
async def get_bill(id: UUID, uow: Uow) -> BillRead:
    """An invoice with all that it is computed from."""
    return bill_read(await issued(uow, id))


@router.get(
    "/invoices/{id}/pdf",
    access="bill:read",
    while_cancelled=True,
    own_transaction=True,
    response_class=Response,
    responses=PDF | problems(NotFound, DocumentNotRendered),
)
async def get_bill_pdf(
    id: UUID,
    kernel: KernelDep,
    actor: CurrentActor,
    language: Annotated[Language | None, Query(description="Absent: the company's.")] = None,
) -> Response:
    """An invoice as PDF."""

    async def described(uow: UnitOfWork) -> Document:
        return describe_bill(await issued(uow, id), language or uow.actor.tenant.language)

    return pdf_answer(await fresh_pdf(kernel, actor, described))


@router.get("/credit-notes", access="bill:read", while_cancelled=True, responses=problems(InvalidCursor))
async def list_bill_credit_notes(
    uow: Uow,
    bill_id: Annotated[UUID | None, Query(description="Of this invoice; absent: of all.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BillCreditNoteRead]:
    """What was given back of invoices, newest first."""
    statement = uow.select(BillCreditNote)
    if bill_id is not None:
        statement = statement.where(BillCreditNote.bill_id == bill_id)
    name = f"bill_credit_notes {bill_id}"
    found = await select_page(uow, statement, NEWEST, name=name, limit=limit, cursor=cursor)
    return found.page(credit_note_read)


@router.get("/balance", access="bill:read", while_cancelled=True)
async def get_billing_balance(uow: Uow) -> BillingBalance:
    """What the company has to its credit, and what it came from and went to."""
    currency = (await Subscriptions(uow).current()).held.price.currency
    movements = await BillingLedger(uow).movements(currency, 100)

    def money(minor: int) -> Money:
        return Money(minor, currency)

    return BillingBalance(
        balance=money(movements[0]["balance"] if movements else 0),
        movements=[
            BalanceMovement(**row | {name: money(row[name]) for name in ("amount", "balance")})
            for row in movements
        ],
    )


@router.post(
    "/coupon",
    access="subscription:manage",
    own_transaction=True,
    responses=problems(CouponUsedUp, NotFound, Invalid),
)
async def redeem_billing_coupon(body: BillCouponRedeem, caller: CallerDep) -> BillCouponRead:
    """Redeem a coupon: it comes off the invoices from the next one on. Redeemed before, it is answered as it is."""
    async with caller.transaction() as uow:
        return coupon_read(await redeem_coupon(uow, body.code))


async def issued(uow: UnitOfWork, id: UUID) -> Bill:
    """Raises: NotFound, for a draft too."""
    bill = await uow.get(Bill, id)
    if bill.status == BillStatus.DRAFT:
        raise NotFound
    return bill
