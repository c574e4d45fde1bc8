"""Orders that are held, and credit by approval.

Revision ID: 0180
Revises: 0161
"""

from __future__ import annotations

from alembic import op

from migrations.support import refresh_read_view

revision = "0180"
down_revision = "0161"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three columns to orders.orders, and a mode to orders.credit_settings."""
    op.execute(
        "ALTER TABLE orders.orders ADD COLUMN held_for text, ADD COLUMN credit_requested bigint,"
        " ADD COLUMN credit_approved bigint"
    )
    op.execute(
        "ALTER TABLE orders.orders"
        " ADD CONSTRAINT ck_orders_held_for CHECK (held_for IN ('stock', 'credit', 'contract')) NOT VALID,"
        " ADD CONSTRAINT ck_orders_held CHECK (held_for IS NULL OR status = 'draft') NOT VALID,"
        " ADD CONSTRAINT ck_orders_credit_requested"
        " CHECK (credit_requested IS NULL OR (credit_requested > 0 AND status = 'draft')) NOT VALID,"
        " ADD CONSTRAINT ck_orders_credit_approved CHECK (credit_approved > 0) NOT VALID"
    )
    refresh_read_view("orders.orders")
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"  # a wider one follows
        "ALTER TABLE orders.credit_settings DROP CONSTRAINT ck_credit_settings_mode"
    )
    op.execute(
        "ALTER TABLE orders.credit_settings ADD CONSTRAINT ck_credit_settings_mode"
        " CHECK (mode IN ('block', 'warn', 'approval')) NOT VALID"
    )
