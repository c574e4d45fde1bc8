"""A loyalty programme for the demo company: its customers are members from before their first order, which earned.

It goes in before the orders do, so that every order and every return moves points as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from app.demo.client import Api, ApiFailure

KEY: Final = "club"
_BATCH = 100
_TIERS = (("silver", "Silver", "银卡", "50000", "1.2"), ("gold", "Gold", "金卡", "200000", "1.5"))


class LoyaltyLoader:
    """One load of the programme and its members."""

    def __init__(self, api: Api, currency: str) -> None:
        self._api = api
        self._currency = currency

    async def load(self, accounts: Mapping[str, str], *, since: str) -> int:
        """Enrol every other of these accounts, by external id, in the order of their keys; how many there are."""
        programme = await self._programme()
        pages = self._api.pages("/v1/loyalty-members", fields="id,external_id")
        there = {one["external_id"] async for one in pages}
        keys = sorted(accounts)[::2]
        records: list[dict[str, Any]] = [
            {
                "external_id": f"club-{key}",
                "programme_id": programme,
                "account_id": accounts[key],
                "since": since,
            }
            for key in keys
            if f"club-{key}" not in there
        ]
        for start in range(0, len(records), _BATCH):
            items = [{"ref": one["external_id"], "record": one} for one in records[start : start + _BATCH]]
            answer = await self._api.post(
                "/v1/loyalty-members/batch/create", {"items": items}, key=str(uuid4())
            )
            if answer["failed"]:
                detail = next(one["error"]["detail"] for one in answer["results"] if one["error"])
                raise ApiFailure("POST", "/v1/loyalty-members/batch/create", 422, {"detail": detail})
        return len(keys)

    async def _programme(self) -> str:
        found = (await self._api.get("/v1/loyalty-programmes"))["data"]
        for one in found:
            if one["key"] == KEY:
                return str(one["id"])
        made = await self._api.post(
            "/v1/loyalty-programmes",
            {
                "key": KEY,
                "name_en": "Partner club",
                "name_zh": "伙伴俱乐部",
                "currency": self._currency,
                "return_window_days": 30,
                "expiry_months": 24,
                "burn": {"points": 100, "worth": {"amount": "1", "currency": self._currency}, "minimum": 100},
                "adjustment_limit": 10_000,
                "earn_rules": [{"key": "base", "kind": "amount", "points": 1, "per_amount": "10"}],
                "tiers": [
                    {"key": key, "name_en": en, "name_zh": zh, "threshold": amount, "multiplier": factor}
                    for key, en, zh, amount, factor in _TIERS
                ],
            },
        )
        return str(made["id"])
