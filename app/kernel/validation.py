"""From pydantic's findings to our problem document, and what no column can hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.kernel.errors import FieldError, Invalid, InvalidJson, NotFound, Problem

T = TypeVar("T")

MAX_SHOWN = 100


def validation_problem(found: Sequence[Mapping[str, Any]]) -> Problem:
    """One problem for all that FastAPI found: a bad path is 404, a bad query 422 naming the parameter."""
    if any(error["loc"] and error["loc"][0] == "path" for error in found):
        return NotFound()
    return _invalid([_parameter_error(error) for error in found[:MAX_SHOWN]])


def _invalid(errors: Sequence[FieldError]) -> Invalid:
    shown = "; ".join(f"{error.pointer or '/'}: {error.detail}" for error in errors[:3])
    return Invalid(shown or None, errors=errors)


def parse_body(adapter: TypeAdapter[T], body: bytes) -> T:
    """A validated body from JSON bytes. Raises `InvalidJson`, `Invalid` with a pointer per finding."""
    try:
        if b"\\u0000" in body:
            reject_unstorable(body, orjson.loads(body))
        return adapter.validate_json(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise InvalidJson(found[0]["msg"]) from None
        raise _invalid([_body_error(finding, finding["loc"]) for finding in found[:MAX_SHOWN]]) from None


def _parameter_error(error: Mapping[str, Any]) -> FieldError:
    """FastAPI's locations begin with the part of the request."""
    location: Sequence[Any] = error["loc"]
    if location and location[0] in ("query", "header", "cookie"):
        return _field_error(error, ".".join(map(str, location[1:])))
    return _body_error(error, location[1:] if location and location[0] == "body" else location)


def _body_error(error: Mapping[str, Any], location: Sequence[Any]) -> FieldError:
    return _field_error(error, pointer_of(location))


def _field_error(error: Mapping[str, Any], pointer: str) -> FieldError:
    code = "required" if error["type"] == "missing" else str(error["type"])
    if code == "extra_forbidden":
        code = "unknown_field"
    detail = str(error["msg"]).removeprefix("Value error, ")
    return FieldError(pointer, code, detail)


def refuse_nulls(changes: Mapping[str, Any], nullable: Collection[str] = ()) -> None:
    """Raises `Invalid` that names every field which a merge patch empties and that may not be empty."""
    nulls = sorted(name for name, value in changes.items() if value is None and name not in nullable)
    if nulls:
        errors = [FieldError(f"/{name}", "required", f"{name} may not be null.") for name in nulls]
        raise Invalid(errors[0].detail, errors=errors)


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


def fields_of(body: BaseModel) -> dict[str, Any]:
    """All fields of a create body, as Python values (money stays `Money`)."""
    return dict(body.__dict__)


def set_fields_of(body: BaseModel) -> dict[str, Any]:
    """Only the fields that a merge patch names."""
    return {name: getattr(body, name) for name in body.model_fields_set}
