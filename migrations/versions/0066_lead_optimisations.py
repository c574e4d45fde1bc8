"""Plans of optimised lead assignment, and their leads.

Revision ID: 0066
Revises: 0065
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create `leads.optimisations` and `leads.optimisation_items`."""
    op.execute(
        """
CREATE TABLE leads.optimisations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  state text NOT NULL,
  created_by_id uuid NOT NULL,
  job_id uuid NOT NULL,
  lead_ids uuid[] NOT NULL,
  members jsonb NOT NULL,
  options jsonb NOT NULL,
  currency text NOT NULL,
  rates jsonb,
  leads bigint,
  value bigint,
  upper_bound bigint,
  search_value bigint,
  search jsonb,
  exact jsonb,
  failure text,
  solved_at timestamptz,
  applied_at timestamptz,
  undone_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_optimisations PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_optimisations_state
    CHECK (state IN ('draft', 'solving', 'solved', 'applied', 'undone', 'failed')),
  CONSTRAINT ck_optimisations_solved
    CHECK (state NOT IN ('solved', 'applied', 'undone') OR (value IS NOT NULL AND rates IS NOT NULL)),
  CONSTRAINT ck_optimisations_failure CHECK ((state = 'failed') = (failure IS NOT NULL))
)"""
    )
    op.execute("CREATE INDEX ix_optimisations_created_at ON leads.optimisations (tenant_id, created_at, id)")
    protect("leads.optimisations")
    op.execute(
        """
CREATE TABLE leads.optimisation_items (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  optimisation_id uuid NOT NULL,
  lead_id uuid NOT NULL,
  position bigint NOT NULL,
  lead_version bigint NOT NULL,
  former_owner_id uuid,
  former_team_id uuid,
  member_id uuid,
  value bigint NOT NULL,
  facts jsonb NOT NULL,
  why jsonb NOT NULL,
  adjusted boolean NOT NULL DEFAULT false,
  outcome text NOT NULL,
  conflict text,
  CONSTRAINT pk_optimisation_items PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_optimisation_items_lead_id UNIQUE (tenant_id, optimisation_id, lead_id),
  CONSTRAINT uq_optimisation_items_position UNIQUE (tenant_id, optimisation_id, position),
  CONSTRAINT fk_optimisation_items_optimisation_id FOREIGN KEY (tenant_id, optimisation_id)
    REFERENCES leads.optimisations (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_optimisation_items_lead_id FOREIGN KEY (tenant_id, lead_id)
    REFERENCES leads.leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_optimisation_items_outcome
    CHECK (outcome IN ('planned', 'applied', 'unchanged', 'conflict', 'restored', 'kept')),
  CONSTRAINT ck_optimisation_items_conflict
    CHECK ((outcome IN ('conflict', 'kept')) = (conflict IS NOT NULL))
)"""
    )
    op.execute("CREATE INDEX ix_optimisation_items_lead_id ON leads.optimisation_items (tenant_id, lead_id)")
    protect("leads.optimisation_items")
