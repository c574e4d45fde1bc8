"""What orders hold about a person: to whom and where things went, and what they paid. The law demands the rest."""

from __future__ import annotations

from typing import Final

from app.kernel.personal_data import (
    NOTHING,
    RECORD_TEXTS,
    SWEPT_RECORD,
    Holding,
    swept,
    swept_columns,
    swept_json,
    when_set,
)

_WHY: Final = "Commercial and tax law demand that orders, invoices and payments are kept for years."


def _where_only(column: str) -> str:
    """The country of an address, by which tax was reckoned."""
    return f"t.{column} - ARRAY['name', 'street', 'city', 'postal_code', 'region', 'phone']"


PERSONAL_DATA: Final = (
    Holding(
        "orders.orders",
        "t.account_id IN {account}",
        erase={
            "customer_reference": NOTHING,
            "cancel_reason": when_set("cancel_reason"),
            **swept_columns("partner_name", "source", "channel"),
            "shipping_address": _where_only("shipping_address"),
            "billing_address": _where_only("billing_address"),
            **RECORD_TEXTS,
        },
        why=_WHY,
        name="of_consumers",
    ),
    Holding(
        "orders.orders",
        "t.contact_id IN {contact}",
        erase={
            **swept_columns("customer_reference", "cancel_reason", "partner_name", "source", "channel"),
            "shipping_address": swept_json("shipping_address"),
            "billing_address": swept_json("billing_address"),
            **SWEPT_RECORD,
        },
        why=_WHY,
    ),
    Holding(
        "orders.order_lines",
        "t.order_id IN {order}",
        erase={"description": swept("description")},
        why=_WHY,
    ),
    Holding(
        "orders.shipments",
        "t.order_id IN {order}",
        erase={"carrier": swept("carrier"), "tracking_number": NOTHING, "note": NOTHING},
        why=_WHY,
    ),
    Holding(
        "orders.invoices",
        "t.account_id IN {account}",
        erase={
            "customer_name": when_set("customer_name"),
            "reason": swept("reason"),
            "reference": NOTHING,
            "note": NOTHING,
            **RECORD_TEXTS,
        },
        why=_WHY,
        guarded=True,
        name="of_consumers",
    ),
    Holding(
        "orders.invoices",
        "t.order_id IN {order} AND t.account_id NOT IN {account}",
        erase={
            **swept_columns("customer_name", "reason", "reference", "note"),
            **SWEPT_RECORD,
        },
        why=_WHY,
        guarded=True,
    ),
    Holding(
        "orders.invoice_lines",
        "t.invoice_id IN {invoice}",
        erase={"description": swept("description")},
        why=_WHY,
        guarded=True,
    ),
    Holding(
        "orders.payments",
        "t.account_id IN {account}",
        erase={"reference": swept("reference"), "note": NOTHING, **RECORD_TEXTS},
        why=_WHY,
    ),
    Holding(
        "orders.returns",
        "t.account_id IN {account} OR t.contact_id IN {contact} OR t.order_id IN {order}",
        erase={
            **swept_columns("reason", "source", "decision_note"),
            **SWEPT_RECORD,
        },
        why=_WHY,
    ),
    Holding(
        "orders.return_lines",
        "t.return_id IN {return}",
        erase={
            **swept_columns("description", "reason", "condition"),
        },
        why=_WHY,
    ),
)
