"""What customers said, one by one and added up; of cases that the actor sees.

Formulas, over the answers of a kind: CSAT = 100 x scores of 4 and 5 / answers; NPS = 100 x (scores of 9 and 10 less
scores up to 6) / answers; CES = the mean score. An answer counts on the day it was given, for whoever was in charge
of the case and for its product when the customer was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import fetch_page, order_by
from app.kernel.money import half_up
from app.kernel.people import People
from app.kernel.periods import period_start_sql
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.surveys import Survey, SurveyInvitation
from app.modules.after_sales.schemas.surveys import (
    AnswerFilter,
    Satisfaction,
    SatisfactionGroup,
    SatisfactionQuestion,
    SatisfactionStatistics,
    SurveyAnswersPage,
)
from app.modules.after_sales.services.surveys.sending import read_all
from app.modules.catalog.interface import Catalog

_COLUMNS: Final = {"agent": "i.agent_id", "product": "i.product_id", "survey": "i.survey_id"}


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts of one group, which add up."""

    answers: int = 0
    alerts: int = 0
    csat: int = 0
    satisfied: int = 0
    nps: int = 0
    promoters: int = 0
    detractors: int = 0
    ces: int = 0
    ces_sum: int = 0

    def plus(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def wire(self) -> dict[str, Any]:
        """As `Satisfaction` shows them."""
        return {
            "answers": self.answers,
            "alerts": self.alerts,
            "csat_answers": self.csat,
            "csat_percent": _share(100 * self.satisfied, self.csat),
            "nps_answers": self.nps,
            "nps": _share(100 * (self.promoters - self.detractors), self.nps),
            "ces_answers": self.ces,
            "ces_mean": _share(self.ces_sum, self.ces),
        }


class SurveyStatistics:
    """Lists and adds up answers, in a fixed number of statements."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def answers(self, wanted: AnswerFilter, *, limit: int, cursor: str | None) -> SurveyAnswersPage:
        """Answers, newest first. Raises `InvalidCursor`."""
        bind = Bindings(self._uow.tenant_id)
        found = await fetch_page(
            self._uow,
            f"SELECT i.* {_FROM} WHERE {self._where(wanted, bind)}",
            bind,
            _NEWEST,
            name=f"survey_answers:{wanted.model_dump_json()}",
            limit=limit,
            cursor=cursor,
        )
        return SurveyAnswersPage(data=read_all(entities(SurveyInvitation, found.rows)), **found.onward)

    async def satisfaction(self, question: SatisfactionQuestion) -> SatisfactionStatistics:
        """What the answers add up to by group, and altogether."""
        bind = Bindings(self._uow.tenant_id)
        where = self._where(question, bind)
        key = self._key(question.group_by, bind)
        rows = await self._uow.fetch(
            f"SELECT {key} AS key, {_SUMS} {_FROM} WHERE {where} GROUP BY 1", *bind.values
        )
        groups = {row["key"]: Sums(*(row[name] for name in Sums.__slots__)) for row in rows}
        keys = _in_order(groups, by_time=question.group_by not in _COLUMNS)
        labels = await self._labels(question.group_by, [one for one in keys if one is not None])
        total = Sums()
        for sums in groups.values():
            total = total.plus(sums)
        return SatisfactionStatistics(
            group_by=question.group_by,
            data=[
                SatisfactionGroup(
                    key=None if one is None else str(one), label=labels.get(one), **groups[one].wire()
                )
                for one in keys
            ],
            total=Satisfaction(**total.wire()),
        )

    def _where(self, wanted: AnswerFilter, bind: Bindings) -> str:
        tenant = self._uow.actor.tenant
        clauses = ["i.tenant_id = $1", "i.status = 'answered'", "t.deleted_at IS NULL"]
        visible = visible_rows(self._uow.actor, "case", "read", bind)
        clauses += [visible] if visible else []
        for name in ("kind", "survey_id", "agent_id", "product_id", "alerted"):
            value = getattr(wanted, name)
            if value is not None:
                clauses.append(f"i.{name} = {bind(value)}")
        if wanted.answered_from is not None:
            clauses.append(f"i.answered_at >= {bind(tenant.midnight(wanted.answered_from))}::timestamptz")
        if wanted.answered_to is not None:
            end = tenant.midnight(wanted.answered_to + timedelta(days=1))
            clauses.append(f"i.answered_at < {bind(end)}::timestamptz")
        return " AND ".join(clauses)

    def _key(self, group_by: str, bind: Bindings) -> str:
        if group_by in _COLUMNS:
            return _COLUMNS[group_by]
        tenant = self._uow.actor.tenant
        day = f"(i.answered_at AT TIME ZONE {bind(tenant.zone.key)}::text)"
        return period_start_sql(day, group_by, tenant.fiscal_year_start_month)

    async def _labels(self, group_by: str, keys: list[Any]) -> Mapping[Any, str]:
        if not keys:
            return {}
        if group_by == "agent":
            return await self._uow.of(People).names(keys)
        if group_by == "product":
            return await self._uow.of(Catalog).names(keys)
        if group_by == "survey":
            rows = await self._uow.all(self._uow.select(Survey).where(Survey.id.in_(keys)))
            return {row.id: row.name for row in rows}
        return {}


def _in_order(groups: Mapping[Any, Sums], *, by_time: bool) -> Sequence[Any]:
    """Periods in time, others by most answers; what has no key comes last."""
    keys: Iterable[Any] = [key for key in groups if key is not None]
    ordered = sorted(keys) if by_time else sorted(keys, key=lambda key: (-groups[key].answers, str(key)))
    return [*ordered, None] if None in groups else ordered


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(half_up(Fraction(100 * part, whole))).scaleb(-2) if whole else None


_FROM: Final = """FROM after_sales.survey_invitations i
  JOIN after_sales.cases t ON t.tenant_id = i.tenant_id AND t.id = i.case_id"""
_NEWEST: Final = order_by({"i.answered_at": Kind.DATETIME, "i.id": Kind.UUID}, falling=True)
_SUMS: Final = """count(*) AS answers, count(*) FILTER (WHERE i.alerted) AS alerts,
  count(*) FILTER (WHERE i.kind = 'csat') AS csat,
  count(*) FILTER (WHERE i.kind = 'csat' AND i.score >= 4) AS satisfied,
  count(*) FILTER (WHERE i.kind = 'nps') AS nps,
  count(*) FILTER (WHERE i.kind = 'nps' AND i.score >= 9) AS promoters,
  count(*) FILTER (WHERE i.kind = 'nps' AND i.score <= 6) AS detractors,
  count(*) FILTER (WHERE i.kind = 'ces') AS ces,
  coalesce(sum(i.score) FILTER (WHERE i.kind = 'ces'), 0)::bigint AS ces_sum"""
