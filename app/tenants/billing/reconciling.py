"""Reconciling: every bill computed again from what lies behind it, and the ledger against the bills.

Seats come from their history, plans from the changes of the subscription, usage from the events themselves that had
arrived when the bill was made, coupons from their redemptions. What a bill keeps because nothing else does (who
sold and bought, the rate of tax) is taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import structlog

from app.kernel.access import TenantProfile, system_actor
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.tenants.billing.amounts import Tax
from app.tenants.billing.computing import line_documents, read_and_compute
from app.tenants.billing.histories import EarlierBill, History, read_earlier, read_history
from app.tenants.billing.models import Bill
from app.tenants.billing.periods import Period
from app.tenants.directory import list_tenants

log = structlog.get_logger(__name__)

DAILY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BillDifference:
    """Something that a bill, or the ledger, says otherwise than what it is made of; `position` of a line."""

    bill: str
    position: int | None
    field: str
    stored: str
    computed: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def reconcile_all(run: Any) -> None:
    """The daily schedule: whatever does not add up is logged as an error, company by company."""
    for tenant in await list_tenants(run.kernel):
        for found in await reconcile(run.kernel, tenant):
            log.error("a bill does not add up", tenant_id=str(tenant.id), **found.document())


async def reconcile(kernel: Kernel, tenant: TenantProfile) -> list[BillDifference]:
    """All that does not add up in a company, as of one moment. Nothing is written; memory holds a bill at a time."""
    async with transaction(kernel, system_actor(tenant), read_only=True) as uow:
        await uow.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        history = replace(await read_history(uow), bills=())
        found = await _ledger_differences(uow)
        for id in await uow.fetch(_IN_ORDER, uow.tenant_id):
            bill = await uow.get(Bill, id["id"])
            found += await _bill_differences(uow, history.as_of(bill.id), bill)
            history = _with(history, await read_earlier(uow, bill.id), bill)
        return found


_IN_ORDER = "SELECT id FROM tenants.bills WHERE tenant_id = $1 AND status <> 'draft' ORDER BY period_end"


def _with(history: History, earlier: EarlierBill, bill: Bill) -> History:
    """The history that the next bill was made of: this one belongs to it; of older ones those that still matter."""
    following = replace(history, bills=(*history.bills, earlier))
    kept = set(following.reopened(Period(bill.following_start, bill.following_end)))
    return replace(
        following, bills=tuple(one for one in following.bills if one.period in kept or one is earlier)
    )


async def _bill_differences(uow: UnitOfWork, history: History, bill: Bill) -> list[BillDifference]:
    tax = Tax(Decimal(bill.tax_rate), bill.reverse_charge)
    over = Period(bill.period_start, bill.period_end)
    computed = await read_and_compute(uow, history, over, tax, arrived=bill.usage_until)
    name = bill.number or str(bill.id)
    found = _line_differences(name, bill.lines, line_documents(computed))
    totals = computed.amounts.totals
    sums = {
        "subtotal": totals.subtotal,
        "discount": totals.header_discount,
        "tax": totals.tax,
        "total": totals.total,
        "discounts": [asdict(one) for one in computed.amounts.discounts],
        "following_end": computed.following.end,
        "currency": computed.currency,
    }
    for field, value in sums.items():
        if getattr(bill, field) != value:
            found.append(BillDifference(name, None, field, str(getattr(bill, field)), str(value)))
    return found


def _line_differences(
    name: str, stored: Sequence[Mapping[str, Any]], computed: Sequence[Mapping[str, Any]]
) -> list[BillDifference]:
    """Line by line, field by field; a line that only one side has shows as a whole."""
    found = []
    for place in range(max(len(stored), len(computed))):
        left = stored[place] if place < len(stored) else None
        right = computed[place] if place < len(computed) else None
        if left is None or right is None:
            found.append(BillDifference(name, place + 1, "line", _short(left), _short(right)))
            continue
        found += [
            BillDifference(name, place + 1, field, str(left.get(field)), str(value))
            for field, value in right.items()
            if left.get(field) != value
        ]
    return found


def _short(line: Mapping[str, Any] | None) -> str:
    return "none" if line is None else f"{line['kind']} {line['what']} {line['quantity']} {line['amount']}"


_LEDGER: Final = """
WITH sums AS (
  SELECT t.bill_id,
    sum(e.amount) FILTER (WHERE e.account IN ('receivable', 'bad_debt')) AS due,
    sum(e.amount) FILTER (WHERE e.account = 'cash' AND t.kind = 'payment') AS paid,
    -sum(e.amount) FILTER (WHERE e.account = 'revenue' AND t.kind = 'issue') AS net,
    -sum(e.amount) FILTER (WHERE e.account = 'tax' AND t.kind = 'issue') AS tax,
    sum(e.amount) FILTER (WHERE e.account IN ('credit', 'tax') AND t.kind = 'credit_note') AS credited
  FROM tenants.billing_entries e
  JOIN tenants.billing_transactions t ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id
  WHERE e.tenant_id = $1 AND t.bill_id IS NOT NULL GROUP BY 1
)
SELECT b.number, f.field, f.stored, f.computed
FROM tenants.bills b LEFT JOIN sums s ON s.bill_id = b.id
CROSS JOIN LATERAL (VALUES
  ('ledger due', b.due, coalesce(s.due, 0)),
  ('ledger paid', b.paid, coalesce(s.paid, 0)),
  ('ledger net', b.subtotal - b.discount, coalesce(s.net, 0)),
  ('ledger tax', b.tax, coalesce(s.tax, 0)),
  ('ledger credited', b.credited, coalesce(s.credited, 0)),
  ('credit notes', b.credited, coalesce((SELECT sum(n.total) FROM tenants.bill_credit_notes n
    WHERE n.tenant_id = $1 AND n.bill_id = b.id), 0)),
  ('payments', b.paid, coalesce((SELECT sum(p.amount) FROM tenants.bill_payments p
    WHERE p.tenant_id = $1 AND p.bill_id = b.id), 0))
) AS f(field, stored, computed)
WHERE b.tenant_id = $1 AND b.status <> 'draft' AND f.stored <> f.computed
UNION ALL
SELECT 'ledger', currency, 0, sum(amount) FROM tenants.billing_entries WHERE tenant_id = $1
GROUP BY currency HAVING sum(amount) <> 0"""


async def _ledger_differences(uow: UnitOfWork) -> list[BillDifference]:
    """Where bills say otherwise than the ledger, credit notes and payments; one statement."""
    rows = await uow.fetch(_LEDGER, uow.tenant_id)
    return [
        BillDifference(row["number"], None, row["field"], str(row["stored"]), str(row["computed"]))
        for row in rows
    ]
