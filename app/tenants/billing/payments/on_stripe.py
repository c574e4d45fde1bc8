"""Stripe behind the port, by its own package and that package's client for httpx.

Every call that moves money carries an idempotency key of ours. What Stripe tells by webhook is only a reason to ask:
the object is read again, so that events may come twice, late or in any order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import stripe
import structlog

from app.kernel.config import Settings
from app.kernel.errors import NotFound
from app.tenants.billing.payments.provider import (
    Charge,
    ChargeState,
    CustomerFacts,
    HandOver,
    InvoiceRequest,
    MethodFacts,
    Notice,
    Outcome,
    Paid,
    ProviderRefused,
    ProviderUnavailable,
    WebhookNotGenuine,
)
from app.tenants.billing.payments.stripe_amounts import from_stripe, to_stripe

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 20.0
TOLERANCE_SECONDS: Final = 300
_CLOCKS_APART: Final = timedelta(hours=1)
_ENDED: Final = frozenset({"canceled", "requires_action"})  # nobody is there to act
_DECLINED: Final = (stripe.CardError, stripe.InvalidRequestError)


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """Stripe's errors as ours. What was refused has not happened; of all else nobody knows."""
    try:
        yield
    except _DECLINED as error:
        raise ProviderRefused(_told(error), reason=_code(error)) from None
    except stripe.StripeError as error:
        log.warning("stripe failed", error=type(error).__name__, status=error.http_status)
        raise ProviderUnavailable from None


