"""The company's settings, the directory behind the command line, and regular chores."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from app.kernel.people import People
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from app.tenants.directory import NewTenant, create_tenant, list_tenants
from app.tenants.interface import Members, Tenants
from app.tenants.schedules import clean_up, rotate_keys
from tests.support.api import PASSWORD, running, sign_up
from tests.tenants.people import code_of, colleague, stranger_from, unique_email


async def test_settings_change_for_everybody_at_once(company, look):
    mate = await colleague(company, look)
    assert (await mate.ok("GET", "/v1/me"))["tenant"]["time_zone"] == "UTC"
    calendar = {
        "days": {"mon": [["09:00", "12:00"], ["13:00", "18:00"]]},
        "holidays": [{"date": "2026-10-01", "name": "国庆节"}],
    }
    answer = await company.owner.patch(
        "/v1/tenant",
        {
            "name": "Wukong",
            "time_zone": "Asia/Shanghai",
            "fiscal_year_start_month": 4,
            "business_calendar": calendar,
        },
        if_match=1,
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    saved = answer.json()
    assert saved["business_calendar"]["days"]["mon"] == [["09:00", "12:00"], ["13:00", "18:00"]]
    assert saved["business_calendar"]["days"]["sun"] == []
    me = await mate.ok("GET", "/v1/me")
    assert (me["tenant"]["name"], me["tenant"]["time_zone"]) == ("Wukong", "Asia/Shanghai")


async def test_bad_stale_and_forbidden_settings_change_nothing(company, look):
    before = await company.owner.ok("GET", "/v1/tenant")
    for change in (
        {"time_zone": "Nowhere"},
        {"currency": "XYZ"},
        {"fiscal_year_start_month": 13},
        {"name": None},
        {"status": "active"},
        {"business_calendar": {"days": {"mon": [["18:00", "09:00"]]}}},
        {"business_calendar": {"days": {"mon": [["09:00", "13:00"], ["12:00", "18:00"]]}}},
    ):
        assert (await company.owner.patch("/v1/tenant", change, if_match=1)).status_code == 422, change
    assert (await company.owner.patch("/v1/tenant", {"name": "x"}, if_match=2)).status_code == 412
    seller = await colleague(company, look)
    assert code_of(await seller.patch("/v1/tenant", {"name": "x"}, if_match=1)) == (403, "forbidden")
    assert await company.owner.ok("GET", "/v1/tenant") == before


async def test_modules_read_settings_and_people_through_the_interface(app, company, look):
    mate = await colleague(company, look, "manager", name="Ada")
    ada = UUID(mate.facts["member_id"])
    actor = await app.kernel.authenticator.member_actor(company.tenant_id, company.member_id)
    async with transaction(app.kernel, actor) as uow:
        settings = await uow.of(Tenants).settings()
        assert (settings.currency, settings.business_calendar["days"]["mon"]) == ("USD", [["09:00", "18:00"]])
        members = uow.of(Members)
        found = await members.get_many([ada, company.tenant_id])
        assert {id: ref.name for id, ref in found.items()} == {ada: "Ada"}
        assert [ref.name for ref in await members.in_role("manager")] == ["Ada"]
        people = uow.of(People)
        by_email = await people.members_by_email(
            [mate.facts["email"].upper(), "nobody@example.com", "nonsense"]
        )
        assert by_email == {mate.facts["email"].upper(): ada}
        assert await people.names([ada]) == {ada: "Ada"}


async def test_the_command_line_makes_and_lists_companies(own_database, tmp_path):
    async with running(own_database, tmp_path) as app:
        email = unique_email()
        made = await create_tenant(
            app.kernel, NewTenant("Acme", country="DE", currency="EUR"),
            owner_name="Ada", owner_email=email, password=PASSWORD,
        )  # fmt: skip
        await create_tenant(app.kernel, NewTenant("Bcme"), owner_name="Ada", owner_email=email, password=None)
        with pytest.raises(ValueError, match="needs a password"):
            await create_tenant(
                app.kernel, NewTenant("C"), owner_name="B", owner_email=unique_email(), password=None
            )
        assert [t.name for t in await list_tenants(app.kernel)] == ["Acme", "Bcme"]
        assert next(t.id for t in await app.kernel.authenticator.active_tenants()) == made.profile.id
        answer = await stranger_from(app).ok(
            "POST",
            "/v1/sessions",
            json={"email": email, "password": PASSWORD, "tenant_id": str(made.profile.id)},
        )
        assert answer["member_id"] == str(made.owner.id)


async def test_signing_keys_rotate_without_a_token_being_refused(own_database, tmp_path):
    async with running(own_database, tmp_path) as app:
        company = await sign_up(app)
        run = ScheduledRun(app.kernel)
        await rotate_keys(run)
        assert len(app.kernel.authenticator.tokens.jwks()["keys"]) == 1
        admin = await asyncpg.connect(own_database)
        try:
            await admin.execute("UPDATE tenants.signing_keys SET created_at = now() - interval '91 days'")
            await rotate_keys(run)
            await app.kernel.authenticator.reload_keys()
            published = [
                k["kid"] for k in (await stranger_from(app).ok("GET", "/.well-known/jwks.json"))["keys"]
            ]
            assert len(published) == 2
            assert (await company.owner.get("/v1/me")).status_code == 200
            await admin.execute(
                "UPDATE tenants.signing_keys SET active_from = active_from - interval '2 hours'"
            )
            await app.kernel.authenticator.reload_keys()
            reordered = [k["kid"] for k in app.kernel.authenticator.tokens.jwks()["keys"]]
            assert reordered == published[::-1]
            assert (await company.owner.get("/v1/me")).status_code == 200
            await admin.execute(
                "UPDATE tenants.signing_keys SET active_from = active_from - interval '2 days'"
            )
            await rotate_keys(run)
            assert await admin.fetchval("SELECT array_agg(kid) FROM tenants.signing_keys") == reordered[:1]
        finally:
            await admin.close()


async def test_what_is_over_is_forgotten(app, company, look):
    await look.run(
        "UPDATE tenants.sessions SET expires_at = now() - $2::interval WHERE id = $1",
        company.owner.facts["session_id"],
        timedelta(days=91),
    )
    await clean_up(ScheduledRun(app.kernel))
    gone = company.owner.facts["session_id"]
    assert await look.value("SELECT count(*) FROM tenants.sessions WHERE id = $1", gone) == 0
    assert await look.value("SELECT count(*) FROM tenants.refresh_tokens WHERE session_id = $1", gone) == 0
    assert (
        await look.value("SELECT count(*) FROM tenants.sessions WHERE tenant_id = $1", company.tenant_id) == 1
    )


async def test_the_application_role_reaches_no_identity_and_no_other_tenant(app, company, rival):
    for table in ("users", "email_tokens", "refresh_tokens", "api_key_hashes", "signing_keys", "attempts"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with app.kernel.database.tenant(company.tenant_id) as connection:
                await connection.fetch(f"SELECT * FROM tenants.{table}")
    async with app.kernel.database.tenant(company.tenant_id) as connection:
        for table in ("tenants", "members", "roles", "teams", "sessions", "api_keys", "invitations"):
            rows = await connection.fetch(f"SELECT DISTINCT tenant_id FROM tenants.{table}")
            assert {row["tenant_id"] for row in rows} <= {company.tenant_id}
