"""What cases add up to: volume, backlog, times, kept promises and reopening, by agent, queue, product and others.

One statement for the cases and one for their clocks, over what the actor may see; groups and the total come together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.people import People
from app.kernel.record_reads import field_set
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.schemas.case_statistics import (
    CaseFigures,
    CaseGroup,
    CaseQuestion,
    CaseStatistics,
)
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.tenants.interface import Teams

_COLUMNS: Final = {
    "agent": "owner_id",
    "team": "team_id",
    "queue": "queue_id",
    "product": "product_id",
    "channel": "channel",
    "priority": "priority",
    "account": "account_id",
}
_FILTERS: Final = ("owner_id", "team_id", "queue_id", "product_id", "account_id", "channel", "priority")
_USUAL: Final = timedelta(days=30)
_NOTHING: Final[dict[str, Any]] = {
    "opened": 0, "resolved": 0, "backlog": 0, "first_response_median": None, "first_response_p90": None,
    "resolution_median": None, "resolution_p90": None, "reopened": 0, "ended": 0,
}  # fmt: skip


class CaseStatisticsService:
    """Answers one question."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def answer(self, question: CaseQuestion) -> CaseStatistics:
        """Raises `Forbidden`, and `InvalidFilter` for a field that is hidden from the actor."""
        await self._check(question)
        tenant = self._uow.actor.tenant
        last = question.to_day or tenant.day_of(self._uow.now)
        first = question.from_day or last - _USUAL
        start, end = tenant.midnight(first), tenant.midnight(last + timedelta(days=1))
        cases = {
            (row["whole"], row["key"]): dict(row) for row in await self._fetch(_CASES, question, start, end)
        }
        clocks = {
            (row["whole"], row["key"]): (row["met"], row["failed"])
            for row in await self._fetch(_CLOCKS, question, start, end)
        }
        keys = {key for whole, key in {*cases, *clocks} if not whole}
        figures = {key: _figures(cases.get((0, key)), clocks.get((0, key))) for key in keys}
        ordered = sorted(keys, key=lambda key: (-figures[key]["opened"], -figures[key]["backlog"], str(key)))
        shown = ordered[: question.limit]
        labels = await self._labels(question.group_by, [key for key in shown if key is not None])
        return CaseStatistics(
            group_by=question.group_by,
            from_day=first,
            to_day=last,
            data=[
                CaseGroup(key=None if key is None else str(key), label=labels.get(key), **figures[key])
                for key in shown
            ],
            has_more=len(ordered) > len(shown),
            total=CaseFigures(**_figures(cases.get((1, None)), clocks.get((1, None)))),
        )

    async def _check(self, question: CaseQuestion) -> None:
        fields = await field_set(self._uow, CASE)
        fields.get(_COLUMNS[question.group_by], "group_by")
        for name in ("opened_at", "resolved_at", "first_response_at", "due_at"):
            fields.get(name, "group_by")
        for name in _FILTERS:
            if getattr(question, name) is not None:
                fields.get(name, name)

    async def _fetch(self, sql: str, question: CaseQuestion, start: datetime, end: datetime) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id, start, end)
        clauses = [
            f"t.{name} = {bind(getattr(question, name))}"
            for name in _FILTERS
            if getattr(question, name) is not None
        ]
        visible = visible_rows(self._uow.actor, "case", "read", bind)
        if visible:
            clauses.append(visible)
        where = "".join(f" AND {clause}" for clause in clauses)
        return await self._uow.fetch(
            sql.format(key=f"t.{_COLUMNS[question.group_by]}", where=where), *bind.values
        )

    async def _labels(self, group_by: str, keys: list[Any]) -> Mapping[Any, str]:
        uow = self._uow
        if not keys:
            return {}
        if group_by == "agent":
            return await uow.of(People).names(keys)
        if group_by == "product":
            return await uow.of(Catalog).names(keys)
        if group_by == "account":
            return await uow.of(Customers).account_names(keys)
        if group_by == "team":
            return {id: team.name for id, team in (await uow.of(Teams).get_many(keys)).items()}
        if group_by == "queue":
            rows = await uow.fetch(_QUEUES, uow.tenant_id, keys, uow.actor.tenant.language)
            return {row["id"]: row["name"] for row in rows}
        return {}


