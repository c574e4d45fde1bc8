"""Leads from files, over HTTP: guessed columns, duplicates by the rule, and changes that follow the states."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.kernel.imports import run as importing
from app.kernel.imports.rules import ImportRow, Told
from app.kernel.imports.shape import Shape
from app.kernel.jobs import JobRunner
from tests.modules.leads.shares import activate
from tests.modules.support import acting, count, make
from tests.support.api import Client, Company

SAMPLES = Path(__file__).resolve().parents[3] / "docs" / "samples"


async def run(company: Company, content: bytes, **fields: str) -> dict[str, Any]:
    """The import of a file of leads, when it has ended."""
    answer = await company.owner.post(
        "/v1/imports", data={"object": "leads", **fields}, files={"file": ("leads.csv", content, "text/csv")}
    )
    assert answer.status_code == 202, answer.text
    await JobRunner(company.kernel).run_due()
    done: dict[str, Any] = await company.owner.ok("GET", answer.headers["Location"])
    return done


async def failed(owner: Client, done: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(line, column, code) of each refused row."""
    answer = await owner.get(done["results"]["failed"])
    rows = csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"), newline=""))
    return [(row["line"], row["column"], row["code"]) for row in rows]


@pytest.mark.parametrize("name", ["leads.csv", "线索.csv"])
async def test_the_sample_files_go_in_as_they_are(company: Company, name: str) -> None:
    done = await run(company, (SAMPLES / name).read_bytes())
    assert (done["state"], done["created"], done["failed"]) == ("completed", 20, 0)
    page = await company.owner.ok("GET", "/v1/leads?limit=200")
    assert len(page["data"]) == 20
    assert all(
        lead["status"] == "new" and lead["last_touch"]["source"] == lead["source"] for lead in page["data"]
    )


async def test_choices_are_read_in_chinese(company: Company, owner: Client) -> None:
    content = "姓名,状态,热度\n王伟,跟进中,热\n李娜,培育中,Cold\n张敏,新线索,烫\n".encode()
    done = await run(company, content)
    assert (done["created"], done["failed"]) == (2, 1)
    assert await failed(owner, done) == [("4", "热度", "enum")]
    page = await owner.ok("GET", "/v1/leads?sort=name")
    assert {(lead["name"], lead["status"], lead["rating"]) for lead in page["data"]} == {
        ("王伟", "working", "hot"),
        ("李娜", "nurturing", "cold"),
    }


async def test_rows_like_a_lead_or_an_earlier_row_go_by_the_rule(company: Company, owner: Client) -> None:
    await make(owner, "leads", name="Ann Lee", company="Initech", email="ann@initech.example.com")
    content = (
        b"name,company,email,phone\n"
        b"Anna L,Umbrella,ANN@initech.example.com,\n"
        b"Bo Berg,Globex,bo@globex.example.com,+1 415 555 0100\n"
        b"B. Berg,Hooli,bb@hooli.example.com,(415) 555-0100\n"
    )
    blocked = await run(company, content, duplicate_rule="block", dry_run="true")
    assert (blocked["created"], blocked["failed"]) == (1, 2)
    assert await failed(owner, blocked) == [
        ("2", "email", "duplicate_found"),
        ("4", "phone", "duplicate_found"),
    ]
    assert await count(company, "leads.leads") == 1
    warned = await run(company, content)
    assert (warned["state"], warned["created"]) == ("completed", 3)
    page = await owner.ok("GET", "/v1/leads?sort=created_at,name&company[ne]=Initech")
    assert {lead["name"]: lead["duplicate_count"] for lead in page["data"]} == {
        "Anna L": 1, "B. Berg": 1, "Bo Berg": 0,
    }  # fmt: skip


async def test_bad_rows_are_refused_one_by_one(company: Company, owner: Client) -> None:
    content = (
        b"name,email,status,disqualified_reason,created_at\n"
        b"Ann Lee,nowhere,,,\n"
        b"Bo Berg,,disqualified,,\n"
        b"Cy Cole,,converted,,\n"
        b"Di Dahl,,,,2199-01-01\n"
        b"Ed East,,disqualified,spam,2025-01-31T08:00:00Z\n"
    )
    done = await run(company, content)
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 1, 4)
    assert await failed(owner, done) == [
        ("2", "email", "invalid_email"),
        ("3", "disqualified_reason", "required"),
        ("4", "status", "convert_instead"),
        ("5", "created_at", "in_the_future"),
    ]
    (lead,) = (await owner.ok("GET", "/v1/leads"))["data"]
    assert [lead[n] for n in ("created_at", "first_touch_at", "disqualified_at")] == [
        "2025-01-31T08:00:00Z"
    ] * 3


