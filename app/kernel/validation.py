"""From pydantic's findings to our problem document, and what no column can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from app.kernel.errors import FieldError, Invalid, InvalidJson, NotFound, Problem

T = TypeVar("T")

MAX_SHOWN = 100


def validation_problem(found: Sequence[Mapping[str, Any]], prefix: str = "") -> Problem:
    """One problem for all of pydantic's errors: a bad path is 404, a bad query 422 naming the parameter."""
    if any(error["loc"] and error["loc"][0] == "path" for error in found):
        return NotFound()
    errors = [_field_error(error, prefix) for error in found[:MAX_SHOWN]]
    shown = "; ".join(f"{error.pointer or '/'}: {error.detail}" for error in errors[:3])
    return Invalid(shown or None, errors=errors)


def parse_body(adapter: TypeAdapter[T], body: bytes) -> T:
    """A validated body from JSON bytes. Raises `InvalidJson`, `Invalid` with a pointer per finding."""
    if b"\\u0000" in body:
        reject_unstorable(body, orjson.loads(body))
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise InvalidJson(found[0]["msg"]) from None
        raise validation_problem(found) from None


def _field_error(error: Mapping[str, Any], prefix: str) -> FieldError:
    location: Sequence[Any] = error["loc"]
    where = location[0] if location and location[0] in ("body", "query", "header", "cookie") else None
    parts = location[1:] if where else location
    pointer = ".".join(map(str, parts)) if where in ("query", "header", "cookie") else pointer_of(parts)
    code = "required" if error["type"] == "missing" else str(error["type"])
    if code == "extra_forbidden":
        code = "unknown_field"
    detail = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(prefix + pointer, code, detail)


def pointer_of(parts: Iterable[Any]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def reject_unstorable(body: bytes, parsed: Any) -> None:
    """Refuse NUL characters, which no PostgreSQL text can hold. Raises `Invalid` with their places."""
    if b"\\u0000" not in body and b"\0" not in body:
        return
    errors = [
        FieldError(pointer, "nul_character", "Text may not contain the NUL character.")
        for pointer in _nul_places(parsed, "")
    ]
    if errors:
        raise Invalid("Text may not contain the NUL character.", errors=errors[:MAX_SHOWN])


def _nul_places(value: Any, pointer: str) -> Iterable[str]:
    if isinstance(value, str):
        if "\0" in value:
            yield pointer
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\0" in name:
                yield pointer
            yield from _nul_places(item, f"{pointer}{pointer_of([name])}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nul_places(item, f"{pointer}/{index}")
