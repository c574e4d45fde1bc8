"""Companies whose months pass by an injected clock, and the bills that are made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from app.kernel.access import TenantProfile, system_actor
from app.kernel.clock import FixedClock
from app.kernel.uow import transaction
from app.tenants.billing.models import Bill
from app.tenants.billing.run import bill_tenant
from app.tenants.billing.settling import Bills
from tests.support.api import Company, sign_in
from tests.tenants.people import Look

Json = dict[str, Any]


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2027, month, day, hour, tzinfo=UTC)


async def profile(company: Company) -> TenantProfile:
    return await company.kernel.authenticator.tenant_profile(company.tenant_id)


async def later(company: Company, clock: FixedClock, moment: datetime) -> None:
    """Time passes, and the owner signs in again."""
    clock.set(moment)
    company.owner.token = (await sign_in(company.owner, company.email)).token


async def billed(company: Company) -> list[Bill]:
    """All bills of a company once those that are due are made, oldest first."""
    await bill_tenant(company.kernel, await profile(company))
    async with books(company) as bills:
        uow = bills._uow
        return await uow.all(uow.select(Bill).order_by(Bill.period_end))


@asynccontextmanager
async def books(company: Company) -> AsyncIterator[Bills]:
    """The company's bills in a transaction of the tenant, as jobs and webhooks have it."""
    async with transaction(company.kernel, system_actor(await profile(company))) as uow:
        yield Bills(uow)


def lines(bill: Bill) -> list[tuple[str, str, str, str, int]]:
    return [(one["kind"], one["what"], one["quantity"], one["factor"], one["amount"]) for one in bill.lines]


async def ledger(look: Look, company: Company) -> dict[str, int]:
    """What each account of the company's ledger stands at; they sum to zero."""
    rows = await look.rows(
        "SELECT account, sum(amount)::bigint AS amount FROM tenants.billing_entries WHERE tenant_id = $1"
        " GROUP BY account HAVING sum(amount) <> 0 ORDER BY account",
        company.tenant_id,
    )
    found = {row["account"]: row["amount"] for row in rows}
    assert sum(found.values()) == 0
    return found
