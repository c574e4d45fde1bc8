"""Signing a company up."""

import asyncio
from uuid import UUID

from tests.support.api import PASSWORD, sign_in, sign_up
from tests.tenants.people import code_of, stranger_from, unique_email


def form(email, **changes):
    return {"company": "Wukong 悟空", "name": "Sun Wukong", "email": email, "password": PASSWORD} | changes


async def test_sign_up_makes_tenant_owner_roles_and_team_and_signs_in(app, look):
    email = unique_email()
    made = await stranger_from(app).ok(
        "POST",
        "/v1/sign-up",
        json=form(email, locale="zh-CN", country="CN", time_zone="Asia/Shanghai", currency="CNY"),
    )
    client = stranger_from(app)
    client.token = made["access_token"]
    me = await client.ok("GET", "/v1/me")
    assert (me["name"], me["email"], me["role_keys"], me["email_verified"]) == (
        "Sun Wukong",
        email,
        ["owner"],
        False,
    )
    tenant = me["tenant"]
    assert tenant["slug"].startswith("wukong-wu-kong-")
    assert (tenant["status"], tenant["time_zone"], tenant["currency"]) == ("active", "Asia/Shanghai", "CNY")
    roles = await client.ok("GET", "/v1/roles")
    assert {r["key"]: r["name"] for r in roles["data"]} == {
        "owner": "所有者", "admin": "管理员", "manager": "经理", "salesperson": "销售", "viewer": "只读"
    }  # fmt: skip
    teams = (await client.ok("GET", "/v1/teams"))["data"]
    assert [(t["name"], t["member_count"]) for t in teams] == [("销售部", 1)]
    assert me["team_ids"] == [teams[0]["id"]]
    assert [m["subject"] for m in await look.mails(email)] == ["请确认您的邮箱地址"]
    assert [e["object"] for e in await look.audit(made["tenant_id"], "signed_up")] == ["member"]


async def test_sign_up_with_the_same_idempotency_key_answers_with_the_first_company(app, look):
    email, client = unique_email(), stranger_from(app)
    first = await client.ok("POST", "/v1/sign-up", json=form(email), key="try-1")
    again = await client.ok("POST", "/v1/sign-up", json=form(email), key="try-1")
    assert (again["tenant_id"], again["member_id"]) == (first["tenant_id"], first["member_id"])
    assert await look.value("SELECT count(*) FROM tenants.members WHERE email = $1", email) == 1


async def test_twenty_equal_sign_ups_at_once_make_one_company(app, look):
    email = unique_email()
    answers = await asyncio.gather(
        *(stranger_from(app).post("/v1/sign-up", form(email), key="same") for _ in range(20))
    )
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["tenant_id"] for a in answers}) == 1
    assert await look.value("SELECT count(*) FROM tenants.members WHERE email = $1", email) == 1


async def test_ten_sign_ups_with_one_address_at_once_and_no_key_make_one_company_at_first(app, look):
    email = unique_email()
    answers = await asyncio.gather(*(stranger_from(app).post("/v1/sign-up", form(email)) for _ in range(10)))
    assert {a.status_code for a in answers} <= {201, 409}
    made = await look.value("SELECT count(*) FROM tenants.members WHERE email = $1", email)
    assert made == sum(a.status_code == 201 for a in answers)
    assert await look.value("SELECT count(*) FROM tenants.users WHERE email = $1", email) == 1


async def test_a_known_address_with_another_password_makes_nothing(app, company, look):
    before = await look.value("SELECT count(*) FROM tenants.tenants")
    answer = await stranger_from(app).post("/v1/sign-up", form(company.email, password="quite another one 7"))
    assert code_of(answer) == (409, "email_in_use")
    assert await look.value("SELECT count(*) FROM tenants.tenants") == before


async def test_a_known_person_adds_a_second_company_with_their_password(app, company):
    made = await stranger_from(app).ok("POST", "/v1/sign-up", json=form(company.email))
    assert UUID(made["tenant_id"]) != company.tenant_id
    answer = await stranger_from(app).ok(
        "POST", "/v1/sessions", json={"email": company.email, "password": PASSWORD}
    )
    assert answer["status"] == "choose_tenant"
    assert {t["id"] for t in answer["tenants"]} == {made["tenant_id"], str(company.tenant_id)}


async def test_bad_forms_are_refused_with_places_and_make_nothing(app, look):
    email, client = unique_email(), stranger_from(app)
    for change, pointer, code in (
        ({"password": "short"}, "/password", "password_too_short"),
        ({"password": "password123"}, "/password", "password_common"),
        ({"password": email}, "/password", "password_personal"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "unknown_time_zone"),
        ({"country": "XX"}, "/country", "unknown_country"),
        ({"currency": "ZZZ"}, "/currency", "unknown_currency"),
        ({"email": "nobody"}, "/email", "invalid_email"),
        ({"company": "  "}, "/company", "string_too_short"),
        ({"role": "owner"}, "/role", "unknown_field"),
    ):
        answer = await client.post("/v1/sign-up", form(email) | change)
        assert answer.status_code == 422, change
        assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(pointer, code)]
    assert await look.value("SELECT count(*) FROM tenants.users WHERE email = $1", email) == 0


async def test_no_secret_reaches_audit_events_or_jobs(app, look):
    company = await sign_up(app)
    await sign_in(company.owner, company.email)
    for table in ("kernel.audit_entries", "kernel.outbox", "kernel.jobs"):
        texts = await look.rows(
            f"SELECT t::text AS row FROM {table} t WHERE tenant_id = $1", company.tenant_id
        )
        for text in texts:
            assert PASSWORD not in text["row"]
            assert "argon2" not in text["row"]
            assert company.owner.facts["refresh_token"] not in text["row"]
