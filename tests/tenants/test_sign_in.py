"""Signing in: one answer for every failure, limits, several companies, suspended ones."""

import asyncio

from tests.support.api import PASSWORD, Client, sign_up
from tests.tenants.people import code_of, stranger_from, unique_email


async def attempt(client, email, password="wrong horse wrong battery", **more):
    return await client.post("/v1/sessions", {"email": email, "password": password} | more)


async def test_unknown_people_and_wrong_passwords_get_one_answer(app, company, look):
    client = stranger_from(app)
    wrong, unknown = await attempt(client, company.email), await attempt(client, unique_email())
    bodies = [{k: v for k, v in a.json().items() if k != "request_id"} for a in (wrong, unknown)]
    assert bodies[0] == bodies[1]
    assert code_of(wrong) == (401, "invalid_credentials")
    failed = await look.audit(company.tenant_id, "sign_in_failed")
    assert [(e["record_id"], e["actor_kind"], e["reason"]) for e in failed] == [
        (company.member_id, "anonymous", "wrong password")
    ]


async def test_the_address_is_compared_without_case(app, company):
    answer = await attempt(stranger_from(app), company.email.upper(), PASSWORD)
    assert (answer.status_code, answer.json()["status"]) == (200, "signed_in")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_eleventh_failure_locks_an_address_out_of_an_account(app, company):
    client = stranger_from(app)
    answers = [await attempt(client, company.email) for _ in range(10)]
    assert {a.status_code for a in answers} == {401}
    locked = await attempt(client, company.email, PASSWORD)
    assert code_of(locked) == (429, "too_many_attempts")
    assert 0 < int(locked.headers["retry-after"]) <= 900
    assert (await attempt(stranger_from(app), company.email, PASSWORD)).status_code == 200


async def test_thirty_tries_at_once_get_no_more_than_ten(app, company):
    client = stranger_from(app)
    answers = await asyncio.gather(*(attempt(client, company.email) for _ in range(30)))
    assert sorted(a.status_code for a in answers) == [401] * 10 + [429] * 20


async def test_one_address_trying_a_hundred_accounts_is_locked_out_of_all(app, look, company):
    ip = "203.0.113.77"
    client = stranger_from(app, ip)
    answers = await asyncio.gather(*(attempt(client, f"guess{n}@example.org") for n in range(101)))
    assert sorted(a.status_code for a in answers) == [401] * 100 + [429]
    assert (await attempt(client, company.email, PASSWORD)).status_code == 429
    assert await look.value("SELECT count(*) FROM tenants.sessions WHERE ip = $1", ip) == 0


async def test_success_forgets_the_failures_before_it(app, company):
    client = stranger_from(app)
    for _ in range(3):
        for _ in range(6):
            assert (await attempt(client, company.email)).status_code == 401
        assert (await attempt(client, company.email, PASSWORD)).status_code == 200


async def test_the_lock_ends_with_its_quarter_of_an_hour(app, company, look):
    client = stranger_from(app)
    for _ in range(11):
        last = await attempt(client, company.email)
    assert last.status_code == 429
    await look.run(
        "UPDATE tenants.attempts SET window_started_at = window_started_at - interval '15 minutes'"
    )
    assert (await attempt(client, company.email, PASSWORD)).status_code == 200


async def test_naming_a_company_that_one_does_not_work_for_opens_no_session(app, company, rival, look):
    before = await look.value("SELECT count(*) FROM tenants.sessions")
    answer = await attempt(stranger_from(app), company.email, PASSWORD, tenant_id=str(rival.tenant_id))
    assert code_of(answer) == (403, "no_membership")
    assert await look.value("SELECT count(*) FROM tenants.sessions") == before


async def test_with_several_companies_the_named_one_is_signed_in_to(app, company):
    second = await stranger_from(app).ok(
        "POST",
        "/v1/sign-up",
        json={"company": "Second", "name": "Olivia Owner", "email": company.email, "password": PASSWORD},
    )
    answer = await attempt(stranger_from(app), company.email, PASSWORD, tenant_id=second["tenant_id"])
    assert answer.json()["tenant_id"] == second["tenant_id"]


async def test_a_suspended_company_reads_but_changes_nothing_and_a_cancelled_one_stays_out(app, look):
    from app.tenants.directory import reactivate_tenant, suspend_tenant

    company = await sign_up(app)
    owner = company.owner
    assert (await owner.get("/v1/teams")).status_code == 200
    await suspend_tenant(app.kernel, company.tenant_id, reason="unpaid")
    answer = await owner.post("/v1/teams", {"name": "Late"})
    assert code_of(answer) == (403, "tenant_suspended")
    assert (await owner.get("/v1/teams")).status_code == 200
    assert [t["name"] for t in (await owner.ok("GET", "/v1/teams"))["data"]] == ["Sales"]
    assert (await attempt(stranger_from(app), company.email, PASSWORD)).status_code == 200
    await reactivate_tenant(app.kernel, company.tenant_id, reason="paid")
    assert (await owner.post("/v1/teams", {"name": "Late"})).status_code == 201
    await look.run("UPDATE tenants.tenants SET status = 'cancelled' WHERE id = $1", company.tenant_id)
    assert code_of(await attempt(stranger_from(app), company.email, PASSWORD)) == (403, "no_membership")


async def test_bad_bearers_are_all_unauthenticated(app, company):
    token = company.owner.token
    for credential in (
        "",
        "x",
        "a.b.c",
        f"{token}x",
        token[:-2],
        "rk_live_nonsense",
        "rk_live_" + "a" * 32 + "_000000",
    ):
        answer = await Client(company.http, token=credential).get("/v1/me")
        assert code_of(answer) == (401, "unauthenticated"), credential
        assert answer.headers["www-authenticate"] == "Bearer"
    basic = await company.http.get("/v1/me", headers={"Authorization": f"Basic {token}"})
    assert basic.status_code == 401
