"""What an account owes is told whole or not at all; sums of a part say that they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.opportunities.conftest import Hire
from tests.modules.orders.orders import money
from tests.modules.orders.receivables.books import charge, done, issued, pay
from tests.modules.support import make
from tests.support.api import Client

Json = dict[str, Any]
OWN = {"account:read": "all", "order:read": "own", "invoice:read": "own", "payment:read": "own"}


@pytest.fixture
async def owed(owner: Client, account: Json) -> Json:
    """100.00 invoiced, 30.00 paid, of which 20.00 settle the invoice; all of it the owner's."""
    invoice = await issued(owner, account)
    paid = await pay(owner, account, "30.00")
    share = {"allocations": [{"invoice_id": invoice["id"], "amount": money("20.00")}]}
    await done(owner, paid, "allocate", share)
    return account


async def reader(owner: Client, hire: Hire, grants: Json) -> Client:
    role = await owner.ok(
        "POST", "/v1/roles", json={"name": f"Reader {len(grants)} {grants['account:read']}", "grants": grants}
    )
    return await hire(role_ids=[role["id"]])


async def test_whoever_sees_the_account_is_told_all_it_owes(owner: Client, owed: Json, hire: Hire) -> None:
    seller = await reader(owner, hire, OWN)
    assert (await seller.ok("GET", "/v1/payments"))["data"] == []
    told: Json = {}
    for path in ("statement", "credit", "ageing"):
        url = f"/v1/receivables/{path}?account_id={owed['id']}"
        told = await seller.ok("GET", url)
        assert told == await owner.ok("GET", url)
    assert (told["complete"], told["totals"][0]["balance"]) == (True, money("70.00"))
    statement = await seller.ok("GET", f"/v1/receivables/statement?account_id={owed['id']}")
    assert [one["kind"] for one in statement["data"]] == ["invoice", "payment"]
    assert (statement["received"], statement["closing"]) == (money("30.00"), money("70.00"))
    panel = (await seller.ok("GET", f"/v1/accounts/{owed['id']}/overview"))["panels"]["receivables"]
    assert (panel["open"], panel["unallocated"]) == ([money("80.00")], [money("10.00")])


async def test_who_may_not_read_payments_gets_no_balance(owner: Client, owed: Json, hire: Hire) -> None:
    seller = await reader(owner, hire, {k: "all" for k in OWN if k != "payment:read"})
    for path in ("statement", "credit"):
        refused = await seller.get(f"/v1/receivables/{path}?account_id={owed['id']}")
        assert (refused.status_code, refused.json()["permission"]) == (403, "payment:read")
    part = await seller.ok("GET", f"/v1/receivables/ageing?account_id={owed['id']}")
    assert (part["complete"], part["totals"][0]["unallocated"]) == (False, money("0.00"))


async def test_ageing_over_accounts_says_when_it_is_of_a_part(owner: Client, owed: Json, hire: Hire) -> None:
    assert (await owner.ok("GET", "/v1/receivables/ageing"))["complete"] is True
    seller = await reader(owner, hire, OWN)
    part = await seller.ok("GET", "/v1/receivables/ageing")
    assert (part["complete"], part["totals"], part["data"]) == (False, [], [])
    blind = await reader(owner, hire, OWN | {"account:read": "own"})
    for path in ("statement", "credit"):
        unknown = await blind.get(f"/v1/receivables/{path}?account_id={owed['id']}")
        assert unknown.status_code == 404
    nothing = await blind.ok("GET", f"/v1/receivables/ageing?account_id={owed['id']}")
    assert (nothing["complete"], nothing["totals"]) == (False, [])


async def test_a_payment_is_the_account_owner_s_whoever_enters_it(
    owner: Client, account: Json, hire: Hire
) -> None:
    books = await reader(owner, hire, OWN | {"payment:create": "own"})
    entered = await pay(books, account, "5.00")
    assert (entered["owner_id"], entered["team_id"]) == (account["owner_id"], account["team_id"])
    assert entered["owner_id"] != books.facts["member_id"] == entered["created_by"]
    free = await make(owner, "accounts", name="Nobody's")
    await owner.ok("PATCH", f"/v1/accounts/{free['id']}", json={"owner_id": None}, if_match=free["version"])
    assert (await pay(books, free, "5.00"))["owner_id"] == books.facts["member_id"]
    mine = await pay(owner, account, "5.00", owner_id=books.facts["member_id"])
    assert mine["owner_id"] == books.facts["member_id"]
    await issued(owner, account, charge("1.00"))
