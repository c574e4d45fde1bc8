"""`rapport check money` over quotes and contracts: nothing to find after a life, and whatever is bent is found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.kernel.money_checks import differences_of
from tests.modules.contracts import deals
from tests.modules.orders.orders import line as order_line
from tests.modules.orders.orders import order_of, stepped
from tests.modules.quotes.offers import account_of, line, money, quote_of, sent_quote, step
from tests.modules.support import acting
from tests.support.api import Client, Company
from tests.tenants.people import Look

Json = dict[str, Any]
LINES = "lines that count are the quote"
ACCEPTED = "what was accepted is what the customer answered"
DRAWN = "drawings are what is drawn on the contract"
PLAN = "the plan of a contract in force is its value"


async def found(company: Company) -> list[tuple[str, str, str, str]]:
    """Rule, record and both figures of everything that does not add up."""
    async with acting(company) as uow:
        return [(one.rule, str(one.record_id), one.stored, one.computed) for one in await differences_of(uow)]


async def chain(owner: Client) -> tuple[Json, Json]:
    """An accepted quote with all kinds of lines, and a contract with a plan that an order draws on."""
    lines = [
        line("33.335", "3", tax_rate="13"), line("20.00", charge="monthly", discount_percent="7"), line("9.00", charge="yearly"),
        line("50.00", optional=True), line("3.00", component_of=3), line("1.00", component_of=0),
    ]  # fmt: skip
    quote = await sent_quote(owner, *lines, discount_percent="10", discount_amount=money("0.07"))
    await quote_of(owner)
    options = [one["id"] for one in quote["lines"] if one["optional"]]
    await step(owner, quote, "accept", name="Li Hua", chosen_line_ids=options)
    account = await account_of(owner)
    plan = [
        deals.item("One", percent="33.3333", rule="after_signing"),
        deals.item("Two", percent="66.6667", rule="after_signing"),
    ]
    contract = await deals.signed(owner, plan, account_id=account["id"], value=money("1000.01"))
    order = await order_of(owner, account, order_line("3", "10.00"), contract_id=contract["id"])
    await stepped(owner, order, "confirm")
    return quote, contract


async def test_a_whole_life_adds_up(owner: Client, company: Company) -> None:
    await chain(owner)
    assert await found(company) == []


@pytest.mark.parametrize(
    ("bend", "which", "rule"),
    [
        (
            "UPDATE quotes.quote_lines SET tax = tax + 1, total = total + 1 WHERE quote_id = $1 AND position = 0",
            0,
            LINES,
        ),
        ("UPDATE quotes.quote_lines SET optional = false WHERE quote_id = $1 AND position = 3", 0, LINES),
        ("UPDATE quotes.quote_lines SET charge = 'yearly' WHERE quote_id = $1 AND position = 1", 0, LINES),
        ("UPDATE quotes.quotes SET accepted_total = accepted_total + 1 WHERE id = $1", 0, ACCEPTED),
        ("UPDATE contracts.contracts SET drawn = drawn - 1 WHERE id = $1", 1, DRAWN),
        (
            "UPDATE contracts.instalments SET amount = amount + 1 WHERE contract_id = $1 AND position = 0",
            1,
            PLAN,
        ),
    ],
)
async def test_whatever_is_bent_is_found(
    owner: Client, company: Company, look: Look, bend: str, which: int, rule: str
) -> None:
    made = await chain(owner)
    await look.run("SET session_replication_role = replica")
    await look.run(bend, UUID(made[which]["id"]))
    [(told, record, stored, computed)] = await found(company)
    assert (told, record) == (rule, made[which]["id"])
    assert stored != computed or "yearly" in bend
