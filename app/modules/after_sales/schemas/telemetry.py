"""What goes over the wire for telemetry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from app.kernel.decimals import DecimalOut, decimal_field
from app.kernel.schemas import Input, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.after_sales.interface import CasePriority
from app.modules.after_sales.models.telemetry import TelemetryRuleKind
from app.modules.after_sales.schemas.service import Metric

MOST_READINGS = 1_000
Level = Annotated[str, *decimal_field(r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$", "80")]


class ReadingInput(Input):
    """What a metric was at a moment."""

    metric: Metric
    at: AwareDatetime = Field(description="Not more than five minutes ahead of us.")
    value: Annotated[float, Field(ge=-1e15, le=1e15)]


class TelemetryBatch(Input):
    """Readings of one asset, in any order; one that is known already changes nothing."""

    readings: Annotated[list[ReadingInput], Field(min_length=1, max_length=MOST_READINGS)]


class TelemetryAnswer(Output):
    """What became of a batch."""

    stored: int
    known: int = Field(description="Readings of a metric and moment that were there already.")
    breached: int = Field(description="Rules that began to call for a case.")


class MeterRead(Output):
    """The newest reading of a metric."""

    metric: str
    at: datetime | None
    value: float | None


class Meters(Output):
    """The newest readings of an asset, by metric."""

    data: list[MeterRead]


class ReadingRead(Output):
    at: datetime
    value: float


class TelemetryRuleCreate(RecordInput):
    """When a metric calls for a case: for all assets, those of a product, or one."""

    name: ShortText = Field(examples=["Too hot"])
    is_active: bool = True
    kind: TelemetryRuleKind = Field(examples=["absent"])
    metric: Metric
    threshold: Level | None = Field(None, description="Needed unless the rule is about absence.")
    clear_at: Level | None = Field(
        None, description="Where it counts as over, on the good side; absent means the threshold."
    )
    for_seconds: Annotated[int, Field(ge=0, le=31_622_400, examples=[900])] = Field(
        0, description="How long it has to last; how long nothing has come, for a rule about absence."
    )
    for_readings: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1, description="How many readings in a row have to be beyond the threshold."
    )
    product_id: UUID | None = None
    asset_id: UUID | None = None
    case_priority: CasePriority = CasePriority.HIGH
    case_type: Annotated[str, Field(min_length=1, max_length=60)] | None = None


TelemetryRuleUpdate = patch_of(TelemetryRuleCreate)


class TelemetryRuleRead(RecordOutput):
    """A rule as stored."""

    name: str
    is_active: bool
    kind: TelemetryRuleKind
    metric: str
    threshold: DecimalOut | None
    clear_at: DecimalOut | None
    for_seconds: int
    for_readings: int
    product_id: UUID | None
    asset_id: UUID | None
    case_priority: CasePriority
    case_type: str | None
