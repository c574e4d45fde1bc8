"""Coupons and points on orders over HTTP: from the draft that reserves to the return that gives back."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.clock import FixedClock
from app.kernel.validation import fields_of
from app.modules.membership.services.coupons.following import release_old
from app.modules.orders.schemas.orders import OrderCreate
from app.modules.orders.services.orders import OrderService
from tests.modules.membership.coupons.coupons import coupon, coupon_now, stepped
from tests.modules.membership.points import (
    adds_up,
    adjust,
    balances,
    delivered,
    enrol,
    gave_back,
    merged,
    programme,
    react,
    scheduled,
)
from tests.modules.orders.orders import again, line, money, order_of, ship, step
from tests.modules.orders.orders import stepped as order_stepped
from tests.modules.support import acting, count, make
from tests.support.api import Company

Json = dict[str, Any]
THREE = [
    line("1", "33.33", tax_rate="20"),
    line("1", "33.33", tax_rate="20"),
    line("1", "33.34", tax_rate="20"),
]


async def used(company: Company, one: Json) -> tuple[int, str]:
    """How often, and how much it took off."""
    found = await coupon_now(company.owner, one)
    return found["uses"], found["spent"]["amount"]


async def statuses(company: Company, one: Json) -> list[str]:
    page = await company.owner.ok("GET", f"/v1/coupons/{one['id']}/uses")
    return [use["status"] for use in page["data"]]


async def test_an_order_shows_what_its_coupons_take_off_step_by_step(company: Company, account: Json) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    five = await coupon(owner, "FIVE", benefit="amount", amount=money("5.00"), priority=1)
    order = await order_of(
        owner, account, *THREE, coupon_codes=["ten", "FIVE", "TEN"], discount_amount=money("10.00")
    )
    # 100.00 less 10.00 of the header is 90.00; less 5.00, and ten percent of 85.00.
    assert [(one["code"], one["kind"], one["discount"]["amount"]) for one in order["benefits"]] == [
        ("FIVE", "coupon", "5.00"), ("TEN", "coupon", "8.50"),
    ]  # fmt: skip
    assert order["coupon_codes"] == ["TEN", "FIVE"]
    assert (order["benefit_discount"], order["header_discount"], order["subtotal"]) == (
        money("13.50"), money("23.50"), money("100.00"),
    )  # fmt: skip
    assert (order["net"], order["tax"], order["total"]) == (money("76.50"), money("15.30"), money("91.80"))
    assert sum(float(one["benefit_discount"]["amount"]) for one in order["lines"]) == 13.5
    assert (await again(owner, order))["benefits"] == order["benefits"]
    assert (await used(company, ten), await used(company, five)) == ((1, "8.50"), (1, "5.00"))
    assert await statuses(company, ten) == ["reserved"]
    await order_stepped(owner, order, "confirm")
    assert await statuses(company, ten) == ["redeemed"]
    await adds_up(company)


async def test_a_coupon_that_does_not_hold_is_named_and_no_order_is_made(
    company: Company, account: Json
) -> None:
    owner = company.owner
    await coupon(owner, "TEN", minimum_spend=money("100.01"))
    body = {"account_id": account["id"], "lines": THREE, "coupon_codes": ["TEN", "NOBODYS"]}
    answer = await owner.post("/v1/orders", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "coupon_not_applicable")
    assert answer.json()["coupons"] == [
        {"code": "NOBODYS", "reason": "unknown_code"}, {"code": "TEN", "reason": "minimum_spend"},
    ]  # fmt: skip
    assert await count(company, "orders.orders") == 0


async def test_a_draft_that_changes_holds_what_it_says_then(company: Company, account: Json) -> None:
    owner = company.owner
    ten, five = await coupon(owner, "TEN"), await coupon(owner, "FIVE", percent="5")
    order = await order_of(owner, account, *THREE, coupon_codes=["TEN"])
    path = f"/v1/orders/{order['id']}"
    order = (await owner.patch(path, {"lines": [line("2", "100.00")]}, if_match=order["version"])).json()
    assert (order["benefit_discount"], await used(company, ten)) == (money("20.00"), (1, "20.00"))
    order = (await owner.patch(path, {"coupon_codes": ["FIVE"]}, if_match=order["version"])).json()
    assert (order["total"], await used(company, ten), await used(company, five)) == (
        money("190.00"), (0, "0.00"), (1, "10.00"),
    )  # fmt: skip
    order = (await owner.patch(path, {"coupon_codes": []}, if_match=order["version"])).json()
    assert (order["benefits"], order["total"], await used(company, five)) == (
        [],
        money("200.00"),
        (0, "0.00"),
    )
    await owner.patch(path, {"coupon_codes": ["FIVE"]}, if_match=order["version"])
    assert (await owner.delete(path, if_match=order["version"] + 1)).status_code == 204
    assert await used(company, five) == (0, "0.00")
    await adds_up(company)


async def test_a_coupon_that_was_paused_meanwhile_is_named_at_confirmation(
    company: Company, account: Json
) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    order = await order_of(owner, account, *THREE, coupon_codes=["TEN"])
    await stepped(owner, ten, "pause")
    answer = await step(owner, order, "confirm")
    assert (answer.status_code, answer.json()["coupons"]) == (409, [{"code": "TEN", "reason": "not_active"}])
    assert ((await again(owner, order))["status"], await statuses(company, ten)) == ("draft", ["reserved"])
    await stepped(owner, ten, "activate")
    await order_stepped(owner, order, "confirm")
    assert await statuses(company, ten) == ["redeemed"]


async def test_old_reservations_end_and_a_late_confirmation_takes_what_is_free(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    once = await coupon(owner, "ONCE", total_limit=1)
    order = await order_of(owner, account, *THREE, coupon_codes=["ONCE"])
    clock.advance(hours=71)
    await release_old(await scheduled(company))
    assert await statuses(company, once) == ["reserved"]
    clock.advance(hours=2)
    await release_old(await scheduled(company))
    assert (await statuses(company, once), await used(company, once)) == (["released"], (0, "0.00"))
    other = await order_of(owner, account, *THREE, coupon_codes=["ONCE"])
    late = await step(owner, order, "confirm")
    assert (late.status_code, late.json()["coupons"][0]["reason"]) == (409, "used_up")
    await order_stepped(owner, other, "cancel")
    await order_stepped(owner, order, "confirm")
    assert (await statuses(company, once), await used(company, once)) == (
        ["redeemed", "released", "released"], (1, "10.00"),
    )  # fmt: skip
    await adds_up(company)


async def test_300_orders_at_once_never_take_more_than_the_budget(company: Company, account: Json) -> None:
    owner = company.owner
    one = await coupon(owner, "BUDGET", budget=money("104.99"))
    body = {"account_id": account["id"], "lines": [line("1", "50.00")], "coupon_codes": ["BUDGET"]}
    answers = await asyncio.gather(
        *(owner.post("/v1/orders/place", body | {"customer_reference": f"R-{n}"}) for n in range(300))
    )
    placed = [answer for answer in answers if answer.status_code == 201]
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert (len(placed), len(refused)) == (20, 280)
    assert {one["coupons"][0]["reason"] for one in refused} == {"budget_exhausted"}
    assert (await used(company, one), await count(company, "orders.orders")) == ((20, "100.00"), 20)
    await adds_up(company)


async def test_the_same_code_at_once_counts_once_for_an_account_and_in_all(
    company: Company, account: Json
) -> None:
    owner = company.owner
    once = await coupon(owner, "PER", customer_limit=1)
    other = await make(owner, "accounts", name="Other")
    bodies = [
        {"account_id": one["id"], "lines": THREE, "coupon_codes": ["PER"], "customer_reference": f"{n}"}
        for n in range(15)
        for one in (account, other)
    ]
    answers = await asyncio.gather(*(owner.post("/v1/orders/place", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 28
    assert (await used(company, once), await statuses(company, once)) == ((2, "20.00"), ["redeemed"] * 2)
    single = await coupon(owner, "FIRST", first_order_only=True)
    new = await make(owner, "accounts", name="New")
    answers = await asyncio.gather(
        *(
            owner.post(
                "/v1/orders/place",
                {
                    "account_id": new["id"],
                    "lines": THREE,
                    "coupon_codes": ["FIRST"],
                    "customer_reference": f"{n}",
                },
            )
            for n in range(10)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert await used(company, single) == (1, "10.00")
    await adds_up(company)


async def test_a_partial_return_gives_back_what_was_paid_and_a_whole_one_the_coupon(
    company: Company, account: Json
) -> None:
    owner = company.owner
    back = await coupon(owner, "BACK", on_return="give_back", percent="25")
    kept = await coupon(owner, "KEPT", benefit="amount", amount=money("1.00"))
    order = await delivered(
        company, account, line("3", "10.00", tax_rate="20"), coupon_codes=["BACK", "KEPT"]
    )
    assert order["total"] == money("25.80")  # 30.00 less 7.50 and 1.00, and a fifth
    first = await gave_back(company, order, (0, "1"))
    assert (first["total"], await statuses(company, back)) == (money("8.60"), ["redeemed"])
    rest = await gave_back(company, order, (0, "2"))
    assert rest["total"] == money("17.20")
    assert (await statuses(company, back), await used(company, back)) == (["returned"], (0, "0.00"))
    assert (await statuses(company, kept), await used(company, kept)) == (["redeemed"], (1, "1.00"))
    await adds_up(company)


async def test_invoices_of_parts_sum_to_the_order_with_its_coupons(company: Company, account: Json) -> None:
    owner = company.owner
    await coupon(owner, "ODD", percent="33.3333")
    order = await order_of(owner, account, line("3", "9.99", tax_rate="19"), coupon_codes=["ODD"])
    await order_stepped(owner, order, "confirm")
    totals = []
    for _ in range(3):
        lines = [{"order_line_id": order["lines"][0]["id"], "quantity": "1"}]
        invoice = await owner.ok(
            "POST", "/v1/invoices/from-order", json={"order_id": order["id"], "lines": lines}
        )
        totals.append(float(invoice["total"]["amount"]))
    assert round(sum(totals), 2) == float(order["total"]["amount"])
    await adds_up(company)


async def test_amounts_and_coupons_fall_with_lines_that_are_cancelled(
    company: Company, account: Json
) -> None:
    owner = company.owner
    await coupon(owner, "TEN")
    order = await order_of(owner, account, line("4", "25.00"), line("1", "10.00"), coupon_codes=["TEN"])
    order = await order_stepped(owner, order, "confirm")
    less = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "3"}]}
    order = await order_stepped(owner, order, "cancel-lines", less)
    assert (order["total"], order["benefit_discount"]) == (money("31.50"), money("3.50"))
    assert order["benefits"][0]["discount"] == money("3.50")
    await adds_up(company)


# -- points --------------------------------------------------------------------------------------------------


async def test_points_come_off_the_price_and_are_spent_when_the_order_is_confirmed(
    company: Company, account: Json
) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    await adjust(owner, member, 1_000)
    await coupon(owner, "TEN")
    order = await order_of(
        owner, account, line("2", "20.00"), line("1", "10.00"), coupon_codes=["TEN"], points=500
    )
    # 50.00 less a tenth, less 5.00.
    assert [(one["kind"], one["code"], one["points"], one["discount"]["amount"]) for one in order["benefits"]] == [
        ("coupon", "TEN", 0, "5.00"), ("points", member["number"], 500, "5.00"),
    ]  # fmt: skip
    assert (order["total"], await balances(owner, member)) == (money("40.00"), (1_000, 0, 0, 0))
    await order_stepped(owner, order, "confirm")
    assert await balances(owner, member) == (500, 0, 0, 0)
    await order_stepped(owner, order, "cancel")
    await react(company)
    assert await balances(owner, member) == (1_000, 0, 0, 0)
    await adds_up(company)


async def test_a_return_brings_back_points_line_by_line(company: Company, account: Json) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner, earn_rules=[]), account)
    await adjust(owner, member, 300)
    order = await delivered(company, account, line("2", "10.00"), line("1", "10.00"), points=300)
    assert (order["total"], await balances(owner, member)) == (money("27.00"), (0, 0, 0, 0))
    first = await gave_back(company, order, (0, "1"))
    assert (first["total"], await balances(owner, member)) == (money("9.00"), (100, 0, 0, 0))
    await gave_back(company, order, (0, "1"), (1, "1"))
    assert await balances(owner, member) == (300, 0, 0, 0)
    await adds_up(company)


async def test_points_of_cancelled_lines_come_back_at_once(company: Company, account: Json) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    await adjust(owner, member, 400)
    order = await order_of(owner, account, line("4", "10.00"), points=400)
    order = await order_stepped(owner, order, "confirm")
    less = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "1"}]}
    order = await order_stepped(owner, order, "cancel-lines", less)
    assert (order["total"], await balances(owner, member)) == (money("27.00"), (100, 0, 0, 0))
    assert (await ship(owner, order)).status_code == 201
    await react(company)
    assert await balances(owner, member) == (127, 0, 0, 0)
    await gave_back(company, order, (0, "3"))
    assert await balances(owner, member) == (400, 0, 0, 0)
    await adds_up(company)


async def test_points_that_cannot_be_spent_are_refused(company: Company, account: Json) -> None:
    owner = company.owner
    body: Json = {"account_id": account["id"], "lines": [line("1", "10.00")], "points": 100}
    nobody = await owner.post("/v1/orders", body)
    assert (nobody.status_code, nobody.json()["code"], nobody.json()["reason"]) == (
        409, "points_not_applicable", "no_member",
    )  # fmt: skip
    burn = {"points": 100, "worth": money("1.00"), "minimum": 200, "step": 100}
    member = await enrol(owner, await programme(owner, burn=burn), account)
    await adjust(owner, member, 2_000)
    for points, reason in (
        (100, "below_minimum"),
        (250, "off_step"),
        (5_000, "insufficient_points"),
        (1_100, "more_than_order"),
    ):
        answer = await owner.post("/v1/orders", body | {"points": points})
        assert (answer.status_code, answer.json()["reason"]) == (409, reason)
    assert (await count(company, "orders.orders"), await balances(owner, member)) == (0, (2_000, 0, 0, 0))


async def test_100_orders_at_once_never_spend_more_points_than_there_are(
    company: Company, account: Json
) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    await adjust(owner, member, 1_050)
    body = {"account_id": account["id"], "lines": [line("1", "10.00")], "points": 100}
    answers = await asyncio.gather(
        *(owner.post("/v1/orders/place", body | {"customer_reference": f"R-{n}"}) for n in range(100))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 90
    assert await balances(owner, member) == (50, 0, 0, 0)
    assert await count(company, "orders.orders") == 10
    await adds_up(company)


async def test_a_coupon_is_not_free_while_some_of_its_order_is_still_to_be_delivered(
    company: Company, account: Json
) -> None:
    owner = company.owner
    back = await coupon(owner, "BACK", on_return="give_back", percent="25")
    order = await order_of(owner, account, line("3", "10.00"), coupon_codes=["BACK"])
    order = await order_stepped(owner, order, "confirm")
    assert (await ship(owner, order, (0, "1"))).is_success
    await gave_back(company, order, (0, "1"))
    assert (await statuses(company, back), await used(company, back)) == (["redeemed"], (1, "7.50"))
    order = await again(owner, order)
    body = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "2"}], "reason": "late"}
    await owner.ok("POST", f"/v1/orders/{order['id']}/cancel-lines", if_match=order["version"], json=body)
    await react(company)
    assert (await statuses(company, back), (await used(company, back))[0]) == (["returned"], 0)
    await adds_up(company)


# -- what it costs -------------------------------------------------------------------------------------------


async def test_coupons_move_along_when_accounts_become_one(company: Company, account: Json) -> None:
    owner = company.owner
    once = await coupon(owner, "PER", customer_limit=1)
    twin = await make(owner, "accounts", name="Harbour Pumps Ltd")
    order = await order_of(owner, twin, *THREE, coupon_codes=["PER"])
    await order_stepped(owner, order, "confirm")
    await merged(owner, account, twin)
    body = {"account_id": account["id"], "lines": THREE, "coupon_codes": ["PER"]}
    answer = await owner.post("/v1/orders", body)
    assert (answer.status_code, answer.json()["coupons"][0]["reason"]) == (409, "customer_limit")
    assert await used(company, once) == (1, "10.00")


async def test_a_members_own_coupon_outlives_the_merge_of_its_customer(
    company: Company, account: Json
) -> None:
    owner = company.owner
    club = await programme(owner)
    await enrol(owner, club, account)
    twin = await make(owner, "accounts", name="Harbour Pumps Ltd")
    member = await enrol(owner, club, twin)
    mine = await coupon(owner, None, distribution="personal")
    issued = await owner.ok("POST", f"/v1/coupons/{mine['id']}/issue", json={"member_id": member["id"]})
    await merged(owner, account, twin)
    order = await order_of(owner, account, *THREE, coupon_codes=[issued["code"]])
    await order_stepped(owner, order, "confirm")
    assert await used(company, mine) == (1, "10.00")


async def test_a_number_of_statements_that_depends_on_neither_codes_nor_lines(
    company: Company, account: Json
) -> None:
    owner = company.owner
    codes = [(await coupon(owner, f"C-{n}", percent="1"))["code"] for n in range(5)]

    async def cost(*chosen: str, lines: int) -> int:
        goods = [line("1", "10.00") for _ in range(lines)]
        body = OrderCreate.model_validate(
            {"account_id": account["id"], "lines": goods, "coupon_codes": list(chosen)}
        )
        async with acting(company) as uow:
            await OrderService(uow).create(fields_of(body))
            await uow.flush()
            return uow.statements

    plain, few, many = await cost(lines=1), await cost(codes[0], lines=1), await cost(*codes, lines=50)
    assert few == many == plain + 7


async def test_of_many_first_orders_at_once_with_a_coupon_each_one_is_the_first(company: Company) -> None:
    owner = company.owner
    codes = [f"NEW{n}" for n in range(12)]
    coupons = [await coupon(owner, code, first_order_only=True) for code in codes]
    new = await make(owner, "accounts", name="New")
    answers = await asyncio.gather(
        *(
            owner.post(
                "/v1/orders/place",
                {"account_id": new["id"], "lines": THREE, "coupon_codes": [code], "customer_reference": code},
            )
            for code in codes
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    refused = {answer.json()["coupons"][0]["reason"] for answer in answers if answer.status_code == 409}
    assert refused == {"first_order_only"}
    assert sorted([await used(company, one) for one in coupons]) == [(0, "0.00")] * 11 + [(1, "10.00")]
    assert await count(company, "orders.orders") == 1
    await adds_up(company)


async def test_a_reservation_renewed_while_old_ones_are_freed_stays(
    company: Company, account: Json, clock: FixedClock, worker_database: str
) -> None:
    owner = company.owner
    ten = await coupon(owner, "TEN")
    order = await order_of(owner, account, *THREE, coupon_codes=["TEN"])
    clock.advance(hours=73)
    async with acting(company) as uow:
        service = OrderService(uow)
        row = await service.locked(UUID(order["id"]))
        await service.change(row, {"discount_percent": "10"})
        await uow.settle()  # the coupon is held, and reserved anew, from here on
        freeing = asyncio.create_task(release_old(await scheduled(company)))
        await _until_somebody_waits(worker_database)
    await freeing
    assert (await statuses(company, ten), await used(company, ten)) == (["reserved"], (1, "9.00"))
    clock.advance(hours=73)
    await release_old(await scheduled(company))
    assert (await statuses(company, ten), await used(company, ten)) == (["released"], (0, "0.00"))


async def _until_somebody_waits(database: str) -> None:
    """Until a transaction waits for a row that another holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    connection = await asyncpg.connect(database)
    try:
        for _ in range(6_000):
            if await connection.fetchval(waiting):
                return
            await asyncio.sleep(0.01)
    finally:
        await connection.close()
    raise AssertionError("nobody waits")
