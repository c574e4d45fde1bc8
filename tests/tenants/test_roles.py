"""Roles: built-in ones stay, own ones grant and hide."""

import httpx

from tests.tenants.people import code_of, colleague, role_id


async def make(company, name="Scout", **body):
    return await company.owner.ok("POST", "/v1/roles", json={"name": name} | body)


async def test_built_in_roles_follow_what_modules_declare_and_stay(company):
    roles = {r["key"]: r for r in (await company.owner.ok("GET", "/v1/roles"))["data"]}
    known = {p["name"] for p in (await company.owner.ok("GET", "/v1/permissions"))["data"]}
    assert set(roles["owner"]["grants"]) == known
    assert set(roles["owner"]["grants"].values()) == {"all"}
    assert roles["manager"]["grants"]["toy:read"] == "team_and_below"
    assert roles["salesperson"]["grants"]["toy:update"] == "own"
    assert "toy:create" not in roles["viewer"]["grants"]
    url = f"/v1/roles/{roles['viewer']['id']}"
    assert code_of(await company.owner.patch(url, {"name": "x"}, if_match=1)) == (409, "built_in_role")
    assert code_of(await company.owner.delete(url, if_match=1)) == (409, "built_in_role")
    assert await company.owner.ok("GET", url) == roles["viewer"]


async def test_a_clone_can_be_changed(company):
    viewer = await role_id(company, "viewer")
    clone = await company.owner.ok("POST", f"/v1/roles/{viewer}/clone", json={"name": "Auditor"})
    original = await company.owner.ok("GET", f"/v1/roles/{viewer}")
    assert (clone["built_in"], clone["grants"]) == (False, original["grants"])
    changed = await company.owner.ok(
        "PATCH", f"/v1/roles/{clone['id']}", json={"grants": {"toy:read": "own"}}, if_match=1
    )
    assert (changed["grants"], changed["version"]) == ({"toy:read": "own"}, 2)
    taken = await company.owner.post(f"/v1/roles/{viewer}/clone", {"name": "Auditor"})
    assert code_of(taken) == (409, "duplicate_value")
    assert taken.json()["errors"][0]["pointer"] == "/name"


async def test_scopes_of_several_roles_add_up(company, look):
    reader = await make(company, "Reader", grants={"toy:read": "all"})
    writer = await make(company, "Writer", grants={"toy:read": "own", "toy:create": "all"})
    mate = await colleague(company, look, role_ids=[reader["id"], writer["id"]])
    grants = {g["permission"]: g["scope"] for g in (await mate.ok("GET", "/v1/me/permissions"))["grants"]}
    assert grants == {"toy:read": "all", "toy:create": "all"}


async def test_a_field_is_hidden_only_if_every_role_hides_it(app, company, look):
    grants = {"toy:read": "all", "toy:create": "all", "toy:update": "all"}
    one = await make(company, "One", grants=grants, field_rules={"toy": {"hidden": ["price", "email"]}})
    two = await make(
        company,
        "Two",
        grants=grants,
        field_rules={"toy": {"hidden": ["price"], "readonly": ["name", "email"]}},
    )
    mate = await colleague(company, look, role_ids=[one["id"], two["id"]])
    fields = (await mate.ok("GET", "/v1/me/permissions"))["fields"]
    assert fields == [{"object": "toy", "hidden": ["price"], "readonly": ["email", "price"]}]
    toy = await company.owner.ok("POST", "/v1/toys", json={"name": "Car", "email": "a@example.com"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rapport.test") as plain:
        headers = {"Authorization": f"Bearer {mate.token}"}
        seen = (await plain.get(f"/v1/toys/{toy['id']}", headers=headers)).json()
    assert "price" not in seen
    assert seen["email"] == "a@example.com"
    refused = await mate.patch(f"/v1/toys/{toy['id']}", {"email": "b@example.com"}, if_match=1)
    assert code_of(refused) == (403, "forbidden")
    assert (await company.owner.ok("GET", f"/v1/toys/{toy['id']}"))["email"] == "a@example.com"


async def test_changing_a_role_changes_what_its_members_may_at_once(company, look):
    role = await make(company, grants={"team:read": "all"})
    mate = await colleague(company, look, role_ids=[role["id"]])
    assert (await mate.get("/v1/teams")).status_code == 200
    assert (await mate.get("/v1/teams")).status_code == 200
    await company.owner.ok("PATCH", f"/v1/roles/{role['id']}", json={"grants": {}}, if_match=1)
    assert code_of(await mate.get("/v1/teams")) == (403, "forbidden")


async def test_nobody_makes_a_role_that_may_more_than_they(company, look):
    role = await make(
        company, "Staff", grants={"role:manage": "all", "toy:read": "team", "member:update": "all"}
    )
    mate = await colleague(company, look, role_ids=[role["id"]])
    wide = await mate.post("/v1/roles", {"name": "Wide", "grants": {"toy:read": "all"}})
    assert (code_of(wide), wide.json()["permissions"]) == ((403, "grant_too_wide"), ["toy:read"])
    viewer = await role_id(company, "viewer")
    assert code_of(await mate.post(f"/v1/roles/{viewer}/clone", {"name": "Copy"})) == (403, "grant_too_wide")
    mine = {"grants": {"role:manage": "all", "toy:read": "all"}}
    assert code_of(await mate.patch(f"/v1/roles/{role['id']}", mine, if_match=1)) == (403, "grant_too_wide")
    me = f"/v1/members/{mate.facts['member_id']}"
    assert code_of(await mate.patch(me, {"role_ids": [viewer]}, if_match=1)) == (403, "grant_too_wide")
    names = {r["name"] for r in (await company.owner.ok("GET", "/v1/roles"))["data"]}
    assert {"Wide", "Copy"} & names == set()


async def test_unknown_permissions_objects_and_fields_are_named(company):
    answer = await company.owner.post("/v1/roles", {"name": "x", "grants": {"toy:fly": "all"}})
    assert answer.json()["errors"][0]["pointer"] == "/grants/toy:fly"
    rules = {"moon": {"hidden": ["a"]}, "toy": {"readonly": ["wings"], "hidden": ["id"]}}
    answer = await company.owner.post("/v1/roles", {"name": "x", "field_rules": rules})
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        ("/field_rules/moon", "unknown_object"),
        ("/field_rules/toy/hidden", "unknown_field"),
        ("/field_rules/toy/readonly", "unknown_field"),
    ]
    answer = await company.owner.post("/v1/roles", {"name": "x", "grants": {"toy:read": "some"}})
    assert answer.status_code == 422


async def test_a_role_in_use_cannot_be_deleted(company, rival, look):
    role = await make(company)
    url = f"/v1/roles/{role['id']}"
    mate = await colleague(company, look, role_ids=[role["id"]])
    assert code_of(await company.owner.delete(url, if_match=1)) == (409, "role_in_use")
    assert (await rival.owner.delete(url, if_match=1)).status_code == 404
    assert (await rival.owner.patch(url, {"name": "y"}, if_match=1)).status_code == 404
    assert (await company.owner.get(url)).status_code == 200
    member = f"/v1/members/{mate.facts['member_id']}"
    await company.owner.ok("PATCH", member, json={"role_ids": [await role_id(company, "viewer")]}, if_match=1)
    assert (await company.owner.delete(url, if_match=1)).status_code == 204
    assert (await company.owner.get(url)).status_code == 404
    assert len(await look.audit(company.tenant_id, "deleted")) == 1
