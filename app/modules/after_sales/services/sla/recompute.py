"""Work out the deadlines of open cases anew, after policies or calendars have changed.

In chunks, each a transaction that holds its cases. Only what differs is written, so a run that starts again passes
quickly over what is done. What ended or failed stays; a promise that holds no more is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.jobs import JobContext
from app.kernel.registry import JobKind, Subscription
from app.kernel.statements import columns_of, entity, rows_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case, SlaTarget
from app.modules.after_sales.services.sla.book import SlaBook
from app.modules.after_sales.services.sla.clocks import shown, store
from app.modules.after_sales.services.sla.policies import RECOMPUTE
from app.modules.after_sales.services.sla.standing import Standing

CHUNK: Final = 1_000
_FIRST: Final = UUID(int=0)


class Nothing(BaseModel):
    """The job does all that there is to do."""


class CalendarTold(BaseModel):
    """What is needed of `tenants.calendar.changed`."""

    is_default: bool


class SettingsTold(BaseModel):
    """What is needed of `tenants.tenant.settings_changed`."""

    changed: list[str]


async def recompute(context: JobContext, _: Nothing) -> dict[str, int]:
    """Every case with a clock that has not ended, in order of their ids."""
    last, done, changed = _FIRST, 0, 0
    async with context.transaction() as uow:
        row = await uow.fetchrow(f"SELECT count(DISTINCT case_id) FROM {_RUNNING}", uow.tenant_id)
        total = int(row[0]) if row else 0
    while True:
        async with context.transaction() as uow:
            found = await recompute_chunk(uow, last)
        if found is None:
            return {"cases": done, "changed": changed}
        last, count, different = found
        done, changed = done + count, changed + different
        await context.progress(min(done, total), total, changed=changed)
        await context.go_on()


async def recompute_chunk(uow: UnitOfWork, after: UUID) -> tuple[UUID, int, int] | None:
    """The cases behind `after`: (the last of them, how many, how many clocks changed); None when there are none."""
    cases = [entity(Case, row) for row in await uow.fetch(_CASES, uow.tenant_id, after, CHUNK)]
    if not cases:
        return None
    clocks = await _clocks(uow, cases)
    pledges = await SlaBook(uow).pledges([case.__dict__ for case in cases])
    changed: list[Standing] = []
    dropped: list[UUID] = []
    shows: list[dict[str, Any]] = []
    for case, promised in zip(cases, pledges, strict=True):
        kept = []
        for clock in clocks.get(case.id, ()):
            pledge = promised.get(SlaTarget(clock.target))
            if pledge is None and clock.breached_at is None:
                dropped.append(clock.id)
                continue
            kept.append(clock)
            if pledge is not None and clock.repledge(pledge):
                changed.append(clock)
        after_that = shown(kept)
        if (case.due_at, case.due_target) != (after_that["due_at"], after_that["due_target"]):
            shows.append(
                {"id": case.id, "due_at": after_that["due_at"], "due_target": after_that["due_target"]}
            )
    await _write(uow, changed, dropped, shows)
    return cases[-1].id, len(cases), len(changed) + len(dropped)


async def _clocks(uow: UnitOfWork, cases: Sequence[Case]) -> dict[UUID, list[Standing]]:
    rows = await uow.fetch(
        "SELECT * FROM after_sales.case_clocks"
        " WHERE tenant_id = $1 AND case_id = ANY($2::uuid[]) AND ended_at IS NULL ORDER BY case_id, id",
        uow.tenant_id,
        [case.id for case in cases],
    )
    found: dict[UUID, list[Standing]] = {}
    for row in rows:
        found.setdefault(row["case_id"], []).append(Standing.of(dict(row)))
    return found


async def _write(
    uow: UnitOfWork, changed: Sequence[Standing], dropped: Sequence[UUID], shows: Sequence[dict[str, Any]]
) -> None:
    record = uow.kernel.registry.records["case"]
    if changed:
        await store(uow, changed)
    if dropped:
        await uow.fetch(
            "DELETE FROM after_sales.case_clocks WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            uow.tenant_id,
            list(dropped),
        )
    if shows:
        rows = await uow.fetch(_SHOW, uow.tenant_id, list(shows), uow.now)
        for row in rows:
            uow.record_audit("case", row["id"], "repromised", {"due_at": [row["former"], row["due_at"]]})
            uow.publish_record(record.updated, row["id"], row["version"], changed=["due_at", "due_target"])


async def on_calendar(uow: UnitOfWork, told: CalendarTold) -> None:
    """Hours were changed: deadlines that count by them are worked out anew."""
    del told
    await _enqueue_if_running(uow)


async def on_settings(uow: UnitOfWork, told: SettingsTold) -> None:
    """The company's own hours or zone were changed."""
    if {"business_calendar", "time_zone"} & set(told.changed):
        await _enqueue_if_running(uow)


async def _enqueue_if_running(uow: UnitOfWork) -> None:
    if await uow.fetchrow(f"SELECT 1 FROM {_RUNNING} LIMIT 1", uow.tenant_id) is not None:
        uow.enqueue(RECOMPUTE, {})


_RUNNING: Final = "after_sales.case_clocks WHERE tenant_id = $1 AND ended_at IS NULL"
_CASES: Final = (
    f"SELECT {', '.join(f't.{name}' for name in columns_of(Case))} FROM after_sales.cases t"
    " WHERE t.tenant_id = $1 AND t.id > $2 AND t.deleted_at IS NULL AND t.status NOT IN ('resolved', 'closed')"
    " AND EXISTS (SELECT 1 FROM after_sales.case_clocks k WHERE k.tenant_id = t.tenant_id AND k.case_id = t.id"
    " AND k.ended_at IS NULL) ORDER BY t.id LIMIT $3 FOR NO KEY UPDATE OF t"
)
_SHOW: Final = f"""
WITH told AS (
  SELECT * FROM jsonb_to_recordset($2::jsonb) AS s(id uuid, due_at timestamptz, due_target text)
), before AS (
  SELECT c.id, c.due_at AS former, told.due_at, told.due_target
  FROM after_sales.cases c JOIN told ON told.id = c.id WHERE c.tenant_id = $1
)
UPDATE after_sales.cases c SET due_at = before.due_at, due_target = before.due_target, version = c.version + 1,
  updated_at = $3
FROM {rows_of("before", "id", "former", "due_at", "due_target")}
WHERE c.tenant_id = $1 AND c.id = before.id
RETURNING c.id, c.version, before.former, c.due_at"""

JOB: Final = JobKind(RECOMPUTE, Nothing, recompute)
SUBSCRIPTIONS: Final = (
    Subscription("tenants.calendar.changed.v1", CalendarTold, on_calendar, "after_sales.calendar_changed"),
    Subscription(
        "tenants.tenant.settings_changed.v1", SettingsTold, on_settings, "after_sales.hours_changed"
    ),
)
