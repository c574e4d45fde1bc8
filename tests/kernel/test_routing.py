"""Matching, and what every answer carries."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from app.kernel.errors import StaleVersion, VersionRequired
from app.kernel.routing import PathIndex, Router, parse_if_match
from tests.kernel.conftest import refusal


async def endpoint() -> None:
    """Nothing."""


def index(*paths: str) -> PathIndex:
    return PathIndex([APIRoute(path, endpoint, methods=["GET"]) for path in paths])


def found(paths: PathIndex, path: str) -> tuple[str, list[str]] | None:
    match = paths.find(path)
    return None if match is None else (match[0]["GET"][0].path, match[1])


def test_a_literal_segment_goes_before_a_parameter_and_falls_back_to_it():
    paths = index("/v1/a/{id}", "/v1/a/mine", "/v1/a/{id}/x", "/v1/a/mine/y", "/v1/{kind}/{id}/z")
    assert found(paths, "/v1/a/mine") == ("/v1/a/mine", [])
    assert found(paths, "/v1/a/7") == ("/v1/a/{id}", ["7"])
    assert found(paths, "/v1/a/mine/y") == ("/v1/a/mine/y", [])
    assert found(paths, "/v1/a/mine/x") == ("/v1/a/{id}/x", ["mine"])
    assert found(paths, "/v1/a/7/z") == ("/v1/{kind}/{id}/z", ["a", "7"])
    for nowhere in ("/v1", "/v1/a", "/v1/a/7/8", "/v1/a//x", "/v2/a/7", "/"):
        assert found(paths, nowhere) is None, nowhere


def test_a_percent_sign_is_not_decoded_twice():
    assert found(index("/v1/a/{id}"), "/v1/a/%41") == ("/v1/a/{id}", ["%41"])


@pytest.mark.parametrize(
    ("header", "version"), [('"7"', 7), ("7", 7), ('W/"7"', 7), (' "12" ', 12), ('"0"', 0)]
)
def test_a_version_is_read_from_if_match(header, version):
    assert parse_if_match(header) == version


@pytest.mark.parametrize(
    "header", ["", '""', '"seven"', '"-1"', '"7.0"', '"²"', '"٧"', '"1", "2"', '"' + "9" * 19 + '"']
)
def test_what_is_no_version_of_ours_is_stale(header):
    with pytest.raises(StaleVersion):
        parse_if_match(header)


def test_no_version_at_all_is_required():
    with pytest.raises(VersionRequired):
        parse_if_match(None)


def test_an_operation_that_does_not_say_who_may_call_it_does_not_start():
    with pytest.raises(TypeError):
        Router().add_api_route("/v1/open", endpoint, methods=["GET"])


async def test_every_answer_names_its_request(owner):
    given = await owner.get("/v1/toys", headers={"X-Request-Id": "my-request-1"})
    assert given.headers["x-request-id"] == "my-request-1"
    problem = await owner.get("/v1/toys?nothing=1", headers={"X-Request-Id": "my-request-2"})
    assert (problem.headers["x-request-id"], problem.json()["request_id"]) == ("my-request-2", "my-request-2")
    assert problem.json()["instance"] == "/v1/toys"
    first, second = await owner.get("/v1/toys"), await owner.get("/v1/nothing")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_the_request_id_is_in_the_audit_log(owner):
    made = await owner.post("/v1/toys", {"name": "Ball"}, headers={"X-Request-Id": "my-request-3"})
    history = await owner.ok("GET", f"/v1/toys/{made.json()['id']}/history")
    assert history["data"][0]["request_id"] == "my-request-3"


async def test_a_preflight_from_an_unknown_page_is_refused(owner):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = await owner.request("OPTIONS", "/v1/toys", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    plain = await owner.get("/v1/toys", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in plain.headers
    assert plain.headers["vary"] == "Origin"


async def test_a_failure_of_ours_is_a_problem_without_details(app, owner):
    route = app.index.find("/v1/toys")[0]["GET"][0]

    async def broken(request):
        raise ZeroDivisionError("the secret reason")

    route.respond = broken
    try:
        answer = await owner.get("/v1/toys")
    finally:
        del route.respond
    assert refusal(answer) == (500, "internal_error")
    assert "secret reason" not in answer.text
    assert "ZeroDivision" not in answer.text
