"""Check what stood before against the rule of why an account is suspended, without holding anybody up.

Revision ID: 0276
Revises: 0275
"""

from __future__ import annotations

from alembic import op

revision = "0276"
down_revision = "0275"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate `ck_tenants_suspended_for`."""
    op.execute("ALTER TABLE tenants.tenants VALIDATE CONSTRAINT ck_tenants_suspended_for")
