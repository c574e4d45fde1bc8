"""Order confirmations on paper: what they say in both languages, how an order stands, and who gets them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from pypdf import PdfReader

from app.modules.orders.services.paper import describe_order
from tests.modules.catalog.goods import product
from tests.modules.orders.conftest import Hire
from tests.modules.orders.orders import line, money, order_of, stepped
from tests.modules.support import acting, subject_id
from tests.support.api import Client, Company

Json = dict[str, Any]


async def paper(owner: Client, path: str, language: str | None = None) -> str:
    """The text of a document, whose tag is the hash of its bytes."""
    answer = await owner.get(f"{path}/pdf{f'?language={language}' if language else ''}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)


async def test_an_order_is_confirmed_on_paper_in_both_languages(owner: Client, account: Json) -> None:
    pump = await product(owner, name="水泵", name_en="Pump", prices=[money("100.00")], tax_class=None)
    order = await order_of(
        owner, account, {"product_id": pump["id"], "quantity": "2", "tax_rate": "19"}, line("1", "5.00", tax_rate="19"),
        currency="USD", customer_reference="PO-77", discount_percent="10", requested_on="2027-03-01",
        shipping_address={"name": "Dock 4", "street": "Quay 1", "city": "Rotterdam", "country": "NL"},
    )  # fmt: skip
    path = f"/v1/orders/{order['id']}"
    draft = await paper(owner, path, "en")
    assert "DRAFT" in draft
    order = await stepped(owner, order, "confirm")
    english = await paper(owner, path, "en")
    for part in (
        "Order confirmation", order["number"], "Harbour Pumps", "PO-77", "Pump", "200.00", "184.50", "35.06", "219.56", "Dock 4",
        "Quay 1", "March 1, 2027",
    ):  # fmt: skip
        assert part in english, (part, english)
    assert "DRAFT" not in english
    assert "水泵" not in english
    chinese = await paper(owner, path, "zh")
    for part in ("订单确认书", "水泵", "贵方参考号", "收货地址"):
        assert part in chinese, part
    assert await paper(owner, path) == english


async def test_it_says_how_the_order_stands(owner: Client, account: Json) -> None:
    order = await order_of(owner, account, line("3", "10.00"), line("2", "7.00", description="Valve"))
    await stepped(owner, order, "confirm")
    body = {"lines": [{"line_id": order["lines"][0]["id"], "quantity": "1"}], "reason": "Sold out"}
    await stepped(owner, order, "cancel-lines", body)
    path = f"/v1/orders/{order['id']}"
    assert "34.00" in await paper(owner, path)
    await stepped(owner, order, "cancel", {"reason": "Bankrupt"})
    assert "This order was cancelled." in await paper(owner, path)


async def test_nobody_gets_paper_of_an_order_that_they_may_not_see(
    owner: Client, account: Json, rival: Company, hire: Hire
) -> None:
    order = await order_of(owner, account, line())
    rules = {"order": {"hidden": ["total"]}}
    role = await owner.ok(
        "POST", "/v1/roles", json={"name": "Blind", "grants": {"order:read": "all"}, "field_rules": rules}
    )
    blind = await hire(role_ids=[role["id"]])
    for client, refused in ((rival.owner, (404, "not_found")), (blind, (403, "forbidden"))):
        answer = await client.get(f"/v1/orders/{order['id']}/pdf")
        assert (answer.status_code, answer.json()["code"]) == refused


async def test_a_long_order_takes_as_many_statements_as_a_short_one(
    owner: Client, account: Json, company: Company
) -> None:
    pump = await product(owner, prices=[money("1.00")])
    counts = []
    for size in (2, 200):
        lines = [{"product_id": pump["id"], "quantity": "1"}] * size
        order = await order_of(owner, account, *lines, currency="USD")
        async with acting(company) as uow:
            before = uow.statements
            await describe_order(uow, subject_id(order), "en")
            counts.append(uow.statements - before)
    assert counts[0] == counts[1] <= 6
