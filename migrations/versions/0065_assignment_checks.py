"""Validate the constraints that the migration before added to tables in use, and index leads that wait.

Revision ID: 0065
Revises: 0064
"""

from __future__ import annotations

from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Readers and writers go on meanwhile: validating takes no lock that they need."""
    op.execute("ALTER TABLE tenants.members VALIDATE CONSTRAINT fk_members_calendar_id")
    op.execute("ALTER TABLE tenants.teams VALIDATE CONSTRAINT fk_teams_calendar_id")
    op.execute("ALTER TABLE leads.leads VALIDATE CONSTRAINT fk_leads_queue_id")
    op.execute("ALTER TABLE leads.leads VALIDATE CONSTRAINT ck_leads_queue_id")
    with op.get_context().autocommit_block():
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_leads_queue_id ON leads.leads (tenant_id, queue_id, queued_at, id)"
            " WHERE deleted_at IS NULL AND queue_id IS NOT NULL"
        )
