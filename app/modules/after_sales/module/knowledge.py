"""Registers what after_sales knows of knowledge and of surveys."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission
from app.modules.after_sales.router import knowledge
from app.modules.after_sales.services.knowledge.articles import ARTICLE

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

PART = Module(
    name="after_sales",
    tags={knowledge.TAG: "Articles in versions, for colleagues, customers and everybody; what answers a case."},
    routers=(knowledge.records, knowledge.router),
    records=(ARTICLE,),
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
    ),
)
