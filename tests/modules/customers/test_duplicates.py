"""Duplicates of accounts and contacts: what is found, and what the tenant's rule makes of it."""

import asyncio

import pytest

from app.kernel.access import Scope
from app.kernel.company_names import company_core, person_core
from app.kernel.duplicates import DuplicateFound, name_likeness
from app.modules.customers.services.accounts import AccountService
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("上海云帆科技股份有限公司", "上海云帆科技"),
        ("上海云帆科技公司", "上海云帆科技"),
        ("Müller Söhne GmbH & Co. KG", "muller sohne"),
        ("Brackenridge Tooling Pty Ltd", "brackenridge tooling"),
        ("Brackenridge Tooling", "brackenridge tooling"),
        ("Acme S.A.", "acme"),
        ("Foo, Inc.", "foo"),
        ("株式会社ソニー", "ソニー"),
        ("云帆 科技 有限公司", "云帆科技"),
        ("有限公司", "有限公司"),
        ("Inc.", "inc"),
    ],
)
def test_a_company_is_compared_without_its_legal_form(name, core):
    assert company_core(name) == core


def test_a_person_is_compared_whichever_name_comes_first():
    assert person_core("Li, Hua") == person_core("Hua Li") == "hua li"
    assert person_core("张 三") == "张三"


def test_people_of_two_accounts_are_never_alike_by_name():
    assert name_likeness("a | ada byron", "b | ada byron", exact_scope=True) == 0
    assert name_likeness("acme works | ada", "acme work | ada") > 88
    assert name_likeness("acme works | ada", "zenith | ada") < 88


async def rule(owner: Client, kind: str, action: str) -> None:
    path = f"/v1/duplicate-rules/{kind}"
    version = (await owner.ok("GET", path))["version"]
    await owner.ok("PUT", path, json={"action": action}, if_match=version)


async def test_the_rule_is_to_warn_until_someone_says_otherwise(owner: Client, rival: Company):
    path = "/v1/duplicate-rules/account"
    assert await owner.ok("GET", path) == {
        "object": "account",
        "action": "warn",
        "version": 0,
        "updated_at": None,
    }
    set_ = await owner.ok("PUT", path, json={"action": "block"}, if_match=0)
    assert (set_["action"], set_["version"]) == ("block", 1)
    assert (await owner.put(path, json={"action": "allow"}, if_match=0)).status_code == 412
    assert (await owner.put(path, json={"action": "allow"})).status_code == 428
    assert (await owner.ok("GET", path))["action"] == "block"
    assert (await rival.owner.ok("GET", path))["action"] == "warn"
    assert (await owner.get("/v1/duplicate-rules/activity")).status_code == 404


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"name": "Unrelated", "email": "INFO@acme.example"}, ["email"]),
        ({"name": "Unrelated", "emails": ["info@acme.example"]}, ["email"]),
        ({"name": "Unrelated", "phone": "+1 206 555 0100"}, ["phone"]),
        ({"name": "Unrelated", "registration_number": "hrb 12 345"}, ["registration_number"]),
        ({"name": "Acme Tooling Inc."}, ["name"]),
        ({"name": "Amce Tooling"}, ["name"]),
        ({"name": "ACME TOOLING LLC", "email": "info@acme.example"}, ["email", "name"]),
    ],
)
async def test_a_duplicate_is_found_with_its_reasons(owner: Client, fields, reasons):
    await rule(owner, "account", "block")
    there = await make(
        owner,
        "accounts",
        name="Acme Tooling Ltd",
        email="info@acme.example",
        phone="(206) 555-0100",
        registration_number="HRB12345",
    )
    answer = await owner.post("/v1/accounts", json=fields)
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_found")
    [candidate] = answer.json()["candidates"]
    assert (candidate["id"], candidate["reasons"]) == (there["id"], reasons)
    assert candidate["score"] >= 88
    assert len((await owner.ok("GET", f"/v1/accounts/{there['id']}/hierarchy"))["nodes"]) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Zenith Tooling Ltd"},
        {"name": "Acme Freight"},
        {"name": "Acme Tooling Ltd", "kind": "person"},
        {"name": "Else", "phone": "(206) 555-0101", "email": "sales@acme.example"},
    ],
)
async def test_what_only_resembles_a_little_is_no_duplicate(owner: Client, fields):
    await rule(owner, "account", "block")
    await make(owner, "accounts", name="Acme Tooling Ltd", email="info@acme.example", phone="(206) 555-0100")
    assert (await make(owner, "accounts", **fields))["duplicate_count"] == 0


