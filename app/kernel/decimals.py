"""Plain decimal numbers as text, in and out: quantities, percentages, prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, StringConstraints


def decimal_text(value: Decimal) -> str:
    """The shortest plain text of a decimal: `12.5`, `3`."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal_field(pattern: str, example: str) -> Any:
    """What `Annotated[str, *…]` needs to take such a number as text."""
    return StringConstraints(pattern=pattern), Field(examples=[example])


DecimalOut = Annotated[Decimal, PlainSerializer(decimal_text, return_type=str)]
Percent = Annotated[str, *decimal_field(r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$", "12.5")]
"""Percent as text, 0 to 100, to four decimals."""
