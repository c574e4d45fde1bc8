"""Time zones as fields: names of the IANA database."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise PydanticCustomError("unknown_time_zone", "Not a time zone of the IANA database")
    return name


TimeZone = Annotated[
    str, Field(max_length=60, json_schema_extra={"examples": ["Asia/Shanghai"]}), AfterValidator(_known_zone)
]