async def test_a_warning_counts_the_candidates_on_the_new_record(owner: Client):
    there = await make(owner, "accounts", name="苏州竹溪电子有限公司")
    made = await make(owner, "accounts", name="苏州竹溪电子公司")
    assert (there["duplicate_count"], made["duplicate_count"]) == (0, 1)
    answer = await owner.ok("GET", f"/v1/accounts/{made['id']}/duplicates")
    assert answer == {
        "candidates": [
            {"id": there["id"], "name": "苏州竹溪电子有限公司", "reasons": ["name"], "score": 100.0}
        ],
        "hidden": 0,
        "action": "warn",
    }


async def test_allow_does_not_look(owner: Client):
    await rule(owner, "account", "allow")
    await make(owner, "accounts", name="Acme")
    assert (await make(owner, "accounts", name="Acme"))["duplicate_count"] == 0


async def test_who_may_override_makes_a_blocked_record_knowingly(owner: Client, company: Company):
    await rule(owner, "account", "block")
    await make(owner, "accounts", name="Acme")
    made = await make(owner, "accounts", name="Acme", allow_duplicates=True)
    assert made["duplicate_count"] == 1
    plain = colleague(await actor_of(company), account_create=Scope.ALL, account_read=Scope.ALL)
    with pytest.raises(Exception, match="duplicate_rule:override"):
        async with acting(company, plain) as uow:
            await AccountService(uow).create({"name": "Acme", "kind": "company", "allow_duplicates": True})
    assert await count(company, "customers.accounts") == 2


async def test_candidates_that_one_may_not_see_are_counted_and_not_shown(owner: Client, company: Company):
    await rule(owner, "account", "block")
    await make(owner, "accounts", name="Secret Works", email="info@secret.example")
    plain = colleague(await actor_of(company), account_create=Scope.ALL, account_read=Scope.OWN)
    fields = {
        "name": "Secret Works",
        "kind": "company",
        "lifecycle_stage": "lead",
        "emails": [],
        "phones": [],
        "tags": [],
    }
    with pytest.raises(DuplicateFound) as refused:
        async with acting(company, plain) as uow:
            await AccountService(uow).create(fields)
    assert refused.value.members == {"candidates": [], "hidden": 1}
    assert await count(company, "customers.accounts") == 1


async def test_of_two_creates_at_once_with_one_address_exactly_one_wins(owner: Client, company: Company):
    await rule(owner, "account", "block")
    answers = await asyncio.gather(
        *(
            owner.post("/v1/accounts", json={"name": f"{n} Works {n}", "email": "Same@x.example"})
            for n in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await count(company, "customers.accounts") == 1


async def test_another_companys_records_are_no_duplicates(owner: Client, rival: Company):
    await make(owner, "accounts", name="Acme", email="info@acme.example")
    assert (await make(rival.owner, "accounts", name="Acme", email="info@acme.example"))[
        "duplicate_count"
    ] == 0


async def test_deleted_records_are_no_duplicates(owner: Client):
    gone = await make(owner, "accounts", name="Acme")
    await owner.ok("DELETE", f"/v1/accounts/{gone['id']}", if_match=1)
    assert (await make(owner, "accounts", name="Acme"))["duplicate_count"] == 0


async def test_people_of_one_name_are_duplicates_within_an_account_only(owner: Client):
    acme, zenith = await make(owner, "accounts", name="Acme"), await make(owner, "accounts", name="Zenith")
    await make(owner, "contacts", name="Hua Li", account_id=acme["id"])
    assert (await make(owner, "contacts", name="Li, Hua", account_id=acme["id"]))["duplicate_count"] == 1
    assert (await make(owner, "contacts", name="Hua Li", account_id=zenith["id"]))["duplicate_count"] == 0
    assert (await make(owner, "contacts", name="Hua Li"))["duplicate_count"] == 0


async def test_one_may_ask_who_is_there_before_writing(owner: Client):
    there = await make(owner, "contacts", name="Ada", mobile="+44 7700 900123")
    answer = await owner.ok(
        "POST", "/v1/contacts/duplicates", json={"mobile": "07700 900123", "country": "GB"}
    )
    assert [(c["id"], c["reasons"]) for c in answer["candidates"]] == [(there["id"], ["phone"])]
    assert (await owner.ok("POST", "/v1/accounts/duplicates", json={}))["candidates"] == []


async def test_an_edit_counts_again_and_is_never_refused(owner: Client):
    await rule(owner, "account", "block")
    await make(owner, "accounts", name="Acme", email="info@acme.example")
    other = await make(owner, "accounts", name="Zenith")
    changed = await owner.ok(
        "PATCH", f"/v1/accounts/{other['id']}", json={"email": "info@acme.example"}, if_match=1
    )
    assert changed["duplicate_count"] == 1
