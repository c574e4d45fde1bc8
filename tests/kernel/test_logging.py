"""Logs: one JSON line per request, and no secret in any line."""

from __future__ import annotations

import io
import logging as stdlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson
import pytest
import structlog

from app.kernel import logging
from app.kernel.access import Actor, TenantProfile
from app.kernel.config import Settings


class Output:
    """A text stream over bytes, as standard output is."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def write(self, text: str) -> int:
        return self.buffer.write(text.encode())

    def flush(self) -> None:
        pass

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.buffer.getvalue().splitlines()]


@pytest.fixture
def output() -> Iterator[Output]:
    root = stdlib.getLogger()
    handlers, level = root.handlers[:], root.level
    found = Output()
    logging.configure(Settings(environment="test"), stream=found)
    yield found
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    logging._requests = logging._failed = None


class Route:
    path = "/v1/leads/{id}"
    operation_id = "get_lead"


def scope(**changes: Any) -> dict[str, Any]:
    actor = Actor(TenantProfile(UUID(int=1)), "member", UUID(int=2), "Ada")
    return {
        "method": "GET", "path": "/v1/leads/7", "route": Route(), "rapport.actor": actor,
        "rapport.request_id": "r-12345678", "rapport.statements": 2,
    } | changes  # fmt: skip


def test_a_request_is_one_line_that_says_who_and_what(output: Output):
    logging.log_request(scope(), 200, 0.0123)
    line = output.lines[0]
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "request", "level": "info", "request_id": "r-12345678", "method": "GET", "path": "/v1/leads/7",
        "route": "/v1/leads/{id}", "operation": "get_lead", "status": 200, "ms": 12.3, "statements": 2,
        "tenant": str(UUID(int=1)), "principal": str(UUID(int=2)), "principal_kind": "member", "trace_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("refresh_token", "hunter2"),
        ("Authorization", "hunter2"),
        ("note", "key rk_live_hunter2_ab"),
        ("note", "Bearer hunter2.hunter2"),
        ("note", "eyJhunter2abcd.hunter2.hunter2"),
        ("url", "smtp://me:hunter2@host/"),
        ("body", {"deep": [{"api_key": "hunter2"}]}),
    ],
)
def test_secrets_are_redacted_by_name_and_by_shape(output: Output, name: str, value: Any):
    logging.logger().info("tried", **{name: value})
    stdlib.getLogger("library").warning("sent %s", "Bearer hunter2.x")
    assert b"hunter2" not in output.buffer.getvalue()
    assert len(output.lines) == 2


def test_a_key_in_a_path_is_redacted(output: Output):
    logging.log_request(scope(path="/v1/x/rk_live_hunter2_ab"), 404, 0)
    assert output.lines[0]["path"] == "/v1/x/[redacted]"


def test_a_failure_has_its_stack_and_request_id(output: Output):
    error = ValueError("broken")
    logging.log_failure(scope(), error)
    line = output.lines[0]
    assert (line["event"], line["request_id"], line["error"]) == (
        "failure",
        "r-12345678",
        "ValueError: broken",
    )


def test_nothing_is_written_before_it_is_configured(capsys: pytest.CaptureFixture[str]):
    logging.log_request(scope(), 200, 0)
    assert capsys.readouterr().out == ""
