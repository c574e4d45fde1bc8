"""What a person may ask of a company: to be told everything, and to be forgotten."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from app.kernel.access import TenantProfile, system_actor
from app.kernel.audit_seal import verify
from app.kernel.schedules import ScheduledRun
from app.main import Application
from app.tenants.privacy import people_list
from app.tenants.privacy.audit import AuditLog
from app.tenants.privacy.copies import Copies
from app.tenants.privacy.erasing import Rows
from app.tenants.privacy.exporting import FOLDER, forget_expired
from app.tenants.privacy.finding import Subject
from app.tenants.privacy.models import PrivacyKind
from app.tenants.privacy.requests import PrivacyRequests
from app.tenants.privacy.restoring import erase_people_again
from app.tenants.privacy.running import PersonErasure
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.support.copying import kept_aside, put_back
from tests.support.fingerprint import changes, fingerprint
from tests.support.kernel import all_is_sealed
from tests.tenants.people import code_of, colleague
from tests.tenants.privacy.support import answered, asked, erased, held, tables_with

pytestmark = pytest.mark.usefixtures("rival")


async def a_contact(owner: Client, **fields: object) -> dict[str, object]:
    body = {"name": "Zelda Quimby", "email": "zelda@quimby.example", "mobile": "+1 212 555 0188"} | fields
    made: dict[str, object] = await owner.ok("POST", "/v1/contacts", json=body)
    return made


async def test_a_draft_shows_what_is_held_and_who_else_has_the_address(owner, company, look):
    contact = await a_contact(owner)
    lead = await owner.ok("POST", "/v1/leads", json={"name": "Z Quimby", "email": "Zelda@Quimby.example"})
    note = {"kind": "note", "subject": "Talked", "about": [{"object": "contact", "record_id": contact["id"]}]}
    await owner.ok("POST", "/v1/activities", json=note)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    assert (draft["state"], draft["kind"], draft["content"]) == ("draft", "erasure", None)
    assert held(draft) == {
        "customers.contacts": (1, "pseudonymised"),
        "activities.activities": (1, "pseudonymised"),
    }
    assert draft["candidates"] == [{"object": "lead", "record_id": lead["id"], "same": ["email"]}]
    assert (
        await look.value("SELECT count(*) FROM tenants.privacy_rows WHERE tenant_id = $1", company.tenant_id)
        == 0
    )
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["name"] == "Zelda Quimby"


async def test_people_are_found_by_address_and_number(owner):
    contact = await a_contact(owner)
    for query in ("email=ZELDA@quimby.example", "phone=%2B12125550188"):
        found = await owner.ok("GET", f"/v1/privacy/people?{query}")
        assert [one["record_id"] for one in found["people"]] == [contact["id"]], query
    assert code_of(await owner.get("/v1/privacy/people"))[0] == 400


async def test_erasing_a_contact_leaves_a_tombstone_and_a_certificate(owner, app, company):
    contact = await a_contact(owner)
    done = await erased(owner, app.kernel, ("contact", contact["id"]))
    assert held(done) == {"customers.contacts": (1, "pseudonymised")}
    assert code_of(await owner.get(f"/v1/contacts/{contact['id']}")) == (404, "not_found")
    proof = await owner.ok("GET", f"/v1/privacy/requests/{done['id']}/certificate")
    assert proof["valid"] is True
    assert proof["certificate"]["subjects"] == [{"object": "contact", "record_id": contact["id"]}]
    assert proof["certificate"]["confirmed_by"] == str(company.member_id)
    assert "Quimby" not in orjson.dumps(proof).decode()


async def test_a_hundred_confirmations_make_one_erasure(owner, app, look, company):
    contact = await a_contact(owner)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    path = f"/v1/privacy/requests/{draft['id']}/confirm"
    answers = await asyncio.gather(*(owner.post(path) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    jobs = "SELECT count(*) FROM kernel.jobs WHERE tenant_id = $1 AND name = 'privacy.answer'"
    assert await look.value(jobs, company.tenant_id) == 1
    await answered(owner, app.kernel, draft["id"])
    erased_once = "SELECT count(*) FROM kernel.audit_entries WHERE tenant_id = $1 AND action = 'erased'"
    assert await look.value(erased_once, company.tenant_id) == 1
    assert await look.value(jobs, company.tenant_id) == 1


async def test_only_who_runs_the_company_looks_and_confirms(owner, app, look, company):
    contact = await a_contact(owner)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    manager = await colleague(company, look, "manager")
    before = await fingerprint(look.connection, company.tenant_id)
    path = f"/v1/privacy/requests/{draft['id']}"
    for answer in (
        await manager.get(path),
        await manager.post(f"{path}/confirm"),
        await manager.post(f"{path}/cancel"),
        await manager.get("/v1/privacy/people?email=zelda@quimby.example"),
    ):
        assert code_of(answer) == (403, "forbidden")
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_a_company_is_no_person_and_what_is_not_there_neither(owner, look, company):
    account = await owner.ok("POST", "/v1/accounts", json={"name": "Acme Ltd"})
    before = await fingerprint(look.connection, company.tenant_id)
    for object_name, id in (("account", account["id"]), ("contact", uuid4()), ("lead", account["id"])):
        body = {
            "kind": "erasure",
            "subjects": [{"object": object_name, "record_id": str(id)}],
            "reason": "Asked",
        }
        answer = await owner.post("/v1/privacy/requests", body)
        assert answer.json()["errors"][0]["code"] == "not_a_person"
        assert answer.json()["errors"][0]["pointer"] == "/subjects/0"
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_a_cancelled_draft_is_not_confirmed(owner, look, company):
    contact = await a_contact(owner)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    path = f"/v1/privacy/requests/{draft['id']}"
    assert (await owner.ok("POST", f"{path}/cancel"))["state"] == "cancelled"
    before = await fingerprint(look.connection, company.tenant_id)
    for step in ("confirm", "cancel"):
        assert code_of(await owner.post(f"{path}/{step}")) == (409, "privacy_request_not_draft")
    assert code_of(await owner.get(f"{path}/content")) == (409, "person_export_not_ready")
    assert code_of(await owner.get(f"{path}/certificate")) == (404, "not_found")
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_an_export_has_rows_changes_and_files_and_goes_after_its_days(owner, app, company, look):
    contact = await a_contact(owner)
    file = await owner.post(
        "/v1/files?filename=cv.txt", content=b"born 1970", headers={"Content-Type": "text/plain"}
    )
    about = [{"object": "contact", "record_id": contact["id"]}]
    note = await owner.ok("POST", "/v1/activities", json={"kind": "note", "subject": "CV", "about": about})
    await owner.ok("POST", f"/v1/activities/{note['id']}/attachments", json={"file_id": file.json()["id"]})
    draft = await asked(owner, "export", ("contact", contact["id"]))
    done = await answered(owner, app.kernel, draft["id"])
    answer = await owner.get(done["content"])
    assert hashlib.sha256(answer.content).hexdigest() == done["sha256"]
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line["kind"] for line in lines] == ["about", "row", "row", "row", "change", "file"]
    rows = {line["table"]: line["row"] for line in lines if line["kind"] == "row"}
    assert rows["customers.contacts"]["email"] == "zelda@quimby.example"
    assert "tokens" not in rows["customers.contacts"]
    assert base64.b64decode(lines[-1]["content"]) == b"born 1970"
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["name"] == "Zelda Quimby"
    gone = "UPDATE tenants.privacy_requests SET expires_at = now() - interval '1 s' WHERE id = $1"
    await look.run(gone, UUID(draft["id"]))
    assert code_of(await owner.get(done["content"])) == (409, "person_export_not_ready")
    profile = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    await forget_expired(ScheduledRun(app.kernel, profile))
    keys = [found.key async for found in app.kernel.files.of_tenant(company.tenant_id)]
    assert not any(FOLDER in key for key in keys)


async def test_what_was_merged_and_converted_is_the_same_person(owner, app, company):
    first, second = [await a_contact(owner, allow_duplicates=True) for _ in range(2)]
    records = [{"id": one["id"], "version": one["version"]} for one in (first, second)]
    await owner.ok("POST", "/v1/contacts/merge", json={"records": records, "master_id": first["id"]})
    lead = await owner.ok("POST", "/v1/leads", json={"name": "Zelda", "email": "z@other.example"})
    plan = {"contact": {"id": first["id"]}}
    converted = await owner.post(f"/v1/leads/{lead['id']}/convert", plan, if_match=lead["version"])
    done = await erased(owner, app.kernel, ("contact", first["id"]))
    found = held(done)
    assert found["customers.contacts"][0] == 2
    assert found.get("leads.leads", (0,))[0] == int(converted.is_success)


async def test_a_refusal_outlives_the_person_without_their_address(owner, app, company, look):
    contact = await a_contact(owner)
    said = {"channel": "email", "status": "denied", "source": "Phone call"}
    await owner.ok("POST", f"/v1/contacts/{contact['id']}/consents", json=said)
    await erased(owner, app.kernel, ("contact", contact["id"]))
    found = await owner.ok("GET", "/v1/privacy/people?email=Zelda@Quimby.example")
    assert found == {"people": [], "refused": ["email"]}
    other = await owner.ok("GET", "/v1/privacy/people?email=else@quimby.example")
    assert other["refused"] == []


async def test_files_of_a_meeting_of_others_stay_when_a_guest_is_forgotten(owner, app, company):
    guest = await a_contact(owner)
    host = await a_contact(owner, name="Somebody else", email=None, mobile=None)
    meeting = {
        "kind": "meeting",
        "subject": "The plant",
        "about": [{"object": "contact", "record_id": host["id"]}],
        "attendees": [{"email": guest["email"], "name": guest["name"]}],
        "starts_at": "2031-03-03T09:00:00Z",
        "ends_at": "2031-03-03T10:00:00Z",
    }
    made = await owner.ok("POST", "/v1/activities", json=meeting)
    file = await owner.ok("POST", "/v1/files?filename=plan.txt", content=b"A plan of the plant")
    path = f"/v1/activities/{made['id']}/attachments"
    await owner.ok("POST", path, json={"file_id": file["id"]})
    done = await erased(owner, app.kernel, ("contact", guest["id"]))
    assert held(done)["activities.attendees"][0] == 1
    assert "activities.attachments" not in held(done)
    assert [one["file_id"] for one in (await owner.ok("GET", path))["data"]] == [file["id"]]


async def test_a_killed_erasure_goes_on_where_it_was(owner, app, company, look, monkeypatch):
    contact = await a_contact(owner)
    about = [{"object": "contact", "record_id": contact["id"]}]
    for number in range(7):
        note = {"kind": "note", "subject": f"Zelda Quimby {number}", "about": about}
        await owner.ok("POST", "/v1/activities", json=note)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    await owner.ok("POST", f"/v1/privacy/requests/{draft['id']}/confirm")
    monkeypatch.setattr("app.tenants.privacy.erasing.BATCH", 3)
    cut = {Rows: "_batch", Copies: "_events", AuditLog: "_rewrite", people_list: "append"}
    for kind, name in cut.items():
        with monkeypatch.context() as patched:
            patched.setattr(kind, name, killed_after(getattr(kind, name)))
            with pytest.raises(ConnectionResetError):
                await an_erasure(app, company, draft["id"]).run()
    done = await answered(owner, app.kernel, draft["id"])
    assert held(done) == {
        "customers.contacts": (1, "pseudonymised"),
        "activities.activities": (7, "pseudonymised"),
    }
    assert await tables_with(look.connection, company.tenant_id, "Quimby") == {}


async def test_a_restored_backup_does_not_bring_somebody_back(owner, app, company, look):
    contact = await a_contact(owner)
    backup = await kept_aside(look.connection, company.tenant_id)
    done = await erased(owner, app.kernel, ("contact", contact["id"]))
    for name in ("tenants.privacy_requests", "customers.contacts", "kernel.audit_redactions"):
        await look.run(f"DELETE FROM {name} WHERE tenant_id = $1", company.tenant_id)
    await put_back(look.connection, {"customers.contacts": backup["customers.contacts"]})
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["name"] == "Zelda Quimby"
    assert UUID(done["id"]) in await people_list.unapplied(app.kernel)
    with pytest.raises(people_list.PeopleNotErasedAgain, match="reapply-erasures"):
        await people_list.require_applied(app.kernel)
    assert await erase_people_again(app.kernel) == [UUID(done["id"])]
    await people_list.require_applied(app.kernel)
    assert code_of(await owner.get(f"/v1/contacts/{contact['id']}")) == (404, "not_found")
    again = await owner.ok("GET", f"/v1/privacy/requests/{done['id']}/certificate")
    assert again["valid"] is True


async def test_a_backup_from_before_the_person_does_not_stop_the_service_for_ever(owner, app, company, look):
    contact = await a_contact(owner)
    done = await erased(owner, app.kernel, ("contact", contact["id"]))
    for name in ("tenants.privacy_requests", "customers.contacts", "kernel.audit_redactions"):
        await look.run(f"DELETE FROM {name} WHERE tenant_id = $1", company.tenant_id)
    assert UUID(done["id"]) in await people_list.unapplied(app.kernel)
    assert await erase_people_again(app.kernel) == [UUID(done["id"])]
    await people_list.require_applied(app.kernel)
    again = await owner.ok("GET", f"/v1/privacy/requests/{done['id']}")
    assert (again["state"], again["held"]) == ("completed", [])


async def test_a_redaction_that_nobody_signed_breaks_the_chain(owner, app, company, look):
    contact = await a_contact(owner)
    await all_is_sealed(app.kernel, company.tenant_id)
    await erased(owner, app.kernel, ("contact", contact["id"]))
    report = await verify(app.kernel, company.tenant_id)
    assert (report.intact, report.redacted) == (True, 1)
    await look.run(
        'UPDATE kernel.audit_entries SET changes = \'{"name": [null, "Somebody"]}\' WHERE tenant_id = $1'
        " AND id IN (SELECT entry_id FROM kernel.audit_redactions WHERE tenant_id = $1)",
        company.tenant_id,
    )
    report = await verify(app.kernel, company.tenant_id)
    assert report.broken is not None
    assert report.broken.kind == "changed"


async def test_an_erasure_does_not_make_genuine_what_was_forged_before(owner, app, company, look):
    contact = await a_contact(owner)
    await all_is_sealed(app.kernel, company.tenant_id)
    await look.run(
        "UPDATE kernel.audit_entries SET actor_name = 'Somebody else' WHERE tenant_id = $1 AND record_id = $2",
        company.tenant_id,
        UUID(str(contact["id"])),
    )
    await erased(owner, app.kernel, ("contact", contact["id"]))
    assert await tables_with(look.connection, company.tenant_id, "Quimby") == {}
    report = await verify(app.kernel, company.tenant_id)
    assert report.broken is not None
    assert report.broken.kind == "changed"


async def test_what_two_people_are_in_is_redacted_twice_and_the_chain_holds(owner, app, company, look):
    contact = await a_contact(owner)
    other = await a_contact(owner, name="Ottilie Brandauer", email="ottilie@brandauer.example", mobile=None)
    lead = {"name": "Zelda Quimby and Ottilie Brandauer"}
    await owner.ok("POST", "/v1/leads", json=lead)
    await all_is_sealed(app.kernel, company.tenant_id)
    for one in (contact, other):
        await erased(owner, app.kernel, ("contact", one["id"]))
    await all_is_sealed(app.kernel, company.tenant_id)
    report = await verify(app.kernel, company.tenant_id)
    assert (report.intact, report.redacted >= 3) == (True, True), report


async def test_rows_are_redacted_for_a_confirmed_erasure_only(owner, app, company):
    contact = await a_contact(owner)
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    sql = "SELECT tenants.redact_rows($1, $2, 'customers.contacts', $3::uuid[], $4::jsonb[])"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no erasure of a person"):
        async with app.kernel.database.control() as connection:
            await connection.fetchval(
                sql, company.tenant_id, UUID(draft["id"]), [UUID(str(contact["id"]))], [{"name": "x"}]
            )
    assert (await owner.ok("GET", f"/v1/contacts/{contact['id']}"))["name"] == "Zelda Quimby"


async def test_an_erasure_redacts_what_it_found_and_only_the_words(owner, app, company, look):
    contact = await a_contact(owner)
    other = UUID(str((await a_contact(owner, name="Somebody else", email=None, mobile=None))["id"]))
    draft = await asked(owner, "erasure", ("contact", contact["id"]))
    await owner.ok("POST", f"/v1/privacy/requests/{draft['id']}/confirm")
    entry = await look.connection.fetchval(
        "SELECT id FROM kernel.audit_entries WHERE tenant_id = $1 AND record_id = $2",
        company.tenant_id,
        other,
    )

    async def redact(table: str, row_id: UUID, **change: Any) -> Any:
        sql = "SELECT tenants.redact_rows($1, $2, $3, $4::uuid[], $5::jsonb[])"
        async with app.kernel.database.control() as connection:
            return await connection.fetchval(
                sql, company.tenant_id, UUID(draft["id"]), table, [row_id], [change]
            )

    before = await fingerprint(look.connection, company.tenant_id)
    assert await redact("customers.contacts", other, name="Forged") == 0
    for change in ({"tenant_id": str(uuid4())}, {"id": str(uuid4())}):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="words"):
            await redact("customers.contacts", other, **change)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="words"):
        await redact("kernel.audit_entries", entry, actor_name="Forged")
    assert changes(before, await fingerprint(look.connection, company.tenant_id)) == {}


async def test_requests_are_listed_in_one_statement(owner, company):
    contact = await a_contact(owner)
    ids = [(await asked(owner, "export", ("contact", contact["id"])))["id"] for _ in range(3)]
    listed = await owner.ok("GET", "/v1/privacy/requests?limit=2")
    rest = await owner.ok("GET", f"/v1/privacy/requests?limit=2&cursor={listed['next_cursor']}")
    assert [one["id"] for one in listed["data"] + rest["data"]] == ids[::-1]
    async with acting(company) as uow:
        assert len((await PrivacyRequests(uow).page(limit=50, cursor=None)).rows) == 3
        assert uow.statements == 1


async def test_a_draft_takes_as_many_statements_for_a_long_story_as_for_a_short_one(owner, company, app):
    counts = []
    for notes in (1, 30):
        contact = await a_contact(owner, allow_duplicates=True)
        about = [{"object": "contact", "record_id": contact["id"]}]
        for number in range(notes):
            note = {"kind": "note", "subject": f"N {number}", "about": about}
            await owner.ok("POST", "/v1/activities", json=note)
        async with acting(company) as uow:
            subject = Subject("contact", UUID(str(contact["id"])))
            await PrivacyRequests(uow).make(PrivacyKind.EXPORT, [subject], "asked")
            counts.append(uow.statements)
    assert counts[0] == counts[1] < 250


def killed_after(whole: Any) -> Any:
    """The same, once, and then the end of its process."""

    async def waited(*arguments: Any) -> Any:
        found = await whole(*arguments)
        if found:
            raise ConnectionResetError("killed")
        return found

    def at_once(*arguments: Any) -> None:
        whole(*arguments)
        raise ConnectionResetError("killed")

    return waited if inspect.iscoroutinefunction(whole) else at_once


def an_erasure(app: Application, company: Company, request_id: str) -> PersonErasure:
    """The erasure as the worker runs it."""

    async def told(erased: int) -> None: ...

    assert app.kernel is not None
    actor = system_actor(TenantProfile(id=company.tenant_id))
    return PersonErasure(app.kernel, actor, UUID(request_id), told)
