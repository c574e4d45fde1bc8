"""Invoices past their due day: each is found once, its owner is told, and an event goes out."""

from __future__ import annotations

from datetime import timedelta

from app.kernel.notifications import Notice, Notifications
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import rows_of
from app.modules.orders.interface import InvoiceOverdue
from app.modules.orders.services.receivables.invoices import INVOICE

EVERY = timedelta(minutes=15)
BATCH = 500
INVOICE_OVERDUE = "invoice.overdue"


async def mark_overdue(run: ScheduledRun) -> None:
    """Mark what fell due before today in the company's time zone, a batch per transaction."""
    while True:
        async with run.transaction() as uow:
            today = uow.actor.tenant.day_of(uow.now)
            rows = await uow.fetch(_MARK, uow.tenant_id, today, uow.now, BATCH)
            for row in rows:
                uow.record_audit(
                    "invoice", row["id"], "overdue", {"overdue_since": [None, row["overdue_since"]]}
                )
                uow.publish_record(INVOICE.updated, row["id"], row["version"], changed=["overdue_since"])
                uow.publish(
                    InvoiceOverdue(
                        id=row["id"],
                        account_id=row["account_id"],
                        number=row["number"],
                        owner_id=row["owner_id"],
                        due_on=row["due_on"],
                    )
                )
            await Notifications(uow).tell_each(
                [
                    (
                        row["owner_id"],
                        Notice(
                            kind=INVOICE_OVERDUE,
                            title=_title(row["number"], row["customer_name"], uow.actor.tenant.language),
                            object="invoice",
                            record_id=row["id"],
                        ),
                    )
                    for row in rows
                    if row["owner_id"] is not None
                ]
            )
        if len(rows) < BATCH:
            return


def _title(number: str, customer: str, language: str) -> str:
    if language == "zh":
        return f"发票 {number}（{customer}）已逾期"
    return f"Invoice {number} of {customer} is overdue"


_MARK = f"""
WITH late AS (
  SELECT id FROM orders.invoices
  WHERE tenant_id = $1 AND kind = 'invoice' AND status IN ('open', 'partly_paid') AND overdue_since IS NULL
    AND due_on < $2::date
  ORDER BY due_on, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE orders.invoices i SET overdue_since = i.due_on + 1, version = i.version + 1, updated_at = $3
FROM {rows_of("late", "id")} WHERE i.tenant_id = $1 AND i.id = late.id
RETURNING i.id, i.version, i.account_id, i.owner_id, i.number, i.customer_name, i.due_on, i.overdue_since"""
