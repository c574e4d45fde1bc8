"""Telemetry: the rules that watch what assets report.

Meters, readings and the states of rules are rows without a life of their own; `services/telemetry` speaks to them in
SQL: a reading is 24 bytes besides its key.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, module_ref, one_of
from app.modules.after_sales.interface import CasePriority


class TelemetryRuleKind(StrEnum):
    """Above or below a threshold, or no reading at all."""

    ABOVE = "above"
    BELOW = "below"
    ABSENT = "absent"


class TelemetryRule(RecordTable):
    """When a metric of an asset calls for a case.

    Above or below: when at least `for_readings` readings in a row, over at least `for_seconds`, lie beyond
    `threshold`; it is over when a reading has come back to `clear_at`. Absent: when no reading came for so long.
    """

    __tablename__ = "telemetry_rules"
    __table_args__ = (
        one_of("kind", TelemetryRuleKind),
        one_of("case_priority", CasePriority),
        {"schema": "after_sales"},
    )

    name: Mapped[str]
    is_active: Mapped[bool]
    kind: Mapped[str]
    metric: Mapped[str]
    threshold: Mapped[Decimal | None]
    clear_at: Mapped[Decimal | None]
    for_seconds: Mapped[int]
    for_readings: Mapped[int]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    asset_id: Mapped[UUID | None]
    case_priority: Mapped[str]
    case_type: Mapped[str | None]
