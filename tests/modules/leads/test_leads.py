"""Leads over HTTP: touches, states and their reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.demo.generator import generate
from app.demo.records import as_payload
from app.kernel.access import Scope
from app.kernel.errors import Forbidden
from app.modules.leads.services.leads import LeadService
from tests.modules.support import acting, actor_of, colleague, count, make
from tests.support.api import Client, Company


def version_of(record: dict[str, Any]) -> dict[str, Any]:
    return {"if_match": record["version"]}


async def step(owner: Client, lead: dict[str, Any], action: str, body: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = await owner.ok(
        "POST", f"/v1/leads/{lead['id']}/{action}", **({"json": body} if body else {}), **version_of(lead)
    )
    return found


async def test_creation_keeps_the_first_touch_and_repeats_it_as_the_last(owner: Client) -> None:
    lead = await make(
        owner, "leads", name="Li Hua", company="云帆科技", source="web", utm_source="baidu", campaign="Spring"
    )
    assert (lead["status"], lead["source"], lead["last_source"]) == ("new", "web", "web")
    assert lead["last_touch"] == {
        "touched_at": lead["created_at"],
        "source": "web",
        "channel": None,
        "campaign": "Spring",
        "medium": None,
        "referrer": None,
        "landing_page": None,
        "utm_source": "baidu",
        "utm_medium": None,
        "utm_campaign": None,
        "utm_term": None,
        "utm_content": None,
    }


async def test_a_later_touch_changes_only_the_last(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann Lee", source="web", utm_term="sensors")
    touched = await step(owner, lead, "touches", {"source": "event", "campaign": "Expo"})
    assert (touched["source"], touched["utm_term"]) == ("web", "sensors")
    assert (touched["last_source"], touched["last_campaign"]) == ("event", "Expo")
    assert (touched["last_touch"]["source"], touched["last_touch"]["utm_term"]) == ("event", None)
    assert touched["first_touch_at"] == lead["first_touch_at"]
    earlier = await step(owner, touched, "touches", {"source": "email", "touched_at": "2020-01-01T00:00:00Z"})
    assert earlier == touched
    for query in ("source=web", "last_source=event", "utm_term=sensors", "last_touch_at[gte]=-1d"):
        found = await owner.ok("GET", f"/v1/leads?{query}")
        assert [row["id"] for row in found["data"]] == [lead["id"]], query
    assert (await owner.ok("GET", "/v1/leads?source=event"))["data"] == []


async def test_the_steps_of_a_lead_leave_their_times(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann Lee")
    assert [lead[n] for n in ("first_response_at", "qualified_at", "disqualified_at")] == [None, None, None]
    working = await step(owner, lead, "start-working")
    assert (working["status"], working["first_response_at"]) == ("working", working["updated_at"])
    nurtured = await step(owner, working, "nurture")
    qualified = await step(owner, nurtured, "qualify")
    assert (qualified["status"], qualified["qualified_at"]) == ("qualified", qualified["updated_at"])
    assert qualified["first_response_at"] == working["first_response_at"]
    dropped = await step(owner, qualified, "disqualify", {"reason": "no_budget"})
    assert (dropped["status"], dropped["disqualified_reason"]) == ("disqualified", "no_budget")
    assert dropped["disqualified_at"] == dropped["updated_at"]
    back = await step(owner, dropped, "reopen")
    assert [back[n] for n in ("status", "disqualified_reason", "disqualified_at")] == ["working", None, None]


async def test_disqualifying_wants_a_reason_and_other_a_note(owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann Lee")
    path = f"/v1/leads/{lead['id']}"
    for method, to, body, pointer in (
        ("POST", f"{path}/disqualify", {}, "/reason"),
        ("POST", f"{path}/disqualify", {"reason": "other"}, "/disqualified_note"),
        ("PATCH", path, {"status": "disqualified"}, "/disqualified_reason"),
    ):
        refused = await owner.request(method, to, json=body, **version_of(lead))
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await owner.ok("GET", path) == lead
    done = await owner.ok(
        "PATCH", path, json={"status": "disqualified", "disqualified_reason": "spam"}, **version_of(lead)
    )
    assert (done["status"], done["version"]) == ("disqualified", 2)


@pytest.mark.parametrize(
    ("start", "to"), [("disqualified", "qualified"), ("working", "new"), ("new", "converted")]
)
async def test_a_step_that_does_not_follow_is_refused(owner: Client, start: str, to: str) -> None:
    reason = {"disqualified_reason": "spam"} if start == "disqualified" else {}
    lead = await make(owner, "leads", name="Ann Lee", status=start, **reason)
    refused = await owner.patch(f"/v1/leads/{lead['id']}", {"status": to}, **version_of(lead))
    assert (refused.status_code, refused.json()["code"], refused.json()["state"]) == (
        409,
        "invalid_transition",
        start,
    )
    assert await owner.ok("GET", f"/v1/leads/{lead['id']}") == lead


async def test_a_lead_is_not_created_as_converted(company: Company, owner: Client) -> None:
    refused = await owner.post("/v1/leads", {"name": "Ann", "status": "converted"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "convert_instead")
    assert await count(company, "leads.leads") == 0


async def test_times_of_the_past_need_the_right_to_import(company: Company) -> None:
    owner = await actor_of(company)
    seller = colleague(owner, lead_create=Scope.ALL, lead_read=Scope.OWN)
    async with acting(company, seller) as uow:
        with pytest.raises(Forbidden):
            await LeadService(uow).create(
                {"name": "Ann", "status": "new", "tags": [], "custom": {}, "created_at": uow.now}
            )
    assert await count(company, "leads.leads") == 0


async def test_history_given_at_creation_is_kept(owner: Client) -> None:
    lead = await make(
        owner,
        "leads",
        name="Ann Lee",
        status="qualified",
        created_at="2025-03-01T08:00:00Z",
        first_response_at="2025-03-01T09:00:00Z",
        qualified_at="2025-03-05T08:00:00Z",
    )
    assert [lead[n] for n in ("created_at", "first_touch_at", "first_response_at", "qualified_at")] == [
        "2025-03-01T08:00:00Z", "2025-03-01T08:00:00Z", "2025-03-01T09:00:00Z", "2025-03-05T08:00:00Z",
    ]  # fmt: skip
    future = await owner.post("/v1/leads", {"name": "Bo", "created_at": "2199-01-01T00:00:00Z"})
    assert (future.status_code, future.json()["errors"][0]["code"]) == (422, "in_the_future")


async def test_leads_are_found_by_name_company_pinyin_address_and_number(owner: Client) -> None:
    lead = await make(
        owner,
        "leads",
        name="孙悟空",
        company="花果山科技",
        email="wk@huaguo.example.com",
        phone="+86 138 0013 8000",
    )
    for text in ("悟空", "wukong", "swk", "花果山", "wk@huaguo.example.com", "13800138000"):
        found = await owner.ok("GET", "/v1/leads", params={"q": text})
        assert [row["id"] for row in found["data"]] == [lead["id"]], text


async def test_a_lead_like_another_is_counted_and_shown_with_reasons(owner: Client) -> None:
    first = await make(owner, "leads", name="Ann Lee", company="Initech Inc", email="ann@initech.example.com")
    second = await make(owner, "leads", name="Lee Ann", company="INITECH", email="Ann@Initech.example.com")
    other = await make(owner, "leads", name="Ann Lee", company="Globex")
    assert [first["duplicate_count"], second["duplicate_count"], other["duplicate_count"]] == [0, 1, 0]
    found = await owner.ok("GET", f"/v1/leads/{second['id']}/duplicates")
    assert [(c["id"], c["name"], c["reasons"]) for c in found["candidates"]] == [
        (first["id"], "Ann Lee", ["email", "name"])
    ]
    assert (found["hidden"], found["action"]) == (0, "warn")
    asked = await owner.ok("POST", "/v1/leads/duplicates", json={"email": "ANN@initech.example.com"})
    assert {c["id"] for c in asked["candidates"]} == {first["id"], second["id"]}


async def test_the_demo_companys_leads_are_accepted_as_they_are(owner: Client) -> None:
    demo = generate(1, accounts=12, contacts=24, leads=40, now=datetime(2026, 6, 30, 12, tzinfo=UTC))
    wanted = [lead for lead in demo.leads if lead.status != "converted"]
    for lead in wanted:
        payload = as_payload(lead)
        payload.pop("owner", None)
        made = await make(owner, "leads", **payload)
        assert (made["status"], made["created_at"]) == (lead.status, payload["created_at"])
