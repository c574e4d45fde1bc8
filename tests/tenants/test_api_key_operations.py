"""API keys over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.kernel.access import Scope
from app.kernel.errors import NotFound
from tests.support.api import Client
from tests.tenants.people import code_of, colleague


async def make(client, **body):
    return await client.ok("POST", "/v1/api-keys", json={"name": "Import script"} | body)


def using(company, key):
    return Client(company.http, token=key["key"])


async def test_a_key_works_for_its_member_within_its_grants(company, look):
    key = await make(company.owner, grants={"team:read": "all"})
    me = await using(company, key).ok("GET", "/v1/me")
    assert (me["kind"], me["name"], me["member_id"], me["tenants"]) == (
        "api_key", "Import script", str(company.member_id), []
    )  # fmt: skip
    assert (await using(company, key).get("/v1/teams")).status_code == 200
    refused = await using(company, key).post("/v1/teams", {"name": "No"})
    assert code_of(refused) == (403, "forbidden")
    assert len((await company.owner.ok("GET", "/v1/teams"))["data"]) == 1


async def test_the_key_is_shown_once_and_only_its_hash_is_kept(company, look):
    key = await make(company.owner)
    assert key["key"].startswith(key["hint"].removesuffix("…"))
    for table in (
        "tenants.api_keys",
        "tenants.api_key_hashes",
        "kernel.audit_entries",
        "kernel.idempotency_keys",
    ):
        for row in await look.rows(
            f"SELECT t::text AS row FROM {table} t WHERE tenant_id = $1", company.tenant_id
        ):
            assert key["key"] not in row["row"]
    listed = (await company.owner.ok("GET", "/v1/api-keys"))["data"]
    assert [k["id"] for k in listed] == [key["id"]]
    assert "key" not in listed[0]


async def test_a_revoked_key_is_refused_at_once(company):
    key = await make(company.owner)
    client = using(company, key)
    for _ in range(3):
        assert (await client.get("/v1/teams")).status_code == 200
        await asyncio.sleep(0.01)
    assert (await company.owner.delete(f"/v1/api-keys/{key['id']}")).status_code == 428
    assert (await company.owner.delete(f"/v1/api-keys/{key['id']}", if_match=7)).status_code == 412
    assert (await client.get("/v1/teams")).status_code == 200
    assert (await company.owner.delete(f"/v1/api-keys/{key['id']}", if_match=1)).status_code == 204
    assert code_of(await client.get("/v1/teams")) == (401, "unauthenticated")
    assert (await company.owner.ok("GET", f"/v1/api-keys/{key['id']}"))["revoked_at"] is not None


async def test_an_expired_key_is_refused(app, company, monkeypatch):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    refused = await company.owner.post("/v1/api-keys", {"name": "Late", "expires_at": past})
    assert refused.json()["errors"][0]["code"] == "in_the_past"
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = await make(company.owner, expires_at=soon.isoformat())
    assert (await using(company, key).get("/v1/teams")).status_code == 200
    monkeypatch.setattr(app.kernel.authenticator, "_now", lambda: soon)
    assert code_of(await using(company, key).get("/v1/teams")) == (401, "unauthenticated")


async def test_a_key_cannot_exceed_its_maker_now_or_later(company, look):
    manager = await colleague(company, look, "manager")
    wide = await manager.post("/v1/api-keys", {"name": "x", "grants": {"member:invite": "all"}})
    assert code_of(wide) == (403, "grant_too_wide")
    unknown = await manager.post("/v1/api-keys", {"name": "x", "grants": {"moon:read": "all"}})
    assert unknown.json()["errors"][0]["pointer"] == "/grants/moon:read"
    assert (await manager.ok("GET", "/v1/api-keys"))["data"] == []
    key = await make(manager, grants={"team:read": "all", "api_key:create": "all"})
    member = await company.owner.ok("GET", f"/v1/members/{manager.facts['member_id']}")
    viewer = next(
        r["id"] for r in (await company.owner.ok("GET", "/v1/roles"))["data"] if r["key"] == "viewer"
    )
    await company.owner.ok(
        "PATCH", f"/v1/members/{member['id']}", json={"role_ids": [viewer]}, if_match=member["version"]
    )
    permissions = await using(company, key).ok("GET", "/v1/me/permissions")
    assert [g["permission"] for g in permissions["grants"]] == ["team:read"]


async def test_a_key_makes_no_keys_and_has_no_sessions(company):
    key = using(company, await make(company.owner))
    assert code_of(await key.post("/v1/api-keys", {"name": "child"})) == (403, "members_only")
    assert code_of(await key.get("/v1/sessions")) == (403, "members_only")
    assert code_of(await key.post("/v1/password", {"current_password": "x", "new_password": "y"})) == (
        403, "members_only"
    )  # fmt: skip
    assert len((await company.owner.ok("GET", "/v1/api-keys"))["data"]) == 1


async def test_others_keys_are_for_those_who_manage_keys(company, rival, look):
    mine = await make(company.owner)
    manager = await colleague(company, look, "manager")
    assert (await manager.get(f"/v1/api-keys/{mine['id']}")).status_code == 404
    assert (await manager.delete(f"/v1/api-keys/{mine['id']}", if_match=1)).status_code == 404
    assert (await rival.owner.get(f"/v1/api-keys/{mine['id']}")).status_code == 404
    assert (await rival.owner.delete(f"/v1/api-keys/{mine['id']}", if_match=1)).status_code == 404
    assert (await using(company, mine).get("/v1/teams")).status_code == 200
    theirs = await make(manager)
    assert {k["id"] for k in (await company.owner.ok("GET", "/v1/api-keys"))["data"]} == {
        mine["id"],
        theirs["id"],
    }
    renamed = await manager.ok("PATCH", f"/v1/api-keys/{theirs['id']}", json={"name": "New name"}, if_match=1)
    assert (renamed["name"], renamed["version"]) == ("New name", 2)


async def test_work_of_a_key_runs_later_with_its_grants_unless_it_was_revoked(app, company):
    key = await make(company.owner, grants={"team:read": "all"})
    actor = await app.kernel.authenticator.api_key_actor(company.tenant_id, UUID(key["id"]))
    assert (actor.kind, str(actor.id), dict(actor.grants)) == ("api_key", key["id"], {"team:read": Scope.ALL})
    await company.owner.delete(f"/v1/api-keys/{key['id']}", if_match=1)
    with pytest.raises(NotFound):
        await app.kernel.authenticator.api_key_actor(company.tenant_id, UUID(key["id"]))


async def test_use_is_noted_to_within_five_minutes(company, look):
    key = await make(company.owner)
    await using(company, key).get("/v1/teams")
    first = await look.value("SELECT last_used_at FROM tenants.api_keys WHERE id = $1", key["id"])
    assert first is not None
    await using(company, key).get("/v1/teams")
    assert await look.value("SELECT last_used_at FROM tenants.api_keys WHERE id = $1", key["id"]) == first
