"""Resolved cases close by themselves after some days without a word."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.schedules import ScheduledRun
from app.kernel.statements import rows_of
from app.modules.after_sales.interface import CaseClosed
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.after_sales.services.cases.settings import CaseSettingsService

EVERY: Final = timedelta(minutes=15)
BATCH: Final = 500


async def close_resolved(run: ScheduledRun) -> None:
    """Close what has been resolved for as long as the company says, a batch per transaction."""
    while True:
        async with run.transaction() as uow:
            days = (await CaseSettingsService(uow).get()).close_after_days
            if days is None:
                return
            before = uow.now - timedelta(days=days)
            rows = await uow.fetch(_CLOSE, uow.tenant_id, before, uow.now, BATCH)
            for row in rows:
                uow.record_audit("case", row["id"], "close", {"status": ["resolved", "closed"]})
                uow.publish_record(CASE.updated, row["id"], row["version"], changed=["closed_at", "status"])
                uow.publish(CaseClosed(id=row["id"], account_id=row["account_id"]))
        if len(rows) < BATCH:
            return


_CLOSE: Final = f"""
WITH due AS (
  SELECT id FROM after_sales.cases
  WHERE tenant_id = $1 AND status = 'resolved' AND resolved_at <= $2 AND deleted_at IS NULL
  ORDER BY resolved_at, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE after_sales.cases c SET status = 'closed', closed_at = $3, version = c.version + 1, updated_at = $3
FROM {rows_of("due", "id")} WHERE c.tenant_id = $1 AND c.id = due.id AND c.status = 'resolved'
RETURNING c.id, c.version, c.account_id"""
