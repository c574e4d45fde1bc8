"""Random histories of invoices, payments, allocations, credit notes and refunds against a simple model.

After each history every figure is the model's, the account's statement and its ageing say the same, and the money
that came in is exactly what settled invoices, what lies unallocated and what was paid back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kernel.money_checks import differences_of
from app.main import Application
from tests.modules.orders.orders import money
from tests.modules.orders.receivables.books import act, charge, issued, pay, read, shares
from tests.modules.support import acting, make
from tests.support.api import Client, Company, sign_up

Json = dict[str, Any]
STEPS = (
    "invoice", "pay", "allocate", "allocate_oldest", "deallocate", "credit", "allocate_note", "deallocate_note",
    "refund", "refund_note", "delete_refund",
)  # fmt: skip


@dataclass
class Book:
    """An invoice, credit note or payment: how much it is, and how much of that is used."""

    record: Json
    total: int
    used: int = 0
    credited: int = 0
    corrects: Book | None = None

    @property
    def left(self) -> int:
        return self.total - self.used


@dataclass
class Entry:
    source: Book
    target: Book
    amount: int


def cents(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


@dataclass
class Model:
    """What the books should say, in cents."""

    invoices: list[Book] = field(default_factory=list)
    notes: list[Book] = field(default_factory=list)
    payments: list[Book] = field(default_factory=list)
    refunds: list[Book] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def settle(self, source: Book, target: Book, amount: int) -> bool:
        """Whether it is allowed; then it is done."""
        if amount > source.left or amount > target.left:
            return False
        if amount:
            source.used += amount
            target.used += amount
            self.entries.append(Entry(source, target, amount))
        return True

    def oldest(self, source: Book) -> None:
        for invoice in self.invoices:
            self.settle(source, invoice, min(source.left, invoice.left))

    def take_back(self, source: Book) -> bool:
        """All of it or nothing."""
        kept = [(book, book.used) for book in (*self.invoices, *self.notes, *self.payments)]
        entries = list(self.entries)
        for entry in entries:
            if entry.source is not source or entry.target not in self.invoices:
                continue
            if entry.target is source.corrects:
                continue
            self.entries.remove(entry)
            source.used -= entry.amount
            entry.target.used -= entry.amount
            freed = entry.amount
            for note in self.notes:
                if note.corrects is entry.target and note is not source:
                    amount = min(freed, note.left)
                    freed -= amount
                    self.settle(note, entry.target, amount)
            if entry.target.used < entry.target.credited:
                for book, used in kept:
                    book.used = used
                self.entries = entries
                return False
        return True


class History:
    """Does each step to the product and to the model, and compares what is allowed."""

    def __init__(self, owner: Client, account: Json) -> None:
        self.owner, self.account, self.model = owner, account, Model()

    async def step(self, name: str, first: int, second: int, amount: int) -> None:
        chosen = [
            books[place % len(books)] if books else None
            for books, place in zip(self._books(name), (first, second), strict=False)
        ]
        if None not in chosen:
            await getattr(self, name)(*chosen, amount)

    def _books(self, name: str) -> list[list[Book]]:
        model = self.model
        return {
            "allocate": [model.payments, model.invoices],
            "allocate_oldest": [model.payments],
            "deallocate": [model.payments],
            "credit": [model.invoices],
            "allocate_note": [model.notes, model.invoices],
            "deallocate_note": [model.notes],
            "refund": [model.payments],
            "refund_note": [model.notes],
            "delete_refund": [model.refunds],
        }.get(name, [])

    async def _same(self, book: Book, action: str, body: Any, allowed: bool) -> Json:
        answer = await act(self.owner, book.record, action, body)
        assert answer.is_success is allowed, (action, body, answer.text)
        found: Json = answer.json()
        return found

    async def invoice(self, amount: int) -> None:
        self.model.invoices.append(
            Book(await issued(self.owner, self.account, charge(cents(amount))), amount)
        )

    async def pay(self, amount: int) -> None:
        self.model.payments.append(Book(await pay(self.owner, self.account, cents(amount)), amount))

    async def allocate(self, payment: Book, invoice: Book, amount: int) -> None:
        body = shares((invoice.record, cents(amount)))
        await self._same(payment, "allocate", body, self.model.settle(payment, invoice, amount))

    async def allocate_oldest(self, payment: Book, _: int) -> None:
        self.model.oldest(payment)
        await self._same(payment, "allocate", None, True)

    async def deallocate(self, payment: Book, _: int) -> None:
        await self._same(payment, "deallocate", None, self.model.take_back(payment))

    async def deallocate_note(self, note: Book, _: int) -> None:
        await self._same(note, "deallocate", None, self.model.take_back(note))

    async def credit(self, invoice: Book, amount: int) -> None:
        allowed = amount <= invoice.total - invoice.credited
        body = {"reason": "agreed", "amount": money(cents(amount))}
        made = await self._same(invoice, "credit", body, allowed)
        if allowed:
            note = Book(made, amount, corrects=invoice)
            self.model.notes.append(note)
            self.model.settle(note, invoice, min(amount, invoice.left))
            invoice.credited += amount

    async def allocate_note(self, note: Book, invoice: Book, amount: int) -> None:
        body = shares((invoice.record, cents(amount)))
        await self._same(note, "allocate", body, self.model.settle(note, invoice, amount))

    async def refund(self, source: Book, amount: int) -> None:
        allowed = amount <= source.left
        body = {"method": "cash", "amount": money(cents(amount))}
        made = await self._same(source, "refund", body, allowed)
        if allowed:
            refund = Book(made, amount)
            self.model.refunds.append(refund)
            self.model.settle(source, refund, amount)

    refund_note = refund

    async def delete_refund(self, refund: Book, _: int) -> None:
        version = (await read(self.owner, refund.record))["version"]
        gone = await self.owner.delete(f"/v1/payments/{refund.record['id']}", if_match=version)
        assert gone.status_code == 204
        (entry,) = [one for one in self.model.entries if one.target is refund]
        entry.source.used -= entry.amount
        self.model.entries.remove(entry)
        self.model.refunds.remove(refund)

    # -- comparing -----------------------------------------------------------------------------------------

    async def compare(self, company: Company) -> None:
        model, owner = self.model, self.owner
        for invoice in model.invoices:
            now = await read(owner, invoice.record)
            assert now["open_amount"] == money(cents(invoice.left))
            assert now["credited"] == money(cents(invoice.credited))
            assert now["paid"] == money(cents(invoice.used - invoice.credited))
        for note in model.notes:
            assert (await read(owner, note.record))["open_amount"] == money(cents(note.left))
        for payment in model.payments:
            assert (await read(owner, payment.record))["unallocated"] == money(cents(payment.left))
        came_in = sum(one.total for one in model.payments)
        settled = sum(
            e.amount for e in model.entries if e.source in model.payments and e.target in model.invoices
        )
        paid_back = sum(
            e.amount for e in model.entries if e.source in model.payments and e.target in model.refunds
        )
        assert came_in == settled + paid_back + sum(one.left for one in model.payments)
        await self._reports()
        async with acting(company) as uow:
            assert await differences_of(uow) == []

    async def _reports(self) -> None:
        model = self.model
        balance = sum(one.left for one in model.invoices) - sum(
            one.left for one in (*model.notes, *model.payments)
        )
        path = f"/v1/receivables/statement?account_id={self.account['id']}"
        statement = await self.owner.ok("GET", path)
        totals = [sum(one.total for one in books) for books in (
            model.invoices, model.notes, model.payments, model.refunds
        )]  # fmt: skip
        names = ("invoiced", "credited", "received", "refunded")
        assert [statement[name] for name in names] == [money(cents(one)) for one in totals]
        assert statement["closing"] == money(cents(balance) if balance >= 0 else f"-{cents(-balance)}")
        ageing = await self.owner.ok("GET", f"/v1/receivables/ageing?account_id={self.account['id']}")
        if ageing["totals"]:
            (total,) = ageing["totals"]
            assert total["balance"] == statement["closing"]
            assert total["open"] == money(cents(sum(one.left for one in model.invoices)))
        else:
            assert balance == 0


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.integers(0, 9),
            st.integers(0, 9),
            st.sampled_from([1, 33, 50, 100, 250, 999, 10_000]),
        ),
        min_size=4,
        max_size=30,
    )
)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_money_is_neither_made_nor_lost(
    app: Application, steps: list[tuple[str, int, int, int]]
) -> None:
    company = await sign_up(app)
    account = await make(company.owner, "accounts", name="Harbour Pumps")
    history = History(company.owner, account)
    # So that the other steps find something to work on.
    for start in (("invoice", 0, 0, 250), ("pay", 0, 0, 999), ("invoice", 0, 0, 999), ("pay", 0, 0, 100)):
        await history.step(*start)
    for step in steps:
        await history.step(*step)
    await history.compare(company)
