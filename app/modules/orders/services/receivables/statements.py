"""Account statements: what was owed, what changed it, what is owed then. Issued invoices and refunds add to it,
credit notes and payments take from it, each on its own day.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.money import Money, MoneySum
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.schemas.receivable_reports import Movement, NamedAccount, Statement
from app.modules.orders.services.receivables.shown import require_whole


class StatementService:
    """Statements of accounts that the actor sees: of all their movements, for a part of them is no balance."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(
        self,
        account_id: UUID,
        *,
        currency: str | None,
        begins_on: date | None,
        ends_on: date | None,
        limit: int,
        cursor: str | None,
    ) -> Statement:
        """A period of one account in one currency, both days included; three statements.

        Raises: NotFound for an account that is not visible; Forbidden for whoever may not read invoices
        and payments, or where their amounts are hidden from the actor; Invalid; InvalidCursor.
        """
        require_whole(self._uow.actor)
        uow = self._uow
        begins, ends = self._period(begins_on, ends_on)
        money = currency or uow.actor.tenant.currency
        accounts = await uow.of(Customers).get_many([account_id])
        if account_id not in accounts:
            raise NotFound
        account = accounts[account_id]
        name = f"statement:{account.id}:{money}:{begins}:{ends}"
        position = read_position(uow, name, cursor)
        limit = min(limit, MAX_LIMIT)
        period = (uow.tenant_id, account.id, money, begins, ends)
        sums = await uow.fetchrow(_LEDGER + _SUMS, *period)
        assert sums is not None  # noqa: S101 - an aggregate always answers
        after = (date.fromisoformat(position[0]), UUID(position[1])) if position else (None, None)
        rows = await uow.fetch(_LEDGER + _MOVEMENTS, *period, *after, limit + 1)
        shown, more = rows[:limit], len(rows) > limit
        last = shown[-1] if more else None
        figures = {key: MoneySum(int(sums[key]), money) for key in _FIGURES}
        return Statement(
            account=NamedAccount(id=account.id, name=account.name),
            currency=money,
            begins_on=begins,
            ends_on=ends,
            **figures,
            data=[_movement(row, int(sums["opening"]), money) for row in shown],
            next_cursor=None if last is None else sign_position(uow, name, [last["day"], last["id"]]),
            has_more=more,
        )

    def _period(self, begins_on: date | None, ends_on: date | None) -> tuple[date, date]:
        """As asked for, else the month of its end, until today. Raises: Invalid."""
        ends = ends_on or self._uow.actor.tenant.day_of(self._uow.now)
        begins = begins_on or ends.replace(day=1)
        if begins > ends:
            raise Invalid.at("begins_on", "after_end", "The period ends before it begins.")
        return begins, ends


def _movement(row: Any, opening: int, currency: str) -> Movement:
    return Movement(
        on=row["day"],
        kind=row["kind"],
        id=row["id"],
        number=row["number"],
        reference=row["reference"],
        amount=Money(row["amount"], currency),
        balance=MoneySum(opening + int(row["running"]), currency),
    )


_FIGURES = ("opening", "invoiced", "credited", "received", "refunded", "closing")

_LEDGER = """
WITH ledger AS (
  SELECT t.id, t.issued_on AS day, t.kind, t.number, t.reference,
    CASE WHEN t.kind = 'invoice' THEN t.total ELSE -t.total END AS amount
  FROM orders.invoices t
  WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.currency = $3 AND t.issued_on <= $5::date
    AND t.deleted_at IS NULL
  UNION ALL
  SELECT t.id, t.received_on, t.kind, t.number, t.reference,
    CASE WHEN t.kind = 'payment' THEN -t.amount ELSE t.amount END
  FROM orders.payments t
  WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.currency = $3 AND t.received_on <= $5::date
    AND t.deleted_at IS NULL
)"""

_SUMS = """
SELECT coalesce(sum(amount) FILTER (WHERE day < $4::date), 0) AS opening,
  coalesce(sum(amount) FILTER (WHERE day >= $4::date AND kind = 'invoice'), 0) AS invoiced,
  coalesce(-sum(amount) FILTER (WHERE day >= $4::date AND kind = 'credit_note'), 0) AS credited,
  coalesce(-sum(amount) FILTER (WHERE day >= $4::date AND kind = 'payment'), 0) AS received,
  coalesce(sum(amount) FILTER (WHERE day >= $4::date AND kind = 'refund'), 0) AS refunded,
  coalesce(sum(amount), 0) AS closing
FROM ledger"""

_MOVEMENTS = """
SELECT * FROM (
  SELECT l.*, sum(l.amount) OVER (ORDER BY l.day, l.id) AS running FROM ledger l WHERE l.day >= $4::date
) m WHERE $6::date IS NULL OR (m.day, m.id) > ($6::date, $7::uuid)
ORDER BY m.day, m.id LIMIT $8"""
