"""What the demo company knows and how its customers found its help: articles in both languages, surveys, answers.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from app.demo.client import Api, ApiFailure

Ids = Mapping[str, str]
Json = dict[str, Any]
_CATEGORIES: Final = (("Devices", "设备"), ("Account", "账户"))
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class DemoArticle:
    """An article in both languages: (title, summary, body) in English and Chinese."""

    key: str
    category: str
    audience: str
    en: tuple[str, str, str]
    zh: tuple[str, str, str]


ARTICLES: Final = (
    DemoArticle(
        "restart-gateway",
        "Devices",
        "public",
        (
            "Restart the edge gateway",
            "When a gateway is offline although it has power.",
            (
                "# Before you start\n\nReadings of up to a day are kept while it restarts.\n\n# Steps\n\n"
                "1. Hold the button for five seconds.\n2. Wait until the light is green.\n3. See that it is online."
            ),
        ),
        (
            "重启边缘网关",
            "网关通电但离线时使用。",
            (
                "# 准备\n\n重启期间可保留最近一天的数据。\n\n# 步骤\n\n"
                "1. 按住按钮五秒。\n2. 等待指示灯变绿。\n3. 检查网关是否在线。"
            ),
        ),
    ),
    DemoArticle(
        "calibrate-sensor",
        "Devices",
        "customers",
        (
            "Calibrate a temperature sensor",
            "Once a year, and after each repair.",
            "- Put the sensor into ice water for ten minutes.\n- Choose Calibrate in the app.\n- Note the deviation.",
        ),
        (
            "校准温度传感器",
            "每年一次，维修后也需校准。",
            "- 将传感器放入冰水中十分钟。\n- 在应用中选择“校准”。\n- 记录偏差值。",
        ),
    ),
    DemoArticle(
        "reset-password",
        "Account",
        "public",
        (
            "Reset your password",
            "For who cannot sign in to the cloud any more.",
            "Choose Forgotten on the sign-in page. The link in the mail works for an hour.",
        ),
        ("重置密码", "无法登录云平台时使用。", "在登录页点击“忘记密码”。邮件中的链接一小时内有效。"),
    ),
    DemoArticle(
        "swap-under-warranty",
        "Devices",
        "internal",
        (
            "Swap a device under warranty",
            "What to check before a device is sent out.",
            "1. Look at the warranty on the case.\n2. Ask for a photograph.\n3. Open a return on the order.",
        ),
        (
            "保修期内换机",
            "寄出设备前的检查项。",
            "1. 查看工单上的保修信息。\n2. 请客户提供照片。\n3. 在订单上登记退货。",
        ),
    ),
)
SURVEYS: Final[tuple[Json, ...]] = (
    {
        "name": "服务满意度",
        "kind": "csat",
        "delay_minutes": 120,
        "care_plan": [{"subject": "回访客户并记录原因", "due_days": 2}],
    },
    {"name": "推荐意愿", "kind": "nps", "is_active": False},
    {"name": "解决难易度", "kind": "ces", "is_active": False},
)
CASES: Final[tuple[tuple[str, str, int, str], ...]] = (
    ("网关离线", "csat", 5, "很快就解决了"),
    ("传感器读数偏高", "csat", 4, ""),
    ("云平台无法登录", "csat", 5, ""),
    ("备件发错型号", "csat", 1, "等了一周才换"),
    ("安装预约改期", "nps", 9, ""),
    ("网关固件升级", "nps", 10, "工程师很专业"),
    ("报警短信延迟", "nps", 6, "夜里收不到报警"),
    ("传感器校准", "ces", 6, ""),
    ("发票抬头更正", "ces", 3, "来回填了三次表"),
)
"""Subject, the kind of survey, the score, and what the customer wrote."""


class CareLoader:
    """One load; `contacts` are ids by external id, `agents` the ids of members who had the cases."""

    def __init__(self, api: Api, contacts: Ids, agents: Sequence[str]) -> None:
        self._api = api
        self._contacts = [contacts[key] for key in sorted(contacts)]
        self._agents = agents

    async def load(self) -> Mapping[str, int]:
        """Make what is missing; how many there are of each kind. Raises: ApiFailure."""
        categories = await self._categories()
        for article in ARTICLES:
            category = categories[article.category]
            original = await self._article(article, "en", article.en, category_id=category)
            await self._article(
                article, "zh", article.zh, category_id=category, translation_of_id=original["id"]
            )
        surveys = await self._surveys()
        if self._contacts and self._agents:
            for number, case in enumerate(CASES):
                await self._answered(number, *case, surveys=surveys)
        return {"articles": 2 * len(ARTICLES), "survey answers": len(CASES)}

    async def _categories(self) -> Ids:
        there = {one["name_en"]: one["id"] for one in (await self._api.get("/v1/article-categories"))["data"]}
        for position, (en, zh) in enumerate(_CATEGORIES):
            if en not in there:
                body = {"name_en": en, "name_zh": zh, "position": position}
                there[en] = (await self._api.post("/v1/article-categories", body))["id"]
        return there

    async def _article(
        self, article: DemoArticle, language: str, text: tuple[str, str, str], **more: Any
    ) -> Json:
        key = f"demo-article-{article.key}-{language}"
        found = (await self._api.get("/v1/articles", external_id=key))["data"]
        title, summary, body = text
        row: Json = (
            found[0]
            if found
            else await self._api.post(
                "/v1/articles",
                {
                    "external_id": key, "title": title, "summary": summary, "body": body, "language": language,
                    "audience": article.audience, **more,
                },
            )
        )  # fmt: skip
        for state, step in (("draft", "submit"), ("in_review", "publish")):
            if row["status"] == state:
                row = await self._act(f"/v1/articles/{row['id']}/{step}", row["version"])
        return row

    async def _surveys(self) -> Mapping[str, str]:
        """Ids by kind."""
        there = {one["name"]: one["id"] for one in (await self._api.get("/v1/surveys"))["data"]}
        for survey in SURVEYS:
            if survey["name"] not in there:
                there[survey["name"]] = (await self._api.post("/v1/surveys", survey))["id"]
        return {survey["kind"]: there[survey["name"]] for survey in SURVEYS}

    async def _answered(
        self, number: int, subject: str, kind: str, score: int, comment: str, *, surveys: Mapping[str, str]
    ) -> None:
        """A case that was resolved, and what its contact said of it."""
        key = f"demo-survey-case-{number}"
        found = (await self._api.get("/v1/cases", external_id=key))["data"]
        body = {
            "external_id": key,
            "subject": subject,
            "channel": "web",
            "contact_id": self._contacts[number % len(self._contacts)],
            "owner_id": self._agents[number % len(self._agents)],
        }
        row = found[0] if found else await self._api.post("/v1/cases", body)
        if row["status"] not in ("resolved", "closed"):
            row = await self._act(f"/v1/cases/{row['id']}/resolve", row["version"], {"resolution": "已处理"})
        try:
            asked = await self._api.post(
                f"/v1/surveys/{surveys[kind]}/invitations", {"case_id": row["id"], "by_mail": False}
            )
        except ApiFailure as failure:
            if failure.code != "survey_already_answered":
                raise
            return
        said = urlencode({"score": score, "comment": comment})
        try:
            await self._api.send("POST", urlsplit(asked["url"]).path, content=said, headers=_FORM)
        except ApiFailure as failure:
            if failure.status != 303:  # the page leads on to itself: that is no refusal
                raise

    async def _act(self, path: str, version: int, body: Json | None = None) -> Json:
        answer = await self._api.send("POST", path, json=body or {}, headers={"If-Match": f'"{version}"'})
        return dict(answer.json())
