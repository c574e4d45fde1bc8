"""What the tests of coupons share."""

from __future__ import annotations

from typing import Any

from tests.modules.orders.orders import money
from tests.modules.support import make
from tests.support.api import Client

Json = dict[str, Any]


async def coupon(
    owner: Client, code: str | None = "WELCOME10", *, active: bool = True, **fields: Any
) -> Json:
    """A coupon in dollars, of ten percent unless told otherwise, active."""
    body: Json = {"name": code or "Coupon", "currency": "USD"}
    if code is not None:
        body["code"] = code
    if "benefit" not in fields:
        body |= {"benefit": "percent", "percent": "10"}
    made = await make(owner, "coupons", **(body | fields))
    return await stepped(owner, made, "activate") if active else made


async def stepped(owner: Client, one: Json, name: str) -> Json:
    path = f"/v1/coupons/{one['id']}"
    version = (await owner.ok("GET", path))["version"]
    answer = await owner.post(f"{path}/{name}", if_match=version)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


async def coupon_now(owner: Client, one: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/coupons/{one['id']}")
    return found


async def evaluated(
    owner: Client, account: Json, *codes: str, lines: list[Json] | None = None, **more: Any
) -> Json:
    """A basket of one line of 100.00 unless others are given, tried with these codes."""
    body = {
        "account_id": account["id"],
        "currency": "USD",
        "coupon_codes": list(codes),
        "lines": lines or [basket_line("100.00")],
    }
    found: Json = await owner.ok("POST", "/v1/coupons/evaluate", json=body | more)
    return found


def basket_line(amount: str, quantity: str = "1", **more: Any) -> Json:
    return {"quantity": quantity, "amount": money(amount)} | more


def reasons(evaluation: Json) -> dict[str, str | None]:
    """By code: why it does not apply, None where it does."""
    return {one["code"]: one["reason"] for one in evaluation["coupons"]}
