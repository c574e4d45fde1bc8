"""Scoring leads in the transaction at hand: before they are written, after they did something, and in batches.

A score that comes from an edit is part of it. One that changes by itself, by behaviour, time or another model,
leaves the lead's version alone, so that no edit and no undo collides with it; the ETag moves with `scored_at`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.kernel.conditions import holding
from app.kernel.errors import Invalid
from app.kernel.imports.rules import ImportRow
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import LeadScored, LeadScoreThresholdCrossed
from app.modules.leads.models import Lead, LeadStatus
from app.modules.leads.services.scoring.engine import Model, Occurrence, Scored, compute
from app.modules.leads.services.scoring.models import ACTIVE

Cause = Literal["created", "updated", "behaviour", "recompute"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A lead's stored score, as far as a new one is compared with it."""

    id: UUID
    owner_id: UUID | None
    score: int | None
    grade: str | None
    scored_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Standing:
        """From a record or a lead's columns by name."""
        return cls(*[row[name] for name in cls.__slots__])


class Scorer:
    """The active model at work; without one everything here does nothing."""

    def __init__(self, uow: UnitOfWork, record: RecordType[Any]) -> None:
        self._uow = uow
        self._record = record

    async def model(self) -> Model | None:
        """The model in use."""
        return await self._uow.kernel.memory.of(self._uow, ACTIVE)

    # -- with an edit --------------------------------------------------------------------------------------

    async def refuse_entered(self, given: Mapping[str, Any], current: int | None = None) -> None:
        """Raises `Invalid` for a score that a caller enters where a model computes it."""
        score = given.get("score", current)
        if score != current and await self.model() is not None:
            raise Invalid.at("/score", "score_is_computed", "The active scoring model computes the score.")

    async def score_new(self, values: dict[str, Any]) -> None:
        """Put the score of a new lead beside its other columns."""
        await self.refuse_entered(values)
        await self._put([values])

    async def score_new_rows(self, rows: Sequence[ImportRow]) -> None:
        """The same for rows of a file, in one statement; scores that the file brings give way to the model's."""
        if await self.model() is None:
            return
        for row in rows:
            if row.values.get("score") is not None:
                row.warn("score", "score_is_computed", "The active scoring model computes the score.")
        await self._put([row.values for row in rows if not row.faults])

    async def _put(self, new: Sequence[dict[str, Any]]) -> None:
        model = await self.model()
        if model is None:
            return
        now = self._uow.now
        filled = [{"version": 1, "created_at": now, "updated_at": now, **values} for values in new]
        found = await self.compute(model, filled, [None] * len(filled))
        for values, scored in zip(new, found, strict=True):
            values |= {"score": scored.score, "grade": scored.grade, "scored_at": now}

    async def changes(self, row: Lead, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The score's columns after an edit of a locked lead."""
        return (await self.changes_of_many([(row, changes)]))[0]

    async def changes_of_many(self, edits: Sequence[tuple[Lead, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """The same for many edits, in two statements."""
        model = await self.model()
        if model is None:
            return [_entered(row, changes) for row, changes in edits]
        open_ones = [
            (row, changes)
            for row, changes in edits
            if LeadStatus.CONVERTED not in (row.status, changes.get("status"))
        ]
        rows = [{**row.__dict__, **changes} for row, changes in open_ones]
        scored = await self.compute(model, rows, [row.id for row, _ in open_ones])
        found = {
            row.id: {"score": one.score, "grade": one.grade, "scored_at": self._uow.now}
            for (row, _), one in zip(open_ones, scored, strict=True)
        }
        return [found.get(row.id, {}) for row, _ in edits]

    # -- by itself -----------------------------------------------------------------------------------------

    async def rescore(self, row: Lead) -> tuple[int | None, str | None]:
        """Score a locked lead after something it did; its score and grade from then on."""
        model = await self.model()
        if model is None:
            return row.score, row.grade
        scored = (await self.compute(model, [row.__dict__], [row.id]))[0]
        await self.store(model, [(Standing.of(row.__dict__), scored)], cause="behaviour")
        return scored.score, scored.grade

    async def store(
        self,
        model: Model,
        scored: Sequence[tuple[Standing, Scored]],
        *,
        cause: Literal["behaviour", "recompute"],
    ) -> int:
        """Write scores of locked leads, with audit and events where they differ; how many did."""
        if not scored:
            return 0
        await self._uow.fetch(
            "UPDATE leads.leads t SET score = s.score, grade = s.grade, scored_at = $2"
            " FROM unnest($3::uuid[], $4::bigint[], $5::text[]) AS s(id, score, grade)"
            " WHERE t.tenant_id = $1 AND t.id = s.id",
            self._uow.tenant_id,
            self._uow.now,
            [before.id for before, _ in scored],
            [after.score for _, after in scored],
            [after.grade for _, after in scored],
        )
        changed = 0
        for before, after in scored:
            if (before.score, before.grade) == (after.score, after.grade):
                continue
            changed += 1
            self._say(before, after, cause)
            self.announce(model, before, after.score, after.grade, cause)
        return changed

    def _say(self, before: Standing, after: Scored, cause: Literal["behaviour", "recompute"]) -> None:
        pairs: dict[str, list[Any]] = {
            "score": [before.score, after.score],
            "grade": [before.grade, after.grade],
        }
        self._uow.record_audit(
            "lead", before.id, "scored", {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        )
        self._uow.publish(
            LeadScored(
                id=before.id,
                from_score=before.score,
                to_score=after.score,
                from_grade=before.grade,
                to_grade=after.grade,
                cause=cause,
            )
        )

    # -- thresholds ----------------------------------------------------------------------------------------

    async def crossed(self, before: Lead | None, after: Lead, cause: Cause) -> None:
        """Say so when a written lead's grade is another one than before."""
        if after.grade is None or (before is not None and before.grade == after.grade):
            return
        model = await self.model()
        if model is None or after.score is None:
            return
        standing = (
            Standing(after.id, after.owner_id, None, None, None)
            if before is None
            else Standing.of({**before.__dict__, "owner_id": after.owner_id})
        )
        self.announce(model, standing, after.score, after.grade, cause)

    def announce(self, model: Model, before: Standing, score: int, grade: str, cause: Cause) -> None:
        """Publish a crossing; a first grade is one unless it is the lowest."""
        if before.grade == grade or (before.grade is None and model.rank(grade) == 0):
            return
        step = model.rank(grade) - model.rank(before.grade)
        if step == 0:  # of a model with other grades
            step = score - (before.score or 0)
        self._uow.publish(
            LeadScoreThresholdCrossed(
                id=before.id,
                direction="up" if step >= 0 else "down",
                from_grade=before.grade,
                to_grade=grade,
                from_score=before.score,
                to_score=score,
                cause=cause,
                owner_id=before.owner_id,
            )
        )

    # -- computing -----------------------------------------------------------------------------------------

    async def compute(
        self,
        model: Model,
        rows: Sequence[Mapping[str, Any]],
        ids: Sequence[UUID | None],
        *,
        now: datetime | None = None,
    ) -> list[Scored]:
        """The scores of leads given by their columns; `ids` are those whose behaviour counts."""
        moment = now or self._uow.now
        fits = await holding(self._uow, self._record, rows, [r.groups for r in model.fit_rules], now=moment)
        return await self.compute_by(model, fits, ids, now=moment)

    async def compute_by(
        self, model: Model, fits: Sequence[Sequence[bool]], ids: Sequence[UUID | None], *, now: datetime
    ) -> list[Scored]:
        """The same where it is known already which fit rules hold."""
        done = await occurrences(self._uow, model, [id for id in ids if id is not None], now)
        return [
            compute(model, holds, done.get(id, ()) if id else (), now)
            for holds, id in zip(fits, ids, strict=True)
        ]


async def occurrences(
    uow: UnitOfWork, model: Model, ids: Sequence[UUID], now: datetime
) -> dict[UUID, list[Occurrence]]:
    """What leads did as far as the model counts it, newest first."""
    if not ids or not model.behaviour_rules:
        return {}
    rows = await uow.fetch(
        "SELECT lead_id, id, kind, detail, occurred_at, source_id FROM leads.behaviours"
        " WHERE tenant_id = $1 AND lead_id = ANY($2::uuid[]) AND kind = ANY($3::text[])"
        " AND ($4::timestamptz IS NULL OR occurred_at > $4) ORDER BY occurred_at DESC, id DESC",
        uow.tenant_id,
        list(ids),
        model.behaviours,
        model.since(now),
    )
    found: dict[UUID, list[Occurrence]] = {}
    for row in rows:
        found.setdefault(row["lead_id"], []).append(
            Occurrence(row["kind"], row["detail"], row["occurred_at"], row["id"], row["source_id"])
        )
    return found


def _entered(row: Lead, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Without a model a score that is entered is no longer the former model's."""
    if changes.get("score", row.score) == row.score or row.scored_at is None:
        return {}
    return {"grade": None, "scored_at": None}
