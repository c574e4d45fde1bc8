"""Money is conserved: random quotes in four currencies reconcile to the minor unit, as computed and as stored."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from uuid import UUID

import pytest

from app.kernel.errors import Invalid
from app.kernel.money import exponent_of, format_minor
from app.modules.quotes.services.pricing import GivenLine, Header, LinePrice, included_lines
from app.modules.quotes.services.summing import add_up, header_columns
from tests.modules.quotes.offers import account_of, money
from tests.modules.support import make
from tests.support.api import Client

CURRENCIES = ("CNY", "USD", "JPY", "KWD")
BATCHES = 20
QUOTES_IN_A_BATCH = 125  # x 20 batches x 4 currencies = 10,000


def decimal(chance: random.Random, top: int, places: int) -> Decimal:
    return Decimal(chance.randrange(top * 10**places)).scaleb(-places)


def header(chance: random.Random, currency: str) -> Header:
    return Header(
        currency=currency,
        tax_included=chance.random() < 0.3,
        discount_percent=chance.choice((Decimal(0), decimal(chance, 100, 4))),
        discount_amount=chance.choice((0, chance.randrange(500))),
        account_id=UUID(int=1),
        contract_id=None,
        partner_id=None,
        segment=None,
        channel=None,
        tax_country="CN",
        language="en",
    )


def a_line(chance: random.Random, place: int) -> LinePrice:
    quantity = decimal(chance, 50, chance.choice((0, 1, 4))) + Decimal("0.0001")
    price = decimal(chance, 200, chance.choice((0, 2, 8)))
    given = GivenLine(
        product_id=None,
        description="x",
        detail=None,
        unit=None,
        quantity=quantity,
        unit_price=price,
        discount_percent=chance.choice((Decimal(0), Decimal(100), decimal(chance, 100, 4))),
        discount_amount=0,
        tax_rate=None,
        charge=None,
        optional=chance.random() < 0.2,
        component_of=chance.randrange(place) if place and chance.random() < 0.1 else None,
        unit_cost=None,
    )
    return LinePrice(
        given=given,
        description="x",
        unit="piece",
        charge=chance.choice(("one_time", "monthly", "yearly")),
        source=chance.choice(("list", "entered")),
        price_book_id=None,
        list_price=chance.choice((None, price * 2)),
        unit_price=price,
        exact_gross=None if chance.random() < 0.8 else quantity * price / 2,
        tax_rate=chance.choice((Decimal(0), Decimal(13), decimal(chance, 30, 4))),
        unit_cost=chance.choice((None, price / 2)),
    )


def reconcile(head: Header, prices: list[LinePrice]) -> None:
    """Lines = header, taxes and shares add up, and each line is what long arithmetic says."""
    sums = add_up(head, prices)
    columns = header_columns(head, prices, sums)
    counted = [sums.lines[place] for place in sums.included]
    assert list(sums.included) == included_lines([line.given for line in prices])
    for name in ("gross", "discount", "header_discount", "net", "tax", "total"):
        assert columns[name] == sum(getattr(line, name) for line in counted)
    assert columns["total"] == columns["net"] + columns["tax"]
    assert columns["total"] == sum(columns[f"{kind}_total"] for kind in ("one_time", "monthly", "yearly"))
    taxes = sums.totals.taxes
    assert (sum(one.net for one in taxes), sum(one.tax for one in taxes)) == (columns["net"], columns["tax"])
    aside = set(range(len(prices))) - set(sums.included)
    assert all(sums.lines[place].header_discount == 0 for place in aside)
    if columns["cost"] is not None:
        assert columns["margin_amount"] == columns["net"] - columns["cost"]
    for line, found in zip(prices, sums.lines, strict=True):
        check_line(head, line, found)


def check_line(head: Header, line: LinePrice, found: Any) -> None:
    scale = Decimal(10) ** exponent_of(head.currency)
    with localcontext() as context:
        context.prec = 80
        exact = line.given.quantity * line.unit_price if line.exact_gross is None else line.exact_gross
        less = exact * (1 - line.given.discount_percent / 100)
        assert found.subtotal == int((less * scale).quantize(Decimal(1), ROUND_HALF_UP))
        assert found.gross == int((exact * scale).quantize(Decimal(1), ROUND_HALF_UP))
        after = Decimal(found.subtotal - found.header_discount)
        share = line.tax_rate / (100 + line.tax_rate) if head.tax_included else line.tax_rate / 100
        assert found.tax == int((after * share).quantize(Decimal(1), ROUND_HALF_UP))
    assert found.net + found.tax == found.total
    assert found.total == (int(after) if head.tax_included else int(after) + found.tax)


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_ten_thousand_quotes_reconcile(currency: str, batch: int) -> None:
    chance = random.Random(f"{currency}:{batch}")
    refused = reconciled = 0
    for _ in range(QUOTES_IN_A_BATCH):
        head = header(chance, currency)
        prices = [a_line(chance, place) for place in range(chance.randrange(1, 12))]
        try:
            reconcile(head, prices)
            reconciled += 1
        except Invalid as problem:
            refused += [error.code for error in problem.errors] == ["more_than_the_price"]
    assert refused + reconciled == QUOTES_IN_A_BATCH
    assert reconciled > QUOTES_IN_A_BATCH / 2


@pytest.mark.parametrize("currency", CURRENCIES)
async def test_stored_quotes_reconcile(owner: Client, currency: str) -> None:
    chance = random.Random(currency)
    account = await account_of(owner)
    for _ in range(10):
        lines = [
            {
                "description": "x",
                "quantity": f"{decimal(chance, 50, 4) + Decimal('0.0001'):f}",
                "unit_price": money(f"{decimal(chance, 200, 8):f}", currency),
                "discount_percent": f"{decimal(chance, 100, 4):f}",
                "tax_rate": f"{decimal(chance, 30, 4):f}",
                "charge": chance.choice(("one_time", "monthly", "yearly")),
                "optional": chance.random() < 0.2,
            }
            for _ in range(chance.randrange(1, 15))
        ]
        quote = await make(
            owner,
            "quotes",
            account_id=account["id"],
            currency=currency,
            lines=lines,
            discount_percent=f"{decimal(chance, 100, 4):f}",
            tax_included=chance.random() < 0.5,
        )
        counted = [line for line in quote["lines"] if not line["optional"]]
        for name in ("gross", "discount", "header_discount", "net", "tax", "total"):
            whole = sum(Decimal(line[name]["amount"]) for line in counted)
            assert Decimal(quote[name]["amount"]) == whole
        assert Decimal(quote["tax"]["amount"]) == sum(Decimal(tax["tax"]["amount"]) for tax in quote["taxes"])
        assert quote["total"]["amount"] == format_minor(
            int(Decimal(quote["total"]["amount"]).scaleb(exponent_of(currency))), currency
        )
