"""Plain decimal numbers as text, in and out."""

from __future__ import annotations

from typing import Annotated

from app.kernel.decimals import decimal_field

Quantity = Annotated[str, *decimal_field(r"^[0-9]{1,10}(\.[0-9]{1,4})?$", "3")]
"""A plain decimal number as text, to four decimals."""
SignedQuantity = Annotated[str, *decimal_field(r"^-?[0-9]{1,10}(\.[0-9]{1,4})?$", "10")]
"""The same with a sign: what came in, or went out."""
Price = Annotated[str, *decimal_field(r"^-?[0-9]{1,11}(\.[0-9]{1,8})?$", "12.50")]
"""A unit price in major units as text, to eight decimals."""
Cost = Annotated[str, *decimal_field(r"^[0-9]{1,11}(\.[0-9]{1,8})?$", "7.50")]
"""As a price, but never negative."""
