"""Weekly snapshots of the forecast, and how well they told what came.

A snapshot is taken once in each week of the tenant's zone: the week's row and its lines are written in one
transaction, and the week is unique per tenant, so that a restart neither repeats nor halves it. Lines are kept by
month, owner and team, so that months, fiscal quarters and fiscal years can be put together from them, as far as the
reader sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.access import owned_rows
from app.kernel.ids import new_id
from app.kernel.listing import Bindings
from app.kernel.money import Money, MoneySum
from app.kernel.periods import add_months, period_start
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.periods import Period, week_start
from app.modules.opportunities.reading.reach import Reach, amounts_hidden, require_shown
from app.modules.opportunities.reading.schemas import Accuracy, WeekForecast, share
from app.modules.opportunities.reading.submissions import SubmissionService
from app.modules.opportunities.reading.sums import percent_of, whole
from app.modules.opportunities.reading.targets import Organisation

MONTHS_AHEAD: Final = 36
_TAKE: Final = """
INSERT INTO opportunities.forecast_lines
  (tenant_id, week_id, month, category, owner_id, team_id, n, amount_home, weighted_home, missing)
SELECT $1, $2, month, category, owner_id, team_id, sum(n),
  coalesce(sum(amount_home) FILTER (WHERE home_currency = $5), 0),
  coalesce(sum(weighted_home) FILTER (WHERE home_currency = $5), 0),
  sum(missing) + coalesce(sum(n) FILTER (WHERE home_currency NOT IN ('', $5)), 0)
