"""The wire shapes of the knowledge base."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut
from app.kernel.schemas import Input, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.after_sales.models.knowledge import ArticleAudience, ArticleLanguage, ArticleStatus

Body = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50_000)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


class ArticleCreate(RecordInput):
    """A draft. Readers see nothing of it before it is published."""

    title: ShortText = Field(examples=["Reset your password"])
    summary: Note | None = Field(None, description="What it is about, in a sentence or two.")
    body: Body = Field(
        description="Plain text: empty lines part paragraphs, `# ` begins a heading, `- ` and `1. ` a list.",
        examples=["Open the settings, choose Security and press Reset."],
    )
    language: ArticleLanguage | None = Field(None, description="Absent means your company's language.")
    audience: ArticleAudience = ArticleAudience.INTERNAL
    category_id: UUID | None = None
    product_id: UUID | None = Field(None, description="The product that it is about.")
    translation_of_id: UUID | None = Field(
        None, description="The article that this is a translation of; one in each language."
    )


ArticleUpdate = patch_of(ArticleCreate)


class ArticleRead(RecordOutput):
    """An article as it is written on; what readers see is its published version."""

    title: str
    summary: str | None
    body: str
    language: ArticleLanguage
    audience: ArticleAudience
    status: ArticleStatus
    category_id: UUID | None
    product_id: UUID | None
    translation_of_id: UUID | None
    public_key: str = Field(description="Its page is `/kb/` and this, where the audience is public.")
    review_note: str | None = Field(description="Why it came back from review.")
    published_version: int | None = Field(description="The number of the version that readers see.")
    published_at: datetime | None


class ArticleReturn(Input):
    """What is to be changed before it is published."""

    note: Note = Field(examples=["Say which version of the app this is about."])


class ArticleVersionRead(Output):
    """What was published."""

    number: int
    title: str
    summary: str | None
    created_at: datetime
    created_by: UUID | None


class ArticleVersionDetail(ArticleVersionRead):
    body: str


class ArticleVersions(Output):
    data: list[ArticleVersionRead]


class ArticleTranslation(Output):
    """The same in another language."""

    id: UUID
    language: ArticleLanguage
    title: str
    status: ArticleStatus
    published_version: int | None


class ArticleTranslations(Output):
    data: list[ArticleTranslation]


class ArticleFeedbackInput(Input):
    """Whether it helped."""

    helpful: bool
    comment: Note | None = None


class ArticleFeedbackRead(Output):
    """What one person said; `member_id` is null for a reader of the public page."""

    id: UUID
    version_number: int
    member_id: UUID | None
    helpful: bool
    comment: str | None
    created_at: datetime


class ArticleFeedbackPage(Output):
    """A page of what readers said, newest first, and how many found it helpful or not."""

    data: list[ArticleFeedbackRead]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
    has_more: bool
    helpful: int
    unhelpful: int


class ArticleCategoryCreate(Input):
    name_en: ShortText
    name_zh: ShortText | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] = 0


class ArticleCategoryUpdate(Input):
    """Changes to a category; absent fields stay as they are."""

    name_en: ShortText | None = None
    name_zh: ShortText | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] | None = None

    @model_validator(mode="after")
    def _required(self) -> ArticleCategoryUpdate:
        for name in self.model_fields_set & {"name_en", "position"}:
            if getattr(self, name) is None:
                raise PydanticCustomError("required", "A category has an English name and a position")
        return self


class ArticleCategoryRead(Output):
    id: UUID
    version: int
    name_en: str
    name_zh: str | None
    position: int


class ArticleCategories(Output):
    data: list[ArticleCategoryRead]


class KnowledgeSettingsInput(Input):
    """Whether new cases are answered by an article, and how sure it must be that the article answers them."""

    auto_answer: bool
    auto_answer_confidence: Annotated[
        Decimal, Field(ge=Decimal("0.5"), le=1, max_digits=5, decimal_places=4)
    ] = Decimal("0.8")


class KnowledgeSettingsRead(Output):
    version: int = Field(description="0 while nobody has set anything.")
    auto_answer: bool
    auto_answer_confidence: DecimalOut


class TextPiece(Output):
    """A piece of plain text, and whether it is what was searched for. It is no HTML: escape it whole."""

    text: str
    match: bool


class ArticleRef(Output):
    """A published article as searches show it."""

    id: UUID
    language: ArticleLanguage
    audience: ArticleAudience
    category_id: UUID | None
    product_id: UUID | None
    version_number: int
    title: str


class ArticleHit(Output):
    """An article that was found; `score` is how much of what was asked it has, from 0 to 1."""

    article: ArticleRef
    score: DecimalOut
    title: list[TextPiece]
    passage: list[TextPiece] = Field(description="Where most of what was asked is found.")


class ArticleHits(Output):
    data: list[ArticleHit]


class ArticleSuggestion(Output):
    """An article that may answer the case, and how sure that is, from 0 to 1."""

    article: ArticleRef
    confidence: DecimalOut
    title: list[TextPiece]
    passage: list[TextPiece]


class ArticleAnswerRead(Output):
    """How an article answered a case without a person."""

    article_id: UUID
    version_number: int
    confidence: DecimalOut
    comment_id: UUID
    answered_at: datetime
    handed_over_at: datetime | None = Field(
        description="When the customer wrote back, and a person took over."
    )


class ArticleSuggestions(Output):
    data: list[ArticleSuggestion]
