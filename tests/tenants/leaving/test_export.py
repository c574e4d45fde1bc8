"""Who may export all of a company's data, and when."""

from __future__ import annotations

import pytest

from app.kernel.jobs import JobRunner
from tests.support.archive import EXPORT, exported
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import Look, code_of, colleague


async def test_only_owners_and_administrators_may(company, app, look):
    await company.owner.ok("POST", EXPORT)
    await JobRunner(app.kernel).run_due()
    manager = await colleague(company, look, "manager")
    before = await fingerprint(look.connection, company.tenant_id)
    for method, path in (("POST", EXPORT), ("GET", EXPORT), ("GET", f"{EXPORT}/content")):
        answer = await manager.request(method, path)
        assert (answer.status_code, answer.json()["permission"]) == (403, "tenant:export")
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
    admin = await colleague(company, look, "admin")
    assert (await admin.get(f"{EXPORT}/content")).status_code == 200


async def test_somebody_who_may_no_longer_gets_no_export(company, app, look):
    admin = await colleague(company, look, "admin")
    begun = await admin.ok("POST", EXPORT)
    member = await company.owner.ok("GET", f"/v1/members/{admin.facts['member_id']}")
    roles = (await company.owner.ok("GET", "/v1/roles"))["data"]
    viewer = next(role["id"] for role in roles if role["key"] == "viewer")
    await company.owner.ok(
        "PATCH", f"/v1/members/{member['id']}", json={"role_ids": [viewer]}, if_match=member["version"]
    )
    await JobRunner(app.kernel).run_due()
    assert (await company.owner.ok("GET", f"/v1/jobs/{begun['id']}"))["state"] == "failed"
    assert code_of(await company.owner.get(f"{EXPORT}/content")) == (409, "no_export_yet")


@pytest.mark.parametrize("status", ["suspended", "cancelled"])
async def test_it_works_while_suspended_and_after_cancelling(status, company, app, look: Look):
    await look.run(
        "UPDATE tenants.tenants SET status = $2, export_until = now() + interval '1 day' WHERE id = $1",
        company.tenant_id,
        status,
    )
    app.kernel.authenticator.forget(company.tenant_id)
    opened = await exported(company.owner, app)
    assert opened.rows("tenants.tenants")[0]["status"] == status
    actions = [
        len(await look.audit(company.tenant_id, name)) for name in ("export_begun", "export_downloaded")
    ]
    assert actions == [1, 1]


async def test_beginning_again_joins_the_one_under_way_and_the_newest_replaces_the_last(company, app):
    first, second = await company.owner.ok("POST", EXPORT), await company.owner.ok("POST", EXPORT)
    assert first["id"] == second["id"]
    await JobRunner(app.kernel).run_due()
    await exported(company.owner, app)
    archives = [
        found.key
        async for found in app.kernel.files.of_tenant(company.tenant_id)
        if "/tenant-exports/" in found.key
    ]
    assert len(archives) == 1


async def test_before_the_first_there_is_none(owner):
    assert code_of(await owner.get(EXPORT)) == (404, "not_found")
    assert code_of(await owner.get(f"{EXPORT}/content")) == (409, "no_export_yet")
