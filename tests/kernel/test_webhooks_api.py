"""Webhook endpoints over HTTP: who may manage them, what is shown, and what is refused."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook

from app.kernel.outbox import Relay
from app.kernel.webhooks import WebhookSender
from tests.kernel.conftest import make_toy, refusal
from tests.support.receiver import receiving

URL = "/v1/webhook-endpoints"
HOOK = "https://hooks.example.com/rapport"


async def create(owner, **body):
    return await owner.ok("POST", URL, json={"url": HOOK} | body)


async def test_a_new_endpoint_shows_its_secret_once(owner):
    answer = await owner.post(
        URL, {"url": HOOK, "event_types": ["leads.*", "leads.*"], "description": "Our ERP"}
    )
    made = answer.json()
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    assert answer.headers["Location"] == f"{URL}/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert (made["event_types"], made["enabled"], made["description"]) == (["leads.*"], True, "Our ERP")
    shown = await owner.ok("GET", f"{URL}/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (await owner.ok("GET", URL))["data"] == [shown]


async def test_an_endpoint_changes_by_version(owner):
    made = await create(owner)
    url = f"{URL}/{made['id']}"
    assert refusal(await owner.patch(url, {"description": "x"})) == (428, "version_required")
    changed = await owner.ok("PATCH", url, json={"event_types": ["*"], "enabled": False}, if_match=1)
    assert (changed["version"], changed["enabled"], changed["disabled_reason"]) == (2, False, "by_member")
    assert refusal(await owner.patch(url, {"description": "x"}, if_match=1)) == (412, "stale_version")
    again = await owner.ok("PATCH", url, json={"enabled": True}, if_match=2)
    assert (again["enabled"], again["disabled_reason"], again["disabled_at"]) == (True, None, None)
    assert (await owner.delete(url, if_match=3)).status_code == 204
    assert refusal(await owner.get(url)) == (404, "not_found")
    assert (await owner.ok("GET", URL))["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://hooks.example.com"},
        {"url": "https://user:pw@hooks.example.com/"},
        {"url": HOOK, "event_types": []},
        {"url": HOOK, "event_types": ["leads.*.v1"]},
        {"url": HOOK, "event_types": ["LEADS"]},
        {"url": HOOK, "secret": "whsec_mine"},
        {},
    ],
)
async def test_a_bad_endpoint_is_refused_and_nothing_is_written(owner, unchanged, body):
    async with unchanged():
        assert (await owner.post(URL, body)).status_code == 422


async def test_only_those_who_may_manage_webhooks_do(owner, hire, rival, unchanged):
    made = await create(owner)
    mate = await hire("manager")
    url = f"{URL}/{made['id']}"
    async with unchanged():
        assert refusal(await mate.get(URL)) == (403, "forbidden")
        assert refusal(await mate.post(URL, {"url": HOOK})) == (403, "forbidden")
        assert refusal(await rival.owner.get(url)) == (404, "not_found")
        assert refusal(await rival.owner.patch(url, {"enabled": False}, if_match=1)) == (404, "not_found")
        assert refusal(await rival.owner.delete(url, if_match=1)) == (404, "not_found")
        for action, body in (
            ("rotate-secret", {}),
            ("ping", None),
            ("replay", {"since": "2026-01-01T00:00:00Z"}),
        ):
            assert refusal(await rival.owner.post(f"{url}/{action}", body)) == (404, "not_found")
        assert refusal(await rival.owner.get(f"{url}/deliveries")) == (404, "not_found")


async def test_from_a_change_to_a_verified_message_and_its_record(app, owner):
    async with receiving() as receiver:
        made = await create(owner, url=receiver.url, event_types=["toys.*"])
        toy = await make_toy(owner)
        while await Relay(app.kernel).run_once():
            pass  # other tests left events that nobody relayed
        while not receiver.received:
            await WebhookSender(app.kernel).run_once()
        [request] = receiver.received
    event = Webhook(made["secret"]).verify(request.body, request.headers)
    assert (event["type"], event["data"]["id"]) == ("toys.toy.created.v1", toy["id"])
    page = await owner.ok("GET", f"{URL}/{made['id']}/deliveries", params={"state": "succeeded"})
    [delivery] = page["data"]
    assert (delivery["event_id"], delivery["attempts"][0]["status"]) == (event["id"], 200)
    assert (await owner.ok("GET", f"{URL}/{made['id']}/deliveries", params={"state": "failed"}))["data"] == []


async def test_deliveries_page_without_gap_or_repetition(app, owner):
    made = await create(owner, event_types=["toys.*"])
    for _ in range(5):
        await make_toy(owner)
    while await Relay(app.kernel).run_once():
        pass
    seen, parameters = [], {"limit": 2}
    while True:
        page = await owner.ok("GET", f"{URL}/{made['id']}/deliveries", params=parameters)
        seen += [delivery["event_id"] for delivery in page["data"]]
        if not page["has_more"]:
            break
        parameters = {"limit": 2, "cursor": page["next_cursor"]}
    assert (len(seen), len(set(seen))) == (5, 5)


async def test_a_replay_takes_either_events_or_a_range(owner, unchanged):
    made = await create(owner)
    url = f"{URL}/{made['id']}/replay"
    async with unchanged():
        for body in (
            {},
            {"event_ids": [], "since": None},
            {"event_ids": [made["id"]], "since": "2026-01-01T00:00:00Z"},
        ):
            assert refusal(await owner.post(url, body)) == (422, "invalid")
    await make_toy(owner)
    assert (await owner.ok("POST", url, json={"since": "2026-01-01T00:00:00Z"}))["queued"] >= 1


async def test_a_repeated_request_makes_one_endpoint(owner):
    one = await owner.ok("POST", URL, json={"url": HOOK}, key="hook-1")
    two = await owner.ok("POST", URL, json={"url": HOOK}, key="hook-1")
    assert one == two
    assert len((await owner.ok("GET", URL))["data"]) == 1
