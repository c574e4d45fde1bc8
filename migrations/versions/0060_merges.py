"""Merges of records: what became of which, what moved, and what is needed to take it back.

Revision ID: 0060
Revises: 0050
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0060"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create kernel.merges, kernel.merged_records and kernel.merge_moves."""
    op.execute(
        """
CREATE TABLE kernel.merges (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  object text NOT NULL,
  survivor_id uuid NOT NULL,
  merged_ids uuid[] NOT NULL,
  master_rule text,
  changes jsonb NOT NULL,
  moved jsonb NOT NULL,
  reason text,
  undo_until timestamptz NOT NULL,
  undone_at timestamptz,
  undone_by uuid,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_by uuid,
  CONSTRAINT pk_merges PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_merges_master_rule CHECK (master_rule IN ('oldest', 'newest', 'most_complete', 'last_updated')),
  CONSTRAINT ck_merges_merged_ids CHECK (cardinality(merged_ids) BETWEEN 1 AND 9)
)"""
    )
    op.execute("CREATE INDEX ix_merges_survivor_id ON kernel.merges (tenant_id, object, survivor_id, id)")
    protect("kernel.merges")
    op.execute(
        """
CREATE TABLE kernel.merged_records (
  tenant_id uuid NOT NULL,
  object text NOT NULL,
  record_id uuid NOT NULL,
  survivor_id uuid NOT NULL,
  merge_id uuid NOT NULL,
  CONSTRAINT pk_merged_records PRIMARY KEY (tenant_id, object, record_id),
  CONSTRAINT fk_merged_records_merge_id FOREIGN KEY (tenant_id, merge_id) REFERENCES kernel.merges (tenant_id, id),
  CONSTRAINT ck_merged_records_survivor_id CHECK (survivor_id <> record_id)
)"""
    )
    protect("kernel.merged_records")
    op.execute(
        """
CREATE TABLE kernel.merge_moves (
  tenant_id uuid NOT NULL,
  merge_id uuid NOT NULL,
  position bigint NOT NULL,
  merger text NOT NULL,
  row_id uuid NOT NULL,
  former_id uuid NOT NULL,
  detail jsonb,
  undo_until timestamptz NOT NULL,
  CONSTRAINT pk_merge_moves PRIMARY KEY (tenant_id, merge_id, position),
  CONSTRAINT fk_merge_moves_merge_id FOREIGN KEY (tenant_id, merge_id) REFERENCES kernel.merges (tenant_id, id)
)"""
    )
    protect("kernel.merge_moves", control="SELECT, DELETE")
    # What was said stays as it was said; only whom it is about follows a merge.
    op.execute("GRANT UPDATE (record_id) ON customers.consents TO rapport_app")