_QUEUES: Final = """
SELECT id, CASE WHEN $3 = 'zh' THEN coalesce(name_zh, name_en) ELSE name_en END AS name
FROM after_sales.queues WHERE tenant_id = $1 AND id = ANY($2::uuid[])"""


def _figures(case: Mapping[str, Any] | None, clock: tuple[int, int] | None) -> dict[str, Any]:
    found = {**_NOTHING, **(case or {})}
    met, failed = clock or (0, 0)
    return {
        **{name: found[name] for name in ("opened", "resolved", "backlog", "reopened")},
        **{
            name: None if found[name] is None else int(found[name])
            for name in (
                "first_response_median",
                "first_response_p90",
                "resolution_median",
                "resolution_p90",
            )
        },
        "sla_met": met,
        "sla_failed": failed,
        "sla_attainment": _share(met, met + failed),
        "reopen_rate": _share(found["reopened"], found["ended"]),
    }


def _share(part: int, whole: int) -> str | None:
    if not whole:
        return None
    return str((Decimal(part) / whole).quantize(Decimal("0.0001"), ROUND_HALF_UP))


# $2 is the beginning and $3 the end of the days asked about.
_CASES: Final = """
SELECT grouping({key}) AS whole, {key} AS key,
  count(*) FILTER (WHERE t.opened_at >= $2 AND t.opened_at < $3) AS opened,
  count(*) FILTER (WHERE t.resolved_at >= $2 AND t.resolved_at < $3) AS resolved,
  count(*) FILTER (WHERE t.opened_at < $3 AND (t.resolved_at IS NULL OR t.resolved_at >= $3)) AS backlog,
  count(*) FILTER (WHERE t.reopened_at >= $2 AND t.reopened_at < $3) AS reopened,
  count(*) FILTER (WHERE (t.resolved_at >= $2 AND t.resolved_at < $3) OR (t.reopened_at >= $2 AND t.reopened_at < $3))
    AS ended,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.first_response_at - t.opened_at))
    FILTER (WHERE t.first_response_at >= $2 AND t.first_response_at < $3) AS first_response_median,
  percentile_disc(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM t.first_response_at - t.opened_at))
    FILTER (WHERE t.first_response_at >= $2 AND t.first_response_at < $3) AS first_response_p90,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.resolved_at - t.opened_at))
    FILTER (WHERE t.resolved_at >= $2 AND t.resolved_at < $3) AS resolution_median,
  percentile_disc(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM t.resolved_at - t.opened_at))
    FILTER (WHERE t.resolved_at >= $2 AND t.resolved_at < $3) AS resolution_p90
FROM after_sales.cases t
WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND t.opened_at < $3
  AND (t.resolved_at IS NULL OR t.resolved_at >= $2 OR t.first_response_at >= $2){where}
GROUP BY GROUPING SETS (({key}), ())"""

_CLOCKS: Final = """
SELECT grouping({key}) AS whole, {key} AS key,
  count(*) FILTER (WHERE k.breached_at IS NULL) AS met, count(*) FILTER (WHERE k.breached_at IS NOT NULL) AS failed
FROM after_sales.case_clocks k JOIN after_sales.cases t ON t.tenant_id = k.tenant_id AND t.id = k.case_id
WHERE k.tenant_id = $1 AND coalesce(k.breached_at, k.ended_at) >= $2 AND coalesce(k.breached_at, k.ended_at) < $3
  AND t.deleted_at IS NULL{where}
GROUP BY GROUPING SETS (({key}), ())"""
