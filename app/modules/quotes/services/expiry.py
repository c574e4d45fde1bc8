"""Offers end with their last day on the tenant's calendar, whether somebody looks or not."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.schedules import ScheduledRun
from app.kernel.statements import rows_of
from app.modules.quotes.services.quotes import QUOTE

EVERY: Final = timedelta(minutes=15)
BATCH: Final = 500


async def expire_quotes(run: ScheduledRun) -> None:
    """Mark what ran out, a batch per transaction."""
    while True:
        async with run.transaction() as uow:
            rows = await uow.fetch(_EXPIRE, uow.tenant_id, uow.actor.tenant.day_of(uow.now), uow.now, BATCH)
            for row in rows:
                uow.record_audit("quote", row["id"], "expire", {"status": [row["former"], "expired"]})
                uow.publish_record(QUOTE.updated, row["id"], row["version"], changed=["status"])
        if len(rows) < BATCH:
            return


_EXPIRE: Final = f"""
WITH due AS (
  SELECT id, status FROM quotes.quotes
  WHERE tenant_id = $1 AND status IN ('sent', 'viewed') AND valid_until < $2 AND deleted_at IS NULL
  ORDER BY valid_until, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
), done AS (
  UPDATE quotes.quotes q SET status = 'expired', version = q.version + 1, updated_at = $3::timestamptz
  FROM {rows_of("due", "id", "status")} WHERE q.tenant_id = $1 AND q.id = due.id
  RETURNING q.id, q.version, due.status AS former
), told AS (
  INSERT INTO quotes.quote_steps (tenant_id, id, quote_id, action, from_status, to_status, at)
  SELECT $1, gen_random_uuid(), id, 'expire', former, 'expired', $3 FROM done
)
SELECT id, version, former FROM done ORDER BY id"""
