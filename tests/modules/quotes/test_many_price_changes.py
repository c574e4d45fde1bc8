"""A price of a product that thousands of open quotes have."""

from __future__ import annotations

import time
from uuid import UUID

from app.modules.quotes.services.price_changes import price_changed
from tests.modules.catalog.goods import product
from tests.modules.quotes.offers import money, quote_of
from tests.modules.quotes.test_catalog import of
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.tenants.people import Look

MANY = 4_000
_QUOTES = """
INSERT INTO quotes.quotes SELECT (jsonb_populate_record(q, jsonb_build_object(
  'id', gen_random_uuid(), 'number', q.number || '-' || n, 'thread_id', gen_random_uuid()))).*
FROM quotes.quotes q, generate_series(2, $2) n WHERE q.id = $1"""
_LINES = """
INSERT INTO quotes.quote_lines SELECT (jsonb_populate_record(l, jsonb_build_object(
  'id', gen_random_uuid(), 'quote_id', q.id))).*
FROM quotes.quote_lines l, quotes.quotes q WHERE l.quote_id = $1 AND q.tenant_id = l.tenant_id AND q.id <> $1"""


async def test_they_are_found_in_linear_time_whatever_is_known_of_the_tables(
    company: Company, owner: Client, look: Look
) -> None:
    pump = await product(owner, name="Pump", prices=[money("100.00")])
    quote = await quote_of(owner, of(pump))
    await look.run(_QUOTES, quote["id"], MANY)
    await look.run(_LINES, quote["id"])

    async def seconds(price: str) -> float:
        begun = time.perf_counter()
        async with acting(company) as uow:
            await price_changed(
                uow, UUID(pump["id"]), currency="USD", former="100.00", price=price,
                price_book_id=None, account_id=None, contract_id=None,
            )  # fmt: skip
        told = await look.value("SELECT count(*) FROM quotes.price_notices WHERE price = $1", price)
        assert told == MANY
        return time.perf_counter() - begun

    unknown = await seconds("110.00")
    for table in ("quotes", "quote_lines", "price_notices"):
        await look.run(f"ANALYZE quotes.{table}")
    assert unknown < 4 * await seconds("120.00")
