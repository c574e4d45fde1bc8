"""Browsers hear at once what changed among the records that they may read, and miss nothing by reconnecting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
import uvicorn

from app.kernel import stream
from app.main import Application
from tests.kernel.conftest import make_toy, member_id, refusal
from tests.support.api import Client
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
async def address(app: Application) -> AsyncIterator[str]:
    """The application on a real loopback socket: the in-process client cannot read an answer that does not end."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await running


@dataclass
class Browser:
    """What an EventSource has got so far."""

    events: list[dict[str, Any]] = field(default_factory=list)
    last_id: str | None = None
    comments: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self, response: httpx.Response) -> None:
        kind = "message"
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
                self.connected.set()
            elif name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                event = {"event": kind} | orjson.loads(value)
                if event.get("object", "toy") == "toy":  # signing up and hiring are events too
                    self.events.append(event)
            async with self.news:
                self.news.notify_all()
        self.ended.set()

    async def until(self, count: int) -> list[dict[str, Any]]:
        """The events, once there are `count`."""
        async with asyncio.timeout(PATIENCE), self.news:
            await self.news.wait_for(lambda: len(self.events) >= count)
        return self.events


@asynccontextmanager
async def watching(address: str, client: Client, last: str | None = None) -> AsyncIterator[Browser]:
    headers = {"Authorization": f"Bearer {client.token}"} | ({"Last-Event-ID": last} if last else {})
    browser = Browser()
    async with (
        httpx.AsyncClient(timeout=PATIENCE) as http,
        http.stream("GET", f"{address}/v1/stream", headers=headers) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream"), await response.aread()
        reading = asyncio.create_task(browser.read(response))
        async with asyncio.timeout(PATIENCE):
            await browser.connected.wait()
        try:
            yield browser
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def test_a_change_is_heard_with_its_fields_and_not_their_values(address, owner):
    async with watching(address, owner) as browser:
        toy = await make_toy(owner, email="someone@example.com")
        await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json={"pieces": 7, "name": "Kite"}, if_match=1)
        created, updated = await browser.until(2)
    assert (created["event"], created["record_id"], created["version"]) == (
        "toys.toy.created.v1",
        toy["id"],
        1,
    )
    assert (updated["changed"], updated["object"]) == (["name", "pieces"], "toy") or (
        sorted(updated["changed"]) == ["name", "pieces"]
    )
    assert updated["actor_id"] == owner.facts["member_id"]
    assert "Kite" not in str(browser.events)
    assert "someone" not in str(browser.events)


async def test_last_event_id_goes_on_where_the_connection_broke(address, owner):
    async with watching(address, owner) as browser:
        first = await make_toy(owner)
        await browser.until(1)
    missed = [await make_toy(owner) for _ in range(3)]
    async with watching(address, owner, browser.last_id) as again:
        later = await make_toy(owner)
        events = await again.until(4)
    assert [event["record_id"] for event in events] == [toy["id"] for toy in (*missed, later)]
    assert first["id"] not in [event["record_id"] for event in events]


async def test_someone_who_missed_too_much_is_told_to_read_everything(address, owner, monkeypatch):
    monkeypatch.setattr(stream, "BACKLOG", 2)
    for _ in range(4):
        await make_toy(owner)
    async with asyncio.timeout(PATIENCE):  # other tests' transactions hold the horizon back
        while len((await owner.ok("GET", "/v1/events", params={"type": "toys.*"}))["data"]) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with watching(address, owner, "1.00000000-0000-7000-8000-000000000000") as browser:
        events = await browser.until(1)
    assert events[0] == {"event": "reset"}


async def test_one_hears_only_of_records_that_one_may_read(address, owner, hire):
    mate = await hire({"toy:read": "own", "toy:create": "all"})
    stranger_to_toys = await hire({"event:read": "all"})
    async with watching(address, mate) as browser, watching(address, stranger_to_toys) as deaf:
        await make_toy(owner)
        shared = await make_toy(owner)
        await owner.ok("POST", f"/v1/toys/{shared['id']}/shares", json={"member_id": member_id(mate)})
        await owner.ok("PATCH", f"/v1/toys/{shared['id']}", json={"pieces": 1}, if_match=1)
        own = await make_toy(mate)
        events = await browser.until(2)
    assert {event["record_id"] for event in events} == {shared["id"], own["id"]}
    assert deaf.events == []


async def test_names_of_hidden_fields_are_left_out(address, owner, hire):
    mate = await hire({"toy:read": "all"}, field_rules={"toy": {"hidden": ["email"]}})
    toy = await make_toy(owner)
    async with watching(address, mate) as browser:
        await owner.ok(
            "PATCH", f"/v1/toys/{toy['id']}", json={"email": "a@example.com", "pieces": 1}, if_match=1
        )
        events = await browser.until(1)
    assert [event["changed"] for event in events if event["event"] == "toys.toy.updated.v1"] == [["pieces"]]


async def test_another_companys_changes_are_not_heard(address, owner, rival):
    async with watching(address, rival.owner) as browser:
        await make_toy(owner)
        mine = await make_toy(rival.owner)
        events = await browser.until(1)
    assert [event["record_id"] for event in events] == [mine["id"]]


async def test_without_a_token_there_is_no_stream(app, address, owner):
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{address}/v1/stream")
    assert refusal(answer) == (401, "unauthenticated")
    answer = await owner.get("/v1/stream", headers={"Last-Event-ID": "1; DROP"})
    assert refusal(answer) == (400, "invalid_cursor")


async def test_signing_out_ends_the_stream(address, owner, monkeypatch):
    monkeypatch.setattr(
        stream.EventStream.__init__, "__kwdefaults__", {"last": None, "heartbeat_seconds": 0.1}
    )
    async with watching(address, owner) as browser:
        async with asyncio.timeout(PATIENCE), browser.news:
            await browser.news.wait_for(lambda: browser.comments >= 3)
        await owner.ok("DELETE", "/v1/sessions/current")
        async with asyncio.timeout(PATIENCE):
            await browser.ended.wait()
    assert browser.events == []


async def test_when_the_last_browser_leaves_polling_ends(app, address, owner):
    hub = stream.hub_of(app.kernel)
    async with watching(address, owner):
        assert hub._task is not None
    async with asyncio.timeout(PATIENCE):
        while hub._task is not None:  # noqa: ASYNC110 - the server notices by itself
            await asyncio.sleep(0.02)
    assert (hub._readers, hub._positions) == ({}, {})
