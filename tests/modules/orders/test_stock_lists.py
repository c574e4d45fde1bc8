"""Pages of stock levels and movements: whole, in order, in one statement, and not mixed up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.modules.orders.services.stock import StockService
from tests.modules.orders.orders import stock
from tests.modules.support import acting
from tests.support.api import Company


async def _pages(company: Company, path: str, limit: int) -> list[list[dict[str, Any]]]:
    """Each page of a list until its end."""
    pages: list[list[dict[str, Any]]] = []
    cursor = ""
    while True:
        page = await company.owner.ok("GET", f"{path}limit={limit}{cursor}")
        pages.append(page["data"])
        if not page["has_more"]:
            assert page["next_cursor"] is None
            return pages
        cursor = f"&cursor={page['next_cursor']}"


async def test_levels_and_movements_come_in_pages_in_order_and_once(company: Company) -> None:
    products = sorted([await stock(company.owner, str(number)) for number in range(1, 6)])
    await stock(company.owner, "7", products[0])
    pages = await _pages(company, "/v1/stock-levels?", 2)
    assert [[one["product_id"] for one in page] for page in pages] == [
        products[:2],
        products[2:4],
        products[4:],
    ]
    of_two = await _pages(company, f"/v1/stock-levels?product_id={products[3]}&product_id={products[1]}&", 1)
    assert [[one["product_id"] for one in page] for page in of_two] == [[products[1]], [products[3]]]
    moved = await _pages(company, "/v1/stock-movements?", 4)
    assert [len(page) for page in moved] == [4, 2]
    assert moved[0][0]["quantity"] == "7"
    ids = [one["id"] for page in moved for one in page]
    assert ids == sorted(set(ids), reverse=True)
    newest, first = await _pages(company, f"/v1/stock-movements?product_id={products[0]}&", 1)
    assert (newest[0]["quantity"], first[0]["product_id"]) == ("7", products[0])


async def test_a_cursor_of_one_list_is_none_of_another(company: Company) -> None:
    products = [await stock(company.owner, "1") for _ in range(3)]
    page = await company.owner.ok("GET", "/v1/stock-levels?limit=1")
    for path in (f"/v1/stock-levels?product_id={products[0]}", "/v1/stock-movements?limit=1"):
        answer = await company.owner.get(f"{path}&cursor={page['next_cursor']}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_page_is_one_statement_however_much_there_is(company: Company) -> None:
    products = [await stock(company.owner, "1") for _ in range(4)]
    async with acting(company) as uow:
        service, before = StockService(uow), uow.statements
        await service.levels(None, limit=3, cursor=None)
        await service.levels([UUID(id) for id in products], limit=3, cursor=None)
        await service.movements(None, limit=3, cursor=None)
        await service.movements(UUID(products[0]), limit=3, cursor=None)
        assert uow.statements - before == 4