async def test_changes_by_file_keep_to_the_states(company: Company, owner: Client) -> None:
    await make(owner, "leads", name="Ann Lee", external_id="a")
    converted = await make(owner, "leads", name="Bo Berg", external_id="b")
    await owner.ok("POST", f"/v1/leads/{converted['id']}/convert", json={}, if_match=1)
    content = b"external_id,status,city\na,qualified,Oslo\nb,working,Oslo\n"
    done = await run(company, content, mode="update", key="external_id")
    assert (done["updated"], done["failed"]) == (1, 1)
    assert [(line, code) for line, _, code in await failed(owner, done)] == [("3", "lead_already_converted")]
    page = await owner.ok("GET", "/v1/leads?sort=name")
    assert [(lead["status"], lead["city"], lead["qualified_at"] is not None) for lead in page["data"]] == [
        ("qualified", "Oslo", True),
        ("converted", None, True),
    ]


async def told(company: Company, column: str, table: str, condition: str) -> dict[str, Any]:
    """What a side table says of each record, by id."""
    async with acting(company) as uow:
        rows = await uow.fetch(
            f"SELECT record_id::text AS id, {column} AS told FROM kernel.{table}"
            f" WHERE tenant_id = $1 AND {condition}",
            uow.tenant_id,
        )
    return {row["id"]: row["told"] for row in rows}


