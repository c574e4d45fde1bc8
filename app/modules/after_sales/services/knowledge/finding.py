"""Finding published articles, the best first: by a question, and for a case. Two statements each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.models.knowledge import ArticleAudience, ArticleLanguage
from app.modules.after_sales.schemas.knowledge import ArticleHit, ArticleRef, ArticleSuggestion, TextPiece
from app.modules.after_sales.services.knowledge.confidence import confidence, coverage, rounded, weight
from app.modules.after_sales.services.knowledge.passages import marked, passage
from app.modules.after_sales.services.knowledge.terms import terms_of

MOST_ASKED: Final = 40
"""Terms of a question that are looked up; of a case as many of the subject, and of the description."""
_CANDIDATES: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which published articles are looked through."""

    languages: Collection[ArticleLanguage] = ()
    audiences: Collection[ArticleAudience] = ()
    category_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article that has some of what is asked: its terms, and whether its title has them."""

    id: UUID
    product_id: UUID | None
    title_terms: int
    found: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Ranked:
    """An article, and how well it fits; `score` is from 0 to 1."""

    id: UUID
    score: Decimal


class Finder:
    """Looks through what the actor may read."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def search(self, text: str, wanted: Wanted, *, limit: int) -> list[ArticleHit]:
        """Articles with any of what is asked, those with most of it first. Raises `InvalidFilter`."""
        asked = terms_of(text)[:MOST_ASKED]
        if not asked:
            raise InvalidFilter("There is nothing to search for in that text.", parameter="q")
        candidates, weights = await self._candidates(asked, wanted)
        ranked = _best(
            [Ranked(one.id, rounded(coverage(asked, one.found, weights))) for one in candidates], limit
        )
        shown = await self._shown(ranked, asked)
        return [
            ArticleHit(article=article, score=one.score, title=title, passage=text)
            for one, (article, title, text) in shown
        ]

    async def suggest(self, case: Case, wanted: Wanted, *, limit: int) -> list[ArticleSuggestion]:
        """Articles that may answer a case, the surest first (services/knowledge/confidence.py)."""
        asked, terms = _asked_by(case)
        ranked = await self._suited(case, asked, terms, wanted, limit)
        return [
            ArticleSuggestion(article=article, confidence=one.score, title=title, passage=text)
            for one, (article, title, text) in await self._shown(ranked, terms)
        ]

    async def surest(self, case: Case, wanted: Wanted) -> Ranked | None:
        """The one article that fits best, if any does."""
        asked, terms = _asked_by(case)
        found = await self._suited(case, asked, terms, wanted, 1)
        return found[0] if found else None

    async def _suited(
        self, case: Case, asked: Sequence[str], terms: Sequence[str], wanted: Wanted, limit: int
    ) -> list[Ranked]:
        if not asked:
            return []
        candidates, weights = await self._candidates(terms, wanted)
        return _best(
            [
                Ranked(
                    one.id,
                    confidence(
                        asked,
                        one.found,
                        weights,
                        title_terms=one.title_terms,
                        other_product=one.product_id is not None and one.product_id != case.product_id,
                    ),
                )
                for one in candidates
            ],
            limit,
        )

    async def _candidates(
        self, terms: Sequence[str], wanted: Wanted
    ) -> tuple[list[Candidate], dict[str, float]]:
        """The articles that have most of these terms, and what each term is worth among all looked through."""
        bind = Bindings(self._uow.tenant_id, list(terms))
        clauses = ["t.tenant_id = $1", "t.deleted_at IS NULL", "t.published_version IS NOT NULL"]
        visible = visible_rows(self._uow.actor, "article", "read", bind)
        clauses += [visible] if visible else []
        for column, kinds in (("language", wanted.languages), ("audience", wanted.audiences)):
            if kinds:
                clauses.append(f"t.{column} = ANY({bind([kind.value for kind in kinds])}::text[])")
        if wanted.category_id is not None:
            clauses.append(f"t.category_id = {bind(wanted.category_id)}")
        rows = await self._uow.fetch(_CANDIDATES_SQL.format(where=" AND ".join(clauses)), *bind.values)
        articles = rows[0]["articles"] if rows else 0
        known: dict[str, int] = {}
        for row in rows:
            known |= dict(zip(row["terms"], row["containing"], strict=True))
        weights = {term: weight(articles, known.get(term, 0)) for term in terms}
        return [
            Candidate(
                row["id"],
                row["product_id"],
                row["title_terms"],
                dict(zip(row["terms"], row["in_title"], strict=True)),
            )
            for row in rows
        ], weights

    async def _shown(
        self, ranked: Sequence[Ranked], terms: Collection[str]
    ) -> list[tuple[Ranked, tuple[ArticleRef, list[TextPiece], list[TextPiece]]]]:
        """What is told of each; a text that the actor's role hides is left out."""
        if not ranked:
            return []
        rows = await self._uow.fetch(
            "SELECT t.id, t.language, t.audience, t.category_id, t.product_id, v.number, v.title, v.summary, v.body"
            " FROM after_sales.articles t JOIN after_sales.article_versions v ON v.tenant_id = t.tenant_id"
            " AND v.article_id = t.id AND v.number = t.published_version"
            " WHERE t.tenant_id = $1 AND t.id = ANY($2::uuid[])",
            self._uow.tenant_id,
            [one.id for one in ranked],
        )
        found = {row["id"]: self._told(row, set(terms)) for row in rows}
        return [(one, found[one.id]) for one in ranked if one.id in found]

    def _told(self, row: Any, terms: Collection[str]) -> tuple[ArticleRef, list[TextPiece], list[TextPiece]]:
        hidden = self._uow.actor.hidden("article")
        title = "…" if "title" in hidden else row["title"]
        texts = [row[name] for name in ("summary", "body") if name not in hidden and row[name]]
        article = ArticleRef(
            id=row["id"],
            language=row["language"],
            audience=row["audience"],
            category_id=None if "category_id" in hidden else row["category_id"],
            product_id=None if "product_id" in hidden else row["product_id"],
            version_number=row["number"],
            title=title,
        )
        return article, marked(title, terms), passage("\n".join(texts), terms)


