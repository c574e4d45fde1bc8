"""Documents add up to the minor unit, whatever the currency, the discounts and the taxes."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import exponent_of
from app.kernel.totals import DiscountTooLarge, LineInput, TaxTotal, total

D = Decimal


def test_a_line_is_rounded_once_and_the_discount_of_the_header_goes_to_the_largest_remainders():
    third = LineInput(quantity=D(1), unit_price=D("0.335"), tax_rate=D(13))
    found = total([third, third, third], currency="CNY", discount_amount=1)
    assert [line.subtotal for line in found.lines] == [34, 34, 34]
    assert [line.header_discount for line in found.lines] == [1, 0, 0]
    assert [(line.net, line.tax, line.total) for line in found.lines] == [
        (33, 4, 37),
        (34, 4, 38),
        (34, 4, 38),
    ]
    assert (found.subtotal, found.header_discount, found.net, found.tax, found.total) == (
        102,
        1,
        101,
        12,
        113,
    )


def test_tax_that_prices_include_is_taken_out_of_them():
    found = total(
        [LineInput(quantity=D(1), unit_price=D(113), tax_rate=D(13))], currency="CNY", tax_included=True
    )
    assert (found.net, found.tax, found.total) == (10000, 1300, 11300)


def test_taxes_are_summed_by_rate():
    lines = [LineInput(quantity=D(1), unit_price=D(100), tax_rate=D(rate)) for rate in ("13", "6", "13")]
    assert total(lines, currency="CNY").taxes == (TaxTotal(D(6), 10000, 600), TaxTotal(D(13), 20000, 2600))


def test_percent_comes_off_before_the_amount_and_slabs_bring_their_own_gross():
    line = LineInput(
        quantity=D(3), unit_price=D("33.3333"), gross=D(100), discount_percent=D(10), discount_amount=500
    )
    found = total([line], currency="USD", discount_percent=D(50), discount_amount=250)
    assert (found.gross, found.discount, found.subtotal) == (10000, 1500, 8500)
    assert (found.header_discount, found.total) == (4500, 4000)


@pytest.mark.parametrize("where", ["line", "header"])
def test_a_discount_beyond_the_price_is_refused(where):
    line = LineInput(quantity=D(1), unit_price=D(1), discount_amount=101 if where == "line" else 0)
    with pytest.raises(DiscountTooLarge) as refusal:
        total([line], currency="USD", discount_amount=0 if where == "line" else 101)
    assert refusal.value.line == (0 if where == "line" else None)


_LINES = st.lists(
    st.builds(
        LineInput,
        quantity=st.decimals("0.0001", 9_999, places=4),
        unit_price=st.decimals(0, 99_999, places=8),
        discount_percent=st.decimals(0, 100, places=2),
        tax_rate=st.sampled_from([D(0), D(6), D(9), D(13), D("8.875"), D(20)]),
    ),
    min_size=1,
    max_size=20,
)


@given(_LINES, st.sampled_from(["CNY", "USD", "JPY", "KWD"]), st.decimals(0, 100, places=2), st.booleans())
def test_lines_sum_to_the_header_and_are_off_by_less_than_their_roundings(lines, currency, percent, included):
    found = total(lines, currency=currency, discount_percent=percent, tax_included=included)
    for name in ("gross", "discount", "subtotal", "header_discount", "net", "tax", "total"):
        assert sum(getattr(line, name) for line in found.lines) == getattr(found, name)
    assert found.subtotal == found.gross - found.discount
    assert found.total == found.net + found.tax
    assert sum(tax.tax for tax in found.taxes) == found.tax
    base = found.total if included else found.net
    assert base == found.subtotal - found.header_discount
    for line, given_ in zip(found.lines, lines, strict=True):
        exact = (
            Fraction(given_.quantity)
            * Fraction(given_.unit_price)
            * (1 - Fraction(given_.discount_percent) / 100)
        )
        assert abs(line.subtotal - exact * 10 ** exponent_of(currency)) <= Fraction(1, 2)
        rate = Fraction(given_.tax_rate)
        tax = line.total * rate / (100 + rate) if included else line.net * rate / 100
        assert abs(line.tax - tax) <= Fraction(1, 2)
