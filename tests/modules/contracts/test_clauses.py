"""Clauses: a library in versions, copies that stay, and merge fields that are text and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.errors import Invalid
from app.modules.contracts.services import merge_fields
from tests.modules.contracts.conftest import Hire
from tests.modules.contracts.deals import (
    act,
    again,
    draft,
    money,
    part,
    pointers,
    put,
    refusal,
    try_act,
    try_put,
)
from tests.modules.support import make
from tests.support.api import Client, Company

LIBRARY = "/v1/contract-clause-templates"
PAYMENT = {
    "key": "payment",
    "category": "Money",
    "title_en": "Payment",
    "title_zh": "付款",
    "body_en": "{{account.name}} pays {{ contract.value }} by {{contract.ends_on}}.",
    "body_zh": "{{account.name}}应于{{contract.ends_on}}前支付{{contract.value}}。",
}


async def template(client: Client, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = await client.ok("POST", LIBRARY, json=PAYMENT | changes)
    return made


# -- merge fields --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{account.nam}}", "unknown_placeholder"),
        ("{{account.__class__}}", "unknown_placeholder"),
        ("{{7*7}}", "malformed_placeholder"),
        ("{{account.name", "malformed_placeholder"),
        ("account.name}}", "malformed_placeholder"),
        ("{{{account.name}}}", "malformed_placeholder"),
        ("{{}}", "malformed_placeholder"),
        ("{{account.name.upper()}}", "malformed_placeholder"),
        ("{{ACCOUNT.NAME}}", "malformed_placeholder"),
        ("{% for x in y %}{{account.name}}{{", "malformed_placeholder"),
    ],
)
def test_what_is_no_declared_field_is_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        merge_fields.check(text, "/body")
    assert [(e.pointer, e.code) for e in refused.value.errors] == [("/body", code)]


def test_single_braces_and_other_languages_of_templates_are_plain_text() -> None:
    for text in ("{account.name}", "${7*7}", "<%= x %>", "{% if x %}", "a } { b", "%s {0}"):
        merge_fields.check(text, "/body")
        assert merge_fields.fill(text, {}) == (text, [])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.sampled_from(sorted(merge_fields.FIELDS)))
def test_what_is_put_in_is_put_in_once_and_as_it_is(value: str, name: str) -> None:
    text, missing = merge_fields.fill(f"<{{{{{name}}}}}|{{{{ {name} }}}}>", {name: value})
    assert (text, missing) == (f"<{value}|{value}>", [])


def test_a_value_that_looks_like_a_field_is_not_filled_again() -> None:
    values: dict[str, str | None] = {"account.name": "{{contract.value}}", "contract.value": "1"}
    assert merge_fields.fill("{{account.name}}", values) == ("{{contract.value}}", [])


def test_ten_thousand_braces_are_read_in_no_time() -> None:
    with pytest.raises(Invalid):
        merge_fields.check("{" * 20_000, "/body")
    merge_fields.check("{ " * 10_000, "/body")


async def test_the_declared_fields_are_listed(owner: Client) -> None:
    fields = (await owner.ok("GET", "/v1/contract-merge-fields"))["data"]
    assert fields[0] == {"name": "account.name", "label_en": "The customer's name", "label_zh": "客户名称"}
    assert {field["name"] for field in fields} == set(merge_fields.FIELDS)


# -- the library ---------------------------------------------------------------------------------------------


async def test_another_text_makes_another_version(owner: Client) -> None:
    made = await template(owner)
    assert (made["version"], made["current_version"], made["is_active"]) == (1, 1, True)
    path = f"{LIBRARY}/{made['id']}"
    same = await owner.ok("PATCH", path, json={"category": "Terms"}, if_match=1)
    assert (same["version"], same["current_version"]) == (2, 1)
    changed = await owner.ok("PATCH", path, json={"body_en": "Pay {{contract.value}}."}, if_match=2)
    assert (changed["current_version"], changed["title_zh"]) == (2, "付款")
    versions = (await owner.ok("GET", f"{path}/versions"))["data"]
    assert [(v["number"], v["body_en"]) for v in versions] == [
        (2, "Pay {{contract.value}}."),
        (1, PAYMENT["body_en"]),
    ]
    unchinese = await owner.patch(path, {"title_zh": None}, if_match=3)
    assert pointers(unchinese) == [("/body_zh", "chinese_text")]
    unknown = await owner.patch(path, {"body_zh": "{{contract.colour}}"}, if_match=3)
    assert pointers(unknown) == [("/body_zh", "unknown_placeholder")]
    assert (await owner.ok("GET", path)) == changed
    again_ = await owner.post(LIBRARY, PAYMENT)
    assert refusal(again_) == (409, "duplicate_value")


async def test_many_changes_at_once_make_versions_one_after_another(owner: Client) -> None:
    made = await template(owner)
    path = f"{LIBRARY}/{made['id']}"
    answers = await asyncio.gather(
        *(owner.patch(path, {"body_en": f"Text {n}"}, if_match=1) for n in range(30))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 29
    assert len((await owner.ok("GET", f"{path}/versions"))["data"]) == 2


async def test_who_sells_does_not_write_the_library(owner: Client, hire: Hire) -> None:
    seller = await hire("salesperson")
    answer = await seller.post(LIBRARY, PAYMENT)
    assert (*refusal(answer), answer.json()["permission"]) == (403, "forbidden", "contract_clause:manage")
    assert (await owner.ok("GET", LIBRARY))["data"] == []
    await template(owner)
    assert len((await seller.ok("GET", f"{LIBRARY}?active=true"))["data"]) == 1


# -- in contracts --------------------------------------------------------------------------------------------


async def test_a_contract_keeps_the_text_that_it_copied(owner: Client, clock: FixedClock) -> None:
    made, contract = await template(owner), await draft(owner)
    own = {
        "title": "Notice",
        "body": "{{contract.notice_days}} days, {{company.name}} & <b>{{contact.name}}</b>",
    }
    clauses = [{"template_id": made["id"]}, own]
    rows = (await put(owner, contract, "clauses", clauses=clauses))["data"]
    assert (rows[0]["title"], rows[0]["template_version"], rows[0]["text"], rows[0]["missing"]) == (
        "Payment", 1, "Acme pays 1200.00 USD by 2026-12-31.", [],
    )  # fmt: skip
    assert rows[1]["text"].endswith("& <b>{{contact.name}}</b>")
    assert rows[1]["missing"] == ["contact.name"]
    await owner.ok("PATCH", f"{LIBRARY}/{made['id']}", json={"body_en": "Other"}, if_match=1)
    refused = await try_act(owner, contract, "submit")
    assert pointers(refused) == [("/clauses/1", "missing_value")]
    assert (await again(owner, contract))["status"] == "draft"
    contact = await make(owner, "contacts", name="Ann", account_id=contract["account_id"])
    await owner.ok(
        "PATCH",
        f"/v1/contracts/{contract['id']}",
        json={"contact_id": contact["id"], "value": money("99.00"), "ends_on": None, "notice_days": 30},
        if_match=2,
    )
    texts = [row["text"] for row in await part(owner, contract, "clauses")]
    assert texts[0] == "Acme pays 99.00 USD by open end."
    await act(owner, contract, "submit")
    frozen = await part(owner, contract, "clauses")
    assert [row["missing"] for row in frozen] == [[], []]
    assert frozen[1]["text"].startswith("30 days, Company ")
    account = await owner.ok("GET", f"/v1/accounts/{contract['account_id']}")
    await owner.ok(
        "PATCH", f"/v1/accounts/{account['id']}", json={"name": "Renamed"}, if_match=account["version"]
    )
    assert await part(owner, contract, "clauses") == frozen


async def test_a_contract_is_written_in_one_language(owner: Client) -> None:
    both, english = await template(owner), await template(owner, key="x", title_zh=None, body_zh=None)
    contract = await draft(owner, language="zh")
    (row,) = (await put(owner, contract, "clauses", clauses=[{"template_id": both["id"]}]))["data"]
    assert (row["title"], row["text"]) == ("付款", "Acme应于2026年12月31日前支付1200.00 USD。")
    refused = await try_put(owner, contract, "clauses", clauses=[{"template_id": english["id"]}])
    assert pointers(refused) == [("/clauses/0/template_id", "no_text")]
    assert await part(owner, contract, "clauses") == [row]


async def test_clauses_that_cannot_be_copied_are_refused_at_their_place(
    owner: Client, rival: Company
) -> None:
    theirs, retired = await template(rival.owner), await template(owner)
    await owner.ok("PATCH", f"{LIBRARY}/{retired['id']}", json={"is_active": False}, if_match=1)
    contract = await draft(owner)
    for clause, pointer, code in (
        ({"template_id": theirs["id"]}, "/template_id", "unknown_reference"),
        ({"template_id": retired["id"]}, "/template_id", "unknown_reference"),
        ({"title": "x", "body": "{{x.y}}"}, "/body", "unknown_placeholder"),
        ({"title": "x"}, "", "source_required"),
        ({"template_id": retired["id"], "title": "x"}, "", "one_source"),
    ):
        refused = await try_put(owner, contract, "clauses", clauses=[clause])
        assert pointers(refused) == [(f"/clauses/0{pointer}", code)]
    assert await part(owner, contract, "clauses") == []


async def test_a_clause_in_use_is_not_deleted(owner: Client) -> None:
    made, contract = await template(owner), await draft(owner)
    await put(owner, contract, "clauses", clauses=[{"template_id": made["id"]}])
    path = f"{LIBRARY}/{made['id']}"
    assert refusal(await owner.delete(path, if_match=1)) == (409, "clause_template_in_use")
    assert (await owner.ok("GET", path)) == made
    await put(owner, contract, "clauses", clauses=[])
    await owner.ok("DELETE", path, if_match=1)
    assert (await owner.get(path)).status_code == 404
