"""Records with parts: read in one statement, to the byte what the models of the wire make of the stored rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.kernel.access import Actor
from app.kernel.errors import NotFound
from app.kernel.money import Money, UnitPrice
from app.kernel.parts import Parts
from app.kernel.record_reads import read_one
from app.kernel.records import RecordType, to_json
from app.kernel.uow import UnitOfWork
from app.modules.orders.services.orders import ORDER
from app.modules.orders.services.receivables.invoices import INVOICE
from app.modules.orders.services.returns import RETURN
from app.modules.quotes.services.pricing import included_lines
from app.modules.quotes.services.quotes import QUOTE
from tests.modules.orders.conftest import account, hire, look
from tests.modules.orders.orders import Json, line, money, order_of, product
from tests.modules.orders.receivables.books import charge, draft
from tests.modules.orders.test_returns import back, delivered
from tests.modules.quotes import offers
from tests.modules.support import acting, actor_of
from tests.support.api import Company

__all__ = ["account", "hire", "look"]

ODD = 'A "half\\inch" pump\n\tfor 水 🚰 / \x01\x7f\u2028 it\'s {here}'
TYPES = pytest.mark.parametrize("kind", ["order", "invoice", "return", "quote"])
WITH_PARTS: dict[str, RecordType[Any]] = {one.object: one for one in (ORDER, INVOICE, RETURN, QUOTE)}
_UNIT_PRICES = {"unit_price", "list_price", "unit_cost"}
_MONEY = {
    "discount_amount", "gross", "discount", "subtotal", "header_discount", "benefit_discount", "net", "tax", "total",
    "credited_total",
}  # fmt: skip
_OF_TOTAL = _MONEY | {"unit_price", "list_price", "discount_percent", "price_source"}


@pytest.fixture
async def records(company: Company, account: Json) -> dict[str, list[Json]]:
    """Some of each kind: amounts of every size, currencies with no to four decimals, texts with every character."""
    owner = company.owner
    goods = await product(owner, stocked=False, costs=[money("1.2345")])
    rows = (
        {
            "description": ODD,
            "unit": 'm"',
            "tax_rate": "19",
            "discount_percent": "12.5",
            "unit_cost": money("3"),
        },
        {"description": "水泵", "charge": "monthly", "tax_rate": "7.25"},
        {"product_id": goods["id"], "tax_rate": "19.0"},
    )
    lines = [line("2.5", "0.00335") | rows[0], line("3", "1000000.1") | rows[1], line("1", "0.05") | rows[2]]
    whole = [line("2", "99") | {"description": "Bolt"}]
    many = [*lines, *whole * 9]
    orders = [
        await delivered(owner, account, *many, discount_percent="3"),
        await order_of(owner, account),
        *[await delivered(owner, account, line("3", "7", code)) for code in ("JPY", "KWD", "CLF")],
    ]
    charges = [charge("0.125", "3", description=ODD, tax_rate="19", unit="h"), charge("80", tax_rate="7")]
    choices = [
        offers.line("5.005", "3", description=ODD, tax_rate="19", discount_amount=money("0.01")),
        offers.line("10", optional=True, tax_rate="7"),
        offers.line("20", component_of=1, tax_rate="7"),
        offers.line("30", tax_rate="0"),
        offers.line("40", component_of=3, tax_rate="7", unit_cost=money("12.5")),
    ]
    quotes: tuple[tuple[str, list[Json]], ...] = (
        ("USD", lines),
        ("USD", choices),
        ("USD", []),
        ("JPY", [offers.line("12", "3", "JPY")]),
        ("USD", many),
    )
    return {
        "order": orders,
        "invoice": [
            await draft(owner, account, *charges),
            await draft(owner, account, charge("9", "2", "KWD")),
        ],
        "return": [
            await owner.ok("POST", "/v1/returns", json=back(one, (0, "1")))
            for one in (orders[0], *orders[2:])
        ],
        "quote": [
            await offers.quote_of(owner, *sent, account_id=account["id"], currency=code)
            for code, sent in quotes
        ],
    }


async def rows_of(uow: UnitOfWork, kind: str, id: UUID) -> list[Any]:
    sql = f"SELECT * FROM {WITH_PARTS[kind].module}.{kind}_lines WHERE tenant_id = $1 AND {kind}_id = $2"
    return await uow.fetch(f"{sql} ORDER BY position", uow.tenant_id, id)


def modelled(part: Parts, rows: list[dict[str, Any]], currency: str, absent: set[str]) -> list[Any]:
    """Each row through the model of the wire, which writes it."""
    found = []
    for row in rows:
        values: dict[str, Any] = {}
        for name in part.read.model_fields:
            value = None if name in absent else row[name]
            if value is not None and name in _UNIT_PRICES:
                value = UnitPrice(value, currency)
            elif value is not None and name in _MONEY:
                value = Money(int(value), currency)
            values[name] = value
        found.append(part.read(**values).model_dump(mode="json"))
    return found


def taxes(rows: list[Any], counting: list[int]) -> list[dict[str, Any]]:
    found: dict[Decimal, list[int]] = {}
    for at in counting:
        sums = found.setdefault(rows[at]["tax_rate"], [0, 0])
        sums[0] += rows[at]["net"]
        sums[1] += rows[at]["tax"]
    return [{"rate": rate, "net": net, "tax": tax} for rate, (net, tax) in sorted(found.items())]


class _Line:
    def __init__(self, row: Any) -> None:
        self.optional, self.component_of = row["optional"], row["component_of"]


def expected(kind: str, rows: list[Any], currency: str, hidden: set[str]) -> Iterator[tuple[str, list[Any]]]:
    """What the parts of a record must be."""
    absent = {"unit_cost"} if "cost" in hidden else set()
    if "total" in hidden:
        absent |= _OF_TOTAL
    for part in WITH_PARTS[kind].parts:
        assert isinstance(part, Parts)
        if part.name == "lines":
            yield "lines", modelled(part, rows, currency, absent)
            continue
        if part.name == "benefits":  # none of these was priced with any; tests/modules/membership has some
            yield "benefits", []
            continue
        counting = included_lines([_Line(row) for row in rows]) if kind == "quote" else [*range(len(rows))]
        made = [] if "total" in hidden else modelled(part, taxes(rows, counting), currency, set())
        yield part.name, made


def without(actor: Actor, kind: str, hidden: set[str]) -> Actor:
    return replace(actor, hidden_fields={kind: frozenset(hidden)})


async def alone(company: Company, actor: Actor, kind: str, id: UUID) -> tuple[bytes, int]:
    """What reading answers before a transaction has begun, and the statements that it took."""
    async with company.kernel.database.acquire() as connection:
        uow = UnitOfWork(company.kernel, connection, actor, read_only=True, begun=False)
        body, _ = await read_one(uow, WITH_PARTS[kind], id)
        await uow.commit()
        return body, uow.statements


@TYPES
@pytest.mark.parametrize("hidden", [set(), {"total"}, {"cost"}, {"total", "cost", "margin"}])
async def test_one_statement_answers_what_the_models_would(
    company: Company, records: dict[str, list[Json]], kind: str, hidden: set[str]
) -> None:
    actor = without(await actor_of(company), kind, hidden)
    record = WITH_PARTS[kind]
    for made in records[kind]:
        body, statements = await alone(company, actor, kind, UUID(made["id"]))
        async with acting(company, actor) as uow:
            rows = await rows_of(uow, kind, UUID(made["id"]))
            within, _ = await read_one(uow, record, UUID(made["id"]))
        parts = dict(expected(kind, rows, made["currency"], hidden))
        header = {name: value for name, value in orjson.loads(body).items() if name not in parts}
        assert (statements, within) == (1, body)
        assert body.endswith(to_json(parts)[1:])  # to the byte, and nothing behind
        assert header == {n: v for n, v in made.items() if n not in parts and n not in hidden} | {
            n: header[n] for n in ("version", "updated_at")
        }
        if not hidden and record.detail is not None:
            record.detail.model_validate_json(body)


@TYPES
async def test_making_answers_what_reading_answers(
    company: Company, account: Json, records: dict[str, list[Json]], kind: str
) -> None:
    owner, plural = company.owner, WITH_PARTS[kind].path
    goods = await product(owner, stocked=False, costs=[money("1.2345")])
    of_goods = {"product_id": goods["id"], "quantity": "3", "discount_percent": "2.50"}
    choice = offers.line("10", optional=True, tax_rate="7")
    bodies = {
        "order": {"lines": [line("2.50", "0.00335", description=ODD, tax_rate="7.0"), of_goods]},
        "invoice": {"lines": [charge("0.125", "3.0", description=ODD, tax_rate="19")]},
        "return": back(records["order"][0], (3, "1"), (4, "1")),
        "quote": {"lines": [choice, of_goods, offers.line("1", component_of=0)], "discount_percent": "3"},
    }
    for body in (bodies[kind], bodies[kind] | ({"lines": []} if kind in ("order", "quote") else {})):
        made = await owner.post(f"/v1/{plural}", {"account_id": account["id"]} | body)
        assert made.status_code == 201, made.text
        read = await owner.get(f"/v1/{plural}/{made.json()['id']}")
        assert read.content == made.content


@TYPES
@pytest.mark.parametrize("hidden", [set(), {"total"}])
async def test_changing_the_header_answers_what_reading_answers_in_one_statement(
    company: Company, records: dict[str, list[Json]], kind: str, hidden: set[str]
) -> None:
    actor, record = without(await actor_of(company), kind, hidden), WITH_PARTS[kind]
    id = UUID(records[kind][0]["id"])
    async with acting(company, actor) as uow:
        service = record.service(uow)
        row = await service.get(id, action="update", lock="update")
        before = uow.statements
        after = await service.change(row, {"tags": ["told"]})
        assert uow.statements == before
        answered = to_json(await service.answer(after))
        assert uow.statements == before + 1
        await uow.flush()
        assert uow.statements == before + 1
        read, _ = await read_one(uow, record, id)
    assert (answered, after.version) == (read, row.version + 1)
    assert (await alone(company, actor, kind, id))[0] == read


@TYPES
async def test_nobody_else_reads_a_record_by_its_parts(
    company: Company, rival: Company, records: dict[str, list[Json]], kind: str
) -> None:
    theirs = await actor_of(rival)
    for actor in (theirs, replace(await actor_of(company), tenant=theirs.tenant)):
        with pytest.raises(NotFound):
            await alone(company, actor, kind, UUID(records[kind][0]["id"]))


async def test_rows_of_another_company_under_the_same_ids_are_no_parts(
    company: Company, rival: Company, records: dict[str, list[Json]]
) -> None:
    (made, *_) = records["order"]
    column = ORDER.parts_columns(frozenset())
    async with acting(rival) as uow:
        sql = "(SELECT $1::uuid AS tenant_id, $2::uuid AS id, 'USD'::text AS currency, '[]'::jsonb AS benefits) t"
        found = await uow.fetchrow(
            f"SELECT NULL{column} FROM {sql}", (await actor_of(company)).tenant.id, UUID(made["id"])
        )
    assert found is not None
    assert found[1] == "[]"
