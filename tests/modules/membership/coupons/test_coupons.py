"""Coupons over HTTP: definitions and their life, codes, and baskets that they are tried on."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from app.kernel.jobs import JobRunner
from tests.modules.membership.conftest import Hire
from tests.modules.membership.coupons.coupons import (
    basket_line,
    coupon,
    coupon_now,
    evaluated,
    reasons,
    stepped,
)
from tests.modules.membership.points import enrol, programme
from tests.modules.orders.orders import money, product
from tests.modules.support import count, make
from tests.support.api import Company

Json = dict[str, Any]


async def test_a_coupon_is_written_activated_paused_and_ended(company: Company) -> None:
    owner = company.owner
    one = await coupon(owner, active=False)
    assert (one["status"], one["codes"], one["uses"], one["spent"]) == ("draft", 1, 0, money("0.00"))
    path = f"/v1/coupons/{one['id']}"
    changed = await owner.patch(path, {"percent": "20"}, if_match=1)
    assert (changed.status_code, changed.json()["percent"]) == (200, "20")
    assert (await stepped(owner, one, "activate"))["status"] == "active"
    fixed = await owner.patch(path, {"percent": "30", "name": "x"}, if_match=3)
    assert (fixed.status_code, fixed.json()["code"], fixed.json()["fields"]) == (
        409,
        "coupon_fixed",
        ["percent"],
    )
    gone = await owner.delete(path, if_match=3)
    assert (gone.status_code, gone.json()["code"]) == (409, "coupon_in_use")
    assert (await stepped(owner, one, "pause"))["status"] == "paused"
    assert (await stepped(owner, one, "end"))["status"] == "ended"
    again = await owner.post(f"{path}/activate", if_match=5)
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")
    assert ((await coupon_now(owner, one))["percent"], (await coupon_now(owner, one))["version"]) == ("20", 5)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"benefit": "percent"}, "/percent"),
        ({"benefit": "amount", "amount": money("5.00"), "percent": "5"}, "/percent"),
        ({"benefit": "amount", "amount": money("5.00", "EUR")}, "/amount/currency"),
        ({"benefit": "free_product"}, "/product_ids"),
        ({"benefit": "percent", "percent": "5", "tiers": ["gold"]}, "/programme_id"),
        ({"benefit": "percent", "percent": "5", "distribution": "batch"}, "/code"),
        ({"benefit": "percent", "percent": "5", "code": None}, "/code"),
        ({"benefit": "percent", "percent": "5", "valid_from": "2026-02-02", "valid_until": "2026-02-01"}, "/valid_until"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(company: Company, fields: Json, pointer: str) -> None:
    body = {"name": "X", "code": "X-1", "currency": "USD"} | fields
    answer = await company.owner.post("/v1/coupons", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await count(company, "membership.coupons") == 0


async def test_a_code_is_one_coupons_only_and_never_looks_like_a_card(company: Company) -> None:
    one = await coupon(company.owner, " welcome10 ")
    assert one["code"] == "WELCOME10"
    body = {"name": "Y", "currency": "USD", "benefit": "percent", "percent": "5"}
    twice = await company.owner.post("/v1/coupons", body | {"code": "Welcome10"})
    assert (twice.status_code, twice.json()["code"]) == (409, "duplicate_value")
    digits = await company.owner.post("/v1/coupons", body | {"code": "4539578763621486"})
    assert (digits.status_code, digits.json()["errors"][0]["pointer"]) == (422, "/code")
    assert await count(company, "membership.coupons") == 1


async def test_a_basket_says_what_applies_and_why_not(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    today = clock.now().date()
    await coupon(owner, "TEN")
    await coupon(owner, "DRAFT", active=False)
    await coupon(owner, "LATER", valid_from=str(today + timedelta(days=1)))
    await coupon(owner, "OVER", valid_until=str(today - timedelta(days=1)))
    await coupon(owner, "EURO", currency="EUR")
    await coupon(owner, "BIG", minimum_spend=money("100.01"))
    await coupon(owner, "SMALL-BUDGET", budget=money("9.99"))
    club = await programme(owner)
    await coupon(owner, "CLUB", programme_id=club["id"])
    pump = await product(owner)
    await coupon(owner, "PUMPS", product_ids=[pump["id"]])
    codes = ["TEN", "DRAFT", "LATER", "OVER", "EURO", "BIG", "SMALL-BUDGET", "CLUB", "PUMPS"]
    found = await evaluated(owner, account, *codes, "NOBODYS")
    assert reasons(found) == {
        "TEN": None, "DRAFT": "not_active", "LATER": "not_yet_valid", "OVER": "expired", "EURO": "other_currency",
        "BIG": "minimum_spend", "SMALL-BUDGET": "budget_exhausted", "CLUB": "not_a_member",
        "PUMPS": "no_matching_lines", "NOBODYS": "unknown_code",
    }  # fmt: skip
    assert found["discount"] == money("10.00")
    await enrol(owner, club, account)
    assert reasons(await evaluated(owner, account, "CLUB")) == {"CLUB": None}
    lines = [basket_line("33.33"), basket_line("33.33", product_id=pump["id"]), basket_line("33.34")]
    found = await evaluated(owner, account, "PUMPS", "TEN", lines=lines)
    assert [(one["code"], one["discount"]["amount"]) for one in found["coupons"]] == [
        ("TEN", "10.00"), ("PUMPS", "3.00"),
    ]  # fmt: skip
    assert [one["discount"]["amount"] for one in found["lines"]] == ["3.33", "6.33", "3.34"]
    assert (found["discount"], found["left"]) == (money("13.00"), money("87.00"))


async def test_a_batch_of_codes_that_nobody_can_guess(company: Company) -> None:
    owner = company.owner
    one = await coupon(owner, None, distribution="batch")
    path = f"/v1/coupons/{one['id']}"
    answer = await owner.post(f"{path}/batches", {"count": 100_000, "prefix": "spring-"})
    batch = answer.json()
    assert (answer.status_code, batch["wanted"], batch["made"]) == (202, 100_000, 0)
    assert answer.headers["Location"] == f"/v1/jobs/{batch['job_id']}"
    await JobRunner(company.kernel).run_due()
    (batch,) = (await owner.ok("GET", f"{path}/batches"))["data"]
    assert (batch["made"], (await coupon_now(owner, one))["codes"]) == (100_000, 100_000)
    file = await owner.get(f"{path}/codes/csv")
    head, *rows = file.text.splitlines()
    assert (file.headers["content-type"], head) == (
        "text/csv; charset=utf-8", "code,batch_id,member_id,valid_until,uses",
    )  # fmt: skip
    codes = [row.split(",")[0] for row in rows]
    assert len(set(codes)) == 100_000
    assert all(re.fullmatch(r"SPRING-[A-HJ-NP-Z2-9]{12}", code) for code in codes)
    page = await owner.ok("GET", f"{path}/codes", params={"limit": 2})
    assert (len(page["data"]), page["has_more"], page["data"][0]["use_limit"]) == (2, True, 1)
    (found,) = (await owner.ok("GET", f"{path}/codes", params={"code": codes[7].lower()}))["data"]
    assert (found["code"], found["batch_id"], found["uses"]) == (codes[7], batch["id"], 0)


async def test_a_personal_code_is_its_members_and_given_once_for_a_reference(
    company: Company, account: Json, clock: FixedClock
) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    one = await coupon(owner, None, distribution="personal", valid_days=30)
    path = f"/v1/coupons/{one['id']}/issue"
    body = {"member_id": member["id"], "reference": "birthday 2026"}
    answers = await asyncio.gather(*(owner.post(path, body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    (code,) = {answer.json()["code"] for answer in answers}
    assert (await coupon_now(owner, one))["codes"] == 1
    (own,) = (await owner.ok("GET", f"/v1/loyalty-members/{member['id']}/coupons"))["data"]
    assert (own["code"], own["valid_until"], own["status"]) == (
        code, str(clock.now().date() + timedelta(days=30)), "active",
    )  # fmt: skip
    other = await make(owner, "accounts", name="Somebody else")
    assert reasons(await evaluated(owner, account, code)) == {code: None}
    assert reasons(await evaluated(owner, other, code)) == {code: "another_member"}
    clock.advance(days=31)
    assert reasons(await evaluated(owner, account, code)) == {code: "expired"}


async def test_shared_coupons_have_no_codes_to_give_out(company: Company, account: Json) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    one = await coupon(owner)
    for path, body in (("issue", {"member_id": member["id"]}), ("batches", {"count": 5})):
        answer = await owner.post(f"/v1/coupons/{one['id']}/{path}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "coupon_not_issuable")
    assert (await coupon_now(owner, one))["codes"] == 1


async def test_salespeople_try_coupons_and_neither_write_them_nor_see_codes(
    company: Company, account: Json, hire: Hire
) -> None:
    one = await coupon(company.owner)
    seller = await hire("salesperson")
    assert (await seller.get(f"/v1/coupons/{one['id']}")).status_code == 200
    body = {"name": "Y", "currency": "USD", "benefit": "percent", "percent": "90", "code": "MINE"}
    assert (await seller.post("/v1/coupons", body)).status_code == 403
    assert (await seller.post(f"/v1/coupons/{one['id']}/pause", if_match=2)).status_code == 403
    assert (await seller.get(f"/v1/coupons/{one['id']}/codes")).status_code == 403
    assert (await seller.get(f"/v1/coupons/{one['id']}/codes/csv")).status_code == 403
    assert ((await coupon_now(company.owner, one))["status"], await count(company, "membership.coupons")) == (
        "active", 1,
    )  # fmt: skip


async def test_another_company_has_coupons_of_its_own(
    company: Company, account: Json, rival: Company
) -> None:
    one = await coupon(company.owner)
    assert (await rival.owner.get(f"/v1/coupons/{one['id']}")).status_code == 404
    theirs = await make(rival.owner, "accounts", name="Theirs")
    assert reasons(await evaluated(rival.owner, theirs, "WELCOME10")) == {"WELCOME10": "unknown_code"}
    assert (await coupon(rival.owner))["code"] == "WELCOME10"


async def test_a_basket_of_what_is_not_there_is_refused(
    company: Company, account: Json, rival: Company
) -> None:
    pump = await product(rival.owner)
    body = {
        "account_id": account["id"],
        "currency": "USD",
        "coupon_codes": ["TEN"],
        "lines": [basket_line("10.00", product_id=pump["id"]), basket_line("10.00", "0")],
    }
    answer = await company.owner.post("/v1/coupons/evaluate", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/lines/0/product_id",
        "/lines/1/quantity",
    ]
