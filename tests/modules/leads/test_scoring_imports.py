"""Scores of imported leads: a chunk at a time, new rows and changes alike."""

from __future__ import annotations

from typing import Any

from app.kernel.imports.rules import ImportOptions, ImportRow
from app.modules.leads.services.leads import LeadService
from tests.modules.leads.scoring import behave, behaviour, crossings, explained, fit, in_use, score_of
from tests.modules.leads.test_imports import run
from tests.modules.support import acting, make
from tests.support.api import Client, Company

GERMAN = fit(30, "country", "DE")


async def by_name(owner: Client) -> dict[str, dict[str, Any]]:
    page = await owner.ok("GET", "/v1/leads?limit=200")
    return {lead["name"]: lead for lead in page["data"]}


async def test_new_rows_are_scored_and_a_file_cannot_bring_scores(company: Company, owner: Client) -> None:
    await in_use(company, fit_rules=[GERMAN, fit(50, "title", "head", "contains")])
    content = b"name,country,title,score\nAnn,DE,Head,99\nBo,DE,,\nCy,FR,,7\n"
    done = await run(company, content)
    assert (done["state"], done["created"], done["failed"]) == ("completed", 3, 0)
    leads = await by_name(owner)
    assert {name: (lead["score"], lead["grade"]) for name, lead in leads.items()} == {
        "Ann": (80, "A"),
        "Bo": (30, "C"),
        "Cy": (0, "D"),
    }
    assert sorted(await crossings(company), key=str) == [
        ("up", None, "A", "created"),
        ("up", None, "C", "created"),
    ]
    for lead in leads.values():
        assert (await explained(owner, lead))["up_to_date"]


async def test_changed_rows_are_scored_with_their_custom_fields_and_behaviour(
    company: Company, owner: Client
) -> None:
    await owner.ok(
        "POST",
        "/v1/custom-fields",
        json={"object": "lead", "key": "seats", "type": "integer", "labels": {"en": "Seats"}},
    )
    await in_use(
        company,
        fit_rules=[GERMAN, fit(40, "custom.seats", 100, "gte")],
        behaviour_rules=[behaviour(5, "form_submitted")],
    )
    lead = await make(owner, "leads", name="Ann", external_id="a", country="FR")
    await behave(owner, lead)
    same = await make(owner, "leads", name="Bo", external_id="b", country="DE")
    content = b"external_id,country,custom.seats,score\na,DE,120,1\nb,DE,,55\n"
    done = await run(company, content, mode="update")
    assert (done["updated"], done["unchanged"], done["failed"]) == (1, 1, 0)
    assert await score_of(owner, lead) == (75, "A")
    assert (await by_name(owner))["Bo"] == same
    assert (await explained(owner, lead))["up_to_date"]
    assert (await crossings(company))[-1] == ("up", "D", "A", "updated")
    undone = await owner.post(f"/v1/imports/{done['id']}/undo")
    assert undone.status_code == 202
    from tests.modules.leads.scoring import run_jobs

    await run_jobs(company)
    assert await score_of(owner, lead) == (5, "D")


async def test_scores_that_changed_by_themselves_do_not_keep_an_import_from_being_undone(
    company: Company, owner: Client
) -> None:
    from tests.modules.leads.scoring import run_jobs

    done = await run(company, b"name,country\nAnn,DE\nBo,FR\n")
    await in_use(company, fit_rules=[GERMAN])
    assert (await by_name(owner))["Ann"]["score"] == 30
    await owner.ok("POST", f"/v1/imports/{done['id']}/undo")
    await run_jobs(company)
    assert await by_name(owner) == {}


async def test_a_chunk_takes_one_statement_more_and_none_without_a_model(
    company: Company, owner: Client
) -> None:
    def rows(count: int) -> list[ImportRow]:
        return [
            ImportRow(n, n + 1, [], values={"name": f"Ann {n}", "status": "new", "country": "DE"})
            for n in range(count)
        ]

    async def spent(count: int) -> int:
        async with acting(company) as uow:
            service = LeadService(uow)
            await service.scoring.model()
            before = uow.statements
            await service.prepare_import(rows(count), ImportOptions("create", duplicate_rule="allow"))
            return uow.statements - before

    # One asks whether leads are assigned by rules, which is then remembered; scoring asks nothing.
    assert [await spent(count) for count in (1, 500)] == [1, 0]
    await in_use(company, fit_rules=[GERMAN, fit(1, "tags", ["x"], "has_any")])
    # The company's model was changed a moment ago: until that has settled each use asks for it once.
    found = [await spent(count) for count in (1, 500)]
    assert found[0] == found[1] <= 4
