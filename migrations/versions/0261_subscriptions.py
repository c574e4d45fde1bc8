"""Subscriptions: which plan a company has from when on.

Revision ID: 0261
Revises: 0260
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0261"
down_revision = "0260"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `tenants.subscription_changes`."""
    op.execute(
        """
CREATE TABLE tenants.subscription_changes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  effective_at timestamptz NOT NULL,
  anchor timestamptz NOT NULL,
  plan jsonb NOT NULL,
  currency text NOT NULL,
  interval text NOT NULL,
  chosen_at timestamptz NOT NULL,
  chosen_by uuid,
  CONSTRAINT pk_subscription_changes PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_subscription_changes_effective_at UNIQUE (tenant_id, effective_at),
  CONSTRAINT ck_subscription_changes_interval CHECK (interval IN ('monthly', 'yearly'))
)"""
    )
    protect("tenants.subscription_changes")
