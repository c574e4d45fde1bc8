"""The buyer's committee, the team, and shares that always add up."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import pytest

from app.modules.opportunities.services.committee import CommitteeService
from app.modules.opportunities.services.costs import CostService
from app.modules.opportunities.services.team import TeamService
from tests.modules.opportunities.conftest import Hire
from tests.modules.opportunities.deals import again, pointers
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company
from tests.tenants.people import code_of


def team_path(deal: dict[str, Any]) -> str:
    return f"/v1/opportunities/{deal['id']}/team"


async def join(owner: Client, deal: dict[str, Any], member: Client, **more: Any) -> dict[str, Any]:
    body = {"member_id": member.facts["member_id"], "role": "presales"} | more
    found: dict[str, Any] = await owner.ok("POST", team_path(deal), json=body)
    return found


def shares(kind: str, *pairs: tuple[Any, str]) -> dict[str, Any]:
    return {"kind": kind, "splits": [{"member_id": str(member), "percent": share} for member, share in pairs]}


async def set_splits(owner: Client, deal: dict[str, Any], body: dict[str, Any]) -> Any:
    version = (await again(owner, deal))["version"]
    return await owner.ok("PUT", f"/v1/opportunities/{deal['id']}/splits", json=body, if_match=version)


def percents(team: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return [(one["member_id"], one["percent"]) for one in team[kind]]


# -- committee -----------------------------------------------------------------------------------------------


async def test_the_committee_shows_contacts_by_role_with_one_primary(owner: Client) -> None:
    deal = await make(owner, "opportunities", name="A")
    path = f"/v1/opportunities/{deal['id']}/contacts"
    ann, bob = [await make(owner, "contacts", given_name=n, family_name="Reed") for n in ("Ann", "Bob")]
    first = await owner.ok("POST", path, json={"contact_id": ann["id"], "role": "user", "is_primary": True})
    await owner.ok(
        "POST", path,
        json={"contact_id": bob["id"], "role": "decision_maker", "attitude": "opponent", "is_primary": True},
    )  # fmt: skip
    seats = (await owner.ok("GET", path))["data"]
    assert [(s["contact_name"], s["role"], s["attitude"], s["is_primary"]) for s in seats] == [
        ("Bob Reed", "decision_maker", "opponent", True), ("Ann Reed", "user", "unknown", False),
    ]  # fmt: skip
    twice = await owner.post(path, {"contact_id": ann["id"], "role": "champion"})
    assert code_of(twice) == (409, "duplicate_value")
    changed = await owner.ok("PATCH", f"{path}/{first['id']}", json={"role": "champion"}, if_match=2)
    assert (changed["role"], changed["version"]) == ("champion", 3)
    assert code_of(await owner.delete(f"{path}/{first['id']}", if_match=2)) == (412, "stale_version")
    await owner.ok("DELETE", f"{path}/{first['id']}", if_match=3)
    assert [seat["contact_name"] for seat in (await owner.ok("GET", path))["data"]] == ["Bob Reed"]


async def test_a_contact_that_one_may_not_see_has_no_seat(owner: Client, rival: Company) -> None:
    deal = await make(owner, "opportunities", name="A")
    theirs = await make(rival.owner, "contacts", family_name="Foreign")
    path = f"/v1/opportunities/{deal['id']}/contacts"
    refused = await owner.post(path, {"contact_id": theirs["id"], "role": "user"})
    assert pointers(refused) == [("/contact_id", "unknown_reference")]
    assert (await owner.ok("GET", path))["data"] == []


# -- team ----------------------------------------------------------------------------------------------------


async def test_a_team_member_sees_the_deal_and_changes_it_as_far_as_they_may(
    owner: Client, hire: Hire
) -> None:
    deal = await make(owner, "opportunities", name="A")
    path = f"/v1/opportunities/{deal['id']}"
    seller = await hire()
    assert (await seller.get(path)).status_code == 404
    joined = await join(owner, deal, seller)
    assert (joined["role"], joined["access"]) == ("presales", "read")
    seen = await seller.ok("GET", path)
    assert seen["team_member_ids"] == [seller.facts["member_id"]]
    mine = await seller.ok("GET", f"/v1/opportunities?team_member_ids[has_any]={seller.facts['member_id']}")
    assert [one["id"] for one in mine["data"]] == [deal["id"]]
    refused = await seller.patch(path, {"name": "B"}, if_match=seen["version"])
    assert code_of(refused) == (403, "forbidden")
    await owner.ok("PATCH", f"{team_path(deal)}/{joined['id']}", json={"access": "write"}, if_match=1)
    renamed = await seller.ok("PATCH", path, json={"name": "B"}, if_match=seen["version"])
    assert renamed["name"] == "B"
    await owner.ok("DELETE", f"{team_path(deal)}/{joined['id']}", if_match=2)
    assert (await seller.get(path)).status_code == 404
    assert (await again(owner, deal))["team_member_ids"] == []


async def test_who_is_in_it_or_owns_it_or_is_unknown_does_not_join(
    company: Company, owner: Client, hire: Hire, rival: Company
) -> None:
    deal = await make(owner, "opportunities", name="A")
    seller = await hire()
    await join(owner, deal, seller)
    before = await owner.ok("GET", team_path(deal))
    twice = await owner.post(team_path(deal), {"member_id": seller.facts["member_id"], "role": "x"})
    assert code_of(twice) == (409, "duplicate_value")
    for member, code in ((company.member_id, "is_owner"), (rival.member_id, "unknown_member")):
        refused = await owner.post(team_path(deal), {"member_id": str(member), "role": "x"})
        assert pointers(refused) == [("/member_id", code)]
    assert await owner.ok("GET", team_path(deal)) == before


async def test_who_only_reads_a_deal_lets_nobody_in(owner: Client, hire: Hire) -> None:
    deal = await make(owner, "opportunities", name="A")
    reader, other = await hire(), await hire()
    await join(owner, deal, reader)
    refused = await reader.post(team_path(deal), {"member_id": other.facts["member_id"], "role": "x"})
    assert code_of(refused) == (403, "forbidden")
    assert (await other.get(f"/v1/opportunities/{deal['id']}")).status_code == 404


# -- splits --------------------------------------------------------------------------------------------------


async def test_revenue_adds_up_to_a_hundred_and_overlay_to_anything(
    company: Company, owner: Client, hire: Hire
) -> None:
    deal = await make(owner, "opportunities", name="A")
    seller = await hire()
    await join(owner, deal, seller)
    me, them = str(company.member_id), seller.facts["member_id"]
    path = f"/v1/opportunities/{deal['id']}/splits"
    team = await set_splits(owner, deal, shares("revenue", (me, "66.6667"), (them, "33.3333")))
    assert percents(team, "revenue") == [(me, "66.6667"), (them, "33.3333")]
    team = await set_splits(owner, deal, shares("overlay", (me, "100"), (them, "80.5")))
    assert percents(team, "overlay") == [(me, "100"), (them, "80.5")]
    version = (await again(owner, deal))["version"]
    for body, pointer, code in (
        (shares("revenue", (me, "66.6667"), (them, "33.3332")), "", "not_a_hundred"),
        (shares("revenue", (me, "50"), (me, "50")), "", "duplicate_member"),
        (shares("revenue", (me, "100"), (them, "0")), "", "empty_share"),
        (shares("revenue", (me, "100.0001")), "/splits/0/percent", "string_pattern_mismatch"),
        (shares("revenue", (deal["id"], "100")), "/splits/0/member_id", "not_in_team"),
    ):
        assert pointers(await owner.put(path, body, if_match=version)) == [(pointer, code)]
    stale = await owner.put(path, shares("revenue", (me, "100")), if_match=version - 1)
    assert code_of(stale) == (412, "stale_version")
    assert await owner.ok("GET", team_path(deal)) == team
    assert percents(await set_splits(owner, deal, shares("revenue")), "revenue") == []


async def test_who_leaves_passes_their_revenue_share_to_the_owner(
    company: Company, owner: Client, hire: Hire
) -> None:
    deal = await make(owner, "opportunities", name="A")
    one, two = await hire(), await hire()
    first, second = await join(owner, deal, one), await join(owner, deal, two)
    me, a, b = str(company.member_id), one.facts["member_id"], two.facts["member_id"]
    await set_splits(owner, deal, shares("revenue", (a, "60"), (b, "40")))
    await set_splits(owner, deal, shares("overlay", (a, "30"), (me, "20")))
    await owner.ok("DELETE", f"{team_path(deal)}/{first['id']}", if_match=1)
    team = await owner.ok("GET", team_path(deal))
    assert (sorted(percents(team, "revenue")), percents(team, "overlay")) == (
        sorted([(b, "40"), (me, "60")]), [(me, "20")],
    )  # fmt: skip
    await owner.ok("DELETE", f"{team_path(deal)}/{second['id']}", if_match=1)
    assert percents(await owner.ok("GET", team_path(deal)), "revenue") == [(me, "100")]


async def test_an_owner_who_leaves_the_team_passes_their_share_to_whoever_has_most(
    company: Company, owner: Client, hire: Hire
) -> None:
    deal = await make(owner, "opportunities", name="A")
    one, two, three = await hire(), await hire(), await hire()
    first = await join(owner, deal, one)
    await join(owner, deal, two)
    await join(owner, deal, three)
    a, b, c = (member.facts["member_id"] for member in (one, two, three))
    await set_splits(owner, deal, shares("revenue", (a, "20"), (b, "40"), (c, "40")))
    transfer = {"ids": [deal["id"]], "owner_id": a}
    await owner.ok("POST", "/v1/opportunities/transfer", json=transfer)
    await owner.ok("DELETE", f"{team_path(deal)}/{first['id']}", if_match=1)
    assert percents(await owner.ok("GET", team_path(deal)), "revenue") == [(b, "60"), (c, "40")]


@pytest.mark.parametrize("way", ["set", "leave"])
async def test_shares_add_up_however_many_change_them_at_once(
    company: Company, owner: Client, hire: Hire, way: str
) -> None:
    deal = await make(owner, "opportunities", name="A")
    members = [await hire() for _ in range(4)]
    joined = [await join(owner, deal, member) for member in members]
    ids = [member.facts["member_id"] for member in members]
    version = (await again(owner, deal))["version"]
    path = f"/v1/opportunities/{deal['id']}/splits"
    if way == "leave":
        await set_splits(owner, deal, shares("revenue", *((id, "25") for id in ids)))
        await asyncio.gather(
            *(owner.ok("DELETE", f"{team_path(deal)}/{one['id']}", if_match=1) for one in joined)
        )
        expected = [(str(company.member_id), "100")]
        assert percents(await owner.ok("GET", team_path(deal)), "revenue") == expected
        return
    pairs = itertools.cycle(itertools.permutations(ids, 2))
    answers = await asyncio.gather(
        *(
            owner.put(path, shares("revenue", (one, "99.5"), (two, "0.5")), if_match=version)
            for one, two in itertools.islice(pairs, 200)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 199
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT percent FROM opportunities.splits WHERE tenant_id = $1 AND kind = 'revenue'",
            uow.tenant_id,
        )
    assert sorted(row["percent"] for row in rows) == [Decimal("0.5"), Decimal("99.5")]


async def test_team_committee_and_costs_take_few_statements_however_many(
    company: Company, owner: Client, hire: Hire
) -> None:
    deal = await make(owner, "opportunities", name="A")
    path = f"/v1/opportunities/{deal['id']}"
    for number in range(3):
        await join(owner, deal, await hire())
        contact = await make(owner, "contacts", family_name=f"Reed {number}")
        await owner.ok("POST", f"{path}/contacts", json={"contact_id": contact["id"], "role": "user"})
        cost = {"kind": "travel", "amount": {"amount": "1.00", "currency": "USD"}}
        await owner.ok("POST", f"{path}/costs", json=cost)
    for service, most in ((TeamService, 5), (CommitteeService, 3), (CostService, 3)):
        async with acting(company) as uow:
            before = uow.statements
            assert len((await service(uow).all(subject_id(deal))).data) == 3
            assert uow.statements - before <= most
