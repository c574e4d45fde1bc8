"""Scoring over HTTP: models, scores with edits and by behaviour, explanations, thresholds, jobs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import Scope
from app.kernel.clock import FixedClock
from app.kernel.errors import Forbidden
from app.kernel.jobs import JobContext, JobPaused, JobRunner
from app.kernel.outbox import Relay
from app.kernel.schedules import ScheduledRun
from app.modules.leads.jobs.scoring import Nothing, daily, score_all
from app.modules.leads.schemas.scoring import PreviewRequest
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.scoring.explain import explain
from app.modules.leads.services.scoring.preview import preview
from app.modules.leads.services.scoring.scorer import Scorer
from tests.modules.leads.scoring import (
    behave,
    behaviour,
    crossings,
    events,
    explained,
    fit,
    in_use,
    new_model,
    run_jobs,
    score_of,
    switch,
)
from tests.modules.support import acting, actor_of, colleague, make
from tests.support.api import Client, Company

GERMAN = fit(30, "country", "DE", name="In Germany")
TITLE = fit(25, "title", "head", "contains", name="Heads")
STUDENT = fit(-40, "title", "student", "contains", name="Students")


async def test_a_new_lead_is_scored_and_explained(company: Company, owner: Client) -> None:
    model = await in_use(company, fit_rules=[GERMAN, TITLE, STUDENT])
    lead = await make(owner, "leads", name="Ann", country="DE", title="Head of Sales")
    assert [lead[n] for n in ("score", "grade", "version")] == [55, "B", 1]
    assert lead["scored_at"] == lead["created_at"]
    found = await explained(owner, lead)
    assert (found["score"], found["grade"], found["up_to_date"]) == (55, "B", True)
    assert found["model"] == {"id": model["id"], "version": 2, "name_en": "Model", "name_zh": None}
    assert [(p["name_en"], p["matched"], p["points"], p["total"]) for p in found["parts"]] == [
        ("In Germany", True, 30, "30"),
        ("Heads", True, 25, "25"),
        ("Students", False, -40, "0"),
    ]
    assert found["adjustments"] == []


async def test_a_change_scores_again_and_goes_down_to_the_end_of_the_range(
    company: Company, owner: Client
) -> None:
    await in_use(company, fit_rules=[GERMAN, TITLE, STUDENT])
    lead = await make(owner, "leads", name="Ann", country="DE")
    assert (lead["score"], lead["grade"]) == (30, "C")
    changed = await owner.ok(
        "PATCH", f"/v1/leads/{lead['id']}", json={"title": "Student", "country": "FR"}, if_match=1
    )
    assert [changed[n] for n in ("score", "grade", "version")] == [0, "D", 2]
    found = await explained(owner, lead)
    assert found["adjustments"] == [{"reason": "range", "points": "40"}]
    same = await owner.ok("PATCH", f"/v1/leads/{lead['id']}", json={"title": "Student"}, if_match=2)
    assert same == changed
    assert await crossings(company) == [("up", None, "C", "created"), ("down", "C", "D", "updated")]


async def test_custom_fields_and_any_of_several_conditions_score(company: Company, owner: Client) -> None:
    await owner.ok(
        "POST",
        "/v1/custom-fields",
        json={
            "object": "lead",
            "key": "seats",
            "type": "integer",
            "labels": {"en": "Seats"},
            "indexed": True,
        },
    )
    rule = {
        "name_en": "Large or famous",
        "points": 60,
        "filter": {
            "or": [
                {"and": [{"field": "custom.seats", "op": "gte", "value": 100}]},
                {"and": [{"field": "tags", "op": "has_any", "value": ["famous"]}]},
            ]
        },
    }
    await in_use(company, fit_rules=[rule])
    scores = []
    for fields in ({"custom": {"seats": 100}}, {"custom": {"seats": 99}}, {"tags": ["famous"]}, {}):
        scores.append((await make(owner, "leads", name="Ann", **fields))["score"])
    assert scores == [60, 0, 60, 0]


async def test_behaviour_fades_by_half_lives(company: Company, owner: Client) -> None:
    await in_use(
        company,
        behaviour_rules=[
            behaviour(20, "form_submitted", half_life_days=30),
            behaviour(8, "page_visited", "Pricing", detail="/pricing", cap=12),
        ],
    )
    lead = await make(owner, "leads", name="Ann")
    assert (lead["score"], lead["grade"]) == (0, "D")
    now = datetime.now(UTC)
    for days in (30, 60):
        await behave(owner, lead, occurred_at=(now - timedelta(days=days)).isoformat())
    assert await score_of(owner, lead) == (15, "D")
    done = [
        await behave(owner, lead, "page_visited", detail=detail)
        for detail in ("/Pricing", "/pricing", "/blog")
    ]
    assert [(one["score"], one["grade"]) for one in done] == [(23, "D"), (27, "C"), (27, "C")]
    found = await explained(owner, lead)
    forms, pages = found["parts"]
    assert (forms["occurrences"], pages["occurrences"]) == (2, 2)
    # A moment has passed since: the factors are a little less than a half and a quarter.
    factors = [float(one["factor"]) for one in forms["newest"]]
    assert factors == [pytest.approx(0.5, abs=1e-4), pytest.approx(0.25, abs=1e-4)]
    assert (pages["sum"], pages["total"], pages["cap"]) == ("16", "12", 12)
    assert [one["points"] for one in pages["newest"]] == ["8", "8"]
    record = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert record["version"] == 1  # what a lead does is no edit of it


async def test_caps_of_a_kind_are_parts_of_the_explanation(company: Company, owner: Client) -> None:
    await in_use(
        company,
        fit_rules=[GERMAN, fit(30, "source", "web")],
        behaviour_rules=[behaviour(10, "form_submitted")],
        fit_cap=45,
        behaviour_cap=15,
    )
    lead = await make(owner, "leads", name="Ann", country="DE", source="web")
    for _ in range(3):
        await behave(owner, lead)
    found = await explained(owner, lead)
    assert (found["score"], found["grade"]) == (60, "B")
    assert found["adjustments"] == [
        {"reason": "fit_cap", "points": "-15"},
        {"reason": "behaviour_cap", "points": "-15"},
    ]


async def test_the_same_source_id_counts_once_and_another_meaning_is_refused(
    company: Company, owner: Client
) -> None:
    await in_use(company, behaviour_rules=[behaviour(10, "form_submitted")])
    lead = await make(owner, "leads", name="Ann")
    path = f"/v1/leads/{lead['id']}/behaviours"
    body = {"kind": "form_submitted", "source_id": "form-1", "detail": "Trial"}
    first, again = await owner.post(path, body), await owner.post(path, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["score"], await score_of(owner, lead)) == (10, (10, "D"))
    other = await owner.post(path, body | {"detail": "Demo"})
    assert (other.status_code, other.json()["code"]) == (409, "behaviour_differs")
    future = await owner.post(path, {"kind": "form_submitted", "occurred_at": "2199-01-01T00:00:00Z"})
    assert (future.status_code, future.json()["errors"][0]["code"]) == (422, "in_the_future")
    assert len((await owner.ok("GET", path))["data"]) == 1
    assert await score_of(owner, lead) == (10, "D")


async def test_two_hundred_behaviours_at_once_all_count_and_cross_each_threshold_once(
    company: Company, owner: Client
) -> None:
    await in_use(
        company,
        behaviour_rules=[behaviour(1, "page_visited")],
        max_score=200,
        grades=[{"grade": g, "from_score": s} for g, s in (("A", 150), ("B", 100), ("C", 50), ("D", 0))],
    )
    lead = await make(owner, "leads", name="Ann")
    visits = [behave(owner, lead, "page_visited", source_id=f"visit-{n % 150}") for n in range(50, 250)]
    extra = [behave(owner, lead, "page_visited") for _ in range(50)]
    done = await asyncio.gather(*visits, *extra)
    assert {one["score"] for one in done} <= set(range(201))
    assert await score_of(owner, lead) == (200, "A")
    assert await crossings(company) == [
        ("up", "D", "C", "behaviour"),
        ("up", "C", "B", "behaviour"),
        ("up", "B", "A", "behaviour"),
    ]
    scored = await events(company, "leads.lead.scored.v1")
    assert [event["to_score"] for event in scored] == list(range(1, 201))
    assert (await explained(owner, lead))["parts"][0]["occurrences"] == 200


async def test_edits_and_behaviours_at_once_lose_nothing(company: Company, owner: Client) -> None:
    await in_use(company, fit_rules=[GERMAN], behaviour_rules=[behaviour(1, "page_visited")])
    lead = await make(owner, "leads", name="Ann")

    async def edit() -> int:
        for version in range(1, 11):
            country = "DE" if version % 2 else "FR"
            await owner.ok("PATCH", f"/v1/leads/{lead['id']}", json={"country": country}, if_match=version)
        return 10

    await asyncio.gather(edit(), *(behave(owner, lead, "page_visited") for _ in range(40)))
    assert await score_of(owner, lead) == (40, "C")
    changed = await owner.ok("PATCH", f"/v1/leads/{lead['id']}", json={"country": "DE"}, if_match=11)
    assert (changed["score"], changed["version"]) == (70, 12)


async def test_a_score_is_entered_only_where_no_model_is_active(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann", score=12)
    found = await explained(owner, lead)
    assert (found["model"], found["adjustments"]) == (None, [{"reason": "entered", "points": "12"}])
    model = await in_use(company, fit_rules=[GERMAN])
    before = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert (before["score"], before["grade"], before["version"]) == (0, "D", 1)
    refused = await owner.patch(f"/v1/leads/{lead['id']}", {"score": 99}, if_match=1)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "score_is_computed")
    refused = await owner.post("/v1/leads", {"name": "Bo", "score": 99})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/score")
    assert (await owner.ok("GET", "/v1/leads"))["data"] == [before]
    await switch(owner, model, "deactivate")
    await run_jobs(company)
    after = await owner.ok("GET", f"/v1/leads/{lead['id']}")
    assert [after[n] for n in ("score", "grade", "scored_at")] == [0, None, None]
    entered = await owner.ok("PATCH", f"/v1/leads/{lead['id']}", json={"score": 99}, if_match=1)
    assert (entered["score"], entered["version"]) == (99, 2)


async def test_the_etag_moves_with_the_score_and_an_edit_does_not_collide_with_it(
    company: Company, owner: Client
) -> None:
    await in_use(company, behaviour_rules=[behaviour(10, "form_submitted")])
    lead = await make(owner, "leads", name="Ann")
    path = f"/v1/leads/{lead['id']}"
    tag = (await owner.get(path)).headers["ETag"]
    assert (await owner.get(path, headers={"If-None-Match": tag})).status_code == 304
    await behave(owner, lead)
    newer = await owner.get(path, headers={"If-None-Match": tag})
    assert (newer.status_code, newer.json()["score"], newer.headers["ETag"] != tag) == (200, 10, True)
    edited = await owner.patch(path, {"city": "Bonn"}, headers={"If-Match": tag})
    assert (edited.status_code, edited.json()["version"]) == (200, 2)
    stale = await owner.patch(path, {"city": "Kiel"}, headers={"If-Match": tag})
    assert stale.status_code == 412


async def test_changing_the_model_scores_all_leads_by_a_job(company: Company, owner: Client) -> None:
    leads = [await make(owner, "leads", name=f"Ann {n}", country=c) for n, c in enumerate(("DE", "FR"))]
    model = await in_use(company, fit_rules=[GERMAN])
    assert [await score_of(owner, lead) for lead in leads] == [(30, "C"), (0, "D")]
    changed = await owner.ok(
        "PATCH",
        f"/v1/lead-scoring-models/{model['id']}",
        json={"fit_rules": [fit(80, "country", "FR")]},
        if_match=model["version"],
    )
    stale = await owner.ok("GET", f"/v1/leads/{leads[0]['id']}/score")
    assert (stale["score"], stale["up_to_date"]) == (0, False)
    await run_jobs(company)
    assert [await score_of(owner, lead) for lead in leads] == [(0, "D"), (80, "A")]
    assert all([(await explained(owner, lead))["up_to_date"] for lead in leads])
    assert await crossings(company) == [
        ("up", None, "C", "recompute"),
        ("down", "C", "D", "recompute"),
        ("up", "D", "A", "recompute"),
    ]
    history = await owner.ok("GET", f"/v1/leads/{leads[1]['id']}/history")
    assert [(e["action"], e["changes"]) for e in history["data"][:1]] == [
        ("scored", {"score": [0, 80], "grade": ["D", "A"]})
    ]
    assert changed["version"] == 3
    # Once more, nothing is left to do.
    job = await owner.post("/v1/leads/scoring/recompute")
    assert job.status_code == 202
    await run_jobs(company)
    done = await owner.ok("GET", job.headers["Location"])
    assert (done["state"], done["result"]) == ("completed", {"scored": 2, "changed": 0})


async def test_one_model_is_active_whoever_activates_and_it_cannot_be_deleted(
    company: Company, owner: Client
) -> None:
    models = [await new_model(owner, name_en=f"Model {n}", fit_rules=[GERMAN]) for n in range(20)]
    path = "/v1/lead-scoring-models"
    await asyncio.gather(*(owner.post(f"{path}/{m['id']}/activate", if_match=m["version"]) for m in models))
    listed = (await owner.ok("GET", path))["data"]
    active = [model for model in listed if model["is_active"]]
    assert len(active) == 1
    refused = await owner.delete(f"{path}/{active[0]['id']}", if_match=active[0]["version"])
    assert (refused.status_code, refused.json()["code"]) == (409, "scoring_model_active")
    other = next(model for model in listed if not model["is_active"])
    await owner.ok("DELETE", f"{path}/{other['id']}", if_match=other["version"])
    assert len((await owner.ok("GET", path))["data"]) == 19
    too_many = [await owner.post(path, {"name_en": f"More {n}"}) for n in range(2)]
    assert [answer.status_code for answer in too_many] == [201, 422]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"fit_rules": [fit(1, "nothing", "x")]}, "/fit_rules/0/filter/or/0/and/0"),
        ({"fit_rules": [GERMAN, fit(1, "created_at", "soon", "gte")]}, "/fit_rules/1/filter/or/0/and/0"),
        ({"grades": [{"grade": "A", "from_score": 10}]}, ""),
        ({"min_score": 5, "max_score": 5, "grades": [{"grade": "A", "from_score": 5}]}, ""),
        ({"behaviour_rules": [behaviour(1, "Not A Key")]}, "/behaviour_rules/0/behaviour"),
    ],
)
async def test_a_model_that_cannot_be_is_refused(owner: Client, fields: dict[str, Any], pointer: str) -> None:
    refused = await owner.post("/v1/lead-scoring-models", {"name_en": "Model", **fields})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await owner.ok("GET", "/v1/lead-scoring-models"))["data"] == []


async def test_a_rule_whose_field_is_gone_counts_nothing_and_leads_are_still_made(
    company: Company, owner: Client
) -> None:
    field = await owner.ok(
        "POST",
        "/v1/custom-fields",
        json={"object": "lead", "key": "seats", "type": "integer", "labels": {"en": "Seats"}},
    )
    await in_use(company, fit_rules=[GERMAN, fit(40, "custom.seats", 5, "gte")])
    lead = await make(owner, "leads", name="Ann", country="DE", custom={"seats": 9})
    assert lead["score"] == 70
    await owner.ok("POST", f"/v1/custom-fields/{field['id']}/archive", if_match=field["version"])
    assert (await make(owner, "leads", name="Bo", country="DE"))["score"] == 30


async def test_scores_and_grades_filter_and_sort(company: Company, owner: Client) -> None:
    await in_use(company, fit_rules=[GERMAN, TITLE])
    for name, country, title in (("Ann", "DE", "Head"), ("Bo", "FR", None), ("Cy", "DE", None)):
        await make(owner, "leads", name=name, country=country, title=title)
    listed = await owner.ok("GET", "/v1/leads?sort=-score")
    assert [(lead["name"], lead["score"]) for lead in listed["data"]] == [("Ann", 55), ("Cy", 30), ("Bo", 0)]
    found = await owner.ok("GET", "/v1/leads?grade=C&score[gte]=30&scored_at[gte]=-1d")
    assert [lead["name"] for lead in found["data"]] == ["Cy"]


async def test_a_converted_lead_keeps_its_score(company: Company, owner: Client) -> None:
    model = await in_use(company, fit_rules=[GERMAN], behaviour_rules=[behaviour(10, "form_submitted")])
    lead = await make(owner, "leads", name="Ann", country="DE", company="Initech")
    await owner.ok("POST", f"/v1/leads/{lead['id']}/convert", json={}, if_match=1)
    refused = await owner.post(f"/v1/leads/{lead['id']}/behaviours", {"kind": "form_submitted"})
    assert (refused.status_code, refused.json()["code"]) == (409, "lead_already_converted")
    await owner.ok(
        "PATCH",
        f"/v1/lead-scoring-models/{model['id']}",
        json={"fit_rules": []},
        if_match=model["version"],
    )
    await run_jobs(company)
    assert await score_of(owner, lead) == (30, "C")


async def test_a_preview_shows_what_a_draft_would_do_and_writes_nothing(
    company: Company, owner: Client
) -> None:
    for n in range(4):
        await make(owner, "leads", name=f"Ann {n}", country="DE" if n else "FR", score=20)
    before = await owner.ok("GET", "/v1/leads")
    draft = {"fit_rules": [GERMAN], "samples": 2}
    shown = await owner.ok("POST", "/v1/leads/scoring/preview", json=draft)
    assert (shown["leads"], shown["sampled"], shown["rising"], shown["falling"]) == (4, False, 3, 1)
    assert shown["grades"] == [
        {"grade": "A", "leads": 0},
        {"grade": "B", "leads": 0},
        {"grade": "C", "leads": 3},
        {"grade": "D", "leads": 1},
    ]
    assert [(b["from"], b["to"]) for b in shown["buckets"] if b["leads"]] == [(0, 10), (30, 40)]
    assert [(s["name"][:3], s["score"], s["model"]["id"]) for s in shown["samples"]] == [
        ("Ann", 30, None),
        ("Ann", 0, None),
    ]
    assert await owner.ok("GET", "/v1/leads") == before
    assert await events(company, "leads.lead.scored.v1") == []


async def test_time_alone_lets_scores_sink_by_the_daily_run(
    company: Company, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_use(company, behaviour_rules=[behaviour(80, "form_submitted", half_life_days=10)])
    lead = await make(owner, "leads", name="Ann")
    await behave(owner, lead, source_id="form-1")
    assert await score_of(owner, lead) == (80, "A")
    kernel = company.app.kernel
    assert kernel is not None
    for days, expected in ((10, (40, "C")), (20, (20, "D")), (110, (0, "D"))):
        moment = datetime.fromisoformat(lead["created_at"]) + timedelta(days=days, minutes=1)
        monkeypatch.setattr(kernel, "clock", FixedClock(moment))
        async with acting(company) as uow:
            uow.enqueue("leads.score", {})
        await JobRunner(kernel).run_due()
        monkeypatch.undo()
        assert await score_of(owner, lead) == expected, days
    assert [c[:3] for c in await crossings(company)] == [
        ("up", "D", "A"),
        ("down", "A", "C"),
        ("down", "C", "D"),
    ]


async def test_the_job_goes_by_batches_can_be_cancelled_and_started_again(
    company: Company, owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.modules.leads.jobs.scoring.BATCH", 10)
    for n in range(25):
        await make(owner, "leads", name=f"Ann {n}", country="DE")
    await switch(owner, await new_model(owner, fit_rules=[GERMAN]))
    kernel = company.app.kernel
    assert kernel is not None
    context = JobContext(kernel=kernel, actor=await actor_of(company), id=UUID(int=1), payload={}, attempt=1)
    context.stopping.set()  # the worker is told to stop: it gives back after a batch
    with pytest.raises(JobPaused):
        await score_all(context, Nothing())
    scored = (await owner.ok("GET", "/v1/leads?score=30&limit=200"))["data"]
    assert len(scored) == 10
    context.stopping.clear()
    assert await score_all(context, Nothing()) == {"scored": 25, "changed": 15}
    assert len((await owner.ok("GET", "/v1/leads?score=30&limit=200"))["data"]) == 25
    assert len(await crossings(company)) == 25


async def test_scoring_takes_a_fixed_number_of_statements(company: Company, owner: Client) -> None:
    await in_use(company, fit_rules=[GERMAN, TITLE], behaviour_rules=[behaviour(1, "page_visited")])
    lead = await make(owner, "leads", name="Ann", country="DE")
    for _ in range(5):
        await behave(owner, lead, "page_visited")
    async with acting(company) as uow:
        row = await LeadService(uow).get(UUID(lead["id"]), lock="update")
        model = await Scorer(uow, LEAD).model()
        assert model is not None
        before = uow.statements
        await Scorer(uow, LEAD).compute(model, [row.__dict__] * 50, [row.id] * 50)
        assert uow.statements - before == 2
        before = uow.statements
        await explain(uow, row.id)
        assert uow.statements - before <= 4
        before = uow.statements
        await preview(uow, PreviewRequest.model_validate({"fit_rules": [GERMAN]}))
        assert uow.statements - before <= 2


async def test_who_may_not_manage_scoring_changes_nothing(company: Company, owner: Client) -> None:
    lead = await make(owner, "leads", name="Ann")
    other = colleague(await actor_of(company), lead_read=Scope.ALL)
    async with acting(company, other) as uow:
        with pytest.raises(Forbidden):
            await LeadService(uow).behave(UUID(lead["id"]), {"kind": "form_submitted"})
        uow.actor = uow.actor.__class__(
            tenant=other.tenant,
            kind="member",
            id=other.id,
            name="Colleague",
            grants=other.grants,
            hidden_fields={"lead": frozenset({"score"})},
        )
        with pytest.raises(Forbidden):
            await explain(uow, UUID(lead["id"]))
    assert (await owner.ok("GET", f"/v1/leads/{lead['id']}/behaviours"))["data"] == []


async def test_touches_calls_and_meetings_count_as_behaviour(company: Company, owner: Client) -> None:
    await in_use(
        company,
        behaviour_rules=[
            behaviour(5, "touch", detail="event"),
            behaviour(10, "call_completed"),
            behaviour(20, "meeting_held"),
        ],
    )
    lead = await make(owner, "leads", name="Ann")
    touched = await owner.ok("POST", f"/v1/leads/{lead['id']}/touches", json={"source": "event"}, if_match=1)
    assert (touched["score"], touched["version"]) == (5, 2)
    about = [{"object": "lead", "record_id": lead["id"]}]
    await make(owner, "activities", kind="call", subject="Hello", about=about)
    meeting = await make(
        owner, "activities", kind="meeting", subject="Demo", about=about, due_at="2026-12-01T10:00:00Z"
    )
    kernel = company.app.kernel
    assert kernel is not None
    relay = Relay(kernel)

    async def relayed() -> tuple[Any, Any]:
        while await relay.run_once():
            pass
        return await score_of(owner, lead)

    assert await relayed() == (15, "D")
    done = await owner.ok(
        "POST", f"/v1/activities/{meeting['id']}/complete", json={}, if_match=meeting["version"]
    )
    assert await relayed() == (35, "C")
    await owner.ok("POST", f"/v1/activities/{meeting['id']}/reopen", json={}, if_match=done["version"])
    assert await relayed() == (15, "D")
    assert [b["kind"] for b in (await owner.ok("GET", f"/v1/leads/{lead['id']}/behaviours"))["data"]] == [
        "call_completed",
        "touch",
    ]


async def test_the_daily_run_scores_and_fills_in_what_older_leads_lack(
    company: Company, owner: Client
) -> None:
    model = await in_use(company, fit_rules=[fit(40, "created_at", "-1d", "gte")])
    leads = [await make(owner, "leads", name=f"Ann {n}", city="Bonn") for n in range(3)]
    assert [lead["score"] for lead in leads] == [40, 40, 40]
    kernel = company.app.kernel
    assert kernel is not None
    async with acting(company) as uow:
        await uow.fetch(
            "UPDATE leads.leads SET completeness = NULL, created_at = created_at - interval '2 days'"
            " WHERE tenant_id = $1 AND id <> $2",
            uow.tenant_id,
            UUID(leads[0]["id"]),
        )
    tenant = (await actor_of(company)).tenant
    await daily(ScheduledRun(kernel, tenant))
    await run_jobs(company)
    page = await owner.ok("GET", "/v1/leads?sort=name&fields=score,completeness,version")
    assert [(lead["score"], lead["completeness"], lead["version"]) for lead in page["data"]] == [
        (40, 15, 1),
        (0, 15, 1),
        (0, 15, 1),
    ]
    await switch(owner, model, "deactivate")
    await run_jobs(company)
    before = (await owner.ok("GET", "/v1/jobs?limit=200"))["data"]
    await daily(ScheduledRun(kernel, tenant))
    assert (await owner.ok("GET", "/v1/jobs?limit=200"))["data"] == before
