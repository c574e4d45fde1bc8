"""Plans, and the bill that a period ends with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock
from app.kernel.uow import transaction
from app.tenants.billing.plans import BUILT_IN, price_list
from app.tenants.billing.subscriptions import Subscriptions
from tests.kernel.conftest import refusal
from tests.support.api import Company, sign_in, sign_up, stranger
from tests.tenants.conftest import APRIL
from tests.tenants.people import colleague

Json = dict[str, Any]
URL = "/v1/billing/subscription"


async def later(company: Company, clock: FixedClock, moment: datetime) -> None:
    """Time passes, and the owner signs in again."""
    clock.set(moment)
    company.owner.token = (await sign_in(company.owner, company.email)).token


async def upcoming(company: Company) -> Json:
    found: Json = await company.owner.ok("GET", "/v1/billing/upcoming-invoice")
    return found


def lines(found: Json) -> list[tuple[str, str, str, str, str]]:
    return [
        (line["kind"], line["what"], line["quantity"], line["factor"], line["amount"]["amount"])
        for line in found["lines"]
    ]


async def choose(company: Company, plan: str, **more: str) -> Any:
    return await company.owner.put(URL, {"plan": plan, **more})


async def test_the_price_list_is_open_to_everybody(app):
    answer = await stranger(app).get("/v1/plans")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    plans = {plan["key"]: plan for plan in answer.json()["plans"]}
    assert list(plans) == ["starter", "professional", "enterprise"]
    assert [plans[key]["name_zh"] for key in plans] == ["入门版", "专业版", "企业版"]
    offered = {(p["currency"], p["interval"]): p["seat"] for p in plans["professional"]["prices"]}
    assert offered == {
        ("CNY", "monthly"): "249", ("CNY", "yearly"): "2490", ("USD", "monthly"): "39", ("USD", "yearly"): "390",
    }  # fmt: skip


@pytest.mark.parametrize(
    "break_it",
    [
        lambda plans: plans[0]["prices"][0].update(seat="-1"),
        lambda plans: plans[0]["prices"][0]["usage"][0]["tiers"].reverse(),
        lambda plans: plans[0]["prices"][0]["usage"][0]["tiers"].pop(),
        lambda plans: plans[0].update(prices=[]),
        lambda plans: plans[0].update(colour="red"),
        lambda plans: plans[1].update(key="starter"),
        list.clear,
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused(tmp_path: Path, break_it):
    plans = orjson.loads(BUILT_IN.read_bytes())
    break_it(plans)
    file = tmp_path / "plans.json"
    file.write_bytes(orjson.dumps(plans))
    with pytest.raises((ValidationError, ValueError)):
        price_list(file)


async def test_a_company_begins_with_the_first_plan_in_its_currency(app, clock):
    for currency, seat in (("USD", "15"), ("CNY", "99"), ("EUR", "99")):
        company = await sign_up(app, currency=currency)
        found = await company.owner.ok("GET", URL)
        current = found["current"]
        assert (current["plan"], current["price"]["interval"], current["price"]["seat"]) == (
            "starter", "monthly", seat,
        )  # fmt: skip
        assert found["period"] == {"start": "2027-04-01T00:00:00Z", "end": "2027-05-01T00:00:00Z"}
        assert found["pending"] is None


async def test_a_bill_is_the_next_period_in_advance_and_what_changed_in_this_one(april, clock, look):
    assert lines(await upcoming(april)) == [("seats", "starter", "1", "1/1", "15.00")]
    await later(april, clock, datetime(2027, 4, 16, tzinfo=UTC))
    await colleague(april, look)
    await colleague(april, look)
    found = await upcoming(april)
    assert lines(found) == [
        ("seats", "starter", "2", "1/2", "15.00"),
        ("seats", "starter", "3", "1/1", "45.00"),
    ]  # fmt: skip
    assert (found["total"]["amount"], found["following"]["start"]) == ("60.00", "2027-05-01T00:00:00Z")


async def test_a_dearer_plan_holds_at_once_and_is_prorated(april, clock):
    await later(april, clock, datetime(2027, 4, 13, tzinfo=UTC))
    found = (await choose(april, "professional")).json()
    assert (found["current"]["plan"], found["current"]["since"]) == ("professional", "2027-04-13T00:00:00Z")
    # 18 of 30 days: -15.00 x 0.6, then three seats (the minimum) at 39.00
    assert lines(await upcoming(april)) == [
        ("seats", "starter", "-1", "3/5", "-9.00"), ("seats", "professional", "3", "3/5", "70.20"),
        ("seats", "professional", "3", "1/1", "117.00"),
    ]  # fmt: skip


async def test_a_cheaper_plan_or_another_interval_waits_for_the_period_to_end(april, clock):
    await choose(april, "professional")
    found = (await choose(april, "starter")).json()
    assert (found["current"]["plan"], found["pending"]["plan"], found["pending"]["since"]) == (
        "professional", "starter", "2027-05-01T00:00:00Z",
    )  # fmt: skip
    assert lines(await upcoming(april))[-1] == ("seats", "starter", "1", "1/1", "15.00")
    found = (await choose(april, "professional", interval="yearly")).json()
    assert (found["pending"]["plan"], found["pending"]["price"]["interval"]) == ("professional", "yearly")
    invoice = await upcoming(april)
    assert lines(invoice)[-1] == ("seats", "professional", "3", "1/1", "1170.00")
    assert invoice["following"] == {"start": "2027-05-01T00:00:00Z", "end": "2028-05-01T00:00:00Z"}
    taken_back = (await choose(april, "professional", interval="monthly")).json()
    assert (taken_back["current"]["plan"], taken_back["pending"]) == ("professional", None)
    assert refusal(await choose(april, "professional")) == (409, "same_plan")


async def test_what_was_chosen_for_later_holds_when_later_has_come(april, clock):
    await choose(april, "professional")
    await choose(april, "starter", interval="yearly")
    await later(april, clock, datetime(2027, 5, 2, tzinfo=UTC))
    found = await april.owner.ok("GET", URL)
    assert (found["current"]["plan"], found["pending"]) == ("starter", None)
    assert found["period"] == {"start": "2027-05-01T00:00:00Z", "end": "2028-05-01T00:00:00Z"}


async def test_a_new_price_list_changes_nothing_for_those_who_chose_before(app, april, tmp_path):
    await choose(april, "professional")
    plans = orjson.loads(BUILT_IN.read_bytes())
    for plan in plans:
        plan["version"] = 2
        for price in plan["prices"]:
            price["seat"] = "1000"
    file = tmp_path / "plans.json"
    file.write_bytes(orjson.dumps(plans))
    kept, app.kernel.settings.price_list = app.kernel.settings.price_list, file
    try:
        current = (await april.owner.ok("GET", URL))["current"]
        assert (current["plan_version"], current["price"]["seat"]) == (1, "39")
        found = (await choose(april, "professional")).json()
        assert (found["current"]["plan_version"], found["current"]["price"]["seat"]) == (2, "1000")
    finally:
        app.kernel.settings.price_list = kept


async def test_usage_is_rated_by_the_plan_and_forecast_to_the_end_of_the_period(april, clock):
    await later(april, clock, datetime(2027, 4, 16, tzinfo=UTC))
    event = {
        "id": "x", "source": "/s", "type": "leads.captured_elsewhere", "time": "2027-04-10T00:00:00Z",
    }  # fmt: skip
    await april.owner.ok("POST", "/v1/billing/usage-events", json={"events": [event]})
    assert [line for line in lines(await upcoming(april)) if line[0] == "usage"] == []
    for number in range(2):
        event |= {"id": f"c{number}", "type": "leads.captured", "data": {"value": "1001"}}
        await april.owner.ok("POST", "/v1/billing/usage-events", json={"events": [event]})
    found = await upcoming(april)
    # 2,002 captured, 1,000 of them free: two packages of a thousand begun
    assert ("usage", "leads.captured", "2002", "1/1", "18.00") in lines(found)
    assert (found["total"]["amount"], found["forecast"]["amount"]) == ("33.00", "51.00")


async def test_the_bill_is_read_in_few_statements(app, april):
    await choose(april, "professional")
    profile = next(t for t in await app.kernel.authenticator.active_tenants() if t.id == april.tenant_id)
    async with transaction(app.kernel, system_actor(profile), read_only=True) as uow:
        await Subscriptions(uow).upcoming()
        assert uow.statements == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"plan": "gold"}, "/plan"), ({"plan": "starter", "interval": "weekly"}, "/interval"), ({}, "/plan")],
)
async def test_a_plan_that_is_not_on_offer_is_refused(april, look, body, pointer):
    before = await april.owner.ok("GET", URL)
    answer = await april.owner.put(URL, body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await april.owner.ok("GET", URL) == before
    assert (
        await look.value(
            "SELECT count(*) FROM tenants.subscription_changes WHERE tenant_id = $1", april.tenant_id
        )
        == 0
    )


async def test_only_the_owner_chooses(april, look):
    for role in ("admin", "manager"):
        mate = await colleague(april, look, role)
        assert refusal(await mate.put(URL, {"plan": "enterprise"})) == (403, "forbidden")
    assert (await april.owner.ok("GET", URL))["current"]["plan"] == "starter"


async def test_a_hundred_choices_at_once_make_one(april, clock, look):
    await later(april, clock, APRIL + timedelta(days=3))
    answers = await asyncio.gather(*(choose(april, "enterprise") for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 99
    assert (
        await look.value(
            "SELECT count(*) FROM tenants.subscription_changes WHERE tenant_id = $1", april.tenant_id
        )
        == 2
    )


async def test_a_company_sees_its_own_subscription_only(april, app):
    rival = await sign_up(app)
    await choose(april, "enterprise")
    assert (await rival.owner.ok("GET", URL))["current"]["plan"] == "starter"
