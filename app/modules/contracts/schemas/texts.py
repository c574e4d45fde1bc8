"""The wire shapes of the clause library, of amendments, and of the revisions that were in force."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import Input, LongText, Output, ShortText
from app.modules.contracts.models.texts import AmendmentStatus
from app.modules.contracts.schemas import Amount, Day
from app.modules.contracts.schemas.parts import (
    MOST_CLAUSES,
    MOST_INSTALMENTS,
    MOST_LINES,
    MOST_PARTIES,
    ClauseInput,
    ClauseText,
    LineInput,
    PartyInput,
    PlanItem,
)

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class ClauseTemplateCreate(Input):
    """A clause of the library. A Chinese text has a Chinese title."""

    key: Key
    category: ShortText | None = None
    title_en: ShortText = Field(examples=["Payment"])
    title_zh: ShortText | None = Field(None, examples=["付款"])
    body_en: ClauseText = Field(examples=["{{account.name}} pays {{contract.value}}."])
    body_zh: ClauseText | None = Field(None, examples=["{{account.name}}支付{{contract.value}}。"])

    @model_validator(mode="after")
    def _both(self) -> ClauseTemplateCreate:
        if (self.title_zh is None) != (self.body_zh is None):
            raise PydanticCustomError(
                "chinese_text", "A Chinese text has a Chinese title, and the other way round"
            )
        return self


class ClauseTemplateUpdate(Input):
    """Changes to a clause; another text makes a new version, and contracts keep the one that they copied."""

    category: ShortText | None = None
    is_active: bool | None = None
    title_en: ShortText | None = None
    title_zh: ShortText | None = None
    body_en: ClauseText | None = None
    body_zh: ClauseText | None = None

    @model_validator(mode="after")
    def _required(self) -> ClauseTemplateUpdate:
        for name in self.model_fields_set & {"is_active", "title_en", "body_en"}:
            if getattr(self, name) is None:
                raise PydanticCustomError("required", "A clause keeps its English title and text")
        return self


class ClauseTemplateRead(Output):
    """A clause of the library, in its current version."""

    id: UUID
    version: int
    key: str
    category: str | None
    is_active: bool
    current_version: int
    title_en: str
    title_zh: str | None
    body_en: str
    body_zh: str | None


class ClauseTemplates(Output):
    data: list[ClauseTemplateRead]


class ClauseTemplateVersionRead(Output):
    """What a clause said."""

    number: int
    title_en: str
    title_zh: str | None
    body_en: str
    body_zh: str | None
    created_at: datetime
    created_by: UUID | None


class ClauseTemplateVersions(Output):
    data: list[ClauseTemplateVersionRead]


class MergeField(Output):
    name: str = Field(examples=["account.name"])
    label_en: str
    label_zh: str


class MergeFields(Output):
    data: list[MergeField]


class AmendedTerms(Input):
    """What changes; what is absent stays. Lists are replaced whole.

    `plan` is for what has not been invoiced or paid; its percentages are of the new value less that. Without it, the
    instalments that are left are adjusted in proportion.
    """

    title: ShortText | None = None
    value: Amount | None = None
    ends_on: Day | None = Field(None, description="Null opens the term.")
    parties: Annotated[list[PartyInput], Field(max_length=MOST_PARTIES)] | None = None
    lines: Annotated[list[LineInput], Field(max_length=MOST_LINES)] | None = None
    clauses: Annotated[list[ClauseInput], Field(max_length=MOST_CLAUSES)] | None = None
    plan: Annotated[list[PlanItem], Field(max_length=MOST_INSTALMENTS)] | None = None

    @model_validator(mode="after")
    def _something(self) -> AmendedTerms:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "An amendment changes something")
        for name in self.model_fields_set - {"ends_on"}:
            if getattr(self, name) is None:
                raise PydanticCustomError("required", "Only the last day may be null")
        return self


class AmendmentCreate(Input):
    """A change of an active contract, in draft. One at a time is on its way."""

    title: ShortText = Field(examples=["Two more sites"])
    reason: LongText | None = None
    effective_on: Day | None = Field(None, description="Absent means as soon as it is approved.")
    changes: AmendedTerms = Field(examples=[{"title": "Maintenance, two sites"}])


class AmendmentUpdate(Input):
    """Changes to an amendment's draft; `changes` is replaced whole."""

    title: ShortText | None = None
    reason: LongText | None = None
    effective_on: Day | None = None
    changes: AmendedTerms | None = None

    @model_validator(mode="after")
    def _required(self) -> AmendmentUpdate:
        for name in self.model_fields_set & {"title", "changes"}:
            if getattr(self, name) is None:
                raise PydanticCustomError("required", "An amendment keeps its title and changes")
        return self


class AmendmentRead(Output):
    """An amendment; `changes` are as they were given, without amounts where those are hidden from you."""

    id: UUID
    version: int
    contract_id: UUID
    number: int
    title: str
    reason: str | None
    status: AmendmentStatus
    effective_on: date | None
    changes: dict[str, Any]
    in_force_at: datetime | None
    created_by: UUID | None
    created_at: datetime


class Amendments(Output):
    data: list[AmendmentRead]


class RevisionRead(Output):
    """A contract as it was in force from a day on, whole; amounts are left out where hidden from you."""

    number: int
    in_force_from: date
    amendment_id: UUID | None
    created_at: datetime
    created_by: UUID | None
    content: dict[str, Any]


class Revisions(Output):
    data: list[RevisionRead]


class Difference(Output):
    """One field that differs, by its JSON pointer; null where it is absent on that side."""

    pointer: str = Field(examples=["/value/amount"])
    before: Any
    after: Any


class ContractComparison(Output):
    """Two revisions, field by field."""

    before: int
    after: int
    differences: list[Difference]
