"""Programmes, members and their cards."""

from __future__ import annotations

from typing import Any

from stdnum import luhn

from tests.modules.membership.conftest import Hire
from tests.modules.membership.points import adjust, again, enrol, programme
from tests.modules.support import count, make
from tests.support.api import Company
from tests.support.qr import digits_in

Json = dict[str, Any]
GOLD: Json = {"key": "gold", "name_en": "Gold", "name_zh": "金卡", "threshold": "1000", "multiplier": "1.5"}


async def test_a_programme_reads_as_it_was_written(company: Company) -> None:
    rule = {"key": "double", "kind": "multiplier", "factor": "2", "minimum_spend": "50"}
    club = await programme(company.owner, tiers=[GOLD], earn_rules=[rule], expiry_months=24)
    found = await company.owner.ok("GET", f"/v1/loyalty-programmes/{club['id']}")
    assert found == club
    (tier,) = found["tiers"]
    assert (tier["threshold"], tier["multiplier"], tier["period"], tier["period_months"]) == (
        "1000", "1.5", "rolling", 12,
    )  # fmt: skip
    assert found["burn"] == {
        "points": 100, "worth": {"amount": "1.00", "currency": "USD"}, "minimum": 1, "step": 1,
    }  # fmt: skip
    listed = await company.owner.ok("GET", "/v1/loyalty-programmes")
    assert listed["data"] == [club]


async def test_a_change_replaces_lists_and_moves_the_version(company: Company) -> None:
    club = await programme(company.owner, tiers=[GOLD])
    path = f"/v1/loyalty-programmes/{club['id']}"
    stale = await company.owner.patch(path, {"name_en": "X"}, if_match=9)
    assert stale.status_code == 412
    changed = await company.owner.ok("PATCH", path, json={"tiers": []}, if_match=1)
    assert (changed["version"], changed["tiers"], changed["name_en"]) == (2, [], "Club")
    changed = await company.owner.ok("PATCH", path, json={"cap_day": 10}, if_match=2)
    assert (changed["version"], changed["cap_day"]) == (3, 10)


async def test_what_is_wrong_with_a_programme_is_refused(company: Company) -> None:
    async def refused(**fields: Any) -> tuple[int, Any]:
        body = {
            "key": "club", "name_en": "Club", "currency": "USD",
            "burn": {"worth": {"amount": "1.00", "currency": "USD"}},
        }  # fmt: skip
        answer = await company.owner.post("/v1/loyalty-programmes", body | fields)
        return answer.status_code, [error["pointer"] for error in answer.json()["errors"]]

    euros = {"worth": {"amount": "1.00", "currency": "EUR"}}
    assert await refused(burn=euros) == (422, ["/burn/worth/currency"])
    assert await refused(tiers=[GOLD, GOLD]) == (422, ["/tiers"])
    visits = GOLD | {"qualify_by": "visits", "threshold": "1.5"}
    assert await refused(tiers=[visits]) == (422, ["/tiers/0/threshold"])
    rule = {"key": "a", "kind": "amount", "product_ids": [str(company.tenant_id)]}
    assert await refused(earn_rules=[rule]) == (422, ["/earn_rules/0/product_ids"])
    assert (await company.owner.ok("GET", "/v1/loyalty-programmes"))["data"] == []


async def test_only_who_runs_the_programme_writes_it(company: Company, hire: Hire) -> None:
    club = await programme(company.owner)
    seller = await hire("salesperson")
    answer = await seller.patch(f"/v1/loyalty-programmes/{club['id']}", {"name_en": "X"}, if_match=1)
    assert answer.status_code == 403
    assert (await seller.ok("GET", f"/v1/loyalty-programmes/{club['id']}"))["name_en"] == "Club"


async def test_a_member_gets_a_card_whose_number_checks_itself(company: Company, account: Json) -> None:
    club = await programme(company.owner)
    member = await enrol(company.owner, club, account)
    assert luhn.is_valid(member["number"])
    assert len(member["number"]) == 16
    assert (member["status"], member["points"], member["tier"]) == ("active", 0, None)
    picture = await company.owner.get(f"/v1/loyalty-members/{member['id']}/qr")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert digits_in(picture.content) == member["number"]


async def test_a_number_with_a_wrong_digit_or_that_is_taken_is_refused(
    company: Company, account: Json
) -> None:
    club = await programme(company.owner)
    body = {"programme_id": club["id"], "account_id": account["id"]}
    wrong = await company.owner.post("/v1/loyalty-members", body | {"number": "79927398710"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/number")
    await enrol(company.owner, club, account, number="79927398713")
    other = await make(company.owner, "accounts", name="Other")
    taken = await company.owner.post(
        "/v1/loyalty-members", body | {"account_id": other["id"], "number": "79927398713"}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")
    assert await count(company, "membership.loyalty_members") == 1


async def test_nobody_joins_a_programme_twice(company: Company, account: Json) -> None:
    club = await programme(company.owner)
    await enrol(company.owner, club, account)
    body = {"programme_id": club["id"], "account_id": account["id"]}
    assert (await company.owner.post("/v1/loyalty-members", body)).status_code == 409
    contact = await make(company.owner, "contacts", name="Wang")
    both = await company.owner.post("/v1/loyalty-members", body | {"contact_id": contact["id"]})
    assert both.status_code == 422
    assert await count(company, "membership.loyalty_members") == 1


async def test_who_is_a_member_is_not_deleted_and_who_moved_points_neither(
    company: Company, account: Json
) -> None:
    club = await programme(company.owner)
    member = await enrol(company.owner, club, account)
    kept = await company.owner.delete(f"/v1/accounts/{account['id']}", if_match=account["version"])
    assert (kept.status_code, kept.json()["code"]) == (409, "account_in_use")
    await adjust(company.owner, member, 5)
    answer = await company.owner.delete(f"/v1/loyalty-members/{member['id']}", if_match=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "points_left")
    used = await company.owner.delete(f"/v1/loyalty-programmes/{club['id']}", if_match=1)
    assert (used.status_code, used.json()["code"]) == (409, "programme_in_use")
    assert (await again(company.owner, member))["points"] == 5


async def test_of_two_members_of_one_programme_one_gives_way_when_they_are_merged(
    company: Company, account: Json
) -> None:
    owner, club = company.owner, await programme(company.owner)
    other = await make(owner, "accounts", name="Harbor Pumps")
    kept, gone = await enrol(owner, club, account), await enrol(owner, club, other)
    await adjust(owner, gone, 70)
    records = [{"id": one["id"], "version": one["version"]} for one in (account, other)]
    merge = await owner.ok(
        "POST", "/v1/accounts/merge", json={"records": records, "master_id": account["id"]}
    )
    found = await again(owner, gone)
    assert (found["account_id"], found["status"]) == (account["id"], "superseded")
    await owner.ok(
        "POST", f"/v1/loyalty-members/{gone['id']}/transfers", json={"to_member_id": kept["id"], "points": 70}
    )
    assert ((await again(owner, gone))["points"], (await again(owner, kept))["points"]) == (0, 70)
    assert merge
