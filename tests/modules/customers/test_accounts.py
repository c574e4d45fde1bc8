"""Accounts: their fields, their tree, and what keeps them from being deleted."""

import asyncio

import pytest

from app.kernel.access import Scope
from app.kernel.errors import Invalid
from app.kernel.models import Json
from app.modules.customers.services.accounts import AccountService
from tests.modules.support import acting, actor_of, colleague, make, subject_id
from tests.support.api import Client, Company


async def test_an_account_is_created_read_changed_and_deleted(owner: Client):
    made = await make(
        owner,
        "accounts",
        name="上海云帆科技有限公司",
        email="Info@YunFan.example",
        phone="021-5555 0100",
        country="中国",
        registration_number="9131 0000 mA1k",
        credit_limit={"amount": "1000.50", "currency": "CNY"},
    )
    assert (made["name"], made["kind"], made["lifecycle_stage"]) == (
        "上海云帆科技有限公司",
        "company",
        "lead",
    )
    assert (made["country"], made["email"]) == ("CN", "Info@yunfan.example")
    assert made["registration_number"] == "91310000MA1K"
    assert made["credit_limit"] == {"amount": "1000.50", "currency": "CNY"}
    assert made["completeness"] == 55  # name 10, e-mail 15, phone 15, country 5, number 10
    path = f"/v1/accounts/{made['id']}"
    assert await owner.ok("GET", path) == made
    changed = await owner.ok("PATCH", path, json={"city": "上海", "credit_limit": None}, if_match=1)
    assert (changed["version"], changed["completeness"], changed["credit_limit"]) == (2, 60, None)
    found = await owner.ok("GET", "/v1/accounts?q=yunfan")
    assert [row["id"] for row in found["data"]] == [made["id"]]
    await owner.ok("DELETE", path, if_match=2)
    assert (await owner.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("email", "nobody", "invalid_email"),
        ("phone", "call me", "invalid_phone"),
        ("website", "ftp://example.com", "invalid_url"),
        ("country", "Atlantis", "unknown_country"),
        ("lifecycle_stage", "friend", "enum"),
        ("payment_terms_days", -1, "greater_than_equal"),
        ("parent_id", "01980000-0000-7000-8000-000000000000", "unknown_reference"),
    ],
)
async def test_a_wrong_value_is_refused_at_its_place_and_nothing_is_made(owner: Client, field, value, code):
    answer = await owner.post("/v1/accounts", json={"name": "Acme", field: value})
    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(f"/{field}", code)]
    assert (await owner.ok("GET", "/v1/accounts"))["data"] == []


async def chain(owner: Client, length: int) -> list[Json]:
    """Accounts, each under the one before."""
    made = [await make(owner, "accounts", name="Level 1 Holding")]
    for level in range(2, length + 1):
        made.append(await make(owner, "accounts", name=f"Level {level} Holding", parent_id=made[-1]["id"]))
    return made


async def test_an_account_cannot_stand_below_itself(owner: Client):
    top, _, bottom = await chain(owner, 3)
    for below in (top, bottom):
        answer = await owner.patch(f"/v1/accounts/{top['id']}", json={"parent_id": below["id"]}, if_match=1)
        assert (answer.status_code, answer.json()["code"]) == (409, "hierarchy_loop")
    assert (await owner.ok("GET", f"/v1/accounts/{top['id']}"))["parent_id"] is None


