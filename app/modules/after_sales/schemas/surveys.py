"""The wire shapes of surveys, their answers, and what these add up to."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.decimals import DecimalOut
from app.kernel.schemas import Input, Output, ShortText
from app.modules.after_sales.models.surveys import InvitationStatus, SurveyKind

Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
GroupBy = Literal["agent", "product", "survey", "month", "quarter", "year"]


class SurveyCareTask(Input):
    """A task for whoever was in charge of the case, once a customer is unhappy."""

    subject: ShortText = Field(examples=["Call the customer"])
    due_days: Annotated[int, Field(ge=0, le=365)] = 1


class SurveyFields(Input):
    """What may be changed of a survey."""

    name: ShortText
    question_en: Question | None = Field(None, description="Absent means the usual question of its kind.")
    question_zh: Question | None = None
    is_active: bool = True
    position: Annotated[int, Field(ge=0, le=1_000, description="Those before are tried first.")] = 0
    delay_minutes: Annotated[
        int, Field(ge=0, le=43_200, description="How long after the case is resolved it is sent.")
    ] = 60
    quiet_days: Annotated[
        int, Field(ge=0, le=730, description="Who was asked anything so short ago is not asked again.")
    ] = 30
    expires_days: Annotated[int, Field(ge=1, le=365, description="How long it can be answered.")] = 14
    care_plan: Annotated[list[SurveyCareTask], Field(max_length=20)] = Field(default_factory=list)


class SurveyCreate(SurveyFields):
    """A survey that is sent once a case is resolved."""

    kind: SurveyKind
    alert_at: Annotated[int, Field(ge=0, le=10)] | None = Field(
        None,
        description="Scores up to this are looked into. Absent: 2 for csat, 6 for nps, 3 for ces.",
    )


class SurveyUpdate(Input):
    """Changes to a survey; absent fields stay as they are. Its kind stays."""

    name: ShortText | None = None
    question_en: Question | None = None
    question_zh: Question | None = None
    is_active: bool | None = None
    position: Annotated[int, Field(ge=0, le=1_000)] | None = None
    delay_minutes: Annotated[int, Field(ge=0, le=43_200)] | None = None
    quiet_days: Annotated[int, Field(ge=0, le=730)] | None = None
    expires_days: Annotated[int, Field(ge=1, le=365)] | None = None
    alert_at: Annotated[int, Field(ge=0, le=10)] | None = None
    care_plan: Annotated[list[SurveyCareTask], Field(max_length=20)] | None = None


class SurveyCareTaskRead(Output):
    subject: str
    due_days: int


class SurveyRead(Output):
    """A survey."""

    id: UUID
    version: int
    name: str
    kind: SurveyKind
    question_en: str | None
    question_zh: str | None
    is_active: bool
    position: int
    delay_minutes: int
    quiet_days: int
    expires_days: int
    alert_at: int
    care_plan: list[SurveyCareTaskRead]


class Surveys(Output):
    data: list[SurveyRead]


class SurveyInvitationCreate(Input):
    """Ask the contact of a resolved case now, whenever they were asked before."""

    case_id: UUID
    by_mail: bool = Field(True, description="False only makes the link, for you to hand over.")


class SurveyInvitationRead(Output):
    """Who was asked about which case, and the answer if there is one."""

    id: UUID
    survey_id: UUID
    case_id: UUID
    kind: SurveyKind
    contact_id: UUID | None
    agent_id: UUID | None = Field(description="Who was in charge of the case.")
    product_id: UUID | None
    status: InvitationStatus
    send_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    answered_at: datetime | None
    score: int | None
    comment: str | None
    complaint: bool
    alerted: bool = Field(description="The case was escalated for it.")


class SurveyInvitationCreated(SurveyInvitationRead):
    url: str = Field(description="The link, shown this once.")


class SurveyInvitations(Output):
    data: list[SurveyInvitationRead]


class SurveyAnswersPage(Output):
    """A page of answers, newest first."""

    data: list[SurveyInvitationRead]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
    has_more: bool


class AnswerFilter(Input):
    """Which answers."""

    kind: SurveyKind | None = Field(None, description="Only of this kind.")
    survey_id: UUID | None = Field(None, description="Only to this survey.")
    agent_id: UUID | None = Field(None, description="Only about cases that this member solved.")
    product_id: UUID | None = Field(None, description="Only about cases of this product.")
    alerted: bool | None = Field(None, description="Only those that were looked into, or only others.")
    answered_from: date | None = Field(None, description="First day, in your company's time zone.")
    answered_to: date | None = Field(None, description="Last day.")


class SatisfactionQuestion(AnswerFilter):
    """Which answers are asked about, and by what they are grouped."""

    group_by: GroupBy = Field("month", description="Quarters and years are the company's fiscal ones.")


class Satisfaction(Output):
    """What answers add up to; null without any. All to two decimals, half up."""

    answers: int
    alerts: int = Field(description="Answers that were looked into.")
    csat_answers: int
    csat_percent: DecimalOut | None = Field(description="100 x scores of 4 and 5 / answers.")
    nps_answers: int
    nps: DecimalOut | None = Field(description="100 x (scores of 9 and 10 - scores up to 6) / answers.")
    ces_answers: int
    ces_mean: DecimalOut | None = Field(description="The mean score.")


class SatisfactionGroup(Satisfaction):
    """One group; `key` is null for what has none."""

    key: str | None
    label: str | None


class SatisfactionStatistics(Output):
    """By group, periods in time and others by most answers, and altogether."""

    group_by: GroupBy
    data: list[SatisfactionGroup]
    total: Satisfaction
