"""Money goes out the way it came in: stored value goes back to whoever keeps it, and only cash is paid out as cash.

"Cash" is every way of paying but stored value. What belongs together are the *papers* of one order, or of one invoice
without an order: its invoices and credit notes. Three things would turn stored value into cash, and are refused to
whoever may not do so (`payment:cash_out`):

* a credit note of what stored value paid is paid out, or settles other papers, whose credit is cash then;
* cash is taken off an invoice that stored value settles in its place, and is paid back;
* the same the other way round: cash is taken off and paid back, and then stored value settles the invoice.

The last two are one rule. What was taken off an invoice and neither fits into what is open of it, nor was followed
by other cash, was displaced; of that, stored value took as much as it paid for the papers. So much of the cash must
still be with us, and where it settles an invoice in the place of other cash it is not: that could go out instead.
Whoever changes one of the two sides holds all invoices of the papers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.orders.interface import CashPaidBack
from app.modules.orders.models.receivables import Invoice, Payment
from app.modules.orders.services.receivables.errors import PaidFromStoredValue

CASH_OUT: Final = "payment:cash_out"


@dataclass(frozen=True, slots=True)
class Entry:
    """One allocation that concerns papers, in minor units; entries are read in the order they were written."""

    source_id: UUID  # a payment, or a credit note
    invoice_id: UUID | None  # None: paid back from a credit note
    amount: int
    stored_value: bool
    payment: bool  # the source is a payment, not a credit note
    own: bool = False  # the source is a credit note of the papers


def stored_value_in(entries: Collection[Entry]) -> int:
    """What stored value paid for the papers and did not get back from their credit notes."""
    return max(
        0,
        sum(one.amount if one.invoice_id else -one.amount for one in entries if one.stored_value),
    )


def displaced(
    entries: Sequence[Entry], opened: Mapping[UUID, int]
) -> tuple[int, Counter[UUID], Counter[UUID]]:
    """How much cash stored value took the place of, how much of which payments was taken off the papers, and how
    much of which stands where cash was taken off.

    `opened` is what is open of each invoice.
    """
    gone, taken, instead = 0, Counter[UUID](), Counter[UUID]()
    for invoice_id, left in opened.items():
        mine = [one for one in entries if one.invoice_id == invoice_id and not one.stored_value]
        off, later, standing = _taken_off(mine)
        gone += max(0, off.total() - left - later)
        taken += off
        if off:
            instead += standing
    return min(gone, stored_value_in(entries)), taken, instead


def _taken_off(entries: Sequence[Entry]) -> tuple[Counter[UUID], int, Counter[UUID]]:
    """What of which payments was taken off one invoice and not put on again, the cash that came after that, and what
    of which payments stands.
    """
    standing, most = Counter[UUID](), Counter[UUID]()
    later = Counter[UUID]()
    for one in entries:
        if one.payment:
            standing[one.source_id] += one.amount
            most[one.source_id] = max(most[one.source_id], standing[one.source_id])
            if one.amount < 0:
                later.clear()
                continue
        if not one.own:
            later[one.source_id] += one.amount
    off = most - standing
    return off, sum(max(0, amount) for id, amount in later.items() if id not in off), standing


@dataclass(frozen=True, slots=True)
class Kept:
    """What was taken off papers: `displaced` by stored value, and of each payment what of it is still with us."""

    displaced: int
    taken: Mapping[UUID, int]
    kept: Mapping[UUID, int]

    @property
    def missing(self) -> int:
        return max(0, self.displaced - sum(self.kept.values()))

    def bound(self, payment_id: UUID) -> int:
        """What has to stay of this payment."""
        others = sum(amount for id, amount in self.kept.items() if id != payment_id)
        return min(self.taken.get(payment_id, 0), max(0, self.displaced - others))


@dataclass(frozen=True, slots=True)
class Rooms:
    """What of a payment whose place stored value took may settle invoices where `other` cash was taken off."""

    left: int
    other: Collection[UUID]
    currency: str

    def fitting(self, shares: Sequence[tuple[UUID, int]], *, cut: bool) -> list[int]:
        """The amounts of shares, by invoice; too much is `cut` or refused with `PaidFromStoredValue`."""
        left = max(0, self.left - sum(amount for id, amount in shares if id not in self.other))
        if not cut:
            _require(sum(amount for id, amount in shares if id in self.other), left, self.currency)
        found = []
        for id, amount in shares:
            part = min(amount, left) if id in self.other else amount
            left -= part if id in self.other else 0
            found.append(part)
        return found


class Tenders:
    """Says what may be paid out as cash, and what stored value may take the place of."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    @property
    def free(self) -> bool:
        """Whether the actor may turn stored value into cash."""
        return self._uow.actor.may(CASH_OUT)

    async def cash_of_note(self, note: Invoice) -> int:
        """What of a held credit note was paid in cash: the rest goes back to stored value, which comes first."""
        entries = await self._entries(note.order_id, note.corrects_id or note.id)
        return max(0, note.open_amount - stored_value_in(entries))

    async def require_cash(self, note: Invoice, wanted: int) -> None:
        """Raises `PaidFromStoredValue` for more of a credit note than that, if the actor may not pay it out."""
        if not self.free:
            _require(wanted, await self.cash_of_note(note), note.currency)

    async def require_not_displaced(self, payment: Payment, wanted: int) -> None:
        """Raises `PaidFromStoredValue` for more of a held payment than may be paid back. Holds invoices."""
        bound = await self._bound(payment)
        if not bound:
            return
        (paid,) = await self._uow.fetch(_PAID_BACK, self._uow.tenant_id, [payment.id])
        left = max(0, min(payment.unallocated, payment.amount - paid["back"] - bound))
        _require(wanted, left, payment.currency)

    async def _bound(self, payment: Payment, also: Collection[UUID] = ()) -> int:
        """What of a held payment has to stay; nothing if the actor may pay it out. Holds invoices, `also` these."""
        off = [] if self.free else await self._uow.fetch(_OFF, self._uow.tenant_id, payment.id)
        if not off:
            return 0
        orders = [row["order_id"] for row in off if row["order_id"]]
        alone = [row["invoice_id"] for row in off if row["invoice_id"]]
        await self._uow.fetch(_HOLD, self._uow.tenant_id, orders, alone, list(also))
        bound = 0
        for row in off:
            bound += (await self.kept(row["order_id"], row["invoice_id"])).bound(payment.id)
        return bound

    async def rooms(self, payment: Payment, invoice_ids: Collection[UUID]) -> Rooms | None:
        """What of a held payment may settle which of these invoices, where that is not all. Holds invoices."""
        bound = await self._bound(payment, invoice_ids)
        if not bound:
            return None
        rows = await self._uow.fetch(_TAKEN_OFF, self._uow.tenant_id, payment.id, list(invoice_ids))
        left = max(0, payment.unallocated - bound)
        return Rooms(left, frozenset(row["invoice_id"] for row in rows), payment.currency)

    async def kept(self, order_id: UUID | None, invoice_id: UUID | None) -> Kept:
        """How the papers of an order, or of an invoice without one, stand; their invoices are held."""
        entries = await self._entries(order_id, invoice_id)
        if not any(one.payment and one.amount < 0 and not one.stored_value for one in entries):
            return Kept(0, {}, {})
        rows = await self._uow.fetch(_OPENED, self._uow.tenant_id, order_id, invoice_id)
        gone, taken, instead = displaced(entries, {row["id"]: row["open_amount"] for row in rows})
        paid = await self._uow.fetch(_KEPT, self._uow.tenant_id, order_id, invoice_id, list(taken))
        kept = {row["id"]: max(0, min(taken[row["id"]], row["left"] - instead[row["id"]])) for row in paid}
        return Kept(gone, taken, kept)

    async def require_none_missing(
        self, before: Kept, order_id: UUID | None, invoice_id: UUID | None
    ) -> None:
        """After stored value paid. Raises `CashPaidBack` where it took the place of cash that is gone."""
        if before.taken and not self.free:
            after = await self.kept(order_id, invoice_id)
            if after.missing > before.missing:
                raise CashPaidBack

    async def _entries(self, order_id: UUID | None, invoice_id: UUID | None) -> list[Entry]:
        rows = await self._uow.fetch(_ENTRIES, self._uow.tenant_id, order_id, invoice_id)
        return [
            Entry(
                row["source_id"],
                row["invoice_id"],
                row["amount"],
                row["method"] == "stored_value",
                row["of_payment"],
                row["own"],
            )
            for row in rows
        ]


