"""The life of a company's account: when its trial ends, when it fell behind, was suspended, cancelled and erased.

Revision ID: 0275
Revises: 0271
"""

from __future__ import annotations

from alembic import op

revision = "0275"
down_revision = "0271"
branch_labels = None
depends_on = None

_MOMENTS = (
    "trial_ends_at", "past_due_since", "suspended_at", "cancel_at", "cancelled_at", "export_until",
    "erased_at",
)  # fmt: skip


def upgrade() -> None:
    """Add the moments of the account's life to `tenants.tenants`, all empty: trials that run have no end."""
    for column in _MOMENTS:
        op.execute(f"ALTER TABLE tenants.tenants ADD COLUMN {column} timestamptz")
    op.execute("ALTER TABLE tenants.tenants ADD COLUMN suspended_for text")
    op.execute(
        "ALTER TABLE tenants.tenants ADD CONSTRAINT ck_tenants_suspended_for"
        " CHECK (suspended_for IN ('unpaid', 'trial_over', 'operator')) NOT VALID"
    )
