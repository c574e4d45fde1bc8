"""`rapport billing bills | pay | credit | void | uncollectible`: what an operator does with one company's bills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from app.cli.output import AsJson, out, print_facts, print_json, print_table
from app.cli.tenants import Id, Reason, act

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from app.kernel.money import Money
    from app.kernel.uow import UnitOfWork
    from app.tenants.billing.models import Bill

T = TypeVar("T")
Number = Annotated[
    str, typer.Argument(help="The bill's number, INV-2027-000042, or its id.", show_default=False)
]


def bills(tenant_id: Id, as_json: AsJson = False) -> None:
    """A company's bills, the latest period first."""
    from app.tenants.operators import service

    found = act(tenant_id, lambda uow: service.bills(uow, limit=200))
    if as_json:
        print_json([_facts(bill) for bill in found])
        return
    names = ("number", "status", "period_end", "currency", "total", "due")
    rows = [[_facts(bill)[name] for name in names] for bill in found]
    print_table(["Number", "Status", "Period until", "Currency", "Total", "Due"], rows)


def pay(
    tenant_id: Id,
    number: Number,
    amount: Annotated[str, typer.Argument(help="In major units of the bill's currency, such as 25.00.")],
    reference: Annotated[str, typer.Option(help="The bank's; money is booked once per reference.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Book money that came past every provider; what is more than due goes to the company's balance."""

    async def work(uow: UnitOfWork, bill: Bill) -> Bill:
        from app.tenants.operators import service

        return await service.mark_paid(uow, bill.id, _money(amount, bill), reference, reason)

    _show(_on(tenant_id, number, work), as_json)


def credit(
    tenant_id: Id,
    number: Number,
    reason: Reason,
    amount: Annotated[
        str | None, typer.Argument(help="In major units, tax included; the lines are named when absent.")
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(help="A line by its position, 2, or a part of it, 2=15.00; repeatable."),
    ] = None,
    refund: Annotated[
        bool, typer.Option("--refund", help="What was paid goes back instead of to the balance.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Issue a credit note: it takes off what is due first, the rest goes to the balance or is refunded."""
    if (amount is None) == (not line):
        raise typer.BadParameter("Say an amount, or lines with --line.")

    async def work(uow: UnitOfWork, bill: Bill) -> dict[str, Any]:
        from app.kernel.money import Money
        from app.tenants.operators import service

        wanted: int | Mapping[int, int | None]
        if amount is None:
            wanted = dict(_line(text, bill) for text in line or [])
        else:
            wanted = _money(amount, bill).amount_minor
        note = await service.credit_bill(uow, bill.id, wanted, reason, refund=refund)

        def text(minor: int) -> str:
            return Money(minor, note.currency).to_texts()["amount"]

        return {
            "number": note.number, "bill": bill.number, "currency": note.currency, "total": text(note.total),
            "tax": text(note.tax), "applied": text(note.applied), "to_balance": text(note.to_balance),
            "refunded": text(note.refunded),
        }  # fmt: skip

    facts = _on(tenant_id, number, work)
    print_json(facts) if as_json else print_facts(facts)


def void(tenant_id: Id, number: Number, reason: Reason, as_json: AsJson = False) -> None:
    """Take a bill back whole: nothing is due any more, and what was paid of it goes to the balance."""

    async def work(uow: UnitOfWork, bill: Bill) -> Bill:
        from app.tenants.operators import service

        return await service.void(uow, bill.id, reason)

    _show(_on(tenant_id, number, work), as_json)


def uncollectible(tenant_id: Id, number: Number, reason: Reason, as_json: AsJson = False) -> None:
    """Give up what is due of a bill; it can still be paid, or voided."""

    async def work(uow: UnitOfWork, bill: Bill) -> Bill:
        from app.tenants.operators import service

        return await service.give_up(uow, bill.id, reason)

    _show(_on(tenant_id, number, work), as_json)


def _on(tenant_id: UUID, number: str, work: Callable[[UnitOfWork, Bill], Awaitable[T]]) -> T:
    """Do something with the bill of this number or id."""

    async def found(uow: UnitOfWork) -> T:
        from app.tenants.operators import service

        return await work(uow, await service.find_bill(uow, number))

    return act(tenant_id, found, control=True)


def _money(text: str, bill: Bill) -> Money:
    from app.kernel.errors import Invalid
    from app.kernel.money import Money

    try:
        return Money.from_major(text, bill.currency)
    except ValueError as error:
        raise Invalid(f"{text!r} is no amount in {bill.currency}: {error}") from None


def _line(text: str, bill: Bill) -> tuple[int, int | None]:
    from app.kernel.errors import Invalid

    position, _, amount = text.partition("=")
    if not position.isdecimal():
        raise Invalid(f"{text!r} is no line: say its position, 2, or a part of it, 2=15.00.")
    return int(position), _money(amount, bill).amount_minor if amount else None


def _show(bill: Bill, as_json: bool) -> None:
    facts = _facts(bill)
    if as_json:
        print_json(facts)
    else:
        out.print(
            f"{facts['number']} is {facts['status']}; {facts['due']} {bill.currency} are due.", markup=False
        )


def _facts(bill: Bill) -> dict[str, Any]:
    from app.kernel.money import Money

    def text(minor: int) -> str:
        return Money(minor, bill.currency).to_texts()["amount"]

    return {
        "id": str(bill.id),
        "number": bill.number,
        "status": bill.status,
        "period_start": bill.period_start.isoformat(),
        "period_end": bill.period_end.isoformat(),
        "currency": bill.currency,
        "total": text(bill.total),
        "paid": text(bill.paid),
        "credited": text(bill.credited),
        "due": text(bill.due),
    }
