"""schemathesis makes up requests for every operation, fitting its schema and breaking it; each answer must be
declared, fit its own schema (the client checks that), and never be a 5xx.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from app.kernel.config import Settings
from app.kernel.routing import OPERATOR
from app.main import create_app
from app.tenants.operators.keys import create_key
from tests.contracts.world import World, world_of
from tests.support import toy
from tests.support.api import Client, document_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode

schemathesis.serializer.alias(["message/rfc822", "text/vcard"], "text/plain")

LEFT_OUT = {
    "delete_current_session": "it ends the session that asks",
    "stream_events": "it answers for as long as one listens",
}
"""Operations that are not fuzzed, each with its reason."""
EXAMPLES = 6
DOCUMENT = document_of(
    create_app(Settings(environment="test", database_url="unused"), (toy.MODULE,)), (toy.MODULE,)
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in ("get", "put", "post", "patch", "delete") and operation["operationId"] not in LEFT_OUT
}


def cases(label: str, mode: GenerationMode) -> list[Any]:
    """A few requests for one operation, the same each time."""
    method, path = label.split(" ")
    found: list[Any] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(SCHEMA[path][method].as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        found.append(case)

    with contextlib.suppress(Unsatisfiable):  # an operation without any input has nothing to break
        collect()
    return found


@pytest.fixture(scope="module")
async def lemur(app: Any, look: Any) -> World:
    """A company that nobody minds being fuzzed."""
    return await world_of(app, look, "lemur")


@pytest.fixture(scope="module")
async def vole(app: Any, look: Any) -> tuple[World, Client]:
    """A company that nobody minds being fuzzed by an operator, and suspended, and the operator."""
    world = await world_of(app, look, "vole")
    made = await create_key(app.kernel, "Vera Vole")
    return world, Client(world.owner.http, token=made.key)


@pytest.fixture
def fuzzed(label: str, request: pytest.FixtureRequest) -> tuple[World, Client]:
    """Whose things an operation is tried on, and a caller whom it lets in."""
    world: World = request.getfixturevalue("lemur")
    if world.by_id[OPERATIONS[label]["operationId"]].access != OPERATOR:
        return world, world.owner
    found: tuple[World, Client] = request.getfixturevalue("vole")
    return found


async def send(world: World, client: Client, case: Any, number: int) -> httpx.Response | None:
    """Send a case; every other one is about the company's own things instead of made-up ones."""
    operation = world.by_id[case.operation.definition.raw["operationId"]]
    path = case.operation.path
    for name in operation.names:
        made_up = quote(str((case.path_parameters or {}).get(name, "")), safe="")
        path = path.replace(
            f"{{{name}}}", world.name_in_path(operation, name) if number % 2 else made_up or "x"
        )
    options: dict[str, Any] = {"headers": headers_of(case), "params": case.query or None}
    if isinstance(case.body, bytes):
        options["content"] = case.body
    elif type(case.body).__name__ != "NotSet":
        try:
            options["content"] = orjson.dumps(case.body, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            return None  # lone surrogates and huge numbers: tests/kernel/test_bad_input.py sends those
        options["headers"].setdefault("content-type", case.media_type or "application/json")
    return await client.request(operation.method, path, **options)


def headers_of(case: Any) -> dict[str, str]:
    given_headers = {name.lower(): str(value) for name, value in (case.headers or {}).items()}
    given_headers.pop("authorization", None)
    return {n: v for n, v in given_headers.items() if v.isascii() and v.isprintable() and v == v.strip()}


@pytest.mark.slow
@pytest.mark.parametrize("label", OPERATIONS)
async def test_no_request_makes_an_operation_fail_or_break_its_contract(fuzzed, label):
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        for number, case in enumerate(cases(label, mode)):
            answer = await send(*fuzzed, case, number)
            assert answer is None or answer.status_code < 500, (case.body, answer.text)


@pytest.mark.slow
@pytest.mark.parametrize("label", OPERATIONS)
async def test_an_unknown_parameter_is_refused_by_every_operation(fuzzed, label):
    world, client = fuzzed
    operation = world.by_id[OPERATIONS[label]["operationId"]]
    request = world.request(operation)
    separator = "&" if "?" in request.path else "?"
    answer = await client.request(operation.method, f"{request.path}{separator}no_such_parameter=1")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("unknown_parameter", "invalid_filter")
