"""Invented companies: a place, a brand, a trade and a legal form, each combination met once."""

import random
from dataclasses import dataclass

from app.demo import reserved, words
from app.demo.chance import weighted
from app.demo.records import Language
from app.demo.words import Industry

_INDUSTRY_WEIGHTS = {industry: industry.weight for industry in words.INDUSTRIES}
_CHINA_WEIGHTS = {city: place[2] for city, place in words.CHINA.items()}
_ABROAD_WEIGHTS = {city: place[2] for city, place in words.ABROAD.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer is; `country` is ISO 3166-1 alpha-2."""

    country: str
    region: str
    city: str


@dataclass(frozen=True, slots=True)
class Company:
    """A company as the outside sees it; `short` is what people call it, `domain` its reserved host."""

    name: str
    short: str
    brand: str
    language: Language
    industry: Industry
    place: Place
    domain: str


def place(rng: random.Random, language: Language) -> Place:
    """A city of our markets, big ones more often."""
    if language == "zh":
        city = weighted(rng, _CHINA_WEIGHTS)
        return Place("CN", words.CHINA[city][0], city)
    city = weighted(rng, _ABROAD_WEIGHTS)
    country, region, _ = words.ABROAD[city]
    return Place(country, region, city)


def address(rng: random.Random, where: Place) -> str:
    """A street that does not exist, in the order of the country."""
    if where.country == "CN":
        return f"{where.city}市{rng.choice(words.CHINA[where.city][1])}{rng.randrange(1, 999)}号"
    return f"{rng.randrange(1, 999)} {rng.choice(words.STREETS)}"


class CompanyRegister:
    """Founds companies and remembers their names and domains, so that none comes twice."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names: set[str] = set()
        self._domains: set[str] = set()

    def found(self, language: Language, *, brand: str | None = None) -> Company:
        """A new company; `brand` makes it a sister of the companies that carry the same one."""
        while True:
            company = self._chinese(brand) if language == "zh" else self._english(brand)
            if company.name not in self._names:
                self._names.add(company.name)
                return company

    def _chinese(self, brand: str | None) -> Company:
        rng = self._rng
        latin = dict(words.ZH_BRANDS)
        brand = brand or rng.choice(list(latin))
        industry, where = weighted(rng, _INDUSTRY_WEIGHTS), place(rng, "zh")
        short = brand + rng.choice(industry.zh_forms)
        name = f"{where.city}{short}{rng.choice(words.ZH_LEGAL)}"
        return Company(name, short, brand, "zh", industry, where, self._domain(latin[brand], industry.code))

    def _english(self, brand: str | None) -> Company:
        rng = self._rng
        brand = brand or rng.choice(words.EN_BRANDS)
        industry, where = weighted(rng, _INDUSTRY_WEIGHTS), place(rng, "en")
        short = f"{brand} {rng.choice(industry.en_forms)}"
        name = f"{short} {rng.choice(words.EN_LEGAL[where.country])}"
        return Company(name, short, brand, "en", industry, where, self._domain(brand.lower(), industry.code))

    def _domain(self, label: str, trade: str) -> str:
        stem = f"{label}-{trade.split('_')[0]}"
        host, number = reserved.domain(self._rng, stem), 1
        while host in self._domains:
            number += 1
            host = reserved.domain(self._rng, f"{stem}{number}")
        self._domains.add(host)
        return host
