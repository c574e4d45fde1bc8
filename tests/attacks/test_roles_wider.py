"""Whoever manages roles cannot lift the field rules of their own role by another role."""

from __future__ import annotations

from tests.kernel.conftest import member_id, refusal

GRANTS = {
    "toy:read": "all",
    "role:read": "all",
    "role:manage": "all",
    "member:read": "all",
    "member:update": "all",
}
TOO_WIDE = (403, "grant_too_wide")


async def test_a_role_that_shows_what_is_hidden_from_its_maker_is_refused(owner, hire, unchanged):
    clear = await owner.ok("POST", "/v1/roles", json={"name": "Clear", "grants": {"toy:read": "all"}})
    spy = await hire(GRANTS, field_rules={"toy": {"hidden": ["email"], "readonly": ["price"]}})
    me = await owner.ok("GET", f"/v1/members/{member_id(spy)}")
    own = await owner.ok("GET", f"/v1/roles/{me['role_ids'][0]}")
    async with unchanged():
        for rules in ({}, {"toy": {"hidden": ["price"]}}, {"toy": {"hidden": ["email"]}}):
            body = {"name": "Window", "grants": {"toy:read": "all"}, "field_rules": rules}
            assert refusal(await spy.post("/v1/roles", body)) == TOO_WIDE, rules
        answer = await spy.patch(f"/v1/roles/{own['id']}", {"field_rules": {}}, if_match=own["version"])
        assert refusal(answer) == TOO_WIDE
        roles = {"role_ids": [own["id"], clear["id"]]}
        answer = await spy.patch(f"/v1/members/{me['id']}", roles, if_match=me["version"])
        assert refusal(answer) == TOO_WIDE
    body = {
        "name": "Curtain",
        "grants": {"toy:read": "all"},
        "field_rules": {"toy": {"hidden": ["email", "price"]}},
    }
    assert (await spy.post("/v1/roles", body)).status_code == 201
