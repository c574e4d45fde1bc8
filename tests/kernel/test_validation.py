"""From what was found wrong with a body to a problem document that names each place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from app.kernel.errors import Invalid, InvalidJson, NotFound
from app.kernel.schemas import Input, SearchRequest, patch_of
from app.kernel.validation import parse_body, pointer_of, validation_problem
from tests.support.toy import ToyCreate


class Note(Input):
    body: str
    path: str | None = None
    lines: list[str] = Field(default_factory=list)


NOTE: TypeAdapter[Note] = TypeAdapter(Note)


def places(body: bytes, adapter: TypeAdapter[Any] = NOTE) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refusal:
        parse_body(adapter, body)
    return [(error.pointer, error.code) for error in refusal.value.errors]


def test_every_wrong_place_is_named_by_a_json_pointer():
    found = places(b'{"path": 1, "lines": ["a", 2], "a/b~c": 1}')
    assert found == [
        ("/body", "required"),
        ("/path", "string_type"),
        ("/lines/1", "string_type"),
        ("/a~1b~0c", "unknown_field"),
    ]


def test_fields_named_like_parts_of_a_request_keep_their_names():
    assert places(b'{"body": 1, "path": 2}') == [("/body", "string_type"), ("/path", "string_type")]
    assert places(b'{"query": 1}', TypeAdapter(SearchRequest)) == [("/query", "string_type")]


def test_what_fastapi_finds_is_named_by_its_part_of_the_request():
    found = [
        {"type": "missing", "loc": ("body", "items", 0, "name"), "msg": "Field required"},
        {"type": "int_parsing", "loc": ("query", "limit"), "msg": "no number"},
        {"type": "missing", "loc": ("header", "if-match"), "msg": "Field required"},
    ]
    problem = validation_problem(found)
    assert [error.pointer for error in problem.errors] == ["/items/0/name", "limit", "if-match"]


def test_a_bad_id_in_the_path_is_as_absent_as_an_unknown_one():
    assert isinstance(
        validation_problem([{"type": "uuid_parsing", "loc": ("path", "id"), "msg": "x"}]), NotFound
    )


def test_pointers_are_escaped_as_rfc_6901_says():
    assert pointer_of(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_body_or_a_problem(body):
    try:
        parse_body(NOTE, body)
    except (InvalidJson, Invalid) as refusal:
        assert refusal.status in (400, 422)  # noqa: PT017 - either is right


@pytest.mark.parametrize("years", ["0001-01-01", "0999-12-31", "9999-01-01"])
def test_dates_at_the_edge_of_the_calendar_are_refused(years):
    assert places(f'{{"name": "a", "sold_on": "{years}"}}'.encode(), TypeAdapter(ToyCreate)) == [
        ("/sold_on", "out_of_range")
    ]


def test_a_patch_has_every_field_of_the_create_schema_and_requires_none():
    update = patch_of(ToyCreate)
    assert set(update.model_fields) == set(ToyCreate.model_fields)
    assert update().model_fields_set == set()
    assert [name for name, info in update.model_fields.items() if info.is_required()] == []
