"""Conversion: what a lead becomes, once, whole or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import Scope, system_actor
from app.kernel.errors import Forbidden, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.leads.schemas import Conversion, ConversionPlan, LeadCreate
from app.modules.leads.services.conversion import Converter
from app.modules.leads.services.leads import LeadService
from app.modules.leads.services.preview import preview
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company

PERSON = {
    "name": "Ann Lee",
    "company": "Initech Inc.",
    "title": "Head of Purchasing",
    "email": "ann@initech.example.com",
    "phone": "+1 415 555 0100",
    "website": "https://initech.example.com",
    "source": "event",
    "industry": "manufacturing",
    "country": "US",
    "region": "California",
    "city": "San Francisco",
    "address": "1 Market Street",
    "rating": "hot",
    "description": "Asks for ten sensors.",
}
DEAL = {
    "name": "Ten sensors",
    "stage": "proposal",
    "amount": {"amount": "1250.00", "currency": "USD"},
    "expected_close_on": "2027-03-31",
}


def version_of(record: dict[str, Any]) -> dict[str, Any]:
    return {"if_match": record["version"]}


async def convert(owner: Client, lead: dict[str, Any], **plan: Any) -> dict[str, Any]:
    found: dict[str, Any] = await owner.ok(
        "POST", f"/v1/leads/{lead['id']}/convert", json=plan, **version_of(lead)
    )
    return found


async def _convert(uow: UnitOfWork, id: UUID, plan: ConversionPlan) -> Conversion:
    return await Converter(uow).convert(id, plan, expected_version=1)


async def made_rows(company: Company) -> tuple[int, int, int]:
    """Accounts, contacts, opportunities of the company."""
    return (
        await count(company, "customers.accounts"),
        await count(company, "customers.contacts"),
        await count(company, "opportunities.opportunities"),
    )


async def test_a_lead_becomes_an_account_a_contact_and_an_opportunity(owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    result = await convert(owner, lead, opportunity=DEAL)
    account = await owner.ok("GET", f"/v1/accounts/{result['account']['id']}")
    contact = await owner.ok("GET", f"/v1/contacts/{result['contact']['id']}")
    deal = await owner.ok("GET", f"/v1/opportunities/{result['opportunity']['id']}")
    assert result == {
        "lead_id": lead["id"],
        "converted_at": result["converted_at"],
        "owner_id": lead["owner_id"],
        "account": {"id": account["id"], "name": "Initech Inc.", "created": True, "filled": []},
        "contact": {"id": contact["id"], "name": "Ann Lee", "created": True, "filled": []},
        "opportunity": {
            "id": deal["id"],
            "name": "Ten sensors",
            "stage": "proposal",
            "amount": {"amount": "1250.00", "currency": "USD"},
        },
        "activities_moved": 0,
    }
    company_fields = ("website", "source", "industry", "country", "region", "city", "address", "rating")
    assert {n: account[n] for n in company_fields} == {n: PERSON[n] for n in company_fields}
    assert [account[n] for n in ("kind", "email", "phone", "lifecycle_stage")] == [
        "company", None, None, "opportunity",
    ]  # fmt: skip
    person_fields = (
        "title",
        "email",
        "phone",
        "source",
        "country",
        "region",
        "city",
        "address",
        "description",
    )
    assert {n: contact[n] for n in person_fields} == {n: PERSON[n] for n in person_fields}
    assert contact["account_id"] == account["id"]
    assert [deal[n] for n in ("account_id", "contact_id", "lead_id", "source", "probability", "owner_id")] == [
        account["id"], contact["id"], lead["id"], "event", 50, lead["owner_id"],
    ]  # fmt: skip


async def test_a_converted_lead_points_at_what_it_became_and_is_read_only(
    company: Company, owner: Client
) -> None:
    lead = await make(owner, "leads", **PERSON)
    result = await convert(owner, lead, opportunity=DEAL)
    after = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert [after[n] for n in ("status", "version", "converted_at")] == [
        "converted",
        2,
        result["converted_at"],
    ]
    became = {
        "account_id": result["account"]["id"],
        "contact_id": result["contact"]["id"],
        "opportunity_id": result["opportunity"]["id"],
    }
    assert {n: after[f"converted_{n}"] for n in became} == became
    for method, path, body in (
        ("PATCH", "", {"name": "Other"}),
        ("DELETE", "", None),
        ("POST", "/qualify", None),
        ("POST", "/disqualify", {"reason": "spam"}),
        ("POST", "/touches", {"source": "web"}),
        ("POST", "/convert/preview", {}),
    ):
        options: dict[str, Any] = {"json": body} if body is not None else {}
        refused = await owner.request(method, f"/v1/leads/{lead['id']}{path}", **options, **version_of(after))
        assert (refused.status_code, refused.json()["code"]) == (409, "lead_already_converted"), path
        assert {n: refused.json()[n] for n in became} == became
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == after


async def test_converting_again_answers_with_the_first_result(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    first = await convert(owner, lead, opportunity=DEAL)
    again = await convert(owner, lead, account={"create": {"name": "Another"}})
    assert again == first
    assert await made_rows(company) == (1, 1, 1)
    missing = await owner.post(f"/v1/leads/{lead['id']}/convert", {})
    assert (missing.status_code, missing.json()["code"]) == (428, "version_required")


async def test_a_stale_version_converts_nothing(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    refused = await owner.post(f"/v1/leads/{lead['id']}/convert", {}, if_match=9)
    assert (refused.status_code, refused.json()["code"]) == (412, "stale_version")
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
    assert await made_rows(company) == (0, 0, 0)


async def test_a_disqualified_lead_is_not_converted(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON, status="disqualified", disqualified_reason="spam")
    refused = await owner.post(f"/v1/leads/{lead['id']}/convert", {}, **version_of(lead))
    assert (refused.status_code, refused.json()["code"], refused.json()["allowed"]) == (
        409,
        "invalid_transition",
        ["reopen"],
    )
    assert await made_rows(company) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"stage": "nowhere"}, "/opportunity/stage"), ({"pipeline": "nowhere"}, "/opportunity/pipeline")],
)
async def test_a_refused_opportunity_leaves_no_account_behind(
    company: Company, owner: Client, change: dict[str, str], pointer: str
) -> None:
    lead = await make(owner, "leads", **PERSON)
    refused = await owner.post(
        f"/v1/leads/{lead['id']}/convert", {"opportunity": DEAL | change}, **version_of(lead)
    )
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await made_rows(company) == (0, 0, 0)
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_an_equal_account_and_contact_are_matched_and_only_their_empty_fields_filled(
    company: Company, owner: Client
) -> None:
    account = await make(owner, "accounts", name="INITECH", industry="software", source="web")
    contact = await make(
        owner,
        "contacts",
        name="Ann Lee",
        email="ANN@initech.example.com",
        account_id=account["id"],
        title="CPO",
    )
    lead = await make(owner, "leads", **PERSON)
    result = await convert(owner, lead)
    assert (result["account"]["id"], result["account"]["created"]) == (account["id"], False)
    assert (result["contact"]["id"], result["contact"]["created"]) == (contact["id"], False)
    assert result["opportunity"] is None
    after = await owner.ok("GET", f"/v1/accounts/{account['id']}")
    assert [after[n] for n in ("name", "industry", "source", "city", "rating")] == [
        "INITECH", "software", "web", "San Francisco", "hot",
    ]  # fmt: skip
    person = await owner.ok("GET", f"/v1/contacts/{contact['id']}")
    assert [person[n] for n in ("title", "phone", "email")] == ["CPO", "+1 415 555 0100", contact["email"]]
    assert await made_rows(company) == (1, 1, 0)


async def test_the_source_is_overwritten_on_request_only(owner: Client) -> None:
    account = await make(owner, "accounts", name="Initech", source="web")
    lead = await make(owner, "leads", **PERSON)
    await convert(owner, lead, account={"id": account["id"]}, overwrite_source=True)
    assert (await owner.ok("GET", f"/v1/accounts/{account['id']}"))["source"] == "event"


async def test_a_record_that_only_looks_alike_is_for_the_caller_to_decide(
    company: Company, owner: Client
) -> None:
    account = await make(owner, "accounts", name="Initech Industries")
    lead = await make(owner, "leads", **(PERSON | {"company": "Initech Industry"}))
    path = f"/v1/leads/{lead['id']}/convert"
    asked = await owner.post(path, {}, **version_of(lead))
    assert (asked.status_code, asked.json()["code"], asked.json()["hidden"]) == (409, "duplicate_found", 0)
    assert [(c["id"], c["reasons"]) for c in asked.json()["candidates"]] == [(account["id"], ["name"])]
    assert await made_rows(company) == (1, 0, 0)
    shown = await owner.ok("POST", f"{path}/preview", json={})
    assert (shown["account"]["outcome"], shown["account"]["candidates"][0]["id"]) == (
        "undecided",
        account["id"],
    )
    result = await convert(owner, lead, duplicates="create")
    assert result["account"]["created"] is True
    assert await made_rows(company) == (2, 1, 0)


async def test_a_given_contact_must_belong_to_the_account(company: Company, owner: Client) -> None:
    mine = await make(owner, "accounts", name="Initech")
    other = await make(owner, "accounts", name="Globex")
    contact = await make(owner, "contacts", name="Bo Berg", account_id=other["id"])
    lead = await make(owner, "leads", **PERSON)
    refused = await owner.post(
        f"/v1/leads/{lead['id']}/convert",
        {"account": {"id": mine["id"]}, "contact": {"id": contact["id"]}},
        **version_of(lead),
    )
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "contact_of_other_account")
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_another_tenants_account_is_unknown(company: Company, owner: Client, rival: Company) -> None:
    theirs = await make(rival.owner, "accounts", name="Initech")
    lead = await make(owner, "leads", **PERSON)
    refused = await owner.post(
        f"/v1/leads/{lead['id']}/convert", {"account": {"id": theirs["id"]}}, **version_of(lead)
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert await made_rows(company) == (0, 0, 0)


async def test_notes_and_tasks_move_along(owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    about = [{"object": "lead", "record_id": lead["id"]}]
    note = await make(owner, "activities", kind="note", body="Wants a quote", about=about)
    task = await make(owner, "activities", kind="task", subject="Call back", about=about)
    result = await convert(owner, lead, opportunity=DEAL)
    assert result["activities_moved"] == 2
    for path in (
        f"accounts/{result['account']['id']}",
        f"contacts/{result['contact']['id']}",
        f"opportunities/{result['opportunity']['id']}",
    ):
        seen = await owner.ok("GET", f"/v1/{path}/timeline?kind=note,task")
        assert {entry["record_id"] for entry in seen["data"]} == {note["id"], task["id"]}, path
    left = await owner.ok("GET", f"/v1/leads/{lead['id']}/timeline?kind=note,task")
    assert left["data"] == []


async def test_a_lead_without_a_company_becomes_a_person(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann Lee", email="ann@home.example.com")
    result = await convert(owner, lead)
    account = await owner.ok("GET", f"/v1/accounts/{result['account']['id']}")
    assert (account["name"], account["kind"], account["email"]) == (
        "Ann Lee",
        "person",
        "ann@home.example.com",
    )


async def test_the_preview_says_what_would_happen_and_writes_nothing(company: Company, owner: Client) -> None:
    account = await make(owner, "accounts", name="Initech", industry="software")
    lead = await make(owner, "leads", **PERSON)
    before = await made_rows(company)
    shown = await owner.ok(
        "POST", f"/v1/leads/{lead['id']}/convert/preview", json={"opportunity": {"stage": "negotiation"}}
    )
    assert (shown["account"]["outcome"], shown["account"]["id"]) == ("match", account["id"])
    fields = {f["field"]: (f["from_field"], f["value"], f["written"]) for f in shown["account"]["fields"]}
    assert fields["industry"] == ("industry", "manufacturing", False)
    assert fields["city"] == ("city", "San Francisco", True)
    assert shown["contact"]["outcome"] == "create"
    person = {f["field"]: (f["from_field"], f["value"], f["written"]) for f in shown["contact"]["fields"]}
    assert person["title"] == ("title", "Head of Purchasing", True)
    deal = shown["opportunity"]
    assert [deal[n] for n in ("name", "pipeline", "stage", "probability")] == [
        "Initech Inc.", "sales", "negotiation", 75,
    ]  # fmt: skip
    assert await made_rows(company) == before
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead
    result = await convert(owner, lead, opportunity={"stage": "negotiation"})
    assert (result["account"]["id"], result["contact"]["created"]) == (account["id"], True)


async def test_fifty_conversions_at_once_make_one_of_each_and_answer_the_same(
    company: Company, owner: Client
) -> None:
    lead = await make(owner, "leads", **PERSON)
    results = await asyncio.gather(*(convert(owner, lead, opportunity=DEAL) for _ in range(50)))
    assert all(result == results[0] for result in results)
    assert await made_rows(company) == (1, 1, 1)
    assert (await owner.ok("GET", f"/v1/leads/{lead['id']}"))["version"] == 2


async def test_fifty_leads_of_one_company_converted_at_once_make_one_account(
    company: Company, owner: Client
) -> None:
    given = ("Olga", "Bernd", "Xavier", "Mei", "Fatima", "Ruth", "Hugo", "Pia", "Kwame", "Zoltan")
    family = ("Novak", "Eriksson", "Achterberg", "Diallo", "Yamamoto")
    spellings = ("Initech", "Initech Inc", "INITECH LLC")
    people = [{"name": f"{given[n % 10]} {family[n // 10]}", "company": spellings[n % 3]} for n in range(50)]
    leads = [await make(owner, "leads", **person) for person in people]
    results = await asyncio.gather(*(convert(owner, lead) for lead in leads))
    assert len({result["account"]["id"] for result in results}) == 1
    assert sum(result["account"]["created"] for result in results) == 1
    assert len({result["contact"]["id"] for result in results}) == 50
    assert await made_rows(company) == (1, 50, 0)


async def test_what_the_plan_says_goes_before_the_lead(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    plan = {
        "account": {"create": {"name": "Initech Labs", "size": "51-200", "industry": "research"}},
        "contact": {"create": {"role": "champion", "title": "Director"}},
    }
    result = await convert(owner, lead, **plan)
    account = await owner.ok("GET", f"/v1/accounts/{result['account']['id']}")
    contact = await owner.ok("GET", f"/v1/contacts/{result['contact']['id']}")
    assert [account[n] for n in ("name", "size", "industry", "city")] == [
        "Initech Labs", "51-200", "research", "San Francisco",
    ]  # fmt: skip
    assert [contact[n] for n in ("role", "title", "email")] == ["champion", "Director", PERSON["email"]]


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        ({"account": {}}, "/account"),
        ({"account": {"create": {"shoe_size": 42}}}, "/account/shoe_size"),
        ({"contact": {"create": {"email": "nowhere"}}}, "/contact/email"),
        ({"opportunity": {"amount": {"amount": "1.234", "currency": "USD"}}}, "/opportunity/amount"),
        ({"nothing": 1}, "/nothing"),
    ],
)
async def test_a_plan_that_is_not_valid_converts_nothing(
    company: Company, owner: Client, plan: dict[str, Any], pointer: str
) -> None:
    lead = await make(owner, "leads", **PERSON)
    refused = await owner.post(f"/v1/leads/{lead['id']}/convert", plan, **version_of(lead))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await made_rows(company) == (0, 0, 0)
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_who_may_only_read_leads_converts_none(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    everything = await actor_of(company)
    reader = colleague(everything, lead_read=Scope.ALL)
    halfway = colleague(everything, lead_read=Scope.ALL, lead_convert=Scope.OWN)
    for actor in (reader, halfway):
        async with acting(company, actor) as uow:
            with pytest.raises(Forbidden):
                await Converter(uow).convert(UUID(lead["id"]), ConversionPlan(), expected_version=1)
    assert await made_rows(company) == (0, 0, 0)
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_fields_that_a_role_may_not_set_stay_empty_unless_they_are_asked_for(
    company: Company, owner: Client
) -> None:
    whats = ("read", "create", "assign")
    grants = {f"{name}_{what}": Scope.ALL for name in ("lead", "account", "contact") for what in whats}
    actor = replace(
        colleague(await actor_of(company), **grants, lead_convert=Scope.ALL),
        hidden_fields={"account": frozenset({"credit_limit", "owner_id"})},
        readonly_fields={
            "account": frozenset({"rating", "lifecycle_stage"}),
            "contact": frozenset({"title"}),
        },
    )
    lead = await make(owner, "leads", **PERSON)
    asked = ConversionPlan.model_validate({"account": {"create": {"rating": "cold"}}})
    for act in (preview, _convert):
        async with acting(company, actor) as uow:
            with pytest.raises(Forbidden) as refused:
                await act(uow, UUID(lead["id"]), asked)
        assert [error.pointer for error in refused.value.errors] == ["/rating"]
    assert await made_rows(company) == (0, 0, 0)
    async with acting(company, actor) as uow:
        seen = await preview(uow, UUID(lead["id"]), ConversionPlan())
        result = await Converter(uow).convert(UUID(lead["id"]), ConversionPlan(), expected_version=1)
    account = await owner.ok("GET", f"/v1/accounts/{result.account.id}")
    contact = await owner.ok("GET", f"/v1/contacts/{result.contact.id}") if result.contact else {}
    assert (account["rating"], account["industry"], account["lifecycle_stage"]) == (
        None,
        "manufacturing",
        "qualified",
    )
    assert (account["owner_id"], contact["title"], contact["email"]) == (
        lead["owner_id"],
        None,
        PERSON["email"],
    )
    assert seen.contact is not None
    shown = {field.field: field.value for field in seen.account.fields if field.written}
    assert shown == {name: account[name] for name in shown}
    assert {"rating", "title"}.isdisjoint(
        field.field for field in (*seen.account.fields, *seen.contact.fields)
    )


async def test_the_preview_promises_nothing_that_the_actor_may_not_do(
    company: Company, owner: Client
) -> None:
    await make(owner, "accounts", name="Initech")
    everything = await actor_of(company)
    grants = {f"{name}_read": Scope.ALL for name in ("lead", "account", "contact")} | {
        "lead_convert": Scope.ALL
    }
    lead = await make(owner, "leads", **PERSON)
    async with acting(company, colleague(everything, **grants)) as uow:
        with pytest.raises(Forbidden) as refused:
            await preview(uow, UUID(lead["id"]), ConversionPlan())
    assert refused.value.members["permission"] == "contact:create"
    grants |= {"contact_create": Scope.ALL}
    async with acting(company, colleague(everything, **grants)) as uow:
        with pytest.raises(Forbidden) as refused:
            await preview(uow, UUID(lead["id"]), ConversionPlan())
    assert refused.value.members["permission"] == "contact:assign"
    grants |= {"contact_assign": Scope.ALL}
    async with acting(company, colleague(everything, **grants)) as uow:
        seen = await preview(uow, UUID(lead["id"]), ConversionPlan())
        result = await Converter(uow).convert(UUID(lead["id"]), ConversionPlan(), expected_version=1)
    assert seen.account.outcome == "match"
    assert [field.field for field in seen.account.fields if field.written] == result.account.filled == []


async def test_a_lead_that_nobody_owns_needs_an_owner(company: Company, owner: Client) -> None:
    everything = await actor_of(company)
    system = system_actor(everything.tenant)
    async with acting(company, system) as uow:
        body = LeadCreate.model_validate(PERSON)
        row = await LeadService(uow).create({name: getattr(body, name) for name in LeadCreate.model_fields})
    assert row.owner_id is None
    async with acting(company, system) as uow:
        with pytest.raises(Invalid) as refused:
            await Converter(uow).convert(row.id, ConversionPlan(), expected_version=1)
    assert refused.value.errors[0].code == "owner_required"
    assert await made_rows(company) == (0, 0, 0)
    lead = await owner.ok("GET", f"/v1/leads/{row.id}")
    result = await convert(owner, lead, opportunity={})
    assert result["owner_id"] == str(company.member_id)
    assert result["opportunity"]["name"] == "Initech Inc."
    after = await owner.ok("GET", f"/v1/leads/{row.id}")
    assert after["owner_id"] == str(company.member_id)


async def test_conversion_is_told_once_with_what_was_made(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", **PERSON)
    result = await convert(owner, lead, opportunity=DEAL)
    await convert(owner, lead)
    async with acting(company) as uow:
        events = await uow.fetch(
            "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'leads.lead.converted.v1'",
            uow.tenant_id,
        )
    assert [event["data"] for event in events] == [
        {
            "id": lead["id"],
            "account_id": result["account"]["id"],
            "account_created": True,
            "contact_id": result["contact"]["id"],
            "contact_created": True,
            "opportunity_id": result["opportunity"]["id"],
            "owner_id": lead["owner_id"],
            "source": "event",
        }
    ]
    history = await owner.ok("GET", f"/v1/leads/{lead['id']}/history")
    assert [entry["action"] for entry in history["data"]] == ["converted", "created"]
