"""What goes over the wire for scoring: models, behaviours, explanations and what a draft would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import ExternalId, FilterTree, Input, Output, ShortText
from app.modules.leads.schemas import Moment

BehaviourKind = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$"), Field(examples=["form_submitted"])
]
Points = Annotated[int, Field(ge=-1_000, le=1_000, examples=[10], description="Negative ones count against.")]
Cap = Annotated[int, Field(ge=1, le=100_000)]
ScoreBound = Annotated[int, Field(ge=-10_000, le=10_000)]
GradeName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10)]


class FitRuleInput(Input):
    """Points for what a lead is."""

    name_en: ShortText
    name_zh: ShortText | None = None
    points: Points
    filter: FilterTree = Field(description="As in `POST /v1/leads/search`; custom fields too.")


class BehaviourRuleInput(Input):
    """Points for each time that a lead does something."""

    name_en: ShortText
    name_zh: ShortText | None = None
    points: Points
    behaviour: BehaviourKind
    detail: ShortText | None = Field(
        None, description="Only with this detail, say one page; case is ignored."
    )
    half_life_days: int | None = Field(
        None, ge=1, le=3_650, description="After so many days it counts half; absent, it never fades."
    )
    cap: Cap | None = Field(None, description="Most points of this rule, either way.")


class Grade(Input):
    """A grade and the lowest score that earns it."""

    grade: GradeName
    from_score: ScoreBound


def _descending(grades: list[Grade]) -> list[Grade]:
    scores = [grade.from_score for grade in grades]
    if any(one <= other for one, other in pairwise(scores)):
        raise PydanticCustomError("not_descending", "Name the grades from the highest score down")
    if len({grade.grade for grade in grades}) != len(grades):
        raise PydanticCustomError("duplicate_grade", "Each grade is named once")
    return grades


Grades = Annotated[list[Grade], Field(min_length=1, max_length=10), AfterValidator(_descending)]
FitRules = Annotated[list[FitRuleInput], Field(max_length=50)]
BehaviourRules = Annotated[list[BehaviourRuleInput], Field(max_length=50)]


def _usual_grades() -> list[Grade]:
    return [
        Grade(grade=name, from_score=least) for name, least in (("A", 75), ("B", 50), ("C", 25), ("D", 0))
    ]


class ScoringModelDraft(Input):
    """How leads would be scored."""

    fit_rules: FitRules = Field(default_factory=list)
    behaviour_rules: BehaviourRules = Field(default_factory=list)
    fit_cap: Cap | None = Field(None, description="Most points of all fit rules together, either way.")
    behaviour_cap: Cap | None = Field(None, description="Most points of all behaviour together, either way.")
    min_score: ScoreBound = 0
    max_score: ScoreBound = 100
    grades: Grades = Field(
        default_factory=_usual_grades,
        description="From the highest down; the last one starts at `min_score`.",
    )

    @model_validator(mode="after")
    def _whole_range(self) -> ScoringModelDraft:
        require_range(self.min_score, self.max_score, [grade.from_score for grade in self.grades])
        return self


def require_range(least: int, most: int, grades: Sequence[int]) -> None:
    """The range has room, and every score in it has a grade. Raises `PydanticCustomError`."""
    if least >= most:
        raise PydanticCustomError("empty_range", "min_score must be less than max_score")
    if grades[-1] != least or grades[0] > most:
        raise PydanticCustomError(
            "grades_leave_gaps", "The last grade starts at min_score, and none starts beyond max_score"
        )


class ScoringModelCreate(ScoringModelDraft):
    """A model. It scores nothing before it is activated."""

    name_en: ShortText
    name_zh: ShortText | None = None


class ScoringModelUpdate(Input):
    """A merge patch; rules and grades are replaced whole."""

    name_en: ShortText | None = None
    name_zh: ShortText | None = None
    fit_rules: FitRules | None = None
    behaviour_rules: BehaviourRules | None = None
    fit_cap: Cap | None = None
    behaviour_cap: Cap | None = None
    min_score: ScoreBound | None = None
    max_score: ScoreBound | None = None
    grades: Grades | None = None


class ScoringModelRead(Output):
    id: UUID
    version: int
    name_en: str
    name_zh: str | None
    is_active: bool
    fit_rules: list[dict[str, Any]]
    behaviour_rules: list[dict[str, Any]]
    fit_cap: int | None
    behaviour_cap: int | None
    min_score: int
    max_score: int
    grades: list[dict[str, Any]]
    created_at: datetime
    updated_at: datetime


# -- behaviours ----------------------------------------------------------------------------------------------


class BehaviourInput(Input):
    """Something that a lead did."""

    kind: BehaviourKind
    occurred_at: Moment | None = Field(None, description="Absent means now.")
    detail: ShortText | None = Field(None, description="Which page, form or message.", examples=["/pricing"])
    source_id: ExternalId | None = Field(
        None, description="Its name where it comes from: the same one again is the same occurrence."
    )


class BehaviourRead(Output):
    id: UUID
    lead_id: UUID
    kind: str
    detail: str | None
    occurred_at: datetime
    source_id: str | None
    created_at: datetime


class RecordedBehaviour(BehaviourRead):
    """A behaviour, and the lead's score after it."""

    score: int | None
    grade: str | None


