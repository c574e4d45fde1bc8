"""Receivables by how long they have been due, as they were at the end of a day in the company's time zone.

What was open then is what is open now and what was settled later. An allocation counts from the day on which both
its sides were there, so that entering a payment late does not make the customer look late. Due today is not late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.access import Scope, visible_rows
from app.kernel.listing import Bindings
from app.kernel.money import MoneySum
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.schemas.receivable_reports import AccountAgeing, Ageing, AgeingBuckets, NamedAccount
from app.modules.orders.services.receivables.shown import require_amounts, sees_payments

BUCKETS = ("not_due", "days_1_to_30", "days_31_to_60", "days_61_to_90", "over_90_days")
_FIGURES = (*BUCKETS, "open", "unallocated")


class AgeingService:
    """Ageing of the invoices that the actor sees, or of all those of one account."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def report(
        self,
        day: date | None,
        *,
        account_id: UUID | None,
        currency: str | None,
        limit: int,
        cursor: str | None,
    ) -> Ageing:
        """A page of accounts and the totals of all of them; three statements, and one for a named account.

        One account that the actor sees is told whole, as its statement is, to whoever may read payments too.

        Raises: Forbidden where amounts are hidden from the actor; InvalidCursor.
        """
        uow = self._uow
        require_amounts(uow.actor)
        on = day or uow.actor.tenant.day_of(uow.now)
        limit = min(limit, MAX_LIMIT)
        name = f"ageing:{on}:{account_id}:{currency}"
        position = read_position(uow, name, cursor)
        whole = await self._whole(account_id)
        totals = await uow.fetch(*self._statement(_TOTALS, on, account_id, currency, whole=whole))
        after = (int(position[0]), UUID(position[1]), position[2]) if position else None
        rows = await uow.fetch(
            *self._statement(_PAGE, on, account_id, currency, whole=whole, after=after, limit=limit + 1)
        )
        shown, more = rows[:limit], len(rows) > limit
        names = await uow.of(Customers).account_names([row["account_id"] for row in shown])
        last = shown[-1] if more else None
        return Ageing(
            on=on,
            complete=whole,
            totals=[AgeingBuckets(**buckets(row)) for row in totals],
            data=[_of_account(row, names) for row in shown],
            next_cursor=None
            if last is None
            else sign_position(uow, name, [int(last["open"]), last["account_id"], last["currency"]]),
            has_more=more,
        )

    async def _whole(self, account_id: UUID | None) -> bool:
        """Whether nothing is left out that the actor may not see by their own scope."""
        actor = self._uow.actor
        if not sees_payments(actor):
            return False
        if actor.require("invoice:read") is actor.require("payment:read") is Scope.ALL:
            return True
        return account_id is not None and account_id in await self._uow.of(Customers).get_many([account_id])

    def _statement(
        self,
        sql: str,
        on: date,
        account_id: UUID | None,
        currency: str | None,
        *,
        whole: bool,
        after: tuple[int, UUID, str] | None = None,
        limit: int | None = None,
    ) -> Sequence[Any]:
        bind = Bindings(self._uow.tenant_id, on)
        only = "" if account_id is None else f" AND t.account_id = {bind(account_id)}::uuid"
        only += "" if currency is None else f" AND t.currency = {bind(currency)}::text"
        actor = self._uow.actor
        invoices = payments = None
        if not whole:
            invoices = visible_rows(actor, "invoice", "read", bind)
            # Who sees no payments is not told of money that lies unallocated.
            payments = visible_rows(actor, "payment", "read", bind) if sees_payments(actor) else "false"
        parts = {
            "invoices": only + (f" AND {invoices}" if invoices else ""),
            "payments": only + (f" AND {payments}" if payments else ""),
        }
        if limit is not None:
            parts["after"] = "" if after is None else _AFTER.format(*map(bind, after))
            parts["limit"] = bind(limit)
        return (_OPEN_AT.format(**parts) + sql.format(**parts), *bind.values)


def _of_account(row: Any, names: Mapping[UUID, str]) -> AccountAgeing:
    account = NamedAccount(id=row["account_id"], name=names.get(row["account_id"]))
    return AccountAgeing(account=account, **buckets(row))


def buckets(row: Any) -> dict[str, Any]:
    """A row of sums as money."""
    currency = row["currency"]
    found: dict[str, Any] = {name: MoneySum(int(row[name]), currency) for name in _FIGURES}
    balance = MoneySum(int(row["open"]) - int(row["unallocated"]), currency)
    return found | {"currency": currency, "balance": balance}


_OPEN_AT = """
WITH later AS (
  SELECT a.payment_id, a.credit_note_id, a.invoice_id, a.amount FROM orders.allocations a
  WHERE a.tenant_id = $1 AND a.counts_on > $2::date
), later_of AS (
  SELECT coalesce(l.invoice_id, l.credit_note_id) AS id, sum(l.amount) AS amount FROM (
    SELECT invoice_id, NULL::uuid AS credit_note_id, amount FROM later WHERE invoice_id IS NOT NULL
    UNION ALL SELECT NULL, credit_note_id, amount FROM later WHERE credit_note_id IS NOT NULL
  ) l GROUP BY 1
), paid_later AS (
  SELECT payment_id AS id, sum(amount) AS amount FROM later WHERE payment_id IS NOT NULL GROUP BY 1
), standing AS (
  SELECT t.account_id, t.currency, t.kind, $2::date - t.due_on AS late, t.open_amount + coalesce(l.amount, 0) AS open
  FROM orders.invoices t LEFT JOIN later_of l ON l.id = t.id
  WHERE t.tenant_id = $1 AND t.status IN ('open', 'partly_paid', 'paid', 'credited') AND t.issued_on <= $2::date
    AND (t.status IN ('open', 'partly_paid') OR l.id IS NOT NULL) AND t.deleted_at IS NULL{invoices}
  UNION ALL
  SELECT t.account_id, t.currency, 'payment', 0, t.unallocated + coalesce(l.amount, 0)
  FROM orders.payments t LEFT JOIN paid_later l ON l.id = t.id
  WHERE t.tenant_id = $1 AND t.kind = 'payment' AND t.received_on <= $2::date
    AND (t.unallocated > 0 OR l.id IS NOT NULL) AND t.deleted_at IS NULL{payments}
), sums AS (
  SELECT account_id, currency,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice' AND late <= 0), 0) AS not_due,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice' AND late BETWEEN 1 AND 30), 0) AS days_1_to_30,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice' AND late BETWEEN 31 AND 60), 0) AS days_31_to_60,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice' AND late BETWEEN 61 AND 90), 0) AS days_61_to_90,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice' AND late > 90), 0) AS over_90_days,
    coalesce(sum(open) FILTER (WHERE kind = 'invoice'), 0) AS open,
    coalesce(sum(open) FILTER (WHERE kind <> 'invoice'), 0) AS unallocated
  FROM standing WHERE open <> 0 GROUP BY account_id, currency
)"""

_TOTALS = """
SELECT currency, sum(not_due) AS not_due, sum(days_1_to_30) AS days_1_to_30, sum(days_31_to_60) AS days_31_to_60,
  sum(days_61_to_90) AS days_61_to_90, sum(over_90_days) AS over_90_days, sum(open) AS open,
  sum(unallocated) AS unallocated
FROM sums GROUP BY currency ORDER BY currency"""

_AFTER = """
WHERE open < {0}::bigint OR (open = {0}::bigint AND (account_id, currency) > ({1}::uuid, {2}::text))"""

_PAGE = """
SELECT * FROM sums{after}
ORDER BY open DESC, account_id, currency LIMIT {limit}"""
