"""What reports may say: they are made of amounts, so whoever may not see those gets no report."""

from __future__ import annotations

from app.kernel.access import Actor
from app.kernel.errors import Forbidden

_AMOUNTS = {
    "order": {"total"},
    "invoice": {"total", "paid", "credited", "open_amount"},
    "payment": {"amount", "unallocated"},
}


def require_amounts(actor: Actor, *objects: str) -> None:
    """Raises `Forbidden` where amounts of invoices, or of these objects besides, are hidden from the actor."""
    for name in (*objects, "invoice"):
        if actor.hidden(name) & _AMOUNTS[name]:
            raise Forbidden("Amounts are hidden from you.")


def require_whole(actor: Actor, *objects: str) -> None:
    """What an account owes is the sum of all its invoices and payments, or it is not told.

    Whoever may read some of them, and sees the account, is told of all. Raises `Forbidden` for whoever may read
    none, or where amounts of invoices, payments or these objects besides are hidden from the actor.
    """
    for name in ("invoice", "payment", *objects):
        actor.require(f"{name}:read")
    require_amounts(actor, "payment", *objects)


def sees_payments(actor: Actor) -> bool:
    """Whether the actor may be told of payments, as far as they see them."""
    return actor.may("payment:read") and not actor.hidden("payment") & _AMOUNTS["payment"]
