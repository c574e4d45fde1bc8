"""Check what stood before against the wider rules of 0330, without holding anybody up.

Revision ID: 0331
Revises: 0330
"""

from __future__ import annotations

from alembic import op

revision = "0331"
down_revision = "0330"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate `ck_bills_period` and `ck_billing_transactions_kind`."""
    op.execute("ALTER TABLE tenants.bills VALIDATE CONSTRAINT ck_bills_period")
    op.execute("ALTER TABLE tenants.billing_transactions VALIDATE CONSTRAINT ck_billing_transactions_kind")
