"""Cash and stored value on one account's invoices, moved about by whoever keeps the books."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.modules.membership.test_wallet import usd
from tests.modules.support import make
from tests.support.api import Client

Json = dict[str, Any]
CASH = {"method": "cash"}
BOOKS = (
    "account:read", "order:read", "order:update", "invoice:read", "invoice:assign", "invoice:update", "invoice:issue", "invoice:create",
    "payment:read", "payment:create", "payment:update", "payment:assign", "loyalty_member:read",
    "loyalty_member:redeem", "return:read", "return:update",
)  # fmt: skip


async def get(owner: Client, kind: str, row: Json) -> Json:
    found: Json = await owner.ok("GET", f"/v1/{kind}/{row['id']}")
    return found


async def act(who: Client, kind: str, row: Json, verb: str, **body: Any) -> Any:
    row = await get(who, kind, row)
    return await who.post(f"/v1/{kind}/{row['id']}/{verb}", body, if_match=row["version"])


async def done(who: Client, kind: str, row: Json, verb: str, **body: Any) -> Json:
    answer = await act(who, kind, row, verb, **body)
    assert answer.status_code in (200, 201), answer.text
    made: Json = answer.json()
    return made


async def paid_in_cash(who: Client, account: Json, amount: str, bill: Json) -> Json:
    made = await make(who, "payments", account_id=account["id"], amount=usd(amount), method="cash")
    share = {"invoice_id": bill["id"], "amount": usd(amount)}
    return await done(who, "payments", made, "allocate", allocations=[share])


async def cash(owner: Client) -> tuple[str, str]:
    """What came in and what went out in other ways than from wallets, in dollars."""
    rows = (await owner.ok("GET", "/v1/payments?limit=200"))["data"]
    sums = {"payment": Decimal(0), "refund": Decimal(0)}
    for one in rows:
        if one["method"] != "stored_value":
            sums[one["kind"]] += Decimal(one["amount"]["amount"])
    return f"{sums['payment']:.2f}", f"{sums['refund']:.2f}"


def refused(answer: Any, code: str, left: str | None = None) -> None:
    found = answer.json()
    assert (answer.status_code, found["code"], found.get("left")) == (409, code, left and usd(left))
