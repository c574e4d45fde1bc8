"""Where leads come from, and how well each source sells: the differences a report should bring out."""

import random
from dataclasses import dataclass
from datetime import datetime

from app.demo.chance import weighted
from app.demo.records import Language

SITE = "https://www.farsail.example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A lead source. Shares are of answered leads and leave the rest qualified or still being worked."""

    code: str
    channel: str
    weight_zh: float
    weight_en: float
    response_hours: float
    converts: float
    disqualified: float
    nurtured: float
    win_rate: float


SOURCES = (
    Source(
        code="web",
        channel="website",
        weight_zh=18,
        weight_en=34,
        response_hours=3,
        converts=0.13,
        disqualified=0.40,
        nurtured=0.20,
        win_rate=0.42,
    ),
    Source(
        code="referral",
        channel="word_of_mouth",
        weight_zh=10,
        weight_en=12,
        response_hours=6,
        converts=0.37,
        disqualified=0.14,
        nurtured=0.15,
        win_rate=0.61,
    ),
    Source(
        code="event",
        channel="offline",
        weight_zh=17,
        weight_en=15,
        response_hours=20,
        converts=0.19,
        disqualified=0.28,
        nurtured=0.28,
        win_rate=0.47,
    ),
    Source(
        code="cold_call",
        channel="phone",
        weight_zh=14,
        weight_en=8,
        response_hours=1,
        converts=0.06,
        disqualified=0.58,
        nurtured=0.16,
        win_rate=0.31,
    ),
    Source(
        code="partner",
        channel="partner",
        weight_zh=8,
        weight_en=11,
        response_hours=10,
        converts=0.27,
        disqualified=0.20,
        nurtured=0.18,
        win_rate=0.52,
    ),
    Source(
        code="advertising",
        channel="paid",
        weight_zh=13,
        weight_en=13,
        response_hours=4,
        converts=0.09,
        disqualified=0.50,
        nurtured=0.22,
        win_rate=0.36,
    ),
    Source(
        code="wechat",
        channel="social",
        weight_zh=20,
        weight_en=0,
        response_hours=2,
        converts=0.16,
        disqualified=0.33,
        nurtured=0.25,
        win_rate=0.44,
    ),
    Source(
        code="email",
        channel="email",
        weight_zh=0,
        weight_en=7,
        response_hours=8,
        converts=0.12,
        disqualified=0.33,
        nurtured=0.32,
        win_rate=0.40,
    ),
)
BY_CODE = {source.code: source for source in SOURCES}
_WEIGHTS: dict[Language, dict[Source, float]] = {
    "zh": {source: source.weight_zh for source in SOURCES},
    "en": {source: source.weight_en for source in SOURCES},
}
_CAMPAIGNS: dict[str, dict[Language, tuple[str, ...]]] = {
    "event": {"zh": ("华东工业展", "广州采购节"), "en": ("Harbour Sourcing Fair", "Midland Parts Expo")},
    "advertising": {
        "zh": ("搜索推广-轴承", "搜索推广-传感器"),
        "en": ("Search: sensors", "Search: bearings"),
    },
    "wechat": {"zh": ("公众号选型手册", "视频号工厂直播")},
    "partner": {"zh": ("渠道伙伴计划",), "en": ("Reseller programme",)},
    "email": {"en": ("Product newsletter", "Win-back")},
}
_TERMS: dict[Language, tuple[str, ...]] = {
    "zh": ("温度传感器 批发", "工业轴承 厂家", "防静电包装 定制"),
    "en": ("temperature sensor supplier", "industrial bearings bulk", "anti-static packaging"),
}
_PAGES = ("/products/sensors", "/products/bearings", "/contact", "/guides/selection", "/pricing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """How the touch was tagged; all None for sources that leave no trace on the web."""

    campaign: str | None = None
    medium: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    referrer: str | None = None
    landing_page: str | None = None


def draw_source(rng: random.Random, language: Language) -> Source:
    """A source, as frequent as it is in that market."""
    return weighted(rng, _WEIGHTS[language])


def attribution(rng: random.Random, source: Source, language: Language, moment: datetime) -> Attribution:
    """The campaign and UTM fields a touch of this source carries at that moment."""
    season = f"{moment.year} Q{(moment.month - 1) // 3 + 1}"
    titles = _CAMPAIGNS.get(source.code, {}).get(language)
    campaign = f"{season} {rng.choice(titles)}" if titles else None
    slug = campaign.lower().replace(":", "").replace(" ", "-") if campaign else None
    engine = "baidu" if language == "zh" else "google"
    page = SITE + rng.choice(_PAGES)
    if source.code == "web":
        return Attribution(
            medium="organic",
            utm_source=engine,
            utm_medium="organic",
            referrer=f"https://{engine}.example.com/",
            landing_page=page,
        )
    if source.code == "advertising":
        return Attribution(
            campaign=campaign,
            medium="cpc",
            utm_source=engine,
            utm_medium="cpc",
            utm_campaign=slug,
            utm_term=rng.choice(_TERMS[language]),
            utm_content=rng.choice(("text-a", "text-b", "banner-1")),
            referrer=f"https://ads.{engine}.example.com/",
            landing_page=page,
        )
    if source.code in ("wechat", "email"):
        return Attribution(
            campaign=campaign,
            medium=source.channel,
            utm_source=source.code if source.code == "wechat" else "newsletter",
            utm_medium=source.channel,
            utm_campaign=slug,
            landing_page=page,
        )
    return Attribution(campaign=campaign)
