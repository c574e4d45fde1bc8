"""Who an erased company was to payment providers: they are told to forget it, too.

What is to be forgotten is written into the tombstone before our rows go. A provider that does not answer keeps no row
from being erased: only the certificate waits, until the provider has said that it did.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from app.kernel.runtime import Kernel
from app.tenants.billing.payments.collecting import provider_of

DELETED: Final = "deleted"
NOT_CONNECTED: Final = "not_connected"

_NOTE: Final = """
UPDATE tenants.erasures e SET payment_customers = e.payment_customers || n.found
FROM (SELECT jsonb_agg(jsonb_build_object('provider', c.provider, 'reference', c.reference) ORDER BY c.id) AS found
  FROM tenants.payment_customers c JOIN tenants.erasures k ON k.id = $1 AND c.tenant_id = k.tenant_id
  WHERE NOT k.payment_customers
    @> jsonb_build_array(jsonb_build_object('provider', c.provider, 'reference', c.reference))) n
WHERE e.id = $1 AND n.found IS NOT NULL"""
_KEEP: Final = "UPDATE tenants.erasures SET payment_customers = $2 WHERE id = $1"


async def note_customers(kernel: Kernel, erasure_id: UUID) -> None:
    """Remember who the company is to providers, while there are rows that say so."""
    async with kernel.database.control() as connection:
        await connection.execute(_NOTE, erasure_id)


async def forget_customers(kernel: Kernel, erasure_id: UUID) -> None:
    """Have every provider delete the company; again, it only asks for what is left. Raises: as the provider.

    A provider that is not connected any more cannot be asked; the certificate says so.
    """
    provider = provider_of(kernel)
    async with kernel.database.control() as connection:
        known: list[dict[str, Any]] = await connection.fetchval(
            "SELECT payment_customers FROM tenants.erasures WHERE id = $1", erasure_id
        )
    for one in known:
        if "outcome" in one:
            continue
        asked = one["provider"] == provider.name
        if asked:
            await provider.forget(one["reference"])
        one["outcome"] = DELETED if asked else NOT_CONNECTED
        async with kernel.database.control() as connection:
            await connection.execute(_KEEP, erasure_id, known)
