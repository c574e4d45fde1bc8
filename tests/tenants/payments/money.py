"""What tests about payments say often."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from app.kernel.clock import FixedClock
from app.kernel.outbox import Relay
from app.tenants.billing.payments.dunning import dun
from tests.support.api import Company, sign_in
from tests.support.stripe_fake import StripeFake, signature
from tests.tenants.billing.months import at, billed
from tests.tenants.people import Look

ISSUED = at(4, 3)
DAY = timedelta(days=1)
Json = dict[str, Any]


async def billed_once(company: Company, clock: FixedClock) -> Company:
    """The company with its first bill."""
    clock.set(ISSUED)
    # Numbers go forward in time for all companies; other tests of this database were later in the year.
    async with company.kernel.database.control() as connection:
        await connection.execute("UPDATE tenants.bill_numbers SET last_at = $1 WHERE last_at > $1", ISSUED)
    (bill,) = await billed(company)
    company.owner.facts["bill"] = str(bill.id)
    await later(company, clock, ISSUED)
    return company


def bill_id(company: Company) -> str:
    return str(company.owner.facts["bill"])


async def later(company: Company, clock: FixedClock, moment: datetime) -> None:
    clock.set(moment)
    facts = company.owner.facts
    company.owner.token = (await sign_in(company.owner, company.email)).token
    company.owner.facts = facts


async def stores(company: Company, stripe: StripeFake, method: str = "pm_good") -> str:
    """The company stores a method; what its name begins with says how it behaves."""
    name = stripe.method(f"{method}_{company.tenant_id.hex}")
    await company.owner.ok("POST", "/v1/billing/payment-methods", json={"reference": name})
    return name


async def bill(company: Company) -> Json:
    found: Json = await company.owner.ok("GET", f"/v1/billing/invoices/{bill_id(company)}")
    return found


async def status(company: Company) -> str:
    return str((await company.owner.ok("GET", "/v1/billing/account"))["status"])


async def step(company: Company) -> None:
    """What the schedule does about the company's bill."""
    await dun(company.kernel, company.tenant_id, UUID(bill_id(company)))


async def tell(company: Company, body: bytes, header: str | None = None) -> httpx.Response:
    """Stripe sends a webhook."""
    headers = {"Stripe-Signature": signature(body) if header is None else header}
    return await company.http.post("/v1/billing/webhooks/stripe", content=body, headers=headers)


async def attempts(company: Company) -> list[tuple[int | None, str, str | None]]:
    found = await company.owner.ok("GET", f"/v1/billing/invoices/{bill_id(company)}/payment-attempts")
    return [(one["step"], one["status"], one["failure_code"]) for one in found["data"]]


def taken(stripe: StripeFake, company: Company) -> list[int]:
    """The amounts that Stripe took of a company."""
    return [
        one["amount"]
        for one in stripe.all("payment_intent")
        if one["status"] == "succeeded" and one["metadata"].get("tenant_id") == str(company.tenant_id)
    ]


async def relayed(company: Company) -> None:
    """All events that are out have been reacted to."""
    relay = Relay(company.kernel)
    while await relay.run_once():
        pass


async def subjects(look: Look, company: Company) -> list[str]:
    """The subjects of the mails to the owner about money, oldest first."""
    return [mail["subject"] for mail in await look.mails(company.email) if "address" not in mail["subject"]]
