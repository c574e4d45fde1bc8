"""What cases add up to, by group."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut
from app.kernel.schemas import Input, Output
from app.modules.after_sales.interface import CaseChannel, CasePriority

CaseGroupBy = Literal["agent", "team", "queue", "product", "channel", "priority", "account"]
MOST_CASE_GROUPS = 10_000


class CaseQuestion(Input):
    """Which cases are asked about, over which days of the company's calendar, and by what they are grouped."""

    group_by: CaseGroupBy = Field("agent", description="What a group has in common.")
    from_day: date | None = Field(None, description="First day; absent: 30 days before the last.")
    to_day: date | None = Field(None, description="Last day; absent: today.")
    owner_id: UUID | None = Field(None, description="Only cases of this member.")
    team_id: UUID | None = Field(None, description="Only cases of this team.")
    queue_id: UUID | None = Field(None, description="Only cases of this queue.")
    product_id: UUID | None = Field(None, description="Only cases about this product.")
    account_id: UUID | None = Field(None, description="Only cases of this account.")
    channel: CaseChannel | None = Field(None, description="Only cases that came in this way.")
    priority: CasePriority | None = Field(None, description="Only cases of this priority.")
    limit: int = Field(
        1_000, ge=1, le=MOST_CASE_GROUPS, description="Groups: those with the most cases opened."
    )

    @model_validator(mode="after")
    def _in_order(self) -> CaseQuestion:
        if self.from_day is not None and self.to_day is not None and self.to_day < self.from_day:
            raise PydanticCustomError("not_in_order", "The last day is not before the first")
        return self


class CaseFigures(Output):
    """Times are seconds by the clock on the wall, of what was answered or resolved in these days."""

    opened: int = Field(description="Came in.")
    resolved: int = Field(description="Resolved, and not opened again since.")
    backlog: int = Field(description="Unresolved at the end of the last day.")
    first_response_median: int | None
    first_response_p90: int | None
    resolution_median: int | None
    resolution_p90: int | None
    sla_met: int = Field(description="Promises that were kept.")
    sla_failed: int = Field(description="Promises that were missed.")
    sla_attainment: DecimalOut | None = Field(description="Kept of all, to four decimals.")
    reopened: int = Field(description="Cases that were opened again.")
    reopen_rate: DecimalOut | None = Field(
        description="Of the cases that were resolved or opened again, the share that was opened again."
    )


class CaseGroup(CaseFigures):
    """One group; `key` is null for what has none."""

    key: str | None
    label: str | None


class CaseStatistics(Output):
    """Figures by group and altogether."""

    group_by: CaseGroupBy
    from_day: date
    to_day: date
    data: list[CaseGroup]
    has_more: bool = Field(description="There are more groups than `limit`.")
    total: CaseFigures
