"""Bringing in others over HTTP: what both sides get, when, and what fraud gets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.kernel.clock import FixedClock
from tests.modules.membership.coupons.coupons import coupon, coupon_now
from tests.modules.membership.points import (
    adds_up,
    again,
    calendar,
    delivered,
    enrol,
    gave_back,
    merged,
    programme,
)
from tests.modules.membership.test_wallet import usd
from tests.modules.orders.orders import line
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]
RULE: Json = {
    "referrer": [{"kind": "points", "points": 500}],
    "referred": [{"kind": "wallet", "amount": usd("5.00"), "valid_days": 30}],
    "minimum_spend": usd("50.00"),
    "max_per_month": 10,
}


async def rewarding(owner: Client, club: Json, **body: Any) -> Json:
    path = f"/v1/loyalty-programmes/{club['id']}/rewards"
    version = (await owner.ok("GET", path))["version"]
    found: Json = await owner.ok("PUT", path, if_match=version, json=body)
    return found


async def code_of(owner: Client, member: Json) -> str:
    found = await owner.ok("POST", f"/v1/loyalty-members/{member['id']}/referral-code")
    return str(found["code"])


async def brought_in(owner: Client, member: Json) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/loyalty-members/{member['id']}/referrals"))["data"]
    return found


@pytest.fixture
async def club(company: Company) -> Json:
    made = await programme(company.owner, return_window_days=14)
    await rewarding(company.owner, made, referral=RULE)
    return made


@pytest.fixture
async def member(company: Company, club: Json, account: Json) -> Json:
    return await enrol(company.owner, club, account)


async def joins(
    owner: Client, club: Json, code: str, name: str = "Friend", **fields: Any
) -> tuple[Json, Json]:
    account = await make(owner, "accounts", name=name, **fields)
    return account, await enrol(owner, club, account, referral_code=code)


async def test_both_are_rewarded_once_the_first_order_that_is_enough_is_kept(
    company: Company, club: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    code = await code_of(owner, member)
    assert await code_of(owner, member) == code
    friend_account, friend = await joins(owner, club, code.lower())
    (pending,) = await brought_in(owner, member)
    assert (pending["status"], pending["referred_id"], pending["reason"]) == ("pending", friend["id"], None)
    await delivered(company, friend_account, line("1", "49.99"))
    assert (await brought_in(owner, member))[0]["status"] == "pending"
    order = await delivered(company, friend_account, line("1", "80.00"))
    (found,) = await brought_in(owner, member)
    assert (found["status"], found["order_id"], found["due_on"]) == ("qualified", order["id"], "2026-03-15")
    await rewarding(owner, club)  # what was promised stays as it was
    clock.advance(days=13)
    await calendar(company)
    assert (await again(owner, member))["points"] == 0
    clock.advance(days=1)
    await calendar(company)
    await calendar(company)
    assert (await brought_in(owner, member))[0]["status"] == "rewarded"
    assert (await again(owner, member))["points"] == 500
    (wallet,) = (await owner.ok("GET", f"/v1/loyalty-members/{friend['id']}/wallets"))["data"]
    assert (wallet["bonus"], wallet["lots"][0]["expires_on"]) == (usd("5.00"), "2026-04-13")
    await adds_up(company)


async def test_who_brings_in_two_gets_a_coupon_for_each(
    company: Company, club: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    mine = await coupon(owner, None, distribution="personal")
    gift = {"kind": "coupon", "coupon_id": mine["id"]}
    await rewarding(owner, club, referral=RULE | {"referrer": [gift, gift]})
    code = await code_of(owner, member)
    for name in ("First", "Second"):
        friend_account, _ = await joins(owner, club, code, name)
        await delivered(company, friend_account)
    clock.advance(days=15)
    await calendar(company)
    await calendar(company)
    assert {one["status"] for one in await brought_in(owner, member)} == {"rewarded"}
    assert (await coupon_now(owner, mine))["codes"] == 4
    await adds_up(company)


async def test_an_order_that_comes_back_brings_nothing(
    company: Company, club: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    friend_account, friend = await joins(owner, club, await code_of(owner, member))
    order = await delivered(company, friend_account, line("2", "40.00"))
    await gave_back(company, order, (0, "1"))
    clock.advance(days=15)
    await calendar(company)
    (found,) = await brought_in(owner, member)
    assert (found["status"], found["reason"]) == ("rejected", "order_returned")
    assert (await again(owner, member))["points"] == 0
    assert (await owner.ok("GET", f"/v1/loyalty-members/{friend['id']}/wallets"))["data"] == []


async def test_fraud_joins_and_brings_nothing(company: Company, club: Json, account: Json) -> None:
    owner = company.owner
    mine = await make(owner, "accounts", name="Ann", email="ann@example.com", phone="+31201234567")
    member = await enrol(owner, club, mine)
    code = await code_of(owner, member)
    contact = await make(owner, "contacts", name="Ann again", account_id=mine["id"])
    joined = [
        await joins(owner, club, code, "A", email="ANN@example.com", allow_duplicates=True),
        await joins(owner, club, code, "B", phone="+31 20 123 4567", allow_duplicates=True),
    ]
    inside = await make(
        owner, "loyalty-members", programme_id=club["id"], contact_id=contact["id"], referral_code=code
    )
    reasons = {one["referred_id"]: (one["status"], one["reason"]) for one in await brought_in(owner, member)}
    assert reasons == dict.fromkeys(
        [*(one["id"] for _, one in joined), inside["id"]], ("rejected", "same_person")
    )
    other = await make(owner, "accounts", name="Unknown code")
    body = {"programme_id": club["id"], "account_id": other["id"], "referral_code": "ABCDEFGH2345"}
    refused = await owner.post("/v1/loyalty-members", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/referral_code")
    assert len((await owner.ok("GET", "/v1/loyalty-members"))["data"]) == 4


async def test_nobody_is_brought_in_twice_or_in_a_circle(company: Company, club: Json, member: Json) -> None:
    owner = company.owner
    friend_account, friend = await joins(owner, club, await code_of(owner, member))
    _, third = await joins(owner, club, await code_of(owner, friend), "Third")
    # They leave as if they had never been there, and come back with the code of whom they brought in.
    gone = await owner.delete(f"/v1/loyalty-members/{friend['id']}", if_match=friend["version"])
    assert gone.status_code == 204
    back = await enrol(owner, club, friend_account, referral_code=await code_of(owner, third))
    (found,) = await brought_in(owner, third)
    assert (found["referred_id"], found["reason"]) == (back["id"], "brought_in_before")
    await owner.delete(f"/v1/loyalty-members/{member['id']}", if_match=member["version"])
    account = await owner.ok("GET", f"/v1/accounts/{member['account_id']}")
    first = await enrol(owner, club, account, referral_code=await code_of(owner, third))
    reasons = {one["referred_id"]: one["reason"] for one in await brought_in(owner, third)}
    assert reasons[first["id"]] == "cycle"


async def test_nobody_is_brought_in_twice_or_in_a_circle_by_being_merged(
    company: Company, club: Json, member: Json
) -> None:
    owner = company.owner
    code = await code_of(owner, member)
    twin_account, twin = await joins(owner, club, code, "Twin")
    second_account, second = await joins(owner, club, code, "Second twin")
    _, third = await joins(owner, club, await code_of(owner, twin), "Third")
    for one in (twin, second):
        gone = await owner.delete(f"/v1/loyalty-members/{one['id']}", if_match=one["version"])
        assert gone.status_code == 204
    account = await make(owner, "accounts", name="Survivor")
    await merged(owner, account, twin_account, second_account)
    back = await enrol(owner, club, account, referral_code=await code_of(owner, third))
    (found,) = await brought_in(owner, third)
    assert (found["referred_id"], found["reason"]) == (back["id"], "brought_in_before")


async def test_a_hundred_who_join_at_once_with_a_code_for_ten_are_ten(
    company: Company, club: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    code = await code_of(owner, member)
    accounts = await asyncio.gather(*[make(owner, "accounts", name=f"Guest {n}") for n in range(100)])
    await asyncio.gather(*[enrol(owner, club, account, referral_code=code) for account in accounts])
    found = (await owner.ok("GET", f"/v1/loyalty-members/{member['id']}/referrals?limit=200"))["data"]
    assert len(found) == 100
    assert [one["status"] for one in found].count("pending") == 10
    assert {one["reason"] for one in found if one["status"] == "rejected"} == {"monthly_limit"}
    clock.advance(days=31)
    await joins(owner, club, code, "In April")
    assert (await brought_in(owner, member))[0]["status"] == "pending"


async def test_a_referral_is_rejected_by_hand_before_it_is_rewarded(
    company: Company, club: Json, member: Json, clock: FixedClock
) -> None:
    owner = company.owner
    friend_account, _ = await joins(owner, club, await code_of(owner, member))
    (one,) = await brought_in(owner, member)
    path = f"/v1/loyalty-members/{member['id']}/referrals/{one['id']}/reject"
    found = await owner.ok("POST", path, json={"reason": "made up"})
    assert (found["status"], found["reason"]) == ("rejected", "made up")
    again_ = await owner.post(path, {"reason": "made up"})
    assert (again_.status_code, again_.json()["code"]) == (409, "referral_decided")
    await delivered(company, friend_account)
    clock.advance(days=15)
    await calendar(company)
    assert (await again(owner, member))["points"] == 0


async def test_codes_are_the_only_ones_of_all_codes(company: Company, club: Json, member: Json) -> None:
    friend = await enrol(company.owner, club, await make(company.owner, "accounts", name="Other"))
    codes = {await code_of(company.owner, one) for one in (member, friend)}
    assert len(codes) == 2
    assert all(len(code) == 12 and not code.isdecimal() for code in codes)
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT code FROM membership.referral_codes WHERE tenant_id = $1", uow.tenant_id
        )
    assert {row["code"] for row in rows} == codes