async def test_what_is_told_of_a_new_lead_is_what_it_became(company: Company, owner: Client) -> None:
    """Rows are told of before the rules see them: what a rule changes must be in event and audit entry all the same."""
    field = {"object": "lead", "key": "fleet", "type": "integer", "labels": {"en": "Fleet"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    stages = [{"key": "called", "name_en": "Called", "name_zh": "已致电", "category": "working"}]
    await owner.ok("PUT", "/v1/lead-stages", json={"stages": stages}, if_match=0)
    await make(owner, "leads", name="Zoe Zed", company="Initrode", email="ann@initech.example.com")
    content = (
        "name,company,email,phone,owner,stage,status,disqualified_reason,created_at,fleet,tags\n"
        "王伟,上海云帆科技有限公司,,13800138000,,,,,,,\n"
        "Ann Lee,Initech,ann@initech.example.com,,,,,,,,\n"
        "Bo Berg,Globex,bo@globex.example.com,+1 415 555 0100,,,,,,,vip\n"
        'B. Berg,"Hooli"",""duplicate_count"":9",,(415) 555-0100,,,,,,,\n'
        f"Cy Cole,Umbrella,,,{company.email},,,,,7,\n"
        "Di Dahl,Umbrella,,,,Called,,,,,\n"
        "Ed East,Umbrella,,,,,disqualified,spam,2025-01-31T08:00:00Z,,\n"
    ).encode()
    done = await run(company, content)
    assert (done["state"], done["created"], done["failed"]) == ("completed", 7, 0), await failed(owner, done)
    leads = {lead["id"]: lead for lead in (await owner.ok("GET", "/v1/leads?limit=200"))["data"]}
    assert {lead["name"]: lead["duplicate_count"] for lead in leads.values()} == {
        "Zoe Zed": 0, "王伟": 0, "Ann Lee": 1, "Bo Berg": 0, "B. Berg": 1, "Cy Cole": 0, "Di Dahl": 0, "Ed East": 0,
    }  # fmt: skip
    events = await told(company, "data", "outbox", "type = 'leads.lead.created.v1'")
    assert {id: event["record"] for id, event in events.items()} == leads
    entries = await told(company, "changes", "audit_entries", "object = 'lead' AND action = 'created'")
    plain = {name for name, value in next(iter(leads.values())).items() if not isinstance(value, dict)}
    kept = plain - {"id", "version", "created_at", "updated_at", "created_by", "duplicate_count"}
    assert {
        id: {name: after for name, (_, after) in changes.items() if name in kept and not name.endswith("_at")}
        for id, changes in entries.items()
    } == {
        id: {name: lead[name] for name in kept if lead[name] is not None and not name.endswith("_at")}
        for id, lead in leads.items()
    }


async def test_what_is_told_early_is_in_the_order_in_which_jsonb_keeps_keys(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the server sorts the keys of every event and entry; what is told last is added behind the others."""
    sent: list[Told] = []
    tell = Shape.told_of

    def told_of(self: Shape, row: ImportRow) -> Told:
        sent.append(tell(self, row))
        return sent[-1]

    monkeypatch.setattr(Shape, "told_of", told_of)
    await run(company, "name,company,email\n王伟,晨光科技,wang@example.com\nAnn Lee,,\n".encode())
    assert len({told.event for told in sent}) == 2
    for text in {one for told in sent for one in (told.audit, told.event)}:
        found = orjson.loads(text)
        keys = list(found.get("record", found))
        assert len(keys) > 10
        assert keys == sorted(keys, key=lambda key: (len(key.encode()), key))


async def test_what_waits_for_an_owner_was_received_by_nobody(company: Company, owner: Client) -> None:
    await activate(owner)
    done = await run(company, b"name,country\nAnn Lee,CN\n")
    assert (done["state"], done["created"]) == ("completed", 1)
    [lead] = (await owner.ok("GET", "/v1/leads"))["data"]
    made = await make(owner, "leads", name="Bo Berg", country="CN", assign=True)
    names = ("owner_id", "team_id", "received_at")
    assert [lead[name] for name in names] == [made[name] for name in names] == [None, None, None]
    assert (await told(company, "data", "outbox", "type = 'leads.lead.created.v1'"))[lead["id"]]["record"][
        "received_at"
    ] is None


async def test_what_only_says_how_to_make_a_lead_changes_none(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann", external_id="a")
    content = b"external_id,name,assign\na,Ann L,true\nb,Bo,false\n"
    done = await run(company, content, mode="upsert", key="external_id")
    assert (done["state"], done["created"], done["updated"]) == ("completed", 1, 1)
    changed = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert (changed["name"], changed["owner_id"], changed["version"]) == ("Ann L", lead["owner_id"], 2)


async def test_a_dry_run_lets_nobody_wait_behind_a_row_that_is_left_out(
    company: Company, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK", 2)
    await make(owner, "leads", name="Taken", external_id="taken")
    content = (
        b"external_id,name,email\ntaken,Ann,a@e.example.com\nb,Bo,b@e.example.com\n"
        b"c,Cy,a@e.example.com\nd,Di,b@e.example.com\n"
    )
    for dry in ("true", "false"):
        done = await run(company, content, duplicate_rule="block", dry_run=dry)
        assert (done["created"], done["failed"]) == (2, 2)
        assert await failed(owner, done) == [
            ("2", "external_id", "duplicate_value"),
            ("5", "email", "duplicate_found"),
        ]


async def test_half_a_character_costs_its_row_alone(company: Company, owner: Client) -> None:
    lines = [f'{{"external_id":"p{number}","name":"P","city":"C"}}\n' for number in range(30)]
    lines.append('{"external_id":"b","name":"x","city":"Le\\udc00eds"}\n')
    answer = await owner.post(
        "/v1/imports",
        data={"object": "leads"},
        files={"file": ("leads.ndjson", "".join(lines).encode(), "application/x-ndjson")},
    )
    assert answer.status_code == 202, answer.text
    await JobRunner(company.kernel).run_due()
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 30, 1)
    last = (await owner.get(done["results"]["failed"])).text.splitlines()[-1]
    assert last.startswith("b,x,Le?eds,31,city,string_unicode,")
    assert await failed(owner, done) == [("31", "city", "string_unicode")]


async def test_nothing_is_told_of_a_change_that_another_rule_refuses(company: Company, owner: Client) -> None:
    field = {"object": "lead", "key": "code", "type": "text", "labels": {"en": "Code"}, "unique": True}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    await make(owner, "leads", name="Ann", custom={"code": "1"})
    for name in ("Bo", "Cy"):
        await make(owner, "leads", name=name, external_id=name, status="working")
    content = b"external_id,status,custom.code\nBo,qualified,1\nCy,qualified,2\n"
    done = await run(company, content, mode="update")
    assert (done["updated"], done["failed"]) == (1, 1)
    bo, cy = (await owner.ok("GET", "/v1/leads?external_id[in]=Bo,Cy&sort=name"))["data"]
    assert (bo["status"], cy["status"]) == ("working", "qualified")
    assert (await told(company, "type", "outbox", "type = 'leads.lead.qualified.v1'")).keys() == {cy["id"]}
