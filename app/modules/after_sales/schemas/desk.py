"""What goes over the wire for queues and agents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.kernel.schemas import Input, Output, ShortText
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.interface import CaseChannel
from app.modules.after_sales.models.desk import AgentStatus, Queue, Routing
from app.modules.after_sales.schemas.cases import CaseRead
from app.modules.after_sales.schemas.skills import QueueSkillRead, Skills

MemberIds = Annotated[list[UUID], Field(max_length=500)]
TeamIds = Annotated[list[UUID], Field(max_length=100)]
Units = Annotated[int, Field(ge=1, le=1_000)]
AwayAfter = Annotated[int, Field(ge=1, le=1_440)]
AWAY_AFTER_MINUTES = 30


class CaseQueueNames(Input):
    """A name per language."""

    en: ShortText
    zh: ShortText | None = None


class CaseQueueNamesRead(Output):
    en: str
    zh: str | None


Seconds = Annotated[int, Field(ge=0, le=2_592_000)]


class QueueCreate(Input):
    """Where cases wait for one of its members."""

    name: CaseQueueNames
    routing: Routing = Field(
        Routing.PULL, description="`pull`: agents take the next case; `push`: they get it as they have room."
    )
    member_ids: MemberIds = Field(default_factory=list, description="Who takes cases from it.")
    team_ids: TeamIds = Field(default_factory=list, description="The members of these teams do so too.")
    skills: Skills = Field(default_factory=list)
    optional_for_seconds: Seconds = Field(
        300, description="Skills that are not required are dropped when a case is so old."
    )


class QueueUpdate(Input):
    """Changes to a queue; lists and objects are replaced whole."""

    name: CaseQueueNames | None = None
    routing: Routing | None = None
    member_ids: MemberIds | None = None
    team_ids: TeamIds | None = None
    skills: Skills | None = None
    optional_for_seconds: Seconds | None = None


class QueueRead(Output):
    """A queue."""

    id: UUID
    version: int
    name: CaseQueueNamesRead
    routing: Routing
    member_ids: list[UUID]
    team_ids: list[UUID]
    skills: list[QueueSkillRead]
    optional_for_seconds: int
    waiting: int = Field(description="Unresolved cases in it that nobody has.")
    created_at: datetime
    updated_at: datetime


class QueueList(Output):
    data: list[QueueRead]


ChannelWeights = Annotated[
    dict[CaseChannel, Units | None],
    Field(
        description="Units that a case takes, by channel; null takes an agent whole. Channels left out weigh 2.",
        examples=[{"chat": 3, "email": 1, "phone": None}],
    ),
]


class DeskSettingsInput(Input):
    """What agents can bear."""

    capacity: Units = Field(description="Units of an agent who has no capacity of their own.", examples=[6])
    weights: ChannelWeights = Field(default_factory=dict)
    away_after_minutes: AwayAfter | None = Field(
        AWAY_AFTER_MINUTES,
        description="Whoever is online and says nothing for so long is away, and what they had not begun goes back;"
        " null: nobody is.",
    )


class DeskSettingsRead(Output):
    """What agents can bear. With a capacity of 6, cases of weight 2 come three at a time."""

    version: int = Field(description="0 while nothing has been set.")
    capacity: int
    weights: dict[CaseChannel, int | None]
    away_after_minutes: int | None


class PresenceInput(Input):
    """Whether I take cases just now."""

    status: AgentStatus = Field(examples=["online"])


class AgentInput(Input):
    """Somebody's presence and capacity."""

    status: AgentStatus
    capacity: int | None = Field(None, ge=0, le=1_000, description="Units; null: as the company has it.")


class AgentRead(Output):
    """A member at the desk."""

    id: UUID = Field(description="The member's.")
    version: int = Field(description="0 for somebody who was never at the desk.")
    name: str | None
    status: AgentStatus
    status_since: datetime | None
    heard_at: datetime | None = Field(
        description="When they last said that they are there, or asked for a case."
    )
    capacity: int
    load: int = Field(description="Units that their cases take; a call takes all of it.")
    cases: int = Field(description="Unresolved cases of theirs in which it is our turn.")
    on_call: bool
    last_taken_at: datetime | None


class AgentList(Output):
    data: list[AgentRead]


class Taken(Output):
    """The case that is yours from here on; null: nothing waits that you can take."""

    case: CaseRead | None
    load: int = Field(description="Units taken, with this case.")
    capacity: int


# -- between rows and wire -----------------------------------------------------------------------------------


def columns_of_body(body: QueueCreate | QueueUpdate) -> dict[str, Any]:
    """The columns that a body names. Raises: Invalid for a null."""
    partial = isinstance(body, QueueUpdate)
    values: dict[str, Any] = {}
    refuse_nulls({name: getattr(body, name) for name in body.model_fields_set})
    for name in sorted(body.model_fields_set if partial else type(body).model_fields):
        value = getattr(body, name)
        if isinstance(value, CaseQueueNames):
            values |= {"name_en": value.en, "name_zh": value.zh}
        elif name == "skills":
            values[name] = [skill.model_dump() for skill in value]
        else:
            values[name] = value
    return values


def queue_read(row: Queue, waiting: int) -> QueueRead:
    """A queue as its answer."""
    values = {n: v for n, v in row.__dict__.items() if n in QueueRead.model_fields}
    name = CaseQueueNamesRead(en=row.name_en, zh=row.name_zh)
    return QueueRead.model_validate(values | {"name": name, "waiting": waiting})
