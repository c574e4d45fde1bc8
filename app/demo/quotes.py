"""Quotes of the demo company in every state that the API alone can bring about, for its first accounts.

Each step looks first at what is there, so that a load that was interrupted goes on. One offer ends today: it expires
by itself when the day is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from app.demo.client import Api, ApiFailure

Ids = Mapping[str, str]
Json = dict[str, Any]
_PROCESS: Final = {
    "name_en": "Discounts above 15 %",
    "name_zh": "折扣超过 15%",
    "object": "quote",
    "requester_may_approve": True,
    "condition": {"or": [{"and": [{"field": "total_discount_percent", "op": "gt", "value": "15"}]}]},
    "steps": [
        {
            "key": "manager",
            "name_en": "Sales manager",
            "name_zh": "销售经理",
            "approvers": [{"kind": "role", "role": "owner"}],
        }
    ],
}
_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("draft",),
    "send": ("draft", "approved"),
    "view": ("sent",),
    "accept": ("sent", "viewed"),
    "decline": ("sent", "viewed"),
    "supersede": ("sent", "viewed"),
}
"""From which states a step of the demo leads on; one that was taken already is left out."""


@dataclass(frozen=True, slots=True)
class DemoQuote:
    """A quote and the steps that it goes through."""

    key: str
    name: str
    lines: tuple[Json, ...]
    steps: tuple[str, ...] = ()
    more: Mapping[str, Any] | None = None


def _line(description: str, quantity: str, price: str, *, cost: str | None = None, **more: Any) -> Json:
    line: Json = {
        "description": description,
        "quantity": quantity,
        "unit_price": _cny(price),
        "tax_rate": "13",
    }
    if cost is not None:
        line["unit_cost"] = _cny(cost)
    return line | more


def _cny(amount: str) -> Json:
    return {"amount": amount, "currency": "CNY"}


_SENSORS: Final = _line("温度传感器 TS-200", "120", "268.00", cost="151.20")
_GATEWAY: Final = _line("边缘网关 EG-10", "6", "4980.00", cost="3100.00")
_INSTALL: Final = _line("现场安装调试", "3", "1800.00", cost="900.00", unit="天", tax_rate="6")
_CLOUD: Final = _line("云平台订阅", "1", "1200.00", cost="180.00", charge="monthly", tax_rate="6")
_CARE: Final = _line("延保服务", "1", "9800.00", cost="2400.00", charge="yearly", tax_rate="6", optional=True)

QUOTES: Final = (
    DemoQuote("draft", "产线温度监测改造", (_SENSORS, _GATEWAY, _INSTALL)),
    DemoQuote("in-approval", "二期扩容", (_SENSORS, _GATEWAY), ("submit",), {"discount_percent": "22"}),
    DemoQuote("approved", "备件年度框架", (_SENSORS, _CARE), ("submit",), {"discount_percent": "5"}),
    DemoQuote("sent", "仓库环境监测", (_SENSORS, _CLOUD, _CARE), ("send",)),
    DemoQuote("ends-today", "样机试用转采购", (_GATEWAY,), ("send",), {"valid_until": "today"}),
    DemoQuote("viewed", "冷链监测试点", (_SENSORS, _CLOUD), ("send", "view")),
    DemoQuote("accepted", "总部机房改造", (_SENSORS, _GATEWAY, _INSTALL), ("send", "accept")),
    DemoQuote("declined", "老厂区改造", (_GATEWAY, _INSTALL), ("send", "decline")),
    DemoQuote("superseded", "三号车间监测", (_SENSORS, _INSTALL), ("send", "supersede")),
)


class QuoteLoader:
    """One load of the quotes of one company; `accounts` are ids by external id."""

    def __init__(self, api: Api, accounts: Ids, today: date, show: Callable[[int, int], None]) -> None:
        self._api = api
        self._accounts = [accounts[key] for key in sorted(accounts)]
        self._today = today
        self._show = show

    async def load(self) -> None:
        """Make what is missing and take each quote as far as it goes. Raises: ApiFailure."""
        if not self._accounts:
            return
        await self._process()
        for number, quote in enumerate(QUOTES):
            row = await self._ensure(quote, self._accounts[number % len(self._accounts)])
            for step in quote.steps:
                if row["status"] in _FROM[step]:
                    row = await self._step(row, step)
            self._show(number + 1, len(QUOTES))

    async def _process(self) -> None:
        known = (await self._api.get("/v1/approval-processes"))["data"]
        if not any(one["object"] == "quote" for one in known):
            await self._api.post("/v1/approval-processes", _PROCESS)

    async def _ensure(self, quote: DemoQuote, account_id: str) -> Json:
        key = f"demo-quote-{quote.key}"
        found = (await self._api.get("/v1/quotes", external_id=key))["data"]
        if found:
            return dict(found[0])
        body: Json = {
            "external_id": key,
            "name": quote.name,
            "account_id": account_id,
            "currency": "CNY",
            "tax_country": "CN",
            "language": "zh",
            "terms": "预付 30%,余款货到 30 日内付清。",
            "lines": list(quote.lines),
            **(quote.more or {}),
        }
        if body.get("valid_until") == "today":
            body["valid_until"] = self._today.isoformat()
        return dict(await self._api.post("/v1/quotes", body))

    async def _step(self, row: Json, step: str) -> Json:
        path = f"/v1/quotes/{row['id']}"
        if step == "view":
            await self._look(path)
        elif step == "supersede":
            await self._replace(row, path)
        else:
            bodies: Mapping[str, Json] = {
                "submit": {"note": "客户为战略合作伙伴"},
                "send": {"by_mail": False},
                "accept": {"name": "李华", "job_title": "采购经理"},
                "decline": {"name": "王芳", "reason": "预算推迟到明年"},
            }
            await self._act(row, f"{path}/{step}", bodies[step])
        return dict(await self._api.get(path))

    async def _act(self, row: Json, path: str, body: Json) -> Json:
        answer = await self._api.send("POST", path, json=body, headers={"If-Match": f'"{row["version"]}"'})
        return dict(answer.json())

    async def _look(self, path: str) -> None:
        """As the customer does, by a link."""
        link = await self._api.post(f"{path}/links", {})
        await self._api.send("GET", urlsplit(link["url"]).path)

    async def _replace(self, row: Json, path: str) -> None:
        """The next revision takes its place."""
        try:
            id = (await self._act(row, f"{path}/revise", {}))["id"]
        except ApiFailure as failure:
            if failure.status != 409:
                raise
            id = failure.document["revision_id"]
        newest = await self._api.get(f"/v1/quotes/{id}")
        if newest["status"] == "draft":
            await self._act(newest, f"/v1/quotes/{id}/send", {"by_mail": False})
