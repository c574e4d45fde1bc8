"""What strangers sent and never confirmed is forgotten, and so are counters whose hour is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from app.kernel.registry import Schedule
from app.modules.leads.services.capture import limits

_STEP: Final = 1_000
_NOT_CONFIRMED: Final = """
UPDATE leads.form_submissions SET status = 'refused', reason = 'not_confirmed', answers = '{}'
WHERE tenant_id = $1 AND id IN (
  SELECT id FROM leads.form_submissions WHERE tenant_id = $1 AND status = 'pending' AND expires_at <= $2
  LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


async def forget(run: Any) -> None:
    """Empty the submissions of a company whose link has expired, and drop its old counters."""
    more = True
    while more:
        async with run.transaction() as uow:
            rows = await uow.fetch(_NOT_CONFIRMED, uow.tenant_id, uow.now, _STEP)
            more = len(rows) == _STEP
    async with run.transaction() as uow:
        await limits.COUNTERS.forget(uow, uow.now, tenant=uow.tenant_id)


SCHEDULES: Final = (Schedule("leads.forget_unconfirmed", timedelta(hours=6), forget, per_tenant=True),)