FROM (
  SELECT s.month, s.owner_id, s.team_id, s.home_currency, s.n, s.amount_home, s.weighted_home, s.missing,
    CASE WHEN s.status = 'won' THEN 'closed'
      WHEN s.category = 'closed' THEN 'commit' ELSE s.category END AS category
  FROM opportunities.sums s
  WHERE s.tenant_id = $1 AND s.status <> 'lost' AND s.month >= $3 AND s.month < $4
) d
GROUP BY month, category, owner_id, team_id HAVING sum(n) <> 0"""


class SnapshotService:
    """Takes snapshots, and compares them with what came."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def take(self) -> bool:
        """The snapshot of this week, unless there is one; whether it was taken now."""
        uow, tenant = self._uow, self._uow.actor.tenant
        day = tenant.day_of(uow.now)
        week = await uow.fetchrow(
            "INSERT INTO opportunities.forecast_weeks (tenant_id, id, starts_on, taken_at, currency)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, starts_on) DO NOTHING RETURNING id",
            uow.tenant_id,
            new_id(),
            week_start(day),
            uow.now,
            tenant.currency,
        )
        if week is None:
            return False
        year = period_start(day, "year", tenant.fiscal_year_start_month)
        # A week may begin in the quarter before; so that it tells of that one too, a quarter more is kept.
        first, last = add_months(year, -3), add_months(year, MONTHS_AHEAD)
        await uow.fetch(_TAKE, uow.tenant_id, week["id"], first, last, tenant.currency)
        return True

    async def accuracy(self, period: Period) -> Accuracy:
        """The period's snapshots, week by week, beside what was won in it."""
        require_shown(self._uow, "stage", "expected_close_on")
        hidden, home = amounts_hidden(self._uow), self._uow.actor.tenant.currency
        actual = await self._actual(period)
        people = await Organisation.load(self._uow)
        submitted = await SubmissionService(self._uow).all(period, people)
        weeks: dict[date, tuple[datetime, dict[str, tuple[int, int]]]] = {}
        for row in await self._lines(period):
            _, categories = weeks.setdefault(row["starts_on"], (row["taken_at"], {}))
            if row["category"] is not None:
                categories[row["category"]] = (whole(row["home"]), whole(row["weighted_home"]))
        if hidden:
            data = [_blank(starts_on, taken_at) for starts_on, (taken_at, _) in weeks.items()]
            return _answer(period, None, None, data)
        errors: list[Decimal] = []
        data = []
        for starts_on, (taken_at, categories) in weeks.items():
            weighted = percent_of(sum(weighted for _, weighted in categories.values()))
            amounts = {name: figures[0] for name, figures in categories.items()}
            if actual:
                errors.append(abs(Decimal(weighted - actual)) / actual)
            data.append(
                WeekForecast(
                    week_starts_on=starts_on,
                    taken_at=taken_at,
                    **{
                        name: MoneySum(amounts.get(name, 0), home)
                        for name in ("closed", "commit", "best_case", "pipeline")
                    },
                    weighted=MoneySum(weighted, home),
                    submitted_commit=_submitted(submitted, taken_at, home),
                    weighted_error=share(weighted - actual, actual),
                    commit_error=share(amounts.get("closed", 0) + amounts.get("commit", 0) - actual, actual),
                )
            )
        mean = None
        if errors:
            mean = str((sum(errors, Decimal(0)) / len(errors)).quantize(Decimal("0.0001"), ROUND_HALF_UP))
        return _answer(period, MoneySum(actual, home), mean, data)

    async def _actual(self, period: Period) -> int:
        bind = Bindings(self._uow.tenant_id)
        first, last = bind(period.starts_on), bind(period.before)
        where = f"t.status = 'won' AND t.month >= {first} AND t.month < {last}"
        live = f"t.status = 'won' AND t.closed_on >= {first} AND t.closed_on < {last}"
        row = await self._uow.fetchrow(
            f"SELECT sum(amount_home) AS home FROM ({Reach(self._uow, bind).sums(where, live)}) r"
            f" WHERE home_currency = {bind(self._uow.actor.tenant.currency)}",
            *bind.values,
        )
        return whole(row["home"]) if row else 0

    async def _lines(self, period: Period) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id)
        owned = owned_rows(self._uow.actor, "opportunity", "read", bind)
        seen = f" AND {owned}" if owned else ""
        return await self._uow.fetch(
            "SELECT w.starts_on, w.taken_at, t.category, sum(t.amount_home) AS home,"
            " sum(t.weighted_home) AS weighted_home FROM opportunities.forecast_weeks w"
            " LEFT JOIN opportunities.forecast_lines t ON t.tenant_id = w.tenant_id AND t.week_id = w.id"
            f" AND t.month >= {bind(period.starts_on)} AND t.month < {bind(period.before)}{seen}"
            f" WHERE w.tenant_id = $1 AND w.starts_on >= {bind(week_start(period.starts_on))}"
            f" AND w.starts_on <= {bind(period.ends_on)} AND w.currency = {bind(self._uow.actor.tenant.currency)}"
            " GROUP BY 1, 2, 3 ORDER BY 1, 3",
            *bind.values,
        )


def _submitted(rows: Sequence[Any], at: datetime, home: str) -> Money | None:
    """The members' latest own commit figures as of a moment; `rows` are oldest first."""
    latest: dict[UUID, int] = defaultdict(int)
    for row in rows:
        if row["created_at"] <= at and (row["kind"], row["category"]) == ("submission", "commit"):
            latest[row["member_id"]] = row["amount"]
    return MoneySum(sum(latest.values()), home) if latest else None


def _blank(starts_on: date, taken_at: datetime) -> WeekForecast:
    names = (
        "closed", "commit", "best_case", "pipeline", "weighted", "submitted_commit", "weighted_error", "commit_error",
    )  # fmt: skip
    return WeekForecast.model_validate(
        {"week_starts_on": starts_on, "taken_at": taken_at} | dict.fromkeys(names)
    )


def _answer(period: Period, actual: Money | None, mean: str | None, weeks: list[WeekForecast]) -> Accuracy:
    return Accuracy(
        period=period.kind,
        starts_on=period.starts_on,
        ends_on=period.ends_on,
        actual=actual,
        mean_absolute_error=mean,
        weeks=weeks,
    )
