"""`/v1/billing`, the part of it by which companies pay: methods, hand-overs to the provider, paying at once."""

from __future__ import annotations

from uuid import UUID

from fastapi import Header, Request, Response

from app.kernel.errors import problems
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.record_router import tag
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from app.tenants.billing.models import OWED
from app.tenants.billing.payments.collecting import (
    Attempts,
    BillNotOwed,
    NoPaymentMethod,
    PaymentDeclined,
    PaymentUnderWay,
    ask,
    provider_of,
)
from app.tenants.billing.payments.dunning import book_answer
from app.tenants.billing.payments.methods import Methods, ensure_customer, refresh_methods
from app.tenants.billing.payments.models import PaymentAttempt, PaymentMethod
from app.tenants.billing.payments.notices import receive
from app.tenants.billing.payments.provider import (
    Charge,
    HandOver,
    PaidByHand,
    ProviderRefused,
    ProviderUnavailable,
    WebhookNotGenuine,
)
from app.tenants.billing.payments.schemas import (
    BillingDetails,
    BillingDetailsUpdate,
    BillPay,
    CheckoutRequest,
    HandOverRead,
    PaymentAttemptList,
    PaymentAttemptRead,
    PaymentMethodCreate,
    PaymentMethodList,
    PaymentMethodRead,
    WebhookTaken,
)
from app.tenants.billing.settling import Bills
from app.tenants.models import Tenant
from app.tenants.people.settings import change_settings
from app.tenants.people.wire import changes_of

router = Router(prefix="/v1/billing", tags=["billing"])
PAY = "bill:pay"
_BY_PROVIDER = (PaidByHand, ProviderRefused, ProviderUnavailable)
_DETAILS = ("legal_name", "address", "tax_number")
_WEBHOOK_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    }
}


@router.get("/payment-methods", access="bill:read", while_cancelled=True)
async def list_payment_methods(uow: Uow) -> PaymentMethodList:
    """What the company stored at the provider to pay by; the one that is charged comes first."""
    return PaymentMethodList.model_validate(
        {"provider": provider_of(uow.kernel).name, "data": [_method(one) for one in await Methods(uow).all()]}
    )


@router.post(
    "/payment-methods",
    access=PAY,
    while_cancelled=True,
    own_transaction=True,
    status_code=201,
    responses=problems(*_BY_PROVIDER),
)
async def add_payment_method(
    body: PaymentMethodCreate, kernel: KernelDep, actor: CurrentActor
) -> PaymentMethodList:
    """Store a method that the provider's form made in the browser; a company that waited for one is open with it."""
    provider = provider_of(kernel)
    customer = await ensure_customer(kernel, actor.tenant_id)
    await provider.attach(customer, body.reference)
    if body.is_default:
        await provider.prefer(customer, body.reference)
    await refresh_methods(kernel, actor.tenant_id, customer)
    async with transaction(kernel, actor, read_only=True) as uow:
        return await list_payment_methods(uow)


@router.delete(
    "/payment-methods/{id}",
    access=PAY,
    while_cancelled=True,
    own_transaction=True,
    status_code=204,
    responses=problems(*_BY_PROVIDER),
)
async def delete_payment_method(id: UUID, kernel: KernelDep, actor: CurrentActor) -> None:
    """Forget a method, here and at the provider."""
    async with transaction(kernel, actor, read_only=True) as uow:
        found = await uow.get(PaymentMethod, id)
        customer = await Attempts(uow).customer()
    await provider_of(kernel).detach(found.reference)
    if customer is not None:
        await refresh_methods(kernel, actor.tenant_id, customer)


@router.post(
    "/checkout-session",
    access=PAY,
    while_cancelled=True,
    own_transaction=True,
    status_code=201,
    responses=problems(*_BY_PROVIDER, BillNotOwed, PaymentUnderWay),
)
async def create_checkout_session(
    body: CheckoutRequest, kernel: KernelDep, actor: CurrentActor
) -> HandOverRead:
    """Where the company stores a way to pay, or pays an invoice itself: a page of the provider's, for a while."""
    back = _back(kernel)
    if body.bill_id is None:
        customer = await ensure_customer(kernel, actor.tenant_id)
        return _hand_over(await provider_of(kernel).set_up(customer, actor.tenant.currency, back))
    async with transaction(kernel, actor, read_only=True) as uow:
        bill = await Bills(uow).get(body.bill_id)
        if bill.status not in OWED:
            raise BillNotOwed
        if await Attempts(uow).under_way(bill.id) is not None:
            raise PaymentUnderWay
    customer = await ensure_customer(kernel, actor.tenant_id)
    id = new_id()
    charge = Charge(
        str(id), actor.tenant_id, bill.id, id, bill.number or "", bill.due, bill.currency, customer, ""
    )
    return _hand_over(await provider_of(kernel).check_out(charge, back))


