"""Countries as people write them, kept as ISO 3166-1 alpha-2 codes."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final

from babel import Locale
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.kernel.tokens import fold

_ALSO: Final = {
    "usa": "US", "u.s.": "US", "u.s.a.": "US", "america": "US", "united states of america": "US", "uk": "GB",
    "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "中国大陆": "CN", "中华人民共和国": "CN",
    "prc": "CN", "hong kong": "HK", "香港": "HK", "macau": "MO", "macao": "MO", "澳门": "MO", "台湾": "TW",
    "korea": "KR", "south korea": "KR", "russia": "RU", "uae": "AE", "holland": "NL", "czech republic": "CZ",
}  # fmt: skip


@cache
def _known() -> dict[str, str]:
    """Folded code or name in English and Chinese → code. The names are those of Unicode's CLDR."""
    found: dict[str, str] = {}
    for language in ("en", "zh"):
        for code, name in Locale(language).territories.items():
            if len(code) == 2 and code.isalpha() and code not in ("EU", "UN", "EZ", "ZZ", "XA", "XB", "QO"):
                found[fold(name)] = code
                found[code.lower()] = code
    return found | _ALSO


def country_code(text: str) -> str | None:
    """The code of a country given by code or by its English or Chinese name; None if it is no country."""
    return _known().get(fold(text).strip())


def _country_field(text: str) -> str:
    code = country_code(text)
    if code is None:
        raise PydanticCustomError("unknown_country", "Not a country: give its ISO 3166 code or its name")
    return code


Country = Annotated[
    str,
    Field(max_length=100, json_schema_extra={"examples": ["CN"]}),
    AfterValidator(_country_field),
]
"""A country by code or name; stored as its code."""
