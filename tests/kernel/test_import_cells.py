"""Cells of files read as numbers and amounts."""

import re
from zoneinfo import ZoneInfo

import pytest

from app.kernel.currency_words import settled
from app.kernel.imports.cells import datetime_reader, read_amount, read_decimal, read_integer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234.50", "1234.50"), ("1,234.50", "1234.50"), ("1 234 567", "1234567"), ("-1'234'567.8", "-1234567.8"),
        ("1,00,000", "100000"), ("1，0000", "10000"), ("12,34,567.89", "1234567.89"), ("1_000", "1000"), ("7", "7"),
    ],
)  # fmt: skip
def test_separators_of_thousands_are_left_out(text: str, number: str):
    assert (read_decimal(text), read_amount(text), read_amount(f"€ {text}")) == (
        number,
        number,
        f"{number} EUR",
    )


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1299 usd", "1299 USD"), ("RMB1,299", "1299 CNY"), ("US$ 5", "5 USD"), ("HK$5", "5 HKD"), ("5 €", "5 EUR"),
        ("£5", "5 GBP"), ("人民币5", "5 CNY"), ("5美元", "5 USD"), ("$5", "5 $"), ("＄5", "5 $"), ("￥5", "5 ¥"), ("5元", "5 元"),
        ("$5 USD", "5 USD"), ("¥5元", "5 CNY"), ("5 kr", "5 KR"), ("5 Fr", "5 FR"), ("5 SFr", "5 CHF"), ("12 zł", "12 PLN"),
        ("5万", "50000"), ("1.25万元", "12500 元"), ("-3亿", "-300000000"), ("人民币5万元整", "50000 CNY"), ("0.5萬", "5000"),
        ("-$5", "-5 $"), ("$-5", "-5 $"), ("-US$1,299.50", "-1299.50 USD"), ("+€5", "5 EUR"), ("-人民币1.5万元", "-15000 CNY"),
        ("5万元人民币", "50000 CNY"), ("圆5元", "5 元"), ("元5圆", "5 元"),
        ("1.00000000000000000000000000000000001万", "10000.0000000000000000000000000000001"),
    ],
)  # fmt: skip
def test_what_stands_beside_an_amount_says_its_currency_or_multiplies_it(text: str, amount: str):
    assert read_amount(text) == amount


@pytest.mark.parametrize(
    "text", ["5 XYZ", "btc 5", "3k", "2M", "5 pcs", "5千", "$5 EUR", "€5 USD", "¥5 USD", "5 %", "元", "5万万",
    "$5元", "5元$", "-$-5", "--5", "5-", "(5)", "($5)", "（5）"],
)  # fmt: skip
def test_what_names_no_currency_beside_an_amount_is_refused_and_not_left_out(text: str):
    with pytest.raises(ValueError, match=r"currency|no amount"):
        read_amount(text)


@pytest.mark.parametrize("text", ["(5)", "$(5)", "($5)", "（5）"])
def test_an_amount_in_brackets_is_told_to_have_a_minus(text: str):
    with pytest.raises(ValueError, match="with a minus"):
        read_amount(text)


@pytest.mark.parametrize(
    ("named", "column", "otherwise", "code"),
    [
        ("", "", "CNY", "CNY"), (None, "", "CNY", "CNY"), ("$", "", "USD", "USD"), ("$", "HKD", "USD", "HKD"),
        ("¥", "", "JPY", "JPY"), ("元", "", "TWD", "TWD"), ("EUR", "", "CNY", "EUR"), ("EUR", "EUR", "CNY", "EUR"),
        ("", "EUR", "CNY", "EUR"), ("FR", "", "XOF", "XOF"), ("FR", "", "CHF", "CHF"),
    ],
)  # fmt: skip
def test_a_sign_of_several_currencies_is_of_the_one_that_the_amount_has_anyway(
    named: str | None, column: str, otherwise: str, code: str
):
    assert settled(named, column, otherwise) == code


@pytest.mark.parametrize(
    ("named", "column", "otherwise", "own"),
    [
        ("$", "", "CNY", "CNY"), ("¥", "", "USD", "USD"), ("FR", "", "EUR", "EUR"), ("$", "CNY", "USD", "CNY"),
        ("EUR", "USD", "EUR", "USD"),
    ],
)  # fmt: skip
def test_a_currency_beside_an_amount_that_has_another_is_refused(
    named: str, column: str, otherwise: str, own: str
):
    with pytest.raises(
        ValueError, match=f"^The amount is in {re.escape(named)}, but its currency is {own}\\.$"
    ):
        settled(named, column, otherwise)


@pytest.mark.parametrize("text", ["12,50", "1,5", "0,5", "1.234,56", "1 234,56", "1,", "1,,000", "1,000,5"])
def test_a_fraction_written_with_a_comma_is_refused_and_not_multiplied(text: str):
    for read in (read_decimal, read_integer, read_amount):
        with pytest.raises(ValueError, match="write fractions with a point"):
            read(text)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01", "Asia/Shanghai"), ("0001-01-01T00:00:00", "Asia/Shanghai"), ("0001/1/1", "Asia/Shanghai"),
        ("9999-12-31 23:59:59", "America/New_York"), ("0001-01-01T00:00:00+01:00", "Europe/London"),
    ],
)  # fmt: skip
def test_a_moment_that_is_out_of_the_calendar_elsewhere_is_refused(text: str, zone: str):
    with pytest.raises(ValueError, match="out of the calendar"):
        datetime_reader("ymd", ZoneInfo(zone))(text)
