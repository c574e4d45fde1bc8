"""Whose values a merged record has: rules, choices, lists, money, custom fields, and fields that a role may not touch."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.merging.support import Json, Unchanged, accounts, merge, merge_body, undo
from tests.modules.support import make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague


async def pair(owner: Client, **fields: Any) -> tuple[Json, Json]:
    """Two accounts that are one company."""
    one = await make(owner, "accounts", name="Acme Ltd", city="Paris", tags=["vip"], **fields)
    other = await make(
        owner,
        "accounts",
        name="ACME Limited",
        city="Lyon",
        industry="Pumps",
        tags=["vip", "fair"],
        email="sales@acme.example",
        phone="+33140000000",
        emails=["info@acme.example"],
        credit_limit={"amount": "500.00", "currency": "EUR"},
    )
    return one, other


async def test_the_master_keeps_its_values_and_takes_what_it_lacks(owner: Client):
    one, other = await pair(owner, email="hello@acme.example")
    answer = await merge(owner, "accounts", [one, other], reason="Same company")
    survivor = answer["record"]
    assert (survivor["id"], survivor["version"]) == (one["id"], 2)
    assert (survivor["name"], survivor["city"], survivor["industry"]) == ("Acme Ltd", "Paris", "Pumps")
    assert survivor["credit_limit"] == {"amount": "500.00", "currency": "EUR"}
    assert (survivor["email"], survivor["phone"]) == ("hello@acme.example", "+33140000000")
    assert survivor["emails"] == ["info@acme.example", "sales@acme.example"]
    assert survivor["tags"] == ["vip", "fair"]
    assert survivor["duplicate_count"] == 0
    assert survivor["completeness"] == 55  # name 10, e-mail 15, phone 15, industry 10, city 5
    assert await owner.ok("GET", f"/v1/accounts/{one['id']}") == survivor
    made = answer["merge"]
    assert (made["survivor_id"], made["merged_ids"], made["reason"]) == (
        one["id"],
        [other["id"]],
        "Same company",
    )
    assert {"credit_limit", "emails", "industry", "phone", "tags"} <= set(made["changed"])
    assert not {"name", "city", "email", "email_key"} & set(made["changed"])
    assert [row["id"] for row in (await owner.ok("GET", "/v1/accounts"))["data"]] == [one["id"]]
    assert (await owner.ok("GET", "/v1/accounts?q=info"))["data"] == []  # only the first address is searched


async def test_a_choice_takes_another_records_value_even_an_empty_one(owner: Client):
    one, other = await pair(owner, website="https://acme.example")
    answer = await merge(
        owner,
        "accounts",
        [one, other],
        fields={"city": other["id"], "website": other["id"], "tags": one["id"]},
    )
    survivor = answer["record"]
    assert (survivor["city"], survivor["website"], survivor["tags"]) == ("Lyon", None, ["vip"])


@pytest.mark.parametrize(
    ("rule", "expected"), [("oldest", 0), ("newest", 2), ("most_complete", 1), ("last_updated", 0)]
)
async def test_the_master_is_found_by_rule(owner: Client, rule: str, expected: int):
    made = [
        await make(owner, "accounts", name="Acme", city="Paris"),
        await make(owner, "accounts", name="Acme", city="Paris", industry="Pumps", size="1-10"),
        await make(owner, "accounts", name="Acme", website="https://acme.example"),
    ]
    made[0] = await owner.ok("PATCH", f"/v1/accounts/{made[0]['id']}", json={"city": "Lyon"}, if_match=1)
    answer = await merge(owner, "accounts", made[::-1], master_rule=rule)
    assert answer["record"]["id"] == made[expected]["id"]
    assert answer["merge"]["master_rule"] == rule


async def test_a_stage_never_falls_back_by_merging(owner: Client):
    made = [
        await make(owner, "accounts", name="Acme", lifecycle_stage=stage)
        for stage in ("lead", "customer", "lost")
    ]
    assert (await merge(owner, "accounts", made))["record"]["lifecycle_stage"] == "customer"


async def test_custom_values_are_filled_chosen_and_their_unique_ones_move(owner: Client):
    for key, kind, more in (
        ("segment", "text", {}),
        ("erp", "text", {"unique": True}),
        ("topics", "multi_select", {"options": [{"key": k, "labels": {"en": k}} for k in ("a", "b", "c")]}),
        ("head_count", "integer", {"indexed": True}),
    ):
        field = {"object": "account", "key": key, "type": kind, "labels": {"en": key}, **more}
        await owner.ok("POST", "/v1/custom-fields", json=field)
    one = await make(
        owner, "accounts", name="Acme", custom={"segment": "A", "topics": ["a", "b"], "head_count": 5}
    )
    other = await make(
        owner,
        "accounts",
        name="Acme",
        custom={"segment": "B", "erp": "E-1", "topics": ["b", "c"], "head_count": 7},
    )
    answer = await merge(owner, "accounts", [one, other], fields={"custom.head_count": other["id"]})
    assert answer["record"]["custom"] == {
        "segment": "A",
        "erp": "E-1",
        "topics": ["a", "b", "c"],
        "head_count": 7,
    }
    found = await owner.ok("GET", "/v1/accounts?custom.head_count[gte]=6")
    assert [row["id"] for row in found["data"]] == [one["id"]]
    taken = await owner.post("/v1/accounts", json={"name": "Else", "custom": {"erp": "E-1"}})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")
    await undo(owner, answer)
    for before in (one, other):
        now = await owner.ok("GET", f"/v1/accounts/{before['id']}")
        assert now["custom"] == before["custom"]
    found = await owner.ok("GET", "/v1/accounts?custom.head_count[gte]=6")
    assert [row["id"] for row in found["data"]] == [other["id"]]
    taken = await owner.post("/v1/accounts", json={"name": "Else", "custom": {"erp": "E-1"}})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")


async def test_an_external_id_goes_to_the_survivor_and_back(owner: Client):
    one, other = await accounts(owner, "Acme", "Acme")
    other = await owner.ok("PATCH", f"/v1/accounts/{other['id']}", json={"external_id": "E-7"}, if_match=1)
    answer = await merge(owner, "accounts", [one, other])
    assert answer["record"]["external_id"] == "E-7"
    await undo(owner, answer)
    assert (await owner.ok("GET", f"/v1/accounts/{one['id']}"))["external_id"] is None
    assert (await owner.ok("GET", f"/v1/accounts/{other['id']}"))["external_id"] == "E-7"


async def test_a_preview_shows_what_a_merge_leaves_and_writes_nothing(owner: Client, unchanged: Unchanged):
    one, other = await pair(owner)
    await make(owner, "contacts", name="Ann", account_id=other["id"])
    body = merge_body([one, other], fields={"city": other["id"]})
    async with unchanged():
        shown = await owner.ok("POST", "/v1/accounts/merge/preview", json=body)
    assert (shown["master_id"], shown["merged_ids"]) == (one["id"], [other["id"]])
    assert shown["taken"]["city"] == other["id"]
    assert shown["united"] == ["tags", "emails"]
    assert shown["moved"] == {"contacts": 1}
    done = await owner.ok("POST", "/v1/accounts/merge", json=body)
    times = ("updated_at",)
    assert {k: v for k, v in done["record"].items() if k not in times} == {
        k: v for k, v in shown["record"].items() if k not in times
    }
    assert done["merge"]["moved"] == shown["moved"]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        (lambda a, b: {"master_id": str(uuid4())}, "/master_id", "not_merged"),
        (lambda a, b: {"fields": {"city": str(uuid4())}}, "/fields/city", "not_merged"),
        (lambda a, b: {"fields": {"completeness": a}}, "/fields/completeness", "unknown_field"),
        (lambda a, b: {"fields": {"custom.nothing": a}}, "/fields/custom.nothing", "unknown_field"),
        (lambda a, b: {"fields": {"custom": a}}, "/fields/custom", "unknown_field"),
        (lambda a, b: {"master_rule": "oldest", "master_id": a}, "", "one_of"),
        (lambda a, b: {"master_rule": "best"}, "/master_rule", "enum"),
        (lambda a, b: {"records": [{"id": a, "version": 1}]}, "/records", "too_short"),
        (lambda a, b: {"records": [{"id": a, "version": 1}] * 2}, "", "same_record"),
        (lambda a, b: {"keep": True}, "/keep", "unknown_field"),
    ],
)
async def test_what_does_not_fit_is_refused_at_its_place(
    owner: Client, unchanged: Unchanged, change: Any, pointer: str, code: str
):
    one, other = await accounts(owner, "Acme", "Acme")
    body = merge_body([one, other]) | change(one["id"], other["id"])
    if "master_rule" in body and body["master_rule"] != "oldest":
        del body["master_id"]
    async with unchanged():
        answer = await owner.post("/v1/accounts/merge", json=body)
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(pointer, code)]


async def restricted(company: Company, look: Look, rules: Json, **grants: str) -> Client:
    """A colleague with these field rules of accounts who may merge all of them."""
    everything = {f"account:{action}": "all" for action in ("read", "update", "delete", "merge")}
    role = await company.owner.ok(
        "POST",
        "/v1/roles",
        json={"name": f"R{uuid4().hex}", "grants": everything | grants, "field_rules": {"account": rules}},
    )
    return await colleague(company, look, "viewer", role_ids=[role["id"]])


async def test_fields_that_a_role_hides_or_locks_stay_the_masters(
    company: Company, owner: Client, look: Look, unchanged: Unchanged
):
    one, other = await pair(owner)
    client = await restricted(company, look, {"hidden": ["industry"], "readonly": ["phone"]})
    for name in ("industry", "phone"):
        async with unchanged():
            answer = await client.post(
                "/v1/accounts/merge", json=merge_body([one, other], fields={name: other["id"]})
            )
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["pointer"] == f"/fields/{name}"
    done = await merge(client, "accounts", [one, other])
    assert "industry" not in done["record"]
    assert "industry" not in done["merge"]["changed"]
    now = await owner.ok("GET", f"/v1/accounts/{one['id']}")
    assert (now["industry"], now["phone"], now["email"]) == (None, None, "sales@acme.example")


async def test_another_owner_takes_the_right_to_assign(
    company: Company, owner: Client, look: Look, unchanged: Unchanged
):
    client = await restricted(company, look, {})
    one, other = await accounts(owner, "Acme", "Acme")
    given = {"ids": [other["id"]], "owner_id": client.facts["member_id"]}
    await owner.ok("POST", "/v1/accounts/transfer", json=given)
    other = await owner.ok("GET", f"/v1/accounts/{other['id']}")
    body = merge_body([one, other], fields={"owner_id": other["id"]})
    async with unchanged():
        refused = await client.post("/v1/accounts/merge", json=body)
    assert (refused.status_code, refused.json()["permission"]) == (403, "account:assign")
    done = await owner.ok("POST", "/v1/accounts/merge", json=body)
    assert done["record"]["owner_id"] == client.facts["member_id"]


async def test_united_lists_that_grow_too_long_are_refused(owner: Client, unchanged: Unchanged):
    one = await make(owner, "accounts", name="Acme", emails=[f"a{n}@acme.example" for n in range(12)])
    other = await make(owner, "accounts", name="Acme", emails=[f"b{n}@acme.example" for n in range(9)])
    async with unchanged():
        answer = await owner.post("/v1/accounts/merge", json=merge_body([one, other]))
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("/fields/emails", "too_long")]
    done = await merge(owner, "accounts", [one, other], fields={"emails": other["id"]})
    assert done["record"]["emails"] == other["emails"]
