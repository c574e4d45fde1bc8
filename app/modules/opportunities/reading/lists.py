"""Keyset pages of targets and submissions, newest first, of what the actor sees."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.listing import Bindings, Kind
from app.kernel.log_pages import NEWEST_BY_TIME, fetch_page, order_by
from app.kernel.money import Money
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.models import ForecastSubmission, Target
from app.modules.opportunities.reading.reach import amounts_hidden
from app.modules.opportunities.reading.schemas import ForecastSubmissionRead, Submissions, Targets
from app.modules.opportunities.reading.targets import Organisation, TargetService, reached_members

_LATEST_PERIOD: Final = order_by({"starts_on": Kind.DATE, "id": Kind.UUID}, falling=True)


async def targets_page(
    uow: UnitOfWork, filters: Mapping[str, Any], *, limit: int, cursor: str | None
) -> Targets:
    """Raises `InvalidCursor`."""
    bind = Bindings(uow.tenant_id)
    seen = "true"
    if uow.actor.scope("target:read") is not Scope.ALL:
        people = await Organisation.load(uow)
        actor = uow.actor
        teams = actor.team_ids_below if actor.scope("target:read") is Scope.TEAM_AND_BELOW else actor.team_ids
        if actor.scope("target:read") < Scope.TEAM:
            teams = ()
        members = sorted(reached_members(uow, "target:read", people))
        seen = (
            f"((t.subject = 'member' AND t.subject_id = ANY({bind(members)}::uuid[]))"
            f" OR (t.subject = 'team' AND t.subject_id = ANY({bind(list(teams))}::uuid[])))"
        )
    select = _selection("targets", seen, bind, filters)
    name = f"targets:{_given(filters)}"
    found = await fetch_page(uow, select, bind, _LATEST_PERIOD, name=name, limit=limit, cursor=cursor)
    data = await TargetService(uow).render(entities(Target, found.rows))
    return Targets(data=data, **found.onward)


async def submissions_page(
    uow: UnitOfWork, filters: Mapping[str, Any], *, limit: int, cursor: str | None
) -> Submissions:
    """Raises `InvalidCursor`."""
    bind = Bindings(uow.tenant_id)
    members = sorted(reached_members(uow, "opportunity:read", await Organisation.load(uow)))
    seen = f"t.member_id = ANY({bind(members)}::uuid[])"
    if amounts_hidden(uow):
        seen = f"false AND {seen}"  # a submission is nothing but its amount
    select = _selection("forecast_submissions", seen, bind, filters)
    name = f"forecast_submissions:{_given(filters)}"
    found = await fetch_page(uow, select, bind, NEWEST_BY_TIME, name=name, limit=limit, cursor=cursor)
    data = [submission(row) for row in entities(ForecastSubmission, found.rows)]
    return Submissions(data=data, **found.onward)


def submission(row: ForecastSubmission) -> ForecastSubmissionRead:
    """The wire form."""
    names = (
        "id",
        "member_id",
        "period",
        "starts_on",
        "category",
        "kind",
        "note",
        "submitted_by",
        "created_at",
    )
    values = {name: getattr(row, name) for name in names}
    return ForecastSubmissionRead.model_validate(values | {"amount": Money(row.amount, row.currency)})


def _selection(table: str, seen: str, bind: Bindings, filters: Mapping[str, Any]) -> str:
    clauses = ["t.tenant_id = $1", seen]
    clauses += [f"t.{name} = {bind(value)}::{_type(value)}" for name, value in _given(filters).items()]
    return f"SELECT t.* FROM opportunities.{table} t WHERE {' AND '.join(clauses)}"


def _given(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}


def _type(value: Any) -> str:
    return {date: "date", UUID: "uuid"}.get(type(value), "text")
