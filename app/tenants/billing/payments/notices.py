"""What a provider tells by webhook: verified, counted once for ever, and taken only as a reason to look.

An event whose handling did not come to its end is handled when the provider sends it again; one that did answers as
before and does nothing. The order of events is of no consequence, for the object is read as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from app.kernel.errors import NotFound
from app.kernel.runtime import Kernel
from app.tenants.billing.payments.collecting import Attempts, book, provider_of
from app.tenants.billing.payments.dunning import book_answer
from app.tenants.billing.payments.methods import refresh_methods
from app.tenants.billing.payments.models import PaymentAttempt
from app.tenants.billing.payments.provider import ChargeState, Notice, Paid, ProviderRefused
from app.tenants.billing.settling import Bills
from app.tenants.lifecycle.moves import transaction_of

log = structlog.get_logger(__name__)

_RECEIVED: Final = """
INSERT INTO tenants.payment_notices (provider, event_id, type, received_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (provider, event_id) DO UPDATE SET type = tenants.payment_notices.type
RETURNING outcome
"""
_HANDLED: Final = """
UPDATE tenants.payment_notices SET handled_at = $3, outcome = $4
WHERE provider = $1 AND event_id = $2 AND handled_at IS NULL
"""


async def receive(kernel: Kernel, body: bytes, signature: str | None) -> str:
    """Take a webhook; what came of it: `handled`, `ignored` or `duplicate`.

    Raises: NotFound where no provider sends any; WebhookNotGenuine; ProviderUnavailable, after which it comes again.
    """
    provider = provider_of(kernel)
    notice = provider.read_notice(body, signature)
    async with kernel.database.control() as connection:
        before = await connection.fetchval(
            _RECEIVED, provider.name, notice.id, notice.type, kernel.clock.now()
        )
    if before is not None:
        return "duplicate"
    outcome = "handled" if await _handle(kernel, notice) else "ignored"
    async with kernel.database.control() as connection:
        await connection.execute(_HANDLED, provider.name, notice.id, kernel.clock.now(), outcome)
    return outcome


async def _handle(kernel: Kernel, notice: Notice) -> bool:
    for prefix, handle in _HANDLERS.items():
        if notice.type.startswith(prefix):
            try:
                return await handle(kernel, notice)
            except (NotFound, ProviderRefused) as refusal:
                # Another installation's, or of a company that is gone: sending it again would change nothing.
                log.warning("notice of nothing of ours", event_id=notice.id, reason=refusal.detail)
                return False
    return False


async def _payment(kernel: Kernel, notice: Notice) -> bool:
    return await _book(kernel, await provider_of(kernel).payment(notice.object_id))


async def _invoice(kernel: Kernel, notice: Notice) -> bool:
    paid = await provider_of(kernel).invoice(notice.object_id)
    return paid.outcome.state is ChargeState.SUCCEEDED and await _book(kernel, paid)


async def _stored(kernel: Kernel, notice: Notice) -> bool:
    found = await provider_of(kernel).customer_of(notice)
    if found is None:
        return False
    customer, tenant_id = found
    async with transaction_of(kernel, tenant_id) as uow:
        if await Attempts(uow).customer() != customer:
            return False
    await refresh_methods(kernel, tenant_id, customer)
    return True


_HANDLERS: Final[dict[str, Callable[[Kernel, Notice], Awaitable[bool]]]] = {
    "payment_intent.": _payment,
    "invoice.": _invoice,
    "payment_method.": _stored,
    "setup_intent.succeeded": _stored,
    "checkout.session.completed": _stored,
    "customer.updated": _stored,
}


async def _book(kernel: Kernel, paid: Paid) -> bool:
    """Book a payment for the bill that it names; where it belongs to an attempt, that one is over with it."""
    try:
        tenant_id, bill_id = UUID(paid.metadata["tenant_id"]), UUID(paid.metadata["bill_id"])
        attempt_id = UUID(paid.metadata["attempt_id"]) if "attempt_id" in paid.metadata else None
    except (KeyError, ValueError):
        return False
    async with transaction_of(kernel, tenant_id) as uow:
        bill = await Bills(uow).hold(bill_id)
        attempt = await uow.find(PaymentAttempt, attempt_id) if attempt_id is not None else None
        if attempt is not None and attempt.bill_id == bill.id:
            await book_answer(uow, attempt.id, paid.outcome)
        elif paid.outcome.state is ChargeState.SUCCEEDED:
            await book(uow, bill.id, paid.outcome, provider_of(kernel).name)
    return True
