"""Counts per member: what was opened, moved and won, and what else was done about it.

Opportunities count for their owner, by `opened_on` and `closed_on`; a move counts for whoever made it, when it was
made, if it led to another open stage. Done activities count for their owner, by when they were done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.money import MoneySum
from app.kernel.people import People
from app.kernel.periods import add_months, period_start
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ActivityCounts
from app.modules.opportunities.reading.periods import PeriodKind, plausible
from app.modules.opportunities.reading.reach import amounts_hidden
from app.modules.opportunities.reading.schemas import ActivityReport, MemberActivity

MAX_MONTHS = 60


@dataclass
class Done:
    """What one member did in one month or period."""

    activities: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    moved: int = 0
    won: int = 0
    won_home: int = 0


class WorkService:
    """Three statements, whatever is asked; with the team of what was opened and won where roll-ups need it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def report(
        self, kind: PeriodKind, since: date, before: date, member_id: UUID | None
    ) -> ActivityReport:
        """By member and period from `since` until before `before`, both first days of periods."""
        first = self._uow.actor.tenant.fiscal_year_start_month
        if not (plausible(since) and plausible(before)):
            raise InvalidFilter("Periods lie between the years 1900 and 2200.", parameter="from")
        if since != period_start(since, kind, first) or before != period_start(before, kind, first):
            raise InvalidFilter(f"from and before are first days of a {kind}.", parameter="from")
        if not since < before <= add_months(since, MAX_MONTHS):
            raise InvalidFilter("before follows from by at most five years.", parameter="before")
        found = await self.by_month(since, before)
        merged: dict[tuple[date, UUID | None], Done] = {}
        for (month, member), done in found.items():
            if member_id is not None and member != member_id:
                continue
            into = merged.setdefault((period_start(month, kind, first), member), Done())
            into.activities += done.activities
            into.opened += done.opened
            into.moved += done.moved
            into.won += done.won
            into.won_home += done.won_home
        names = await self._uow.of(People).names([member for _, member in merged if member is not None])
        hidden, home = amounts_hidden(self._uow), self._uow.actor.tenant.currency
        rows = [
            MemberActivity(
                member_id=member,
                name=None if member is None else names.get(member),
                starts_on=starts_on,
                activities=dict(sorted(done.activities.items())),
                opportunities_opened=done.opened,
                stages_moved=done.moved,
                opportunities_won=done.won,
                won_amount=None if hidden else MoneySum(done.won_home, home),
            )
            for (starts_on, member), done in merged.items()
        ]
        rows.sort(key=lambda row: (row.starts_on, row.name is None, row.name or "", str(row.member_id)))
        return ActivityReport(period=kind, data=rows)

    async def by_month(self, since: date, before: date) -> dict[tuple[date, UUID | None], Done]:
        """(month, member) → what they did, of what the actor sees."""
        found: dict[tuple[date, UUID | None], Done] = {}
        tenant = self._uow.actor.tenant
        starts, ends = tenant.midnight(since), tenant.midnight(before)
        for row in await self._uow.of(ActivityCounts).done(starts, ends):
            found.setdefault((row.month, row.member_id), Done()).activities[row.kind] += row.count
        for row in await self._deals(since, before):
            done = found.setdefault((row["month"], row["owner_id"]), Done())
            done.opened += row["opened"]
            done.won += row["won"]
            done.won_home += int(row["won_home"] or 0)
        for row in await self._moves(since, before):
            found.setdefault((row["month"], row["changed_by"]), Done()).moved += row["n"]
        return found

    async def _deals(self, since: date, before: date) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id)
        visible = visible_rows(self._uow.actor, "opportunity", "read", bind)
        seen = f" AND {visible}" if visible else ""
        first, last, home = bind(since), bind(before), bind(self._uow.actor.tenant.currency)
        live = (
            f"FROM opportunities.opportunities_read t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL{seen}"
        )
        return await self._uow.fetch(
            "SELECT month, owner_id, sum(opened)::bigint AS opened, sum(won)::bigint AS won,"
            " sum(won_home) AS won_home"
            " FROM (SELECT date_trunc('month', t.opened_on)::date AS month, t.owner_id, 1 AS opened, 0 AS won,"
            f" NULL::bigint AS won_home {live} AND t.opened_on >= {first} AND t.opened_on < {last}"
            " UNION ALL SELECT date_trunc('month', t.closed_on)::date, t.owner_id, 0, 1,"
            f" CASE WHEN t.home_currency = {home}::text THEN t.amount_home END {live} AND t.status = 'won'"
            f" AND t.closed_on >= {first} AND t.closed_on < {last}) d GROUP BY month, owner_id",
            *bind.values,
        )

    async def _moves(self, since: date, before: date) -> Sequence[Any]:
        tenant = self._uow.actor.tenant
        bind = Bindings(self._uow.tenant_id)
        visible = visible_rows(self._uow.actor, "opportunity", "read", bind)
        return await self._uow.fetch(
            f"SELECT date_trunc('month', h.entered_at AT TIME ZONE {bind(tenant.time_zone)})::date AS month,"
            " h.changed_by, count(*) AS n FROM opportunities.stage_history h JOIN opportunities.opportunities t"
            " ON t.tenant_id = h.tenant_id AND t.id = h.opportunity_id WHERE h.tenant_id = $1"
            f" AND h.entered_at >= {bind(tenant.midnight(since))}"
            f" AND h.entered_at < {bind(tenant.midnight(before))}"
            " AND h.from_stage IS NOT NULL AND h.from_stage <> h.to_stage AND h.status = 'open'"
            f" AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''} GROUP BY 1, 2",
            *bind.values,
        )