# -- explanations --------------------------------------------------------------------------------------------


class CountedOccurrence(Output):
    """One occurrence: what is left of it, and what it gives."""

    occurred_at: datetime
    detail: str | None
    source_id: str | None
    factor: Decimal = Field(description="1 when fresh, halved each half-life.")
    points: Decimal


class ScorePart(Output):
    """What one rule gives: `points` for each hit, `sum` before its cap, `total` after it."""

    kind: Literal["fit", "behaviour"]
    name_en: str
    name_zh: str | None
    matched: bool
    points: int
    half_life_days: int | None
    cap: int | None
    occurrences: int = Field(description="How many still count.")
    newest: list[CountedOccurrence] = Field(description="The newest 50 of them.")
    sum: Decimal
    total: Decimal


class ScoreAdjustment(Output):
    """What a step after the rules adds: a cap of a kind, the range, rounding; `entered` without a model."""

    reason: Literal["fit_cap", "behaviour_cap", "range", "rounding", "entered"]
    points: Decimal


class ExplainedModel(Output):
    id: UUID | None = Field(description="Null for a draft.")
    version: int
    name_en: str
    name_zh: str | None


class Explanation(Output):
    """Where a score comes from: the totals of the parts and the adjustments sum to it exactly."""

    lead_id: UUID
    name: str | None = Field(description="Null where your role hides it.")
    score: int | None
    grade: str | None
    as_of: datetime | None = Field(description="The moment that ages and relative dates are reckoned from.")
    up_to_date: bool = Field(
        description="Whether the lead has this score; false until a changed model is through."
    )
    model: ExplainedModel | None = Field(description="Null where no model is active.")
    parts: list[ScorePart]
    adjustments: list[ScoreAdjustment]


# -- drafts --------------------------------------------------------------------------------------------------


class PreviewRequest(ScoringModelDraft):
    """A draft, and how many leads to explain by it."""

    samples: int = Field(3, ge=0, le=10)


class GradeShare(Output):
    grade: str
    leads: int


class Bucket(Output):
    """Leads whose score lies in a tenth of the range; `to` belongs to the next one, but in the last."""

    from_: int = Field(alias="from")
    to: int
    leads: int


class Preview(Output):
    """What a draft would do to the newest leads that you see; nothing is written."""

    leads: int = Field(description="Leads that were scored.")
    sampled: bool = Field(description="True when there are more than those.")
    grades: list[GradeShare]
    buckets: list[Bucket]
    rising: int = Field(description="Leads whose score would grow.")
    falling: int
    samples: list[Explanation] = Field(description="From the highest score to the lowest.")
