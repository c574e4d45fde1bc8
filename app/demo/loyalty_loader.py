"""A loyalty programme for the demo company: its customers are members from before their first order, which earned.

It goes in before the orders do, so that every order and every return moves points as it comes. Some members have
birthdays, some have paid in, and some were brought in by others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import uuid4

from app.demo.client import Api, ApiFailure

KEY: Final = "club"
_BATCH = 100
_BROUGHT_IN = 10
_PAID_IN = 5
_TIERS = (("silver", "Silver", "银卡", "50000", "1.2"), ("gold", "Gold", "金卡", "200000", "1.5"))


class LoyaltyLoader:
    """One load of the programme and its members."""

    def __init__(self, api: Api, currency: str) -> None:
        self._api = api
        self._currency = currency

    async def load(self, accounts: Mapping[str, str], *, since: str) -> int:
        """Enrol every other of these accounts, by external id, in the order of their keys; how many there are."""
        programme = await self._programme()
        keys = sorted(accounts)[::2]
        there = await self._there()
        records: list[dict[str, Any]] = [
            {
                "external_id": f"club-{key}",
                "programme_id": programme,
                "account_id": accounts[key],
                "since": since,
                "birthday": _birthday(place),
            }
            for place, key in enumerate(keys)
            if f"club-{key}" not in there
        ]
        late = {f"club-{key}" for key in keys[1::_BROUGHT_IN]}
        brought_in = [one for one in records if one["external_id"] in late]
        await self._enrol([one for one in records if one not in brought_in])
        there = await self._there()
        if brought_in:
            path = f"/v1/loyalty-members/{there[f'club-{keys[0]}']}/referral-code"
            code = (await self._api.post(path))["code"]
            await self._enrol([one | {"referral_code": code} for one in brought_in])
        for key in keys[::_PAID_IN]:
            await self._pay_in(f"club-{key}", there[f"club-{key}"])
        return len(keys)

    async def _there(self) -> dict[str, str]:
        """The ids of members that are there, by external id."""
        pages = self._api.pages("/v1/loyalty-members", fields="id,external_id")
        return {one["external_id"]: one["id"] async for one in pages}

    async def _pay_in(self, key: str, member: str) -> None:
        """Money for a wallet, and a bonus on top; the reference sees that it comes once."""
        bonus = {"amount": {"amount": "100", "currency": self._currency}}
        body = {"amount": {"amount": "1000", "currency": self._currency}, "bonus": [bonus]}
        await self._api.post(
            f"/v1/loyalty-members/{member}/wallet/top-up", body | {"source": "demo", "reference": key}
        )

    async def _enrol(self, records: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(records), _BATCH):
            items = [{"ref": one["external_id"], "record": one} for one in records[start : start + _BATCH]]
            answer = await self._api.post(
                "/v1/loyalty-members/batch/create", {"items": items}, key=str(uuid4())
            )
            if answer["failed"]:
                detail = next(one["error"]["detail"] for one in answer["results"] if one["error"])
                raise ApiFailure("POST", "/v1/loyalty-members/batch/create", 422, {"detail": detail})

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
        await self._api.send(
            "PUT",
            f"/v1/loyalty-programmes/{made['id']}/rewards",
            json=self._rewards(),
            headers={"If-Match": '"0"'},
        )
        return str(made["id"])

    def _rewards(self) -> dict[str, Any]:
        """Points for whoever brings somebody in, money for whoever comes, and points on birthdays."""
        money = {"kind": "wallet", "amount": {"amount": "50", "currency": self._currency}, "valid_days": 90}
        return {
            "wallet_adjustment_limit": {"amount": "500", "currency": self._currency},
            "referral": {
                "referrer": [{"kind": "points", "points": 500}],
                "referred": [money],
                "minimum_spend": {"amount": "100", "currency": self._currency},
            },
            "occasions": [{"occasion": "birthday", "rewards": [{"kind": "points", "points": 100}]}],
        }


def _birthday(place: int) -> str | None:
    """Of two members in three, spread over the year and the decades."""
    if place % 3 == 2:
        return None
    return date(1955 + place * 7 % 45, 1 + place * 5 % 12, 1 + place * 11 % 28).isoformat()
