"""Members: roles, teams, managers, leaving and coming back."""

import asyncio

from tests.support.api import PASSWORD, Client
from tests.tenants.people import code_of, colleague, role_id, stranger_from


async def member(company, client):
    return await company.owner.ok("GET", f"/v1/members/{client.facts['member_id']}")


async def patch(company, client, by=None, **body):
    row = await member(company, client)
    return await (by or company.owner).patch(f"/v1/members/{row['id']}", body, if_match=row["version"])


async def test_members_are_listed_by_name_page_by_page(company, look, rival):
    for name in ("Zoe", "Ada", "Bob"):
        await colleague(company, look, name=name)
    first = await company.owner.ok("GET", "/v1/members?limit=2")
    assert [m["name"] for m in first["data"]] == ["Ada", "Bob"]
    assert first["has_more"] is True
    rest = await company.owner.ok("GET", f"/v1/members?limit=2&cursor={first['next_cursor']}")
    assert [m["name"] for m in rest["data"]] == ["Olivia Owner", "Zoe"]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)
    for url in (f"/v1/members?limit=2&q=a&cursor={first['next_cursor']}", "/v1/members?cursor=nonsense"):
        assert code_of(await company.owner.get(url)) == (400, "invalid_cursor")
    stolen = await rival.owner.get(f"/v1/members?limit=2&cursor={first['next_cursor']}")
    assert code_of(stolen) == (400, "invalid_cursor")


async def test_members_are_found_by_part_of_name_or_address_role_team_and_status(company, look):
    ada = await colleague(company, look, "manager", name="Ada Lovelace")
    manager = await role_id(company, "manager")
    for query in ("q=LOVE", f"q={ada.facts['email'][:9]}", f"role_id={manager}"):
        found = await company.owner.ok("GET", f"/v1/members?{query}")
        assert [m["name"] for m in found["data"]] == ["Ada Lovelace"], query
    team = (await company.owner.ok("GET", "/v1/teams"))["data"][0]["id"]
    found = await company.owner.ok("GET", f"/v1/members?team_id={team}")
    assert [m["name"] for m in found["data"]] == ["Olivia Owner"]
    assert (await company.owner.ok("GET", "/v1/members?status=deactivated"))["data"] == []
    assert (await company.owner.get("/v1/members?name=Ada")).status_code == 400


async def test_a_role_change_holds_at_once_in_running_sessions(company, look):
    mate = await colleague(company, look, "viewer")
    for _ in range(3):
        assert code_of(await mate.post("/v1/teams", {"name": "North"})) == (403, "forbidden")
        await asyncio.sleep(0.01)
    assert (await patch(company, mate, role_ids=[await role_id(company, "admin")])).status_code == 200
    assert (await mate.post("/v1/teams", {"name": "North"})).status_code == 201
    assert (await patch(company, mate, role_ids=[await role_id(company, "viewer")])).status_code == 200
    assert code_of(await mate.post("/v1/teams", {"name": "South"})) == (403, "forbidden")


async def test_changes_are_audited_by_field(company, look):
    mate = await colleague(company, look)
    answer = await patch(company, mate, title="Key accounts")
    assert (answer.json()["title"], answer.json()["version"], answer.headers["etag"]) == (
        "Key accounts",
        2,
        '"2"',
    )
    entries = [
        e
        for e in await look.audit(company.tenant_id, "updated")
        if str(e["record_id"]) == mate.facts["member_id"]
    ]
    assert [e["changes"] for e in entries] == [{"title": [None, "Key accounts"]}]


async def test_stale_unversioned_and_foreign_changes_change_nothing(company, rival, look):
    mate = await colleague(company, look)
    url = f"/v1/members/{mate.facts['member_id']}"
    assert (await company.owner.patch(url, {"title": "x"})).status_code == 428
    assert code_of(await company.owner.patch(url, {"title": "x"}, if_match=9)) == (412, "stale_version")
    assert (await rival.owner.patch(url, {"title": "x"}, if_match=1)).status_code == 404
    assert (await rival.owner.get(url)).status_code == 404
    assert code_of(await mate.patch(url, {"title": "x"}, if_match=1)) == (403, "forbidden")
    assert (await member(company, mate))["title"] is None


