"""The lock of a company's billing: bills, payments, coupons and the account's status change under it."""

from __future__ import annotations

from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork


async def hold_billing(uow: UnitOfWork) -> None:
    """Wait until nobody else changes the tenant's billing, and keep it so until this transaction ends.

    Whoever also locks the tenant's row does so after this: everywhere in one order, so that nobody deadlocks.
    """
    await lock_name(uow, "billing")


async def hold_usage(uow: UnitOfWork) -> None:
    """Wait until all usage that is arriving has arrived; what arrives from here on waits for us.

    `tenants.usage_arrival` takes the same lock, shared, for each event.
    """
    await lock_name(uow, "usage")
