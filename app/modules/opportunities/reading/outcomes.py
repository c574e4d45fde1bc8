"""What was won and lost, why, and how fast: win rates and velocity, of the opportunities that somebody sees.

Everything goes by `closed_on`, a day where the tenant is. A win rate is won ÷ (won + lost), by number and by value in
the company's currency. The cycle is closed_on − opened_on in days. Velocity is the usual product: open opportunities
× win rate × average won amount ÷ average cycle of the won ones, per day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from app.kernel.listing import Query
from app.kernel.money import MoneySum, half_up
from app.kernel.people import People
from app.kernel.periods import period_start_sql
from app.kernel.record_reads import field_set, select_records
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.opportunities.reading.reach import amounts_hidden
from app.modules.opportunities.reading.schemas import (
    OutcomeGroup,
    Outcomes,
    OutcomeSums,
    Velocity,
    days_with_decimal,
    share,
)
from app.modules.opportunities.reading.sums import whole
from app.modules.opportunities.services.competitors import CompetitorService
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.tenants.interface import Teams

_COLUMNS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    # group → (SQL over alias t, the fields that it tells)
    "reason": ("coalesce(t.win_reason, t.loss_reason)", ("win_reason", "loss_reason")),
    "owner": ("t.owner_id", ("owner_id",)),
    "team": ("t.team_id", ("team_id",)),
    "manager": ("t.team_id", ("team_id",)),
    "source": ("t.source", ("source",)),
    "product": ("t.product_name", ("product_name",)),
    "account": ("t.account_id", ("account_id",)),
    "stage": ("coalesce(t.last_open_stage, t.stage)", ("stage", "last_open_stage")),
    "currency": ("t.currency", ("amount",)),
    "winning_competitor": ("t.winning_competitor_id", ("winning_competitor_id",)),
}
_PERIODS: Final = frozenset({"month", "quarter", "year"})
_FIGURES: Final = """count(*) FILTER (WHERE t.status = 'won') AS won,
  count(*) FILTER (WHERE t.status = 'lost') AS lost, count(*) FILTER (WHERE t.status = 'open') AS open,
  sum(t.amount_home) FILTER (WHERE t.status = 'won' AND t.home_currency = {home}) AS won_home,
  count(t.amount_home) FILTER (WHERE t.status = 'won' AND t.home_currency = {home}) AS won_with_amount,
  sum(t.amount_home) FILTER (WHERE t.status = 'lost' AND t.home_currency = {home}) AS lost_home,
  count(*) FILTER (WHERE t.amount IS NOT NULL AND t.home_currency IS DISTINCT FROM {home}
    AND t.status <> 'open') AS unconverted,
  sum(t.closed_on - t.opened_on) FILTER (WHERE t.status = 'won') AS cycle"""


@dataclass
class _Figures:
    """Sums of one group."""

    won: int = 0
    lost: int = 0
    open: int = 0
    won_home: int = 0
    won_with_amount: int = 0
    lost_home: int = 0
    unconverted: int = 0
    cycle: int = 0

    def add(self, row: Any) -> None:
        for name in self.__dict__:
            setattr(self, name, getattr(self, name) + whole(row[name]))


class OutcomeService:
    """One statement per question."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def win_loss(
        self, group_by: OutcomeGroup, query: Query, since: date | None, until: date | None
    ) -> Outcomes:
        """Groups of what was closed from `since` to `until`, both included. Raises `InvalidFilter`."""
        key, told = self._key(group_by)
        fields = await field_set(self._uow, OPPORTUNITY)
        for name in told:
            fields.get(name, "group_by")
        rows = await self._rows(query, key, since, until, closed=True)
        managers = await self._managers(rows) if group_by == "manager" else None
        groups: dict[Any, _Figures] = {}
        total = _Figures()
        for row in rows:
            found = row["key"] if managers is None else managers.get(row["key"])
            groups.setdefault(found, _Figures()).add(row)
            total.add(row)
        labels = await self._labels(group_by, [found for found in groups if found is not None])
        order = sorted(
            (found for found in groups if found is not None),
            key=(lambda found: found)
            if group_by in _PERIODS
            else (lambda found: (-groups[found].won_home, -groups[found].won, str(found))),
        )
        ordered = [*order, None] if None in groups else order
        return Outcomes(
            group_by=group_by,
            data=[self._outcome(found, labels.get(found), groups[found]) for found in ordered],
            total=self._outcome(None, None, total),
        )

    async def velocity(self, query: Query, since: date | None, until: date | None) -> Velocity:
        """The open opportunities of today, and rate, amount and cycle of those closed from `since` to `until`."""
        rows = await self._rows(query, "NULL::text", since, until, closed=False)
        sums = _Figures()
        for row in rows:
            sums.add(row)
        hidden = amounts_hidden(self._uow)
        home = self._uow.actor.tenant.currency
        average = Fraction(sums.won_home, sums.won_with_amount) if sums.won_with_amount else None
        closed = sums.won + sums.lost
        velocity = None
        if average is not None and sums.cycle:
            velocity = sums.open * Fraction(sums.won, closed) * average / Fraction(sums.cycle, sums.won)
        return Velocity(
            closed_from=since,
            closed_to=until,
            open_count=sums.open,
            won=sums.won,
            lost=sums.lost,
            win_rate=share(sums.won, closed),
            average_amount=None if hidden or average is None else MoneySum(half_up(average), home),
            average_cycle_days=_cycle(sums),
            velocity=None if hidden or velocity is None else MoneySum(half_up(velocity), home),
            unconverted=sums.unconverted,
        )

    async def _rows(
        self, query: Query, key: str, since: date | None, until: date | None, *, closed: bool
    ) -> Sequence[Any]:
        selection = await select_records(self._uow, OPPORTUNITY, replace(query, fields=None, sort=()))
        bind = selection.bind
        home = bind(self._uow.actor.tenant.currency)
        between = "t.status <> 'open'"
        if since is not None:
            between += f" AND t.closed_on >= {bind(since)}"
        if until is not None:
            between += f" AND t.closed_on <= {bind(until)}"
        if not closed:
            between = f"(t.status = 'open' OR {between})"
        return await self._uow.fetch(
            f"SELECT {key} AS key, {_FIGURES.format(home=f'{home}::text')} FROM {OPPORTUNITY.view} t"
            f" WHERE {selection.where} AND {between} GROUP BY 1",
            *bind.values,
        )

    def _key(self, group_by: str) -> tuple[str, tuple[str, ...]]:
        if group_by in _PERIODS:
            first = self._uow.actor.tenant.fiscal_year_start_month
            return period_start_sql("t.closed_on", group_by, first), ("closed_on",)
        return _COLUMNS[group_by]

    async def _managers(self, rows: Sequence[Any]) -> dict[UUID, UUID | None]:
        ids = {row["key"] for row in rows if row["key"] is not None}
        return {id: team.manager_id for id, team in (await self._uow.of(Teams).get_many(ids)).items()}

    async def _labels(self, group_by: str, keys: list[Any]) -> Mapping[Any, str]:
        if group_by in ("owner", "manager"):
            return await self._uow.of(People).names(keys)
        if group_by == "team":
            return {id: team.name for id, team in (await self._uow.of(Teams).get_many(keys)).items()}
        if group_by == "winning_competitor" and keys:
            return await CompetitorService(self._uow).names(keys)
        if group_by == "account" and keys:
            return await self._uow.of(Customers).account_names(keys)
        return {}

    def _outcome(self, key: Any, label: str | None, sums: _Figures) -> OutcomeSums:
        hidden = amounts_hidden(self._uow)
        home = self._uow.actor.tenant.currency
        return OutcomeSums(
            key=None if key is None else str(key),
            label=label,
            won=sums.won,
            lost=sums.lost,
            won_amount=None if hidden else MoneySum(sums.won_home, home),
            lost_amount=None if hidden else MoneySum(sums.lost_home, home),
            unconverted=sums.unconverted,
            win_rate=share(sums.won, sums.won + sums.lost),
            win_rate_by_value=None if hidden else share(sums.won_home, sums.won_home + sums.lost_home),
            average_cycle_days=_cycle(sums),
        )


def _cycle(sums: _Figures) -> str | None:
    return days_with_decimal(Decimal(sums.cycle) / sums.won) if sums.won else None
