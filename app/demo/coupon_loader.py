"""Coupons of the demo company: one for everybody, codes of a campaign, members' own, and orders with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from app.demo.client import Api

WELCOME: Final = "WELCOME10"
_BATCH = 200
_ORDERS = 6


class CouponLoader:
    """One load of coupons; what is there by its external id is left as it is."""

    def __init__(self, api: Api, currency: str) -> None:
        self._api = api
        self._currency = currency

    async def load(self, accounts: Sequence[str]) -> int:
        """Coupons, codes, and an order for each of the first of these accounts; how many coupons there are."""
        welcome = await self._coupon(
            "welcome", name="Welcome, 10 % off", name_zh="新客九折", code=WELCOME, benefit="percent", percent="10",
            maximum_discount=self._money("500"), customer_limit=1, budget=self._money("100000"),
            on_return="give_back",
        )  # fmt: skip
        campaign = await self._coupon(
            "autumn", name="Autumn fair, 200 off", name_zh="秋季展会立减 200", distribution="batch", benefit="amount",
            amount=self._money("200"), minimum_spend=self._money("1000"), exclusive=True,
        )  # fmt: skip
        personal = await self._coupon(
            "thank-you", name="Thank you, 5 % off", name_zh="答谢九五折", distribution="personal", benefit="percent",
            percent="5", valid_days=90,
        )  # fmt: skip
        if not (await self._api.get(f"/v1/coupons/{campaign['id']}/batches"))["data"]:
            await self._api.post(
                f"/v1/coupons/{campaign['id']}/batches", {"count": _BATCH, "prefix": "FAIR-"}
            )
        members = (await self._api.get("/v1/loyalty-members", sort="external_id", limit=20))["data"]
        for member in members:
            await self._api.post(
                f"/v1/coupons/{personal['id']}/issue", {"member_id": member["id"], "reference": "demo"}
            )
        for number, account in enumerate(accounts[:_ORDERS]):
            await self._order(account, number)
        return len((welcome, campaign, personal))

    def _money(self, amount: str) -> dict[str, str]:
        return {"amount": amount, "currency": self._currency}

    async def _coupon(self, key: str, **fields: Any) -> dict[str, Any]:
        """The active coupon with this external id, made if it is not there."""
        found = (await self._api.get("/v1/coupons", external_id=key))["data"]
        if found and found[0]["status"] == "active":
            return dict(found[0])
        body = fields | {"external_id": key, "currency": self._currency}
        made = found[0] if found else await self._api.post("/v1/coupons", body)
        answer: dict[str, Any] = await self._api.post(
            f"/v1/coupons/{made['id']}/activate", {}, **{"If-Match": f'"{made["version"]}"'}
        )
        return answer

    async def _order(self, account: str, number: int) -> None:
        """An order of somebody who had the code; sent again it is the same one."""
        price = self._money(str(400 + 350 * number))
        lines = [{"description": "Spare parts kit", "quantity": "2", "unit_price": price}]
        await self._api.post(
            "/v1/orders/place",
            {"account_id": account, "currency": self._currency, "lines": lines}
            | {"customer_reference": f"demo-coupon-{number}", "coupon_codes": [WELCOME], "channel": "web"},
        )