def _asked_by(case: Case) -> tuple[list[str], list[str]]:
    """The terms of a case's subject, and those with the ones of its description."""
    asked = terms_of(case.subject)[:MOST_ASKED]
    more = terms_of(case.description or "")[:MOST_ASKED]
    return asked, list(dict.fromkeys([*asked, *more]))


def _best(ranked: Sequence[Ranked], limit: int) -> list[Ranked]:
    """The best, of equals the newest."""
    return sorted((one for one in ranked if one.score), key=lambda one: (one.score, one.id), reverse=True)[
        :limit
    ]


_CANDIDATES_SQL: Final = f"""
WITH pool AS MATERIALIZED (
  SELECT t.id, t.product_id, t.title_terms FROM after_sales.articles t WHERE {{where}}
), hits AS MATERIALIZED (
  SELECT p.article_id, p.term, p.in_title, count(*) OVER (PARTITION BY p.term) AS containing
  FROM after_sales.article_terms p JOIN pool ON pool.id = p.article_id
  WHERE p.tenant_id = $1 AND p.term = ANY($2::text[])
)
SELECT pool.id, pool.product_id, pool.title_terms, (SELECT count(*) FROM pool) AS articles,
  array_agg(h.term ORDER BY h.term) AS terms, array_agg(h.in_title ORDER BY h.term) AS in_title,
  array_agg(h.containing ORDER BY h.term) AS containing
FROM hits h JOIN pool ON pool.id = h.article_id
GROUP BY pool.id, pool.product_id, pool.title_terms
ORDER BY sum((CASE WHEN h.in_title THEN 2 ELSE 1 END) / (1.0 + h.containing)) DESC, pool.id DESC
LIMIT {_CANDIDATES}"""