class StripeProvider:
    """Implements `PaymentProvider`."""

    name = "stripe"
    automatic = True

    def __init__(self, settings: Settings) -> None:
        if settings.stripe_secret_key is None:
            raise RuntimeError("RAPPORT_STRIPE_SECRET_KEY is not set")
        self._secrets = [secret.get_secret_value() for secret in settings.stripe_webhook_secrets]
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
        client = stripe.StripeClient(
            settings.stripe_secret_key.get_secret_value(),
            http_client=self._http,
            max_network_retries=2,
            base_addresses={"api": settings.stripe_api_url} if settings.stripe_api_url else None,
        )
        self._api = client.v1

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    # -- taking money ------------------------------------------------------------------------------------------

    async def customer(self, facts: CustomerFacts) -> str:
        async with _asking():
            made = await self._api.customers.create_async(
                {
                    "name": facts.name,
                    "email": facts.email,
                    "preferred_locales": [facts.locale],
                    "metadata": {"tenant_id": str(facts.tenant_id)},
                },
                {"idempotency_key": f"customer-{facts.tenant_id}"},
            )
        return str(made.id)

    async def forget(self, customer: str) -> None:
        try:
            async with _asking():
                await self._api.customers.delete_async(customer)
        except ProviderRefused as refusal:
            if refusal.members["reason"] != "resource_missing":
                raise

    async def charge(self, charge: Charge) -> Outcome:
        amount = to_stripe(charge.amount, charge.currency)
        if amount is None:
            return Outcome(
                ChargeState.FAILED, code="amount_not_chargeable", message="Stripe cannot charge this amount."
            )
        async with _asking():
            try:
                made = await self._api.payment_intents.create_async(
                    {
                        "amount": amount,
                        "currency": charge.currency.lower(),
                        "customer": charge.customer,
                        "payment_method": charge.method,
                        "off_session": True,
                        "confirm": True,
                        "description": charge.number,
                        "metadata": charge.metadata,
                    },
                    {"idempotency_key": charge.key},
                )
            except _DECLINED as error:
                about = _plain(error.error).get("payment_intent")
                return Outcome(ChargeState.FAILED, _id_of(about), code=_code(error), message=_told(error))
        return _outcome(_plain(made))

    async def find_charge(self, charge: Charge, since: datetime) -> Outcome | None:
        async with _asking():
            listed = await self._api.payment_intents.list_async(
                {
                    "customer": charge.customer,
                    "created": {"gte": int((since - _CLOCKS_APART).timestamp())},
                    "limit": 100,
                }
            )
            async for intent in listed.auto_paging_iter():
                found = _plain(intent)
                if (found.get("metadata") or {}).get("attempt_id") == str(charge.attempt_id):
                    return _outcome(found)
        return None

    async def payment(self, reference: str) -> Paid:
        async with _asking():
            intent = _plain(await self._api.payment_intents.retrieve_async(reference))
        return Paid(_outcome(intent), intent.get("metadata") or {})

    # -- bills that Stripe sends -------------------------------------------------------------------------------

    async def send_invoice(self, request: InvoiceRequest) -> str:
        amount = to_stripe(request.amount, request.currency)
        if amount is None:
            raise ProviderRefused("Stripe cannot charge this amount.", reason="amount_not_chargeable")
        key, metadata = f"bill-{request.bill_id}", _metadata(request)
        currency = request.currency.lower()
        async with _asking():
            made = await self._api.invoices.create_async(
                {
                    "customer": request.customer,
                    "collection_method": "send_invoice",
                    "due_date": int(request.due_at.timestamp()),
                    "auto_advance": False,
                    "currency": currency,
                    "description": request.number,
                    "metadata": metadata,
                },
                {"idempotency_key": f"{key}-invoice"},
            )
            await self._api.invoice_items.create_async(
                {
                    "customer": request.customer,
                    "invoice": made.id,
                    "amount": amount,
                    "currency": currency,
                    "description": request.number,
                },
                {"idempotency_key": f"{key}-item"},
            )
            await self._api.invoices.finalize_invoice_async(
                made.id, {"auto_advance": False}, {"idempotency_key": f"{key}-finalize"}
            )
            await self._api.invoices.send_invoice_async(made.id, {}, {"idempotency_key": f"{key}-send"})
        return made.id

    async def invoice(self, reference: str) -> Paid:
        async with _asking():
            found = _plain(await self._api.invoices.retrieve_async(reference))
        paid = found["status"] == "paid"
        currency = str(found["currency"]).upper()
        amount = from_stripe(found["amount_paid"], currency) if paid else 0
        state = ChargeState.SUCCEEDED if paid else ChargeState.FAILED
        return Paid(Outcome(state, reference, amount, currency), found.get("metadata") or {})

    async def withdraw_invoice(self, reference: str) -> None:
        async with _asking():
            found = await self._api.invoices.retrieve_async(reference)
            if found.status in ("open", "uncollectible"):
                await self._api.invoices.void_invoice_async(
                    reference, {}, {"idempotency_key": f"void-{reference}"}
                )

    # -- what companies store ----------------------------------------------------------------------------------

    async def methods(self, customer: str) -> Sequence[MethodFacts]:
        async with _asking():
            owner = _plain(await self._api.customers.retrieve_async(customer))
            preferred = _id_of((owner.get("invoice_settings") or {}).get("default_payment_method"))
            listed = await self._api.payment_methods.list_async({"customer": customer, "limit": 100})
        return [_method(_plain(one), preferred) for one in listed.data]

    async def attach(self, customer: str, method: str) -> None:
        async with _asking():
            await self._api.payment_methods.attach_async(method, {"customer": customer})

    async def prefer(self, customer: str, method: str) -> None:
        async with _asking():
            await self._api.customers.update_async(
                customer, {"invoice_settings": {"default_payment_method": method}}
            )

    async def detach(self, method: str) -> None:
        try:
            async with _asking():
                await self._api.payment_methods.detach_async(method)
        except ProviderRefused as refusal:
            if refusal.members["reason"] not in ("resource_missing", "payment_method_unexpected_state"):
                raise

    async def set_up(self, customer: str, currency: str, return_url: str) -> HandOver:
        async with _asking():
            made = await self._api.checkout.sessions.create_async(
                {
                    "mode": "setup",
                    "customer": customer,
                    "currency": currency.lower(),
                    "success_url": return_url,
                    "cancel_url": return_url,
                }
            )
        return _hand_over(made)

    async def check_out(self, charge: Charge, return_url: str) -> HandOver:
        amount = to_stripe(charge.amount, charge.currency)
        if amount is None:
            raise ProviderRefused("Stripe cannot charge this amount.", reason="amount_not_chargeable")
        item: Any = {
            "quantity": 1,
            "price_data": {
                "currency": charge.currency.lower(),
                "unit_amount": amount,
                "product_data": {"name": charge.number},
            },
        }
        async with _asking():
            made = await self._api.checkout.sessions.create_async(
                {
                    "mode": "payment",
                    "customer": charge.customer,
                    "line_items": [item],
                    "payment_intent_data": {"metadata": charge.metadata, "description": charge.number},
                    "success_url": return_url,
                    "cancel_url": return_url,
                }
            )
        return _hand_over(made)

    async def portal(self, customer: str, return_url: str) -> HandOver:
        async with _asking():
            made = await self._api.billing_portal.sessions.create_async(
                {"customer": customer, "return_url": return_url}
            )
        return HandOver(made.url, None)

    async def refund(self, reference: str, amount: int, currency: str, key: str) -> str:
        async with _asking():
            intent = await self._intent_of(reference) if reference.startswith("in_") else reference
            made = await self._api.refunds.create_async(
                {"payment_intent": intent, "amount": to_stripe(amount, currency) or 0},
                {"idempotency_key": key},
            )
        return made.id

    async def _intent_of(self, invoice: str) -> str:
        listed = await self._api.invoice_payments.list_async({"invoice": invoice, "status": "paid"})
        for one in listed.data:
            if intent := _id_of(_plain(one)["payment"].get("payment_intent")):
                return intent
        raise ProviderRefused("This invoice was not paid through Stripe.", reason="no_payment")

    # -- what Stripe tells -------------------------------------------------------------------------------------

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        if not any(_genuine(body, signature, secret) for secret in self._secrets):
            raise WebhookNotGenuine
        try:
            event = orjson.loads(body)
            about, before = event["data"]["object"], event["data"].get("previous_attributes") or {}
            customer = _id_of(about.get("customer")) or _id_of(before.get("customer"))
            if about.get("object") == "customer":
                customer = about["id"]
            return Notice(str(event["id"]), str(event["type"]), str(about.get("id", "")), customer)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise WebhookNotGenuine from None

    async def customer_of(self, notice: Notice) -> tuple[str, UUID] | None:
        if notice.former_customer is None:
            return None
        try:
            async with _asking():
                owner = _plain(await self._api.customers.retrieve_async(notice.former_customer))
        except ProviderRefused:
            return None
        try:
            return owner["id"], UUID((owner.get("metadata") or {}).get("tenant_id", ""))
        except ValueError:
            return None


