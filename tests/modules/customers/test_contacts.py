"""Contacts: names, parts in accounts, who reports to whom, and consent."""

from uuid import UUID

import pytest

from app.kernel.access import Scope
from app.kernel.errors import Forbidden
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork, transaction
from app.kernel.validation import fields_of
from app.modules.customers.interface import Customers
from app.modules.customers.schemas import ContactCreate, display_name
from app.modules.customers.services.contacts import ContactService
from tests.modules.support import acting, actor_of, colleague, count, make, require_held
from tests.support.api import Client, Company


@pytest.mark.parametrize(
    ("family", "given", "shown"),
    [
        ("张", "伟", "张伟"),
        ("Zhang", "Wei", "Wei Zhang"),
        ("欧阳", "秀英", "欧阳秀英"),
        ("Lovelace", None, "Lovelace"),
        (None, "Ada", "Ada"),
        (None, None, ""),
    ],
)
def test_a_name_is_shown_in_the_order_of_its_script(family, given, shown):
    assert display_name(family, given) == shown


async def test_a_contact_is_named_by_its_parts_and_follows_them(owner: Client):
    made = await make(owner, "contacts", family_name="张", given_name="伟")
    assert made["name"] == "张伟"
    path = f"/v1/contacts/{made['id']}"
    changed = await owner.ok("PATCH", path, json={"given_name": "磊"}, if_match=1)
    assert changed["name"] == "张磊"
    named = await owner.ok("PATCH", path, json={"name": "张总"}, if_match=2)
    assert named["name"] == "张总"
    kept = await owner.ok("PATCH", path, json={"given_name": "伟"}, if_match=3)
    assert kept["name"] == "张总"


