"""Coupons on quotes over HTTP: promised with the offer, used up once by the order that it becomes."""

from __future__ import annotations

from typing import Any

from app.kernel.clock import FixedClock
from app.kernel.validation import fields_of
from app.modules.quotes.schemas import QuoteCreate
from app.modules.quotes.services.quotes import QuoteService
from tests.modules.membership.coupons.coupons import coupon, coupon_now, stepped
from tests.modules.membership.coupons.test_on_orders import statuses, used
from tests.modules.membership.points import adds_up
from tests.modules.orders.orders import stepped as order_stepped
from tests.modules.quotes.offers import again, line, money, quote_of, sent_quote, step
from tests.modules.support import acting, count
from tests.support.api import Company

Json = dict[str, Any]


async def the_order(company: Company, quote: Json) -> Json:
    id = (await again(company.owner, quote))["order_id"]
    found: Json = await company.owner.ok("GET", f"/v1/orders/{id}")
    return found


async def test_an_offer_promises_what_its_coupons_take_off_and_its_order_uses_them_up_once(
    company: Company, account: Json
) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    optional = line("50.00", optional=True)
    quote = await sent_quote(
        owner, line("33.33", tax_rate="20"), optional, line("66.67"),
        account_id=account["id"], coupon_codes=["TEN"], discount_amount=money("10.00"),
    )  # fmt: skip
    quote = await again(owner, quote)
    # 100.00 less 10.00, less a tenth; what is optional takes no part in it.
    assert [(one["code"], one["discount"]) for one in quote["benefits"]] == [("TEN", money("9.00"))]
    assert (quote["benefit_discount"], quote["header_discount"], quote["net"]) == (
        money("9.00"), money("19.00"), money("81.00"),
    )  # fmt: skip
    assert [one["benefit_discount"]["amount"] for one in quote["lines"]] == ["3.00", "0.00", "6.00"]
    assert await used(company, ten) == (0, "0.00")
    chosen = quote["lines"][1]["id"]
    await step(owner, quote, "accept", name="Li Hua", chosen_line_ids=[chosen])
    order = await the_order(company, quote)
    assert (order["status"], order["coupon_codes"], order["benefit_discount"]) == (
        "confirmed",
        ["TEN"],
        money("9.00"),
    )
    assert [one["benefit_discount"]["amount"] for one in order["lines"]] == ["3.00", "0.00", "6.00"]
    assert order["total"] == (await again(owner, quote))["accepted_total"]
    assert (await used(company, ten), await statuses(company, ten)) == ((1, "9.00"), ["redeemed"])
    await step(owner, quote, "accept", name="Li Hua", chosen_line_ids=[chosen])
    assert await used(company, ten) == (1, "9.00")
    await adds_up(company)


async def test_an_acceptance_whose_coupon_holds_no_more_makes_an_order_that_is_held(
    company: Company, account: Json
) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    quote = await sent_quote(owner, account_id=account["id"], coupon_codes=["TEN"])
    await stepped(owner, ten, "pause")
    await step(owner, quote, "accept", name="Li Hua")
    order = await the_order(company, quote)
    assert (order["status"], order["held_for"], order["total"]) == ("draft", "coupon", money("90.00"))
    assert await used(company, ten) == (0, "0.00")
    answer = await owner.post(f"/v1/orders/{order['id']}/confirm", if_match=order["version"])
    assert (answer.status_code, answer.json()["coupons"]) == (409, [{"code": "TEN", "reason": "not_active"}])
    await stepped(owner, ten, "activate")
    order = await order_stepped(owner, order, "confirm")
    assert (order["status"], order["held_for"], await used(company, ten)) == ("confirmed", None, (1, "10.00"))


async def test_a_draft_follows_its_codes_and_names_what_does_not_hold(
    company: Company, account: Json
) -> None:
    owner = company.owner
    await coupon(owner, "TEN")
    await coupon(owner, "BIG", minimum_spend=money("1000.00"))
    quote = await quote_of(owner, account_id=account["id"])
    path = f"/v1/quotes/{quote['id']}"
    quote = (await owner.patch(path, {"coupon_codes": ["ten"]}, if_match=quote["version"])).json()
    assert (quote["coupon_codes"], quote["total"]) == (["TEN"], money("90.00"))
    answer = await owner.patch(path, {"coupon_codes": ["TEN", "BIG"]}, if_match=quote["version"])
    assert (answer.status_code, answer.json()["coupons"]) == (
        409,
        [{"code": "BIG", "reason": "minimum_spend"}],
    )
    contract = await owner.patch(path, {"becomes": "contract", "term_months": 12}, if_match=quote["version"])
    assert (contract.status_code, contract.json()["errors"][0]["pointer"]) == (422, "/coupon_codes")
    assert await again(owner, quote) == quote
    quote = (await owner.patch(path, {"coupon_codes": []}, if_match=quote["version"])).json()
    assert (quote["benefits"], quote["total"]) == ([], money("100.00"))


async def test_a_revision_leaves_out_what_holds_no_more(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    await coupon(owner, "FIVE", percent="5")
    quote = await sent_quote(owner, account_id=account["id"], coupon_codes=["TEN", "FIVE"])
    assert (await again(owner, quote))["total"] == money("85.50")
    await stepped(owner, ten, "end")
    revised = await step(owner, quote, "revise")
    assert (revised["coupon_codes"], revised["total"]) == (["FIVE"], money("95.00"))
    assert (await again(owner, quote))["total"] == money("85.50")
    assert (await coupon_now(owner, ten))["uses"] == 0


async def test_an_offer_without_codes_asks_nobody(company: Company, account: Json) -> None:
    codes = [(await coupon(company.owner, f"C-{n}", percent="1"))["code"] for n in range(4)]

    async def cost(*chosen: str, lines: int) -> int:
        body = {"account_id": account["id"], "lines": [line()] * lines, "coupon_codes": list(chosen)}
        async with acting(company) as uow:
            await QuoteService(uow).create(
                fields_of(QuoteCreate.model_validate(body)), explicit={"account_id"}
            )
            await uow.flush()
            return uow.statements

    plain, few, many = await cost(lines=1), await cost(codes[0], lines=1), await cost(*codes, lines=40)
    assert few == many == plain + 1
    assert await count(company, "quotes.quotes") == 3
