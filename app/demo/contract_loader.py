"""Puts contracts into Rapport: the deals won last, each brought to its state step by step, as people would.

Each step looks first at what is there, so that a load that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from app.demo.client import Api
from app.demo.records import DemoCompany, DemoOpportunity

Ids = Mapping[str, str]
_MOST: Final = 12
_GOALS: Final = (
    "active", "draft", "active", "approved", "active", "voided", "active", "terminated", "active", "amended",
    "active", "renewed",
)  # fmt: skip
"""What becomes of one after another."""
_KINDS: Final = ("sale", "service", "frame", "subscription")
_LIBRARY: Final = (
    ("payment", "付款", "Payment", "付款", "{{account.name}} pays {{contract.value}} by the payment plan.",
     "{{account.name}}应按付款计划支付合同款项{{contract.value}}。"),
    ("term", "期限", "Term", "期限", "This contract runs from {{contract.starts_on}} to {{contract.ends_on}}.",
     "本合同有效期自{{contract.starts_on}}起至{{contract.ends_on}}止。"),
    ("notice", "期限", "Notice", "解除通知", "Either side may end it with {{contract.notice_days}} days of notice.",
     "任何一方解除合同，应提前{{contract.notice_days}}天书面通知{{company.name}}。"),
)  # fmt: skip


class ContractLoader:
    """One load of the contracts of one company."""

    def __init__(self, api: Api, company: DemoCompany, show: Callable[[int, int], None]) -> None:
        self._api = api
        self._show = show
        won = [deal for deal in company.opportunities if deal.status == "won" and deal.amount.amount > 0]
        won.sort(key=lambda deal: (deal.closed_at or deal.created_at, deal.external_id), reverse=True)
        self.deals = won[:_MOST]

    async def load(self, *, accounts: Ids, contacts: Ids, opportunities: Ids, members: Ids) -> None:
        """All of them. Raises: ApiFailure."""
        clauses = await self._clauses()
        pages = self._api.pages("/v1/contracts", fields="id,external_id")
        there = {one["external_id"]: one["id"] async for one in pages if one["external_id"]}
        for place, deal in enumerate(self.deals):
            key = f"contract-{deal.external_id}"
            id = there.get(key)
            if id is None:
                body = _body(deal, place) | {
                    "external_id": key,
                    "account_id": accounts[deal.account],
                    "contact_id": contacts[deal.contact] if deal.contact else None,
                    "opportunity_id": opportunities[deal.external_id],
                    "owner_id": members[deal.owner],
                }
                id = (await self._api.post("/v1/contracts", body, key=key))["id"]
            await self._bring(f"/v1/contracts/{id}", deal, _GOALS[place % len(_GOALS)], clauses)
            self._show(place + 1, len(self.deals))

    async def _clauses(self) -> list[str]:
        """The company's library."""
        path = "/v1/contract-clause-templates"
        known = {one["key"]: one["id"] for one in (await self._api.get(path))["data"]}
        for key, category, title_en, title_zh, body_en, body_zh in _LIBRARY:
            if key not in known:
                body = {"key": key, "category": category, "title_en": title_en, "title_zh": title_zh,
                        "body_en": body_en, "body_zh": body_zh}  # fmt: skip
                known[key] = (await self._api.post(path, body))["id"]
        return [known[key] for key, *_ in _LIBRARY]

    async def _bring(self, path: str, deal: DemoOpportunity, goal: str, clauses: list[str]) -> None:
        """From whatever state it is in to what is to become of it."""
        found = await self._api.get(path)
        if found["status"] == "draft" and found["revision"] == 0:
            if not (await self._api.get(f"{path}/clauses"))["data"]:  # the part that is written last
                found = await self._write(path, found, deal, clauses)
            if goal == "draft":
                return
            found = await self._step(path, found, "submit")
        if found["status"] == "approved":
            if goal == "approved":
                return
            if goal == "voided":
                await self._step(path, found, "void", reason="客户要求修改条款")
                return
            signed = {"signed_on": _won_on(deal).isoformat(), "signed_by": "授权代表"}
            found = await self._step(path, found, "activate", **signed)
        if found["status"] != "active":
            return
        if goal == "terminated":
            await self._step(path, found, "terminate", reason="客户业务调整", waive_notice=True)
        elif goal == "renewed" and found["successor_id"] is None:
            await self._step(path, found, "renew", months=12, uplift_percent="3")
        elif goal == "amended" and found["revision"] == 1:
            await self._amend(path, found)

    async def _write(
        self, path: str, found: dict[str, Any], deal: DemoOpportunity, clauses: list[str]
    ) -> dict[str, Any]:
        parties: list[dict[str, Any]] = [{"role": "customer", "account_id": found["account_id"]}]
        if found["contact_id"]:
            signatory = {"role": "signatory", "contact_id": found["contact_id"], "title": "授权代表"}
            parties.append(signatory)
        plan = [
            {"label": "预付款", "percent": "30", "due": {"rule": "after_signing", "days": 14}},
            {"label": "进度款", "percent": "60", "due": {"rule": "quarterly"}},
            {"label": "尾款", "percent": "10", "due": {"rule": "on_date", "date": found["ends_on"]}},
        ]
        line = {"description": deal.name, "quantity": "1", "unit_price": found["value"]}
        for part, body in (
            ("parties", {"parties": parties}),
            ("lines", {"lines": [line]}),
            ("plan", {"items": plan}),
            ("clauses", {"clauses": [{"template_id": id} for id in clauses]}),
        ):
            found = await self._api.get(path)
            headers = {"If-Match": f'"{found["version"]}"'}
            await self._api.send("PUT", f"{path}/{part}", json=body, headers=headers)
        answer: dict[str, Any] = await self._api.get(path)
        return answer

    async def _amend(self, path: str, found: dict[str, Any]) -> None:
        amendments = (await self._api.get(f"{path}/amendments"))["data"]
        if not amendments:
            last = _a_year_later(date.fromisoformat(found["ends_on"])).isoformat()
            body = {"title": "延长一年", "reason": "客户要求延长服务期", "changes": {"ends_on": last}}
            amendments = [await self._api.post(f"{path}/amendments", body)]
        one = amendments[-1]
        if one["status"] == "draft":
            await self._step(f"{path}/amendments/{one['id']}", one, "submit")

    async def _step(self, path: str, found: dict[str, Any], step: str, **body: Any) -> dict[str, Any]:
        headers = {"If-Match": f'"{found["version"]}"'}
        done: dict[str, Any] = await self._api.post(f"{path}/{step}", body or None, **headers)
        return done


def _body(deal: DemoOpportunity, place: int) -> dict[str, Any]:
    starts_on = _won_on(deal)
    return {
        "title": deal.name,
        "kind": _KINDS[place % len(_KINDS)],
        "value": {"amount": str(deal.amount.amount), "currency": deal.amount.currency},
        "starts_on": starts_on.isoformat(),
        "ends_on": (_a_year_later(starts_on) - timedelta(days=1)).isoformat(),
        "notice_days": 30,
        "auto_renew": place % 3 == 0,
        "renewal_months": 12,
        "renewal_uplift_percent": "3",
    }


def _won_on(deal: DemoOpportunity) -> date:
    return (deal.closed_at or deal.created_at).date()


def _a_year_later(day: date) -> date:
    return day + timedelta(days=365)