async def test_a_contact_without_any_name_is_refused(owner: Client):
    answer = await owner.post("/v1/contacts", json={"email": "x@example.com"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "name_required")


async def test_a_role_needs_an_account(owner: Client):
    answer = await owner.post("/v1/contacts", json={"name": "Ada", "role": "champion"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/role"


async def test_the_committee_lists_people_by_role_and_says_which_roles_are_missing(owner: Client):
    acme = await make(owner, "accounts", name="Acme")
    other = await make(owner, "accounts", name="Other Works")
    await make(owner, "contacts", name="Uma", account_id=acme["id"], role="user")
    boss = await make(
        owner, "contacts", name="Dora", account_id=acme["id"], role="decision_maker", title="CEO"
    )
    guest = await make(owner, "contacts", name="Ingo", account_id=other["id"], role="champion")
    guest = await owner.ok(
        "PUT", f"/v1/contacts/{guest['id']}/roles/{acme['id']}", json={"role": "influencer"}, if_match=1
    )
    assert (guest["version"], guest["account_id"]) == (2, other["id"])
    committee = await owner.ok("GET", f"/v1/accounts/{acme['id']}/committee")
    assert [(m["contact"]["name"], m["role"], m["is_primary"]) for m in committee["members"]] == [
        ("Dora", "decision_maker", True),
        ("Ingo", "influencer", False),
        ("Uma", "user", True),
    ]
    assert committee["members"][0]["contact"]["id"] == boss["id"]
    assert committee["missing_roles"] == ["gatekeeper", "champion", "blocker"]


async def test_a_contact_moves_to_another_first_account_and_keeps_a_part_in_the_former(owner: Client):
    old = await make(owner, "accounts", name="Old Works")
    new = await make(owner, "accounts", name="New Works")
    ada = await make(owner, "contacts", name="Ada", account_id=old["id"], role="champion")
    path = f"/v1/contacts/{ada['id']}/roles"
    moved = await owner.ok(
        "PUT", f"{path}/{new['id']}", json={"role": "user", "is_primary": True}, if_match=1
    )
    assert (moved["account_id"], moved["role"]) == (new["id"], "user")
    parts = [
        (p["account"]["name"], p["role"], p["is_primary"]) for p in (await owner.ok("GET", path))["data"]
    ]
    assert parts == [("New Works", "user", True), ("Old Works", "champion", False)]
    left = await owner.ok("DELETE", f"{path}/{old['id']}", if_match=moved["version"])
    assert (await owner.ok("GET", path))["data"] == [
        {"account": {"id": new["id"], "name": "New Works"}, "role": "user", "is_primary": True}
    ]
    assert (await owner.delete(f"{path}/{old['id']}", if_match=left["version"])).status_code == 404


async def test_changing_a_part_needs_the_current_version(owner: Client):
    acme = await make(owner, "accounts", name="Acme")
    ada = await make(owner, "contacts", name="Ada")
    path = f"/v1/contacts/{ada['id']}/roles/{acme['id']}"
    assert (await owner.put(path, json={"role": "user"})).status_code == 428
    assert (await owner.put(path, json={"role": "user"}, if_match=7)).status_code == 412
    assert (await owner.ok("GET", f"/v1/contacts/{ada['id']}/roles"))["data"] == []


async def test_nobody_reports_to_themselves_in_a_circle(owner: Client):
    boss = await make(owner, "contacts", name="Boss")
    clerk = await make(owner, "contacts", name="Clerk", reports_to_id=boss["id"])
    answer = await owner.patch(f"/v1/contacts/{boss['id']}", json={"reports_to_id": clerk["id"]}, if_match=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "hierarchy_loop")
    await owner.ok("DELETE", f"/v1/contacts/{boss['id']}", if_match=1)
    assert (await owner.ok("GET", f"/v1/contacts/{clerk['id']}"))["reports_to_id"] is None


async def test_consent_is_kept_per_channel_with_its_history(owner: Client):
    ada = await make(owner, "contacts", name="Ada", email="ada@example.com")
    path = f"/v1/contacts/{ada['id']}/consents"
    said = {
        "channel": "email",
        "status": "granted",
        "source": "web form",
        "given_at": "2026-01-02T10:00:00+02:00",
    }
    made = await owner.ok("POST", path, json=said)
    assert made["given_at"] == "2026-01-02T08:00:00Z"
    denied = {
        "channel": "email",
        "status": "denied",
        "source": "unsubscribe link",
        "given_at": "2026-03-01T00:00:00Z",
    }
    await owner.ok("POST", path, json=denied)
    earlier = {
        "channel": "email",
        "status": "granted",
        "source": "paper form",
        "given_at": "2026-02-01T00:00:00Z",
    }
    await owner.ok("POST", path, json=earlier)
    stands = (await owner.ok("GET", f"/v1/contacts/{ada['id']}"))["consents"]
    assert stands == {
        "email": {"status": "denied", "source": "unsubscribe link", "at": "2026-03-01T00:00:00Z"}
    }
    history = (await owner.ok("GET", path))["data"]
    assert [entry["source"] for entry in history] == ["paper form", "unsubscribe link", "web form"]


async def test_nothing_is_said_in_the_future(owner: Client):
    ada = await make(owner, "contacts", name="Ada")
    said = {"channel": "email", "status": "granted", "source": "Form", "given_at": "2099-01-01T00:00:00Z"}
    refused = await owner.post(f"/v1/contacts/{ada['id']}/consents", said)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "in_the_future")
    assert (await owner.ok("GET", f"/v1/contacts/{ada['id']}/consents"))["data"] == []
    assert await owner.ok("GET", f"/v1/contacts/{ada['id']}") == ada


async def test_what_was_said_cannot_be_changed(owner: Client, company):
    from asyncpg import InsufficientPrivilegeError

    from tests.modules.support import acting

    account = await make(owner, "accounts", name="Acme")
    said = {"channel": "phone", "status": "granted", "source": "call"}
    await owner.ok("POST", f"/v1/accounts/{account['id']}/consents", json=said)
    with pytest.raises(InsufficientPrivilegeError):
        async with acting(company) as uow:
            await uow.fetch("UPDATE customers.consents SET status = 'denied'")


async def test_a_contacts_account_is_found_held_and_compared_in_one_statement(
    company: Company, owner: Client
) -> None:
    acme = await make(owner, "accounts", name="Acme")
    await make(owner, "contacts", name="Ada Lovelace", account_id=acme["id"])
    async with acting(company) as uow:
        before = uow.statements
        given = ContactCreate(name="Ada Lovelace", account_id=acme["id"])
        row = await ContactService(uow).create(fields_of(given))
        assert (uow.statements - before, row.duplicate_count) == (1, 1)
        await uow.flush()
        assert uow.statements - before == 2
        await require_held(company, "customers.accounts", acme["id"])


async def test_an_unknown_account_is_told_before_any_duplicate(
    company: Company, rival: Company, owner: Client
) -> None:
    await owner.ok("PUT", "/v1/duplicate-rules/contact", json={"action": "block"}, if_match=0)
    await make(owner, "contacts", name="Ada", email="ada@example.com")
    theirs = await make(rival.owner, "accounts", name="Theirs")
    given = {"name": "Ada", "email": "ada@example.com", "account_id": theirs["id"]}
    answer = await owner.post("/v1/contacts", json=given)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/account_id")
    assert (await owner.post("/v1/contacts", json=given | {"account_id": None})).status_code == 409
    assert await count(company, "customers.contacts") == 1


async def test_another_statement_finds_an_account_and_holds_it_where_it_may_write(
    company: Company, rival: Company, owner: Client
) -> None:
    acme = await make(owner, "accounts", name="Acme")
    theirs = await make(rival.owner, "accounts", name="Theirs")

    async def found(uow: UnitOfWork, id: str) -> bool:
        bind = Bindings(uow.tenant_id)
        sql = uow.of(Customers).holds_account(UUID(id), bind)
        return bool((await uow.fetchone(f"SELECT {sql}", *bind.values))[0])

    actor = await actor_of(company)
    async with transaction(company.kernel, actor, read_only=True) as uow:
        assert (await found(uow, acme["id"]), await found(uow, theirs["id"])) == (True, False)
    async with acting(company) as uow:
        assert (await found(uow, acme["id"]), await found(uow, theirs["id"])) == (True, False)
        await require_held(company, "customers.accounts", acme["id"])
    async with acting(company, colleague(actor, account_read=Scope.OWN)) as uow:
        assert not await found(uow, acme["id"])
    async with acting(company, colleague(actor, contact_read=Scope.ALL)) as uow:
        with pytest.raises(Forbidden):
            uow.of(Customers).holds_account(UUID(acme["id"]), Bindings(uow.tenant_id))
