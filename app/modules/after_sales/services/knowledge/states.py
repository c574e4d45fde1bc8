"""The way of an article's text from draft to publication and out of use."""

from __future__ import annotations

from typing import Final

from app.kernel.states import StateMachine
from app.modules.after_sales.models.knowledge import ArticleStatus

DRAFT, IN_REVIEW = ArticleStatus.DRAFT, ArticleStatus.IN_REVIEW
PUBLISHED, ARCHIVED = ArticleStatus.PUBLISHED, ArticleStatus.ARCHIVED

MACHINE: Final[StateMachine[ArticleStatus]] = StateMachine(
    "The article",
    DRAFT,
    {
        (DRAFT, "submit"): IN_REVIEW,
        (DRAFT, "archive"): ARCHIVED,
        (IN_REVIEW, "return"): DRAFT,
        (IN_REVIEW, "publish"): PUBLISHED,
        (IN_REVIEW, "archive"): ARCHIVED,
        (PUBLISHED, "revise"): DRAFT,
        (PUBLISHED, "archive"): ARCHIVED,
        (ARCHIVED, "restore"): DRAFT,
    },
)
