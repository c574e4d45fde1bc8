"""Money keeps every minor unit, and refuses what it cannot keep."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.kernel.money import (
    EXPONENTS,
    MAX_MINOR,
    AmountOutOfRange,
    Currency,
    CurrencyMismatch,
    InvalidAmount,
    Money,
    MoneyIn,
    MoneyOut,
    TooManyDecimals,
    UnitPrice,
    UnitPriceIn,
    UnknownCurrency,
    format_minor,
    parse_major,
)

currencies = st.sampled_from(sorted(EXPONENTS))
minors = st.integers(min_value=-MAX_MINOR, max_value=MAX_MINOR)
money = st.builds(Money, minors, currencies)


class Deal(BaseModel):
    amount: MoneyIn
    price: UnitPriceIn | None = None


class Answer(BaseModel):
    amount: MoneyOut


@pytest.mark.parametrize(
    ("currency", "exponent"),
    [
        *[(code, 3) for code in ("IQD", "BHD", "KWD", "JOD", "OMR", "TND", "LYD")],
        *[(code, 0) for code in ("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF")],
        *[(code, 2) for code in ("CNY", "USD", "EUR", "MGA", "MRU", "RSD", "HUF", "TWD", "IDR")],
        *[(code, 4) for code in ("UYW", "CLF")],
    ],
)
def test_each_currency_has_the_decimals_of_iso_4217(currency, exponent):
    assert Money.zero(currency).exponent == exponent


def test_the_table_holds_currencies_only():
    assert len(EXPONENTS) == 168
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert not EXPONENTS.keys() & {"XAU", "XXX", "XTS", "XDR"}


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1299.00", "CNY", 129900),
        ("1299", "CNY", 129900),
        ("1299.5", "CNY", 129950),
        ("-0.05", "CNY", -5),
        ("-0", "CNY", 0),
        ("1299", "JPY", 1299),
        ("1.234", "IQD", 1234),
        ("0.0001", "CLF", 1),
        ("92233720368547758.07", "CNY", MAX_MINOR),
    ],
)
def test_a_decimal_string_becomes_minor_units(text, currency, minor):
    assert Money.from_major(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency", "refusal"),
    [
        ("1.234", "CNY", TooManyDecimals),
        ("1.0", "JPY", TooManyDecimals),
        ("1e5", "CNY", InvalidAmount),
        ("NaN", "CNY", InvalidAmount),
        ("Infinity", "CNY", InvalidAmount),
        ("", "CNY", InvalidAmount),
        (" 1", "CNY", InvalidAmount),
        ("1\n", "CNY", InvalidAmount),
        ("+1", "CNY", InvalidAmount),
        ("1,299.00", "CNY", InvalidAmount),
        ("１２", "CNY", InvalidAmount),
        ("1" * 5000, "CNY", InvalidAmount),
        ("92233720368547758.08", "CNY", AmountOutOfRange),
        ("1", "cny", UnknownCurrency),
        ("1", "XXX", UnknownCurrency),
    ],
)
def test_what_is_not_an_amount_is_refused(text, currency, refusal):
    with pytest.raises(refusal):
        Money.from_major(text, currency)


@given(minors, currencies)
def test_writing_and_reading_gives_the_same_amount(minor, currency):
    assert parse_major(format_minor(minor, currency), currency) == minor


@given(st.text(max_size=30), currencies)
def test_any_text_is_read_or_refused_by_name(text, currency):
    try:
        minor = parse_major(text, currency)
    except (InvalidAmount, TooManyDecimals, AmountOutOfRange):
        return
    assert Decimal(format_minor(minor, currency)) == Decimal(text)


def test_two_currencies_do_not_mix():
    cny, usd = Money(100, "CNY"), Money(100, "USD")
    for mix in (
        lambda: cny + usd,
        lambda: cny - usd,
        lambda: cny < usd,
        lambda: cny >= usd,
        lambda: Money.total([cny, usd], "CNY"),
    ):
        with pytest.raises(CurrencyMismatch):
            mix()
    assert cny != usd


def test_amounts_of_one_currency_add_subtract_and_compare():
    a, b = Money(150, "CNY"), Money(-25, "CNY")
    assert (a + b, a - b, -a, abs(b)) == (
        Money(125, "CNY"),
        Money(175, "CNY"),
        Money(-150, "CNY"),
        Money(25, "CNY"),
    )
    assert b < a <= a
    assert a > b
    assert Money.total([a, b, a], "CNY") == Money(275, "CNY")
    assert Money.total([], "JPY") == Money.zero("JPY")
    assert str(a) == "1.50 CNY"


@pytest.mark.parametrize("minor", [MAX_MINOR + 1, -MAX_MINOR - 1])
def test_an_amount_beyond_bigint_cannot_be_made(minor):
    with pytest.raises(AmountOutOfRange):
        Money(minor, "CNY")
    with pytest.raises(AmountOutOfRange):
        Money(MAX_MINOR if minor > 0 else -MAX_MINOR, "CNY").multiply(2)


@pytest.mark.parametrize("minor", [1.0, True, Decimal(1), "1"])
def test_only_whole_numbers_are_minor_units(minor):
    with pytest.raises(TypeError):
        Money(minor, "CNY")


@pytest.mark.parametrize(
    ("minor", "factor", "product"),
    [
        (100, "0.125", 13),
        (100, "0.124", 12),
        (-100, "0.125", -13),
        (1, "0.5", 1),
        (1, "0.49999999999999999999999999999", 0),
        (333, "3", 999),
        (MAX_MINOR, "1", MAX_MINOR),
    ],
)
def test_multiplying_rounds_once_half_up(minor, factor, product):
    assert Money(minor, "CNY").multiply(Decimal(factor)) == Money(product, "CNY")


@pytest.mark.parametrize("factor", ["NaN", "Infinity", "1e999999", "1e-999999"])
def test_absurd_factors_are_refused(factor):
    with pytest.raises(InvalidAmount):
        Money(1, "CNY").multiply(Decimal(factor))


def test_rounding_from_major_units_is_half_up():
    assert Money.rounded(Decimal("1.005"), "CNY") == Money(101, "CNY")
    assert Money.rounded(Decimal("0.5"), "JPY") == Money(1, "JPY")
    assert Money(1234, "IQD").to_decimal() == Decimal("1.234")


@pytest.mark.parametrize(
    ("minor", "weights", "shares"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (1, [1, 2], [0, 1]),
        (5, [Decimal("0.3"), Decimal("0.7")], [2, 3]),
        (7, [0, 1, 0], [0, 7, 0]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_shares_go_by_largest_remainder(minor, weights, shares):
    assert [share.amount_minor for share in Money(minor, "CNY").allocate(weights)] == shares


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 2]])
def test_weights_must_be_of_use(weights):
    with pytest.raises(ValueError, match="weights"):
        Money(1, "CNY").allocate(weights)


@given(money, st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=20).filter(any))
def test_shares_add_up_and_are_within_one_unit_of_exact(amount, weights):
    shares = amount.allocate(weights)
    assert Money.total(shares, amount.currency) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share.amount_minor * sum(weights) - amount.amount_minor * weight) < sum(weights)
        assert weight or not share.amount_minor


def test_the_wire_form_is_read_and_written():
    deal = Deal.model_validate_json('{"amount": {"amount": "1299", "currency": "CNY"}}')
    assert deal.amount == Money(129900, "CNY")
    assert Answer(amount=deal.amount).model_dump_json() == '{"amount":{"amount":"1299.00","currency":"CNY"}}'


@pytest.mark.parametrize(
    ("amount", "pointer", "code"),
    [
        ({"amount": "1.234", "currency": "CNY"}, ("amount",), "too_many_decimals"),
        ({"amount": "1e5", "currency": "CNY"}, ("amount",), "invalid_amount"),
        ({"amount": "NaN", "currency": "CNY"}, ("amount",), "invalid_amount"),
        ({"amount": "92233720368547758.08", "currency": "CNY"}, ("amount",), "amount_out_of_range"),
        ({"amount": 12.5, "currency": "CNY"}, ("amount", "amount"), "string_type"),
        ({"amount": "1", "currency": "XXX"}, ("amount", "currency"), "unknown_currency"),
        ({"amount": "1", "currency": "CNY", "tax": "0"}, ("amount", "tax"), "extra_forbidden"),
        ({"amount": "1"}, ("amount", "currency"), "missing"),
        ("12 CNY", ("amount",), "dict_type"),
    ],
)
def test_bad_money_on_the_wire_is_refused_with_place_and_code(amount, pointer, code):
    with pytest.raises(ValidationError) as caught:
        Deal.model_validate({"amount": amount})
    assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [(pointer, code)]


def test_input_and_output_share_one_named_schema():
    read, write = (Deal.model_json_schema(mode=mode)["$defs"] for mode in ("validation", "serialization"))
    assert read == write
    assert set(read) == {"MoneyValue"}
    assert read["MoneyValue"]["additionalProperties"] is False


def test_a_currency_is_three_capitals_of_the_table():
    currency = TypeAdapter(Currency)
    assert currency.validate_python("CNY") == "CNY"
    for other in ("cny", "ZZZ", "", 1, None):
        with pytest.raises(ValidationError):
            currency.validate_python(other)


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("0.0035", "CNY", "0.0035"),
        ("12", "CNY", "12.00"),
        ("0.00000001", "USD", "0.00000001"),
        ("-5", "JPY", "-5"),
    ],
)
def test_a_unit_price_keeps_its_decimals(amount, currency, written):
    assert UnitPrice.from_major(amount, currency).to_wire() == {"amount": written, "currency": currency}


def test_a_unit_price_times_a_quantity_rounds_once():
    price = UnitPrice.from_major("0.0035", "CNY")
    assert (price.times(1), price.times(1000), price.times(Decimal("1.5"))) == (
        Money(0, "CNY"),
        Money(350, "CNY"),
        Money(1, "CNY"),
    )


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [
        ("0.000000001", TooManyDecimals),
        ("1e5", InvalidAmount),
        ("1000000000000", AmountOutOfRange),
    ],
)
def test_a_unit_price_out_of_bounds_is_refused(amount, refusal):
    with pytest.raises(refusal):
        UnitPrice.from_major(amount, "CNY")


@pytest.mark.parametrize("minor", [0, 7, -5, 123456789])
@pytest.mark.parametrize("currency", ["JPY", "USD", "KWD", "CLF"])
def test_texts_are_what_goes_over_the_wire(minor: int, currency: str):
    assert Money(minor, currency).to_texts() == Money(minor, currency).to_wire()