async def test_a_tree_of_accounts_has_at_most_ten_levels(owner: Client):
    levels = await chain(owner, 10)
    answer = await owner.post("/v1/accounts", json={"name": "Level 11", "parent_id": levels[-1]["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "hierarchy_too_deep")
    other = await make(owner, "accounts", name="A new top")
    path = f"/v1/accounts/{levels[0]['id']}"
    answer = await owner.patch(path, json={"parent_id": other["id"]}, if_match=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "hierarchy_too_deep")


async def test_two_accounts_put_under_each_other_at_once_make_no_loop(owner: Client):
    for attempt in range(5):
        one = await make(owner, "accounts", name=f"Castor {attempt}")
        two = await make(owner, "accounts", name=f"Pollux {attempt}")
        answers = await asyncio.gather(
            owner.patch(f"/v1/accounts/{one['id']}", json={"parent_id": two["id"]}, if_match=1),
            owner.patch(f"/v1/accounts/{two['id']}", json={"parent_id": one["id"]}, if_match=1),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_the_hierarchy_shows_the_whole_tree_from_any_place_in_it(owner: Client):
    top, middle, bottom = await chain(owner, 3)
    sister = await make(owner, "accounts", name="Level 2 Sister", parent_id=top["id"])
    for place in (top, bottom, sister):
        nodes = (await owner.ok("GET", f"/v1/accounts/{place['id']}/hierarchy"))["nodes"]
        assert [(node["id"], node["depth"]) for node in nodes] == [
            (top["id"], 0),
            (middle["id"], 1),
            (sister["id"], 1),
            (bottom["id"], 2),
        ]


async def test_the_hierarchy_leaves_out_what_one_may_not_see(owner: Client, company: Company):
    top = await make(owner, "accounts", name="Seen Holding")
    await make(owner, "accounts", name="Unseen Works", parent_id=top["id"])
    boss = await actor_of(company)
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE customers.accounts SET owner_id = gen_random_uuid() WHERE tenant_id = $1 AND name LIKE 'Unseen%'",
            uow.tenant_id,
        )
    own = colleague(boss, account_read=Scope.OWN)
    seeing = type(own)(
        tenant=own.tenant, kind="member", id=boss.id, name="", member_id=boss.member_id, grants=own.grants
    )
    async with acting(company, seeing) as uow:
        nodes = (await AccountService(uow).hierarchy(subject_id(top))).nodes
    assert [node.name for node in nodes] == ["Seen Holding"]


async def test_an_account_with_people_or_subsidiaries_is_not_deleted(owner: Client):
    top, below = await chain(owner, 2)
    await make(owner, "contacts", name="Ada", account_id=below["id"])
    for account, used_by in ((top, {"accounts": 1}), (below, {"contacts": 1})):
        answer = await owner.delete(f"/v1/accounts/{account['id']}", if_match=1)
        assert (answer.status_code, answer.json()["code"]) == (409, "account_in_use")
        assert answer.json()["used_by"] == used_by
        assert (await owner.get(f"/v1/accounts/{account['id']}")).status_code == 200


async def test_accounts_change_owner_in_bulk_with_their_open_tasks(owner: Client, company: Company):
    account = await make(owner, "accounts", name="Acme")
    about = [{"object": "account", "record_id": account["id"]}]
    task = await make(owner, "activities", kind="task", subject="Call them", about=about)
    note = await make(owner, "activities", kind="note", body="They like tea.", about=about)
    async with acting(company) as uow:
        await uow.fetch("UPDATE customers.accounts SET owner_id = NULL WHERE tenant_id = $1", uow.tenant_id)
        await uow.fetch(
            "UPDATE activities.activities SET owner_id = NULL WHERE tenant_id = $1", uow.tenant_id
        )
    moved = await owner.ok(
        "POST", "/v1/accounts/transfer", json={"ids": [account["id"]], "owner_id": str(company.member_id)}
    )
    assert moved == {"transferred": [account["id"]], "unchanged": [], "went_along": {"activity": 1}}
    assert (await owner.ok("GET", f"/v1/activities/{task['id']}"))["owner_id"] == str(company.member_id)
    assert (await owner.ok("GET", f"/v1/activities/{note['id']}"))["owner_id"] is None


async def test_an_account_that_one_may_not_see_is_no_parent(owner: Client, company: Company):
    foreign = await make(owner, "accounts", name="Not yours")
    stranger = colleague(await actor_of(company), account_read=Scope.OWN, account_create=Scope.ALL)
    with pytest.raises(Invalid) as refused:
        async with acting(company, stranger) as uow:
            await AccountService(uow)._check_parent(subject_id(foreign), None)
    assert refused.value.errors[0].code == "unknown_reference"
