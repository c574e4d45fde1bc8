"""Countries as people write them, kept as ISO 3166-1 alpha-2 codes."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.kernel.tokens import fold

# Written down, since reading them from CLDR takes 8 MB of a process that meets codes alone; a test compares the two.
_CODES: Final = """
AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CP CQ CR CU CV CW CX CY CZ DE DG DJ DK DM DO DZ
EA EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY
HK HM HN HR HT HU IC ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA
LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TF TG TH TJ TK TL TM TN TO
TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES: Final = frozenset(_CODES.split())
"""Two-letter territories of CLDR without its own inventions (EU, UN, pseudo-locales): ISO 3166-1 plus Kosovo."""

_ALSO: Final = {
    "usa": "US", "u.s.": "US", "u.s.a.": "US", "america": "US", "united states of america": "US", "uk": "GB",
    "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "中国大陆": "CN", "中华人民共和国": "CN",
    "prc": "CN", "hong kong": "HK", "香港": "HK", "macau": "MO", "macao": "MO", "澳门": "MO", "台湾": "TW",
    "korea": "KR", "south korea": "KR", "russia": "RU", "uae": "AE", "holland": "NL", "czech republic": "CZ",
}  # fmt: skip


@cache
def _known() -> dict[str, str]:
    """Folded code or name in English and Chinese → code. The names are those of Unicode's CLDR."""
    from babel import Locale

    found: dict[str, str] = {}
    for language in ("en", "zh"):
        for code, name in Locale(language).territories.items():
            if code in COUNTRIES:
                found[fold(name)] = code
                found[code.lower()] = code
    return found | _ALSO


def country_code(text: str) -> str | None:
    """The code of a country given by code or by its English or Chinese name; None if it is no country."""
    if text in COUNTRIES:
        return text
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