async def test_an_admin_makes_no_owner_and_touches_none(company, look):
    admin = await colleague(company, look, "admin")
    mate = await colleague(company, look)
    owner_role = await role_id(company, "owner")
    assert code_of(await patch(company, mate, by=admin, role_ids=[owner_role])) == (403, "forbidden")
    assert code_of(await patch(company, admin, by=admin, role_ids=[owner_role])) == (403, "forbidden")
    url = f"/v1/members/{company.member_id}"
    owner = await company.owner.ok("GET", url)
    demoted = await admin.patch(
        url, {"role_ids": [await role_id(company, "viewer")]}, if_match=owner["version"]
    )
    assert code_of(demoted) == (403, "forbidden")
    assert code_of(await admin.post(f"{url}/deactivate", {}, if_match=owner["version"])) == (403, "forbidden")
    assert await company.owner.ok("GET", url) == owner


async def test_the_last_owner_stays_owner_and_stays(company, look):
    url = f"/v1/members/{company.member_id}"
    viewer = await role_id(company, "viewer")
    assert code_of(await company.owner.patch(url, {"role_ids": [viewer]}, if_match=1)) == (409, "last_owner")
    assert code_of(await company.owner.post(f"{url}/deactivate", {}, if_match=1)) == (409, "last_owner")
    second = await colleague(company, look, "owner")
    assert (await company.owner.patch(url, {"role_ids": [viewer]}, if_match=1)).status_code == 200
    seconds = f"/v1/members/{second.facts['member_id']}"
    assert code_of(await second.post(f"{seconds}/deactivate", {}, if_match=1)) == (409, "last_owner")


async def test_two_owners_who_demote_each_other_at_once_leave_one(company, look):
    second = await colleague(company, look, "owner")
    viewer = await role_id(company, "viewer")
    one, two = f"/v1/members/{company.member_id}", f"/v1/members/{second.facts['member_id']}"
    answers = await asyncio.gather(
        company.owner.patch(two, {"role_ids": [viewer]}, if_match=1),
        second.patch(one, {"role_ids": [viewer]}, if_match=1),
    )
    assert min(a.status_code for a in answers) == 200
    owner_role = await look.value(
        "SELECT id FROM tenants.roles WHERE tenant_id = $1 AND key = 'owner'", company.tenant_id
    )
    owners = await look.value(
        "SELECT count(*) FROM tenants.members WHERE tenant_id = $1 AND $2 = ANY(role_ids)",
        company.tenant_id,
        owner_role,
    )
    assert owners == 1


async def test_reporting_lines_close_no_circle(company, look):
    ada, bob, cyd = [await colleague(company, look, name=n) for n in ("Ada", "Bob", "Cyd")]
    assert (await patch(company, bob, manager_id=ada.facts["member_id"])).status_code == 200
    assert (await patch(company, cyd, manager_id=bob.facts["member_id"])).status_code == 200
    answer = await patch(company, ada, manager_id=cyd.facts["member_id"])
    assert answer.json()["errors"] == [
        {"pointer": "/manager_id", "code": "circle", "detail": "This would close a circle."}
    ]
    assert (await member(company, ada))["manager_id"] is None


