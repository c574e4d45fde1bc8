"""Credit: exposure in the limit's currency, and orders that it does not cover."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.orders.orders import again, line, money, order_of, step, stepped
from tests.modules.orders.receivables.books import charge, confirmed, done, from_order, issue, issued, pay
from tests.modules.support import make
from tests.support.api import Client

Json = dict[str, Any]


async def limited(owner: Client, amount: str = "100.00", currency: str = "USD", **more: Any) -> Json:
    return await make(owner, "accounts", name="Limited", credit_limit=money(amount, currency), **more)


async def credit(owner: Client, account: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/receivables/credit?account_id={account['id']}")
    return found


async def mode(owner: Client, name: str) -> None:
    version = (await owner.ok("GET", "/v1/receivables/settings"))["version"]
    await owner.ok("PUT", "/v1/receivables/settings", json={"mode": name}, if_match=version)


async def test_exposure_is_what_is_ordered_and_owed_less_what_was_paid(owner: Client) -> None:
    account = await limited(owner, "1000.00")
    order = await confirmed(owner, account, line("10", "10.00"))
    await order_of(owner, account, line("1", "999.00"))  # a draft binds nobody
    draft = await from_order(owner, order, percent="40")
    names = ("open_orders", "receivables", "unallocated", "exposure", "available")

    async def now() -> list[str]:
        found = await credit(owner, account)
        return [found[name]["amount"] for name in names]

    assert await now() == ["100.00", "0.00", "0.00", "100.00", "900.00"]
    invoice = await issue(owner, draft)
    assert await now() == ["60.00", "40.00", "0.00", "100.00", "900.00"]
    paid = await pay(owner, account, "50.00")
    assert await now() == ["60.00", "40.00", "50.00", "50.00", "950.00"]
    await done(owner, paid, "allocate")
    assert await now() == ["60.00", "0.00", "10.00", "50.00", "950.00"]
    await done(owner, invoice, "credit", {"reason": "agreed", "amount": money("5.00")})
    assert await now() == ["60.00", "0.00", "15.00", "45.00", "955.00"]


async def test_an_order_beyond_the_limit_is_refused_and_reserves_nothing(owner: Client) -> None:
    account = await limited(owner)
    await issued(owner, account, charge("60.00"))
    order = await order_of(owner, account, line("1", "40.01"))
    refused = await step(owner, order, "confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "credit_refused")
    carried = [refused.json()[name] for name in ("limit", "exposure", "amount")]
    assert carried == [money("100.00"), money("60.00"), money("40.01")]
    assert await again(owner, order) == order
    await pay(owner, account, "0.01")
    assert (await stepped(owner, order, "confirm"))["status"] == "confirmed"


async def test_without_a_limit_everything_goes(owner: Client, account: Json) -> None:
    await confirmed(owner, account, line("1", "9999999.00"))
    found = await credit(owner, account)
    assert (found["limit"], found["available"], found["exposure"]) == (None, None, money("9999999.00"))


async def test_orders_at_once_never_take_the_same_credit(owner: Client) -> None:
    account = await limited(owner, "100.00")
    orders = await asyncio.gather(*[order_of(owner, account, line("1", "7.00")) for _ in range(100)])
    answers = await asyncio.gather(
        *[owner.post(f"/v1/orders/{one['id']}/confirm", if_match=one["version"]) for one in orders]
    )
    statuses = [one.status_code for one in answers]
    assert (statuses.count(200), statuses.count(409)) == (14, 86)
    assert (await credit(owner, account))["exposure"] == money("98.00")


async def test_other_currencies_count_by_today_s_rates(owner: Client) -> None:
    account = await limited(owner, "100.00", "EUR")
    await issued(owner, account, charge("30.00", currency="USD"))
    missing = await owner.get(f"/v1/receivables/credit?account_id={account['id']}")
    assert (missing.status_code, missing.json()["code"], missing.json()["currency"]) == (
        409,
        "credit_rate_missing",
        "EUR",
    )
    order = await order_of(owner, account, line("1", "5000", currency="JPY"))
    assert (await step(owner, order, "confirm")).json()["code"] == "credit_rate_missing"
    for currency, rate in (("EUR", "1.20"), ("JPY", "0.006")):
        await owner.ok(
            "POST",
            "/v1/exchange-rates",
            json={"currency": currency, "rate": rate, "valid_from": "2020-01-01"},
        )
    assert (await credit(owner, account))["exposure"] == money("25.00", "EUR")
    assert (await stepped(owner, order, "confirm"))["status"] == "confirmed"
    assert (await credit(owner, account))["exposure"] == money("50.00", "EUR")


async def test_a_company_may_only_want_to_be_warned(owner: Client, hire: Any) -> None:
    seller = await hire("salesperson")
    account = await limited(owner, "1.00")
    first = await owner.ok("GET", "/v1/receivables/settings")
    assert (first["mode"], first["version"]) == ("block", 0)
    refused = await seller.put("/v1/receivables/settings", {"mode": "warn"}, if_match=0)
    assert refused.status_code == 403
    await mode(owner, "warn")
    order = await order_of(owner, account, line("1", "5.00"))
    assert (await stepped(owner, order, "confirm"))["status"] == "confirmed"
    told = (await owner.ok("GET", "/v1/notifications"))["data"]
    assert [(one["title"], one["record_id"]) for one in told if one["kind"] == "credit.exceeded"] == [
        ("Limited: the credit limit is exceeded", order["id"])
    ]
    await mode(owner, "block")
    assert (await owner.ok("GET", "/v1/receivables/settings"))["version"] == 2
    stale = await owner.put("/v1/receivables/settings", {"mode": "warn"}, if_match=1)
    assert stale.status_code == 412
    order = await order_of(owner, account, line("1", "5.00"))
    assert (await step(owner, order, "confirm")).json()["code"] == "credit_refused"