def _genuine(body: bytes, signature: str | None, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def _outcome(intent: Mapping[str, Any]) -> Outcome:
    status, id = intent["status"], intent["id"]
    if status == "succeeded":
        currency = str(intent["currency"]).upper()
        return Outcome(ChargeState.SUCCEEDED, id, from_stripe(intent["amount_received"], currency), currency)
    error = (intent.get("last_payment_error") or {}) if status == "requires_payment_method" else {}
    if not error and status not in _ENDED:
        return Outcome(ChargeState.PENDING, id)
    code = error.get("decline_code") or error.get("code") or status
    return Outcome(ChargeState.FAILED, id, code=code, message=error.get("message"))


def _method(found: Mapping[str, Any], preferred: str | None) -> MethodFacts:
    detail = found.get(found["type"]) or {}
    return MethodFacts(
        reference=found["id"],
        kind=found["type"],
        brand=detail.get("brand") or detail.get("bank_code"),
        last4=detail.get("last4"),
        exp_month=detail.get("exp_month"),
        exp_year=detail.get("exp_year"),
        is_default=found["id"] == preferred,
    )


def _plain(found: Any) -> dict[str, Any]:
    """An object of Stripe's as plain dictionaries and lists; nothing for none."""
    return dict(found.to_dict()) if found is not None else {}


def _hand_over(session: Any) -> HandOver:
    if not session.url:
        raise NotFound
    return HandOver(session.url, datetime.fromtimestamp(session.expires_at, UTC))


def _metadata(request: InvoiceRequest) -> dict[str, str]:
    return {"tenant_id": str(request.tenant_id), "bill_id": str(request.bill_id)}


def _id_of(reference: Any) -> str | None:
    """The id of what Stripe gives as an id or, expanded, as the whole object."""
    found = reference.get("id") if isinstance(reference, Mapping) else reference
    return str(found) if found else None


def _code(error: stripe.StripeError) -> str:
    return str(_plain(error.error).get("decline_code") or error.code or "refused")


def _told(error: stripe.StripeError) -> str:
    return error.user_message or "The payment was refused."
