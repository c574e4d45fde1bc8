"""What whoever runs the product does with a company's bills: each call is one transaction of its own.

For the command line and the operator's API. Reasons go into the company's audit log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from app.kernel.access import Actor, system_actor
from app.kernel.runtime import Kernel
from app.tenants.auth.control import control_transaction
from app.tenants.billing.models import Bill, BillCreditNote
from app.tenants.billing.settling import Bills

OFFLINE = "offline"


@asynccontextmanager
async def bills_of(kernel: Kernel, tenant_id: UUID, actor: Actor | None = None) -> AsyncIterator[Bills]:
    """The bills of a company, in a transaction that may take numbers. Raises: NotFound for an unknown company."""
    profile = await kernel.authenticator.tenant_profile(tenant_id)
    async with control_transaction(kernel, actor or system_actor(profile)) as uow:
        yield Bills(uow)


async def void_bill(
    kernel: Kernel, tenant_id: UUID, bill_id: UUID, *, reason: str, actor: Actor | None = None
) -> Bill:
    """Raises: as `Bills.void`."""
    async with bills_of(kernel, tenant_id, actor) as bills:
        return await bills.void(bill_id, reason)


async def give_up_bill(
    kernel: Kernel, tenant_id: UUID, bill_id: UUID, *, reason: str, actor: Actor | None = None
) -> Bill:
    """Raises: as `Bills.mark_uncollectible`."""
    async with bills_of(kernel, tenant_id, actor) as bills:
        return await bills.mark_uncollectible(bill_id, reason)


async def credit_bill(
    kernel: Kernel,
    tenant_id: UUID,
    bill_id: UUID,
    amount: int | Mapping[int, int | None],
    *,
    reason: str,
    refund: bool = False,
    actor: Actor | None = None,
) -> BillCreditNote:
    """Raises: as `Bills.credit`."""
    async with bills_of(kernel, tenant_id, actor) as bills:
        return await bills.credit(bill_id, amount, reason, refund=refund)


async def mark_paid(
    kernel: Kernel,
    tenant_id: UUID,
    bill_id: UUID,
    amount: int,
    *,
    reference: str,
    actor: Actor | None = None,
) -> Bill:
    """Book money that came past every provider, once per reference. Raises: as `Bills.settle`."""
    async with bills_of(kernel, tenant_id, actor) as bills:
        return await bills.settle(bill_id, amount, OFFLINE, reference)


async def adjust_balance(
    kernel: Kernel, tenant_id: UUID, currency: str, amount: int, *, reason: str, actor: Actor | None = None
) -> int:
    """Raises: as `Bills.adjust`."""
    async with bills_of(kernel, tenant_id, actor) as bills:
        return await bills.adjust(currency, amount, reason)
