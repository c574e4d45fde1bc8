"""What orders add up to: exact, scoped, and without what is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from app.modules.orders.schemas.statistics import OrderQuestion
from app.modules.orders.services.statistics import OrderStatisticsService
from tests.modules.orders.conftest import Hire
from tests.modules.orders.orders import line, money, order_of, product, stepped
from tests.modules.orders.test_imports import bring, bring_back, customer, gave_back, past, sold
from tests.modules.support import acting, make
from tests.support.api import Client, Company

Json = dict[str, Any]


async def ask(client: Client, **question: str) -> Json:
    query = "&".join(f"{name}={value}" for name, value in question.items())
    found: Json = await client.ok("GET", f"/v1/orders/statistics?{query}")
    return found


async def history(company: Company) -> Json:
    """Two accounts, three orders in two months, a cancelled one, and a return in the second month."""
    await customer(company)
    other = await make(company.owner, "accounts", name="Elsewhere", external_id="K2", country="DE")
    goods = await product(company.owner, name="Lamp")
    lamp = {"product": goods["code"], "unit_cost": "1"}
    await bring(
        company,
        past("A", sold("3", "0.333", **lamp, external_id="A/1"), sold("1", "10"), ordered_on="2024-01-05", source="web"),
        past("B", sold("2", "0.333", **lamp), ordered_on="2024-02-01", source="web"),
        past("C", sold("1", "7.777"), account="K2", ordered_on="2024-02-29", source="shop"),
        past("D", sold("9", "100"), ordered_on="2024-02-01", status="cancelled"),
    )  # fmt: skip
    await bring_back(
        company, gave_back("R", {"order_line": "A/1", "quantity": "2"}, returned_on="2024-02-10")
    )
    return {"lamp": goods["id"], "other": other["id"]}


def told(group: Json, *names: str) -> list[Any]:
    (sums,) = group["sums"]
    return [sums[name]["amount"] if isinstance(sums[name], dict) else sums[name] for name in names]


async def test_orders_by_month_less_what_came_back(company: Company) -> None:
    await history(company)
    found = await ask(company.owner, group_by="month")
    names = ("orders", "returns", "net", "returned_net", "exact_value")
    assert [(group["key"], *told(group, *names)) for group in found["data"]] == [
        ("2024-01-01", 1, 0, "11.00", "0.00", "10.999"),
        ("2024-02-01", 2, 1, "8.45", "0.67", "7.777"),  # 0.67 and 7.78; 0.666 + 7.777 - 0.666
    ]
    (total,) = found["total"]
    assert (total["orders"], total["exact_value"]) == (3, "18.776")
    assert (total["net"], total["average_order_value"]) == (money("19.45"), money("6.48"))
    assert (total["cost"], total["margin"]) == (
        money("2.00"),
        money("-1.33"),
    )  # of B alone: the others do not say
    assert (found["accounts"], found["repeat_accounts"], found["repeat_rate"]) == (2, 1, "0.5")


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("country", [("FR", None, "11.67"), ("DE", None, "7.78")]),
        ("source", [("web", None, "11.67"), ("shop", None, "7.78")]),
        ("account", [(None, "Lantern House", "11.67"), (None, "Elsewhere", "7.78")]),
    ],
)
async def test_orders_by_what_they_are(company: Company, group_by: str, expected: list[Any]) -> None:
    await history(company)
    found = await ask(company.owner, group_by=group_by)
    groups = [group for group in found["data"] if group["key"] is not None]
    named = [
        (None if group["label"] else group["key"], group["label"], group["sums"][0]["net"]["amount"])
        for group in groups
    ]
    assert named == expected


async def test_orders_by_product(company: Company) -> None:
    lamp = (await history(company))["lamp"]
    found = await ask(company.owner, group_by="product")
    first, last = found["data"]
    assert (first["key"], first["label"]) == (lamp, "Lamp")
    assert told(first, "orders", "returns", "quantity", "net", "cost", "margin", "exact_value") == [
        2, 1, "3", "1.67", "5.00", "-3.33", "0.999",
    ]  # fmt: skip
    assert (last["key"], *told(last, "orders", "net")) == (None, 2, "17.78")
    (total,) = found["total"]
    assert (total["orders"], total["returns"], total["exact_value"]) == (3, 1, "18.776")
    one = await ask(company.owner, group_by="product", product_id=lamp)
    assert [group["key"] for group in one["data"]] == [lamp]


async def test_filters_and_days_narrow_what_is_asked(company: Company) -> None:
    facts = await history(company)
    owner = company.owner
    found = await ask(owner, ordered_from="2024-02-01", ordered_to="2024-02-01")
    assert [told(group, "orders", "returns", "exact_value") for group in found["data"]] == [[1, 0, "0.666"]]
    found = await ask(owner, account_id=facts["other"])
    assert [told(group, "orders", "net") for group in found["data"]] == [[1, "7.78"]]
    wrong = await owner.get(f"/v1/orders/statistics?product_id={facts['lamp']}")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_filter")
    assert (await owner.get("/v1/orders/statistics?status=closed")).status_code in (400, 422)


async def test_drafts_do_not_count(company: Company, account: Json) -> None:
    owner = company.owner
    made = await order_of(owner, account, line("1", "5"))
    assert (await ask(owner))["total"] == []
    await stepped(owner, made, "confirm")
    assert [told({"sums": (await ask(owner))["total"]}, "orders", "net")] == [[1, "5.00"]]


async def test_nobody_counts_what_they_do_not_see_or_reads_what_is_hidden(
    company: Company, hire: Hire, account: Json
) -> None:
    owner = company.owner
    order = await order_of(owner, account, line("1", "5", unit_cost=money("2")))
    await stepped(owner, order, "confirm")
    assert (await ask(await hire("salesperson")))["total"] == []
    grants = {"order:read": "all", "order:update": "all", "order:create": "all", "account:read": "all"}
    for hidden, shown in ((["cost"], ["5.00", None, None, "5"]), (["total"], [None, None, None, None])):
        body = {"name": f"No {hidden[0]}", "grants": grants, "field_rules": {"order": {"hidden": hidden}}}
        role = await owner.ok("POST", "/v1/roles", json=body)
        spy = await hire(role_ids=[role["id"]])
        (total,) = (await ask(spy))["total"]
        assert told({"sums": [total]}, "net", "cost", "margin", "exact_value") == shown
        seen = await spy.ok("GET", f"/v1/orders/{order['id']}")
        assert not {"cost", "margin", *hidden} & seen.keys()
        assert seen["lines"][0]["unit_cost"] is None
        assert (seen["lines"][0]["unit_price"] is None) is (hidden == ["total"])
        assert "5.00" not in str(await spy.ok("GET", f"/v1/orders/{order['id']}/history")) or hidden == [
            "cost"
        ]


async def test_a_question_takes_the_same_statements_however_many_orders(company: Company) -> None:
    await history(company)
    counts = []
    for number in (0, 60):
        if number:
            await bring(company, *[past(f"X{one}", sold("1", "1")) for one in range(number)])
        for group_by in ("month", "product", "account"):
            async with acting(company) as uow:
                await OrderStatisticsService(uow).answer(OrderQuestion(group_by=group_by))
                counts.append(uow.statements)
    assert counts[:3] == counts[3:]
    assert max(counts) <= 8
