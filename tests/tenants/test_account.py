"""Passwords forgotten, reset, changed; addresses confirmed."""

import asyncio

from tests.support.api import PASSWORD, Client
from tests.tenants.people import code_of, stranger_from, unique_email

NEW = "a new and longer passphrase"


async def can_sign_in(app, email, password):
    answer = await stranger_from(app).post("/v1/sessions", {"email": email, "password": password})
    return answer.status_code == 200


async def test_forgetting_answers_alike_and_mails_only_known_people(app, company, look):
    unknown = unique_email()
    answers = [
        await stranger_from(app).post("/v1/password/forgot", {"email": email})
        for email in (company.email, unknown)
    ]
    assert [(a.status_code, a.content) for a in answers] == [(202, b"")] * 2
    assert [m["subject"] for m in await look.mails(company.email)][-1] == "Choose a new password"
    assert await look.mails(unknown) == []


async def test_a_reset_link_works_once_ends_all_sessions_and_confirms_the_address(app, company, look):
    await stranger_from(app).post("/v1/password/forgot", {"email": company.email})
    token = await look.mailed_token(company.email)
    body = {"token": token, "password": NEW}
    weak = await stranger_from(app).post("/v1/password/reset", body | {"password": "short"})
    assert weak.json()["errors"][0]["code"] == "password_too_short"
    assert (await company.owner.get("/v1/me")).status_code == 200
    assert (await stranger_from(app).post("/v1/password/reset", body)).status_code == 204
    assert (await company.owner.get("/v1/me")).status_code == 401
    assert not await can_sign_in(app, company.email, PASSWORD)
    assert await can_sign_in(app, company.email, NEW)
    again = await stranger_from(app).post("/v1/password/reset", body | {"password": "yet another phrase 9"})
    assert code_of(again) == (409, "link_used")
    assert await can_sign_in(app, company.email, NEW)
    assert await look.value(
        "SELECT email_verified_at IS NOT NULL FROM tenants.users WHERE email = $1", company.email
    )
    assert len(await look.audit(company.tenant_id, "password_reset")) == 1


async def test_ten_resets_with_one_link_at_once_take_effect_once(app, company, look):
    await stranger_from(app).post("/v1/password/forgot", {"email": company.email})
    token = await look.mailed_token(company.email)
    answers = await asyncio.gather(
        *(
            stranger_from(app).post(
                "/v1/password/reset", {"token": token, "password": f"phrase number {n} here"}
            )
            for n in range(10)
        )
    )
    assert sorted(a.status_code for a in answers) == [204] + [409] * 9
    winner = next(n for n, a in enumerate(answers) if a.status_code == 204)
    assert await can_sign_in(app, company.email, f"phrase number {winner} here")


async def test_a_newer_link_replaces_the_older_and_an_hour_ends_it(app, company, look):
    await stranger_from(app).post("/v1/password/forgot", {"email": company.email})
    older = await look.mailed_token(company.email)
    await stranger_from(app).post("/v1/password/forgot", {"email": company.email})
    newer = await look.mailed_token(company.email)
    assert older != newer
    answer = await stranger_from(app).post("/v1/password/reset", {"token": older, "password": NEW})
    assert code_of(answer) == (409, "link_used")
    await look.run("UPDATE tenants.email_tokens SET expires_at = now() WHERE purpose = 'password_reset'")
    answer = await stranger_from(app).post("/v1/password/reset", {"token": newer, "password": NEW})
    assert code_of(answer) == (409, "link_used")
    assert await can_sign_in(app, company.email, PASSWORD)


async def test_a_verification_link_is_no_reset_link(app, company, look):
    token = await look.mailed_token(company.email)
    answer = await stranger_from(app).post("/v1/password/reset", {"token": token, "password": NEW})
    assert code_of(answer) == (409, "link_used")
    assert await can_sign_in(app, company.email, PASSWORD)


async def test_the_sixth_mail_in_a_quarter_of_an_hour_is_refused_for_everybody(app, company):
    for email in (company.email, unique_email()):
        answers = [await stranger_from(app).post("/v1/password/forgot", {"email": email}) for _ in range(6)]
        assert [a.status_code for a in answers] == [202] * 5 + [429]


async def test_changing_the_password_ends_all_other_sessions(app, company, look):
    other = await stranger_from(app).ok(
        "POST", "/v1/sessions", json={"email": company.email, "password": PASSWORD}
    )
    wrong = await company.owner.post(
        "/v1/password", {"current_password": "not it at all", "new_password": NEW}
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "wrong_password")
    assert await can_sign_in(app, company.email, PASSWORD)
    answer = await company.owner.post("/v1/password", {"current_password": PASSWORD, "new_password": NEW})
    assert answer.status_code == 204
    assert (await company.owner.get("/v1/me")).status_code == 200
    assert (await Client(company.http, token=other["access_token"]).get("/v1/me")).status_code == 401
    assert await can_sign_in(app, company.email, NEW)
    assert [m["subject"] for m in await look.mails(company.email)][-1] == "Your password was changed"


async def test_the_mailed_link_confirms_the_address_once(app, company, look):
    token = await look.mailed_token(company.email)
    assert (await company.owner.ok("GET", "/v1/me"))["email_verified"] is False
    assert (await stranger_from(app).post("/v1/email/verify", {"token": token})).status_code == 204
    assert (await company.owner.ok("GET", "/v1/me"))["email_verified"] is True
    assert code_of(await stranger_from(app).post("/v1/email/verify", {"token": token})) == (409, "link_used")
    count = len(await look.mails(company.email))
    assert (await company.owner.post("/v1/email/verify/resend")).status_code == 202
    assert len(await look.mails(company.email)) == count


async def test_the_confirmation_can_be_sent_again(company, look):
    first = await look.mailed_token(company.email)
    assert (await company.owner.post("/v1/email/verify/resend")).status_code == 202
    assert await look.mailed_token(company.email) != first
