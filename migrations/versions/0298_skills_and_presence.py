"""Cases ask for skills, agents who fall silent are away, and what was routed to them is known.

Revision ID: 0298
Revises: 0297
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0298"
down_revision = "0297"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that are empty for all that is there, and the rules by which cases ask for skills."""
    op.execute(
        "ALTER TABLE after_sales.cases ADD COLUMN skills jsonb,"
        " ADD COLUMN required_skills jsonb NOT NULL DEFAULT '[]',"
        " ADD COLUMN language text, ADD COLUMN routed_at timestamptz"
    )
    refresh_read_view("after_sales.cases")
    op.execute("ALTER TABLE after_sales.agents ADD COLUMN heard_at timestamptz")
    op.execute("ALTER TABLE after_sales.desk_settings ADD COLUMN away_after_minutes bigint DEFAULT 30")
    op.execute(
        "ALTER TABLE after_sales.desk_settings ADD CONSTRAINT ck_desk_settings_away_after_minutes"
        " CHECK (away_after_minutes BETWEEN 1 AND 1440) NOT VALID"
    )
    op.execute(
        """
CREATE TABLE after_sales.case_skill_rules (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  enabled boolean NOT NULL,
  conditions jsonb,
  skills jsonb NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_case_skill_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_skill_rules_name UNIQUE (tenant_id, name)
)"""
    )
    protect("after_sales.case_skill_rules")
