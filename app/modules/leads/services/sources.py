"""Where leads come from and what became of them, per source and period.

Formulas, over the leads that the actor sees and that came in (`created_at`) within the period:
`leads` counts them all; `qualified` those that were ever qualified, converted ones included; `converted` those
that are converted; `conversion_rate` is converted / leads. `won` and `won_amount` count and sum the won
opportunities that those leads became, whenever they were won, as far as the actor sees them. Periods follow
the tenant's time zone; quarters and years its fiscal year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.listing import Bindings, Query
from app.kernel.money import Money
from app.kernel.periods import period_start_sql
from app.kernel.record_reads import field_set, select_records
from app.kernel.uow import UnitOfWork
from app.modules.leads.schemas import Period, SourceRow, SourcesReport, TouchKind
from app.modules.leads.services.leads import LEAD
from app.modules.opportunities.interface import Opportunities


async def sources(uow: UnitOfWork, period: Period, touch: TouchKind, query: Query) -> SourcesReport:
    """The report: one statement over the leads, one for what was won."""
    selection = await select_records(uow, LEAD, query)
    fields = await field_set(uow, LEAD)
    for name in ("source" if touch == "first" else "last_source", "status", "created_at"):
        fields.get(name, name)  # what a role hides, it does not learn from counts
    source = "t.source" if touch == "first" else "t.last_source"
    start = _period_start(uow, period, selection.bind)
    rows = await uow.fetch(
        f"SELECT {source} AS source, {start} AS period_start, count(*) AS leads,"
        " count(*) FILTER (WHERE t.qualified_at IS NOT NULL OR t.status IN ('qualified', 'converted')) AS qualified,"
        " count(*) FILTER (WHERE t.status = 'converted') AS converted,"
        " array_agg(t.converted_opportunity_id) FILTER (WHERE t.converted_opportunity_id IS NOT NULL) AS became"
        f" FROM {LEAD.view} t WHERE {selection.where} GROUP BY 1, 2 ORDER BY 2 DESC, 3 DESC, 1",
        *selection.bind.values,
    )
    became = [id for row in rows for id in row["became"] or ()]
    won = await uow.of(Opportunities).won_amounts(became)
    return SourcesReport(period=period, touch=touch, data=[_row(row, won) for row in rows])


def _period_start(uow: UnitOfWork, period: Period, bind: Bindings) -> str:
    """SQL of the first day of the period in which a lead came in."""
    if period == "all":
        return "NULL::date"
    tenant = uow.actor.tenant
    local = f"(t.created_at AT TIME ZONE {bind(tenant.time_zone)}::text)"
    return period_start_sql(local, period, tenant.fiscal_year_start_month)


def _row(row: Any, won: Mapping[UUID, Money | None]) -> SourceRow:
    became: Sequence[UUID] = [id for id in row["became"] or () if id in won]
    sums: dict[str, int] = {}
    for id in became:
        amount = won[id]
        if amount is not None:
            sums[amount.currency] = sums.get(amount.currency, 0) + amount.amount_minor
    return SourceRow(
        source=row["source"],
        period_start=row["period_start"],
        leads=row["leads"],
        qualified=row["qualified"],
        converted=row["converted"],
        won=len(became),
        won_amount=[Money(minor, currency) for currency, minor in sorted(sums.items())],
        conversion_rate=round(row["converted"] / row["leads"], 4),
    )