def _require(wanted: int, left: int, currency: str) -> None:
    if wanted > left:
        money = Money(left, currency)
        raise PaidFromStoredValue(
            f"{money} of it may be paid out or used elsewhere; stored value paid the rest or took its place, and"
            " goes back to whoever keeps it.",
            left=money.to_wire(),
        )


_PAPERS = """
SELECT i.id FROM orders.invoices i WHERE i.tenant_id = $1 AND i.order_id = $2 AND i.deleted_at IS NULL
UNION SELECT i.id FROM orders.invoices i WHERE i.tenant_id = $1 AND (i.id = $3 OR i.corrects_id = $3)
  AND i.deleted_at IS NULL"""
# What was paid by mistake and deleted since was never paid.
_ENTRIES = f"""
WITH papers AS MATERIALIZED ({_PAPERS})
SELECT coalesce(a.payment_id, a.credit_note_id) AS source_id, a.invoice_id, a.amount, p.method,
  a.payment_id IS NOT NULL AS of_payment, a.credit_note_id IN (SELECT id FROM papers) IS TRUE AS own
FROM papers
JOIN orders.allocations a ON a.tenant_id = $1
  AND (a.invoice_id = papers.id OR a.credit_note_id = papers.id AND a.refund_id IS NOT NULL)
LEFT JOIN orders.payments p ON p.tenant_id = $1 AND p.id = coalesce(a.payment_id, a.refund_id)
WHERE p.id IS NULL OR p.deleted_at IS NULL
ORDER BY a.id"""
_OPENED = f"""
SELECT i.id, i.open_amount FROM orders.invoices i
WHERE i.tenant_id = $1 AND i.kind = 'invoice' AND i.id IN ({_PAPERS})"""
_OFF = """
SELECT DISTINCT i.order_id, CASE WHEN i.order_id IS NULL THEN i.id END AS invoice_id
FROM orders.allocations a
JOIN orders.invoices i ON i.tenant_id = $1 AND i.id = a.invoice_id
WHERE a.tenant_id = $1 AND a.payment_id = $2 AND a.amount < 0"""
_HOLD = """
SELECT id FROM orders.invoices
WHERE tenant_id = $1 AND (order_id = ANY($2::uuid[]) OR id = ANY($3::uuid[]) OR corrects_id = ANY($3::uuid[])
  OR id = ANY($4::uuid[]))
ORDER BY id FOR NO KEY UPDATE"""
_PAID_BACK = """
SELECT p.id, p.amount, coalesce((SELECT sum(a.amount) FROM orders.allocations a
  WHERE a.tenant_id = $1 AND a.payment_id = p.id AND a.refund_id IS NOT NULL), 0)::bigint AS back
FROM orders.payments p WHERE p.tenant_id = $1 AND p.id = ANY($2::uuid[])"""
_OTHER_TAKEN_OFF = """
  SELECT 1 FROM orders.allocations o JOIN orders.payments q ON q.tenant_id = $1 AND q.id = o.payment_id
  WHERE o.tenant_id = $1 AND o.invoice_id = {invoice} AND o.amount < 0 AND o.payment_id <> {payment}
    AND q.method <> 'stored_value' AND q.deleted_at IS NULL"""
_KEPT = f"""
SELECT p.id, p.amount - coalesce((SELECT sum(a.amount) FROM orders.allocations a
  WHERE a.tenant_id = $1 AND a.payment_id = p.id AND (a.refund_id IS NOT NULL
    OR a.invoice_id NOT IN ({_PAPERS})
    AND EXISTS ({_OTHER_TAKEN_OFF.format(invoice="a.invoice_id", payment="p.id")}))), 0)::bigint AS left
FROM orders.payments p WHERE p.tenant_id = $1 AND p.id = ANY($4::uuid[])"""
_TAKEN_OFF = f"""
SELECT i.id AS invoice_id FROM unnest($3::uuid[]) AS i(id)
WHERE EXISTS ({_OTHER_TAKEN_OFF.format(invoice="i.id", payment="$2")})"""
