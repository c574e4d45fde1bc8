"""Counts and sums of opportunities by group: what a board, a ranking and a quarter's review start from.

Formulas: `count` is the number of opportunities, of which `open`, `won` and `lost` by status; `amount`,
`open_amount` and `won_amount` are the sums of their amounts per currency, unconverted. Periods are those of the
chosen date; quarters and years are the tenant's fiscal ones, and their key is their first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.kernel.listing import Query
from app.kernel.money import Money, MoneySum
from app.kernel.people import People
from app.kernel.periods import period_start_sql
from app.kernel.record_reads import field_set, select_records
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.opportunities.models import OpportunityStatus
from app.modules.opportunities.schemas import DateField, GroupBy, Statistics, StatisticsGroup
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.modules.opportunities.services.pipelines import PipelineService
from app.tenants.interface import Teams

_COLUMNS: Mapping[str, str] = {
    "stage": "stage",
    "status": "status",
    "owner": "owner_id",
    "team": "team_id",
    "manager": "team_id",
    "account": "account_id",
    "product": "product_name",
    "source": "source",
}
_PERIODS = frozenset({"month", "quarter", "year"})
_STATUSES: tuple[str, ...] = tuple(OpportunityStatus)


@dataclass
class _Sums:
    """One group while it is added up: counts by status, and minor units by status and currency."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_STATUSES, 0))
    amounts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, row: Any) -> None:
        self.counts[row["status"]] += row["count"]
        if row["currency"] is not None and row["amount"] is not None:
            key = (row["status"], row["currency"])
            self.amounts[key] = self.amounts.get(key, 0) + int(row["amount"])

    def money(self, *statuses: str) -> list[Money]:
        """Sums per currency, in the order of the codes."""
        found: dict[str, int] = {}
        for (status, currency), minor in self.amounts.items():
            if status in statuses:
                found[currency] = found.get(currency, 0) + minor
        return [MoneySum(minor, currency) for currency, minor in sorted(found.items())]


class StatisticsService:
    """One statement per question, over what the actor may see."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def grouped(self, group_by: GroupBy, date_field: DateField, query: Query) -> Statistics:
        """Groups of the opportunities that `query` lets through. Raises `InvalidFilter`, `Forbidden`."""
        fields = await field_set(self._uow, OPPORTUNITY)
        # Groups tell a hidden field as well as filters do.
        fields.get(_COLUMNS.get(group_by, date_field), "group_by")
        selection = await select_records(self._uow, OPPORTUNITY, query)
        amount = "t.amount" if "amount" in fields.fields else "NULL::bigint"
        key = f"t.{_COLUMNS[group_by]}" if group_by in _COLUMNS else self._period(group_by, date_field)
        rows = await self._uow.fetch(
            f"SELECT {key} AS key, t.status, t.currency, count(*) AS count, sum({amount}) AS amount"
            f" FROM {OPPORTUNITY.view} t WHERE {selection.where} GROUP BY 1, 2, 3",
            *selection.bind.values,
        )
        managers = await self._managers(rows) if group_by == "manager" else None
        sums: dict[Any, _Sums] = {}
        for row in rows:
            found = row["key"] if managers is None else managers.get(row["key"])
            sums.setdefault(found, _Sums()).add(row)
        labels = await self._labels(group_by, [key for key in sums if key is not None])
        order = await self._order(group_by, sums)
        return Statistics(
            group_by=group_by,
            date_field=date_field,
            data=[_group(key, labels.get(key), sums[key]) for key in order],
        )

    def _period(self, period: str, date_field: str) -> str:
        return period_start_sql(f"t.{date_field}", period, self._uow.actor.tenant.fiscal_year_start_month)

    async def _managers(self, rows: list[Any]) -> dict[UUID, UUID | None]:
        """The manager of each team."""
        ids = {row["key"] for row in rows if row["key"] is not None}
        teams = await self._uow.of(Teams).get_many(ids) if ids else {}
        return {id: team.manager_id for id, team in teams.items()}

    async def _labels(self, group_by: str, keys: list[Any]) -> Mapping[Any, str]:
        if not keys:
            return {}
        if group_by in ("owner", "manager"):
            return await self._uow.of(People).names(keys)
        if group_by == "team":
            return {id: team.name for id, team in (await self._uow.of(Teams).get_many(keys)).items()}
        if group_by == "account":
            return await self._uow.of(Customers).account_names(keys)
        return {}

    async def _order(self, group_by: str, sums: Mapping[Any, _Sums]) -> list[Any]:
        """Stages by pipeline, the default one ahead; periods in time; the rest by what was won; empty last."""
        present = [key for key in sums if key is not None]
        if group_by == "stage":
            known: dict[str, int] = {}
            pipelines = await PipelineService(self._uow).all()
            for pipeline in sorted(pipelines, key=lambda pipeline: not pipeline.is_default):
                for number, stage in enumerate(pipeline.stages):
                    known.setdefault(stage.key, number)
            present.sort(key=lambda key: (known.get(key, len(known)), key))
        elif group_by in _PERIODS:
            present.sort()
        elif group_by == "status":
            present.sort(key=_STATUSES.index)
        else:
            present.sort(key=lambda key: (-sum(m.amount_minor for m in sums[key].money("won")), str(key)))
        return [*present, None] if None in sums else present


def _group(key: Any, label: str | None, sums: _Sums) -> StatisticsGroup:
    return StatisticsGroup(
        key=None if key is None else str(key),
        label=label,
        count=sum(sums.counts.values()),
        open=sums.counts["open"],
        won=sums.counts["won"],
        lost=sums.counts["lost"],
        amount=sums.money(*_STATUSES),
        open_amount=sums.money("open"),
        won_amount=sums.money("won"),
    )
