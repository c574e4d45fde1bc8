"""Targets, submitted forecasts, and the weekly snapshots that forecasts are judged by."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import TenantOwned, Versioned, module_ref


class Target(Versioned):
    """What a member, a team with those below, or the company is to reach in a period."""

    __tablename__ = "targets"
    __table_args__ = ({"schema": "opportunities"},)

    subject: Mapped[str]  # member, team, tenant
    subject_id: Mapped[UUID]  # the tenant's own id for the company
    period: Mapped[str]
    starts_on: Mapped[date]
    measure: Mapped[str]
    amount: Mapped[int | None]  # minor units of `currency`; of won_amount
    currency: Mapped[str | None]
    quantity: Mapped[int | None]  # of the other measures


class ForecastSubmission(TenantOwned):
    """A figure that a member stands for, or a manager's instead; the latest of its kind counts."""

    __tablename__ = "forecast_submissions"
    __table_args__ = ({"schema": "opportunities"},)

    member_id: Mapped[UUID] = module_ref("tenants.members", on_delete="keep")
    period: Mapped[str]
    starts_on: Mapped[date]
    category: Mapped[str]
    kind: Mapped[str]  # submission, override
    amount: Mapped[int]
    currency: Mapped[str]
    note: Mapped[str | None]
    submitted_by: Mapped[UUID | None]
    created_at: Mapped[datetime]


class ForecastWeek(TenantOwned):
    """A snapshot was taken in the week that begins on `starts_on`, in the tenant's zone."""

    __tablename__ = "forecast_weeks"
    __table_args__ = ({"schema": "opportunities"},)

    starts_on: Mapped[date]
    taken_at: Mapped[datetime]
    currency: Mapped[str]
