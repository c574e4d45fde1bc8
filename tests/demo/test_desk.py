"""The demo company's service desk goes in through the API, and a second load changes nothing."""

from __future__ import annotations

from app.demo.client import Api
from app.demo.desk_loader import DeskLoader
from tests.support.api import Client


async def test_the_desk_is_loaded_once(owner: Client) -> None:
    number = "+86 138 0013 8000"
    contact = await owner.ok("POST", "/v1/contacts", json={"name": "王芳", "mobile": number})
    me = (await owner.ok("GET", "/v1/me"))["member_id"]
    api = Api("http://test", owner.token, http=owner.http)
    for _ in range(2):
        assert await DeskLoader(api, agents=[me], numbers=[number], seed=7).load() == 5
    queues = (await owner.ok("GET", "/v1/queues"))["data"]
    assert [(one["name"]["zh"], one["routing"], one["member_ids"]) for one in queues] == [
        ("一线客服", "push", [me]),
        ("维修", "pull", [me]),
    ]
    assert [one["waiting"] for one in queues] == [0, 6]
    rules = (await owner.ok("GET", "/v1/case-skill-rules"))["data"]
    assert [len(one["skills"]) for one in rules] == [1, 1]
    waiting = (await owner.ok("GET", "/v1/cases?sort=opened_at"))["data"]
    asked = [[one["skill"] for one in case["required_skills"]] for case in waiting]
    assert asked == [["维修"], ["english", "维修"], ["维修"], ["english"], [], ["english"]]
    assert len((await owner.ok("GET", f"/v1/members/{me}"))["skills"]) == 2
    agent = await owner.ok("GET", f"/v1/agents/{me}")
    assert (agent["status"], agent["version"], agent["on_call"]) == ("online", 2, False)
    calls = (await owner.ok("GET", "/v1/calls"))["data"]
    assert len(calls) == 5
    assert all(one["ended_at"] and one["activity_id"] for one in calls)
    assert sum(one["about"] == [{"object": "contact", "record_id": contact["id"]}] for one in calls) == 3
