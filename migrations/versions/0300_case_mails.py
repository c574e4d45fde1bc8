"""Mails about cases: what is said goes out, answers come in, and cases come by mail.

Revision ID: 0300
Revises: 0299
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0300"
down_revision = "0299"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of mails and of the addresses that answers go to; say where words came from."""
    op.execute("ALTER TABLE after_sales.cases ADD COLUMN email text")
    refresh_read_view("after_sales.cases")
    op.execute("ALTER TABLE after_sales.case_comments ADD COLUMN email text")
    op.execute(
        "ALTER TABLE after_sales.case_settings ADD COLUMN mail_comments boolean NOT NULL DEFAULT true,"
        " ADD COLUMN mail_queue_id uuid"
    )
    op.execute(
        """
CREATE TABLE after_sales.case_addresses (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  key text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_case_addresses PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_addresses_key UNIQUE (tenant_id, key),
  CONSTRAINT fk_case_addresses_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id)
)"""
    )
    op.execute(
        "CREATE INDEX ix_case_addresses_case_id ON after_sales.case_addresses (tenant_id, case_id, created_at)"
    )
    protect("after_sales.case_addresses")
    op.execute(
        """
CREATE TABLE after_sales.case_mails (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  case_id uuid NOT NULL,
  comment_id uuid,
  direction text NOT NULL,
  message_hash bytea NOT NULL,
  message_id text,
  address text NOT NULL,
  at timestamptz NOT NULL,
  CONSTRAINT pk_case_mails PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_case_mails_message_hash UNIQUE (tenant_id, message_hash),
  CONSTRAINT fk_case_mails_case_id FOREIGN KEY (tenant_id, case_id)
    REFERENCES after_sales.cases (tenant_id, id),
  CONSTRAINT fk_case_mails_comment_id FOREIGN KEY (tenant_id, comment_id)
    REFERENCES after_sales.case_comments (tenant_id, id),
  CONSTRAINT ck_case_mails_direction CHECK (direction IN ('in', 'out'))
)"""
    )
    op.execute("CREATE INDEX ix_case_mails_case_id ON after_sales.case_mails (tenant_id, case_id, at, id)")
    op.execute("CREATE INDEX ix_case_mails_address ON after_sales.case_mails (tenant_id, address, at)")
    op.execute("CREATE INDEX ix_case_mails_comment_id ON after_sales.case_mails (tenant_id, comment_id)")
    protect("after_sales.case_mails")
