"""What pointed at a merged record points at the survivor: in every module, in trees, in custom fields."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.kernel.ids import new_id
from app.kernel.merging.merge import RecordMerging
from app.kernel.merging.ports import Merger
from app.kernel.merging.schemas import MergeRequest
from app.main import Application
from app.modules.customers.interface import Customers
from app.modules.customers.services.accounts import AccountService
from tests.architecture.test_mapping import mapped, table_of
from tests.merging.support import Unchanged, accounts, fill_account, merge, merge_body, orphans, state, undo
from tests.modules.support import acting, make, subject_id
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague


async def test_everything_that_named_an_account_names_the_survivor(
    company: Company, owner: Client, look: Look
):
    one, other, third = await accounts(owner, "Acme", "Acme Ltd", "Acme Inc")
    member = str((await colleague(company, look)).facts["member_id"])
    found = [await fill_account(owner, account, member) for account in (one, other, third)]
    before = [await owner.ok("GET", f"/v1/accounts/{a['id']}") for a in (one, other, third)]
    answer = await merge(owner, "accounts", before)
    assert answer["merge"]["moved"] == {
        "accounts": 2,
        "activities": 2,
        "consents": 2,
        "contact_roles": 2,
        "contacts": 4,  # two by hand and two by conversion
        "leads": 2,
        "opportunities": 2,
        "shares": 2,
    }
    assert await orphans(company, look) == {}
    id = one["id"]
    for things in found:
        for plural, name, field in (
            ("contacts", "contact", "account_id"),
            ("accounts", "child", "parent_id"),
            ("opportunities", "opportunity", "account_id"),
            ("leads", "lead", "converted_account_id"),
        ):
            now = await owner.ok("GET", f"/v1/{plural}/{things[name]['id']}")
            assert now[field] == id
        task = await owner.ok("GET", f"/v1/activities/{things['task']['id']}")
        assert task["about"] == [{"object": "account", "record_id": id}]
        roles = await owner.ok("GET", f"/v1/contacts/{things['adviser']['id']}/roles")
        assert [(r["account"]["id"], r["role"]) for r in roles["data"]] == [(id, "influencer")]
    assert len(await owner.ok("GET", f"/v1/accounts/{id}/shares")) == 1
    consents = (await owner.ok("GET", f"/v1/accounts/{id}/consents"))["data"]
    assert [c["source"] for c in consents] == ["fair of Acme Inc", "fair of Acme Ltd", "fair of Acme"]
    assert answer["record"]["consents"]["email"]["source"] == "fair of Acme Inc"
    timeline = (await owner.ok("GET", f"/v1/accounts/{id}/timeline"))["data"]
    assert {e["title"] for e in timeline} >= {"Call Acme", "Call Acme Ltd", "Call Acme Inc", "Merged"}
    overview = await owner.ok("GET", f"/v1/accounts/{id}/overview")
    assert overview["panels"]["opportunities"]["open"] == 3
    assert overview["children"] == 3


async def test_moved_records_have_a_new_version_a_history_and_an_event(
    company: Company, owner: Client, look: Look
):
    one, other = await accounts(owner, "Acme", "Acme")
    contact = await make(owner, "contacts", name="Ann", account_id=other["id"])
    await merge(owner, "accounts", [one, other])
    now = await owner.ok("GET", f"/v1/contacts/{contact['id']}")
    assert (now["version"], now["account_id"]) == (2, one["id"])
    entry = (await owner.ok("GET", f"/v1/contacts/{contact['id']}/history"))["data"][0]
    assert (entry["action"], entry["changes"]) == ("moved", {"account_id": [other["id"], one["id"]]})
    told = await look.rows(
        "SELECT type, data FROM kernel.outbox WHERE tenant_id = $1 AND record_id = $2 ORDER BY id DESC",
        company.tenant_id,
        subject_id(contact),
    )
    assert told[0]["type"] == "customers.contact.updated.v1"
    found = await owner.post(
        "/v1/contacts/duplicates", json={"name": "Ann", "account_id": one["id"]}
    )  # names are compared within the account, also after it was merged
    assert [c["id"] for c in found.json()["candidates"]] == [contact["id"]]


async def test_a_merge_is_told_on_both_sides(company: Company, owner: Client, look: Look):
    one, other = await accounts(owner, "Acme", "Acme")
    answer = await merge(owner, "accounts", [one, other], reason="Twice in the list")
    history = (await owner.ok("GET", f"/v1/accounts/{one['id']}/history"))["data"]
    assert (history[0]["action"], history[0]["reason"]) == ("merged", "Twice in the list")
    assert history[0]["changes"]["merged"] == [None, [other["id"]]]
    path = f"/v1/merges/{answer['merge']['id']}/records"
    of_other = (await owner.ok("GET", f"{path}/{other['id']}/history"))["data"]
    assert [entry["action"] for entry in of_other] == ["merged", "created"]
    assert of_other[0]["changes"] == {"merged_into": [None, one["id"]]}
    assert (await owner.get(f"{path}/{one['id']}/history")).status_code == 404
    told = await look.rows(
        "SELECT type, record_id, data::text FROM kernel.outbox WHERE tenant_id = $1 AND object = 'account'"
        " ORDER BY id",
        company.tenant_id,
    )
    assert [(row["type"].split(".")[2], str(row["record_id"])) for row in told[2:]] == [
        ("deleted", other["id"]),
        ("updated", one["id"]),
        ("merged", one["id"]),
    ]
    assert other["id"] in told[-1]["data"]


async def test_two_activities_and_two_shares_of_the_same_become_one(
    company: Company, owner: Client, look: Look
):
    one, other, third = await accounts(owner, "Acme", "Acme", "Acme")
    member = str((await colleague(company, look)).facts["member_id"])
    about = [{"object": "account", "record_id": a["id"]} for a in (third, one, other)]
    task = await make(owner, "activities", kind="task", subject="Call", about=about)
    for account, access in ((one, "read"), (other, "write")):
        body = {"member_id": member, "access": access}
        await owner.ok("POST", f"/v1/accounts/{account['id']}/shares", json=body)
    before = await state(company, look)
    answer = await merge(owner, "accounts", [one, other, third])
    assert (await owner.ok("GET", f"/v1/activities/{task['id']}"))["about"] == [about[1]]
    shares = await owner.ok("GET", f"/v1/accounts/{one['id']}/shares")
    assert [(s["member_id"], s["access"]) for s in shares] == [(member, "read")]  # nobody gains by a merge
    await undo(owner, answer)
    assert await state(company, look) == before


async def test_a_contact_has_one_part_in_an_account_after_a_merge_of_accounts(
    company: Company, owner: Client, look: Look
):
    one, other, third = await accounts(owner, "Acme", "Acme", "Acme")
    first = await make(owner, "contacts", name="Ann", account_id=one["id"], role="champion")
    await owner.ok(
        "PUT", f"/v1/contacts/{first['id']}/roles/{other['id']}", json={"role": "user"}, if_match=1
    )
    second = await make(owner, "contacts", name="Bob", account_id=other["id"])
    await owner.ok("PUT", f"/v1/contacts/{second['id']}/roles/{one['id']}", json={"role": "user"}, if_match=1)
    await owner.ok(
        "PUT", f"/v1/contacts/{second['id']}/roles/{third['id']}", json={"role": "blocker"}, if_match=2
    )
    before = await state(company, look)
    answer = await merge(owner, "accounts", [one, other, third])
    for contact, role in ((first, "champion"), (second, None)):
        roles = (await owner.ok("GET", f"/v1/contacts/{contact['id']}/roles"))["data"]
        assert [(r["account"]["id"], r["role"], r["is_primary"]) for r in roles] == [(one["id"], role, True)]
    await undo(owner, answer)
    assert await state(company, look) == before


async def test_merged_contacts_keep_a_part_in_each_of_their_accounts(
    company: Company, owner: Client, look: Look
):
    acme, bolt, core = await accounts(owner, "Acme", "Bolt", "Core")
    ann = await make(
        owner, "contacts", name="Ann Lee", account_id=acme["id"], role="champion", email="a@x.example"
    )
    lee = await make(
        owner, "contacts", name="A. Lee", account_id=bolt["id"], role="user", email="b@x.example"
    )
    boss = await make(owner, "contacts", name="Boss", account_id=acme["id"])
    below = await make(owner, "contacts", name="Max", reports_to_id=lee["id"])
    lee = await owner.ok(
        "PUT", f"/v1/contacts/{lee['id']}/roles/{core['id']}", json={"role": "blocker"}, if_match=1
    )
    lee = await owner.ok("PATCH", f"/v1/contacts/{lee['id']}", json={"reports_to_id": boss["id"]}, if_match=2)
    deal = await make(owner, "opportunities", name="Deal", contact_id=lee["id"])
    before = await state(company, look)
    answer = await merge(owner, "contacts", [ann, lee])
    survivor = answer["record"]
    assert (survivor["account_id"], survivor["role"]) == (acme["id"], "champion")
    assert (survivor["reports_to_id"], survivor["emails"]) == (boss["id"], ["b@x.example"])
    roles = (await owner.ok("GET", f"/v1/contacts/{ann['id']}/roles"))["data"]
    assert {(r["account"]["name"], r["role"], r["is_primary"]) for r in roles} == {
        ("Acme", "champion", True),
        ("Bolt", "user", False),
        ("Core", "blocker", False),
    }
    assert (await owner.ok("GET", f"/v1/contacts/{below['id']}"))["reports_to_id"] == ann["id"]
    assert (await owner.ok("GET", f"/v1/opportunities/{deal['id']}"))["contact_id"] == ann["id"]
    await undo(owner, answer)
    assert await state(company, look) == before


# -- trees ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("master", [0, 1, 2])
async def test_the_survivor_takes_the_highest_place_among_those_merged(
    company: Company, owner: Client, look: Look, master: int
):
    """top ← a ← b ← c, each with a child of its own; a and c (and b's place between them) stay a tree."""
    (top,) = await accounts(owner, "Top")
    chain = [top]
    for name in ("A", "B", "C"):
        chain += await accounts(owner, name, parent_id=chain[-1]["id"])
    kids = [await make(owner, "accounts", name=f"Kid {a['name']}", parent_id=a["id"]) for a in chain[1:]]
    before = await state(company, look)
    merged = [chain[1], chain[3], kids[0]]
    merged.insert(0, merged.pop(master))
    answer = await merge(owner, "accounts", merged)
    survivor = answer["record"]["id"]
    assert answer["record"]["parent_id"] == top["id"]
    assert (await owner.ok("GET", f"/v1/accounts/{chain[2]['id']}"))["parent_id"] == survivor
    nodes = (await owner.ok("GET", f"/v1/accounts/{survivor}/hierarchy"))["nodes"]
    assert [(n["name"], n["depth"]) for n in nodes] == [
        ("Top", 0),
        (answer["record"]["name"], 1),
        ("B", 2),
        ("Kid C", 2),
        ("Kid B", 3),
    ]
    await undo(owner, answer)
    assert await state(company, look) == before


async def test_a_merge_that_makes_a_tree_too_deep_is_refused(owner: Client, unchanged: Unchanged):
    chain = await accounts(owner, "Level 1")
    for level in range(2, 11):
        chain += await accounts(owner, f"Level {level}", parent_id=chain[-1]["id"])
    other = (await accounts(owner, "Other"))[0]
    await accounts(owner, "Child of other", parent_id=other["id"])
    async with unchanged():
        answer = await owner.post("/v1/accounts/merge", json=merge_body([chain[-1], other]))
    assert (answer.status_code, answer.json()["code"]) == (409, "hierarchy_too_deep")


# -- custom fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unique", [False, True])
async def test_custom_fields_that_name_a_record_follow_it(
    company: Company, owner: Client, look: Look, unchanged: Unchanged, unique: bool
):
    for object_name in ("lead", "account"):
        field = {"object": object_name, "key": "partner", "type": "record", "reference": "account"}
        await owner.ok(
            "POST",
            "/v1/custom-fields",
            json=field | {"labels": {"en": "Partner"}, "unique": unique and object_name == "lead"},
        )
    one, other = await accounts(owner, "Acme", "Acme")
    lead = await make(owner, "leads", name="Ann", custom={"partner": other["id"]})
    third = await make(owner, "accounts", name="Bolt", custom={"partner": other["id"]})
    one = await owner.ok(
        "PATCH", f"/v1/accounts/{one['id']}", json={"custom": {"partner": other["id"]}}, if_match=1
    )
    before = await state(company, look)
    answer = await merge(owner, "accounts", [one, other])
    assert answer["merge"]["moved"] == {"custom_fields": 2}
    assert answer["record"]["custom"] == {}  # nobody is their own partner
    for path in (f"/v1/leads/{lead['id']}", f"/v1/accounts/{third['id']}"):
        assert (await owner.ok("GET", path))["custom"] == {"partner": one["id"]}
    found = await owner.ok("GET", f"/v1/leads?custom.partner={one['id']}")
    assert [row["id"] for row in found["data"]] == [lead["id"]]
    await undo(owner, answer)
    assert await state(company, look) == before
    second = await owner.post("/v1/leads", json={"name": "Bob", "custom": {"partner": one["id"]}})
    assert second.status_code == 201
    now = [await owner.ok("GET", f"/v1/accounts/{a['id']}") for a in (one, other)]
    if unique:
        async with unchanged():
            refused = await owner.post("/v1/accounts/merge", json=merge_body(now))
        assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_value")
    else:
        await merge(owner, "accounts", now)


# -- all modules, whatever the number ------------------------------------------------------------------------


async def test_the_number_of_statements_does_not_grow_with_the_number_of_references(
    company: Company, owner: Client
):
    spent = []
    for size in (1, 60):
        one, other = await accounts(owner, "Acme", "Acme")
        items = [{"record": {"name": f"Contact {n}", "account_id": other["id"]}} for n in range(size)]
        await owner.ok("POST", "/v1/contacts/batch/create", json={"items": items})
        about = [{"object": "account", "record_id": other["id"]}]
        items = [{"record": {"kind": "task", "subject": f"Task {n}", "about": about}} for n in range(size)]
        await owner.ok("POST", "/v1/activities/batch/create", json={"items": items})
        request = MergeRequest.model_validate(merge_body([one, other]))
        async with acting(company) as uow:
            done = await RecordMerging(AccountService(uow)).merge(request)
            await uow.flush()
            spent.append(uow.statements)
        assert done.merge.moved == {"contacts": size, "activities": size}
    assert spent[0] == spent[1]
    assert spent[1] <= 32


def test_every_column_that_names_a_mergeable_record_has_a_merger(app):
    """A new module that refers to accounts, contacts or leads cannot forget to register one."""
    tables = {record.table for record in app.registry.records.values() if record.merge is not None}
    assert tables == {"after_sales.cases", "customers.accounts", "customers.contacts", "leads.leads"}
    named = {
        f"{table_of(kind).schema}.{table_of(kind).name}.{column.name}"
        for kind in mapped()
        for column in table_of(kind).columns
        if column.info.get("module_ref") in tables
    }
    looked_after = {column for merger in mergers(app) for column in merger.columns}
    assert named - looked_after == set()


async def test_every_foreign_key_to_a_mergeable_record_has_a_merger(app, look: Look):
    rows = await look.rows(
        "SELECT format('%s.%s.%s', n.nspname, c.relname, a.attname) AS name FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(k.conkey) AND a.attname <> 'tenant_id'"
        " WHERE k.contype = 'f' AND k.confrelid = ANY(ARRAY['customers.accounts', 'customers.contacts',"
        " 'leads.leads']::regclass[])"
    )
    looked_after = {column for merger in mergers(app) for column in merger.columns}
    assert {row["name"] for row in rows} - looked_after == STAYING.keys()


STAYING = {
    "leads.assignments.lead_id": "the log of decisions is never changed",
    "leads.optimisation_items.lead_id": "a plan says what was planned",
    "leads.response_clocks.id": "the clock of a merged lead ended with it",
}


def mergers(app: Application) -> list[Merger]:
    assert app.kernel is not None
    from app.kernel.access import TenantProfile, system_actor
    from app.kernel.uow import UnitOfWork

    uow = UnitOfWork(app.kernel, cast("Any", None), system_actor(TenantProfile(id=new_id())))
    found = uow.ports(Merger)
    assert len({merger.name for merger in found}) == len(found)
    return found


async def test_a_toys_account_moves_and_comes_back(company: Company, owner: Client, look: Look):
    """A module that nobody here knows takes part by registering a merger (tests/support/toy.py)."""
    one, other = await accounts(owner, "Acme", "Acme")
    toys = [await make(owner, "toys", name=f"Toy {number}") for number in range(3)]
    ids = [subject_id(toy) for toy in toys]
    await look.run("UPDATE toys.toys SET account_id = $1 WHERE id = ANY($2)", subject_id(other), ids[:2])
    answer = await merge(owner, "accounts", [one, other])
    assert answer["merge"]["moved"] == {"toys": 2}
    named = "SELECT account_id FROM toys.toys WHERE id = $1"
    assert [await look.value(named, id) for id in ids] == [subject_id(one), subject_id(one), None]
    await look.run("UPDATE toys.toys SET account_id = NULL WHERE id = $1", ids[1])
    back = await undo(owner, answer)
    assert back["moved_back"] == {"toys": 1}
    assert [await look.value(named, id) for id in ids] == [subject_id(other), None, None]


async def test_a_module_that_kept_an_old_id_is_answered_with_the_survivor(company: Company, owner: Client):
    one, other, third = await accounts(owner, "Acme", "Acme", "Acme")
    first = await merge(owner, "accounts", [other, third])
    await merge(owner, "accounts", [one, first["record"]])
    old = subject_id(third)
    async with acting(company) as uow:
        customers = uow.of(Customers)
        found = await customers.get_many([subject_id(one), old])
        assert {id: ref.id for id, ref in found.items()} == {
            subject_id(one): subject_id(one),
            old: subject_id(one),
        }
        assert set(await customers.get_many([old], hold=True)) == set()
        before = uow.statements
        await customers.get_many([subject_id(one)])
        assert uow.statements - before == 1
