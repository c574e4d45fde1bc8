"""What orders add up to, by group."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.kernel.decimals import DecimalOut
from app.kernel.money import Currency, MoneyOut
from app.kernel.schemas import Input, Output, ShortText

GroupBy = Literal["month", "quarter", "year", "product", "account", "owner", "team", "source", "country"]
MOST_GROUPS = 10_000


class OrderQuestion(Input):
    """Which orders, and returns, are asked about, and by what they are grouped."""

    group_by: GroupBy = Field("month", description="Quarters and years are the company's fiscal ones.")
    ordered_from: date | None = Field(
        None, description="First day; returns go by the day they were asked for."
    )
    ordered_to: date | None = Field(None, description="Last day.")
    currency: Currency | None = Field(None, description="Only orders in this currency.")
    account_id: UUID | None = Field(None, description="Only orders of this account.")
    owner_id: UUID | None = Field(None, description="Only orders of this member.")
    team_id: UUID | None = Field(None, description="Only orders of this team.")
    product_id: UUID | None = Field(None, description="Only lines of this product; with `group_by=product`.")
    source: ShortText | None = Field(None, description="Only orders from this source.")
    country: Annotated[str, Field(min_length=2, max_length=2)] | None = Field(
        None, description="Only orders of this country, as ISO 3166-1 alpha-2."
    )
    limit: int = Field(
        1_000, ge=1, le=MOST_GROUPS, description="Groups: periods in time, others the largest."
    )


class OrderSums(Output):
    """Sums in one currency. What is hidden from you is null."""

    currency: str
    orders: int = Field(description="Orders that were placed and not cancelled.")
    returns: int = Field(description="Returns that were refunded.")
    quantity: DecimalOut | None = Field(description="Sold less returned; only of products.")
    net: MoneyOut | None
    total: MoneyOut | None
    returned_net: MoneyOut | None
    returned_total: MoneyOut | None
    cost: MoneyOut | None = Field(description="Of what has a known cost.")
    margin: MoneyOut | None = Field(
        description="`net` less `cost` of what has a known cost; returns do not count."
    )
    average_order_value: MoneyOut | None = Field(description="`net` per order, rounded half up.")
    exact_value: DecimalOut | None = Field(
        description="Quantity x unit price of all lines less that of returned ones, never rounded."
    )


class OrderGroup(Output):
    """One group; `key` is null for what has none."""

    key: str | None
    label: str | None
    sums: list[OrderSums]


class OrderStatistics(Output):
    """Sums by group and altogether. `repeat_rate` is the share of accounts that ordered more than once."""

    group_by: GroupBy
    data: list[OrderGroup]
    has_more: bool = Field(description="There are more groups than `limit`.")
    total: list[OrderSums]
    accounts: int = Field(description="Accounts with an order.")
    repeat_accounts: int = Field(description="Accounts with more than one.")
    repeat_rate: DecimalOut | None = Field(description="To four decimals; null without any order.")
