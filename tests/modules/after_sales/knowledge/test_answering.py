"""An article answers a case: only where allowed and sure, never as a person, always with a way to one."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.kernel.access import system_actor
from app.modules.after_sales.services.knowledge.answering import ArticleAnswers
from tests.modules.after_sales.cases.cases import again, case_of, stepped
from tests.modules.after_sales.knowledge.articles import published
from tests.modules.after_sales.surveys.asked import customer, relayed
from tests.modules.support import acting, actor_of
from tests.support.api import Client, Company

Json = dict[str, Any]


async def allow(owner: Client, confidence: str = "0.8") -> None:
    body = {"auto_answer": True, "auto_answer_confidence": confidence}
    await owner.ok("PUT", "/v1/knowledge/settings", json=body, if_match=0)


async def comments(owner: Client, case: Json) -> list[Json]:
    found: list[Json] = (await owner.ok("GET", f"/v1/cases/{case['id']}/comments"))["data"]
    return found


async def test_nothing_is_answered_unless_the_company_allows_it(company: Company) -> None:
    await published(company.owner, audience="public")
    case = await case_of(company.owner, subject="Reset your password", channel="web")
    await relayed(company)
    assert await comments(company.owner, case) == []
    assert (await company.owner.get(f"/v1/cases/{case['id']}/article-answer")).status_code == 404


@pytest.mark.parametrize(
    ("title", "body", "subject", "person", "language"),
    [
        ("Reset your password", "Press Reset.", "Password reset", "simply reply", "en"),
        ("重置密码", "点击重置。", "重置密码", "请直接回复", "zh"),
    ],
)
async def test_a_sure_article_answers_in_public_and_offers_a_person(
    company: Company, title: str, body: str, subject: str, person: str, language: str
) -> None:
    owner = company.owner
    await allow(owner)
    made = await published(owner, title, body=body, audience="public", language=language)
    case = await case_of(owner, subject=subject, channel="web")
    await relayed(company)
    await relayed(company)
    (comment,) = await comments(owner, case)
    assert (comment["public"], comment["author"], comment["member_id"]) == (True, "member", None)
    assert title in comment["body"]
    assert body in comment["body"]
    assert f"/kb/{made['public_key']}" in comment["body"]
    assert person in comment["body"].rpartition("\n\n")[2]
    answer = await owner.ok("GET", f"/v1/cases/{case['id']}/article-answer")
    assert (answer["article_id"], answer["version_number"], answer["confidence"]) == (made["id"], 1, "1")
    assert (answer["comment_id"], answer["handed_over_at"]) == (comment["id"], None)


async def test_it_is_no_response_of_a_person_and_stops_no_clock(company: Company) -> None:
    owner = company.owner
    await allow(owner)
    await owner.ok(
        "POST",
        "/v1/sla-policies",
        json={"name": "All", "first_response_minutes": 60, "resolution_minutes": 600},
    )
    await published(owner, audience="customers")
    case = await case_of(owner, subject="Reset your password", channel="email")
    await relayed(company)
    assert len(await comments(owner, case)) == 1
    now = await again(owner, case)
    assert (now["status"], now["first_response_at"]) == ("new", None)
    assert (now["due_target"], now["due_at"], now["version"]) == (
        "first_response", case["due_at"], case["version"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "phone"},
        {"channel": "device"},
        {"channel": "web", "subject": "The router smokes after I tried to reset it with a wet password"},
    ],
)
async def test_who_calls_and_what_is_not_sure_waits_for_a_person(company: Company, fields: Json) -> None:
    await allow(company.owner)
    await published(company.owner, audience="public")
    case = await case_of(company.owner, **{"subject": "Reset your password"} | fields)
    await relayed(company)
    assert await comments(company.owner, case) == []


async def test_internal_articles_answer_nobody_and_nobody_is_answered_twice(company: Company) -> None:
    owner = company.owner
    await allow(owner)
    await published(owner)
    case = await case_of(owner, subject="Reset your password", channel="web")
    await relayed(company)
    assert await comments(owner, case) == []
    await published(owner, "Reset the password", audience="customers")
    actor = system_actor((await actor_of(company)).tenant)

    async def consider() -> bool:
        async with acting(company, actor) as uow:
            return await ArticleAnswers(uow).consider(UUID(case["id"]))

    done = await asyncio.gather(*[consider() for _ in range(40)])
    assert sorted(done) == [False] * 39 + [True]
    assert len(await comments(owner, case)) == 1


async def test_a_case_that_somebody_answered_is_left_alone(company: Company) -> None:
    owner = company.owner
    await allow(owner)
    await published(owner, audience="public")
    case = await case_of(owner, subject="Reset your password", channel="web")
    await stepped(owner, case, "start")
    await relayed(company)
    assert await comments(owner, case) == []


async def test_a_reply_hands_the_case_to_a_person_once(company: Company, hire: Any) -> None:
    owner = company.owner
    await allow(owner)
    await published(owner, audience="public")
    agent = await hire("salesperson")
    contact = await customer(owner)
    case = await case_of(
        owner, subject="Reset your password", channel="web", contact_id=contact["id"],
        owner_id=agent.facts["member_id"],
    )  # fmt: skip
    await relayed(company)
    body = {"body": "That did not help.", "author": "customer"}
    for _ in range(2):
        await owner.ok("POST", f"/v1/cases/{case['id']}/comments", json=body)
    answer = await owner.ok("GET", f"/v1/cases/{case['id']}/article-answer")
    assert answer["handed_over_at"] is not None
    told = (await agent.ok("GET", "/v1/notifications"))["data"]
    assert [one["kind"] for one in told if one["kind"] == "case.handed_to_person"] == [
        "case.handed_to_person"
    ]
    assert (await again(owner, case))["first_response_at"] is None
