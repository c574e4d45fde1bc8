"""Submitted forecasts: what members stand for and what their managers make of it, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Forbidden, Invalid
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.interface import ForecastSubmitted
from app.modules.opportunities.reading.models import ForecastSubmission
from app.modules.opportunities.reading.periods import Period, period_of
from app.modules.opportunities.reading.schemas import SubmissionCreate
from app.modules.opportunities.reading.targets import Organisation, reached_members

OBJECT: Final = "forecast_submission"


@dataclass
class Submitted:
    """The latest figures of a period by member and category, in minor units of the tenant's currency."""

    own: dict[tuple[UUID, str], int] = field(default_factory=dict)
    overrides: dict[tuple[UUID, str], int] = field(default_factory=dict)

    @property
    def members(self) -> set[UUID]:
        return {member for member, _ in (*self.own, *self.overrides)}

    def add(self, row: Any) -> None:
        into = self.own if row["kind"] == "submission" else self.overrides
        into[row["member_id"], row["category"]] = row["amount"]


class SubmissionService:
    """Submissions of the tenant at hand, as far as one may see and make them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def submit(self, body: SubmissionCreate) -> ForecastSubmission:
        """One's own figure; or, with a reason, of somebody in reach of `forecast:override`.

        Raises `Forbidden`, `Invalid`.
        """
        uow = self._uow
        period = period_of(body.period, body.starts_on, uow.now, uow.actor.tenant, "/starts_on")
        home = uow.actor.tenant.currency
        if body.amount.currency != home:
            raise Invalid.at(
                "/amount/currency", "home_currency", f"A forecast is in the company's currency, {home}."
            )
        member = body.member_id or uow.actor.member_id
        if member is None:
            raise Invalid.at("/member_id", "required", "Say whose forecast this is.")
        kind = "submission" if member == uow.actor.member_id else "override"
        if kind == "override":
            await self._require_override(member, body.note)
        row = await uow.insert(
            ForecastSubmission,
            audit=OBJECT,
            member_id=member,
            period=period.kind,
            starts_on=period.starts_on,
            category=body.category.value,
            kind=kind,
            amount=body.amount.amount_minor,
            currency=home,
            note=body.note,
            submitted_by=uow.actor.member_id,
        )
        uow.publish(
            ForecastSubmitted(
                id=row.id,
                member_id=member,
                period=period.kind,
                starts_on=period.starts_on,
                category=row.category,
                kind=kind,
                amount={"amount": body.amount.to_major(), "currency": home},
                note=row.note,
            )
        )
        return row

    async def _require_override(self, member: UUID, note: str | None) -> None:
        uow = self._uow
        await uow.of(People).require_members([member], pointer="/member_id")
        uow.actor.require("forecast:override")
        people = await Organisation.load(uow)
        if member not in reached_members(uow, "forecast:override", people):
            raise Forbidden("You may not override their forecast.", permission="forecast:override")
        if note is None:
            raise Invalid.at("/note", "required", "Say why the figure is another.")

    async def latest(self, period: Period, people: Organisation) -> Submitted:
        """The figures that count, of the members that one sees."""
        rows = await self._uow.fetch(
            "SELECT DISTINCT ON (member_id, category, kind) member_id, category, kind, amount"
            " FROM opportunities.forecast_submissions WHERE tenant_id = $1 AND period = $2 AND starts_on = $3"
            " AND member_id = ANY($4::uuid[]) AND currency = $5"
            " ORDER BY member_id, category, kind, created_at DESC, id DESC",
            *self._arguments(period, people),
        )
        found = Submitted()
        for row in rows:
            found.add(row)
        return found

    async def all(self, period: Period, people: Organisation) -> Sequence[Any]:
        """Every figure of the period that one sees, oldest first."""
        return await self._uow.fetch(
            "SELECT member_id, category, kind, amount, created_at FROM opportunities.forecast_submissions"
            " WHERE tenant_id = $1 AND period = $2 AND starts_on = $3 AND member_id = ANY($4::uuid[])"
            " AND currency = $5 ORDER BY created_at, id",
            *self._arguments(period, people),
        )

    def _arguments(self, period: Period, people: Organisation) -> tuple[Any, ...]:
        members = sorted(reached_members(self._uow, "opportunity:read", people))
        uow = self._uow
        return uow.tenant_id, period.kind, period.starts_on, members, uow.actor.tenant.currency
