"""Methods, hand-overs, and paying an invoice at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from app.kernel.jobs import JobRunner
from app.tenants.billing.operations import mark_paid
from app.tenants.billing.payments.collecting import CLAIM
from tests.kernel.conftest import refusal
from tests.support.api import running, sign_in, sign_up, stranger
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.billing.months import books, ledger
from tests.tenants.payments.money import (
    ISSUED,
    attempts,
    bill,
    bill_id,
    status,
    step,
    stores,
    taken,
    tell,
)
from tests.tenants.people import colleague

METHODS = "/v1/billing/payment-methods"


async def pay(company, **body):
    return await company.owner.post(f"/v1/billing/invoices/{bill_id(company)}/pay", body)


def charges(stripe, company):
    """The forms and keys with which Stripe was asked for money of a company."""
    return [
        (form, key)
        for method, path, form, key in stripe.requests
        if (method, path) == ("POST", "/v1/payment_intents")
        and form["metadata"]["tenant_id"] == str(company.tenant_id)
    ]


async def test_a_method_is_stored_shown_and_forgotten(april, stripe, look):
    first = await stores(april, stripe)
    found = await april.owner.ok("GET", METHODS)
    assert (found["provider"], len(found["data"])) == ("stripe", 1)
    assert {k: found["data"][0][k] for k in ("kind", "brand", "last4", "exp_month", "exp_year", "is_default")} == {
        "kind": "card", "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2031, "is_default": True,
    }  # fmt: skip
    second = stripe.method(f"pm_other_{april.tenant_id.hex}")
    both = await april.owner.ok("POST", METHODS, json={"reference": second, "is_default": False})
    assert [one["is_default"] for one in both["data"]] == [True, False]
    gone = both["data"][0]["id"]
    assert (await april.owner.delete(f"{METHODS}/{gone}")).status_code == 204
    assert stripe.objects[first]["customer"] is None
    assert [one["is_default"] for one in (await april.owner.ok("GET", METHODS))["data"]] == [True]
    assert refusal(await april.owner.delete(f"{METHODS}/{gone}")) == (404, "not_found")
    assert (
        len([c for c in stripe.all("customer") if c["metadata"] == {"tenant_id": str(april.tenant_id)}]) == 1
    )


async def test_a_method_that_stripe_does_not_know_is_refused(april, stripe):
    answer = await april.owner.post(METHODS, {"reference": "pm_nobody"})
    assert refusal(answer) == (409, "payment_provider_refused")
    assert answer.json()["reason"] == "resource_missing"
    assert (await april.owner.ok("GET", METHODS))["data"] == []


async def test_an_invoice_is_paid_at_once(april, stripe, look):
    await stores(april, stripe)
    answer = await pay(april)
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.json()["amount"] == {"amount": "15.00", "currency": "USD"}
    assert (await bill(april))["status"] == "paid"
    assert taken(stripe, april) == [1500]
    assert await ledger(look, april) == {"cash": 1500, "revenue": -1500}
    sent = charges(stripe, april)[-1][0]
    assert (sent["off_session"], sent["confirm"], sent["metadata"]["bill_id"]) == (
        "true",
        "true",
        bill_id(april),
    )
    assert refusal(await pay(april)) == (409, "bill_not_owed")


async def test_what_the_bank_declines_is_said_and_nothing_is_booked(april, stripe, look):
    assert refusal(await pay(april)) == (409, "no_payment_method")
    await stores(april, stripe, "pm_poor")
    answer = await pay(april)
    assert refusal(answer) == (402, "payment_declined")
    assert answer.json()["reason"] == "insufficient_funds"
    assert (await bill(april))["status"] == "open"
    assert await attempts(april) == [(None, "failed", "insufficient_funds")]
    assert await ledger(look, april) == {"receivable": 1500, "revenue": -1500}
    assert await status(april) == "active"  # who tries by themselves is not dunned for it
    good = await stores(april, stripe)
    assert (await pay(april)).status_code == 200
    assert stripe.all("payment_intent")[-1]["customer"] == stripe.objects[good]["customer"]


async def test_a_hundred_who_pay_at_once_are_charged_once(april, stripe):
    await stores(april, stripe)
    answers = await asyncio.gather(*(pay(april) for _ in range(100)))
    assert {a.status_code for a in answers} <= {200, 409}
    assert {a.json().get("code") for a in answers if a.status_code == 409} <= {
        "payment_under_way",
        "bill_not_owed",
    }
    assert [a.status_code for a in answers].count(200) == 1
    assert taken(stripe, april) == [1500]


async def test_an_answer_that_is_lost_is_found_again_and_nothing_is_charged_twice(april, stripe, clock):
    await stores(april, stripe)
    stripe.lose = 3  # the first and both of the package's own repetitions
    assert refusal(await pay(april)) == (503, "payment_provider_unavailable")
    assert taken(stripe, april) == [1500]
    assert (await bill(april))["status"] == "open"
    assert refusal(await pay(april)) == (409, "payment_under_way")
    await step(april)  # the claim is not over
    assert (await bill(april))["status"] == "open"
    clock.set(ISSUED + CLAIM)
    stripe.answered.clear()  # Stripe forgets keys in time; the payment itself is found
    await step(april)
    assert (await bill(april))["status"] == "paid"
    assert taken(stripe, april) == [1500]


async def test_a_charge_that_never_arrived_is_made_with_its_key(april, stripe, clock):
    await stores(april, stripe)
    stripe.down = 3
    assert refusal(await pay(april)) == (503, "payment_provider_unavailable")
    assert taken(stripe, april) == []
    clock.set(ISSUED + CLAIM)
    await step(april)
    assert (await bill(april))["status"] == "paid"
    keys = {key for _, key in charges(stripe, april)}
    assert (len(keys), taken(stripe, april)) == (1, [1500])


async def test_a_charge_that_never_arrived_is_not_made_of_a_bill_that_was_paid_otherwise(
    april, stripe, clock, app
):
    await stores(april, stripe)
    stripe.down = 3
    assert refusal(await pay(april)) == (503, "payment_provider_unavailable")
    await mark_paid(app.kernel, april.tenant_id, UUID(bill_id(april)), 1500, reference="transfer")
    clock.set(ISSUED + CLAIM)
    await step(april)
    assert taken(stripe, april) == []
    assert await attempts(april) == [(None, "failed", "bill_not_owed")]
    assert (await april.owner.ok("GET", "/v1/billing/balance"))["balance"]["amount"] == "0.00"


async def test_what_is_pending_is_booked_when_the_bank_says_so(april, stripe):
    await stores(april, stripe, "pm_slow")
    answer = await pay(april)
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert refusal(await pay(april)) == (409, "payment_under_way")
    intent = stripe.all("payment_intent")[-1]["id"]
    stripe.settle(intent)
    assert (await tell(april, stripe.event("payment_intent.succeeded", intent))).json() == {
        "outcome": "handled"
    }
    assert (await bill(april))["status"] == "paid"


async def test_a_company_is_handed_over_to_store_a_method_to_pay_and_to_manage(april, stripe):
    made = await april.owner.ok("POST", "/v1/billing/checkout-session", json={})
    assert made["url"].startswith("https://checkout.example.com/")
    assert datetime.fromisoformat(made["expires_at"]) > datetime.now(UTC)
    session = stripe.all("checkout.session")[-1]
    assert (session["mode"], session["currency"]) == ("setup", "usd")
    await april.owner.ok("POST", "/v1/billing/checkout-session", json={"bill_id": bill_id(april)})
    session = stripe.all("checkout.session")[-1]
    assert session["mode"] == "payment"
    assert session["line_items"]["0"]["price_data"]["unit_amount"] == "1500"
    # The company pays there; Stripe tells.
    paid = {"status": "succeeded", "amount": 1500, "amount_received": 1500, "currency": "usd"}
    intent = stripe._keep("payment_intent", paid | {"metadata": session["payment_intent_data"]["metadata"]})
    assert (await tell(april, stripe.event("payment_intent.succeeded", intent["id"]))).json()[
        "outcome"
    ] == "handled"
    assert (await bill(april))["status"] == "paid"
    assert refusal(await april.owner.post("/v1/billing/checkout-session", {"bill_id": bill_id(april)})) == (
        409,
        "bill_not_owed",
    )
    portal = await april.owner.ok("POST", "/v1/billing/portal-session")
    assert portal["url"].startswith("https://portal.example.com/")


async def test_an_admin_pays_and_a_salesperson_may_not(april, stripe, look):
    await stores(april, stripe)
    sales, admin = await colleague(april, look, "salesperson"), await colleague(april, look, "admin")
    path = f"/v1/billing/invoices/{bill_id(april)}/pay"
    before = await fingerprint(look.connection, april.tenant_id)
    assert refusal(await sales.post(path, {})) == (403, "forbidden")
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}
    assert (await admin.post(path, {})).status_code == 200


async def test_another_companys_invoice_and_method_are_absent(april, app, stripe, look):
    rival = await sign_up(app)
    await stores(rival, stripe)
    await stores(april, stripe)
    mine = (await april.owner.ok("GET", METHODS))["data"][0]["id"]
    before = await fingerprint(look.connection, april.tenant_id)
    for answer in (
        await rival.owner.post(f"/v1/billing/invoices/{bill_id(april)}/pay", {}),
        await rival.owner.get(f"/v1/billing/invoices/{bill_id(april)}/payment-attempts"),
        await rival.owner.post("/v1/billing/checkout-session", {"bill_id": bill_id(april)}),
        await rival.owner.delete(f"{METHODS}/{mine}"),
    ):
        assert refusal(answer) == (404, "not_found")
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}


async def test_details_are_changed_also_while_suspended(april, look, app):
    await look.run("UPDATE tenants.tenants SET status = 'suspended' WHERE id = $1", april.tenant_id)
    app.kernel.authenticator.forget(april.tenant_id)
    found = await april.owner.ok("GET", "/v1/billing/details")
    changed = await april.owner.ok(
        "PATCH", "/v1/billing/details", json={"legal_name": "April Ltd", "tax_number": "DE136695976"},
        if_match=found["version"],
    )  # fmt: skip
    assert (changed["legal_name"], changed["tax_number"]) == ("April Ltd", "DE136695976")
    stale = await april.owner.patch("/v1/billing/details", {"address": "x"}, if_match=found["version"])
    assert stale.status_code == 412


async def test_what_is_refunded_goes_back_the_way_it_came_once(april, stripe, look, app):
    from app.tenants.billing.operations import credit_bill
    from tests.tenants.payments.money import UUID, relayed

    await stores(april, stripe)
    await pay(april)
    intent = stripe.all("payment_intent")[-1]["id"]
    await credit_bill(april.kernel, april.tenant_id, UUID(bill_id(april)), 400, reason="late", refund=True)
    await relayed(april)
    await relayed(april)
    await JobRunner(april.kernel).run_due()
    await JobRunner(april.kernel).run_due()
    assert [(one["payment_intent"], one["amount"]) for one in stripe.all("refund")] == [(intent, 400)]
    row = (await look.rows("SELECT reference, amount FROM tenants.payment_refunds WHERE tenant_id = $1", april.tenant_id))[0]  # fmt: skip
    assert (row["reference"], row["amount"]) == (stripe.all("refund")[0]["id"], 400)


async def test_a_cancelled_company_pays_what_it_owes_and_comes_back(april, stripe, clock):
    await stores(april, stripe, "pm_poor")
    await step(april)
    await april.owner.ok("POST", "/v1/billing/subscription/cancel", json={"when": "now"})
    refused = await april.owner.post("/v1/billing/subscription/resume")
    assert refusal(refused) == (409, "bills_unpaid")
    await stores(april, stripe)
    assert (await pay(april)).status_code == 200
    assert await status(april) == "cancelled"
    assert (await april.owner.ok("POST", "/v1/billing/subscription/resume"))["status"] == "active"


async def test_without_a_provider_payments_are_made_by_hand(worker_database, tmp_path):
    async with running(worker_database, tmp_path) as offline:
        company = await sign_up(offline)
        assert await company.owner.ok("GET", METHODS) == {"provider": "offline", "data": []}
        for path, body in (
            (METHODS, {"reference": "pm_1"}),
            ("/v1/billing/checkout-session", {}),
            ("/v1/billing/portal-session", None),
        ):
            assert refusal(await company.owner.post(path, body)) == (409, "paid_by_hand")
        answer = await stranger(offline).post("/v1/billing/webhooks/stripe", {})
        assert refusal(answer) == (404, "not_found")
        assert (await sign_in(company.owner, company.email)).token


async def test_more_than_is_due_goes_to_the_companys_balance(april, stripe):
    await stores(april, stripe)
    async with books(april) as bills:
        from tests.tenants.payments.money import UUID

        await bills.settle(UUID(bill_id(april)), 1000, "offline", "by transfer")
    assert (await pay(april)).json()["amount"]["amount"] == "5.00"
    assert taken(stripe, april) == [500]
