"""Why a lead has its score: every rule with what it gives, and every step after the rules, summing exactly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.errors import Forbidden
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import Lead
from app.modules.leads.schemas.scoring import (
    CountedOccurrence,
    ExplainedModel,
    Explanation,
    ScoreAdjustment,
    ScorePart,
)
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.scoring.engine import (
    BehaviourRule,
    FitRule,
    Model,
    RuleScore,
    Scored,
    in_points,
)
from app.modules.leads.services.scoring.scorer import Scorer

SHOWN = 50


def require_seen(uow: UnitOfWork) -> None:
    """Raises `Forbidden` for a role that the score is hidden from."""
    if uow.actor.hidden("lead") & {"score", "grade"}:
        raise Forbidden("Your role does not see scores.")


async def explain(uow: UnitOfWork, id: UUID) -> Explanation:
    """The score of a visible lead as of when it was computed. Raises `NotFound`, `Forbidden`."""
    require_seen(uow)
    row = await LeadService(uow).get(id)
    scorer = Scorer(uow, LEAD)
    model = await scorer.model()
    if model is None:
        return _entered(uow, row)
    as_of = row.scored_at or uow.now
    scored = (await scorer.compute(model, [row.__dict__], [row.id], now=as_of))[0]
    return explanation(uow, model, row.__dict__, scored, as_of)


def _entered(uow: UnitOfWork, row: Lead) -> Explanation:
    entered = [] if row.score is None else [ScoreAdjustment(reason="entered", points=Decimal(row.score))]
    return Explanation(
        lead_id=row.id,
        name=None if "name" in uow.actor.hidden("lead") else row.name,
        score=row.score,
        grade=row.grade,
        as_of=row.scored_at,
        up_to_date=True,
        model=None,
        parts=[],
        adjustments=entered,
    )


def explanation(
    uow: UnitOfWork, model: Model, lead: Mapping[str, Any], scored: Scored, as_of: datetime
) -> Explanation:
    """A computed score, told."""
    return Explanation(
        lead_id=lead["id"],
        name=None if "name" in uow.actor.hidden("lead") else lead["name"],
        score=scored.score,
        grade=scored.grade,
        as_of=as_of,
        up_to_date=(scored.score, scored.grade) == (lead["score"], lead["grade"]),
        model=ExplainedModel(
            id=model.id if model.version else None,
            version=model.version,
            name_en=model.name_en,
            name_zh=model.name_zh,
        ),
        parts=parts(model, scored),
        adjustments=[
            ScoreAdjustment.model_validate({"reason": reason, "points": in_points(units)})
            for reason, units in scored.adjustments.items()
            if units
        ],
    )


def parts(model: Model, scored: Scored) -> list[ScorePart]:
    """Every rule of the model, in its order."""
    fit = [_fit(rule, part) for rule, part in zip(model.fit_rules, scored.fit, strict=True)]
    behaviour = [
        _behaviour(rule, part) for rule, part in zip(model.behaviour_rules, scored.behaviour, strict=True)
    ]
    return fit + behaviour


def _fit(rule: FitRule, part: RuleScore) -> ScorePart:
    return ScorePart(
        kind="fit",
        name_en=rule.name_en,
        name_zh=rule.name_zh,
        matched=part.total != 0,
        points=rule.points,
        half_life_days=None,
        cap=None,
        occurrences=0,
        newest=[],
        sum=in_points(part.raw),
        total=in_points(part.total),
    )


def _behaviour(rule: BehaviourRule, part: RuleScore) -> ScorePart:
    return ScorePart(
        kind="behaviour",
        name_en=rule.name_en,
        name_zh=rule.name_zh,
        matched=bool(part.factors),
        points=rule.points,
        half_life_days=rule.half_life_days,
        cap=rule.cap,
        occurrences=len(part.factors),
        newest=_newest(rule, part),
        sum=in_points(part.raw),
        total=in_points(part.total),
    )


def _newest(rule: BehaviourRule, part: RuleScore) -> list[CountedOccurrence]:
    return [
        CountedOccurrence(
            occurred_at=occurrence.occurred_at,
            detail=occurrence.detail,
            source_id=occurrence.source_id,
            factor=in_points(units),
            points=in_points(units * rule.points),
        )
        for occurrence, units in part.factors[:SHOWN]
    ]
