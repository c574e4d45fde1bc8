"""What a company stored with its provider: read from there whenever something is said to have changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.billing.payments.collecting import Attempts, provider_of
from app.tenants.billing.payments.models import PaymentCustomer, PaymentMethod
from app.tenants.billing.payments.provider import CustomerFacts, MethodFacts
from app.tenants.billing.payments.recovering import open_after_trial
from app.tenants.lifecycle.moves import transaction_of
from app.tenants.models import Tenant, TenantStatus

_OWNER = """
SELECT m.email FROM tenants.members m
JOIN tenants.roles r ON r.tenant_id = m.tenant_id AND r.id = ANY(m.role_ids) AND r.key = 'owner'
WHERE m.tenant_id = $1 AND m.status = 'active' ORDER BY m.id LIMIT 1
"""


async def ensure_customer(kernel: Kernel, tenant_id: UUID) -> str:
    """Who the company is to the provider, which is told of it when it is new there.

    A company that is erased before the provider has answered is forgotten there at once.
    Raises: NotFound for an erased one; as the provider.
    """
    provider = provider_of(kernel)
    async with transaction_of(kernel, tenant_id) as uow:
        known = await Attempts(uow).customer()
        if known is not None:
            return known
        tenant = await uow.get(Tenant, tenant_id)
        owner = await uow.fetchrow(_OWNER, tenant_id)
    facts = CustomerFacts(
        tenant_id, tenant.legal_name or tenant.name, owner["email"] if owner else "", tenant.locale
    )
    reference = await provider.customer(facts)
    try:
        return await _keep_customer(kernel, tenant_id, provider.name, reference)
    except NotFound:
        await provider.forget(reference)
        raise


async def _keep_customer(kernel: Kernel, tenant_id: UUID, provider: str, reference: str) -> str:
    """Who the company is from now on, unless somebody was quicker. Raises: NotFound for an erased one."""
    async with transaction_of(kernel, tenant_id) as uow:
        await lock_name(uow, "payment_customers")
        if (await uow.get(Tenant, tenant_id)).status == TenantStatus.ERASED:
            raise NotFound
        known = await Attempts(uow).customer()
        if known is None:
            await uow.insert(
                PaymentCustomer, audit="payment_customer", provider=provider, reference=reference
            )
    return known or reference


async def refresh_methods(kernel: Kernel, tenant_id: UUID, customer: str) -> None:
    """Keep what the provider has at this moment; with methods and no preferred one, the first is preferred.

    A company whose account waited for a way to pay gets it opened. Raises: as the provider.
    """
    provider = provider_of(kernel)
    found = await provider.methods(customer)
    if found and not any(one.is_default for one in found):
        await provider.prefer(customer, found[0].reference)
        found = await provider.methods(customer)
    async with transaction_of(kernel, tenant_id) as uow:
        await Methods(uow).keep(found)
        if found:
            await open_after_trial(uow)


class Methods:
    """Stored methods of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> list[PaymentMethod]:
        """The one that is charged first, then the latest first."""
        name = provider_of(self._uow.kernel).name
        statement = self._uow.select(PaymentMethod).where(PaymentMethod.provider == name)
        return await self._uow.all(
            statement.order_by(PaymentMethod.is_default.desc(), PaymentMethod.stored_at.desc())
        )

    async def keep(self, found: Sequence[MethodFacts]) -> None:
        """Make the rows what the provider has."""
        uow = self._uow
        await lock_name(uow, "payment_methods")
        known = {row.reference: row for row in await self.all()}
        for one in found:
            values: dict[str, Any] = {
                "kind": one.kind,
                "brand": one.brand,
                "last4": one.last4,
                "exp_month": one.exp_month,
                "exp_year": one.exp_year,
                "is_default": one.is_default,
            }
            row = known.pop(one.reference, None)
            if row is not None:
                await uow.update(row, audit="payment_method", **values)
                continue
            await uow.insert(
                PaymentMethod,
                audit="payment_method",
                id=new_id(),
                provider=provider_of(uow.kernel).name,
                reference=one.reference,
                stored_at=uow.now,
                **values,
            )
        for gone in known.values():
            await uow.delete(gone, audit="payment_method")
