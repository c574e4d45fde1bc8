"""Work out anew what waiting cases ask for, after the rules of skills have changed.

In chunks, each a transaction that holds its cases. Only what differs is written, so a run that starts again passes
quickly over what is done. What somebody said of a case stays, and so does what ended or has an owner: it was routed.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.jobs import JobCancelled, JobContext, JobPaused
from app.kernel.registry import JobKind
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.cases.skills import RESKILL, asked_of, rules_in_force
from app.modules.after_sales.services.cases.states import UNRESOLVED_SQL

CHUNK: Final = 500
_FIRST: Final = UUID(int=0)


class Nothing(BaseModel):
    """The job does all that there is to do."""


async def reskill(context: JobContext, _: Nothing) -> dict[str, int]:
    """Every case that waits for an owner, in order of their ids."""
    last, done, changed = _FIRST, 0, 0
    while True:
        async with context.transaction() as uow:
            found = await reskill_chunk(uow, last)
        if found is None:
            return {"cases": done, "changed": changed}
        last, count, different = found
        done, changed = done + count, changed + different
        await context.progress(done, None, changed=changed)
        if await context.cancelled():
            raise JobCancelled
        if context.stopping.is_set():
            raise JobPaused


async def reskill_chunk(uow: UnitOfWork, after: UUID) -> tuple[UUID, int, int] | None:
    """The cases behind `after`: (the last of them, how many, how many changed); None when there are none."""
    cases = [entity(Case, row) for row in await uow.fetch(_WAITING, uow.tenant_id, after, CHUNK)]
    if not cases:
        return None
    # Read anew: what a process remembers may be as old as the change.
    asked = await asked_of(uow, await rules_in_force(uow), [case.__dict__ for case in cases])
    changes = [
        {"id": case.id, "skills": skills}
        for case, skills in zip(cases, asked, strict=True)
        if skills != case.required_skills
    ]
    if changes:
        await _write(uow, changes, {case.id: case.required_skills for case in cases})
    return cases[-1].id, len(cases), len(changes)


async def _write(uow: UnitOfWork, changes: list[dict[str, Any]], former: dict[UUID, list[Any]]) -> None:
    record = uow.kernel.registry.records["case"]
    for row in await uow.fetch(_CHANGE, uow.tenant_id, changes, uow.now):
        told = {"required_skills": [former[row["id"]], row["required_skills"]]}
        uow.record_audit("case", row["id"], "reskilled", told)
        uow.publish_record(record.updated, row["id"], row["version"], changed=["required_skills"])


_WAITING: Final = (
    f"SELECT {', '.join(f't.{name}' for name in columns_of(Case))} FROM after_sales.cases t"
    " WHERE t.tenant_id = $1 AND t.id > $2 AND t.deleted_at IS NULL AND t.owner_id IS NULL AND t.skills IS NULL"
    f" AND t.{UNRESOLVED_SQL} ORDER BY t.id LIMIT $3 FOR NO KEY UPDATE OF t"
)
_CHANGE: Final = """
UPDATE after_sales.cases c SET required_skills = told.skills, version = c.version + 1, updated_at = $3
FROM jsonb_to_recordset($2::jsonb) AS told(id uuid, skills jsonb)
WHERE c.tenant_id = $1 AND c.id = told.id
RETURNING c.id, c.version, c.required_skills"""

JOB: Final = JobKind(RESKILL, Nothing, reskill)
