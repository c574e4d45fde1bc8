"""Operators: a credential of their own, what they may do with companies, and that all of it is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from app.kernel.jobs import actor_of
from app.kernel.outbox import Relay
from app.tenants.operators.keys import create_key, list_keys, revoke_key
from tests.support.api import Client, stranger
from tests.support.fingerprint import changes, fingerprint
from tests.tenants.people import code_of, colleague, unique_email

BASE = "/v1/operator/tenants"
REASON = "Asked for by their owner"


async def acts(operator: Client, **query: str) -> list[dict[str, object]]:
    found = await operator.ok("GET", "/v1/operator/acts", params=query)
    return list(found["data"])


# -- the credential ------------------------------------------------------------------------------------------


async def test_a_key_is_shown_once_and_kept_as_its_hash(app, look):
    made = await create_key(app.kernel, "Ruth")
    assert made.key.startswith("rok_live_")
    row = (await look.rows("SELECT * FROM tenants.operator_keys WHERE id = $1", made.id))[0]
    assert (row["name"], row["hint"]) == ("Ruth", made.key[:13] + "…")
    assert made.key.encode() not in row["key_hash"]
    assert len(row["key_hash"]) == 32
    assert any(key.id == made.id for key in await list_keys(app.kernel))


async def test_keys_of_companies_open_no_door_of_operators(app, company, look):
    key = await company.owner.ok("POST", "/v1/api-keys", json={"name": "k"})
    before = await fingerprint(look.connection, company.tenant_id)
    for token in (company.owner.token, key["key"], None, "rok_live_" + "x" * 39, "nonsense"):
        client = Client(company.http, token=token)
        for method, path, body in (
            ("GET", BASE, None),
            ("POST", f"{BASE}/{company.tenant_id}/suspend", {"reason": REASON}),
            ("GET", f"{BASE}/{uuid4()}", None),
        ):
            answer = await client.request(method, path, json=body) if body else await client.get(path)
            assert code_of(answer) == (401, "unauthenticated")
            assert "www-authenticate" in answer.headers
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_an_operators_key_opens_no_door_of_companies(operator, owner):
    for path in ("/v1/me", "/v1/tenant", "/v1/leads", "/v1/tenant/export"):
        assert code_of(await operator.get(path)) == (401, "unauthenticated")


async def test_a_revoked_or_expired_key_is_over_at_once(app, company, look):
    made = await create_key(app.kernel, "Gone")
    client = Client(stranger(app).http, token=made.key)
    await client.ok("GET", BASE)
    await revoke_key(app.kernel, made.id)
    assert code_of(await client.get(BASE)) == (401, "unauthenticated")
    late = await create_key(app.kernel, "Late", expires_at=app.kernel.clock.now() - timedelta(seconds=1))
    assert code_of(await Client(client.http, token=late.key).get(BASE)) == (401, "unauthenticated")


# -- companies -----------------------------------------------------------------------------------------------


async def test_companies_are_found_by_name_address_and_id(operator, company):
    for query in (company.email, str(company.tenant_id)):
        found = await operator.ok("GET", BASE, params={"query": query})
        assert [one["id"] for one in found["data"]] == [str(company.tenant_id)]
    one = await operator.ok("GET", f"{BASE}/{company.tenant_id}")
    assert (one["status"], one["members"], one["currency"]) == ("active", 1, "USD")
    assert (await operator.ok("GET", BASE, params={"query": "%_no such"}))["data"] == []
    assert code_of(await operator.get(f"{BASE}/{uuid4()}")) == (404, "not_found")
    assert code_of(await operator.get(f"{BASE}/nonsense")) == (404, "not_found")


async def test_pages_of_companies_hold_each_once(operator, company, rival):
    seen, cursor = [], None
    while True:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = await operator.ok("GET", BASE, params=query)
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"] or len(seen) > 200:
            break
    assert len(seen) == len(set(seen))
    assert {str(company.tenant_id), str(rival.tenant_id)} <= set(seen) or len(seen) > 200


async def test_opening_a_company_mails_its_owner_a_link_and_repeats_nothing(operator, look):
    email = unique_email("opened")
    form = {"company": "Opened Ltd", "owner_name": "Opal", "owner_email": email, "reason": REASON}
    made = await operator.ok("POST", BASE, json=form, key="open-1")
    again = await operator.post(BASE, form, key="open-1")
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (made["id"], "true")
    token = await look.mailed_token(email)
    http = Client(operator.http)
    await http.ok("POST", "/v1/password/reset", json={"token": token, "password": "another long phrase"})
    session = await http.ok("POST", "/v1/sessions", json={"email": email, "password": "another long phrase"})
    owner = Client(operator.http, token=session["access_token"])
    assert (await owner.ok("GET", "/v1/tenant"))["name"] == "Opened Ltd"
    log = (await owner.ok("GET", "/v1/audit", params={"action": "opened_by_operator"}))["data"]
    assert [(one["actor_kind"], one["actor_name"], one["reason"]) for one in log] == [
        ("operator", "Sam Support", REASON)
    ]


async def test_suspending_and_reactivating_hold_at_once_and_are_seen_by_both(operator, company):
    one = await operator.ok("POST", f"{BASE}/{company.tenant_id}/suspend", json={"reason": REASON})
    assert one["status"] == "suspended"
    refused = await company.owner.post("/v1/accounts", {"name": "x"})
    assert code_of(refused) == (403, "tenant_suspended")
    one = await operator.ok("POST", f"{BASE}/{company.tenant_id}/reactivate", json={"reason": REASON})
    assert one["status"] == "active"
    await company.owner.ok("POST", "/v1/accounts", json={"name": "x"})
    done = [one["action"] for one in await acts(operator, tenant_id=str(company.tenant_id))]
    assert done == ["reactivated_by_operator", "suspended_by_operator"]
    log = (await company.owner.ok("GET", "/v1/audit", params={"actor_kind": "operator"}))["data"]
    assert {one["action"] for one in log} == {"updated", "reactivated_by_operator", "suspended_by_operator"}
    assert {one["actor_name"] for one in log} == {"Sam Support"}


async def test_an_operator_moves_a_company_to_another_plan(operator, company, look):
    body = {"plan": "professional", "reason": REASON}
    moved = await operator.ok("POST", f"{BASE}/{company.tenant_id}/plan", json=body)
    assert moved["current"]["plan"] == "professional"
    mine = await company.owner.ok("GET", "/v1/billing/subscription")
    assert mine["current"]["plan"] == "professional"
    before = await fingerprint(look.connection, company.tenant_id)
    again = await operator.post(f"{BASE}/{company.tenant_id}/plan", body)
    assert again.status_code == 409
    unknown = await operator.post(f"{BASE}/{company.tenant_id}/plan", body | {"plan": "gold"})
    assert unknown.status_code == 422
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_credit_is_granted_and_taken_back_never_below_nothing(operator, company, look):
    path = f"{BASE}/{company.tenant_id}/credits"

    def wanted(amount: str) -> dict[str, Any]:
        return {"amount": {"amount": amount, "currency": "USD"}, "reason": REASON}

    assert (await operator.ok("POST", path, json=wanted("25.00"), key="c"))["balance"]["amount"] == "25.00"
    await operator.ok("POST", path, json=wanted("25.00"), key="c")
    assert (await operator.ok("POST", path, json=wanted("-5.00")))["balance"]["amount"] == "20.00"
    before = await fingerprint(look.connection, company.tenant_id)
    assert (await operator.post(path, wanted("-20.01"))).status_code == 422
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}
    assert (await operator.ok("GET", f"{BASE}/{company.tenant_id}/bills"))["data"] == []


# -- in a member's place -------------------------------------------------------------------------------------


async def begun(
    operator: Client, company, member_id: object, **options: object
) -> tuple[dict[str, Any], Client]:
    body = {"member_id": str(member_id), "reason": REASON} | options
    made = await operator.ok("POST", f"{BASE}/{company.tenant_id}/impersonations", json=body)
    return made, Client(company.http, token=made["access_token"])


async def test_an_impersonation_reads_as_the_member_and_changes_nothing(operator, company, look, app):
    made, helper = await begun(operator, company, company.member_id)
    assert made["expires_in"] == 30 * 60
    assert made["may_write"] is False
    claims = app.kernel.authenticator.tokens.verify(made["access_token"])
    assert claims.operator == operator.facts["id"]
    me = await helper.ok("GET", "/v1/me")
    assert (me["kind"], me["member_id"], me["tenants"]) == ("impersonation", str(company.member_id), [])
    await helper.ok("GET", "/v1/leads")
    before = await fingerprint(look.connection, company.tenant_id)
    for method, path, body in (
        ("POST", "/v1/accounts", {"name": "x"}),
        ("PATCH", "/v1/tenant", {"name": "x"}),
        ("DELETE", "/v1/sessions/current", None),
        ("POST", "/v1/tenant/export", None),
    ):
        answer = await helper.request(method, path, json=body, if_match=1)
        assert code_of(answer) == (403, "read_only_impersonation"), path
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_what_is_written_in_a_members_place_names_both(operator, company, look):
    _, helper = await begun(operator, company, company.member_id, may_write=True)
    made = await helper.ok("POST", "/v1/accounts", json={"name": "Helped"})
    row = (await look.rows("SELECT * FROM kernel.audit_entries WHERE record_id = $1", UUID(made["id"])))[0]
    assert (row["actor_kind"], row["actor_id"]) == ("impersonation", company.member_id)
    assert row["actor_name"] == "Sam Support (operator) as Olivia Owner"


async def test_nothing_that_lasts_is_done_in_a_members_place(operator, company, look):
    _, helper = await begun(operator, company, company.member_id, may_write=True)
    roles = (await company.owner.ok("GET", "/v1/roles"))["data"]
    before = await fingerprint(look.connection, company.tenant_id)
    invitation = {"email": unique_email(), "name": "X", "role_ids": [roles[0]["id"]]}
    for path, body in (
        ("/v1/invitations", invitation),
        ("/v1/api-keys", {"name": "mine"}),
        ("/v1/roles", {"name": "r", "grants": {}}),
        ("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/x", "event_types": ["*"]}),
        ("/v1/tenant/export", None),
        ("/v1/billing/payment-methods", {"reference": "pm_1"}),
        ("/v1/billing/checkout-session", {}),
        ("/v1/billing/portal-session", None),
        (f"/v1/billing/invoices/{company.member_id}/pay", {}),
        ("/v1/billing/subscription/cancel", {"when": "now"}),
    ):
        assert (await helper.post(path, body)).status_code == 403, path
    change = {"current_password": "correct horse battery staple", "new_password": "another long phrase"}
    for method, path, body in (
        ("POST", "/v1/password", change),
        ("POST", "/v1/sessions/switch", {"tenant_id": str(company.tenant_id)}),
        ("POST", "/v1/totp", {"password": "correct horse battery staple"}),
    ):
        assert code_of(await helper.request(method, path, json=body)) == (403, "members_only"), path
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_what_is_begun_in_a_members_place_runs_later_with_no_more_rights(company, app):
    actor = await actor_of(app.kernel, company.tenant_id, "impersonation", company.member_id)
    assert (actor.kind, actor.name, actor.everything) == (
        "impersonation",
        "An operator as Olivia Owner",
        False,
    )
    assert actor.may("account:update")
    assert actor.may("bill:read")
    for name in ("role:manage", "api_key:manage", "subscription:manage", "tenant:export", "bill:pay"):
        assert not actor.may(name), name


async def test_it_never_reaches_further_than_the_member(operator, company, look):
    viewer = await colleague(company, look, "viewer")
    _, helper = await begun(operator, company, viewer.facts["member_id"], may_write=True)
    assert (await helper.post("/v1/accounts", {"name": "x"})).status_code == 403
    assert (await helper.get("/v1/audit")).status_code == 403


async def test_the_company_is_told_sees_it_and_may_end_it(operator, company, look, app):
    member = await colleague(company, look, "manager")
    made, helper = await begun(operator, company, member.facts["member_id"], minutes=60)
    while await Relay(app.kernel).run_once():
        pass
    told = (await company.owner.ok("GET", "/v1/notifications", params={"kind": "account.impersonated"}))[
        "data"
    ]
    assert [("Sam Support" in one["title"], REASON in one["body"]) for one in told] == [(True, True)]
    assert len(await look.mails(company.email)) >= 1
    mine = (await member.ok("GET", "/v1/sessions"))["data"]
    shown = next(one for one in mine if one["id"] == made["id"])
    assert (shown["impersonated_by"], shown["purpose"], shown["current"]) == ("Sam Support", REASON, False)
    log = (await company.owner.ok("GET", "/v1/audit", params={"action": "impersonation_started"}))["data"]
    assert [(one["actor_kind"], one["reason"]) for one in log] == [("operator", REASON)]
    await helper.ok("GET", "/v1/me")
    assert (await member.delete(f"/v1/sessions/{made['id']}")).status_code == 204
    assert code_of(await helper.get("/v1/me")) == (401, "unauthenticated")


async def test_the_operator_ends_it_and_it_ends_with_the_operators_key(app, company):
    made_key = await create_key(app.kernel, "Short Lived")
    operator = Client(stranger(app).http, token=made_key.key)
    first, helper = await begun(operator, company, company.member_id)
    await helper.ok("GET", "/v1/me")
    path = f"{BASE}/{company.tenant_id}/impersonations"
    assert (await operator.delete(f"{path}/{first['id']}")).status_code == 204
    assert code_of(await helper.get("/v1/me")) == (401, "unauthenticated")
    _, helper = await begun(operator, company, company.member_id)
    await helper.ok("GET", "/v1/me")
    listed = (await operator.ok("GET", path))["data"]
    assert [one["ended_at"] is None for one in listed] == [True, False]
    await revoke_key(app.kernel, made_key.id)
    assert code_of(await helper.get("/v1/me")) == (401, "unauthenticated")
    await company.owner.ok("GET", "/v1/me")


async def test_a_sessions_of_people_cannot_be_ended_as_impersonations(operator, company, look):
    sessions = (await company.owner.ok("GET", "/v1/sessions"))["data"]
    before = await fingerprint(look.connection, company.tenant_id)
    path = f"{BASE}/{company.tenant_id}/impersonations/{sessions[0]['id']}"
    assert code_of(await operator.delete(path)) == (404, "not_found")
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_only_an_active_member_of_that_company_for_an_hour_at_most_with_a_reason(
    operator, company, rival, look
):
    path, before = (
        f"{BASE}/{company.tenant_id}/impersonations",
        await fingerprint(look.connection, company.tenant_id),
    )
    body = {"member_id": str(company.member_id), "reason": REASON}
    for wrong in (
        {"member_id": str(rival.member_id)},
        {"minutes": 61},
        {"minutes": 0},
        {"reason": "x"},
    ):
        assert (await operator.post(path, body | wrong)).status_code == 422, wrong
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_a_token_without_its_act_claim_or_with_a_forged_one_opens_nothing(operator, company, app):
    made, _ = await begun(operator, company, company.member_id, may_write=True)
    tokens = app.kernel.authenticator.tokens
    known = tokens.verify(made["access_token"])
    own = tokens.verify(company.owner.token)
    for session_id, claimed in ((known.session_id, None), (own.session_id, operator.facts["id"])):
        token = tokens.issue(
            subject=known.subject, tenant_id=known.tenant_id, session_id=session_id, operator=claimed
        )
        answer = await Client(company.http, token=token).get("/v1/me")
        assert code_of(answer) == (401, "unauthenticated")
