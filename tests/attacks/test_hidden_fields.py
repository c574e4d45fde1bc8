"""A field that a role hides is learnt by no detour: other forms of it, sums, groups, files, or another's rights."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.conftest import refusal

READ = {"lead:read": "all", "lead:export": "all", "lead:convert": "all", "lead:update": "all"}


async def _salary(owner) -> None:
    field = {"object": "lead", "key": "salary", "type": "integer", "labels": {"en": "Salary"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)


@pytest.fixture
async def lead(owner) -> dict[str, Any]:
    await _salary(owner)
    body = {
        "name": "Ada",
        "company": "Analytical Engines",
        "email": "ada@example.com",
        "custom": {"salary": 4711},
    }
    made: dict[str, Any] = await owner.ok("POST", "/v1/leads", json=body)
    return made


async def test_custom_fields_that_are_hidden_are_in_no_list_filter_sort_view_or_file(owner, lead, hire):
    spy = await hire(READ, field_rules={"lead": {"hidden": ["custom"]}})
    for query in ("fields=custom.salary", "custom.salary=4711", "custom.salary[gt]=1", "sort=custom.salary"):
        answer = await spy.get(f"/v1/leads?{query}")
        assert refusal(answer)[0] in (400, 422), query
        assert "4711" not in answer.text.replace(query, ""), query
    known = {"or": [{"and": [{"field": "custom.salary", "op": "eq", "value": 4711}]}]}
    searched = await spy.post("/v1/leads/search", {"filter": known})
    assert refusal(searched) == (422, "invalid_filter") or searched.status_code == 400
    view = {"object": "lead", "name": "Rich", "filter": known}
    assert (await spy.post("/v1/saved-views", view)).status_code in (400, 422)
    for kind in ("csv", "ndjson"):
        file = await spy.post("/v1/exports/stream", {"object": "lead", "format": kind})
        assert file.status_code == 200, file.text
        assert "Ada" in file.text
        assert "4711" not in file.text
        chosen = {"object": "lead", "format": kind, "fields": ["name", "custom.salary"]}
        assert (await spy.post("/v1/exports/stream", chosen)).status_code in (400, 422)
    assert [found["name"] for found in (await owner.ok("GET", "/v1/leads?custom.salary=4711"))["data"]] == [
        "Ada"
    ]


async def test_history_and_timeline_do_not_show_a_hidden_address_in_another_form(owner, lead, hire):
    path = f"/v1/leads/{lead['id']}"
    await owner.ok("PATCH", path, json={"email": "lovelace@example.com"}, if_match=1)
    spy = await hire(READ | {"activity:read": "all"}, field_rules={"lead": {"hidden": ["email"]}})
    for seen in (f"{path}/history", f"/v1/leads/{lead['id']}/timeline"):
        answer = await spy.get(seen)
        assert answer.status_code == 200, answer.text
        assert "@example.com" not in answer.text, seen
    entries = (await owner.get(f"{path}/history")).json()["data"]
    assert entries[0]["changes"] == {"email": ["ada@example.com", "lovelace@example.com"]}


async def test_who_has_a_hidden_address_is_not_found_out_by_asking_for_duplicates(lead, hire):
    question = {"name": "Somebody", "email": "ada@example.com"}
    colleague = await hire(READ)
    answer = await colleague.ok("POST", "/v1/leads/duplicates", json=question)
    assert [found["id"] for found in answer["candidates"]] == [lead["id"]]
    spy = await hire(READ, field_rules={"lead": {"hidden": ["email"]}})
    refused = await spy.post("/v1/leads/duplicates", question)
    assert refusal(refused) == (403, "forbidden")
    assert refused.json()["errors"][0]["pointer"] == "/email"
    assert lead["id"] not in refused.text


async def test_a_preview_of_a_conversion_does_not_show_what_the_lead_hides(lead, hire):
    needed = ("read", "create", "assign")
    more = {f"{name}:{action}": "all" for name in ("account", "contact") for action in needed}
    spy = await hire(READ | more, field_rules={"lead": {"hidden": ["email"]}})
    answer = await spy.post(f"/v1/leads/{lead['id']}/convert/preview", {})
    assert answer.status_code == 200, answer.text
    assert "ada@example.com" not in answer.text


async def test_sums_groups_and_stages_do_not_show_a_hidden_amount(owner, hire):
    account = await owner.ok("POST", "/v1/accounts", json={"name": "Acme"})
    body = {
        "name": "Big deal",
        "account_id": account["id"],
        "amount": {"amount": "987654.00", "currency": "USD"},
        "source": "fair",
    }
    deal = await owner.ok("POST", "/v1/opportunities", json=body)
    rules = {"opportunity": {"hidden": ["amount", "source"]}}
    spy = await hire({"opportunity:read": "all", "account:read": "all"}, field_rules=rules)
    for path in (
        "/v1/opportunities/statistics?group_by=owner",
        f"/v1/opportunities/{deal['id']}/stage-history",
        f"/v1/opportunities/{deal['id']}/history",
        f"/v1/accounts/{account['id']}/overview",
        f"/v1/accounts/{account['id']}/timeline",
    ):
        answer = await spy.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "987654" not in answer.text, path
    grouped = await spy.get("/v1/opportunities/statistics?group_by=source")
    assert grouped.status_code in (400, 422)
    assert "fair" not in grouped.text


async def test_a_hidden_mobile_number_is_not_shown_as_the_phone_of_a_committee(owner, hire):
    account = await owner.ok("POST", "/v1/accounts", json={"name": "Acme"})
    body = {"name": "Grace", "account_id": account["id"], "mobile": "+12025550143", "phone": "+12025550100"}
    await owner.ok("POST", "/v1/contacts", json=body)
    grants = {"account:read": "all", "contact:read": "all"}
    spy = await hire(grants, field_rules={"contact": {"hidden": ["mobile"]}})
    members = (await spy.ok("GET", f"/v1/accounts/{account['id']}/committee"))["members"]
    assert [member["phone"] for member in members] == ["+12025550100"]
    members = (await owner.ok("GET", f"/v1/accounts/{account['id']}/committee"))["members"]
    assert [member["phone"] for member in members] == ["+12025550143"]


async def test_a_timeline_shows_activities_only_to_those_who_may_read_some(owner, hire):
    account = await owner.ok("POST", "/v1/accounts", json={"name": "Acme"})
    about = [{"object": "account", "record_id": account["id"]}]
    await owner.ok("POST", "/v1/activities", json={"kind": "note", "subject": "Top secret", "about": about})
    due = {"kind": "task", "subject": "Secret plan", "about": about, "due_at": "2031-01-01T00:00:00Z"}
    await owner.ok("POST", "/v1/activities", json=due)
    spy = await hire({"account:read": "all"})
    for path in (f"/v1/accounts/{account['id']}/timeline", f"/v1/accounts/{account['id']}/overview"):
        answer = await spy.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "secret" not in answer.text.lower(), path


async def test_what_a_record_is_called_cannot_be_hidden(owner, unchanged):
    body = {"name": "Blind", "grants": {"lead:read": "all"}, "field_rules": {"lead": {"hidden": ["name"]}}}
    async with unchanged():
        answer = await owner.post("/v1/roles", body)
        assert refusal(answer)[0] == 422
        assert answer.json()["errors"][0]["pointer"] == "/field_rules/lead/hidden"
