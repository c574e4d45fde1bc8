"""What the calendar does to contracts: instalments fall due, terms end, successors begin, owners are reminded.

Each step takes a batch per transaction and only what is due, so that it may be stopped at any point and run again,
by any number of workers at once. Days are those of the company's own calendar.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from app.kernel.errors import Problem
from app.kernel.notifications import Notice, Notifications
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import columns_of, entities, rows_of
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import RenewalDue
from app.modules.contracts.models import Contract, Instalment
from app.modules.contracts.schemas import Renewal
from app.modules.contracts.services.amendments import AmendmentService
from app.modules.contracts.services.contracts import CONTRACT
from app.modules.contracts.services.instalments import STATUS, Instalments
from app.modules.contracts.services.renewals import Renewals
from app.modules.contracts.services.steps import ContractSteps

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=15)
BATCH: Final = 500
REMINDED: Final = "contract.renewal_due"
OVERDUE: Final = "contract.instalment_overdue"


async def follow_calendar(run: ScheduledRun) -> None:
    """Do everything that has fallen due since the last run."""
    await move_instalments(run)
    await apply_amendments(run)
    await terminate(run)
    await renew(run)
    await expire(run)
    await remind(run)


async def move_instalments(run: ScheduledRun) -> None:
    """Pending instalments fall due on their day, and are overdue when it has passed; owners are told of those."""
    while True:
        async with run.transaction() as uow:
            today = Instalments(uow).today
            rows = await uow.fetch(_MOVE, uow.tenant_id, today, BATCH)
            moved = [
                (row, former["former"]) for row, former in zip(entities(Instalment, rows), rows, strict=True)
            ]
            Instalments(uow).tell(moved)
            await _tell_overdue(uow, [row for row, _ in moved if row.status == "overdue"])
        if len(rows) < BATCH:
            return


async def _tell_overdue(uow: UnitOfWork, rows: Sequence[Instalment]) -> None:
    if not rows:
        return
    contracts = await _contracts(uow, {row.contract_id for row in rows})
    chinese = uow.actor.tenant.language == "zh"
    notices = []
    for row in rows:
        contract = contracts.get(row.contract_id)
        if contract is None or contract.owner_id is None:
            continue
        title = f"{contract.number} {contract.title}: {row.label}"
        title = f"{title} 已逾期" if chinese else f"{title} is overdue"
        notices.append((contract.owner_id, Notice(OVERDUE, title, object="contract", record_id=contract.id)))
    await Notifications(uow).tell_each(notices)


async def apply_amendments(run: ScheduledRun) -> None:
    """Approved amendments come into force on their day."""
    async with run.transaction() as uow:
        due = await uow.fetch(_DUE_AMENDMENTS, uow.tenant_id, Instalments(uow).today)
    for row in due:
        await _each(run, "amendment", row["id"], _apply_amendment)


async def _apply_amendment(uow: UnitOfWork, id: UUID) -> bool:
    return await AmendmentService(uow).apply_due(id)


async def terminate(run: ScheduledRun) -> None:
    """Contracts under notice are over on their day, and so is what was to be paid from then on."""
    while True:
        async with run.transaction() as uow:
            steps = ContractSteps(uow)
            rows = await uow.fetch(_TERMINATE, uow.tenant_id, steps.today, uow.now, BATCH)
            ended = entities(Contract, rows)
            days = {row.id: row.terminates_on for row in ended if row.terminates_on is not None}
            await steps.contracts.instalments.void(list(days), from_day=days)
            _tell_ended(uow, ended, "terminate")
        if len(rows) < BATCH:
            return


async def renew(run: ScheduledRun) -> None:
    """Contracts that renew themselves get their successors, again and again until those reach the present."""
    while True:
        async with run.transaction() as uow:
            due = await uow.fetch(_DUE_RENEWALS, uow.tenant_id, Instalments(uow).today)
        done = [await _each(run, "renewal", row["id"], _renew) for row in due]
        if not any(done):
            return


async def _renew(uow: UnitOfWork, id: UUID) -> bool:
    columns = ", ".join(columns_of(Contract))
    rows = await uow.fetch(
        f"SELECT {columns} FROM contracts.contracts WHERE tenant_id = $1 AND id = $2 AND status = 'active'"
        " AND auto_renew AND successor_id IS NULL AND terminates_on IS NULL AND deleted_at IS NULL AND ends_on < $3"
        " FOR NO KEY UPDATE SKIP LOCKED",
        uow.tenant_id,
        id,
        Instalments(uow).today,
    )
    for row in entities(Contract, rows):
        await Renewals(uow).succeed(row, Renewal())
    return bool(rows)


async def expire(run: ScheduledRun) -> None:
    """Contracts whose term is over and that do not renew themselves have expired, or were renewed by hand."""
    while True:
        async with run.transaction() as uow:
            rows = await uow.fetch(_EXPIRE, uow.tenant_id, Instalments(uow).today, uow.now, BATCH)
            _tell_ended(uow, entities(Contract, rows), "expire")
        if len(rows) < BATCH:
            return


async def remind(run: ScheduledRun) -> None:
    """Owners are reminded once of each end of a term."""
    while True:
        async with run.transaction() as uow:
            rows = await uow.fetch(_REMIND, uow.tenant_id, Instalments(uow).today, BATCH)
            due = entities(Contract, rows)
            for row in due:
                if row.ends_on is not None:
                    uow.publish(
                        RenewalDue(
                            id=row.id,
                            owner_id=row.owner_id,
                            ends_on=row.ends_on,
                            auto_renew=row.auto_renew,
                        )
                    )
            notices = [(row.owner_id, _reminder(uow, row)) for row in due if row.owner_id is not None]
            await Notifications(uow).tell_each(notices)
        if len(rows) < BATCH:
            return


def _reminder(uow: UnitOfWork, row: Contract) -> Notice:
    if uow.actor.tenant.language == "zh":
        title = f"合同 {row.number} {row.title} 将于 {row.ends_on} 到期"
        body = "到期后将自动续签。" if row.auto_renew else "请决定是否续签。"
    else:
        title = f"Contract {row.number} {row.title} ends on {row.ends_on}"
        body = "It will be renewed by itself." if row.auto_renew else "Decide whether it is renewed."
    return Notice(REMINDED, title, body, object="contract", record_id=row.id)


async def _each(
    run: ScheduledRun, what: str, id: UUID, act: Callable[[UnitOfWork, UUID], Awaitable[bool]]
) -> bool:
    """One in a transaction of its own: what the rules refuse for one does not hold up the others."""
    try:
        async with run.transaction() as uow:
            return await act(uow, id)
    except Problem as problem:
        log.warning(
            "contract not moved", what=what, record_id=str(id), code=problem.code, detail=problem.detail
        )
        return False


def _tell_ended(uow: UnitOfWork, rows: Sequence[Contract], action: str) -> None:
    steps = ContractSteps(uow)
    for row in rows:
        uow.record_audit("contract", row.id, action, {"status": ["active", row.status]})
        uow.publish_record(CONTRACT.updated, row.id, row.version, changed=["status"])
        steps.ended(row)


async def _contracts(uow: UnitOfWork, ids: set[UUID]) -> dict[UUID, Contract]:
    rows = await uow.fetch(
        f"SELECT {_RETURNING} FROM contracts.contracts c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])"
        " AND c.deleted_at IS NULL",
        uow.tenant_id,
        list(ids),
    )
    return {row.id: row for row in entities(Contract, rows)}


_RETURNING: Final = ", ".join(f"c.{name}" for name in columns_of(Contract))

_MOVE: Final = f"""
WITH due AS (
  SELECT i.id, i.status AS former FROM contracts.instalments i
  WHERE i.tenant_id = $1 AND i.status IN ('pending', 'due', 'partly_paid') AND i.due_on <= $2::date
    AND i.status <> {STATUS.format(today="$2::date")}
  ORDER BY i.id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE contracts.instalments i SET status = {STATUS.format(today="$2::date")}
FROM {rows_of("due", "id", "former")} WHERE i.tenant_id = $1 AND i.id = due.id RETURNING i.*, due.former"""

_DUE_AMENDMENTS: Final = """
SELECT a.id FROM contracts.amendments a
WHERE a.tenant_id = $1 AND a.status = 'approved' AND (a.effective_on IS NULL OR a.effective_on <= $2::date)
ORDER BY a.effective_on, a.id"""

_DUE_RENEWALS: Final = """
SELECT c.id FROM contracts.contracts c
WHERE c.tenant_id = $1 AND c.status = 'active' AND c.deleted_at IS NULL AND c.ends_on < $2::date AND c.auto_renew
  AND c.successor_id IS NULL AND c.terminates_on IS NULL ORDER BY c.ends_on, c.id"""

_TERMINATE: Final = f"""
WITH due AS (
  SELECT c.id FROM contracts.contracts c
  WHERE c.tenant_id = $1 AND c.status = 'active' AND c.deleted_at IS NULL AND c.terminates_on <= $2::date
  ORDER BY c.id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE contracts.contracts c SET status = 'terminated', ended_at = $3, version = c.version + 1, updated_at = $3
FROM {rows_of("due", "id")} WHERE c.tenant_id = $1 AND c.id = due.id RETURNING {_RETURNING}"""

_EXPIRE: Final = f"""
WITH due AS (
  SELECT c.id FROM contracts.contracts c
  WHERE c.tenant_id = $1 AND c.status = 'active' AND c.deleted_at IS NULL AND c.ends_on < $2::date
    AND (NOT c.auto_renew OR c.successor_id IS NOT NULL) AND c.terminates_on IS NULL
  ORDER BY c.id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE contracts.contracts c SET
  status = CASE WHEN c.successor_id IS NULL THEN 'expired' ELSE 'renewed' END,
  ended_at = $3, version = c.version + 1, updated_at = $3
FROM {rows_of("due", "id")} WHERE c.tenant_id = $1 AND c.id = due.id RETURNING {_RETURNING}"""

_REMIND: Final = f"""
WITH due AS (
  SELECT c.id FROM contracts.contracts c
  WHERE c.tenant_id = $1 AND c.status = 'active' AND c.deleted_at IS NULL AND c.successor_id IS NULL
    AND c.terminates_on IS NULL AND c.ends_on IS NOT NULL
    AND c.ends_on - c.renewal_reminder_days::int <= $2::date AND c.renewal_reminded_for IS DISTINCT FROM c.ends_on
  ORDER BY c.id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE contracts.contracts c SET renewal_reminded_for = c.ends_on
FROM {rows_of("due", "id")} WHERE c.tenant_id = $1 AND c.id = due.id RETURNING {_RETURNING}"""
