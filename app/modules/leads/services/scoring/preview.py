"""What a draft of a scoring model would do to the leads that are there; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from app.kernel.access import visible_rows
from app.kernel.conditions import compile_each
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.leads.schemas.scoring import Bucket, GradeShare, Preview, PreviewRequest
from app.modules.leads.services.leads import LEAD
from app.modules.leads.services.scoring.engine import Model, Scored
from app.modules.leads.services.scoring.explain import explanation, require_seen
from app.modules.leads.services.scoring.models import ScoringModels, model_of_draft
from app.modules.leads.services.scoring.scorer import Scorer

MOST: Final = 5_000
BUCKETS: Final = 10


async def preview(uow: UnitOfWork, body: PreviewRequest) -> Preview:
    """Score the newest open leads that the actor sees by a draft: two statements, whatever their number.

    Raises: `Invalid` for conditions that do not compile, `Forbidden`.
    """
    require_seen(uow)
    model = model_of_draft(body, uow)
    await ScoringModels(uow, LEAD).check(model)
    rows = await _leads(uow, model)
    sampled, rows = len(rows) > MOST, rows[:MOST]
    fits = [list(row)[4:] for row in rows]
    scored = await Scorer(uow, LEAD).compute_by(model, fits, [row["id"] for row in rows], now=uow.now)
    pairs = sorted(zip(rows, scored, strict=True), key=lambda pair: (-pair[1].score, pair[0]["id"]))
    return Preview(
        leads=len(rows),
        sampled=sampled,
        grades=[
            GradeShare(grade=grade, leads=sum(one.grade == grade for one in scored))
            for grade, _ in model.grades
        ],
        buckets=_buckets(model, scored),
        rising=sum(one.score > (row["score"] or 0) for row, one in pairs),
        falling=sum(one.score < (row["score"] or 0) for row, one in pairs),
        samples=[
            explanation(uow, model, dict(row), one, uow.now) for row, one in _spread(pairs, body.samples)
        ],
    )


async def _leads(uow: UnitOfWork, model: Model) -> list[Any]:
    bind = Bindings(uow.tenant_id)
    tests = await compile_each(uow, LEAD, [rule.groups for rule in model.fit_rules], bind)
    visible = visible_rows(uow.actor, "lead", "read", bind)
    return await uow.fetch(
        f"SELECT t.id, t.name, t.score, t.grade{''.join(f', {sql}' for sql in tests)} FROM {LEAD.view} t"
        " WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND t.status <> 'converted'"
        f"{f' AND {visible}' if visible else ''} ORDER BY t.created_at DESC, t.id DESC LIMIT {MOST + 1}",
        *bind.values,
    )


def _buckets(model: Model, scored: Sequence[Scored]) -> list[Bucket]:
    """Tenths of the range, the first ones larger where it cannot be cut evenly."""
    width = -(-(model.max_score - model.min_score) // BUCKETS)
    starts = list(range(model.min_score, model.max_score, width))
    counts = [0] * len(starts)
    for one in scored:
        counts[min((one.score - model.min_score) // width, len(starts) - 1)] += 1
    return [
        Bucket.model_validate({"from": start, "to": min(start + width, model.max_score), "leads": count})
        for start, count in zip(starts, counts, strict=True)
    ]


def _spread(pairs: Sequence[tuple[Any, Scored]], count: int) -> list[tuple[Any, Scored]]:
    """`count` of them, evenly from the first to the last."""
    if count == 0 or not pairs:
        return []
    if count == 1:
        return [pairs[0]]
    places = {round(n * (len(pairs) - 1) / (count - 1)) for n in range(count)}
    return [pairs[place] for place in sorted(places)]
