"""`/v1/invoices`, `/v1/payments` and `/v1/receivables`."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from starlette.requests import Request

from app.kernel.errors import (
    DuplicateValue,
    InvalidCursor,
    InvalidTransition,
    StaleVersion,
    VersionRequired,
    problems,
)
from app.kernel.figures import Language
from app.kernel.money import Currency
from app.kernel.paging import Cursor, Limit
from app.kernel.pdf.documents import Document
from app.kernel.pdf.kept import kept_pdf
from app.kernel.pdf.render import DocumentNotRendered
from app.kernel.record_router import detail_response, etag, json_response, record_response, record_router, tag
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import InstalmentExceeded
from app.modules.orders.models.receivables import Payment
from app.modules.orders.schemas.receivable_reports import (
    Ageing,
    CreditRead,
    CreditSettingsRead,
    CreditSettingsWrite,
    Statement,
)
from app.modules.orders.schemas.receivables import (
    Allocate,
    Allocations,
    CreditNoteCreate,
    Deallocate,
    InstalmentInvoice,
    InvoiceDetail,
    InvoiceIssue,
    InvoiceLinesWrite,
    InvoiceMailed,
    InvoiceMailing,
    OrderInvoice,
    OrderReceivables,
    PaymentRead,
    RefundCreate,
)
from app.modules.orders.services.receivables.ageing import AgeingService
from app.modules.orders.services.receivables.billing import OrderBilling
from app.modules.orders.services.receivables.credit import CreditService, CreditSettingsService
from app.modules.orders.services.receivables.credit_notes import CreditNoteService
from app.modules.orders.services.receivables.errors import (
    AllocationExceeded,
    AllocationFinal,
    InvoiceNotDraft,
    IssuedOutOfOrder,
    NotAllocatable,
    NothingToCredit,
    NothingToInvoice,
    PaidFromStoredValue,
)
from app.modules.orders.services.receivables.instalments import InstalmentInvoices
from app.modules.orders.services.receivables.invoices import INVOICE, InvoiceService
from app.modules.orders.services.receivables.mailing import InvoiceMailer
from app.modules.orders.services.receivables.paper import describe
from app.modules.orders.services.receivables.payments import PAYMENT
from app.modules.orders.services.receivables.settling import SettlingService
from app.modules.orders.services.receivables.statements import StatementService

invoices = record_router(INVOICE, tag="invoices")
payments = record_router(PAYMENT, tag="payments")
invoicing = Router(tags=["invoices"])
paying = Router(tags=["payments"])
router = Router(tags=["receivables"])

_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)
_SETTLE = problems(NotAllocatable, AllocationExceeded, PaidFromStoredValue, StaleVersion, VersionRequired)
_TAKE_BACK = problems(NotAllocatable, AllocationFinal, PaidFromStoredValue, StaleVersion, VersionRequired)
_REFUND = problems(
    NotAllocatable, AllocationExceeded, DuplicateValue, PaidFromStoredValue, StaleVersion, VersionRequired
)
OnDay = Annotated[date | None, Query(alias="on", description="The day; absent means today.")]
Account = Annotated[UUID, Query(description="Whose.")]


def _refund(uow: UnitOfWork, row: Payment) -> Response:
    headers = {"ETag": etag(row.version), "Location": f"/v1/payments/{row.id}"}
    return json_response(PAYMENT.dump(row, uow.actor.hidden("payment")), 201, headers)


# -- invoices ------------------------------------------------------------------------------------------------


@invoicing.put(
    "/v1/invoices/{id}/lines",
    access="invoice:update",
    response_model=InvoiceDetail,
    responses=problems(InvoiceNotDraft, StaleVersion, VersionRequired),
)
async def replace_invoice_lines(id: UUID, body: InvoiceLinesWrite, version: IfMatch, uow: Uow) -> Response:
    """Write all lines of a draft anew; it comes to what they come to."""
    row = await InvoiceService(uow).replace_lines(id, body.lines, expected_version=version)
    return await detail_response(InvoiceService(uow), row)


@invoicing.post(
    "/v1/invoices/from-order",
    access="invoice:create",
    response_model=InvoiceDetail,
    status_code=201,
    responses=problems(NothingToInvoice, InvalidTransition),
)
async def create_invoice_from_order(body: OrderInvoice, uow: Uow) -> Response:
    """Draft an invoice of an order: what is left, what was shipped, a percentage in advance, or parts of lines."""
    return await detail_response(InvoiceService(uow), await OrderBilling(uow).draft(body), 201)


@invoicing.post(
    "/v1/invoices/from-instalment",
    access="invoice:create",
    response_model=InvoiceDetail,
    status_code=201,
    responses=problems(NothingToInvoice, InstalmentExceeded),
)
async def create_invoice_from_instalment(body: InstalmentInvoice, uow: Uow) -> Response:
    """Draft the invoice for one payment of a contract's plan."""
    return await detail_response(InvoiceService(uow), await InstalmentInvoices(uow).draft(body), 201)


