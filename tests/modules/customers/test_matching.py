"""Finding or making an account and a contact, as converting a lead does."""

import asyncio
from typing import Any

import pytest

from app.kernel.access import Scope
from app.kernel.duplicates import DuplicateFound
from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.modules.customers.interface import Customers, Matched, MatchRequest, OnDuplicate
from tests.modules.support import acting, actor_of, colleague, count, make, subject_id
from tests.support.api import Client, Company

ADA = {"name": "Ada Byron", "email": "ada@acme.example", "title": "Engineer"}


async def match(company: Company, actor: Any = None, **request: Any) -> Matched:
    async with acting(company, actor) as uow:
        return await uow.of(Customers).match_or_create(MatchRequest(**request))


async def test_what_is_not_there_is_made(company: Company, owner: Client):
    made = await match(company, account={"name": "Acme Ltd", "country": "GB"}, contact=ADA)
    assert (made.account_created, made.contact_created) == (True, True)
    assert made.contact is not None
    contact = await owner.ok("GET", f"/v1/contacts/{made.contact.id}")
    assert (contact["name"], contact["account_id"]) == ("Ada Byron", str(made.account.id))


async def test_an_equal_one_is_matched_and_only_its_empty_fields_are_filled(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme Ltd", industry="retail", source="fair")
    ada = await make(owner, "contacts", name="A. Byron", email="Ada@Acme.example", account_id=acme["id"])
    fields = {"name": "ACME", "industry": "energy", "city": "Leeds", "source": "web", "tags": ["vip"]}
    made = await match(company, account=fields, contact=ADA)
    assert (made.account.id, made.account_created) == (subject_id(acme), False)
    assert made.contact is not None
    assert (made.contact.id, made.contact_created) == (subject_id(ada), False)
    assert (sorted(made.account_filled), made.contact_filled) == (["city", "tags"], ("title",))
    stored = await owner.ok("GET", f"/v1/accounts/{acme['id']}")
    assert (stored["name"], stored["industry"], stored["city"], stored["source"]) == (
        "Acme Ltd",
        "retail",
        "Leeds",
        "fair",
    )
    assert stored["tags"] == ["vip"]


async def test_zero_is_a_value_and_is_kept(company: Company, owner: Client):
    no_credit = {"amount": "0.00", "currency": "GBP"}
    acme = await make(owner, "accounts", name="Acme Ltd", payment_terms_days=0, credit_limit=no_credit)
    limit = {"amount": "5000.00", "currency": "GBP"}
    made = await match(company, account={"name": "Acme", "payment_terms_days": 30, "credit_limit": limit})
    assert (made.account.id, made.account_filled) == (subject_id(acme), ())
    stored = await owner.ok("GET", f"/v1/accounts/{acme['id']}")
    assert (stored["payment_terms_days"], stored["credit_limit"]) == (0, no_credit)


async def test_the_source_is_overwritten_on_request(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme Ltd", source="fair")
    made = await match(company, account={"name": "Acme", "source": "web"}, overwrite_source=True)
    assert made.account_filled == ("source",)
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}"))["source"] == "web"


async def test_fifty_at_once_of_one_company_make_one_account(company: Company):
    actor = await actor_of(company)
    made = await asyncio.gather(
        *(
            match(
                company,
                actor,
                account={"name": "云帆科技有限公司" if n % 2 else "云帆科技股份有限公司"},
                contact={"name": f"Person {chr(65 + n % 26)}{n}", "email": f"p{n}@yunfan.example"},
                on_duplicate_contact=OnDuplicate.CREATE,
            )
            for n in range(50)
        )
    )
    assert len({one.account.id for one in made}) == 1
    assert sum(one.account_created for one in made) == 1
    assert await count(company, "customers.accounts") == 1
    assert await count(company, "customers.contacts") == 50


async def test_what_merely_looks_alike_is_for_the_caller_to_decide(company: Company, owner: Client):
    there = await make(owner, "accounts", name="Brackenridge Tooling Ltd")
    alike = {"name": "Brackenrigde Tooling Ltd"}
    with pytest.raises(DuplicateFound) as refused:
        await match(company, account=alike)
    assert [c["id"] for c in refused.value.members["candidates"]] == [there["id"]]
    assert await count(company, "customers.accounts") == 1
    taken = await match(company, account=alike, on_duplicate_account=OnDuplicate.MATCH)
    assert taken.account.id == subject_id(there)
    made = await match(company, account=alike, on_duplicate_account=OnDuplicate.CREATE)
    assert made.account_created


async def test_a_preview_writes_nothing_and_says_what_would_happen(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme Ltd")
    async with acting(company) as uow:
        customers = uow.of(Customers)
        seen = await customers.preview(MatchRequest({"name": "Acme", "city": "Leeds"}, ADA))
        unclear = await customers.preview(MatchRequest({"name": "Acmes Ltd", "email": "x@example.com"}, None))
    assert seen.account is not None
    assert (seen.account.id, seen.account_filled, seen.contact) == (subject_id(acme), ("city",), None)
    assert seen.undecided == ()
    assert unclear.undecided == ("account",)
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}"))["version"] == 1
    assert await count(company, "customers.contacts") == 0


async def test_a_preview_knows_owners_who_have_left(company: Company, owner: Client):
    async with acting(company) as uow:
        with pytest.raises(Invalid) as refused:
            await uow.of(Customers).preview(MatchRequest({"name": "Acme", "owner_id": new_id()}))
    assert (refused.value.errors[0].pointer, refused.value.errors[0].code) == ("/owner_id", "unknown_member")


async def test_a_given_contact_must_belong_to_the_account(company: Company, owner: Client):
    acme, zenith = await make(owner, "accounts", name="Acme"), await make(owner, "accounts", name="Zenith")
    ada = await make(owner, "contacts", name="Ada", account_id=zenith["id"])
    ids = {"account_id": subject_id(acme), "contact_id": subject_id(ada)}
    with pytest.raises(Invalid) as refused:
        await match(company, account={"name": "Acme"}, contact=ADA, **ids)
    assert refused.value.errors[0].code == "contact_of_other_account"
    assert (await owner.ok("GET", f"/v1/contacts/{ada['id']}"))["version"] == 1
    await owner.ok("PUT", f"/v1/contacts/{ada['id']}/roles/{acme['id']}", json={"role": "user"}, if_match=1)
    made = await match(company, account={"name": "Acme"}, contact=ADA, **ids)
    assert made.contact is not None
    assert (made.contact.id, made.contact_created) == (subject_id(ada), False)


async def test_a_contact_of_the_same_address_elsewhere_is_asked_about(company: Company, owner: Client):
    zenith = await make(owner, "accounts", name="Zenith")
    await make(owner, "contacts", name="Ada", email="ada@acme.example", account_id=zenith["id"])
    with pytest.raises(DuplicateFound):
        await match(company, account={"name": "Acme"}, contact=ADA)
    assert await count(company, "customers.accounts") == 1


async def test_who_may_not_change_a_matched_account_leaves_it_as_it_is(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme")
    reader = colleague(
        await actor_of(company), account_read=Scope.ALL, account_update=Scope.OWN, account_create=Scope.ALL
    )
    made = await match(company, reader, account={"name": "Acme", "city": "Leeds"})
    assert (made.account.id, made.account_filled) == (subject_id(acme), ())
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}"))["city"] is None


async def test_the_lifecycle_stage_only_advances(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme", lifecycle_stage="customer")
    async with acting(company) as uow:
        await uow.of(Customers).advance(subject_id(acme), "opportunity")
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}"))["lifecycle_stage"] == "customer"
    async with acting(company) as uow:
        await uow.of(Customers).advance(subject_id(acme), "evangelist")
    assert (await owner.ok("GET", f"/v1/accounts/{acme['id']}"))["lifecycle_stage"] == "evangelist"


async def test_keys_of_imports_resolve_in_one_statement_each(company: Company, owner: Client):
    acme = await make(owner, "accounts", name="Acme Ltd", external_id="A-1")
    for _ in range(2):
        await make(owner, "accounts", name="Twin Works")
    ada = await make(owner, "contacts", name="Ada", email="ada@acme.example", external_id="C-1")
    async with acting(company) as uow:
        customers = uow.of(Customers)
        before = uow.statements
        assert await customers.accounts_by_external_id(["A-1", "A-2"]) == {"A-1": subject_id(acme)}
        assert await customers.accounts_by_name(["ACME", "Twin Works"]) == {"ACME": subject_id(acme)}
        assert await customers.contacts_by_email(["ADA@acme.example", "no"]) == {
            "ADA@acme.example": subject_id(ada)
        }
        assert await customers.contacts_by_external_id(["C-1"]) == {"C-1": subject_id(ada)}
        assert uow.statements - before == 4
