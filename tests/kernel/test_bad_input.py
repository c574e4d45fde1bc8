"""Bad input of every kind: a clear problem document, never a 5xx, and nothing written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.kernel.conftest import make_toy, refusal

JSON = {"Content-Type": "application/json"}
LONG = "x" * 2_000_000
DEEP = "[" * 5_000 + "]" * 5_000


def toy(**fields: Any) -> dict[str, Any]:
    return {"name": "Ball"} | fields


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "invalid_json"),
    "cut off": (b'{"name": "Ball"', 400, "invalid_json"),
    "trailing comma": (b'{"name": "Ball",}', 400, "invalid_json"),
    "single quotes": (b"{'name': 'Ball'}", 400, "invalid_json"),
    "not a number": (b'{"name": "Ball", "pieces": NaN}', 422, "invalid"),
    "two documents": (b'{"name": "Ball"} {"name": "Cube"}', 400, "invalid_json"),
    "invalid UTF-8": (b'{"name": "\xff\xfe"}', 400, "invalid_json"),
    "UTF-16": ('{"name": "Ball"}'.encode("utf-16"), 400, "invalid_json"),
    "lone surrogate": (b'{"name": "a\\ud800b"}', 400, "invalid_json"),
    "raw NUL": (b'{"name": "a\x00b"}', 400, "invalid_json"),
    "NUL": (b'{"name": "a\\u0000b"}', 422, "invalid"),
    "NUL in a key": (b'{"name": "a", "cust\\u0000om": 1}', 422, "invalid"),
    "NUL deep inside": (b'{"name": "a", "custom": {"x": ["\\u0000"]}}', 422, "invalid"),
    "NUL in a cut off body": (b'{"name": "a\\u0000b"', 400, "invalid_json"),
    "deep nesting": (b'{"name": "a", "custom": {"x": ' + DEEP.encode() + b"}}", 400, "invalid_json"),
    "nested 150 deep": (b'{"name": "a", "custom": {"x": ' + b"[" * 150 + b"]" * 150 + b"}}", 422, "invalid"),
    "no object": (b"[]", 422, "invalid"),
    "null": (b"null", 422, "invalid"),
    "a string": (b'"Ball"', 422, "invalid"),
    "infinite": (b'{"name": "a", "pieces": 1e400}', 422, "invalid"),
    "infinite custom value": (b'{"name": "a", "custom": {"x": 1e400}}', 422, "invalid"),
    "huge number": (b'{"name": "a", "pieces": 9223372036854775808}', 422, "invalid"),
    "number of 5000 digits": (b'{"name": "a", "pieces": ' + b"9" * 5_000 + b"}", 400, "invalid_json"),
    "a fraction for a whole number": (b'{"name": "a", "pieces": 1.5}', 422, "invalid"),
    "text for a boolean": (b'{"name": "a", "fragile": "perhaps"}', 422, "invalid"),
    "text of 60,000 characters": (b'{"name": "' + b"x" * 60_000 + b'"}', 422, "invalid"),
    "year 0": (b'{"name": "a", "sold_on": "0000-01-01"}', 422, "invalid"),
    "year 9999": (b'{"name": "a", "sold_on": "9999-12-31"}', 422, "invalid"),
    "year 10000": (b'{"name": "a", "sold_on": "10000-01-01"}', 422, "invalid"),
    "moment before the calendar": (b'{"name": "a", "seen_at": "0001-01-01T00:00:00+14:00"}', 422, "invalid"),
    "moment after the calendar": (b'{"name": "a", "seen_at": "9999-12-31T23:59:59-14:00"}', 422, "invalid"),
    "30 February": (b'{"name": "a", "sold_on": "2026-02-30"}', 422, "invalid"),
    "money as a float": (b'{"name": "a", "price": {"amount": 1.1, "currency": "EUR"}}', 422, "invalid"),
    "money beyond 64 bits": (
        b'{"name": "a", "price": {"amount": "99999999999999999999", "currency": "EUR"}}', 422, "invalid",
    ),
    "too many decimals": (b'{"name": "a", "price": {"amount": "1.001", "currency": "EUR"}}', 422, "invalid"),
    "unknown currency": (b'{"name": "a", "price": {"amount": "1", "currency": "ZZZ"}}', 422, "invalid"),
    "unknown custom field": (b'{"name": "a", "custom": {"nothing": 1}}', 422, "invalid"),
    "51 tags": (b'{"name": "a", "tags": [' + b",".join(b'"%d"' % n for n in range(51)) + b"]}", 422, "invalid"),
    "blank name": (b'{"name": "   "}', 422, "invalid"),
    "wrong id": (b'{"name": "a", "owner_id": "1"}', 422, "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_refused_with_a_reason(owner, name):
    body, status, code = BAD_BODIES[name]
    if code == "invalid":
        code = (await owner.post("/v1/toys", {})).json()["code"]
    answer = await owner.post("/v1/toys", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 422:
        assert answer.json()["errors"][0]["detail"]


async def test_bad_bodies_write_nothing(owner, unchanged):
    async with unchanged():
        for body, _, _ in BAD_BODIES.values():
            await owner.post("/v1/toys", content=body, headers=JSON | {"Idempotency-Key": "k"})
            await owner.post("/v1/toys/search", content=body, headers=JSON)
            await owner.post(
                "/v1/teams", content=body, headers=JSON
            )  # served by FastAPI, not by our own route
            await owner.post(
                "/v1/toys/batch/create", content=b'{"items": [{"record": ' + body + b"}]}", headers=JSON
            )


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_every_kind_of_route_answers_a_bad_body_with_a_problem(owner, name):
    body, status, _ = BAD_BODIES[name]
    for path in ("/v1/toys/search", "/v1/teams", "/v1/toys/batch/create", "/v1/toys/transfer"):
        answer = await owner.post(path, content=body, headers=JSON)
        assert 400 <= answer.status_code < 500, path
        assert answer.headers["content-type"] == "application/problem+json", path
        if status == 400 and body:
            assert refusal(answer) == (400, "invalid_json"), path


@pytest.mark.parametrize("path", ["/v1/toys", "/v1/toys/search", "/v1/teams"])
async def test_a_body_over_the_limit_is_too_large_however_it_arrives(owner, unchanged, path):
    async def chunks() -> Any:
        yield b'{"name": "'
        for _ in range(20):
            yield b"x" * 100_000
            await asyncio.sleep(0)
        yield b'"}'

    async with unchanged():
        for options in ({"json": toy(name=LONG)}, {"content": chunks(), "headers": JSON}):
            answer = await owner.request("POST", path, **options)
            assert refusal(answer) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "json"],
)
async def test_another_content_type_is_refused(owner, unchanged, kind):
    async with unchanged():
        for path in ("/v1/toys", "/v1/teams", "/v1/toys/search", "/v1/toys/batch/create"):
            answer = await owner.post(path, content=b'{"name": "Ball"}', headers={"Content-Type": kind})
            assert refusal(answer) == (415, "unsupported_media_type"), path


async def test_json_may_come_with_a_charset_as_a_merge_patch_or_without_a_type(owner):
    made = await make_toy(owner)
    for number, kind in enumerate(("application/json; charset=utf-8", "application/merge-patch+json", "")):
        headers = {"Content-Type": kind, "If-Match": f'"{number + 1}"'}
        answer = await owner.request(
            "PATCH", f"/v1/toys/{made['id']}", content=b'{"pieces": %d}' % number, headers=headers
        )
        assert (answer.status_code, answer.json()["pieces"]) == (200, number)
    team = await owner.request("POST", "/v1/teams", content=b'{"name": "T"}', headers={"Content-Type": ""})
    assert team.status_code == 201


BAD_QUERIES = [
    "nothing=1", "name[like]=x", "name[eq]=a&name[eq]=b", "limit=10&limit=20", "limit=0", "limit=-1", "limit=1.5",
    "limit=99999999999999999999", "limit=%C2%B2", "sort=nothing", "sort=name,-name", "sort=tags", "sort=",
    "fields=nothing", "fields=",
    "include=all", "cursor=abc", "cursor=", "cursor=%00", "pieces=x", "pieces=9223372036854775808", "pieces[in]=",
    "pieces[between]=1", "sold_on=0000-01-01", "sold_on=9999-12-31", "sold_on=2026-02-30", "sold_on=-99999d",
    "seen_at=2026-01-01T00:00:00", "seen_at=0001-01-01T00:00:00%2B14:00", "colour=green", "fragile=maybe",
    "name=%00", "q=%00",
    "q=" + "x" * 300, "name=" + "x" * 2_000, "tags=x", "custom.nothing=1", "custom=1", "price[gt]=1e400", "price=NaN",
    "owner_id=1", "created_at[gt]=soon", "sold_on[gt]=now", "name[=x", "name]=x", "=x", "NAME=x", "tenant_id=x",
    "deleted_at[is_null]=false",
    "tokens=x", "sold_on[gt]=-9999y", "sold_on[gt]=%2B9999y", "%FF=1", "name%00=1", "pieces=%D9%A1%20",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda query: query[:40])
async def test_a_query_that_means_nothing_is_refused_and_never_ignored(owner, query):
    answer = await owner.get(f"/v1/toys?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid_filter", "invalid_cursor")


@pytest.mark.parametrize(
    "path", ["/v1/toys/{id}", "/v1/toys/{id}/shares", "/v1/teams", "/v1/me", "/v1/toys/{id}/history"]
)
async def test_an_unknown_or_repeated_parameter_is_refused_everywhere(owner, path):
    made = await make_toy(owner)
    path = path.replace("{id}", made["id"])
    assert refusal(await owner.get(f"{path}?nothing=1")) == (400, "unknown_parameter")
    if path.endswith("history"):
        assert refusal(await owner.get(f"{path}?limit=1&limit=2")) == (400, "bad_request")


async def test_a_number_that_a_parameter_cannot_hold_is_refused(owner):
    made = await make_toy(owner)
    for limit in ("0", "x", "²", "9" * 30):
        answer = await owner.get(f"/v1/toys/{made['id']}/history", params={"limit": limit})
        assert answer.status_code in (400, 422), limit


BAD_SEARCHES: list[Any] = [
    {"filter": {"or": []}}, {"filter": {"or": [{"and": []}]}}, {"filter": {"and": []}}, {"filter": []},
    {"filter": {"or": [{"and": [{"field": "name", "op": "eq", "value": "x"}]}] * 6}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "eq", "value": "x"}] * 11}]}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "like", "value": "x"}]}]}},
    {"filter": {"or": [{"and": [{"field": "nothing", "op": "eq", "value": "x"}]}]}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "eq"}]}]}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "eq", "value": {"a": 1}}]}]}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "in", "value": "x"}]}]}},
    {"filter": {"or": [{"and": [{"field": "pieces", "op": "gt", "value": 10**40}]}]}},
    {"filter": {"or": [{"and": [{"field": "price", "op": "gt", "value": 10**40}]}]}},
    {"filter": {"or": [{"and": [{"field": "name", "op": "is_null", "value": []}]}]}},
    {"sort": ["a", "b", "c", "d"]}, {"sort": "name"}, {"sort": ["--name"]}, {"limit": 0}, {"limit": "x"},
    {"fields": ["x"]},
    {"include": ["all"]}, {"cursor": "x"}, {"query": "x" * 201}, {"query": "!!"}, {"more": 1},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_SEARCHES, ids=lambda body: str(body)[:60])
async def test_a_search_that_means_nothing_is_refused(owner, body):
    answer = await owner.post("/v1/toys/search", body)
    assert answer.status_code in (400, 422)
    if answer.status_code == 422:
        pointer = answer.json()["errors"][0]["pointer"]
        assert pointer.startswith(f"/{next(iter(body))}"), pointer


async def test_a_cursor_of_another_company_list_or_filter_is_refused(owner, rival):
    for client in (owner, rival.owner):
        for number in range(3):
            await make_toy(client, name=f"Ball {number}")
    cursor = (await owner.ok("GET", "/v1/toys?limit=1&sort=name"))["next_cursor"]
    assert (
        await owner.get("/v1/toys", params={"limit": 2, "sort": "name", "cursor": cursor})
    ).status_code == 200
    for client, query in (
        (rival.owner, {"sort": "name"}), (owner, {"sort": "-name"}), (owner, {}), (owner, {"sort": "name", "pieces": "1"}),
        (owner, {"sort": "name", "q": "ball"}),
    ):  # fmt: skip
        answer = await client.get("/v1/toys", params=query | {"cursor": cursor, "limit": 1})
        assert refusal(answer) == (400, "invalid_cursor"), query
    assert (await owner.get("/v1/teams", params={"cursor": cursor})).status_code in (200, 400)


BAD_HEADERS = [
    {"Authorization": "Bearer"}, {"Authorization": "Basic dXNlcjpwYXNz"}, {"Authorization": "Bearer " + "x" * 20_000},
    {"Authorization": b"Bearer \xff\xfe"}, {"Authorization": "Bearer a.b.c"},
    {"Authorization": "Bearer rk_live_nothing"},
    {"Authorization": "Bearer null"}, {"Authorization": ""}, {"Cookie": "__Host-refresh=x"},
]  # fmt: skip


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=lambda headers: str(headers)[:50])
async def test_credentials_that_are_none_are_refused_alike(app, headers):
    from tests.support.api import stranger

    answer = await stranger(app).get("/v1/toys", headers=headers)
    assert refusal(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_odd_headers_do_no_harm(owner):
    made = await make_toy(owner)
    for headers in (
        {"X-Request-Id": "x" * 5_000}, {"X-Request-Id": b"\xff\n"}, {"Accept": "application/xml"},
        {"If-None-Match": b"\xff"},
        {"traceparent": "nonsense"}, {"Content-Length": "²".encode()}, {"Origin": "null"}, {"Range": "bytes=0-1"},
        {"Accept-Language": "\\u0000"}, {"X-HTTP-Method-Override": "DELETE"}, {"Host": "evil.example"},
        {"X-Tenant-Id": "0198c0de-0000-7000-8000-000000000000"},
    ):  # fmt: skip
        answer = await owner.get(f"/v1/toys/{made['id']}", headers=headers)
        assert (answer.status_code, answer.json()) == (200, made), headers
        assert len(answer.headers["x-request-id"]) <= 128


async def test_a_method_that_an_address_does_not_take_names_those_it_takes(owner):
    answer = await owner.request("PUT", "/v1/toys")
    assert refusal(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, OPTIONS, POST"
    assert refusal(await owner.request("TRACE", "/v1/toys")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/nothing", "/v1//toys", "/v1/toys/a/b/c", "/v1/toys/%2e%2e/teams", "/%ff", "/v2/toys"],
)
async def test_an_unknown_address_is_not_found_without_signing_in(app, path):
    from tests.support.api import stranger

    answer = await stranger(app).get(path)
    assert answer.status_code in (200, 401, 404) if path == "/" else answer.status_code in (401, 404)
    assert answer.status_code < 500


async def test_a_problem_document_tells_nothing_about_our_insides(owner):
    for answer in (
        await owner.post("/v1/toys", toy(pieces=2**70)), await owner.get("/v1/toys?sort=nothing"),
        await owner.get("/v1/toys/x"), await owner.post("/v1/toys", content=b"{", headers=JSON),
    ):  # fmt: skip
        body = answer.json()
        assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(body)
        assert body["type"] == f"/problems/{body['code']}"
        assert body["status"] == answer.status_code
        assert body["request_id"] == answer.headers["x-request-id"]
        assert not any(word in answer.text for word in ("Traceback", "asyncpg", "SELECT", "$1", "pydantic"))