@invoicing.post(
    "/v1/invoices/{id}/issue",
    access="invoice:issue",
    response_model=InvoiceDetail,
    responses=_STEP | problems(InvalidTransition, InstalmentExceeded, IssuedOutOfOrder),
)
async def issue_invoice(id: UUID, version: IfMatch, uow: Uow, body: InvoiceIssue | None = None) -> Response:
    """Issue a draft: it gets the next number, without gaps, and is never changed again."""
    row = await InvoiceService(uow).issue(id, body or InvoiceIssue(), expected_version=version)
    return await detail_response(InvoiceService(uow), row)


@invoicing.post(
    "/v1/invoices/{id}/void", access="invoice:update", response_model=InvoiceDetail, responses=_STEP
)
async def void_invoice(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Give up a draft, but keep it to be seen. What was issued is corrected by a credit note."""
    service = InvoiceService(uow)
    return await detail_response(service, await service.void(id, expected_version=version))


@invoicing.post(
    "/v1/invoices/{id}/credit",
    access="invoice:issue",
    response_model=InvoiceDetail,
    status_code=201,
    responses=problems(InvalidTransition, NothingToCredit, StaleVersion, VersionRequired),
)
async def credit_invoice(id: UUID, body: CreditNoteCreate, version: IfMatch, uow: Uow) -> Response:
    """Correct an issued invoice by a credit note, which is issued at once.

    It takes off what is still open; what was paid beyond that stays on the account, to be used or paid back.
    """
    row = await CreditNoteService(uow).correct(id, body, expected_version=version)
    return await detail_response(InvoiceService(uow), row, 201)


@invoicing.get(
    "/v1/invoices/{id}/pdf",
    access="invoice:read",
    own_transaction=True,
    response_class=Response,
    responses={
        200: {
            "description": "The document.",
            "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
    | problems(DocumentNotRendered),
)
async def get_invoice_pdf(
    id: UUID,
    request: Request,
    kernel: KernelDep,
    actor: CurrentActor,
    language: Annotated[Language | None, Query(description="Absent: the company's.")] = None,
) -> Response:
    """An invoice or credit note as PDF. Once issued it is made once per language and kept by its hash."""

    async def described(uow: UnitOfWork) -> Document:
        return await describe(uow, id, language)

    made = await kept_pdf(
        kernel,
        actor,
        object_name="invoice",
        record_id=id,
        describe=described,
        request_id=request.scope["rapport.request_id"],
    )
    return Response(made.content, media_type="application/pdf", headers={"ETag": f'"{made.sha256}"'})


@invoicing.post(
    "/v1/invoices/{id}/send",
    access="invoice:issue",
    status_code=202,
    responses=problems(InvalidTransition),
)
async def send_invoice(id: UUID, uow: Uow, how: InvoiceMailing | None = None) -> InvoiceMailed:
    """Mail an issued invoice or credit note to the customer, its PDF attached; answers go to you."""
    return await InvoiceMailer(uow).send(id, how or InvoiceMailing())


@invoicing.get("/v1/invoices/{id}/allocations", access="invoice:read")
async def list_invoice_allocations(id: UUID, uow: Uow) -> Allocations:
    """What settled an invoice, or what a credit note was used for."""
    return await SettlingService(uow).of_invoice(id)


@invoicing.post(
    "/v1/invoices/{id}/allocate", access="payment:update", response_model=InvoiceDetail, responses=_SETTLE
)
async def allocate_credit_note(
    id: UUID, version: IfMatch, uow: Uow, body: Allocate | None = None
) -> Response:
    """Settle other invoices of the account with what is left of a credit note."""
    row = await SettlingService(uow).allocate_credit_note(id, body or Allocate(), expected_version=version)
    return await detail_response(InvoiceService(uow), row)


@invoicing.post(
    "/v1/invoices/{id}/deallocate",
    access="payment:update",
    response_model=InvoiceDetail,
    responses=_TAKE_BACK,
)
async def deallocate_credit_note(
    id: UUID, version: IfMatch, uow: Uow, body: Deallocate | None = None
) -> Response:
    """Take back what a credit note settled besides its own invoice."""
    service = SettlingService(uow)
    row = await service.deallocate_credit_note(id, body or Deallocate(), expected_version=version)
    return await detail_response(InvoiceService(uow), row)


@invoicing.post(
    "/v1/invoices/{id}/refund",
    access="payment:create",
    response_model=PaymentRead,
    status_code=201,
    responses=_REFUND,
)
async def refund_credit_note(id: UUID, body: RefundCreate, version: IfMatch, uow: Uow) -> Response:
    """Pay back what is left of a credit note."""
    return _refund(uow, await SettlingService(uow).refund_credit_note(id, body, expected_version=version))


# -- payments ------------------------------------------------------------------------------------------------


@paying.get("/v1/payments/{id}/allocations", access="payment:read")
async def list_payment_allocations(id: UUID, uow: Uow) -> Allocations:
    """What a payment settled, or what a refund was paid from."""
    return await SettlingService(uow).of_payment(id)


@paying.post(
    "/v1/payments/{id}/allocate", access="payment:update", response_model=PaymentRead, responses=_SETTLE
)
async def allocate_payment(id: UUID, version: IfMatch, uow: Uow, body: Allocate | None = None) -> Response:
    """Settle invoices with a payment: those named, or the open ones of the account, the first due first."""
    row = await SettlingService(uow).allocate_payment(id, body or Allocate(), expected_version=version)
    return record_response(uow, PAYMENT, row)


@paying.post(
    "/v1/payments/{id}/deallocate", access="payment:update", response_model=PaymentRead, responses=_TAKE_BACK
)
async def deallocate_payment(
    id: UUID, version: IfMatch, uow: Uow, body: Deallocate | None = None
) -> Response:
    """Take back what a payment settled; the invoices are open again."""
    row = await SettlingService(uow).deallocate_payment(id, body or Deallocate(), expected_version=version)
    return record_response(uow, PAYMENT, row)


@paying.post(
    "/v1/payments/{id}/refund",
    access="payment:create",
    response_model=PaymentRead,
    status_code=201,
    responses=_REFUND,
)
async def refund_payment(id: UUID, body: RefundCreate, version: IfMatch, uow: Uow) -> Response:
    """Pay back what a payment has left."""
    return _refund(uow, await SettlingService(uow).refund_payment(id, body, expected_version=version))


@router.get("/v1/orders/{id}/receivables", access="order:read")
async def get_order_receivables(id: UUID, uow: Uow) -> OrderReceivables:
    """What of an order is invoiced and paid, by which invoices and payments."""
    return await OrderBilling(uow).of(id)


# -- reports -------------------------------------------------------------------------------------------------


@router.get("/v1/receivables/ageing", access="invoice:read", responses=problems(InvalidCursor))
async def get_receivables_ageing(
    uow: Uow,
    day: OnDay = None,
    account_id: Annotated[UUID | None, Query(description="Only of this account.")] = None,
    currency: Annotated[Currency | None, Query(description="Only in this currency.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Ageing:
    """What is open by how long it has been due, per account and currency, as it was at the end of a day."""
    service = AgeingService(uow)
    return await service.report(day, account_id=account_id, currency=currency, limit=limit, cursor=cursor)


@router.get("/v1/receivables/statement", access="invoice:read", responses=problems(InvalidCursor))
async def get_account_statement(
    uow: Uow,
    account_id: Account,
    currency: Annotated[Currency | None, Query(description="Absent: the company's.")] = None,
    begins_on: Annotated[date | None, Query(description="Absent: the first day of the month.")] = None,
    ends_on: Annotated[date | None, Query(description="Absent: today.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Statement:
    """What an account owed, what changed it and what it owes: opening, movements in order, closing."""
    service = StatementService(uow)
    return await service.of(
        account_id, currency=currency, begins_on=begins_on, ends_on=ends_on, limit=limit, cursor=cursor
    )


@router.get("/v1/receivables/credit", access="invoice:read")
async def get_account_credit(uow: Uow, account_id: Account) -> CreditRead:
    """How an account stands against its credit limit."""
    return await CreditService(uow).of(account_id)


@router.get("/v1/receivables/settings", access="invoice:read")
async def get_credit_settings(uow: Uow, response: Response) -> CreditSettingsRead:
    """How orders beyond a credit limit are treated."""
    found = await CreditSettingsService(uow).get()
    tag(response, found)
    return found


@router.put(
    "/v1/receivables/settings", access="credit:manage", responses=problems(StaleVersion, VersionRequired)
)
async def set_credit_settings(
    body: CreditSettingsWrite, version: IfMatch, uow: Uow, response: Response
) -> CreditSettingsRead:
    """Say how orders beyond a credit limit are treated. The version is 0 before this is said first."""
    changed = await CreditSettingsService(uow).set(body, expected_version=version)
    tag(response, changed)
    return changed
