"""The price waterfall as computation: exact values, and properties that hold for every price list."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.modules.catalog.interface import (
    ChargeKind,
    PriceQuery,
    PriceQueryLine,
    PriceSource,
    ProductRef,
)
from app.modules.catalog.models.configuration import ComponentPricing
from app.modules.catalog.models.prices import BookKind, TierKind
from app.modules.catalog.services.waterfall import (
    Agreed,
    BookPrice,
    CannotPrice,
    Component,
    LineFacts,
    Tier,
    resolve,
    slab_price,
    unit_price,
)

ID = uuid4()
PRODUCT = ProductRef(
    id=ID, code="P", name="P", name_en=None, unit="piece", status="active", category_id=None, tax_class=None,
    charge=ChargeKind.ONE_TIME, stocked=False, is_bundle=False, warranty_months=None, cost=None,
)  # fmt: skip
prices = some.decimals(min_value=0, max_value=100_000, places=4, allow_nan=False)
quantities = some.decimals(min_value="0.001", max_value=10_000, places=3, allow_nan=False)


def facts(list_price: str | None = "100", **more: object) -> LineFacts:
    known = None if list_price is None else Decimal(list_price)
    return LineFacts(product=PRODUCT, list_price=known, **more)  # type: ignore[arg-type]


def book(kind: str, price: str, *, priority: int = 100, code: str = "B", **more: object) -> BookPrice:
    return BookPrice(
        book_id=uuid4(),
        code=code,
        kind=BookKind(kind),
        priority=priority,
        price=Decimal(price),
        **more,  # type: ignore[arg-type]
    )


def line(quantity: str = "1", **more: object) -> PriceQueryLine:
    return PriceQueryLine(product_id=ID, quantity=Decimal(quantity), **more)  # type: ignore[arg-type]


def query(*lines: PriceQueryLine, currency: str = "CNY", **more: object) -> PriceQuery:
    return PriceQuery(currency=currency, on=date(2026, 6, 1), lines=lines, **more)  # type: ignore[arg-type]


@some.composite
def tiers(draw: some.DrawFn) -> tuple[Tier, ...]:
    bounds = draw(some.lists(some.integers(1, 500), unique=True, max_size=6))
    return tuple(Tier(Decimal(bound), draw(prices)) for bound in sorted(bounds))


@given(prices, tiers(), quantities)
def test_slabs_price_each_part_of_the_quantity_at_its_own_tier(
    base: Decimal, steps: tuple[Tier, ...], quantity: Decimal
) -> None:
    whole = Fraction(0)
    for index, (start, price) in enumerate(
        [(Decimal(0), base), *((t.from_quantity, t.price) for t in steps)]
    ):
        end = steps[index].from_quantity if index < len(steps) else None
        part = quantity - start if end is None else min(quantity, end) - start
        whole += Fraction(max(part, Decimal(0))) * Fraction(price)
    assert Fraction(slab_price(base, steps, quantity)) == whole


@given(prices, tiers(), quantities, quantities)
def test_more_never_costs_less_with_slabs(
    base: Decimal, steps: tuple[Tier, ...], one: Decimal, other: Decimal
) -> None:
    less, more = sorted((one, other))
    assert slab_price(base, steps, less) <= slab_price(base, steps, more)


@given(prices, tiers(), quantities)
def test_a_range_prices_the_whole_quantity_at_the_tier_that_it_reaches(
    base: Decimal, steps: tuple[Tier, ...], quantity: Decimal
) -> None:
    found = unit_price(line(str(quantity)), facts(books=(book("default", str(base), tiers=steps),)))
    assert found is not None
    reached = [tier.price for tier in steps if tier.from_quantity <= quantity]
    assert (found.price, found.gross) == (reached[-1] if reached else base, None)


@given(
    some.lists(some.tuples(some.sampled_from(list(BookKind)), some.integers(0, 5)), min_size=1, max_size=8)
)
def test_books_go_by_kind_then_priority_then_code(kinds: list[tuple[BookKind, int]]) -> None:
    books = tuple(
        book(kind.value, str(index), priority=priority, code=f"{index:02}")
        for index, (kind, priority) in enumerate(kinds)
    )
    found = unit_price(line(), facts(books=books))
    order = list(BookKind)
    best = min(range(len(kinds)), key=lambda i: (order.index(kinds[i][0]), kinds[i][1], i))
    assert found is not None
    assert (found.price, found.source, found.book_id) == (
        Decimal(best), PriceSource.PRICE_BOOK, books[best].book_id,
    )  # fmt: skip


@given(prices, some.booleans(), some.booleans())
def test_what_was_agreed_goes_before_every_book(price: Decimal, in_contract: bool, dated: bool) -> None:
    agreed = Agreed(price=price, in_contract=in_contract, valid_from=date(2026, 1, 1) if dated else None)
    found = unit_price(line(), facts(agreed=(agreed,), books=(book("contract", "1"),)))
    assert found is not None
    assert (found.price, found.source) == (price, PriceSource.AGREED)


def test_the_contracts_price_goes_before_the_accounts_and_the_latest_before_the_former() -> None:
    account = Agreed(price=Decimal(70), in_contract=False, valid_from=date(2026, 5, 1))
    former = Agreed(price=Decimal(90), in_contract=True, valid_from=date(2026, 1, 1))
    latest = Agreed(price=Decimal(80), in_contract=True, valid_from=date(2026, 3, 1))
    found = unit_price(line(), facts(agreed=(account, former, latest)))
    assert found is not None
    assert [(step.kind, step.amount, step.detail) for step in found.steps] == [
        ("list", Decimal(100), None), ("agreed", Decimal(80), "contract"),
    ]  # fmt: skip


def test_an_entered_price_beats_every_list() -> None:
    found = unit_price(
        line(unit_price=Decimal(5)),
        facts(books=(book("default", "50"),), component=Component(ComponentPricing.INCLUDED)),
    )
    assert found is not None
    assert (found.price, found.source) == (Decimal(5), PriceSource.ENTERED)


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (Component(ComponentPricing.INCLUDED), "0"),
        (Component(ComponentPricing.FIXED, Decimal(30)), "30"),
        (Component(ComponentPricing.OWN), "100"),
        (Component(ComponentPricing.FIXED), None),
    ],
)
def test_components_cost_what_the_bundle_says(component: Component, expected: str | None) -> None:
    found = unit_price(line(), facts(component=component))
    assert (found and found.price) == (None if expected is None else Decimal(expected))


def test_every_step_shows_from_the_list_to_the_total() -> None:
    slab = book(
        "segment", "90", code="RETAIL", tier_kind=TierKind.SLAB, tiers=(Tier(Decimal(10), Decimal(60)),)
    )
    pricing = resolve(
        query(
            line("15", discount_percent=Decimal(10)),
            line("1"),
            discount_amount=10_000,
            discount_percent=Decimal(5),
        ),
        [facts(books=(slab,), tax_rate=Decimal(13)), facts("250", tax_rate=Decimal(6))],
    )
    first, second = pricing.lines
    assert (first.unit_price, first.gross) == (Decimal(80), Decimal(1200))
    # 1200 - 10 % = 1080; with 250 it is 1330; 5 % and 100 are 166.50 off, shared 135.20 and 31.30
    assert [(step.kind, step.amount, step.detail) for step in first.steps] == [
        ("list", Decimal(100), None),
        ("price_book", Decimal(90), "RETAIL"),
        ("tier", Decimal(80), "slab from 10"),
        ("line_discount", Decimal("1080.00"), "10%"),
        ("header_discount", Decimal("944.80"), "5%"),
        ("net", Decimal("944.80"), None),
        ("tax", Decimal("122.82"), "13%"),
        ("total", Decimal("1067.62"), None),
    ]
    assert [(step.kind, step.amount) for step in second.steps][-3:] == [
        ("net", Decimal("218.70")), ("tax", Decimal("13.12")), ("total", Decimal("231.82")),
    ]  # fmt: skip
    totals = pricing.totals
    assert (totals.gross, totals.discount, totals.header_discount, totals.net, totals.tax, totals.total) == (
        145_000, 12_000, 16_650, 116_350, 13_594, 129_944,
    )  # fmt: skip


def test_all_refusals_come_at_once() -> None:
    lines = (
        line("0"),
        line("1", unit_price=Decimal(-1)),
        line("1", discount_percent=Decimal(101)),
        line("999999999999"),
        line("1"),
    )
    with pytest.raises(CannotPrice) as refused:
        resolve(query(*lines), [facts(), facts(), facts(), facts(), facts(None)])
    assert [(one.line, one.field, one.code) for one in refused.value.refusals] == [
        (0, "quantity", "not_positive"),
        (1, "unit_price", "negative"),
        (2, "discount_percent", "out_of_range"),
        (3, "quantity", "amount_out_of_range"),
        (4, "product_id", "no_price"),
    ]


def test_a_discount_beyond_the_price_names_every_line_or_the_header() -> None:
    lines = (line("1", discount_amount=10_001), line("1"), line("1", discount_amount=20_000))
    with pytest.raises(CannotPrice) as refused:
        resolve(query(*lines), [facts()] * 3)
    assert [(one.line, one.code) for one in refused.value.refusals] == [
        (0, "more_than_the_price"), (2, "more_than_the_price"),
    ]  # fmt: skip
    with pytest.raises(CannotPrice) as refused:
        resolve(query(line("1"), discount_amount=10_001), [facts()])
    assert [(one.line, one.field) for one in refused.value.refusals] == [(None, "discount_amount")]


@given(
    some.lists(some.tuples(prices, quantities, some.decimals(0, 100, places=2)), min_size=1, max_size=20),
    some.sampled_from(["CNY", "JPY", "KWD"]),
    some.decimals(0, 100, places=2),
    some.booleans(),
)
def test_lines_sum_to_the_document_and_end_at_their_last_step(
    given_lines: list[tuple[Decimal, Decimal, Decimal]], currency: str, percent: Decimal, included: bool
) -> None:
    lines = [line(str(quantity), discount_percent=off) for _, quantity, off in given_lines]
    known = [facts(str(price), tax_rate=Decimal(13)) for price, _, _ in given_lines]
    pricing = resolve(
        query(*lines, currency=currency, discount_percent=percent, tax_included=included), known
    )
    totals = pricing.totals
    assert sum(one.total for one in totals.lines) == totals.total == totals.net + totals.tax
    assert sum(one.header_discount for one in totals.lines) == totals.header_discount
    scale = 10 ** {"CNY": 2, "JPY": 0, "KWD": 3}[currency]
    for priced, amounts in zip(pricing.lines, totals.lines, strict=True):
        assert priced.steps[-1].kind == "total"
        assert priced.steps[-1].amount * scale == amounts.total


def test_ids_of_books_are_kept() -> None:
    kept = book("partner", "42")
    found = unit_price(line(), facts(books=(kept,)))
    assert found is not None
    assert isinstance(found.book_id, UUID)
    assert found.book_id == kept.book_id
