"""What others learn of members, what colleagues may do, and how many statements it all takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.kernel.validation import fields_of
from app.modules.membership.interface import Memberships
from app.modules.membership.schemas.members import LoyaltyMemberCreate
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.orders import OrderPoints
from app.modules.membership.services.reading import MemberReading
from tests.modules.membership.conftest import Hire
from tests.modules.membership.points import adjust, again, balances, burn, delivered, enrol, programme, react
from tests.modules.orders.orders import line, order_of, ship, stepped
from tests.modules.support import acting, make, require_held
from tests.support.api import Company

Json = dict[str, Any]


async def test_others_see_cards_in_one_statement(company: Company, account: Json) -> None:
    club = await programme(company.owner)
    member = await enrol(company.owner, club, account)
    contact = await make(company.owner, "contacts", name="Wang")
    other = await make(company.owner, "loyalty-members", programme_id=club["id"], contact_id=contact["id"])
    await adjust(company.owner, member, 70)
    async with acting(company) as uow:
        found = await uow.of(Memberships).of([UUID(account["id"])], [UUID(contact["id"])])
        assert uow.statements == 1
    assert {(str(key), card.number, card.points) for key, cards in found.items() for card in cards} == {
        (account["id"], member["number"], 70),
        (contact["id"], other["number"], 0),
    }


async def test_pages_go_back_through_the_ledger_in_two_statements(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    for points in (10, 20, 30):
        await adjust(company.owner, member, points)
    path = f"/v1/loyalty-members/{member['id']}/transactions"
    first = await company.owner.ok("GET", path, params={"limit": "2"})
    rest = await company.owner.ok("GET", path, params={"limit": "2", "cursor": first["next_cursor"]})
    moved = [one["movements"][0]["points"] for one in first["data"] + rest["data"]]
    assert (moved, first["has_more"], rest["has_more"]) == ([30, 20, 10], True, False)
    async with acting(company) as uow:
        await MemberReading(uow).ledger(UUID(member["id"]), limit=2, cursor=None)
        assert uow.statements == 2


async def test_an_order_of_many_lines_earns_in_as_many_statements_as_one_of_few(
    company: Company, account: Json
) -> None:
    await enrol(company.owner, await programme(company.owner), account)
    counts = []
    for lines in (1, 40):
        order = await order_of(company.owner, account, *[line("1", "10.00") for _ in range(lines)])
        order = await stepped(company.owner, order, "confirm")
        await ship(company.owner, order)
        async with acting(company) as uow:
            await OrderPoints(uow).earn([UUID(order["id"])])
            counts.append(uow.statements)
        await react(company)
    assert counts[0] == counts[1] <= 20


async def test_a_colleague_without_the_right_moves_no_points(
    company: Company, account: Json, hire: Hire
) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 100)
    viewer = await hire("viewer")
    path = f"/v1/loyalty-members/{member['id']}"
    for what, body in (
        ("burns", {"points": 10}),
        ("adjustments", {"points": 10, "reason": "x"}),
        ("transfers", {"points": 10, "to_member_id": member["id"]}),
        ("events", {"event": "review", "reference": "x"}),
    ):
        assert (await viewer.post(f"{path}/{what}", body)).status_code == 403
    assert (await viewer.ok("GET", path))["points"] == 100


async def test_a_suspended_member_neither_earns_nor_burns(company: Company, account: Json) -> None:
    member = await enrol(company.owner, await programme(company.owner), account)
    await adjust(company.owner, member, 100)
    version = (await again(company.owner, member))["version"]
    path = f"/v1/loyalty-members/{member['id']}"
    await company.owner.ok("PATCH", path, json={"status": "suspended"}, if_match=version)
    await delivered(company, account)
    refused = await company.owner.post(f"{path}/burns", {"points": 10})
    assert (refused.status_code, refused.json()["code"], refused.json()["state"]) == (
        409, "member_not_active", "suspended",
    )  # fmt: skip
    assert await balances(company.owner, member) == (100, 0, 0, 0)
    await company.owner.ok("PATCH", path, json={"status": "active"}, if_match=version + 1)
    assert (await burn(company.owner, member, 10))["status"] == "committed"


async def test_a_member_joins_in_two_statements_and_by_the_rules_of_that_moment(
    company: Company, account: Json
) -> None:
    """One says whether the programmes are as they were and holds the account, one writes it all."""
    club = await programme(company.owner)
    await programme(company.owner, key="other")
    contact = await make(company.owner, "contacts", name="Wang")
    joins = {"programme_id": club["id"], "contact_id": contact["id"]}
    await make(company.owner, "loyalty-members", **joins)
    async with acting(company) as uow:
        body = LoyaltyMemberCreate(programme_id=UUID(club["id"]), account_id=UUID(account["id"]))
        await LoyaltyMemberService(uow).create(fields_of(body))
        await require_held(company, "customers.accounts", account["id"])
    assert uow.statements == 2
    await company.owner.ok(
        "PATCH", f"/v1/loyalty-programmes/{club['id']}", json={"active": False}, if_match=club["version"]
    )
    refused = await company.owner.post("/v1/loyalty-members", joins)
    assert (refused.status_code, refused.json()["code"]) == (409, "programme_closed")
