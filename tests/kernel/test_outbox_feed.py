"""The event feed misses nothing, shows nobody too much, and every event fits its published schema."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import jsonschema_rs

from app.kernel.access import system_actor
from app.kernel.event_feed import event_schemas
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.registry import Module, Registry
from app.kernel.uow import transaction
from tests.kernel.conftest import make_toy, refusal
from tests.support import toy as toys
from tests.support.api import Client
from tests.support.waiting import PATIENCE


async def read(client: Client, **parameters: Any) -> tuple[list[dict[str, Any]], str]:
    """The whole feed from a cursor on."""
    events: list[dict[str, Any]] = []
    more = True
    while more:
        page = await client.ok("GET", "/v1/events", params=parameters)
        events += page["data"]
        parameters["cursor"], more = page["next_cursor"], page["has_more"]
    return events, parameters["cursor"]


async def settle(client, count, **parameters):
    """The feed once `count` events are under the horizon that other tests' transactions hold back."""
    async with asyncio.timeout(PATIENCE):
        while len(found := (await read(client, **parameters))[0]) < count:  # noqa: ASYNC110 - the database tells
            await asyncio.sleep(0.02)
    return found


async def test_what_happened_is_read_in_order_as_cloud_events(owner, company):
    toy = await make_toy(owner)
    await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json={"pieces": 2}, if_match=1)
    created, updated = await settle(owner, 2, type="toys.*")
    assert (created["type"], updated["type"]) == ("toys.toy.created.v1", "toys.toy.updated.v1")
    assert created["subject"] == f"toy/{toy['id']}"
    assert created["source"] == f"/v1/tenants/{company.tenant_id}"
    assert (updated["data"]["changed"], updated["data"]["version"]) == (["pieces"], 2)
    assert updated["data"]["record"]["pieces"] == 2
    schema = await owner.ok("GET", created["dataschema"])
    jsonschema_rs.Draft202012Validator(schema).validate(created["data"])


async def test_filters_narrow_the_feed(owner):
    one, two = await make_toy(owner), await make_toy(owner)
    await settle(owner, 2, type="toys.toy.created.v1")
    assert [e["data"]["id"] for e in (await read(owner, record_id=one["id"]))[0]] == [one["id"]]
    assert len((await read(owner, object="toy"))[0]) == 2
    assert (await read(owner, type="toys.toy.deleted.v1"))[0] == []
    assert (await read(owner, type="toy%"))[0] == []
    assert two["id"] != one["id"]


async def test_the_cursor_goes_on_from_the_end_and_belongs_to_its_filters(owner):
    await make_toy(owner)
    await settle(owner, 1, type="toys.*")
    _, cursor = await read(owner, type="toys.*", limit=1)
    assert (await read(owner, type="toys.*", cursor=cursor))[0] == []
    second = await make_toy(owner)
    [event] = await settle(owner, 1, type="toys.*", cursor=cursor)
    assert event["data"]["id"] == second["id"]
    answer = await owner.get("/v1/events", params={"type": "leads.*", "cursor": cursor})
    assert refusal(answer) == (400, "invalid_cursor")


async def test_a_late_commit_is_never_skipped(app, company, owner):
    """Writers commit in another order than they began; a reader polls all the while."""
    from app.kernel.events import RecordEvent

    assert app.kernel is not None
    kernel = app.kernel
    actor = system_actor(await kernel.authenticator.tenant_profile(company.tenant_id))
    created: type[RecordEvent] = toys.TOY.created
    written: set[str] = set()
    seen: list[str] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(8):
            async with transaction(kernel, actor) as uow:
                id = new_id()
                uow.publish(created(id=id, version=1))
                await uow.flush()
                await asyncio.sleep(0.001 * ((number * 7 + turn * 3) % 11))
            written.add(str(id))

    async def poll() -> None:
        cursor: dict[str, Any] = {}
        while not (done.is_set() and len(seen) >= len(written)):
            events, after = await read(owner, type="toys.*", **cursor)
            seen.extend(event["data"]["id"] for event in events)
            cursor = {"cursor": after}

    reader = asyncio.create_task(poll())
    await asyncio.gather(*(write(number) for number in range(6)))
    done.set()
    async with asyncio.timeout(PATIENCE):
        await reader
    assert len(seen) == 48
    assert set(seen) == written


