"""An erased company is deleted at the payment provider, too: once, again until it is, and the certificate says so."""

from __future__ import annotations

from typing import Any

import pytest

from app.kernel.errors import NotFound
from app.tenants.billing.api_calls import flush
from app.tenants.billing.payments.methods import ensure_customer
from app.tenants.billing.payments.provider import ProviderUnavailable
from app.tenants.leaving.certificates import certificate_of
from app.tenants.leaving.erasure import KEPT, Erasure
from tests.support.api import Company
from tests.support.copying import rows_of
from tests.support.stripe_fake import StripeFake
from tests.tenants.leaving.support import begun
from tests.tenants.payments.money import stores

CUSTOMER = "SELECT reference FROM tenants.payment_customers WHERE tenant_id = $1"
NOTED = "SELECT jsonb_array_length(payment_customers) FROM tenants.erasures WHERE tenant_id = $1"


def deletions(stripe: StripeFake, customer: str) -> int:
    return sum(
        1 for method, path, *_ in stripe.requests if (method, path) == ("DELETE", f"/v1/customers/{customer}")
    )


async def certified(company: Company) -> list[dict[str, Any]]:
    found = await certificate_of(company.kernel, company.tenant_id)
    assert found.valid
    return list(found.document["payment_customers"])


async def test_stripe_deletes_who_was_erased_and_what_they_stored(april, stripe, look):
    method = await stores(april, stripe)
    customer = await look.value(CUSTOMER, april.tenant_id)
    assert stripe.objects[method]["customer"] == customer
    id = await begun(april.kernel, april.tenant_id)
    await Erasure(april.kernel, id).run()
    assert customer not in stripe.objects
    assert stripe.objects[method]["customer"] is None
    assert await certified(april) == [{"provider": "stripe", "outcome": "deleted"}]
    assert await look.value(NOTED, april.tenant_id) == 0
    await Erasure(april.kernel, id).run()
    assert deletions(stripe, customer) == 1


async def test_a_stripe_that_does_not_answer_keeps_only_the_certificate_waiting(april, stripe, look):
    await stores(april, stripe)
    await flush(april.kernel)  # which the process would do within a minute, perhaps after the deletion
    customer = await look.value(CUSTOMER, april.tenant_id)
    id = await begun(april.kernel, april.tenant_id)
    stripe.down = 3  # it is asked three times
    with pytest.raises(ProviderUnavailable):
        await Erasure(april.kernel, id).run()
    assert (await rows_of(look.connection, april.tenant_id)).keys() <= KEPT.keys()
    assert customer in stripe.objects
    assert await look.value("SELECT completed_at FROM tenants.erasures WHERE id = $1", id) is None
    await Erasure(april.kernel, id).run()
    assert customer not in stripe.objects
    assert await certified(april) == [{"provider": "stripe", "outcome": "deleted"}]


async def test_who_is_gone_at_stripe_already_is_gone(april, stripe, look):
    await stores(april, stripe)
    del stripe.objects[await look.value(CUSTOMER, april.tenant_id)]
    await Erasure(april.kernel, await begun(april.kernel, april.tenant_id)).run()
    assert await certified(april) == [{"provider": "stripe", "outcome": "deleted"}]


async def test_who_is_erased_while_stripe_answers_is_forgotten_at_once(april, stripe, look):
    id = await begun(april.kernel, april.tenant_id)  # what was asked of Stripe before is answered after it
    before = set(stripe.objects)
    with pytest.raises(NotFound):
        await ensure_customer(april.kernel, april.tenant_id)
    assert set(stripe.objects) == before
    made = [path for method, path, *_ in stripe.requests if method == "DELETE"][-1].rpartition("/")[2]
    assert deletions(stripe, made) == 1
    assert made not in before
    assert await look.value(CUSTOMER, april.tenant_id) is None
    await Erasure(april.kernel, id).run()
    assert await certified(april) == []


async def test_a_provider_that_is_not_connected_any_more_is_named_by_the_certificate(april, look):
    await look.run(
        "INSERT INTO tenants.payment_customers (tenant_id, id, provider, reference)"
        " VALUES ($1, gen_random_uuid(), 'former', 'c1')",
        april.tenant_id,
    )
    await Erasure(april.kernel, await begun(april.kernel, april.tenant_id)).run()
    assert await certified(april) == [{"provider": "former", "outcome": "not_connected"}]


async def test_who_was_never_known_there_needs_nobody_to_forget_them(april, stripe):
    before = len(stripe.requests)
    await Erasure(april.kernel, await begun(april.kernel, april.tenant_id)).run()
    assert await certified(april) == []
    assert len(stripe.requests) == before
