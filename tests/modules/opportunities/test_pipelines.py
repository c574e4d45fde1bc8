"""Pipelines and their stages over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.kernel.jobs import JobRunner
from app.modules.opportunities.models import Opportunity
from app.modules.opportunities.schemas import PipelineUpdate
from app.modules.opportunities.services.pipeline_changes import PipelineChanges
from app.modules.opportunities.services.pipelines import PipelineService
from tests.modules.opportunities.deals import pointers
from tests.modules.support import acting, make
from tests.support.api import Client, Company

STAGES = [
    {"key": "prospecting", "name": {"en": "Prospecting"}, "probability": 5},
    {"key": "engaging", "name": {"en": "Engaging", "zh": "接洽"}, "probability": 40, "forecast_category": "commit"},
    {
        "key": "won", "name": {"en": "Won"}, "probability": 100,
        "forecast_category": "closed", "is_closed": True, "is_won": True,
    },
    {
        "key": "lost", "name": {"en": "Lost"}, "probability": 0,
        "forecast_category": "closed", "is_closed": True,
    },
]  # fmt: skip
HARDWARE = {"key": "hardware", "name": {"en": "Hardware", "zh": "硬件"}, "stages": STAGES}


async def rows(company: Company, table: str) -> int:
    async with acting(company) as uow:
        found = await uow.fetchrow(
            f"SELECT count(*) FROM opportunities.{table} WHERE tenant_id = $1", uow.tenant_id
        )
    assert found is not None
    return int(found[0])


async def test_a_pipeline_is_made_with_its_stages_in_their_order(owner: Client) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    assert (made["key"], made["name"], made["is_default"], made["version"]) == (
        "hardware",
        {"en": "Hardware", "zh": "硬件"},
        False,
        1,
    )
    assert made["stages"][1] == {
        "key": "engaging",
        "name": {"en": "Engaging", "zh": "接洽"},
        "probability": 40,
        "forecast_category": "commit",
        "is_closed": False,
        "is_won": False,
        "rotting_days": None,
        "guidance": {"en": None, "zh": None},
        "moves": None,
        "requirements": {"fields": [], "conditions": [], "lines": False, "contact_roles": [], "tasks": []},
        "playbook": [],
    }
    listed = await owner.ok("GET", "/v1/pipelines")
    assert [(p["key"], p["is_default"]) for p in listed["data"]] == [("sales", True), ("hardware", False)]
    taken = await owner.post("/v1/pipelines", HARDWARE)
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_value")


async def test_a_new_default_takes_the_place_of_the_old(owner: Client) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE | {"is_default": True})
    deal = await make(owner, "opportunities", name="A")
    assert (deal["pipeline_id"], deal["stage"], deal["probability"]) == (made["id"], "prospecting", 5)
    listed = await owner.ok("GET", "/v1/pipelines")
    assert [(p["key"], p["is_default"]) for p in listed["data"]] == [("sales", False), ("hardware", True)]


async def test_a_lost_stage_means_lost_and_wants_a_reason(owner: Client) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    deal = await make(owner, "opportunities", name="A", pipeline_id=made["id"], stage="engaging")
    path = f"/v1/opportunities/{deal['id']}"
    refused = await owner.patch(path, {"stage": "lost"}, if_match=1)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/loss_reason")
    lost = await owner.ok("PATCH", path, json={"stage": "lost", "loss_reason": "price"}, if_match=1)
    assert [lost[n] for n in ("status", "stage", "last_open_stage", "probability")] == [
        "lost",
        "lost",
        "engaging",
        0,
    ]
    contradiction = await owner.post(
        "/v1/opportunities", {"name": "B", "pipeline_id": made["id"], "stage": "won", "status": "open"}
    )
    assert (contradiction.status_code, contradiction.json()["errors"][0]["code"]) == (422, "contradiction")


async def test_stages_are_replaced_whole_but_not_under_an_opportunity(owner: Client) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    await make(owner, "opportunities", name="A", pipeline_id=made["id"], stage="engaging")
    path = f"/v1/pipelines/{made['id']}"
    without = [stage for stage in STAGES if stage["key"] != "engaging"]
    refused = await owner.patch(path, {"stages": without}, if_match=1)
    assert (refused.status_code, refused.json()["code"], refused.json()["stages"]) == (
        409,
        "stage_in_use",
        ["engaging"],
    )
    assert await owner.ok("GET", path) == made
    changed = await owner.ok("PATCH", path, json={"stages": STAGES[1:]}, if_match=1)
    assert ([s["key"] for s in changed["stages"]], changed["version"]) == (["engaging", "won", "lost"], 2)
    stale = await owner.patch(path, {"name": {"en": "Other"}}, if_match=1)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)


WITHOUT = [stage for stage in STAGES if stage["key"] != "engaging"]


def seller(owner: Client, pipeline: dict[str, Any]) -> Callable[[str | None], Coroutine[Any, Any, Any]]:
    """Puts a new deal into a stage that may be taken away, or moves the one with this id there."""

    async def sell(deal_id: str | None) -> Any:
        if deal_id is not None:
            return await owner.patch(f"/v1/opportunities/{deal_id}", {"stage": "engaging"}, if_match=1)
        body = {"name": "New", "pipeline_id": pipeline["id"], "stage": "engaging"}
        return await owner.post("/v1/opportunities", body)

    return sell


async def test_who_comes_while_a_stage_is_taken_away_waits_and_finds_it_gone(
    company: Company, owner: Client
) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    sell = seller(owner, made)
    deals = [await make(owner, "opportunities", name="Old", pipeline_id=made["id"]) for _ in range(5)]
    async with acting(company) as uow:
        body = PipelineUpdate.model_validate({"stages": WITHOUT})
        await PipelineChanges(uow).update(UUID(made["id"]), body, expected_version=1)
        trying = [asyncio.create_task(sell(id)) for id in [None] * 5 + [deal["id"] for deal in deals]]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in trying)
    answers = await asyncio.gather(*trying)
    assert [pointers(answer) for answer in answers] == [[("/stage", "unknown_stage")]] * 10
    assert await rows(company, "opportunities") == 5
    for deal in deals:
        assert await owner.ok("GET", f"/v1/opportunities/{deal['id']}") == deal


async def test_no_deal_is_left_in_a_stage_that_is_taken_away_meanwhile(
    company: Company, owner: Client
) -> None:
    kept = 0
    for turn in range(4):
        made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE | {"key": f"turn_{turn}"})
        deals = [await make(owner, "opportunities", name="Old", pipeline_id=made["id"]) for _ in range(20)]
        wishes = [*[None] * 80, *[deal["id"] for deal in deals]]
        calls = [seller(owner, made)(id) for id in wishes]
        calls.insert(30 * turn, owner.patch(f"/v1/pipelines/{made['id']}", {"stages": WITHOUT}, if_match=1))
        answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} <= {200, 201, 409, 422}
        stages = [stage["key"] for stage in (await owner.ok("GET", f"/v1/pipelines/{made['id']}"))["stages"]]
        query = f"/v1/opportunities?pipeline_id={made['id']}&stage=engaging&limit=200"
        standing = len((await owner.ok("GET", query))["data"])
        done = [answer for answer in answers if answer.status_code in (200, 201)]
        assert standing == len(done) - ("engaging" not in stages)  # the removal itself is done as well
        assert standing == 0 or "engaging" in stages
        kept += standing > 0
    assert kept > 0  # else nobody ever was in its way


PATIENT = [STAGES[0] | {"rotting_days": 30}, *STAGES[1:]]


async def test_nobody_waits_while_a_stage_gets_another_patience(company: Company, owner: Client) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    deal = await make(owner, "opportunities", name="Old", pipeline_id=made["id"], stage="engaging")
    async with acting(company) as uow:
        body = PipelineUpdate.model_validate({"stages": PATIENT})
        await PipelineChanges(uow).update(UUID(made["id"]), body, expected_version=1)
        async with asyncio.timeout(20):
            assert (await seller(owner, made)(None)).status_code == 201
            await owner.ok(
                "PATCH", f"/v1/opportunities/{deal['id']}", json={"stage": "prospecting"}, if_match=1
            )
    assert await rows(company, "opportunities") == 2


async def test_who_moves_a_deal_and_who_changes_its_stages_patience_wait_in_no_circle(
    company: Company, owner: Client
) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    deal = await make(owner, "opportunities", name="Old", pipeline_id=made["id"])

    async def change() -> None:
        async with acting(company) as other:
            body = PipelineUpdate.model_validate({"stages": PATIENT})
            await PipelineChanges(other).update(UUID(made["id"]), body, expected_version=1)

    async with acting(company) as uow:
        row = await uow.get(Opportunity, UUID(deal["id"]), lock="update")
        changing = asyncio.create_task(change())
        await asyncio.sleep(0.5)
        assert not changing.done()
        await PipelineService(uow).hold()
        await uow.update(row, stage="engaging")
    await changing
    changed = await owner.ok("GET", f"/v1/pipelines/{made['id']}")
    assert (changed["stages"][0]["rotting_days"], changed["version"]) == (30, 2)
    assert (await owner.ok("GET", f"/v1/opportunities/{deal['id']}"))["stage"] == "engaging"


async def test_the_undo_of_an_import_leaves_a_deal_whose_former_stage_has_gone(
    company: Company, owner: Client
) -> None:
    made = await owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    deals = [
        await make(owner, "opportunities", name=key, external_id=key, pipeline_id=made["id"], stage=former)
        for key, former in (("moved", "engaging"), ("renamed", "prospecting"))
    ]
    file = ("deals.csv", b"external_id,stage,name\nmoved,prospecting,\nrenamed,,New name\n", "text/csv")
    fields = {"object": "opportunities", "mode": "update", "start": "true"}
    answer = await owner.post("/v1/imports", data=fields, files={"file": file})
    await JobRunner(company.kernel).run_due()
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["updated"]) == ("completed", 2)
    await owner.ok("PATCH", f"/v1/pipelines/{made['id']}", json={"stages": WITHOUT}, if_match=1)
    before = await owner.ok("GET", f"/v1/opportunities/{deals[0]['id']}")
    await owner.ok("POST", f"/v1/imports/{done['id']}/undo")
    await JobRunner(company.kernel).run_due()
    undone = await owner.ok("GET", f"/v1/imports/{done['id']}")
    assert undone["undo"] == {"state": "completed", "deleted": 0, "restored": 1, "kept": 1}
    assert await owner.ok("GET", f"/v1/opportunities/{deals[0]['id']}") == before
    assert (await owner.ok("GET", f"/v1/opportunities/{deals[1]['id']}"))["name"] == "renamed"


@pytest.mark.parametrize(
    ("stages", "code"),
    [
        (STAGES[:2], "one_won_stage"),
        ([STAGES[2], STAGES[0]], "first_is_open"),
        ([*STAGES, STAGES[0]], "duplicate_key"),
        ([STAGES[0], STAGES[2] | {"is_closed": False}], "won_is_closed"),
    ],
)
async def test_a_pipeline_that_makes_no_sense_is_refused(
    company: Company, owner: Client, stages: list[dict[str, Any]], code: str
) -> None:
    refused = await owner.post("/v1/pipelines", HARDWARE | {"stages": stages})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code)
    assert await rows(company, "pipelines") == 0


async def test_first_opportunities_at_once_make_one_default_pipeline(company: Company, owner: Client) -> None:
    made = await asyncio.gather(*(make(owner, "opportunities", name=f"Deal {n}") for n in range(20)))
    assert len({deal["pipeline_id"] for deal in made}) == 1
    assert (await rows(company, "pipelines"), await rows(company, "stages")) == (1, 5)


async def test_another_tenants_pipeline_is_unknown(owner: Client, rival: Company) -> None:
    theirs = await rival.owner.ok("POST", "/v1/pipelines", json=HARDWARE)
    for answer in (
        await owner.get(f"/v1/pipelines/{theirs['id']}"),
        await owner.patch(f"/v1/pipelines/{theirs['id']}", {"is_default": True}, if_match=1),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert await rival.owner.ok("GET", f"/v1/pipelines/{theirs['id']}") == theirs


async def test_the_first_pipeline_goes_with_the_item_of_a_batch_that_it_was_made_for(owner: Client) -> None:
    items = [{"record": {"name": "A", "contact_id": str(uuid4())}}, {"record": {"name": "B"}}]
    done = await owner.ok("POST", "/v1/opportunities/batch/create", json={"items": items})
    assert [result["status"] for result in done["results"]] == [422, 201]
    assert [deal["name"] for deal in (await owner.ok("GET", "/v1/opportunities"))["data"]] == ["B"]


async def test_a_default_pipeline_that_was_never_stored_gets_name_and_stages_at_once(owner: Client) -> None:
    [default] = (await owner.ok("GET", "/v1/pipelines"))["data"]
    body = {"name": {"en": "Deals"}, "stages": STAGES}
    changed = await owner.ok("PATCH", f"/v1/pipelines/{default['id']}", json=body, if_match=1)
    assert [stage["key"] for stage in changed["stages"]] == [stage["key"] for stage in STAGES]
    assert (await owner.ok("GET", "/v1/pipelines"))["data"] == [changed]
    deal = await make(owner, "opportunities", name="First")
    assert deal["stage"] == STAGES[0]["key"]
