"""The wire shapes of pools."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import BatchResult, Input, Output, ShortText, Tag, patch_of

MAX_CLAIMED = 50
MAX_DISTRIBUTED = 1_000
Key = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,59}$")]
Days = Annotated[int, Field(ge=1, le=3650)]


class PoolNames(Input):
    """What people call it."""

    en: ShortText = Field(examples=["East"])
    zh: ShortText | None = Field(None, examples=["华东公海"])


class RecycleKind(StrEnum):
    """What sends a record back, when it lasts for as many days."""

    NO_FOLLOW_UP = "no_follow_up"
    NO_OPPORTUNITY = "no_opportunity"
    NOT_WON = "not_won"


class RecycleRule(Input):
    """Recycle a record after so many days: without follow-up since the last one or since its owner got it; without an
    open opportunity, or not won, since its owner got it. `levels` sets other days for values of `level_field`."""

    kind: RecycleKind
    days: Days | None = Field(
        None, description="For records of no level named below; null means never.", examples=[30]
    )
    level_field: Key | None = Field(
        None, description="Of accounts `rating` or `lifecycle_stage`, of leads `rating`.", examples=["rating"]
    )
    levels: dict[Key, Days | None] = Field(
        default_factory=dict,
        max_length=50,
        examples=[{"hot": 14, "cold": 90}],
        description="null means never.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> RecycleRule:
        if (self.level_field is None) != (not self.levels):
            raise PydanticCustomError("levels", "Give level_field and levels together")
        if self.days is None and not any(self.levels.values()):
            raise PydanticCustomError("days_required", "Say after how many days")
        return self


class PoolFields(Input):
    """What may be changed of a pool."""

    name: PoolNames
    is_enabled: bool = True
    open_to_all: bool = Field(False, description="Every member may claim from it.")
    admin_ids: list[UUID] = Field(
        default_factory=list,
        max_length=200,
        description="Members who distribute its records and open them unlimited.",
    )
    member_ids: list[UUID] = Field(
        default_factory=list, max_length=2_000, description="Members who may claim."
    )
    team_ids: list[UUID] = Field(
        default_factory=list,
        max_length=500,
        description="Teams whose own members may claim; not those of teams below.",
    )
    holding_limit: int | None = Field(
        None, ge=1, description="Records of this kind that somebody who claims may have in all."
    )
    holding_counts_won: bool = Field(True, description="Whether won customers count for the holding limit.")
    claim_limit_per_request: int | None = Field(None, ge=1, le=MAX_CLAIMED)
    claim_limit_per_day: int | None = Field(
        None, ge=1, description="Claims of one member on one day of the company's time zone."
    )
    former_owner_ban_days: Days | None = Field(
        None, description="So long whoever had a record last may not claim it."
    )
    embargo_hours: int | None = Field(
        None, ge=1, le=8760, description="So long nobody may claim a record that came into the pool."
    )
    view_limit_per_day: int | None = Field(
        None, ge=1, description="Records that a member who is no administrator may open on one day."
    )
    mask_contacts: bool = Field(
        False,
        description="Lists show telephone numbers and e-mail addresses in part until a record is claimed.",
    )
    recycle_enabled: bool = Field(True, description="Whether the rules below are applied.")
    recycle_rules: list[RecycleRule] = Field(
        default_factory=list,
        max_length=10,
        description="Any of them suffices. They apply to records of the pool's members.",
    )
    recycle_exemptions: list[Key] = Field(
        default_factory=list,
        max_length=20,
        description="What keeps a record: `won`, `open_opportunity`, and what further modules know.",
        examples=[["won", "open_opportunity"]],
    )
    recycle_exempt_tags: list[Tag] = Field(
        default_factory=list, max_length=50, description="Tags that keep a record."
    )
    reminder_days: Days | None = Field(
        None, description="So long before it is recycled the owner of a record is reminded, once."
    )


class PoolCreate(PoolFields):
    """A pool to make."""

    object: Literal["account", "lead"]


PoolUpdate = patch_of(PoolFields, "PoolUpdate")
PoolUpdate.__doc__ = "Changes to a pool; absent fields stay as they are, lists are replaced whole."


class PoolNamesRead(Output):
    en: str
    zh: str | None


class RecycleRuleRead(Output):
    kind: RecycleKind
    days: int | None
    level_field: str | None
    levels: dict[str, int | None]


class PoolRead(Output):
    """A pool with its people and rules."""

    id: UUID
    version: int
    object: Literal["account", "lead"]
    name: PoolNamesRead
    is_enabled: bool
    open_to_all: bool
    admin_ids: list[UUID]
    member_ids: list[UUID]
    team_ids: list[UUID]
    holding_limit: int | None
    holding_counts_won: bool
    claim_limit_per_request: int | None
    claim_limit_per_day: int | None
    former_owner_ban_days: int | None
    embargo_hours: int | None
    view_limit_per_day: int | None
    mask_contacts: bool
    recycle_enabled: bool
    recycle_rules: list[RecycleRuleRead]
    recycle_exemptions: list[str]
    recycle_exempt_tags: list[str]
    reminder_days: int | None
    created_at: datetime
    updated_at: datetime


class PoolList(Output):
    """All pools, oldest first."""

    data: list[PoolRead]


class Claim(Input):
    """Records to claim, first come first served."""

    ids: list[UUID] = Field(min_length=1, max_length=MAX_CLAIMED)
    all_or_none: bool = Field(False, description="One failure undoes everything.")


class Distribution(Input):
    """Records to give to one member, or in turn to several."""

    ids: list[UUID] = Field(min_length=1, max_length=MAX_DISTRIBUTED)
    member_ids: list[UUID] = Field(min_length=1, max_length=200)
    all_or_none: bool = Field(False, description="One failure undoes everything.")


class DistributionResult(BatchResult):
    """One record's outcome and its new owner."""

    owner_id: UUID | None


class DistributionAnswer(Output):
    results: list[DistributionResult]
    succeeded: int
    failed: int
