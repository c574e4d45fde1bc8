"""Surveys: whom they ask and when, that they are answered once, and what follows from an unhappy answer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.clock import FixedClock
from app.kernel.links import new_link
from app.main import Application
from app.modules.after_sales.schemas.surveys import AnswerFilter, SatisfactionQuestion
from app.modules.after_sales.services.surveys.statistics import Sums, SurveyStatistics
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.surveys.asked import (
    answer,
    asked,
    customer,
    due,
    of_case,
    path_of,
    relayed,
    resolved,
    survey,
    worked,
)
from tests.modules.opportunities.conftest import clock
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, stranger_from

__all__ = ["clock"]
Json = dict[str, Any]


# -- definitions ---------------------------------------------------------------------------------------------


async def test_a_survey_has_the_scale_of_its_kind(owner: Client) -> None:
    for kind, alert_at in (("csat", 2), ("nps", 6), ("ces", 3)):
        assert (await survey(owner, kind))["alert_at"] == alert_at
    wrong = await owner.post("/v1/surveys", {"name": "A", "kind": "csat", "alert_at": 6})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/alert_at")
    first = (await owner.ok("GET", "/v1/surveys"))["data"][0]
    changed = await owner.ok(
        "PATCH", f"/v1/surveys/{first['id']}", json={"is_active": False}, if_match=first["version"]
    )
    assert (changed["is_active"], changed["version"]) == (False, 2)
    null = await owner.patch(f"/v1/surveys/{first['id']}", {"name": None}, if_match=2)
    assert null.status_code == 422
    assert (await owner.ok("GET", f"/v1/surveys/{first['id']}"))["version"] == 2


async def test_only_those_who_run_the_company_set_surveys_up(company: Company, hire: Any) -> None:
    seller = await hire("salesperson")
    assert (await seller.post("/v1/surveys", {"name": "A", "kind": "csat"})).status_code == 403
    assert (await company.owner.ok("GET", "/v1/surveys"))["data"] == []


async def test_a_survey_that_asked_somebody_is_not_deleted(owner: Client) -> None:
    made = await survey(owner)
    await asked(owner, made, await resolved(owner, await customer(owner)))
    used = await owner.delete(f"/v1/surveys/{made['id']}", if_match=1)
    assert (used.status_code, used.json()["code"]) == (409, "survey_in_use")
    other = await survey(owner, "nps")
    assert (await owner.delete(f"/v1/surveys/{other['id']}", if_match=1)).status_code == 204


# -- asking --------------------------------------------------------------------------------------------------


async def test_a_resolved_case_is_asked_about_after_its_delay(
    company: Company, look: Look, clock: FixedClock
) -> None:
    owner = company.owner
    await survey(owner, delay_minutes=90)
    contact = await customer(owner)
    case = await resolved(owner, contact, subject="The pump leaks")
    await relayed(company)
    planned = await of_case(owner, case)
    assert [(one["status"], one["agent_id"]) for one in planned] == [("scheduled", str(company.member_id))]
    assert datetime.fromisoformat(planned[0]["send_at"]) == clock.now() + timedelta(minutes=90)
    clock.advance(timedelta(minutes=89))
    await due(company)
    assert await look.mails(contact["email"]) == []
    clock.advance(timedelta(minutes=1))
    await due(company)
    await due(company)
    mails = await look.mails(contact["email"])
    assert [mail["subject"] for mail in mails] == [f"How did we do? Your request {case['number']}"]
    assert "/s/rl_" in mails[0]["text"]
    assert (await of_case(owner, case))[0]["status"] == "sent"


async def test_a_contact_is_left_in_peace_between_surveys(company: Company, clock: FixedClock) -> None:
    owner = company.owner
    await survey(owner, quiet_days=30, delay_minutes=0)
    contact, other = await customer(owner), await customer(owner)
    first = await resolved(owner, contact)
    second = await resolved(owner, contact)
    elsewhere = await resolved(owner, other)
    await relayed(company)
    counts = [len(await of_case(owner, case)) for case in (first, second, elsewhere)]
    assert (sum(counts[:2]), counts[2]) == (1, 1)
    clock.advance(timedelta(days=30))
    third = await resolved(owner, contact)
    await relayed(company)
    assert len(await of_case(owner, third)) == 1


async def test_two_surveys_at_once_ask_a_contact_once(company: Company) -> None:
    owner = company.owner
    for kind in ("csat", "nps", "ces"):
        await survey(owner, kind)
    case = await resolved(owner, await customer(owner))
    await relayed(company)
    await relayed(company)
    assert [one["kind"] for one in await of_case(owner, case)] == ["csat"]


async def test_a_case_that_was_opened_again_is_not_asked_about_until_it_is_solved(
    company: Company, look: Look, clock: FixedClock
) -> None:
    owner = company.owner
    await survey(owner, delay_minutes=10)
    contact = await customer(owner)
    case = await resolved(owner, contact)
    await relayed(company)
    await stepped(owner, case, "reopen", {"reason": "It leaks again."})
    clock.advance(timedelta(minutes=10))
    await due(company)
    assert await look.mails(contact["email"]) == []
    assert [one["status"] for one in await of_case(owner, case)] == ["withdrawn"]
    await stepped(owner, case, "resolve", {})
    await relayed(company)
    clock.advance(timedelta(minutes=10))
    await due(company)
    assert len(await look.mails(contact["email"])) == 1


async def test_who_has_no_address_is_skipped(company: Company, clock: FixedClock) -> None:
    owner = company.owner
    made = await survey(owner, delay_minutes=0)
    case = await resolved(owner, await customer(owner, email=None))
    await relayed(company)
    await worked(company)
    assert [one["status"] for one in await of_case(owner, case)] == ["skipped"]
    refused = await owner.post(f"/v1/surveys/{made['id']}/invitations", {"case_id": case["id"]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "no_address")


async def test_nobody_is_asked_before_the_case_is_resolved(owner: Client) -> None:
    made = await survey(owner)
    case = await case_of(owner)
    early = await owner.post(f"/v1/surveys/{made['id']}/invitations", {"case_id": case["id"]})
    assert (early.status_code, early.json()["code"]) == (409, "survey_too_early")
    assert await of_case(owner, case) == []


# -- answering -----------------------------------------------------------------------------------------------


async def test_a_customer_answers_once_and_the_first_answer_stands(app: Application, owner: Client) -> None:
    made = await survey(owner)
    case = await resolved(owner, await customer(owner))
    link = await asked(owner, made, case)
    page = await stranger_from(app).get(path_of(link))
    assert page.status_code == 200
    assert page.text.count('type="radio"') == 5
    assert (await answer(app, link, 5, comment="很好")).status_code == 303
    assert (await answer(app, link, 1, complaint="on")).status_code == 303
    seen = await stranger_from(app).get(path_of(link))
    assert "You gave us 5 out of 5." in seen.text
    found = (await owner.ok("GET", "/v1/survey-answers"))["data"]
    assert [(one["score"], one["comment"], one["complaint"], one["alerted"]) for one in found] == [
        (5, "很好", False, False)
    ]
    late = await owner.post(f"/v1/surveys/{made['id']}/invitations", {"case_id": case["id"]})
    assert (late.status_code, late.json()["code"]) == (409, "survey_already_answered")


async def test_two_hundred_answers_at_once_are_one(company: Company) -> None:
    owner = company.owner
    made = await survey(owner, "nps", care_plan=[{"subject": "Call them", "due_days": 2}])
    case = await resolved(owner, await customer(owner))
    links = [await asked(owner, made, case) for _ in range(2)]
    answers = await asyncio.gather(
        *[answer(company.app, links[number % 2], number % 7) for number in range(200)]
    )
    assert {one.status_code for one in answers} == {303}
    found = (await owner.ok("GET", "/v1/survey-answers"))["data"]
    assert len(found) == 1
    assert (await again(owner, case))["escalation_level"] == 1
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT type, count(*) AS count FROM kernel.outbox WHERE tenant_id = $1 AND type = ANY($2) GROUP BY 1",
            uow.tenant_id,
            ["after_sales.survey_invitation.answered.v1", "after_sales.case.escalated.v1"],
        )
    assert {row["count"] for row in rows} == {1}
    tasks = (await owner.ok("GET", "/v1/activities", params={"kind": "task"}))["data"]
    assert "Call them" in [task["subject"] for task in tasks]
    assert len(tasks) == 2


async def test_what_does_not_fit_the_scale_is_no_answer(app: Application, owner: Client) -> None:
    made = await survey(owner, "ces")
    link = await asked(owner, made, await resolved(owner, await customer(owner)))
    for score in ("", "0", "8", "-1", "1.5", "٣", "99999999999", "1 OR 1=1"):
        page = await answer(app, link, score, comment="<b>hm</b>")
        assert page.status_code == 422, score
        assert "Please choose a number." in page.text
        assert "&lt;b&gt;hm&lt;/b&gt;" in page.text
    long = await answer(app, link, 3, comment="x" * 2_001)
    assert long.status_code == 422
    assert (await owner.ok("GET", "/v1/survey-answers"))["data"] == []


async def test_a_survey_that_is_over_or_withdrawn_says_so(
    app: Application, owner: Client, clock: FixedClock
) -> None:
    made = await survey(owner, expires_days=14, quiet_days=0)
    contact = await customer(owner)
    open_, let_off = [await asked(owner, made, await resolved(owner, contact)) for _ in range(2)]
    await owner.ok("POST", f"/v1/survey-invitations/{let_off['id']}/withdraw")
    gone = await answer(app, let_off, 5)
    assert (gone.status_code, "This survey was withdrawn" in gone.text) == (410, True)
    clock.advance(timedelta(days=14))
    over = await answer(app, open_, 5)
    assert (over.status_code, "This survey is closed" in over.text) == (410, True)
    chinese = await stranger_from(app).get(path_of(open_) + "?lang=zh")
    assert "评价已截止" in chinese.text
    assert (await owner.ok("GET", "/v1/survey-answers"))["data"] == []


async def test_links_cannot_be_guessed_or_carried_elsewhere(
    app: Application, company: Company, rival: Company
) -> None:
    assert app.kernel is not None
    made = await survey(company.owner)
    case = await resolved(company.owner, await customer(company.owner))
    link = await asked(company.owner, made, case)
    token = path_of(link).removeprefix("/s/")
    forged = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        new_link(app.kernel, company.tenant_id, "after_sales.survey").token,
        new_link(app.kernel, rival.tenant_id, "after_sales.survey").token,
        new_link(app.kernel, company.tenant_id, "quotes.page").token,
        "rl_",
        "%00",
        "a" * 1_000,
    ]
    stranger = stranger_from(app)
    for other in forged:
        for page in (
            await stranger.get(f"/s/{other}"),
            await stranger.post(f"/s/{other}", content="score=5"),
        ):
            assert page.status_code == 404, other
            assert "There is nothing here" in page.text
    assert (await company.owner.ok("GET", "/v1/survey-answers"))["data"] == []
    for path in (f"/q/{token}", f"/kb/{token}"):
        assert (await stranger.get(path)).status_code == 404


async def test_another_company_sees_and_asks_nothing(company: Company, rival: Company) -> None:
    made = await survey(company.owner)
    case = await resolved(company.owner, await customer(company.owner))
    link = await asked(company.owner, made, case)
    await answer(company.app, link, 1)
    own = await survey(rival.owner)
    foreign = await rival.owner.post(f"/v1/surveys/{own['id']}/invitations", {"case_id": case["id"]})
    assert (foreign.status_code, foreign.json()["errors"][0]["pointer"]) == (422, "/case_id")
    for method, path in (
        ("GET", f"/v1/surveys/{made['id']}"),
        ("GET", f"/v1/cases/{case['id']}/surveys"),
        ("POST", f"/v1/survey-invitations/{link['id']}/withdraw"),
    ):
        assert (await rival.owner.request(method, path)).status_code == 404
    assert (await rival.owner.ok("GET", "/v1/survey-answers"))["data"] == []
    assert (await rival.owner.ok("GET", "/v1/surveys/statistics"))["total"]["answers"] == 0


# -- what follows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "score", "complaint", "reason"),
    [("csat", 2, False, "detractor"), ("nps", 6, False, "detractor"), ("csat", 5, True, "complaint")],
)
async def test_an_unhappy_customer_goes_up_to_the_manager(
    company: Company, look: Look, hire: Any, kind: str, score: int, complaint: bool, reason: str
) -> None:
    owner = company.owner
    manager = await hire("manager")
    agent = await hire("salesperson")
    member = await owner.ok("GET", f"/v1/members/{agent.facts['member_id']}")
    await owner.ok(
        "PATCH", f"/v1/members/{member['id']}", json={"manager_id": manager.facts["member_id"]},
        if_match=member["version"],
    )  # fmt: skip
    plan = [{"subject": "Send flowers", "due_days": 3}]
    made = await survey(owner, kind, care_plan=plan)
    case = await resolved(owner, await customer(owner), owner_id=agent.facts["member_id"])
    link = await asked(owner, made, case)
    await answer(company.app, link, score, **({"complaint": "on"} if complaint else {}))
    assert (await again(owner, case))["escalation_level"] == 1
    data = await look.value(
        "SELECT data FROM kernel.outbox WHERE tenant_id = $1 AND type = 'after_sales.case.escalated.v1'",
        company.tenant_id,
    )
    assert f'"reason": "{reason}"' in data or reason in str(data)
    assert manager.facts["member_id"] in str(data)
    told = (await manager.ok("GET", "/v1/notifications"))["data"]
    assert sorted(one["kind"] for one in told) == ["activity.assigned", "survey.alert"]
    tasks = (await owner.ok("GET", "/v1/activities", params={"kind": "task", "sort": "due_at"}))["data"]
    assert [(task["subject"], task["owner_id"]) for task in tasks] == [
        (
            f"Get in touch with the customer of {case['number']} ({kind.upper()} {score})",
            manager.facts["member_id"],
        ),
        ("Send flowers", agent.facts["member_id"]),
    ]
    to_dos = (await manager.ok("GET", "/v1/to-dos"))["data"]
    assert [one["title"] for one in to_dos] == [tasks[0]["subject"]]


async def test_a_happy_customer_brings_no_work(company: Company) -> None:
    owner = company.owner
    made = await survey(owner, care_plan=[{"subject": "Call them"}])
    case = await resolved(owner, await customer(owner))
    await answer(company.app, await asked(owner, made, case), 3)
    assert (await again(owner, case))["escalation_level"] == 0
    assert (await owner.ok("GET", "/v1/activities", params={"kind": "task"}))["data"] == []


# -- what it adds up to --------------------------------------------------------------------------------------


@pytest.fixture
async def told(company: Company) -> list[Json]:
    """Answers of every kind: CSAT 5 4 1, NPS 10 9 7 0, CES 7 6 6."""
    owner, cases = company.owner, []
    for kind, scores in (("csat", (5, 4, 1)), ("nps", (10, 9, 7, 0)), ("ces", (7, 6, 6))):
        made = await survey(owner, kind)
        for score in scores:
            case = await resolved(owner, await customer(owner))
            await answer(company.app, await asked(owner, made, case), score)
            cases.append(case)
    return cases


async def test_satisfaction_by_its_formulas(company: Company, told: list[Json]) -> None:
    found = await company.owner.ok("GET", "/v1/surveys/statistics", params={"group_by": "agent"})
    expected = {
        "answers": 10, "alerts": 2, "csat_answers": 3, "csat_percent": "66.67", "nps_answers": 4, "nps": "25",
        "ces_answers": 3, "ces_mean": "6.33",
    }  # fmt: skip
    assert found["total"] == expected
    assert found["data"] == [{"key": str(company.member_id), "label": "Olivia Owner"} | expected]
    by_month = await company.owner.ok("GET", "/v1/surveys/statistics", params={"kind": "nps"})
    assert [one["nps"] for one in by_month["data"]] == ["25"]
    unhappy = await company.owner.ok("GET", "/v1/survey-answers", params={"alerted": "true", "limit": 1})
    assert (len(unhappy["data"]), unhappy["has_more"]) == (1, True)
    rest = await company.owner.ok(
        "GET", "/v1/survey-answers", params={"alerted": "true", "limit": 1, "cursor": unhappy["next_cursor"]}
    )
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    elsewhere = await company.owner.get("/v1/survey-answers", params={"cursor": unhappy["next_cursor"]})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "invalid_cursor")


async def test_satisfaction_by_product(company: Company) -> None:
    owner = company.owner
    made = await survey(owner)
    for name, scores in (("Pump", (5, 1)), ("Valve", (5,))):
        thing = await make(owner, "products", name=name, code=name)
        for score in scores:
            case = await resolved(owner, await customer(owner), product_id=thing["id"])
            await answer(company.app, await asked(owner, made, case), score)
    found = await owner.ok("GET", "/v1/surveys/statistics", params={"group_by": "product"})
    assert {one["label"]: (one["csat_answers"], one["csat_percent"]) for one in found["data"]} == {
        "Pump": (2, "50"),
        "Valve": (1, "100"),
    }


async def test_who_sees_no_cases_learns_nothing_of_their_answers(
    company: Company, told: list[Json], hire: Any
) -> None:
    seller = await hire("salesperson")
    assert len(told) == 10
    assert (await seller.ok("GET", "/v1/survey-answers"))["data"] == []
    assert (await seller.ok("GET", "/v1/surveys/statistics"))["total"]["answers"] == 0
    assert (await seller.get(f"/v1/cases/{told[0]['id']}/surveys")).status_code == 404


@given(st.lists(st.integers(0, 10), min_size=1, max_size=50))
def test_nps_is_what_counting_by_hand_gives(scores: list[int]) -> None:
    sums = Sums()
    for score in scores:
        sums = sums.plus(Sums(answers=1, nps=1, promoters=int(score >= 9), detractors=int(score <= 6)))
    by_hand = 100 * (sum(s >= 9 for s in scores) - sum(s <= 6 for s in scores)) / len(scores)
    assert abs(float(sums.wire()["nps"]) - by_hand) <= 0.005 + 1e-9


async def test_statistics_and_lists_take_as_many_statements_for_ten_answers_as_for_one(
    company: Company,
) -> None:
    owner, spent = company.owner, []
    made = await survey(owner)
    for more in (1, 4):
        for _ in range(more):
            case = await resolved(owner, await customer(owner))
            await answer(company.app, await asked(owner, made, case), 4)
        async with acting(company) as uow:
            await SurveyStatistics(uow).satisfaction(SatisfactionQuestion(group_by="agent"))
            await SurveyStatistics(uow).answers(AnswerFilter(), limit=50, cursor=None)
            spent.append(uow.statements)
    assert spent == [3, 3]
