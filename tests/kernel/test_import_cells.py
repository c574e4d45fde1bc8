"""Cells of files read as numbers and amounts."""

from zoneinfo import ZoneInfo

import pytest

from app.kernel.imports.cells import datetime_reader, read_amount, read_decimal, read_integer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234.50", "1234.50"), ("1,234.50", "1234.50"), ("1 234 567", "1234567"), ("-1'234'567.8", "-1234567.8"),
        ("1,00,000", "100000"), ("1，0000", "10000"), ("12,34,567.89", "1234567.89"), ("1_000", "1000"), ("7", "7"),
    ],
)  # fmt: skip
def test_separators_of_thousands_are_left_out(text: str, number: str):
    assert (read_decimal(text), read_amount(text), read_amount(f"€ {text}")) == (number, number, number)


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
