"""Stages of a company's own within the built-in states of leads."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.modules.leads.scoring import run_jobs
from tests.modules.leads.test_imports import failed, run
from tests.modules.support import make
from tests.support.api import Client, Company

STAGES = [
    {"key": "called", "name_en": "Called", "name_zh": "已致电", "category": "working"},
    {"key": "visited", "name_en": "Visited", "name_zh": "已拜访", "category": "working"},
    {"key": "later", "name_en": "Next year", "name_zh": "明年", "category": "nurturing"},
]


async def set_stages(owner: Client, stages: list[dict[str, Any]], version: int = 0) -> dict[str, Any]:
    done: dict[str, Any] = await owner.ok("PUT", "/v1/lead-stages", json={"stages": stages}, if_match=version)
    return done


async def patched(owner: Client, lead: dict[str, Any], **fields: Any) -> dict[str, Any]:
    done: dict[str, Any] = await owner.ok(
        "PATCH", f"/v1/leads/{lead['id']}", json=fields, if_match=lead["version"]
    )
    return done


async def test_stages_are_set_in_order_and_read(owner: Client) -> None:
    assert await owner.ok("GET", "/v1/lead-stages") == {"version": 0, "stages": []}
    assert await set_stages(owner, STAGES) == {"version": 1, "stages": STAGES}
    assert (await set_stages(owner, STAGES[::-1], 1))["stages"] == STAGES[::-1]
    stale = await owner.put("/v1/lead-stages", {"stages": []}, if_match=1)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    for wrong in ([STAGES[0], STAGES[0]], [STAGES[0] | {"category": "qualified"}]):
        refused = await owner.put("/v1/lead-stages", {"stages": wrong}, if_match=2)
        assert refused.status_code == 422
    assert (await owner.ok("GET", "/v1/lead-stages"))["version"] == 2


async def test_a_stage_brings_its_status_along_and_goes_with_it(owner: Client) -> None:
    await set_stages(owner, STAGES)
    lead = await make(owner, "leads", name="Ann")
    called = await patched(owner, lead, stage="called")
    assert [called[n] for n in ("stage", "status", "first_response_at")] == [
        "called", "working", called["updated_at"],
    ]  # fmt: skip
    visited = await patched(owner, called, stage="已拜访")
    assert (visited["stage"], visited["status"]) == ("visited", "working")
    later = await patched(owner, visited, stage="next YEAR")
    assert (later["stage"], later["status"]) == ("later", "nurturing")
    qualified = await owner.ok("POST", f"/v1/leads/{lead['id']}/qualify", if_match=later["version"])
    assert (qualified["stage"], qualified["status"]) == (None, "qualified")
    back = await patched(owner, qualified, stage="visited", status="working")
    assert (back["stage"], back["status"]) == ("visited", "working")
    plain = await patched(owner, back, stage=None)
    assert (plain["stage"], plain["status"]) == (None, "working")


async def test_stages_filter_and_new_leads_may_stand_in_one(owner: Client) -> None:
    await set_stages(owner, STAGES)
    lead = await make(owner, "leads", name="Ann", stage="Visited")
    assert (lead["stage"], lead["status"]) == ("visited", "working")
    await make(owner, "leads", name="Bo")
    for query in ("stage=visited", "status=working", "stage[in]=visited,later&sort=stage"):
        found = await owner.ok("GET", f"/v1/leads?{query}")
        assert [row["id"] for row in found["data"]] == [lead["id"]], query


async def test_what_does_not_go_together_is_refused_and_nothing_changes(owner: Client) -> None:
    await set_stages(owner, STAGES)
    lead = await make(owner, "leads", name="Ann")
    for body, pointer, code in (
        ({"stage": "unheard"}, "/stage", "unknown_stage"),
        ({"stage": "later", "status": "working"}, "/status", "status_differs"),
    ):
        refused = await owner.patch(f"/v1/leads/{lead['id']}", body, if_match=1)
        error = refused.json()["errors"][0]
        assert (refused.status_code, error["pointer"], error["code"]) == (422, pointer, code)
    refused = await owner.post("/v1/leads", {"name": "Bo", "stage": "later", "status": "new"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "status_differs")
    assert (await owner.ok("GET", "/v1/leads"))["data"] == [lead]


async def test_a_stage_in_use_stays_and_nobody_gets_into_one_that_goes(owner: Client) -> None:
    await set_stages(owner, STAGES)
    lead = await make(owner, "leads", name="Ann", stage="called")
    for stages in (STAGES[1:], [STAGES[0] | {"category": "nurturing"}, *STAGES[1:]]):
        refused = await owner.put("/v1/lead-stages", {"stages": stages}, if_match=1)
        assert (refused.status_code, refused.json()["stages"]) == (409, ["called"])
    # A lead is put into a stage while it is taken away, twenty times: never does a lead stand in none of them.
    await patched(owner, lead, stage="visited")
    version = 1
    for n in range(20):
        made, removed = await asyncio.gather(
            owner.post("/v1/leads", {"name": f"Bo {n}", "stage": "later"}),
            owner.put("/v1/lead-stages", {"stages": STAGES[:2]}, if_match=version),
        )
        assert {made.status_code, removed.status_code} in ({201, 409}, {422, 200})
        if removed.status_code == 200:
            await set_stages(owner, STAGES, version + 1)
            version += 2
        else:
            bo = made.json()
            await owner.ok("DELETE", f"/v1/leads/{bo['id']}", if_match=bo["version"])


async def test_files_name_stages_by_key_or_name(company: Company, owner: Client) -> None:
    await set_stages(owner, STAGES)
    content = "name,stage,status\nAnn,called,\nBo,明年,\nCy,nowhere,\nDi,Visited,nurturing\n".encode()
    done = await run(company, content)
    assert (done["created"], await failed(owner, done)) == (
        2,
        [("4", "stage", "unknown_stage"), ("5", "status", "status_differs")],
    )
    page = await owner.ok("GET", "/v1/leads?sort=name&fields=name,stage,status")
    assert [(lead["name"], lead["stage"], lead["status"]) for lead in page["data"]] == [
        ("Ann", "called", "working"),
        ("Bo", "later", "nurturing"),
    ]


async def test_a_conversion_leaves_the_stage(owner: Client) -> None:
    await set_stages(owner, STAGES)
    lead = await make(owner, "leads", name="Ann", company="Initech", stage="visited")
    await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json={}, if_match=1)
    after = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert (after["status"], after["stage"]) == ("converted", None)


async def test_the_undo_of_an_import_leaves_a_lead_whose_former_stage_has_gone(
    company: Company, owner: Client
) -> None:
    await set_stages(owner, STAGES)
    for key in ("moved", "stayed"):
        await make(owner, "leads", name=key, external_id=key, stage="called" if key == "moved" else "visited")
    done = await run(company, b"external_id,stage,city\nmoved,visited,\nstayed,later,\n", mode="update")
    assert (done["state"], done["updated"]) == ("completed", 2)
    await set_stages(owner, STAGES[1:], 1)
    before = {lead["name"]: lead for lead in (await owner.ok("GET", "/v1/leads"))["data"]}
    await owner.ok("POST", f"/v1/imports/{done['id']}/undo")
    await run_jobs(company)
    undone = await owner.ok("GET", f"/v1/imports/{done['id']}")
    assert undone["undo"] == {"state": "completed", "deleted": 0, "restored": 1, "kept": 1}
    after = {lead["name"]: lead for lead in (await owner.ok("GET", "/v1/leads"))["data"]}
    assert after["moved"] == before["moved"]
    assert (after["stayed"]["stage"], after["stayed"]["status"]) == ("visited", "working")
