"""The wire shapes of what a programme gives beside points for orders."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.kernel.money import Money, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output


def _not_negative(amount: Money) -> Money:
    if amount.amount_minor < 0:
        raise PydanticCustomError("negative", "Not less than nothing")
    return amount


NotNegative = Annotated[MoneyIn, AfterValidator(_not_negative)]


class RewardSettingsWrite(Input):
    """What a programme gives, whole; amounts are in its currency."""

    wallet_adjustment_limit: NotNegative | None = Field(
        None, description="Adjustments of wallets by more than this need approval. Absent: none does."
    )


class RewardSettingsRead(Output):
    """What a programme gives; the version is 0 before it is said first."""

    version: int
    wallet_adjustment_limit: MoneyOut | None
