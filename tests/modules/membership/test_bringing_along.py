"""Members from files, what accounts show of them, and rules for whole branches of the catalogue."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.modules.membership.services.panel import MembershipPanel
from tests.modules.catalog.goods import imported
from tests.modules.membership.points import (
    ONE_PER_DOLLAR,
    adds_up,
    adjust,
    again,
    delivered,
    enrol,
    programme,
)
from tests.modules.membership.test_wallet import top_up, usd
from tests.modules.orders.orders import line
from tests.modules.support import acting, make
from tests.support.api import Company

Json = dict[str, Any]
FILE = """programme,account,contact,number,since,birthday,opening points,external_id
club,Harbour Pumps,,4539578763621486,2020-05-01,1990-02-28,"1,250",M-1
Club,,ann@example.com,,,,,M-2
,A-7,,,2021-01-01,,10,M-3
club,Nobody,,,,,,M-4
club,A-8,,,,,many,M-5
club,A-8,,4539578763621487,,,,M-6
nothing,A-8,,,,,,M-7
"""


async def test_a_file_brings_members_with_their_points(company: Company, account: Json) -> None:
    owner = company.owner
    await programme(owner, expiry_months=12)
    await make(owner, "contacts", name="Ann", email="ann@example.com", time_zone="Asia/Shanghai")
    for key in ("A-7", "A-8"):
        await make(owner, "accounts", name=f"Account {key}", external_id=key)
    done, refused = await imported(company, "loyalty_members", FILE, key="external_id", mode="create")
    assert (done["created"], done["failed"]) == (3, 4)
    assert sorted((row, code) for row, _, code in refused) == [
        ("5", "unknown_reference"), ("6", "unreadable"), ("7", "check_digit"), ("8", "unknown_reference"),
    ]  # fmt: skip
    rows = {one["external_id"]: one for one in (await owner.ok("GET", "/v1/loyalty-members"))["data"]}
    first = rows["M-1"]
    assert (first["account_id"], first["number"], first["since"], first["points"], first["birthday"]) == (
        account["id"], "4539578763621486", "2020-05-01", 1250, "1990-02-28",
    )  # fmt: skip
    assert (rows["M-2"]["points"], rows["M-2"]["time_zone"], rows["M-3"]["points"]) == (
        0,
        "Asia/Shanghai",
        10,
    )
    (entry,) = (await owner.ok("GET", f"/v1/loyalty-members/{first['id']}/transactions"))["data"]
    assert (entry["kind"], entry["movements"]) == ("opening", [{"account": "available", "points": 1250}])
    await adds_up(company)
    again_, told = await imported(company, "loyalty_members", FILE, key="external_id", mode="upsert")
    assert (again_["created"], len(told)) == (0, 4)
    assert (await again(owner, first))["points"] == 1250
    await adds_up(company)


async def test_an_account_shows_its_memberships_in_one_statement(company: Company, account: Json) -> None:
    owner = company.owner
    member = await enrol(owner, await programme(owner), account)
    await adjust(owner, member, 40)
    await top_up(owner, member, "12.50")
    overview = await owner.ok("GET", f"/v1/accounts/{account['id']}/overview")
    (shown,) = overview["panels"]["membership"]
    assert (shown["programme"], shown["number"], shown["tier"], shown["points"], shown["rfm_class"]) == (
        "Club", member["number"], None, 40, None,
    )  # fmt: skip
    assert shown["wallets"] == [usd("12.50") | {"status": "active"}]
    async with acting(company) as uow:
        before = uow.statements
        assert len(await MembershipPanel(uow).panel([UUID(account["id"])] * 3)) == 1
        assert uow.statements - before == 1


async def test_a_rule_of_a_category_holds_for_what_lies_below_it(company: Company, account: Json) -> None:
    owner = company.owner
    top = await make(owner, "product-categories", name="Machines")
    middle = await make(owner, "product-categories", name="Pumps", parent_id=top["id"])
    leaf = await make(owner, "product-categories", name="Hand pumps", parent_id=middle["id"])
    beside = await make(owner, "product-categories", name="Valves", parent_id=top["id"])
    goods = {
        name: await make(owner, "products", code=name, name=name, status="active", category_id=category["id"])
        for name, category in (("leaf", leaf), ("middle", middle), ("beside", beside))
    }
    rules = [
        ONE_PER_DOLLAR,
        {"key": "pumps", "kind": "multiplier", "factor": "10", "category_ids": [middle["id"]]},
    ]
    member = await enrol(owner, await programme(owner, earn_rules=rules), account)
    await delivered(
        company, account, *(line("1", price, product_id=goods[name]["id"]) for name, price in (
            ("leaf", "1.00"), ("middle", "2.00"), ("beside", "3.00"),
        ))
    )  # fmt: skip
    assert (await again(owner, member))["points"] == 33
