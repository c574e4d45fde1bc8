"""The same POST sent twice takes effect once and answers the same."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.kernel.idempotency import Claim
from tests.kernel.conftest import make_toy, refusal


async def count(look, company) -> int:
    return int(await look.value("SELECT count(*) FROM toys.toys WHERE tenant_id = $1", company.tenant_id))


async def test_a_repeated_request_is_answered_from_memory_byte_by_byte(owner, company, look):
    first = await owner.post("/v1/toys", {"name": "Ball"}, key="k1")
    again = await owner.post("/v1/toys", {"name": "Ball"}, key='"k1"')
    assert again.status_code == first.status_code == 201
    assert again.content == first.content
    for header in ("location", "etag", "content-type"):
        assert again.headers[header] == first.headers[header]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await count(look, company) == 1


async def test_a_hundred_at_once_with_one_key_take_effect_once(owner, company, look):
    answers = await asyncio.gather(
        *[owner.post("/v1/toys", {"name": "Ball"}, key="same") for _ in range(100)]
    )
    made = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(made) + len(waiting) == 100
    assert made
    assert len({answer.content for answer in made}) == 1
    assert {answer.json()["code"] for answer in waiting} <= {"request_in_flight"}
    assert all(answer.headers["retry-after"] == "1" for answer in waiting)
    assert await count(look, company) == 1
    created = await look.value(
        "SELECT count(*) FROM kernel.outbox WHERE tenant_id = $1 AND type = 'toys.toy.created.v1'",
        company.tenant_id,
    )
    assert created == 1


async def test_a_key_with_another_body_or_query_is_refused(owner, unchanged):
    await owner.ok("POST", "/v1/toys", json={"name": "Ball"}, key="k1")
    async with unchanged():
        answer = await owner.post("/v1/toys", {"name": "Cube"}, key="k1")
    assert refusal(answer) == (422, "idempotency_key_reused")


async def test_a_key_is_of_one_principal_and_one_address(owner, rival, hire, company, look):
    other = await hire({"toy:create": "all", "toy:read": "all"})
    made = [
        await client.ok("POST", "/v1/toys", json={"name": "Ball"}, key="k1")
        for client in (owner, other, rival.owner)
    ]
    assert len({toy["id"] for toy in made}) == 3
    batch = await owner.post("/v1/toys/batch/create", {"items": [{"record": {"name": "Ball"}}]}, key="k1")
    assert (batch.status_code, batch.headers.get("idempotent-replayed")) == (207, None)


async def test_a_refusal_is_not_remembered(owner, company, look):
    await make_toy(owner, external_id="T-1")
    body = {"name": "Ball", "external_id": "T-1"}
    assert (await owner.post("/v1/toys", body, key="k1")).status_code == 409
    assert (await owner.post("/v1/toys", {"nme": 1}, key="k1")).status_code == 422
    toy = (await owner.ok("GET", "/v1/toys?external_id=T-1"))["data"][0]
    await owner.ok("DELETE", f"/v1/toys/{toy['id']}", if_match=1)
    assert (await owner.post("/v1/toys", body, key="k1")).status_code == 201


async def test_the_key_commits_with_the_effect_or_not_at_all(owner, company, look):
    await make_toy(owner, external_id="T-1")
    body = {
        "items": [{"record": {"name": "A"}}, {"record": {"name": "B", "external_id": "T-1"}}],
        "all_or_none": True,
    }
    assert (await owner.post("/v1/toys/batch/create", body, key="k1")).status_code == 422
    kept = await look.value(
        "SELECT count(*) FROM kernel.idempotency_keys WHERE tenant_id = $1", company.tenant_id
    )
    assert kept == 0


async def test_a_key_is_forgotten_after_a_day(owner, company, look):
    first = await owner.ok("POST", "/v1/toys", json={"name": "Ball"}, key="k1")
    await look.run(
        "UPDATE kernel.idempotency_keys SET created_at = created_at - interval '25 hours' WHERE tenant_id = $1",
        company.tenant_id,
    )
    second = await owner.ok("POST", "/v1/toys", json={"name": "Cube"}, key="k1")
    assert second["id"] != first["id"]


@pytest.mark.parametrize("key", ["", '""', " ", "k" * 256])
async def test_a_key_has_1_to_255_characters(owner, unchanged, key):
    async with unchanged():
        answer = await owner.post("/v1/toys", {"name": "Ball"}, headers={"Idempotency-Key": key})
    assert refusal(answer) == (400, "bad_request")


async def test_a_key_of_255_characters_and_of_any_text_works(owner):
    for key in ("k" * 255, "ключ-é".encode(), 'it\'s $1; \\x27 "no" %s', "a/b_c.d:e-f", "a\\"):
        first = await owner.post("/v1/toys", {"name": "Ball"}, headers={"Idempotency-Key": key})
        again = await owner.post("/v1/toys", {"name": "Ball"}, headers={"Idempotency-Key": key})
        assert (first.status_code, again.content) == (201, first.content)


@pytest.mark.parametrize("key", ["new", "it's new"])
async def test_looking_for_a_key_costs_the_same_however_many_there_are(owner, company, look, key):
    await owner.ok("POST", "/v1/toys", json={"name": "Ball"}, key="first")
    principal = await look.value(
        "SELECT principal_id FROM kernel.idempotency_keys WHERE tenant_id = $1", company.tenant_id
    )
    await look.connection.execute(
        "INSERT INTO kernel.idempotency_keys SELECT $1::uuid, $2::uuid, 'POST', '/v1/toys', 'many' || n, '', 201,"
        " '{}', '', now() FROM generate_series(1, 5000) n",
        company.tenant_id,
        principal,
    )
    identity = {"principal_id": principal, "method": "POST", "path": "/v1/toys", "key": key}
    guard = Claim(identity, lock=7).guard
    async with look.connection.transaction():
        await look.connection.execute(f"SET LOCAL app.tenant_id = '{company.tenant_id}'")
        await look.connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await look.connection.execute(guard)
        plan = await look.value(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {guard}")
    assert json.loads(plan)[0]["Plan"]["Shared Hit Blocks"] < 20