async def test_a_reader_with_less_than_all_records_gets_no_events_about_them(owner, hire):
    await make_toy(owner, email="secret@example.com")
    await settle(owner, 1, type="toys.*")
    mate = await hire({"event:read": "all", "toy:read": "own"})
    assert (await read(mate, type="toys.*"))[0] == []


async def test_hidden_fields_stay_hidden_in_events(owner, hire):
    mate = await hire({"event:read": "all", "toy:read": "all"}, field_rules={"toy": {"hidden": ["email"]}})
    toy = await make_toy(owner, email="secret@example.com")
    await owner.ok("PATCH", f"/v1/toys/{toy['id']}", json={"email": None, "pieces": 1}, if_match=1)
    events = await settle(mate, 2, type="toys.*")
    assert events[1]["data"]["changed"] == ["pieces"]
    assert all("email" not in event["data"]["record"] for event in events)


async def test_the_feed_needs_its_permission_and_shows_no_other_company(owner, rival, hire):
    toy = await make_toy(owner)
    await settle(owner, 1, type="toys.*")
    assert refusal(await (await hire("manager")).get("/v1/events")) == (403, "forbidden")
    assert (await read(rival.owner, record_id=toy["id"]))[0] == []


async def test_every_event_type_has_a_schema_that_can_be_asked_for(owner):
    listed = await owner.ok("GET", "/v1/event-types")
    types = {entry["type"] for entry in listed}
    assert {"toys.toy.created.v1", "kernel.webhook.disabled.v1", "kernel.webhook.pinged.v1"} <= types
    for entry in listed:
        jsonschema_rs.meta.validate(entry["json_schema"])
        assert entry["description"], entry["type"]
    assert refusal(await owner.get("/v1/event-types/toys.toy.sold.v1")) == (404, "not_found")


def test_schemas_of_a_registry_name_its_records_fields():
    schemas = event_schemas(Registry([Module(name="toys", records=[toys.TOY])]))
    record = schemas["toys.toy.updated.v1"]["properties"]["record"]["anyOf"][0]
    assert {"name", "price", "email", "version"} <= set(record["properties"])
    assert issubclass(toys.TOY.updated, Event)


async def test_dead_letters_are_listed_and_handed_out_again(owner, company, look, hire):
    toy = await make_toy(owner)
    await look.run(
        "UPDATE kernel.outbox SET dead_at = now(), attempts = 10, last_error = 'leads.score: KeyError'"
        " WHERE record_id = $1",
        uuid.UUID(toy["id"]),
    )
    page = await owner.ok("GET", "/v1/events/dead-letters")
    [letter] = page["data"]
    assert (letter["type"], letter["record_id"], letter["attempts"]) == ("toys.toy.created.v1", toy["id"], 10)
    url = f"/v1/events/dead-letters/{letter['id']}/retry"
    assert refusal(await (await hire("manager")).post(url)) == (403, "forbidden")
    again = await owner.ok("POST", url)
    assert (again["attempts"], again["dead_at"]) == (0, None)
    assert (await owner.ok("GET", "/v1/events/dead-letters"))["data"] == []
    assert refusal(await owner.post(url)) == (404, "not_found")
    assert len(await look.audit(company.tenant_id, "retried")) == 1


async def test_another_company_cannot_retry_a_dead_letter(owner, rival, look):
    toy = await make_toy(owner)
    id = await look.value("SELECT id FROM kernel.outbox WHERE record_id = $1", uuid.UUID(toy["id"]))
    await look.run("UPDATE kernel.outbox SET dead_at = now() WHERE id = $1", id)
    assert refusal(await rival.owner.post(f"/v1/events/dead-letters/{id}/retry")) == (404, "not_found")
    assert await look.value("SELECT dead_at IS NOT NULL FROM kernel.outbox WHERE id = $1", id)