async def test_unknown_roles_teams_and_managers_of_others_are_refused(company, rival, look):
    mate = await colleague(company, look)
    foreign_role = await role_id(rival, "viewer")
    foreign_team = (await rival.owner.ok("GET", "/v1/teams"))["data"][0]["id"]
    for body, code in (
        ({"role_ids": [foreign_role]}, "unknown_role"),
        ({"team_ids": [foreign_team]}, "unknown_team"),
        ({"manager_id": str(rival.member_id)}, "unknown_member"),
        ({"role_ids": []}, "too_short"),
        ({"role_ids": None}, "required"),
    ):
        answer = await patch(company, mate, **body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert (await member(company, mate))["version"] == 1


async def test_deactivation_ends_sessions_and_keys_and_hands_everything_over(company, look, app):
    leaver, heir = await colleague(company, look, "manager"), await colleague(company, look)
    report = await colleague(company, look)
    await patch(company, report, manager_id=leaver.facts["member_id"])
    await patch(company, leaver, manager_id=str(company.member_id))
    team = await company.owner.ok(
        "POST", "/v1/teams", json={"name": "North", "manager_id": leaver.facts["member_id"]}
    )
    await patch(company, heir, team_ids=[team["id"]])
    key = await leaver.ok("POST", "/v1/api-keys", json={"name": "k"})
    toys = [await leaver.ok("POST", "/v1/toys", json={"name": f"Toy {n}"}) for n in range(3)]
    kept = await company.owner.ok("POST", "/v1/toys", json={"name": "Mine"})

    row = await member(company, leaver)
    done = await company.owner.ok(
        "POST",
        f"/v1/members/{row['id']}/deactivate",
        json={"hand_over_to": heir.facts["member_id"]},
        if_match=row["version"],
    )
    assert done["handed_over"] == {"toy": 3}
    assert done["member"]["status"] == "deactivated"
    assert (await leaver.get("/v1/me")).status_code == 401
    assert (await Client(company.http, token=key["key"]).get("/v1/me")).status_code == 401
    refreshed = await stranger_from(app).post(
        "/v1/sessions/refresh", {"refresh_token": leaver.facts["refresh_token"]}
    )
    assert refreshed.status_code == 401
    sign_in = await stranger_from(app).post(
        "/v1/sessions", {"email": leaver.facts["email"], "password": PASSWORD}
    )
    assert code_of(sign_in) == (403, "no_membership")
    for toy in toys:
        now = await company.owner.ok("GET", f"/v1/toys/{toy['id']}")
        assert (now["owner_id"], now["team_id"], now["version"]) == (heir.facts["member_id"], team["id"], 2)
    assert (await company.owner.ok("GET", f"/v1/toys/{kept['id']}"))["version"] == 1
    assert (await member(company, report))["manager_id"] == str(company.member_id)
    assert (await company.owner.ok("GET", f"/v1/teams/{team['id']}"))["manager_id"] == heir.facts["member_id"]
    audit = await look.audit(company.tenant_id, "handed_over")
    assert {str(e["record_id"]) for e in audit} == {t["id"] for t in toys}
    assert audit[0]["changes"]["owner_id"] == [leaver.facts["member_id"], heir.facts["member_id"]]
    events = await look.rows(
        "SELECT record_id, data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'toys.toy.updated.v1'",
        company.tenant_id,
    )
    assert {str(e["record_id"]) for e in events} == {t["id"] for t in toys}


async def test_handing_over_to_oneself_a_stranger_or_somebody_gone_changes_nothing(company, rival, look):
    leaver, gone = await colleague(company, look), await colleague(company, look)
    await company.owner.ok("POST", f"/v1/members/{gone.facts['member_id']}/deactivate", json={}, if_match=1)
    url = f"/v1/members/{leaver.facts['member_id']}/deactivate"
    for heir in (leaver.facts["member_id"], str(rival.member_id), gone.facts["member_id"]):
        answer = await company.owner.post(url, {"hand_over_to": heir}, if_match=1)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/hand_over_to")
    assert (await leaver.get("/v1/me")).status_code == 200
    again = await company.owner.post(f"/v1/members/{gone.facts['member_id']}/deactivate", {}, if_match=2)
    assert code_of(again) == (409, "member_inactive")


async def test_a_reactivated_member_signs_in_with_the_old_roles_but_not_the_old_keys(company, look, app):
    mate = await colleague(company, look, "manager")
    key = await mate.ok("POST", "/v1/api-keys", json={"name": "k"})
    url = f"/v1/members/{mate.facts['member_id']}"
    assert code_of(await company.owner.post(f"{url}/reactivate", if_match=1)) == (409, "member_active")
    await company.owner.ok("POST", f"{url}/deactivate", json={}, if_match=1)
    back = await company.owner.ok("POST", f"{url}/reactivate", if_match=2)
    assert (back["status"], back["role_ids"]) == ("active", [await role_id(company, "manager")])
    answer = await stranger_from(app).post(
        "/v1/sessions", {"email": mate.facts["email"], "password": PASSWORD}
    )
    assert answer.status_code == 200
    assert (await mate.get("/v1/me")).status_code == 401
    assert (await Client(company.http, token=key["key"]).get("/v1/me")).status_code == 401


async def test_me_can_change_name_title_and_language(company, look):
    me = await company.owner.ok("GET", "/v1/me")
    assert (await company.owner.patch("/v1/me", {"name": None}, if_match=me["version"])).status_code == 422
    assert (await company.owner.patch("/v1/me", {"role_keys": []}, if_match=1)).status_code == 422
    new = await company.owner.ok(
        "PATCH",
        "/v1/me",
        json={"name": "Olivia O.", "title": "CEO", "locale": "zh-CN"},
        if_match=me["version"],
    )
    assert (new["name"], new["title"], new["locale"], new["version"]) == ("Olivia O.", "CEO", "zh-CN", 2)
    assert (await company.owner.patch("/v1/me", {"title": "x"}, if_match=1)).status_code == 412
