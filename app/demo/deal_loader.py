"""Puts what opportunities are made of into Rapport: a pipeline with rules, lines, competitors, people, and moves.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.demo.client import Api, ApiFailure
from app.demo.records import DemoCompany, DemoDeal, Json, as_payload

Ids = Mapping[str, str]
_PARALLEL: Final = 4
_STAGES: Final[Mapping[str, dict[str, Any]]] = {
    "qualification": {
        "rotting_days": 21,
        "guidance": {"en": "Find out who decides and what it is worth.", "zh": "了解决策人和项目价值。"},
        "playbook": [
            {"key": "find_need", "subject": {"en": "Find out the need", "zh": "了解需求"}, "due_in_days": 3}
        ],
    },
    "needs_analysis": {
        "rotting_days": 21,
        "guidance": {"en": "Agree on what is needed, in writing.", "zh": "书面确认需求。"},
        "playbook": [
            {"key": "visit", "subject": {"en": "Visit the site", "zh": "实地拜访"}, "due_in_days": 7}
        ],
    },
    "proposal": {
        "rotting_days": 14,
        "guidance": {"en": "Send the offer and call two days later.", "zh": "发送报价，两天后电话跟进。"},
        "requirements": {"fields": ["amount"]},
        "playbook": [
            {
                "key": "follow_up",
                "subject": {"en": "Call about the offer", "zh": "跟进报价"},
                "due_in_days": 2,
            }
        ],
    },
    "negotiation": {
        "rotting_days": 10,
        "guidance": {"en": "Know the limit before you talk.", "zh": "谈判前先明确底线。"},
        "playbook": [
            {"key": "contract", "subject": {"en": "Draft the contract", "zh": "起草合同"}, "due_in_days": 5}
        ],
    },
}
_REASONS: Final = (
    ("loss", "price", "Price", "价格"),
    ("loss", "competitor", "Lost to a competitor", "输给竞争对手"),
    ("loss", "no_decision", "No decision", "未做决定"),
    ("loss", "timing", "Timing", "时机不对"),
    ("loss", "missing_feature", "Something was missing", "功能缺失"),
    ("win", "price", "Price", "价格"),
    ("win", "quality", "Quality", "质量"),
    ("win", "delivery_time", "Delivery time", "交期"),
    ("win", "relationship", "Relationship", "客户关系"),
)


class DealLoader:
    """One load of the deals of one company."""

    def __init__(self, api: Api, company: DemoCompany, show: Callable[[int, int], None]) -> None:
        self._api = api
        self._company = company
        self._show = show

    async def settings(self) -> None:
        """The default pipeline's rules, and the company's reasons."""
        pipelines = (await self._api.get("/v1/pipelines"))["data"]
        default = next(pipeline for pipeline in pipelines if pipeline["is_default"])
        stages = [stage | _STAGES.get(stage["key"], {}) for stage in default["stages"]]
        if stages != default["stages"]:
            await _patch(self._api, f"/v1/pipelines/{default['id']}", default["version"], {"stages": stages})
        known = {
            (one["outcome"], one["key"]) for one in (await self._api.get("/v1/opportunity-reasons"))["data"]
        }
        for outcome, key, en, zh in _REASONS:
            if (outcome, key) not in known:
                body = {"outcome": outcome, "key": key, "name": {"en": en, "zh": zh}}
                await self._api.post("/v1/opportunity-reasons", body)

    async def deals(self, *, opportunities: Ids, contacts: Ids, members: Ids) -> None:
        """Everything about the opportunities that the company shows in detail."""
        competitors = await self._competitors()
        gate, done = asyncio.Semaphore(_PARALLEL), 0

        async def fill(deal: DemoDeal) -> None:
            nonlocal done
            async with gate:
                path = f"/v1/opportunities/{opportunities[deal.opportunity]}"
                await self._goods(deal, path, competitors)
                await self._people(deal, path, contacts, members)
                await self._outcome(deal, path, competitors)
            done += 1
            self._show(done, len(self._company.deals))

        tasks = [asyncio.ensure_future(fill(deal)) for deal in self._company.deals]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _competitors(self) -> Ids:
        items: list[dict[str, Json]] = [
            {"ref": one.external_id, "record": as_payload(one)} for one in self._company.competitors
        ]
        answer = await self._api.post("/v1/competitors/batch/upsert", {"items": items})
        return {result["ref"]: result["id"] for result in answer["results"]}

    async def _goods(self, deal: DemoDeal, path: str, competitors: Ids) -> None:
        there = (await self._api.get(f"{path}/lines"))["data"]
        for line in deal.lines[len(there) :]:
            await self._api.post(f"{path}/lines", as_payload(line))
        for rival in deal.competitors:
            level = "high" if rival == deal.lost_to else "medium"
            body = {"competitor_id": competitors[rival], "threat_level": level}
            await self._once(f"{path}/competitors", body)

    async def _people(self, deal: DemoDeal, path: str, contacts: Ids, members: Ids) -> None:
        for place, (contact, role) in enumerate(deal.contacts):
            body = {"contact_id": contacts[contact], "role": role, "is_primary": place == 0}
            await self._once(f"{path}/contacts", body)
        if deal.colleague is None or deal.share is None:
            return
        await self._once(f"{path}/team", {"member_id": members[deal.colleague], "role": "presales"})
        found = await self._api.get(path)
        shares = {found["owner_id"]: 100 - deal.share, members[deal.colleague]: deal.share}
        splits = [{"member_id": member, "percent": str(percent)} for member, percent in shares.items()]
        body = {"kind": "revenue", "splits": splits}
        headers = {"If-Match": f'"{found["version"]}"'}
        await self._api.send("PUT", f"{path}/splits", json=body, headers=headers)

    async def _outcome(self, deal: DemoDeal, path: str, competitors: Ids) -> None:
        """Who won it where we lost, and the step that an open one takes today."""
        changes: dict[str, str] = {}
        if deal.lost_to is not None:
            changes = {"winning_competitor_id": competitors[deal.lost_to]}
        elif deal.moves_to is not None:
            changes = {"stage": deal.moves_to}
        found = await self._api.get(path)
        if any(found[name] != value for name, value in changes.items()):
            await _patch(self._api, path, found["version"], changes)

    async def _once(self, path: str, body: Mapping[str, Any]) -> None:
        """Add what may be there already."""
        try:
            await self._api.post(path, dict(body))
        except ApiFailure as failure:
            if failure.code != "duplicate_value":
                raise


async def _patch(api: Api, path: str, version: int, body: Mapping[str, Any]) -> None:
    await api.send("PATCH", path, json=dict(body), headers={"If-Match": f'"{version}"'})
