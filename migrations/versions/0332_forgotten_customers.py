"""Which customers of payment providers an erasure has to have deleted, and whether it has.

Revision ID: 0332
Revises: 0331
"""

from __future__ import annotations

from alembic import op

revision = "0332"
down_revision = "0331"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `tenants.erasures.payment_customers`; erasing reads who companies are to their providers."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("ALTER TABLE tenants.erasures ADD COLUMN payment_customers jsonb NOT NULL DEFAULT '[]'")
    op.execute(
        "CREATE POLICY control ON tenants.payment_customers FOR SELECT TO rapport_control USING (true)"
    )
    op.execute("GRANT SELECT ON tenants.payment_customers TO rapport_control")
