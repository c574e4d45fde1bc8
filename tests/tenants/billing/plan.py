"""A company with a plan of the test's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson

from app.kernel.access import system_actor
from app.kernel.ids import new_id
from app.kernel.uow import transaction
from app.tenants.billing import allowances
from app.tenants.billing.plans import BUILT_IN
from tests.support.api import Company
from tests.tenants.people import Look

Json = dict[str, Any]


async def allow(
    company: Company, look: Look, *, soft: bool = False, plan: Json | None = None, **limits: int
) -> None:
    """From here on the company has the plan `tiny` with these limits, hard ones unless `soft`."""
    kernel = company.app.kernel
    assert kernel is not None
    given = orjson.loads(BUILT_IN.read_bytes())[0] | {"key": "tiny", "requests_per_minute": None}
    enforcement = "soft" if soft else "hard"
    given["limits"] = {name: {"limit": most, "enforcement": enforcement} for name, most in limits.items()}
    given |= plan or {}
    await look.run(
        "INSERT INTO tenants.subscription_changes (tenant_id, id, effective_at, anchor, plan, currency, interval,"
        " chosen_at) SELECT tenant_id, $2, $3, date_trunc('hour', created_at), $4::jsonb, 'USD', 'monthly', $3"
        " FROM tenants.tenants WHERE id = $1",
        company.tenant_id,
        new_id(),
        kernel.clock.now() - timedelta(seconds=2),  # a choice of this second comes after it
        orjson.dumps(given).decode(),
    )
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)
    async with transaction(kernel, system_actor(profile)) as uow:
        await allowances.refresh(uow)
    kernel.authenticator.forget(company.tenant_id)


async def entitlement(company: Company, name: str) -> Json:
    """One limit as the company is shown it."""
    found = await company.owner.ok("GET", "/v1/billing/entitlements")
    return next(limit for limit in found["limits"] if limit["limit"] == name)


def refused(answer: Any) -> Json:
    """What a refusal by a plan says beside its text."""
    body = answer.json()
    return {
        name: body.get(name) for name in ("status", "code", "limit", "allowed", "used", "plan", "lifted_by")
    }
