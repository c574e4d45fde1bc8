"""Teams: a tree that decides who sees what."""

import asyncio

from tests.tenants.people import code_of, colleague, role_id


async def make(company, name, **body):
    return await company.owner.ok("POST", "/v1/teams", json={"name": name} | body)


async def test_scopes_reach_along_the_tree(company, look):
    top = await make(company, "China")
    below = await make(company, "Shanghai", parent_id=top["id"])
    aside = await make(company, "Beijing", parent_id=top["id"])
    manager = await colleague(company, look, "manager", team_ids=[top["id"]])
    in_shanghai = await colleague(company, look, team_ids=[below["id"]])
    in_beijing = await colleague(company, look, team_ids=[aside["id"]])
    toy = await in_shanghai.ok("POST", "/v1/toys", json={"name": "Kite"})
    assert toy["team_id"] == below["id"]
    assert (await manager.get(f"/v1/toys/{toy['id']}")).status_code == 200
    assert (await in_beijing.get(f"/v1/toys/{toy['id']}")).status_code == 404
    assert (await manager.patch(f"/v1/toys/{toy['id']}", {"name": "Drake"}, if_match=1)).status_code == 200


async def test_the_manager_of_a_team_belongs_to_it(company, look):
    leader = await colleague(company, look, "manager")
    team = await make(company, "North", manager_id=leader.facts["member_id"])
    seller = await colleague(company, look, team_ids=[team["id"]])
    toy = await seller.ok("POST", "/v1/toys", json={"name": "Kite"})
    assert (await leader.get(f"/v1/toys/{toy['id']}")).status_code == 200
    await company.owner.ok("PATCH", f"/v1/teams/{team['id']}", json={"manager_id": None}, if_match=1)
    assert (await leader.get(f"/v1/toys/{toy['id']}")).status_code == 404


async def test_the_tree_closes_no_circle_even_when_two_move_at_once(company):
    one, two = await make(company, "One"), await make(company, "Two")
    answers = await asyncio.gather(
        company.owner.patch(f"/v1/teams/{one['id']}", {"parent_id": two["id"]}, if_match=1),
        company.owner.patch(f"/v1/teams/{two['id']}", {"parent_id": one["id"]}, if_match=1),
    )
    assert sorted(a.status_code for a in answers) in ([200, 422], [200, 503])
    teams = {t["id"]: t["parent_id"] for t in (await company.owner.ok("GET", "/v1/teams"))["data"]}
    assert [teams[one["id"]], teams[two["id"]]].count(None) == 1
    itself = await company.owner.patch(f"/v1/teams/{one['id']}", {"parent_id": one["id"]}, if_match=9)
    assert itself.status_code == 412


async def test_the_tree_has_at_most_twenty_levels(company):
    parent = None
    for level in range(20):
        parent = (await make(company, f"Level {level}", parent_id=parent))["id"]
    answer = await company.owner.post("/v1/teams", {"name": "Level 20", "parent_id": parent})
    assert answer.json()["errors"][0]["code"] == "too_deep"


async def test_a_team_with_people_teams_or_records_stays(company, look):
    top = await make(company, "Top")
    low = await make(company, "Low", parent_id=top["id"])
    assert code_of(await company.owner.delete(f"/v1/teams/{top['id']}", if_match=1)) == (409, "team_in_use")
    mate = await colleague(company, look, team_ids=[low["id"]])
    assert code_of(await company.owner.delete(f"/v1/teams/{low['id']}", if_match=1)) == (409, "team_in_use")
    toy = await mate.ok("POST", "/v1/toys", json={"name": "Kite"})
    member = f"/v1/members/{mate.facts['member_id']}"
    await company.owner.ok("PATCH", member, json={"team_ids": []}, if_match=1)
    answer = await company.owner.delete(f"/v1/teams/{low['id']}", if_match=1)
    assert (code_of(answer), answer.json()["object"]) == ((409, "team_in_use"), "toy")
    await company.owner.request("DELETE", f"/v1/toys/{toy['id']}", if_match=1)
    assert (await company.owner.delete(f"/v1/teams/{low['id']}", if_match=1)).status_code == 204
    assert (await company.owner.get(f"/v1/teams/{low['id']}")).status_code == 404


async def test_names_are_unique_and_foreign_teams_do_not_exist(company, rival, look):
    team = await make(company, "North")
    assert code_of(await company.owner.post("/v1/teams", {"name": "North"})) == (409, "duplicate_value")
    assert (await rival.owner.get(f"/v1/teams/{team['id']}")).status_code == 404
    assert (await rival.owner.patch(f"/v1/teams/{team['id']}", {"name": "x"}, if_match=1)).status_code == 404
    below = await rival.owner.post("/v1/teams", {"name": "Below", "parent_id": team["id"]})
    assert below.json()["errors"][0]["code"] == "unknown_team"
    seller = await colleague(company, look, role_ids=[await role_id(company, "salesperson")])
    assert code_of(await seller.post("/v1/teams", {"name": "Own"})) == (403, "forbidden")
    assert {t["name"] for t in (await company.owner.ok("GET", "/v1/teams"))["data"]} == {"North", "Sales"}
