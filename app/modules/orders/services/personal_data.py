"""What orders hold about a person: to whom and where things went, and what they paid. The law demands the rest.

An issued invoice or credit note stays as it was issued, with the name and the address on it: whoever issues one must
keep it unchanged for years (in Germany § 14b UStG and § 147 AO, in China 会计档案管理办法), which the right to be
forgotten does not touch (GDPR art. 17 (3) (b)). What it does not say is erased, and drafts are no invoices.
"""

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


_ISSUED: Final = (
    "An issued invoice is kept as it was issued, with name and address, for the years that tax law demands"
    " (GDPR art. 17 (3) (b))."
)
_INVOICED: Final = (
    "EXISTS (SELECT 1 FROM orders.invoices i"
    " WHERE i.tenant_id = t.tenant_id AND i.order_id = t.id AND i.number IS NOT NULL)"
)
_ADDRESS_KEPT: Final = f"{_WHY} The address of an issued invoice, which is the order's, stays as well."
_OF_AN_ISSUED: Final = (
    "t.invoice_id IN (SELECT i.id FROM orders.invoices i WHERE i.tenant_id = t.tenant_id AND i.id = t.invoice_id"
    " AND i.number IS NOT NULL)"
)


def _unless_invoiced(billing: str, shipping: str) -> dict[str, str]:
    """The address that an issued invoice shows stays: the one for bills, or without one that for goods."""
    return {
        "billing_address": f"CASE WHEN {_INVOICED} THEN t.billing_address - 'phone' ELSE {billing} END",
        "shipping_address": f"CASE WHEN t.billing_address IS NULL AND {_INVOICED}"
        f" THEN t.shipping_address - 'phone' ELSE {shipping} END",
    }


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
            **_unless_invoiced(_where_only("billing_address"), _where_only("shipping_address")),
            **RECORD_TEXTS,
        },
        why=_ADDRESS_KEPT,
        name="of_consumers",
    ),
    Holding(
        "orders.orders",
        "t.contact_id IN {contact}",
        erase={
            **swept_columns("customer_reference", "cancel_reason", "partner_name", "source", "channel"),
            **_unless_invoiced(swept_json("billing_address"), swept_json("shipping_address")),
            **SWEPT_RECORD,
        },
        why=_ADDRESS_KEPT,
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
        "(t.account_id IN {account} OR t.order_id IN {order}) AND t.number IS NOT NULL",
        erase={},
        why=_ISSUED,
        name="issued",
        documents=True,
    ),
    Holding(
        "orders.invoices",
        "t.account_id IN {account} AND t.number IS NOT NULL",
        erase=RECORD_TEXTS,
        why="What an issued invoice does not say is erased.",
        guarded=True,
        name="beside_issued_to_consumers",
    ),
    Holding(
        "orders.invoices",
        "t.order_id IN {order} AND t.account_id NOT IN {account} AND t.number IS NOT NULL",
        erase=SWEPT_RECORD,
        why="What an issued invoice does not say is erased.",
        guarded=True,
        name="beside_issued",
    ),
    Holding(
        "orders.invoices",
        "t.account_id IN {account} AND t.number IS NULL",
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
        "t.order_id IN {order} AND t.account_id NOT IN {account} AND t.number IS NULL",
        erase={
            **swept_columns("customer_name", "reason", "reference", "note"),
            **SWEPT_RECORD,
        },
        why=_WHY,
        guarded=True,
    ),
    Holding(
        "orders.invoice_lines",
        f"t.invoice_id IN {{invoice}} AND {_OF_AN_ISSUED}",
        erase={},
        why=_ISSUED,
        name="issued",
    ),
    Holding(
        "orders.invoice_lines",
        f"t.invoice_id IN {{invoice}} AND NOT {_OF_AN_ISSUED}",
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
