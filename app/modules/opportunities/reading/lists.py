"""Keyset pages of targets and submissions, newest first, of what the actor sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.listing import Bindings
from app.kernel.money import Money
from app.kernel.positions import read_position, sign_position
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.reading.models import ForecastSubmission, Target
from app.modules.opportunities.reading.reach import amounts_hidden
from app.modules.opportunities.reading.schemas import ForecastSubmissionRead, Submissions, Targets
from app.modules.opportunities.reading.targets import Organisation, TargetService, reached_members


async def targets_page(
    uow: UnitOfWork, filters: Mapping[str, Any], limit: int, cursor: str | None
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
    rows, following = await _page(uow, "targets", "starts_on", seen, bind, filters, limit, cursor)
    data = await TargetService(uow).render([entity(Target, row) for row in rows])
    return Targets(data=data, next_cursor=following, has_more=following is not None)


async def submissions_page(
    uow: UnitOfWork, filters: Mapping[str, Any], limit: int, cursor: str | None
) -> Submissions:
    """Raises `InvalidCursor`."""
    bind = Bindings(uow.tenant_id)
    members = sorted(reached_members(uow, "opportunity:read", await Organisation.load(uow)))
    seen = f"t.member_id = ANY({bind(members)}::uuid[])"
    if amounts_hidden(uow):
        seen = f"false AND {seen}"  # a submission is nothing but its amount
    rows, following = await _page(
        uow, "forecast_submissions", "created_at", seen, bind, filters, limit, cursor
    )
    data = [submission(entity(ForecastSubmission, row)) for row in rows]
    return Submissions(data=data, next_cursor=following, has_more=following is not None)


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


async def _page(
    uow: UnitOfWork,
    table: str,
    order: str,
    seen: str,
    bind: Bindings,
    filters: Mapping[str, Any],
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[Any], str | None]:
    given = {name: value for name, value in filters.items() if value is not None}
    name = f"{table}:{given}"
    clauses = ["t.tenant_id = $1", seen]
    clauses += [f"t.{name} = {bind(value)}::{_type(value)}" for name, value in given.items()]
    position = read_position(uow, name, cursor)
    if position:
        after, id = position
        kind = "date" if order == "starts_on" else "timestamptz"
        clauses.append(f"(t.{order}, t.id) < ({bind(after)}::text::{kind}, {bind(id)}::text::uuid)")
    rows = await uow.fetch(
        f"SELECT t.*, t.{order}::text AS position FROM opportunities.{table} t WHERE {' AND '.join(clauses)}"
        f" ORDER BY t.{order} DESC, t.id DESC LIMIT {int(limit) + 1}",
        *bind.values,
    )
    plain = [{name: value for name, value in row.items() if name != "position"} for row in rows[:limit]]
    if len(rows) <= limit:
        return plain, None
    return plain, sign_position(uow, name, [rows[limit - 1]["position"], rows[limit - 1]["id"]])


def _type(value: Any) -> str:
    return {date: "date", UUID: "uuid"}.get(type(value), "text")
