"""Phones, domains and registration numbers that can never reach anybody.

- Domains: subdomains of example.com, example.net and example.org (RFC 2606, RFC 6761).
- United States and Canada: 555-0100 to 555-0199 in any area code (NANPA, fictitious use).
- United Kingdom: Ofcom's numbers for drama: 07700 900xxx, 020 7946 0xxx and their sisters in other cities.
- Australia: ACMA's numbers for creative works: 02, 03, 07 and 08 followed by 5550 xxxx.
- China reserves nothing. Mobile numbers here start with 140 and have 11 digits, while the numbering plan
  gives 140 only to machine SIM cards of 13; land lines carry a subscriber number beginning with 0, which
  the plan leaves to the trunk prefix. Both parse and `phonenumbers` calls both possible; it calls the
  mobiles (and Ofcom's mobile range) not valid, so an importer has to ask `is_possible_number`.
- Unified social credit codes name the administrative division 99xxxx, which GB/T 2260 does not assign; their
  check character (GB 32100-2015) is right. British numbers use the register prefix ZZ, which does not exist;
  American ones the employer prefix 00, which the IRS never issues.
"""

import random

from stdnum.cn import uscc

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ZONES = ("example.com", "example.com", "example.net", "example.org")
_UK_DRAMA = {
    "London": "207946",
    "Manchester": "161496",
    "Leeds": "113496",
    "Birmingham": "121496",
    "Edinburgh": "131496",
    "Bristol": "117496",
}
AREA_CODES = {
    "Seattle": "206",
    "Chicago": "312",
    "Austin": "512",
    "Boston": "617",
    "Denver": "303",
    "Portland": "503",
    "Atlanta": "404",
    "San Diego": "619",
    "Columbus": "614",
    "Toronto": "416",
    "Vancouver": "604",
    "Calgary": "403",
    "Sydney": "2",
    "Melbourne": "3",
    "Brisbane": "7",
    "Perth": "8",
    "上海": "21",
    "苏州": "512",
    "南京": "25",
    "杭州": "571",
    "宁波": "574",
    "合肥": "551",
    "广州": "20",
    "深圳": "755",
    "东莞": "769",
    "佛山": "757",
    "中山": "760",
    "福州": "591",
    "北京": "10",
    "天津": "22",
    "青岛": "532",
    "成都": "28",
    "重庆": "23",
    "武汉": "27",
    "长沙": "731",
    "西安": "29",
}


def phone(rng: random.Random, country: str, city: str, *, mobile: bool) -> str:
    """An E.164 number of that country which nobody can own; `city` picks the area code."""
    if country == "CN":
        if mobile:
            return f"+86140{rng.randrange(10**8):08d}"
        return f"+86{AREA_CODES[city]}0{rng.randrange(10**7):07d}"
    if country == "GB":
        prefix = "7700900" if mobile else f"{_UK_DRAMA[city]}0"
        return f"+44{prefix}{rng.randrange(1000):03d}"
    if country == "AU":
        return f"+61{AREA_CODES[city]}5550{rng.randrange(10000):04d}"
    return f"+1{AREA_CODES[city]}55501{rng.randrange(100):02d}"


def domain(rng: random.Random, label: str) -> str:
    """A host under a reserved zone; `label` is one lower-case DNS label."""
    return f"{label}.{rng.choice(_ZONES)}"


def registration_number(rng: random.Random, country: str) -> str | None:
    """A company number of the right form from a division or prefix that is not assigned."""
    if country == "CN":
        body = f"9199{rng.randrange(10**4):04d}" + "".join(rng.choices(_USCC_ALPHABET, k=9))
        return body + uscc.calc_check_digit(body)
    if country == "GB":
        return f"ZZ{rng.randrange(10**6):06d}"
    return f"00-{rng.randrange(10**7):07d}" if country == "US" else None
