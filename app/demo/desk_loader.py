"""The demo company's service desk: queues, skills and who asks for them, who is there, cases that wait, and calls.

Each step looks first at what is there or has a key, so that a load that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.demo.client import Api, ApiFailure

QUEUES: Final[Sequence[Mapping[str, Any]]] = (
    {"name": {"en": "First line", "zh": "一线客服"}, "routing": "push"},
    {"name": {"en": "Repairs", "zh": "维修"}, "routing": "pull"},
)
SETTINGS: Final[Mapping[str, Any]] = {
    "capacity": 6,
    "weights": {"chat": 3, "email": 1, "phone": 2, "web": 2, "api": 2, "device": 2},
    "away_after_minutes": None,  # nobody sits at a browser and says that they are there
}
SKILLS: Final[Sequence[Sequence[Mapping[str, Any]]]] = (
    ({"skill": "维修", "level": 4}, {"skill": "English", "level": 2}),
    ({"skill": "English", "level": 5},),
    ({"skill": "维修", "level": 2},),
)
"""Of so many agents."""
RULES: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name": "英语客户 / Customers who write English",
        "conditions": {"or": [{"and": [{"field": "language", "op": "eq", "value": "en"}]}]},
        "skills": [{"skill": "English", "level": 3, "required": False}],
    },
    {
        "name": "故障 / Faults",
        "conditions": {"or": [{"and": [{"field": "type", "op": "eq", "value": "incident"}]}]},
        "skills": [{"skill": "维修", "level": 2}],
    },
)
WAITING: Final[Sequence[Mapping[str, Any]]] = (
    {
        "subject": "设备停机，急需维修",
        "type": "incident",
        "priority": "urgent",
        "channel": "phone",
        "language": "zh",
    },
    {"subject": "The display stays dark", "type": "incident", "channel": "email", "language": "en"},
    {"subject": "密封件漏油", "type": "incident", "priority": "high", "channel": "web", "language": "zh"},
    {"subject": "Which oil does it need?", "type": "question", "channel": "chat", "language": "en"},
    {"subject": "如何安排年度保养？", "type": "question", "channel": "web", "language": "zh"},
    {
        "subject": "Spare parts for last year's order",
        "type": "question",
        "channel": "email",
        "language": "en",
    },
)
"""What waits in the queue from which agents take."""
_PULLED: Final = "Repairs"
PRESENCE: Final = ("online", "online", "away", "offline")
"""Of so many agents."""


@dataclass(frozen=True, slots=True)
class _DemoCall:
    """A call; the `contact`-th contact with a number rang, or a stranger with `number`."""

    direction: str
    duration_seconds: int
    outcome: str
    note: str
    contact: int | None = None
    number: str | None = None


_CALLS: Final = (
    _DemoCall("inbound", 312, "answered", "询问发货时间，已答复。", contact=0),
    _DemoCall("inbound", 95, "answered", "报修：设备无法启动，已登记。", contact=3),
    _DemoCall("outbound", 0, "no_answer", "回访未接通。", contact=5),
    _DemoCall("inbound", 148, "answered", "想了解产品价格，请销售跟进。", number="+86 139 0000 4321"),
    _DemoCall("inbound", 21, "answered", "打错电话。"),
)


class DeskLoader:
    """One load of the desk; `agents` are ids of members, `numbers` those of customers."""

    def __init__(self, api: Api, *, agents: Sequence[str], numbers: Sequence[str], seed: int) -> None:
        self._api = api
        self._seed = seed
        self._agents = list(agents)
        self._numbers = numbers

    async def load(self) -> int:
        """Make what is missing; the number of calls."""
        await self._settings()
        queues = await self._queues()
        await self._rules()
        for place, case in enumerate(WAITING):
            body = {**case, "queue_id": queues[_PULLED], "dedupe": f"demo-waiting-{place}"}
            await self._api.post("/v1/cases", body)
        for id, skills in zip(self._agents, SKILLS, strict=False):
            await self._learn(id, skills)
        for id, status in zip(self._agents, PRESENCE, strict=False):
            await self._appear(id, status)
        for place, call in enumerate(_CALLS):
            number = call.number if call.contact is None else self._numbers[call.contact % len(self._numbers)]
            await self._call(place, call, number)
        return len(_CALLS)

    async def _settings(self) -> None:
        now = await self._api.get("/v1/desk-settings")
        if now["version"] == 0:
            await self._api.send("PUT", "/v1/desk-settings", json=SETTINGS, headers={"If-Match": '"0"'})

    async def _queues(self) -> Mapping[str, str]:
        """Ids by English name."""
        there = {one["name"]["en"]: one["id"] for one in (await self._api.get("/v1/queues"))["data"]}
        for queue in QUEUES:
            if queue["name"]["en"] not in there:
                made = await self._api.post("/v1/queues", {**queue, "member_ids": self._agents})
                there[queue["name"]["en"]] = made["id"]
        return there

    async def _rules(self) -> None:
        there = {one["name"] for one in (await self._api.get("/v1/case-skill-rules"))["data"]}
        for rule in RULES:
            if rule["name"] not in there:
                await self._api.post("/v1/case-skill-rules", rule)

    async def _learn(self, id: str, skills: Sequence[Mapping[str, Any]]) -> None:
        now = await self._api.get(f"/v1/members/{id}")
        if not now["skills"]:
            await self._api.send(
                "PATCH",
                f"/v1/members/{id}",
                json={"skills": skills},
                headers={"If-Match": f'"{now["version"]}"'},
            )

    async def _appear(self, id: str, status: str) -> None:
        now = await self._api.get(f"/v1/agents/{id}")
        if now["version"] == 0:
            await self._api.send(
                "PUT",
                f"/v1/agents/{id}",
                json={"status": status, "capacity": None},
                headers={"If-Match": '"0"'},
            )

    async def _call(self, place: int, call: _DemoCall, number: str | None) -> None:
        body = {
            "number": number,
            "direction": call.direction,
            "agent_id": self._agents[place % len(self._agents)],
        }
        made = await self._api.post("/v1/calls", body, key=f"demo-{self._seed}-call-{place}")
        end = {"duration_seconds": call.duration_seconds, "outcome": call.outcome, "note": call.note}
        try:
            await self._api.post(f"/v1/calls/{made['id']}/end", end)
        except ApiFailure as failure:
            if failure.code != "call_ended":
                raise
