"""Invitations: asked once, accepted once."""

import asyncio

from tests.support.api import PASSWORD, Client
from tests.tenants.people import code_of, colleague, role_id, stranger_from, unique_email


async def invite(company, email, **body):
    return await company.owner.ok("POST", "/v1/invitations", json={"email": email, "name": "Mei Lin"} | body)


async def accept(app, token, **body):
    return await stranger_from(app).post(
        "/v1/invitations/accept", {"token": token, "password": PASSWORD} | body
    )


async def count_members(company):
    return len((await company.owner.ok("GET", "/v1/members?limit=200"))["data"])


async def test_an_invited_person_joins_with_the_roles_and_teams_of_the_invitation(app, company, look):
    email = unique_email()
    team = (await company.owner.ok("GET", "/v1/teams"))["data"][0]["id"]
    made = await invite(company, email, team_ids=[team])
    assert (made["status"], made["expired"], made["role_ids"]) == (
        "pending",
        False,
        [await role_id(company, "salesperson")],
    )
    mail = (await look.mails(email))[0]
    assert mail["subject"] == f"Olivia Owner invites you to {company.owner.facts['tenant_name']}"
    token = await look.mailed_token(email)
    shown = await stranger_from(app).ok("POST", "/v1/invitations/preview", json={"token": token})
    assert shown == {
        "email": email, "name": "Mei Lin", "company": company.owner.facts["tenant_name"],
        "invited_by": "Olivia Owner", "known": False,
    }  # fmt: skip
    answer = await accept(app, token)
    assert answer.status_code == 201
    me = await Client(company.http, token=answer.json()["access_token"]).ok("GET", "/v1/me")
    assert (me["name"], me["role_keys"], me["team_ids"], me["email_verified"]) == (
        "Mei Lin", ["salesperson"], [team], True
    )  # fmt: skip
    after = await company.owner.ok("GET", f"/v1/invitations/{made['id']}")
    assert (after["status"], after["member_id"]) == ("accepted", me["member_id"])
    assert code_of(await accept(app, token)) == (409, "link_used")
    assert await count_members(company) == 2


async def test_twenty_acceptances_of_one_invitation_at_once_make_one_member(app, company, look):
    email = unique_email()
    await invite(company, email)
    token = await look.mailed_token(email)
    answers = await asyncio.gather(*(accept(app, token) for _ in range(20)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 19
    assert await count_members(company) == 2


async def test_a_known_person_joins_with_their_own_password_only(app, company, rival, look):
    await invite(company, rival.email)
    token = await look.mailed_token(rival.email)
    assert (await stranger_from(app).ok("POST", "/v1/invitations/preview", json={"token": token}))[
        "known"
    ] is True
    assert code_of(await accept(app, token, password="another one entirely")) == (401, "invalid_credentials")
    assert await count_members(company) == 1
    answer = await accept(app, token)
    assert answer.status_code == 201
    me = await Client(company.http, token=answer.json()["access_token"]).ok("GET", "/v1/me")
    assert {t["id"] for t in me["tenants"]} == {str(company.tenant_id), str(rival.tenant_id)}
    assert (await rival.owner.get("/v1/me")).status_code == 200


async def test_a_weak_password_leaves_the_invitation_open(app, company, look):
    email = unique_email()
    await invite(company, email)
    token = await look.mailed_token(email)
    assert (await accept(app, token, password="12345678")).json()["errors"][0]["code"] == "password_common"
    assert await count_members(company) == 1
    assert (await accept(app, token)).status_code == 201


async def test_nobody_is_invited_twice_or_as_a_member(company, look):
    email = unique_email()
    await invite(company, email)
    again = await company.owner.post("/v1/invitations", {"email": email.upper(), "name": "x"})
    assert code_of(again) == (409, "invitation_pending")
    member = await company.owner.post("/v1/invitations", {"email": company.email, "name": "x"})
    assert code_of(member) == (409, "member_exists")
    assert len(await look.mails(email)) == 1


async def test_ten_invitations_of_one_address_at_once_make_one(company, look):
    email = unique_email()
    answers = await asyncio.gather(
        *(company.owner.post("/v1/invitations", {"email": email, "name": "x"}) for _ in range(10))
    )
    assert sorted(a.status_code for a in answers) == [201] + [409] * 9
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"invitation_pending"}
    assert len(await look.mails(email)) == 1


async def test_the_same_idempotency_key_invites_once(company, look):
    email = unique_email()
    body = {"email": email, "name": "x"}
    first = await company.owner.post("/v1/invitations", body, key="k1")
    again = await company.owner.post("/v1/invitations", body, key="k1")
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (201, 201, "true")
    assert first.json() == again.json()
    assert len(await look.mails(email)) == 1


async def test_a_withdrawn_or_replaced_link_does_not_work(app, company, look):
    email = unique_email()
    made = await invite(company, email)
    old = await look.mailed_token(email)
    again = await company.owner.ok("POST", f"/v1/invitations/{made['id']}/resend", if_match=made["version"])
    new = await look.mailed_token(email)
    assert code_of(await accept(app, old)) == (409, "link_used")
    url = f"/v1/invitations/{made['id']}"
    assert (await company.owner.delete(url)).status_code == 428
    assert (await company.owner.delete(url, if_match=1)).status_code == 412
    assert (await company.owner.delete(url, if_match=again["version"])).status_code == 204
    assert code_of(await accept(app, new)) == (409, "link_used")
    assert (await company.owner.ok("GET", url))["status"] == "revoked"
    assert code_of(await company.owner.delete(url, if_match=3)) == (409, "link_used")
    assert await count_members(company) == 1
    await invite(company, email)


async def test_a_link_ends_after_a_week(app, company, look):
    email = unique_email()
    made = await invite(company, email)
    token = await look.mailed_token(email)
    await look.run("UPDATE tenants.email_tokens SET expires_at = now() WHERE invitation_id = $1", made["id"])
    await look.run("UPDATE tenants.invitations SET expires_at = now() WHERE id = $1", made["id"])
    assert code_of(await accept(app, token)) == (409, "link_used")
    assert (await company.owner.ok("GET", f"/v1/invitations/{made['id']}"))["expired"] is True
    assert await count_members(company) == 1


async def test_who_may_not_invite_or_not_that_much_invites_nobody(company, rival, look):
    email = unique_email()
    seller, admin = await colleague(company, look), await colleague(company, look, "admin")
    assert code_of(await seller.post("/v1/invitations", {"email": email, "name": "x"})) == (403, "forbidden")
    body = {"email": email, "name": "x", "role_ids": [await role_id(company, "owner")]}
    assert code_of(await admin.post("/v1/invitations", body)) == (403, "forbidden")
    foreign = {"email": email, "name": "x", "role_ids": [await role_id(rival, "viewer")]}
    answer = await company.owner.post("/v1/invitations", foreign)
    assert answer.json()["errors"][0]["code"] == "unknown_role"
    assert await look.mails(email) == []


async def test_invitations_of_another_company_do_not_exist(company, rival):
    made = await invite(company, unique_email())
    url = f"/v1/invitations/{made['id']}"
    assert (await rival.owner.get(url)).status_code == 404
    assert (await rival.owner.delete(url, if_match=1)).status_code == 404
    assert (await rival.owner.post(f"{url}/resend", if_match=1)).status_code == 404
    assert (await rival.owner.ok("GET", "/v1/invitations"))["data"] == []
    listed = await company.owner.ok("GET", "/v1/invitations?status=pending")
    assert [i["id"] for i in listed["data"]] == [made["id"]]
