"""What Stripe tells: only what is signed, once for ever, in any order, from anybody's account."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import EXPONENTS
from app.tenants.billing.payments.stripe_amounts import from_stripe, to_stripe
from tests.kernel.conftest import refusal
from tests.support.api import sign_up
from tests.support.fingerprint import changes, fingerprint
from tests.support.stripe_fake import SECRET, signature
from tests.tenants.payments.money import attempts, bill, bill_id, status, step, stores, taken, tell

METHODS = "/v1/billing/payment-methods"


async def pending(company, stripe) -> str:
    """A payment that the bank has not decided on."""
    await stores(company, stripe, "pm_slow")
    await step(company)
    return str(stripe.all("payment_intent")[-1]["id"])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=1,v1=00",
        lambda body: signature(body, "whsec_other"),
        lambda body: signature(body + b" "),
        lambda body: signature(body, at=time.time() - 301),
        lambda body: signature(body).replace("v1=", "v0="),
    ],
)
async def test_what_is_not_signed_by_stripe_a_moment_ago_changes_nothing(april, stripe, look, header):
    intent = await pending(april, stripe)
    stripe.settle(intent)
    body = stripe.event("payment_intent.succeeded", intent)
    before = await fingerprint(look.connection, april.tenant_id)
    answer = await tell(april, body, header if isinstance(header, str) else header(body))
    assert refusal(answer) == (400, "webhook_not_genuine")
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}


async def test_signed_nonsense_is_refused(april):
    for body in (b"", b"{", b"[]", b'{"id": 1}', b'{"id":"e","type":"x","data":{"object":3}}', b"\xff\xfe"):
        headers = {"Stripe-Signature": signature(body)}
        answer = await april.http.post("/v1/billing/webhooks/stripe", content=body, headers=headers)
        assert refusal(answer) == (400, "webhook_not_genuine"), body


async def test_an_event_is_taken_once_for_ever(april, stripe, look):
    intent = await pending(april, stripe)
    stripe.settle(intent)
    body = stripe.event("payment_intent.succeeded", intent)
    outcomes = [(await tell(april, body)).json()["outcome"] for _ in range(3)]
    assert outcomes == ["handled", "duplicate", "duplicate"]
    answers = await asyncio.gather(*(tell(april, body) for _ in range(50)))
    assert {a.json()["outcome"] for a in answers} == {"duplicate"}
    rows = await look.rows("SELECT amount FROM tenants.bill_payments WHERE tenant_id = $1", april.tenant_id)
    assert [row["amount"] for row in rows] == [1500]


async def test_two_hundred_of_the_same_event_at_once_book_one_payment(april, stripe, look):
    intent = await pending(april, stripe)
    stripe.settle(intent)
    body = stripe.event("payment_intent.succeeded", intent)
    answers = await asyncio.gather(*(tell(april, body) for _ in range(200)))
    assert {a.status_code for a in answers} == {200}
    rows = await look.rows("SELECT amount FROM tenants.bill_payments WHERE tenant_id = $1", april.tenant_id)
    assert [row["amount"] for row in rows] == [1500]
    assert (await bill(april))["status"] == "paid"


@pytest.mark.parametrize(
    "order", [("succeeded", "processing", "payment_failed"), ("payment_failed", "succeeded")]
)
async def test_events_in_the_wrong_order_end_where_the_payment_did(april, stripe, order):
    intent = await pending(april, stripe)
    stripe.settle(intent)
    for name in order:
        assert (await tell(april, stripe.event(f"payment_intent.{name}", intent))).status_code == 200
    assert await attempts(april) == [(1, "succeeded", None)]
    assert ((await bill(april))["status"], await status(april), taken(stripe, april)) == (
        "paid",
        "active",
        [1500],
    )


async def test_a_payment_that_failed_and_succeeded_after_all_is_booked(april, stripe):
    intent = await pending(april, stripe)
    stripe.settle(intent, "requires_payment_method", code="card_declined", decline_code="do_not_honor")
    await tell(april, stripe.event("payment_intent.payment_failed", intent))
    assert await attempts(april) == [(1, "failed", "do_not_honor")]
    assert await status(april) == "past_due"
    stripe.settle(intent)
    await tell(april, stripe.event("payment_intent.succeeded", intent))
    assert ((await bill(april))["status"], await status(april)) == ("paid", "active")


async def test_money_in_another_currency_is_not_booked(april, stripe, look):
    metadata = {"tenant_id": str(april.tenant_id), "bill_id": bill_id(april)}
    values = {"status": "succeeded", "amount": 1500, "amount_received": 1500, "currency": "eur"}
    intent = stripe._keep("payment_intent", values | {"metadata": metadata})
    before = await fingerprint(look.connection, april.tenant_id)
    assert (await tell(april, stripe.event("payment_intent.succeeded", intent["id"]))).status_code == 200
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}


async def test_unknown_events_and_those_of_others_are_acknowledged(april, stripe, look):
    before = await fingerprint(look.connection, april.tenant_id)
    stranger = stripe._keep(
        "payment_intent", {"status": "succeeded", "amount": 1, "amount_received": 1, "currency": "usd"}
    )
    foreign = stripe._keep(
        "payment_intent",
        {"status": "succeeded", "amount_received": 1500, "currency": "usd", "customer": "cus_x",
         "metadata": {"tenant_id": str(april.tenant_id), "bill_id": str(uuid4()), "attempt_id": str(uuid4())}},
    )  # fmt: skip
    for body in (
        stripe.event("radar.early_fraud_warning.created", "x"),
        stripe.event("payment_intent.succeeded", "pi_nobody"),
        stripe.event("payment_intent.succeeded", stranger["id"]),
        stripe.event("payment_intent.succeeded", foreign["id"]),
        stripe.event("payment_method.attached", "pm_nobody"),
    ):
        answer = await tell(april, body)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "ignored")
        assert (await tell(april, body)).json()["outcome"] == "duplicate"
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}


async def test_an_event_that_could_not_be_looked_at_is_taken_when_it_comes_again(april, stripe):
    intent = await pending(april, stripe)
    stripe.settle(intent)
    body = stripe.event("payment_intent.succeeded", intent)
    stripe.down = 3
    assert refusal(await tell(april, body)) == (503, "payment_provider_unavailable")
    assert (await bill(april))["status"] == "open"
    assert (await tell(april, body)).json()["outcome"] == "handled"
    assert (await bill(april))["status"] == "paid"


async def test_what_is_stored_and_forgotten_at_stripe_shows_here(april, stripe):
    first = await stores(april, stripe)
    customer = stripe.objects[first]["customer"]
    second = stripe.method(f"pm_later_{april.tenant_id.hex}")
    stripe.objects[second]["customer"] = customer
    session = stripe._keep("checkout.session", {"mode": "setup", "customer": customer})
    assert (await tell(april, stripe.event("checkout.session.completed", session["id"]))).json()[
        "outcome"
    ] == "handled"
    assert len((await april.owner.ok("GET", METHODS))["data"]) == 2
    stripe.objects[first]["customer"] = None
    await tell(april, stripe.event("payment_method.detached", first, customer=customer))
    (left,) = (await april.owner.ok("GET", METHODS))["data"]
    assert left["is_default"] is True  # nobody else is left to be charged
    assert stripe.objects[customer]["invoice_settings"]["default_payment_method"] == second


async def test_a_customer_that_names_a_company_it_is_not_changes_nothing(app, april, stripe, look):
    rival = await sign_up(app)
    method = await stores(rival, stripe)
    forged = stripe._keep("customer", {"metadata": {"tenant_id": str(april.tenant_id)}})
    stripe.objects[method]["customer"] = forged["id"]
    before = await fingerprint(look.connection, april.tenant_id)
    assert (await tell(april, stripe.event("payment_method.attached", method))).json()["outcome"] == "ignored"
    assert changes(before, await fingerprint(look.connection, april.tenant_id)) == {}


async def test_a_secret_that_is_being_replaced_still_counts(april, stripe, app):
    provider = app.kernel.authenticator.payments
    provider._secrets.insert(0, "whsec_new")
    try:
        for secret in ("whsec_new", SECRET):
            body = stripe.event("radar.early_fraud_warning.created", "x")
            assert (await tell(april, body, signature(body, secret))).status_code == 200
    finally:
        provider._secrets.remove("whsec_new")


async def test_a_way_to_pay_opens_the_account_that_waited_for_one_after_its_trial(april, stripe, look, app):
    await look.run(
        "UPDATE tenants.tenants SET status = 'suspended', suspended_for = 'trial_over' WHERE id = $1",
        april.tenant_id,
    )
    app.kernel.authenticator.forget(april.tenant_id)
    assert await status(april) == "suspended"
    await stores(april, stripe)
    assert await status(april) == "active"
    assert bill_id(april)


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(0, 10**12))
def test_amounts_come_back_from_stripe_as_they_went_there(currency, amount):
    there = to_stripe(amount, currency)
    assert there is None or from_stripe(there, currency) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "there"),
    [
        (1500, "USD", 1500), (1500, "JPY", 1500), (5124, "KWD", None), (5120, "KWD", 5120),
        (500, "ISK", 50_000), (500, "UGX", 50_000), (12_300, "MGA", 123), (12_345, "MGA", None),
    ],
)  # fmt: skip
def test_amounts_are_counted_as_stripe_counts_them(amount, currency, there):
    assert to_stripe(amount, currency) == there
