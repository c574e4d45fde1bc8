"""Background work of leads: scoring all of them again, daily for what fades, and filling in their completeness."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.conditions import compile_each
from app.kernel.jobs import JobContext
from app.kernel.listing import Bindings
from app.kernel.registry import JobKind, Schedule
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import Lead
from app.modules.leads.services.completeness import lead_completeness
from app.modules.leads.services.leads import LEAD
from app.modules.leads.services.scoring.engine import Model
from app.modules.leads.services.scoring.models import JOB, read_active
from app.modules.leads.services.scoring.scorer import Scorer, Standing

BATCH: Final = 1_000
FILL_JOB: Final = "leads.fill_completeness"
_FIRST: Final = UUID(int=0)
_OPEN: Final = "tenant_id = $1 AND deleted_at IS NULL AND status <> 'converted'"


class Nothing(BaseModel):
    """These jobs need to be told nothing: they do all that there is to do."""


async def score_all(context: JobContext, _: Nothing) -> dict[str, int]:
    """Score every lead that is not converted, batch by batch, each batch a transaction of its own.

    Only what differs is written, so started again it passes quickly over what it has done. Without an active
    model the grades of the former one are taken away; the scores stay.
    """
    last, done, changed = _FIRST, 0, 0
    async with context.transaction() as uow:
        row = await uow.fetchrow(f"SELECT count(*) FROM leads.leads WHERE {_OPEN}", uow.tenant_id)
        total = int(row[0]) if row else 0
    while True:
        async with context.transaction() as uow:
            model = await read_active(uow)
            found = await (_score_batch(uow, model, last) if model else _ungrade_batch(uow, last))
        if found is None:
            return {"scored": done, "changed": changed}
        last, count, different = found
        done, changed = done + count, changed + different
        await context.progress(min(done, total), total, changed=changed)
        await context.go_on()


async def _score_batch(uow: UnitOfWork, model: Model, last: UUID) -> tuple[UUID, int, int] | None:
    """Score the leads behind `last`: (the last of them, how many, how many changed); None when there are none."""
    bind = Bindings(uow.tenant_id, last)
    tests = await compile_each(uow, LEAD, [rule.groups for rule in model.fit_rules], bind)
    rows = await uow.fetch(
        f"SELECT t.id, t.owner_id, t.score, t.grade, t.scored_at{''.join(f', {sql}' for sql in tests)}"
        f" FROM leads.leads t WHERE {_OPEN} AND t.id > $2 ORDER BY t.id LIMIT {BATCH} FOR NO KEY UPDATE OF t",
        *bind.values,
    )
    if not rows:
        return None
    scorer = Scorer(uow, LEAD)
    scored = await scorer.compute_by(
        model, [list(row)[5:] for row in rows], [row["id"] for row in rows], now=uow.now
    )
    different = [
        (Standing.of(row), one)
        for row, one in zip(rows, scored, strict=True)
        if (row["score"], row["grade"]) != (one.score, one.grade)
        or row["scored_at"] is None
        or row["scored_at"] < model.updated_at  # it was another model that gave the same score
    ]
    changed = await scorer.store(model, different, cause="recompute")
    return rows[-1]["id"], len(rows), changed


async def _ungrade_batch(uow: UnitOfWork, last: UUID) -> tuple[UUID, int, int] | None:
    rows = await uow.fetch(
        f"SELECT t.id, t.grade, t.scored_at FROM leads.leads t WHERE {_OPEN} AND t.id > $2"
        f" ORDER BY t.id LIMIT {BATCH} FOR NO KEY UPDATE OF t",
        uow.tenant_id,
        last,
    )
    if not rows:
        return None
    graded = [row for row in rows if row["grade"] is not None or row["scored_at"] is not None]
    if graded:
        await uow.fetch(
            "UPDATE leads.leads SET grade = NULL, scored_at = NULL"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            uow.tenant_id,
            [row["id"] for row in graded],
        )
    for row in graded:
        if row["grade"] is not None:
            uow.record_audit("lead", row["id"], "ungraded", {"grade": [row["grade"], None]})
    return rows[-1]["id"], len(rows), len(graded)


async def fill_completeness(context: JobContext, _: Nothing) -> dict[str, int]:
    """Give leads that are older than their completeness one. It is derived, so their versions stay."""
    done = 0
    columns = ", ".join(columns_of(Lead))
    while True:
        async with context.transaction() as uow:
            rows = await uow.fetch(
                f"SELECT {columns} FROM leads.leads WHERE tenant_id = $1 AND deleted_at IS NULL"
                f" AND completeness IS NULL ORDER BY id LIMIT {BATCH} FOR NO KEY UPDATE",
                uow.tenant_id,
            )
            if rows:
                await uow.fetch(
                    "UPDATE leads.leads t SET completeness = s.value"
                    " FROM unnest($2::uuid[], $3::bigint[]) AS s(id, value)"
                    " WHERE t.tenant_id = $1 AND t.id = s.id",
                    uow.tenant_id,
                    [row["id"] for row in rows],
                    [lead_completeness(entity(Lead, row).__dict__) for row in rows],
                )
        if not rows:
            return {"filled": done}
        done += len(rows)
        await context.progress(done)
        await context.go_on()


async def daily(run: ScheduledRun) -> None:
    """What fades has faded a day more; what relative dates say has changed."""
    async with run.transaction() as uow:
        if await read_active(uow) is not None:
            uow.enqueue(JOB, {})
        row = await uow.fetchrow(
            "SELECT 1 FROM leads.leads WHERE tenant_id = $1 AND deleted_at IS NULL AND completeness IS NULL"
            " LIMIT 1",
            uow.tenant_id,
        )
        if row is not None:
            uow.enqueue(FILL_JOB, {})


JOBS: Final[tuple[JobKind, ...]] = (
    JobKind(JOB, Nothing, score_all),
    JobKind(FILL_JOB, Nothing, fill_completeness),
)
SCHEDULES: Final[tuple[Schedule, ...]] = (
    Schedule("leads.score_daily", timedelta(days=1), daily, per_tenant=True),
)
