"""Rules of data quality: blocked writes, what may still be edited, and the report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import Actor, Scope
from app.kernel.quality.report import failing, report
from tests.modules.leads.test_imports import failed, run
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company

Json = dict[str, Any]
RULES = "/v1/data-quality-rules"


def only(field: str, *values: str) -> Json:
    return {"or": [{"and": [{"field": field, "op": "in", "value": list(values)}]}]}


async def rule(owner: Client, field: str, requirement: Json, **more: Any) -> Json:
    body = {"object": "lead", "field": field, "name_en": f"Good {field}", "requirement": requirement}
    made: Json = await owner.ok("POST", RULES, json=body | more)
    return made


REQUIRED = {"kind": "required"}


async def test_a_field_is_required_from_a_stage_on(company: Company, owner: Client) -> None:
    await rule(
        owner,
        "company",
        REQUIRED,
        name_zh="公司必填",
        severity="block",
        condition=only("status", "qualified", "converted"),
    )
    lead = await make(owner, "leads", name="Ann")
    refused = await owner.post(f"/v1/leads/{lead['id']}/qualify", if_match=1)
    assert (refused.status_code, refused.json()["code"]) == (422, "data_quality")
    assert refused.json()["errors"] == [
        {"pointer": "/company", "code": "data_quality", "detail": "This breaks the rule “Good company”."}
    ]
    refused = await owner.post(f"/v1/leads/{lead['id']}/convert", {}, if_match=1)
    assert (refused.status_code, refused.json()["code"]) == (422, "data_quality")
    refused = await owner.post("/v1/leads", {"name": "Bo", "status": "qualified"})
    assert refused.status_code == 422
    assert (await owner.ok("GET", "/v1/leads"))["data"] == [lead]
    assert [await count(company, f"customers.{table}") for table in ("accounts", "contacts")] == [0, 0]
    filled = await owner.ok("PATCH", f"/v1/leads/{lead['id']}", json={"company": "Initech"}, if_match=1)
    done = await owner.ok("POST", f"/v1/leads/{lead['id']}/qualify", if_match=filled["version"])
    assert done["status"] == "qualified"


@pytest.mark.parametrize(
    ("field", "requirement", "good", "bad"),
    [
        ("title", {"kind": "format", "pattern": "[A-Z][a-z]+( [A-Z][a-z]+)*"}, "Head Of Sales", "boss"),
        ("title", {"kind": "format", "pattern": "a|b"}, "b", "ab"),
        ("score", {"kind": "range", "min": 0, "max": 10}, 10, 11),
        ("score", {"kind": "range", "min": 0}, 0, -1),
        ("first_response_at", {"kind": "range", "max": "-1d"}, "2026-01-01T00:00:00Z", None),
    ],
)
async def test_formats_and_ranges_refuse_what_lies_outside(
    owner: Client, field: str, requirement: Json, good: Any, bad: Any
) -> None:
    await rule(owner, field, requirement, severity="block")
    made = await make(owner, "leads", name="Ann", **{field: good})
    await make(owner, "leads", name="Bo")  # nothing is said of what is empty
    if bad is not None:
        refused = await owner.post("/v1/leads", {"name": "Cy", field: bad})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{field}")
        refused = await owner.patch(f"/v1/leads/{made['id']}", {field: bad}, if_match=1)
        assert refused.status_code == 422
    page = await owner.ok("GET", "/v1/leads?sort=name")
    assert [lead["name"] for lead in page["data"]] == ["Ann", "Bo"]
    assert page["data"][0] == made


async def test_a_record_that_is_bad_already_can_be_edited_elsewhere(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann", title="boss")
    await rule(owner, "title", {"kind": "format", "pattern": "[A-Z].*"}, severity="block")
    path = f"/v1/leads/{lead['id']}"
    edited = await owner.ok("PATCH", path, json={"city": "Bonn", "title": "boss"}, if_match=1)
    assert edited["version"] == 2
    for body in ({"title": "chief"}, {"status": "working"}):
        assert (await owner.patch(path, body, if_match=2)).status_code == 422
    assert await owner.ok("GET", path) == edited
    mended = await owner.ok("PATCH", path, json={"title": "Chief", "status": "working"}, if_match=2)
    assert (mended["title"], mended["status"]) == ("Chief", "working")


async def test_custom_fields_accounts_and_opportunities_have_rules_too(owner: Client) -> None:
    await owner.ok(
        "POST",
        "/v1/custom-fields",
        json={"object": "account", "key": "region_code", "type": "text", "labels": {"en": "Region"}},
    )
    body = {
        "object": "account", "field": "custom.region_code", "name_en": "Region", "requirement": REQUIRED,
        "severity": "block",
    }  # fmt: skip
    made = await owner.ok("POST", RULES, json=body)
    refused = await owner.post("/v1/accounts", {"name": "Initech"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/custom/region_code")
    account = await make(owner, "accounts", name="Initech", custom={"region_code": "N"})
    cleared = await owner.patch(
        f"/v1/accounts/{account['id']}", {"custom": {"region_code": None}}, if_match=1
    )
    assert cleared.status_code == 422
    await owner.ok("DELETE", f"{RULES}/{made['id']}", if_match=1)
    await make(owner, "accounts", name="Globex")
    large = {"kind": "range", "max": "1000.00"}
    await owner.ok(
        "POST",
        RULES,
        json=body | {"object": "opportunity", "field": "amount", "requirement": large},
    )
    for amount, status in (("1000.00", 201), ("1000.01", 422)):
        answer = await owner.post(
            "/v1/opportunities", {"name": "Deal", "amount": {"amount": amount, "currency": "USD"}}
        )
        assert answer.status_code == status, answer.text


async def test_rows_of_files_are_held_to_the_rules(company: Company, owner: Client) -> None:
    await make(owner, "leads", name="Ann", external_id="a", title="boss")
    await rule(owner, "title", {"kind": "format", "pattern": "[A-Z].*"}, severity="block")
    await rule(owner, "city", REQUIRED, severity="block", condition=only("country", "DE"))
    content = b"external_id,name,title,country,city\nb,Bo,Head,DE,Bonn\nc,Cy,head,FR,\nd,Di,,DE,\na,Ann A,boss,FR,\n"
    done = await run(company, content, mode="upsert")
    assert (done["created"], done["updated"]) == (1, 1)
    assert await failed(owner, done) == [("3", "title", "data_quality"), ("4", "city", "data_quality")]
    assert await count(company, "leads.leads") == 2


async def test_the_report_counts_and_lists_what_the_actor_sees(company: Company, owner: Client) -> None:
    titled = await rule(owner, "title", REQUIRED)
    german = await rule(
        owner, "city", REQUIRED, severity="block", condition=only("country", "DE"), name_zh="城市必填"
    )
    for name, fields in (("Ann", {"title": "Head"}), ("Bo", {}), ("Cy", {"country": "FR"}), ("Di", {})):
        await make(owner, "leads", name=name, **fields)
    found = await owner.ok("GET", "/v1/data-quality/report")
    (leads,) = found["data"]
    assert [leads[n] for n in ("object", "checked", "failing")] == ["lead", 4, 3]
    assert [(r["rule_id"], r["failing"], r["severity"]) for r in leads["rules"]] == [
        (titled["id"], 3, "warn"),
        (german["id"], 0, "block"),
    ]
    first = await owner.ok("GET", leads["rules"][0]["records"] + "?limit=2")
    rest = await owner.ok("GET", leads["rules"][0]["records"] + f"?limit=2&cursor={first['next_cursor']}")
    assert [r["title"] for r in first["data"] + rest["data"]] == ["Di", "Cy", "Bo"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (await owner.ok("GET", rest["data"][0]["path"]))["name"] == "Bo"
    me = await actor_of(company)
    own = colleague(me, lead_read=Scope.OWN)
    blind = Actor(
        tenant=me.tenant, kind="member", id=me.id, name="Blind", member_id=me.id, grants=me.grants,
        hidden_fields={"lead": frozenset({"title"})},
    )  # fmt: skip
    async with acting(company, own) as uow:
        assert (await report(uow, None)).data[0].checked == 0
        before = uow.statements
        assert (await failing(uow, UUID(titled["id"]), limit=9, cursor=None)).data == []
        assert uow.statements - before <= 3  # the rule, the custom fields, the page
    async with acting(company, blind) as uow:
        before = uow.statements
        seen = (await report(uow, "lead")).data[0]
        assert uow.statements - before <= 3  # the rules, the custom fields, the counts
        assert [one.field for one in seen.rules] == ["city"]
    nobody = colleague(me, account_read=Scope.ALL)
    async with acting(company, nobody) as uow:
        assert (await report(uow, None)).data == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"object": "nothing"}, "/object"),
        ({"object": "activity"}, "/object"),
        ({"field": "nothing"}, "/field"),
        ({"field": "custom"}, "/field"),
        ({"field": "score", "requirement": {"kind": "format", "pattern": "x"}}, "/requirement/kind"),
        ({"requirement": {"kind": "range", "min": 1}}, "/requirement/kind"),
        ({"requirement": {"kind": "format", "pattern": "(a"}}, "/requirement/pattern"),
        ({"requirement": {"kind": "format", "pattern": r"(a)\1"}}, "/requirement/pattern"),
        ({"field": "score", "requirement": {"kind": "range", "min": "x"}}, "/requirement/min"),
        ({"condition": only("status", "unheard")}, "/condition/or/0/and/0"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused(owner: Client, change: Json, pointer: str) -> None:
    body = {"object": "lead", "field": "title", "name_en": "Rule", "requirement": REQUIRED} | change
    refused = await owner.post(RULES, body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await owner.ok("GET", RULES))["data"] == []


async def test_a_rule_is_changed_and_deleted_by_version(owner: Client) -> None:
    made = await rule(owner, "title", REQUIRED)
    changed = await owner.ok("PATCH", f"{RULES}/{made['id']}", json={"severity": "block"}, if_match=1)
    assert (changed["severity"], changed["version"]) == ("block", 2)
    assert (await owner.post("/v1/leads", {"name": "Ann"})).status_code == 422
    assert (await owner.delete(f"{RULES}/{made['id']}", if_match=1)).status_code == 412
    assert (await owner.delete(f"{RULES}/{made['id']}", if_match=2)).status_code == 204
    await make(owner, "leads", name="Ann")


async def test_leads_have_a_completeness(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann", email="ann@initech.example.com")
    assert lead["completeness"] == 35
    more = await owner.ok(
        "PATCH", f"/v1/leads/{lead['id']}", json={"company": "Initech", "phone": "+14155550100"}, if_match=1
    )
    assert more["completeness"] == 75
    assert (await owner.ok("GET", "/v1/leads?completeness[gte]=75"))["data"] == [more]
