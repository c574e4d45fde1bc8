"""Two-factor sign-in over HTTP."""

import time

import pyotp
import pytest

from tests.support.api import PASSWORD
from tests.tenants.people import code_of, stranger_from


@pytest.fixture
async def two_factor(company):
    """A company whose owner has two-factor sign-in: (the app's generator, recovery codes)."""
    started = await company.owner.ok("POST", "/v1/totp", json={"password": PASSWORD})
    totp = pyotp.TOTP(started["secret"])
    done = await company.owner.ok("POST", "/v1/totp/confirm", json={"code": totp.at(time.time() - 30)})
    return totp, done["recovery_codes"]


async def sign_in(app, company, **more):
    body = {"email": company.email, "password": PASSWORD} | more
    return await stranger_from(app).post("/v1/sessions", body)


async def test_nothing_changes_until_a_code_confirms(app, company, look):
    wrong = await company.owner.post("/v1/totp", {"password": "not it at all"})
    assert wrong.json()["errors"][0]["pointer"] == "/password"
    started = await company.owner.ok("POST", "/v1/totp", json={"password": PASSWORD})
    assert started["uri"].startswith("otpauth://totp/Rapport:")
    assert (await sign_in(app, company)).status_code == 200
    bad = await company.owner.post("/v1/totp/confirm", {"code": "000000"})
    assert bad.json()["errors"][0]["code"] == "wrong_code"
    assert (await sign_in(app, company)).status_code == 200
    stored = await look.value("SELECT totp_secret FROM tenants.users WHERE email = $1", company.email)
    assert started["secret"].encode() not in stored


async def test_a_code_is_required_and_works_once(app, company, two_factor):
    totp, codes = two_factor
    assert len(set(codes)) == 10
    assert code_of(await sign_in(app, company)) == (401, "one_time_code_required")
    assert code_of(await sign_in(app, company, totp="000000")) == (401, "invalid_credentials")
    code = totp.now()
    assert (await sign_in(app, company, totp=code)).status_code == 200
    assert code_of(await sign_in(app, company, totp=code)) == (401, "invalid_credentials")


async def test_a_recovery_code_works_once(app, company, two_factor):
    _, codes = two_factor
    assert (await sign_in(app, company, recovery_code=codes[3].lower())).status_code == 200
    assert code_of(await sign_in(app, company, recovery_code=codes[3])) == (401, "invalid_credentials")
    assert (await sign_in(app, company, recovery_code=codes[4])).status_code == 200


async def test_choosing_a_company_uses_no_code_up(app, company, two_factor):
    _, codes = two_factor
    second = await stranger_from(app).ok(
        "POST",
        "/v1/sign-up",
        json={
            "company": "Second", "name": "Olivia", "email": company.email, "password": PASSWORD,
            "recovery_code": codes[0],
        },
    )  # fmt: skip
    asked = await sign_in(app, company, recovery_code=codes[1])
    assert asked.json()["status"] == "choose_tenant"
    answer = await sign_in(app, company, recovery_code=codes[1], tenant_id=second["tenant_id"])
    assert answer.json()["status"] == "signed_in"


async def test_wrong_codes_count_towards_the_lock(app, company, two_factor):
    client = stranger_from(app)
    body = {"email": company.email, "password": PASSWORD, "totp": "000000"}
    answers = [await client.post("/v1/sessions", body) for _ in range(11)]
    assert [a.status_code for a in answers] == [401] * 10 + [429]


async def test_switching_off_needs_password_and_code(app, company, two_factor, look):
    totp, codes = two_factor
    assert (await company.owner.post("/v1/totp/disable", {"password": PASSWORD})).status_code == 422
    wrong = {"password": "not it at all", "recovery_code": codes[0]}
    assert (await company.owner.post("/v1/totp/disable", wrong)).status_code == 422
    assert code_of(await sign_in(app, company)) == (401, "one_time_code_required")
    assert code_of(await company.owner.post("/v1/totp", {"password": PASSWORD})) == (409, "totp_state")
    off = await company.owner.post("/v1/totp/disable", {"password": PASSWORD, "totp": totp.now()})
    assert off.status_code == 204
    assert (await sign_in(app, company)).status_code == 200
    assert [e["object"] for e in await look.audit(company.tenant_id, "two_factor_off")] == ["member"]
    again = await company.owner.post("/v1/totp/disable", {"password": PASSWORD, "totp": totp.now()})
    assert code_of(again) == (409, "totp_state")


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_reset_keeps_the_second_factor_of_a_confirmed_address_only(
    app, company, two_factor, look, confirmed
):
    if confirmed:
        await company.owner.post("/v1/email/verify/resend")
        await stranger_from(app).post("/v1/email/verify", {"token": await look.mailed_token(company.email)})
    await stranger_from(app).post("/v1/password/forgot", {"email": company.email})
    body = {"token": await look.mailed_token(company.email), "password": "a new and longer phrase"}
    assert (await stranger_from(app).post("/v1/password/reset", body)).status_code == 204
    answer = await sign_in(app, company, password=body["password"])
    assert answer.status_code == (401 if confirmed else 200)


async def test_new_recovery_codes_replace_the_old(app, company, two_factor):
    totp, old = two_factor
    body = {"password": PASSWORD, "totp": totp.now()}
    new = (await company.owner.ok("POST", "/v1/totp/recovery-codes", json=body))["recovery_codes"]
    assert not set(new) & set(old)
    assert (await sign_in(app, company, recovery_code=old[0])).status_code == 401
    assert (await sign_in(app, company, recovery_code=new[0])).status_code == 200
