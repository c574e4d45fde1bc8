"""The page of an article for everybody: what it shows, to whom, and what cannot be done with it."""

from __future__ import annotations

import asyncio
from typing import Any

from app.kernel.links import new_key
from app.main import Application
from tests.modules.after_sales.knowledge.articles import draft, published, step
from tests.support.api import Client, Company
from tests.tenants.people import stranger_from

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_everybody_reads_a_public_article_in_its_languages(app: Application, owner: Client) -> None:
    made = await published(
        owner, audience="public", summary="In a minute.", body="# Steps\n\n1. Open\n2. Press\n\n- a\n\nDone"
    )
    chinese = await published(
        owner, "重置密码", language="zh", audience="public", translation_of_id=made["id"]
    )
    stranger = stranger_from(app)
    page = await stranger.get(f"/kb/{made['public_key']}")
    assert page.status_code == 200
    assert '<html lang="en">' in page.text
    assert "<h1>Reset your password</h1><p>In a minute.</p><h2>Steps</h2><ol><li>Open</li>" in page.text
    assert "<ul><li>a</li></ul><p>Done</p>" in page.text
    assert f'href="/kb/{chinese["public_key"]}" lang="zh-CN"' in page.text
    other = await stranger.get(f"/kb/{chinese['public_key']}")
    assert '<html lang="zh-CN">' in other.text
    assert "script" not in page.headers["Content-Security-Policy"]


async def test_what_was_written_is_never_html(app: Application, owner: Client) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    made = await published(
        owner, evil, audience="public", summary=evil, body=f"# {evil}\n\n- {evil}\n\n1. {evil}\n\n{evil}"
    )
    page = await stranger_from(app).get(f"/kb/{made['public_key']}")
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 7
    hit = (await owner.ok("GET", "/v1/knowledge/search", params={"q": "alert"}))["data"][0]
    assert "".join(piece["text"] for piece in hit["title"]) == evil


async def test_nobody_reads_what_is_not_public_not_published_or_archived(
    app: Application, owner: Client, rival: Company
) -> None:
    hidden = [
        await published(owner, "Internal"),
        await published(owner, "For customers", audience="customers"),
        await draft(owner, "Draft", audience="public"),
    ]
    gone = await published(owner, "Gone", audience="public")
    await step(owner, gone, "archive")
    revised = await published(owner, "Revised", audience="public")
    await step(owner, revised, "revise")
    version = (await owner.ok("GET", f"/v1/articles/{revised['id']}"))["version"]
    await owner.ok("PATCH", f"/v1/articles/{revised['id']}", json={"title": "Secret plans"}, if_match=version)
    stranger = stranger_from(app)
    keys = [one["public_key"] for one in (*hidden, gone)] + [new_key(rival.tenant_id), "x", "%00", "a" * 500]
    for key in keys:
        page = await stranger.get(f"/kb/{key}")
        assert page.status_code == 404, key
        assert "There is nothing here" in page.text
    assert "Secret plans" not in (await stranger.get(f"/kb/{revised['public_key']}")).text


async def test_a_reader_says_once_whether_it_helped(app: Application, owner: Client) -> None:
    made = await published(owner, audience="public")
    path, stranger = f"/kb/{made['public_key']}", stranger_from(app)

    async def say(browser: str, **fields: Any) -> int:
        body = "&".join(f"{name}={value}" for name, value in fields.items())
        answer = await stranger.post(path, content=body, headers=FORM | {"User-Agent": browser})
        return answer.status_code

    assert await say("Fox", helpful="no", comment="%E5%A4%AA%E7%9F%AD") == 303
    assert await say("Fox", helpful="yes") == 303
    assert await say("Fox", helpful="perhaps") == 303
    answers = await asyncio.gather(*[say("Bear", helpful="yes") for _ in range(30)])
    assert set(answers) == {303}
    found = await owner.ok("GET", f"/v1/articles/{made['id']}/feedback")
    assert (found["helpful"], found["unhelpful"]) == (1, 1)
    assert [one["comment"] for one in found["data"]] == [None, "太短"]
    assert (await stranger.get(path + "?thanks=1")).text.count("Thank you for telling us.") == 1


async def test_readers_who_ask_too_often_wait(app: Application, owner: Client) -> None:
    made = await published(owner, audience="public")
    stranger = stranger_from(app)
    answers = [await stranger.get(f"/kb/{made['public_key']}") for _ in range(130)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
