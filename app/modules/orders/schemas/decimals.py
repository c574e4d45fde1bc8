"""Plain decimal numbers as text, in and out."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, StringConstraints


def decimal_text(value: Decimal) -> str:
    """The shortest plain text of a decimal: `12.5`, `3`."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal(pattern: str, example: str) -> Any:
    return StringConstraints(pattern=pattern), Field(examples=[example])


DecimalOut = Annotated[Decimal, PlainSerializer(decimal_text, return_type=str)]
Quantity = Annotated[str, *_decimal(r"^[0-9]{1,10}(\.[0-9]{1,4})?$", "3")]
"""A plain decimal number as text, to four decimals."""
SignedQuantity = Annotated[str, *_decimal(r"^-?[0-9]{1,10}(\.[0-9]{1,4})?$", "10")]
"""The same with a sign: what came in, or went out."""
Percent = Annotated[str, *_decimal(r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$", "5")]
"""Percent as text, 0 to 100, to four decimals."""
Price = Annotated[str, *_decimal(r"^-?[0-9]{1,11}(\.[0-9]{1,8})?$", "12.50")]
"""A unit price in major units as text, to eight decimals."""
Cost = Annotated[str, *_decimal(r"^[0-9]{1,11}(\.[0-9]{1,8})?$", "7.50")]
"""As a price, but never negative."""
