"""Reading invoices, credit notes and the balance; coupons and tax on them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.errors import Invalid
from app.tenants.billing.bill_router import get_billing_balance, list_bill_credit_notes, list_bills
from app.tenants.billing.coupons import CouponExists, NewCoupon, create_coupon
from app.tenants.billing.operations import adjust_balance, credit_bill
from tests.kernel.conftest import refusal
from tests.support.api import Company, sign_up
from tests.tenants.billing.months import at, billed, books, later
from tests.tenants.people import colleague

Json = dict[str, Any]
URL = "/v1/billing/invoices"


@pytest.fixture
def taxed(app: Any) -> Iterator[None]:
    """An operator in Germany, who asks 19 % of Germans and 10 % of Americans."""
    settings = app.kernel.settings
    before = settings.tax_rates, settings.seller_country
    settings.tax_rates, settings.seller_country = {"DE": Decimal(19), "US": Decimal(10)}, "DE"
    yield
    settings.tax_rates, settings.seller_country = before


async def offer(app: Any, code: str, percent: str = "10", **more: Any) -> str:
    code = f"{code}-{id(app)}-{len(more)}-{percent}"
    await create_coupon(app.kernel, NewCoupon(code, "percent", Decimal(percent), **more))
    return code


async def redeem(company: Company, code: str) -> Any:
    return await company.owner.post("/v1/billing/coupon", {"code": code})


async def test_an_invoice_says_all_that_it_was_made_of(april, clock):
    await later(april, clock, at(5, 3))
    first, second = await billed(april)
    found = await april.owner.ok("GET", URL)
    assert [one["number"] for one in found["data"]] == [second.number, first.number]
    assert found["data"][0]["due"] == {"amount": "15.00", "currency": "USD"}
    assert (await april.owner.ok("GET", URL, params={"status": "paid"}))["data"] == []
    page = await april.owner.ok("GET", URL, params={"limit": 1})
    rest = await april.owner.ok("GET", URL, params={"limit": 1, "cursor": page["next_cursor"]})
    assert [one["number"] for one in page["data"] + rest["data"]] == [second.number, first.number]
    one = await april.owner.ok("GET", f"{URL}/{second.id}")
    assert one["period"] == {"start": "2027-04-01T00:00:00Z", "end": "2027-05-01T00:00:00Z"}
    [line] = one["lines"]
    assert (line["price"], line["quantity"], line["unit"], line["factor"], line["amount"]["amount"]) == (
        "starter/1/USD/monthly", "1", "15", "1/1", "15.00",
    )  # fmt: skip
    assert (await april.owner.ok("GET", line["events"]))["opening"] == 1
    assert (one["seller"]["name"], one["buyer"]["country"], one["tax_rate"]) == ("Rapport", "US", "0")


async def test_a_line_leads_to_its_events(april, clock):
    await later(april, clock, at(4, 10))
    for number in range(2):
        event = {"id": f"c{number}", "source": "/s", "type": "leads.captured", "data": {"value": "1001"}}
        await april.owner.ok("POST", "/v1/billing/usage-events", json={"events": [event]})
    await later(april, clock, at(5, 3))
    event = {"id": "late", "source": "/s", "type": "leads.captured", "time": "2027-05-01T00:00:00Z"}
    await april.owner.ok("POST", "/v1/billing/usage-events", json={"events": [event]})
    usage = next(line for line in (await billed(april))[1].lines if line["kind"] == "usage")
    assert (usage["quantity"], usage["amount"]) == ("2002", 1800)
    found = await april.owner.ok("GET", usage["events"])
    assert [one["event_id"] for one in found["data"]] == ["c0", "c1"]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_an_invoice_is_a_pdf_in_either_language(app, april, clock, language):
    await offered_month(app, april, clock)
    [bill] = await billed(april)
    answer = await april.owner.get(f"{URL}/{bill.id}/pdf", params={"language": language})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF")
    again = await april.owner.get(f"{URL}/{bill.id}/pdf", params={"language": language})
    assert again.headers["etag"] == answer.headers["etag"]


async def offered_month(app: Any, company: Company, clock: Any) -> None:
    await redeem(company, await offer(app, f"pdf{company.tenant_id}"))
    await later(company, clock, at(4, 3))


async def test_only_those_who_run_the_company_read_its_invoices(april, clock, look, app):
    await later(april, clock, at(4, 3))
    [bill] = await billed(april)
    seller = await colleague(april, look, "salesperson")
    rival = await sign_up(app)
    for path in (
        URL,
        f"{URL}/{bill.id}",
        f"{URL}/{bill.id}/pdf",
        "/v1/billing/credit-notes",
        "/v1/billing/balance",
    ):
        assert refusal(await seller.get(path)) == (403, "forbidden")
    for path in (f"{URL}/{bill.id}", f"{URL}/{bill.id}/pdf"):
        assert refusal(await rival.owner.get(path)) == (404, "not_found")
    assert (await rival.owner.ok("GET", URL))["data"] == []


async def test_the_balance_says_what_moved_it(app, april, clock):
    await later(april, clock, at(4, 3))
    [bill] = await billed(april)
    async with books(april) as bills:
        await bills.settle(bill.id, 2000, "bank", "a")
    note = await credit_bill(app.kernel, april.tenant_id, bill.id, 300, reason="Outage")
    await adjust_balance(app.kernel, april.tenant_id, "USD", -100, reason="Slip")
    found = await april.owner.ok("GET", "/v1/billing/balance")
    assert found["balance"] == {"amount": "7.00", "currency": "USD"}
    assert [(one["kind"], one["amount"]["amount"], one["balance"]["amount"]) for one in found["movements"]] == [
        ("adjustment", "-1.00", "7.00"), ("credit_note", "3.00", "8.00"), ("payment", "5.00", "5.00"),
    ]  # fmt: skip
    [read] = (await april.owner.ok("GET", "/v1/billing/credit-notes"))["data"]
    assert (read["number"], read["total"]["amount"], read["to_balance"]["amount"], read["reason"]) == (
        note.number, "3.00", "3.00", "Outage",
    )  # fmt: skip


async def test_lists_are_read_in_as_many_statements_however_long(april, clock):
    clock.set(at(9, 3))
    await billed(april)
    for read, most in (
        (lambda uow: list_bills(uow, None, 50, None), 1),
        (lambda uow: list_bill_credit_notes(uow, None, 50, None), 1),
        (get_billing_balance, 2),
    ):
        async with books(april) as bills:
            before = bills._uow.statements
            await read(bills._uow)
            assert bills._uow.statements - before == most


# -- tax ------------------------------------------------------------------------------------------------------------


async def test_tax_is_added_by_the_buyers_country(app, clock, taxed):
    companies = [await sign_up(app, country=country) for country in ("DE", "US", "FR")]
    clock.set(at(4, 3))
    found = [(await billed(company))[0] for company in companies]
    assert [(one.tax_rate, one.tax, one.total, one.reverse_charge) for one in found] == [
        ("19", 285, 1785, False), ("10", 150, 1650, False), ("0", 0, 1500, False),
    ]  # fmt: skip


async def test_a_buyer_with_a_tax_number_elsewhere_owes_the_tax_themselves(app, clock, taxed, look):
    companies = [await sign_up(app, country=country) for country in ("DE", "US")]
    for company in companies:
        await look.run("UPDATE tenants.tenants SET tax_number = 'T-1' WHERE id = $1", company.tenant_id)
    clock.set(at(4, 3))
    found = [(await billed(company))[0] for company in companies]
    assert [(one.tax, one.reverse_charge, one.buyer["tax_number"]) for one in found] == [
        (285, False, "T-1"), (0, True, "T-1"),
    ]  # fmt: skip


# -- coupons --------------------------------------------------------------------------------------------------------


async def test_a_coupon_comes_off_before_tax(app, april, clock, taxed):
    answer = await redeem(april, code := await offer(app, "tax", "33.3", duration="forever"))
    assert (answer.status_code, answer.json()["value"], answer.json()["months"]) == (200, "33.3", None)
    await later(april, clock, at(4, 3))
    [bill] = await billed(april)
    # 33.3 % of 15.00 is 4.995, rounded half up; 10 % of 10.00
    assert (bill.discount, bill.tax, bill.total) == (500, 100, 1100)
    assert bill.discounts == [{"code": code, "amount": 500}]
    upcoming = await april.owner.ok("GET", "/v1/billing/upcoming-invoice")
    assert [upcoming[name]["amount"] for name in ("subtotal", "discount", "tax", "total")] == [
        "15.00", "5.00", "1.00", "11.00",
    ]  # fmt: skip


async def test_a_coupon_lasts_as_long_as_it_says(app, clock):
    once, three, ever = [await sign_up(app) for _ in range(3)]
    await redeem(once, await offer(app, "once"))
    await redeem(three, await offer(app, "three", duration="repeating", months=3))
    await redeem(ever, await offer(app, "ever", duration="forever"))
    clock.set(at(9, 3))
    found = [[bill.discount for bill in await billed(company)] for company in (once, three, ever)]
    assert found == [[150, 0, 0, 0, 0, 0], [150, 150, 150, 0, 0, 0], [150] * 6]


async def test_an_amount_comes_off_at_most_what_there_is(app, april, clock):
    await create_coupon(app.kernel, NewCoupon("MUCH", "amount", Decimal("99.90"), "USD"))
    await redeem(april, "MUCH")
    clock.set(at(4, 3))
    [bill] = await billed(april)
    assert (bill.subtotal, bill.discount, bill.total, bill.status) == (1500, 1500, 0, "paid")


async def test_of_two_hundred_who_want_the_last_ones_as_many_get_them_as_there_are(app, clock, look):
    companies = [await sign_up(app) for _ in range(6)]
    code = await offer(app, "race", max_redemptions=3)
    answers = await asyncio.gather(*(redeem(company, code) for company in companies for _ in range(34)))
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    kept = await look.rows("SELECT tenant_id FROM tenants.coupon_redemptions WHERE code = $1", code)
    assert len(kept) == 3
    assert await look.value("SELECT redeemed FROM tenants.coupons WHERE code = $1", code) == 3
    assert sum(answer.status_code == 200 for answer in answers) == 3 * 34


async def test_a_coupon_that_cannot_be_redeemed_leaves_no_trace(app, april, clock, unchanged_april, look):
    over = await offer(app, "over", valid_until=at(4, 1) - timedelta(seconds=1))
    await create_coupon(app.kernel, NewCoupon("EURO", "amount", Decimal(5), "EUR"))
    mate = await colleague(april, look, "admin")
    async with unchanged_april():
        assert refusal(await redeem(april, "nothing")) == (404, "not_found")
        assert refusal(await redeem(april, over)) == (409, "coupon_used_up")
        assert refusal(await redeem(april, "EURO")) == (422, "invalid")
        assert refusal(await mate.post("/v1/billing/coupon", {"code": "EURO"})) == (403, "forbidden")
    assert (
        await look.value("SELECT sum(redeemed) FROM tenants.coupons WHERE code = ANY($1)", [over, "EURO"])
        == 0
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": Decimal(0)},
        {"value": Decimal(101)},
        {"currency": "USD"},
        {"kind": "amount"},
        {"kind": "amount", "currency": "USD", "value": Decimal("1.001")},
        {"duration": "repeating"},
        {"months": 3},
        {"max_redemptions": 0},
        {"code": ""},
    ],
)
async def test_a_coupon_that_makes_no_sense_is_refused(app, look, wrong):
    with pytest.raises(Invalid):
        await create_coupon(
            app.kernel, NewCoupon(**{"code": "ODD", "kind": "percent", "value": Decimal(5)} | wrong)
        )
    assert await look.value("SELECT count(*) FROM tenants.coupons WHERE code = 'ODD'") == 0


async def test_a_code_names_one_coupon(app):
    code = await offer(app, "twice")
    with pytest.raises(CouponExists):
        await create_coupon(app.kernel, NewCoupon(code, "percent", Decimal(50)))