@router.post(
    "/portal-session",
    access=PAY,
    while_cancelled=True,
    own_transaction=True,
    status_code=201,
    responses=problems(*_BY_PROVIDER),
)
async def create_portal_session(kernel: KernelDep, actor: CurrentActor) -> HandOverRead:
    """Where the company manages what it stored at the provider: a page of the provider's, for a while."""
    customer = await ensure_customer(kernel, actor.tenant_id)
    return _hand_over(await provider_of(kernel).portal(customer, _back(kernel)))


@router.post(
    "/invoices/{id}/pay",
    access=PAY,
    while_cancelled=True,
    own_transaction=True,
    responses=problems(*_BY_PROVIDER, BillNotOwed, NoPaymentMethod, PaymentUnderWay, PaymentDeclined),
)
async def pay_invoice(id: UUID, body: BillPay, kernel: KernelDep, actor: CurrentActor) -> PaymentAttemptRead:
    """Pay an invoice at once with a stored method.

    Asked twice it is paid once: while a payment is under way another one is refused. Where the provider does not
    answer, the payment is under way, and is asked after until it is known what came of it.
    """
    if not provider_of(kernel).automatic:
        async with transaction(kernel, actor, read_only=True) as uow:
            await Bills(uow).get(id)
        raise PaidByHand
    async with transaction(kernel, actor) as uow:
        bill = await Bills(uow).hold(id)
        if bill.status not in OWED:
            raise BillNotOwed
        attempts = Attempts(uow)
        if await attempts.method(body.payment_method_id) is None or await attempts.customer() is None:
            raise NoPaymentMethod
        work = await attempts.begin(bill, step=None, method_id=body.payment_method_id)
    if work is None:
        raise NoPaymentMethod
    outcome = await ask(provider_of(kernel), work)
    async with transaction(kernel, actor) as uow:
        attempt = await book_answer(uow, work.attempt.id, outcome)
    if attempt.status == "failed":
        raise PaymentDeclined(attempt.failure_message, reason=attempt.failure_code)
    return _attempt(attempt)


@router.get("/invoices/{id}/payment-attempts", access="bill:read", while_cancelled=True)
async def list_payment_attempts(id: UUID, uow: Uow) -> PaymentAttemptList:
    """Each attempt to take what is due of an invoice, oldest first, and why those failed that did."""
    await Bills(uow).get(id)
    statement = uow.select(PaymentAttempt).where(PaymentAttempt.bill_id == id)
    rows = await uow.all(statement.order_by(PaymentAttempt.started_at, PaymentAttempt.id))
    return PaymentAttemptList(data=[_attempt(row) for row in rows])


@router.get("/details", access="bill:read", while_cancelled=True)
async def get_billing_details(uow: Uow, response: Response) -> BillingDetails:
    """Whom the company's bills are made out to."""
    return _details(await uow.get(Tenant, uow.tenant_id), response)


@router.patch("/details", access=PAY, while_cancelled=True)
async def update_billing_details(
    body: BillingDetailsUpdate, uow: Uow, version: IfMatch, response: Response
) -> BillingDetails:
    """Change whom later bills are made out to; those that are issued stay as they are."""
    changes = changes_of(body, nullable=_DETAILS)
    return _details(await change_settings(uow, changes, expected_version=version), response)


@router.post(
    "/webhooks/stripe",
    access="public",
    own_transaction=True,
    raw_body=True,
    responses=problems(WebhookNotGenuine, ProviderUnavailable),
    openapi_extra=_WEBHOOK_BODY,
)
async def receive_stripe_webhook(
    request: Request,
    kernel: KernelDep,
    stripe_signature: str | None = Header(None, description="Stripe's signature of the body and its time."),
) -> WebhookTaken:
    """Take what Stripe tells: each event once for ever, in whatever order they come."""
    outcome = await receive(kernel, await request.body(), stripe_signature)
    return WebhookTaken.model_validate({"outcome": outcome})


def _back(kernel: Kernel) -> str:
    return kernel.settings.address_of("/app/billing")


def _method(row: PaymentMethod) -> PaymentMethodRead:
    return PaymentMethodRead.model_validate(
        {name: getattr(row, name) for name in PaymentMethodRead.model_fields}
    )


def _hand_over(found: HandOver) -> HandOverRead:
    return HandOverRead(url=found.url, expires_at=found.expires_at)


def _attempt(row: PaymentAttempt) -> PaymentAttemptRead:
    fields = {name: getattr(row, name) for name in PaymentAttemptRead.model_fields if name != "amount"}
    return PaymentAttemptRead.model_validate(fields | {"amount": Money(row.amount, row.currency)})


def _details(row: Tenant, response: Response) -> BillingDetails:
    tag(response, row)
    return BillingDetails.model_validate({name: getattr(row, name) for name in BillingDetails.model_fields})
