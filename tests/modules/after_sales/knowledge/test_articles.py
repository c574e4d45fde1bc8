"""Articles: from draft to readers, in versions that never change, and who may do what."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.modules.after_sales.knowledge.articles import draft, published, step
from tests.modules.support import acting, make
from tests.support.api import Client, Company


async def test_an_article_goes_from_draft_through_review_to_its_readers(owner: Client) -> None:
    made = await draft(owner, audience="public")
    assert (made["status"], made["language"], made["published_version"]) == ("draft", "en", None)
    assert (await step(owner, made, "submit"))["status"] == "in_review"
    returned = await step(owner, made, "return", note="Say for which app.")
    assert (returned["status"], returned["review_note"]) == ("draft", "Say for which app.")
    await step(owner, made, "submit")
    shown = await step(owner, made, "publish")
    assert (shown["status"], shown["published_version"], shown["review_note"]) == ("published", 1, None)
    assert (await step(owner, made, "archive"))["published_version"] is None
    assert (await step(owner, made, "restore"))["status"] == "draft"


async def test_readers_see_the_version_before_until_the_next_is_published(owner: Client) -> None:
    made = await published(owner)
    locked = await owner.patch(f"/v1/articles/{made['id']}", {"body": "New"}, if_match=made["version"])
    assert (locked.status_code, locked.json()["code"]) == (409, "article_locked")
    revised = await step(owner, made, "revise")
    assert (revised["status"], revised["published_version"]) == ("draft", 1)
    await owner.ok(
        "PATCH", f"/v1/articles/{made['id']}", json={"title": "Reset it"}, if_match=revised["version"]
    )
    hits = (await owner.ok("GET", "/v1/knowledge/search", params={"q": "password"}))["data"]
    assert [hit["article"]["title"] for hit in hits] == ["Reset your password"]
    await step(owner, made, "submit")
    assert (await step(owner, made, "publish"))["published_version"] == 2
    assert (await owner.ok("GET", "/v1/knowledge/search", params={"q": "password"}))["data"] == []
    versions = (await owner.ok("GET", f"/v1/articles/{made['id']}/versions"))["data"]
    assert [(one["number"], one["title"]) for one in versions] == [
        (2, "Reset it"),
        (1, "Reset your password"),
    ]
    first = await owner.ok("GET", f"/v1/articles/{made['id']}/versions/1")
    assert first["body"] == "Open Security and press Reset."
    assert (await owner.get(f"/v1/articles/{made['id']}/versions/3")).status_code == 404


async def test_a_published_version_cannot_be_changed_even_in_the_database(company: Company) -> None:
    made = await published(company.owner)
    for statement in (
        "UPDATE after_sales.article_versions SET body = 'x' WHERE tenant_id = $1",
        "DELETE FROM after_sales.article_versions WHERE tenant_id = $1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with acting(company) as uow:
                await uow.fetch(statement, uow.tenant_id)
    version = await company.owner.ok("GET", f"/v1/articles/{made['id']}/versions/1")
    assert version["body"] == "Open Security and press Reset."


async def test_of_two_hundred_publications_at_once_one_takes_place(company: Company) -> None:
    owner = company.owner
    made = await step(owner, await draft(owner), "submit")
    path = f"/v1/articles/{made['id']}/publish"
    answers = await asyncio.gather(*[owner.post(path, if_match=made["version"]) for _ in range(200)])
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 199
    assert len((await owner.ok("GET", f"/v1/articles/{made['id']}/versions"))["data"]) == 1


async def test_translations_are_linked_and_there_is_one_in_each_language(owner: Client) -> None:
    english = await published(owner, audience="public")
    chinese = await published(
        owner,
        "重置密码",
        language="zh",
        translation_of_id=english["id"],
        audience="public",
        body="点击重置。",
    )
    found = (await owner.ok("GET", f"/v1/articles/{english['id']}/translations"))["data"]
    assert [(one["id"], one["title"]) for one in found] == [(chinese["id"], "重置密码")]
    back = (await owner.ok("GET", f"/v1/articles/{chinese['id']}/translations"))["data"]
    assert [one["id"] for one in back] == [english["id"]]
    again = {"title": "再来", "body": "x", "language": "zh", "translation_of_id": chinese["id"]}
    refused = await owner.post("/v1/articles", again)
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_value")
    assert len((await owner.ok("GET", f"/v1/articles/{english['id']}/translations"))["data"]) == 1
    for wrong in (english, chinese):
        moved = await draft(owner, "Other", language="en")
        answer = await owner.patch(
            f"/v1/articles/{moved['id']}", {"translation_of_id": wrong["id"]}, if_match=moved["version"]
        )
        assert answer.status_code == 409  # there is an English one already


async def test_what_is_published_or_translated_is_not_deleted(owner: Client) -> None:
    made = await published(owner)
    await draft(owner, "重置", language="zh", translation_of_id=made["id"])
    refused = await owner.delete(f"/v1/articles/{made['id']}", if_match=made["version"])
    assert (refused.status_code, refused.json()["code"]) == (409, "article_in_use")
    archived = await step(owner, made, "archive")
    assert (await owner.delete(f"/v1/articles/{made['id']}", if_match=archived["version"])).status_code == 409
    alone = await draft(owner, "Alone")
    assert (await owner.delete(f"/v1/articles/{alone['id']}", if_match=1)).status_code == 204


async def test_references_must_be_there(owner: Client) -> None:
    nothing = "01990000-0000-7000-8000-000000000000"
    for name in ("category_id", "product_id", "translation_of_id"):
        answer = await owner.post("/v1/articles", {"title": "A", "body": "B", name: nothing})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"
    category = await make(owner, "article-categories", name_en="Accounts", name_zh="账户")
    made = await draft(owner, category_id=category["id"])
    used = await owner.delete(f"/v1/article-categories/{category['id']}", if_match=1)
    assert (used.status_code, used.json()["code"], used.json()["articles"]) == (
        409,
        "article_category_in_use",
        1,
    )
    await owner.ok("DELETE", f"/v1/articles/{made['id']}", if_match=1)
    await owner.ok("DELETE", f"/v1/article-categories/{category['id']}", if_match=1)


async def test_salespeople_write_but_do_not_publish(company: Company, hire: Any) -> None:
    writer = await hire("salesperson")
    made = await draft(writer)
    sent = await step(writer, made, "submit")
    for action, body in (("publish", None), ("return", {"note": "x"}), ("archive", None)):
        refused = await writer.post(f"/v1/articles/{made['id']}/{action}", body, if_match=sent["version"])
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await company.owner.ok("GET", f"/v1/articles/{made['id']}"))["status"] == "in_review"
    viewer = await hire("viewer")
    assert (await viewer.post("/v1/articles", {"title": "A", "body": "B"})).status_code == 403
    assert (await viewer.put("/v1/knowledge/settings", {"auto_answer": True}, if_match=0)).status_code == 403
    assert not (await company.owner.ok("GET", "/v1/knowledge/settings"))["auto_answer"]


async def test_a_wider_audience_of_what_is_published_is_for_those_who_publish(
    company: Company, hire: Any
) -> None:
    writer = await hire("salesperson")
    made = await draft(writer)
    await step(writer, made, "submit")
    shown = await step(company.owner, made, "publish")
    refused = await writer.patch(
        f"/v1/articles/{made['id']}", {"audience": "public"}, if_match=shown["version"]
    )
    assert refused.status_code == 403
    now = await company.owner.ok("GET", f"/v1/articles/{made['id']}")
    assert (now["audience"], now["version"]) == ("internal", shown["version"])


async def test_feedback_counts_once_per_person(company: Company, hire: Any) -> None:
    made = await published(company.owner)
    path = f"/v1/articles/{made['id']}/feedback"
    colleague = await hire("viewer")
    await asyncio.gather(*[company.owner.put(path, {"helpful": False}) for _ in range(50)])
    await company.owner.ok("PUT", path, json={"helpful": True})
    await colleague.ok("PUT", path, json={"helpful": False, "comment": "Too short."})
    page = await company.owner.ok("GET", path, params={"limit": 1})
    assert (page["helpful"], page["unhelpful"], page["has_more"]) == (1, 1, True)
    assert page["data"][0]["comment"] == "Too short."
    rest = await company.owner.ok("GET", path, params={"limit": 1, "cursor": page["next_cursor"]})
    assert [one["helpful"] for one in rest["data"]] == [True]
    unseen = await draft(company.owner, "Unseen")
    assert (
        await company.owner.put(f"/v1/articles/{unseen['id']}/feedback", {"helpful": True})
    ).status_code == 409


async def test_settings_are_off_until_somebody_sets_them(owner: Client) -> None:
    found = await owner.ok("GET", "/v1/knowledge/settings")
    assert found == {"version": 0, "auto_answer": False, "auto_answer_confidence": "0.8"}
    body = {"auto_answer": True, "auto_answer_confidence": "0.9"}
    assert (await owner.ok("PUT", "/v1/knowledge/settings", json=body, if_match=0))["version"] == 1
    assert (await owner.put("/v1/knowledge/settings", body, if_match=0)).status_code == 412
    low = await owner.put("/v1/knowledge/settings", body | {"auto_answer_confidence": "0.4"}, if_match=1)
    assert low.status_code == 422
