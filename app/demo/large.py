"""The large demo for benchmarks: 200 tenants and 1,000,000 leads, made fast enough to feed a bulk load.

Rows are drawn from pools prepared once per seed, with one draw of 61 bits per row cut into fields. E-mails
are unique within a tenant. So are Chinese mobiles; the numbers reserved abroad are too few for so many people
and repeat.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypedDict

from app.demo import reserved, texts, words
from app.demo.chance import stream, weighted
from app.demo.companies import CompanyRegister
from app.demo.leads import DISQUALIFIED_REASONS, RATINGS
from app.demo.people import person
from app.demo.records import Language, LeadStatus
from app.demo.sources import draw_source

TENANTS = 200
LEADS = 1_000_000
LARGEST = 200_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SKEW = 0.8
_DAYS = 548
_CHINESE_SHARE = 0.3
_ZH_SINGLE_GIVEN = tuple(pair for pair in words.ZH_GIVEN if len(pair[0]) == 1)
_STATUSES: dict[LeadStatus, float] = {
    "new": 12,
    "working": 20,
    "nurturing": 19,
    "qualified": 9,
    "disqualified": 40,
}


class LargeLead(TypedDict):
    """One row of the large demo; `score` is 0 to 100. None is converted, as there are no accounts."""

    external_id: str
    name: str
    company: str
    title: str
    email: str
    phone: str
    source: str
    channel: str
    status: str
    disqualified_reason: str | None
    rating: str
    industry: str
    country: str
    region: str
    city: str
    description: str
    score: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TenantPlan:
    """One tenant of the large demo and how many leads it gets."""

    index: int
    name: str
    slug: str
    owner_email: str
    locale: Literal["zh-CN", "en-GB"]
    leads: int


def large_plan() -> list[TenantPlan]:
    """200 tenants, biggest first: one has 200,000 leads, the rest share 800,000 as rank to the power -0.8."""
    weights = [rank**-_SKEW for rank in range(1, TENANTS)]
    share = (LEADS - LARGEST) / sum(weights)
    counts = [LARGEST, *(int(weight * share) for weight in weights)]
    counts[1] += LEADS - sum(counts)
    plans = []
    for index, count in enumerate(counts):
        chinese = index % 10 < 3
        slug = f"bench-{index:03d}"
        plans.append(
            TenantPlan(
                index,
                f"测试公司 {index:03d}" if chinese else f"Bench Company {index:03d}",
                slug,
                f"owner@{slug}.example.com",
                "zh-CN" if chinese else "en-GB",
                count,
            )
        )
    return plans


def large_leads(seed: int, tenant_index: int, count: int, *, now: datetime = NOW) -> Iterator[LargeLead]:
    """`count` leads of one tenant, created in the 18 months up to `now`, in no order of time.

    About three in ten are Chinese. The same arguments give the same rows; a shorter run is the head of a
    longer one.
    """
    pools = _pools(seed)
    employers, people, lives = pools.companies, pools.people, pools.lives
    start = now - timedelta(days=_DAYS)
    moments = [start + timedelta(seconds=_DAYS * 86_400 * number // 65_536) for number in range(65_536)]
    bits = stream(seed, f"large:{tenant_index}").getrandbits
    for number in range(count):
        draw = bits(61)
        company = employers[draw & 4095]
        life = lives[draw >> 12 & 2047]
        country = company.country
        name, local = people[country == "CN"][draw >> 48]
        yield {
            "external_id": f"B-{number:07d}",
            "name": name,
            "company": company.name,
            "title": company.title,
            "email": f"{local}.{number}@{company.domain}",
            "phone": f"+86140{number:08d}" if country == "CN" else company.phones[draw >> 23 & 15],
            "source": life.source,
            "channel": life.channel,
            "status": life.status,
            "disqualified_reason": life.disqualified_reason,
            "rating": life.rating,
            "industry": company.industry,
            "country": country,
            "region": company.region,
            "city": company.city,
            "description": company.description,
            "score": life.base_score + (draw >> 27 & 31),
            "created_at": moments[draw >> 32 & 65_535],
        }


@dataclass(frozen=True, slots=True)
class _Company:
    name: str
    domain: str
    title: str
    industry: str
    country: str
    region: str
    city: str
    description: str
    phones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Life:
    source: str
    channel: str
    status: str
    disqualified_reason: str | None
    rating: str
    base_score: int


@dataclass(frozen=True, slots=True)
class _Pools:
    """What rows are drawn from; `people` holds name and mailbox, English at 0 and Chinese at 1."""

    companies: tuple[_Company, ...]
    people: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
    lives: tuple[_Life, ...]


@lru_cache(maxsize=1)
def _pools(seed: int) -> _Pools:
    rng = stream(seed, "large:pools")
    register = CompanyRegister(rng)
    return _Pools(
        tuple(_company(rng, register) for _ in range(4096)),
        (
            tuple(_english_name(rng) for _ in range(8192)),
            tuple(_chinese_name(rng) for _ in range(8192)),
        ),
        tuple(_life(rng) for _ in range(2048)),
    )


def _company(rng: random.Random, register: CompanyRegister) -> _Company:
    language: Language = "zh" if rng.random() < _CHINESE_SHARE else "en"
    side = 0 if language == "zh" else 1
    company = register.found(language)
    place = company.place
    return _Company(
        company.name,
        company.domain,
        words.post(rng, rng.choice(tuple(words.ROLES)), language).title,
        company.industry.code,
        place.country,
        place.region,
        place.city,
        rng.choice(texts.LEAD_DESCRIPTIONS[language]).format(product=rng.choice(words.PRODUCTS)[side]),
        tuple(reserved.phone(rng, place.country, place.city, mobile=number % 2 == 0) for number in range(16)),
    )


def _english_name(rng: random.Random) -> tuple[str, str]:
    """A middle initial makes some thousands of names into tens of thousands."""
    someone = person(rng, "en")
    initial = rng.choice("ABCDEFGHJKLMNPRSTW")
    return f"{someone.given_name} {initial}. {someone.family_name}", someone.local


def _chinese_name(rng: random.Random) -> tuple[str, str]:
    """A given name of two characters, each usual by itself."""
    family, family_latin = rng.choice(words.ZH_SURNAMES)
    (first, first_latin), (second, second_latin) = rng.choices(_ZH_SINGLE_GIVEN, k=2)
    return family + first + second, f"{family_latin}.{first_latin}{second_latin}"


def _life(rng: random.Random) -> _Life:
    source = draw_source(rng, "zh" if rng.random() < _CHINESE_SHARE else "en")
    status = weighted(rng, _STATUSES)
    return _Life(
        source.code,
        source.channel,
        status,
        weighted(rng, DISQUALIFIED_REASONS) if status == "disqualified" else None,
        weighted(rng, RATINGS[status]),
        rng.randrange(70),
    )
