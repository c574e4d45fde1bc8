"""Registers what after_sales knows of knowledge and of surveys."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.registry import Module, NotificationKind, Permission
from app.modules.after_sales.services.cases.ports import ReplyFollower
from app.modules.after_sales.services.knowledge.answering import HANDED_OVER, OPENED, ArticleAnswers
from app.modules.after_sales.services.knowledge.articles import ARTICLE
from app.modules.after_sales.services.surveys.answering import ALERT
from app.modules.after_sales.services.surveys.merging import answered_cases, asked_cases, asked_contacts
from app.modules.after_sales.services.surveys.sending import KIND, SUBSCRIPTION

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

PART = Module(
    name="after_sales",
    tags={
        "knowledge": "Articles in versions, for colleagues, customers and everybody; what answers a case.",
        "surveys": "What customers are asked once a case is resolved, what they say, and what follows.",
    },
    routers=(
        "app.modules.after_sales.router.knowledge:records",
        "app.modules.after_sales.router.knowledge:router",
        "app.modules.after_sales.router.surveys:router",
    ),
    records=(ARTICLE,),
    ports=(
        (Merger, asked_contacts),
        (Merger, asked_cases),
        (Merger, answered_cases),
        (ReplyFollower, ArticleAnswers),
    ),
    jobs=(KIND,),
    subscriptions=(SUBSCRIPTION, OPENED),
    notifications=(
        NotificationKind(ALERT, "A customer of yours is unhappy", "客户不满意或投诉", mail=True),
        NotificationKind(HANDED_OVER, "A customer wrote back to an automatic answer", "客户回复了自动答复"),
    ),
    permissions=(
        Permission(
            "article:publish",
            "Publish, return and archive articles.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
        Permission(
            "knowledge:manage",
            "Set up categories of articles, and whether they answer cases.",
            dict(_RUNS_IT),
        ),
        Permission(
            "survey:manage",
            "Set up what customers are asked, and what follows from unhappy answers.",
            dict(_RUNS_IT),
        ),
    ),
)
