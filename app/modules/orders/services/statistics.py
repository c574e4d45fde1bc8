"""What orders add up to: by period, product, account, owner, team, source and country.

Formulas: an order counts from its confirmation, unless it was cancelled; a return when it was refunded. `net` and
`total` are sums of orders, `returned_…` of returns; `exact_value` is quantity x unit price without any rounding,
orders less returns. `average_order_value` = net / orders. `repeat_rate` = accounts with more than one order /
accounts with an order. One statement each for orders, returns and accounts, over what the actor may see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from app.kernel.access import visible_rows
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.money import MoneySum, half_up
from app.kernel.people import People
from app.kernel.periods import period_start_sql
from app.kernel.record_reads import field_set
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.orders.schemas.statistics import OrderGroup, OrderQuestion, OrderStatistics, OrderSums
from app.modules.orders.services.orders import ORDER
from app.tenants.interface import Teams

_COLUMNS = {
    "account": "account_id",
    "owner": "owner_id",
    "team": "team_id",
    "source": "source",
    "country": "country",
}
_PERIODS = frozenset({"month", "quarter", "year"})
_FILTERS = ("currency", "account_id", "owner_id", "team_id", "source", "country")
_PLACED = "t.status IN ('confirmed', 'in_fulfilment', 'fulfilled', 'closed')"


@dataclass
class _Sums:
    """One group in one currency while it is added up, in minor units."""

    orders: int = 0
    returns: int = 0
    quantity: Decimal = Decimal(0)
    net: int = 0
    total: int = 0
    returned_net: int = 0
    returned_total: int = 0
    cost: int | None = None
    margin: int | None = None
    exact: Decimal = Decimal(0)

    def add(self, other: _Sums) -> None:
        for name in (
            "orders",
            "returns",
            "quantity",
            "net",
            "total",
            "returned_net",
            "returned_total",
            "exact",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("cost", "margin"):
            more = getattr(other, name)
            if more is not None:
                setattr(self, name, (getattr(self, name) or 0) + more)


@dataclass
class _Found:
    """Sums by group and currency, and altogether."""

    groups: dict[Any, dict[str, _Sums]] = field(default_factory=dict)
    total: dict[str, _Sums] = field(default_factory=dict)

    def of(self, key: Any, currency: str) -> _Sums:
        return self.groups.setdefault(key, {}).setdefault(currency, _Sums())


class OrderStatisticsService:
    """Answers one question in a handful of statements."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._hidden = uow.actor.hidden("order")

    async def answer(self, question: OrderQuestion) -> OrderStatistics:
        """Raises `Forbidden`, and `InvalidFilter` for a field that is hidden from the actor."""
        await self._check(question)
        found = _Found()
        for row in await self._orders(question):
            self._add_orders(found.of(row["key"], row["currency"]), row)
        for row in await self._returns(question):
            sums = found.of(row["key"], row["currency"])
            sums.returns = int(row["count"])
            sums.returned_net, sums.returned_total = int(row["net"]), int(row["total"])
            sums.exact -= row["exact"]
            sums.quantity -= row["quantity"]
        total = await self._total(question, found)
        ordered = self._order(question, found.groups)
        shown = ordered[: question.limit]
        labels = await self._labels(question.group_by, [key for key in shown if key is not None])
        accounts, repeat = await self._accounts(question)
        return OrderStatistics(
            group_by=question.group_by,
            data=[
                OrderGroup(
                    key=None if key is None else str(key),
                    label=labels.get(key),
                    sums=self._wire(question, found.groups[key]),
                )
                for key in shown
            ],
            has_more=len(ordered) > question.limit,
            total=self._wire(question, total),
            accounts=accounts,
            repeat_accounts=repeat,
            repeat_rate=_rate(repeat, accounts),
        )

    async def _check(self, question: OrderQuestion) -> None:
        """Groups and filters tell a hidden field as well as lists do."""
        fields = await field_set(self._uow, ORDER)
        if question.group_by in _PERIODS or question.ordered_from or question.ordered_to:
            fields.get("ordered_on", "group_by")
        if question.group_by in _COLUMNS:
            fields.get(_COLUMNS[question.group_by], "group_by")
        for name in _FILTERS:
            if getattr(question, name) is not None:
                fields.get(name, name)
        if question.product_id is not None and question.group_by != "product":
            raise InvalidFilter("A product is asked about with group_by=product.", parameter="product_id")

    # -- statements ----------------------------------------------------------------------------------------

    async def _orders(self, question: OrderQuestion) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id)
        where = self._where(question, "order", "ordered_on", bind)
        if question.group_by == "product":
            of_product = (
                "" if question.product_id is None else f" AND l.product_id = {bind(question.product_id)}"
            )
            return await self._uow.fetch(
                "SELECT l.product_id AS key, t.currency, count(DISTINCT t.id) AS count,"
                " sum(l.quantity - l.cancelled) AS quantity, sum(l.net) AS net, sum(l.total) AS total,"
                " sum(l.cost) AS cost, sum(l.net - l.cost) AS margin,"
                " sum(CASE WHEN l.exact_gross IS NULL THEN (l.quantity - l.cancelled) * l.unit_price"
                "  WHEN l.cancelled = 0 THEN l.exact_gross"
                "  ELSE l.exact_gross * (l.quantity - l.cancelled) / l.quantity END) AS exact"
                " FROM orders.orders_read t JOIN orders.order_lines l"
                " ON l.tenant_id = t.tenant_id AND l.order_id = t.id"
                f" WHERE {where} AND {_PLACED}{of_product} GROUP BY 1, 2",
                *bind.values,
            )
        return await self._uow.fetch(
            f"SELECT {self._key(question, 'ordered_on')} AS key, t.currency, count(*) AS count,"
            " 0::numeric AS quantity, sum(t.net) AS net, sum(t.total) AS total, sum(t.cost) AS cost,"
            " sum(t.margin) AS margin, sum(t.exact_value) AS exact"
            f" FROM orders.orders_read t WHERE {where} AND {_PLACED} GROUP BY 1, 2",
            *bind.values,
        )

    async def _returns(self, question: OrderQuestion) -> Sequence[Any]:
        if not self._uow.actor.may("return:read"):
            return []
        bind = Bindings(self._uow.tenant_id)
        where = self._where(question, "return", "requested_on", bind)
        if question.group_by == "product":
            of_product = (
                "" if question.product_id is None else f" AND l.product_id = {bind(question.product_id)}"
            )
            return await self._uow.fetch(
                "SELECT l.product_id AS key, t.currency, count(DISTINCT t.id) AS count,"
                " sum(l.quantity) AS quantity, sum(l.net) AS net, sum(l.total) AS total,"
                " sum(l.quantity * l.unit_price) AS exact"
                " FROM orders.returns_read t JOIN orders.return_lines l"
                " ON l.tenant_id = t.tenant_id AND l.return_id = t.id"
                f" WHERE {where} AND t.status = 'refunded'{of_product} GROUP BY 1, 2",
                *bind.values,
            )
        return await self._uow.fetch(
            f"SELECT {self._key(question, 'requested_on')} AS key, t.currency, count(*) AS count,"
            " 0::numeric AS quantity, sum(t.net) AS net, sum(t.total) AS total, sum(t.exact_value) AS exact"
            f" FROM orders.returns_read t WHERE {where} AND t.status = 'refunded' GROUP BY 1, 2",
            *bind.values,
        )

    async def _accounts(self, question: OrderQuestion) -> tuple[int, int]:
        """Accounts with an order, and those with more than one."""
        bind = Bindings(self._uow.tenant_id)
        where = self._where(question, "order", "ordered_on", bind)
        if question.product_id is not None:
            where += (
                " AND EXISTS (SELECT 1 FROM orders.order_lines l WHERE l.tenant_id = t.tenant_id"
                f" AND l.order_id = t.id AND l.product_id = {bind(question.product_id)})"
            )
        row = await self._uow.fetchrow(
            "SELECT count(*), count(*) FILTER (WHERE a.orders > 1) FROM (SELECT count(*) AS orders"
            f" FROM orders.orders_read t WHERE {where} AND {_PLACED} GROUP BY t.account_id) a",
            *bind.values,
        )
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    async def _total(self, question: OrderQuestion, found: _Found) -> dict[str, _Sums]:
        """All groups together; orders with several products are counted once."""
        total: dict[str, _Sums] = {}
        for group in found.groups.values():
            for currency, sums in group.items():
                total.setdefault(currency, _Sums()).add(sums)
        if question.group_by == "product":
            for name, rows in (("orders", await self._counts(question, "order")),
                               ("returns", await self._counts(question, "return"))):  # fmt: skip
                for currency, sums in total.items():
                    setattr(sums, name, rows.get(currency, 0))
        return total

    async def _counts(self, question: OrderQuestion, kind: str) -> dict[str, int]:
        """How many orders, or returns, by currency."""
        if not self._uow.actor.may(f"{kind}:read"):
            return {}
        bind = Bindings(self._uow.tenant_id)
        day, status = {
            "order": ("ordered_on", _PLACED),
            "return": ("requested_on", "t.status = 'refunded'"),
        }[kind]
        where = self._where(question, kind, day, bind)
        if question.product_id is not None:
            where += (
                f" AND EXISTS (SELECT 1 FROM orders.{kind}_lines l WHERE l.tenant_id = t.tenant_id"
                f" AND l.{kind}_id = t.id AND l.product_id = {bind(question.product_id)})"
            )
        rows = await self._uow.fetch(
            f"SELECT t.currency, count(*) AS count FROM orders.{kind}s_read t WHERE {where} AND {status} GROUP BY 1",
            *bind.values,
        )
        return {row["currency"]: int(row["count"]) for row in rows}

    def _where(self, question: OrderQuestion, kind: str, day: str, bind: Bindings) -> str:
        clauses = ["t.tenant_id = $1", "t.deleted_at IS NULL"]
        visible = visible_rows(self._uow.actor, kind, "read", bind)
        if visible:
            clauses.append(visible)
        for name in _FILTERS:
            value = getattr(question, name)
            if value is not None:
                clauses.append(f"t.{name} = {bind(value)}")
        if question.ordered_from is not None:
            clauses.append(f"t.{day} >= {bind(question.ordered_from)}::date")
        if question.ordered_to is not None:
            clauses.append(f"t.{day} <= {bind(question.ordered_to)}::date")
        return " AND ".join(clauses)

    def _key(self, question: OrderQuestion, day: str) -> str:
        if question.group_by in _PERIODS:
            first_month = self._uow.actor.tenant.fiscal_year_start_month
            return period_start_sql(f"t.{day}", question.group_by, first_month)
        return f"t.{_COLUMNS[question.group_by]}"

    # -- shaping -------------------------------------------------------------------------------------------

    def _add_orders(self, sums: _Sums, row: Any) -> None:
        sums.orders = int(row["count"])
        sums.quantity += row["quantity"]
        sums.net, sums.total = int(row["net"]), int(row["total"])
        sums.cost = None if row["cost"] is None else int(row["cost"])
        sums.margin = None if row["margin"] is None else int(row["margin"])
        sums.exact += row["exact"]

    def _order(self, question: OrderQuestion, groups: Mapping[Any, Mapping[str, _Sums]]) -> list[Any]:
        """Periods in time, others by what they are worth; what has no key comes last."""
        keys = [key for key in groups if key is not None]
        if question.group_by in _PERIODS or "total" in self._hidden:
            keys.sort(key=str)
        else:
            keys.sort(key=lambda key: (-sum(one.net for one in groups[key].values()), str(key)))
        return [*keys, None] if None in groups else keys

    async def _labels(self, group_by: str, keys: list[Any]) -> Mapping[Any, str]:
        uow = self._uow
        if not keys:
            return {}
        if group_by == "product":
            return await uow.of(Catalog).names(keys)
        if group_by == "account":
            return await uow.of(Customers).account_names(keys)
        if group_by == "owner":
            return await uow.of(People).names(keys)
        if group_by == "team":
            return {id: team.name for id, team in (await uow.of(Teams).get_many(keys)).items()}
        return {}

    def _wire(self, question: OrderQuestion, by_currency: Mapping[str, _Sums]) -> list[OrderSums]:
        return [
            self._sums(currency, sums, of_products=question.group_by == "product")
            for currency, sums in sorted(by_currency.items())
        ]

    def _sums(self, currency: str, sums: _Sums, *, of_products: bool) -> OrderSums:
        priceless, costless = "total" in self._hidden, "cost" in self._hidden
        returnless = priceless or "total" in self._uow.actor.hidden("return")

        def money(minor: int | None, hidden: bool) -> MoneySum | None:
            return None if hidden or minor is None else MoneySum(minor, currency)

        average = half_up(Fraction(sums.net, sums.orders)) if sums.orders else None
        return OrderSums(
            currency=currency,
            orders=sums.orders,
            returns=sums.returns,
            quantity=sums.quantity if of_products else None,
            net=money(sums.net, priceless),
            total=money(sums.total, priceless),
            returned_net=money(sums.returned_net, returnless),
            returned_total=money(sums.returned_total, returnless),
            cost=money(sums.cost, costless or priceless),
            margin=money(sums.margin, costless or priceless or "margin" in self._hidden),
            average_order_value=money(average, priceless),
            exact_value=None if returnless else sums.exact,
        )


def _rate(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
