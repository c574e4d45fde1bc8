"""Lines, competitors, people, playbook tasks, costs and presales requests of opportunities.

Revision ID: 0068
Revises: 0067
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, record_columns, record_indexes

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None

_UNSEEN = {
    "stages": ("ck_stages_rotting_days",),
    "opportunities": (
        "ck_opportunities_forecast_category",
        "ck_opportunities_rotting_since",
        "ck_opportunities_line_count",
        "ck_opportunities_budget",
        "ck_opportunities_winning_competitor_id",
        "fk_opportunities_winning_competitor_id",
    ),
}
_VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""


def upgrade() -> None:
    """Finish what 0067 added to tables with rows; create the tables that hang on opportunities."""
    with op.get_context().autocommit_block():
        _finish()
    _lines()
    _rivals()
    _people()
    _playbook_tasks()
    _costs()
    _presales_requests()


def _finish() -> None:
    """Look at the old rows, and index them, without holding up those who write. Can be done again."""
    for table, constraints in _UNSEEN.items():
        for constraint in constraints:
            op.execute(f"ALTER TABLE opportunities.{table} VALIDATE CONSTRAINT {constraint}")
    for name, definition in {
        "ix_opportunities_rots_at": "opportunities.opportunities (tenant_id, rots_at, id)"
        " WHERE deleted_at IS NULL AND rots_at IS NOT NULL AND NOT is_rotting",
        "uq_stage_history_open": "opportunities.stage_history (tenant_id, opportunity_id) WHERE left_at IS NULL",
    }.items():
        kind = "UNIQUE INDEX" if name.startswith("uq_") else "INDEX"
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS opportunities.{name}")
        op.execute(f"CREATE {kind} CONCURRENTLY {name} ON {definition}")


def _child(name: str, columns: str, *constraints: str, versioned: bool = True) -> None:
    """A table whose rows belong to one opportunity and go with it."""
    own = "".join(f",\n  CONSTRAINT {constraint}" for constraint in constraints)
    op.execute(
        f"""
CREATE TABLE opportunities.{name} (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  opportunity_id uuid NOT NULL,
{columns}{f",{_VERSIONED}" if versioned else ""},
  CONSTRAINT pk_{name} PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_{name}_opportunity_id FOREIGN KEY (tenant_id, opportunity_id)
    REFERENCES opportunities.opportunities (tenant_id, id) ON DELETE CASCADE{own}
)"""
    )
    protect(f"opportunities.{name}")


def _lines() -> None:
    _child(
        "lines",
        """  position bigint NOT NULL,
  product_id uuid,
  product_name text NOT NULL,
  description text,
  quantity numeric NOT NULL,
  unit_price numeric NOT NULL,
  discount_percent numeric,
  discount_amount bigint,
  amount bigint NOT NULL,
  currency text NOT NULL""",
        "ck_lines_quantity CHECK (quantity > 0)",
        "ck_lines_unit_price CHECK (unit_price >= 0)",
        "ck_lines_discount_percent CHECK (discount_percent BETWEEN 0 AND 100)",
        "ck_lines_discount_amount CHECK (discount_amount >= 0)",
        "ck_lines_discount CHECK (discount_percent IS NULL OR discount_amount IS NULL)",
        "ck_lines_amount CHECK (amount >= 0)",
    )
    op.execute(
        "CREATE INDEX ix_lines_opportunity_id ON opportunities.lines (tenant_id, opportunity_id, position, id)"
    )


def _rivals() -> None:
    _child(
        "rivals",
        """  competitor_id uuid NOT NULL,
  threat_level text NOT NULL,
  price bigint,
  price_currency text,
  note text""",
        "uq_rivals_competitor_id UNIQUE (tenant_id, opportunity_id, competitor_id)",
        "fk_rivals_competitor_id FOREIGN KEY (tenant_id, competitor_id)"
        " REFERENCES opportunities.competitors (tenant_id, id)",
        "ck_rivals_threat_level CHECK (threat_level IN ('low', 'medium', 'high'))",
        "ck_rivals_price CHECK ((price IS NULL) = (price_currency IS NULL))",
    )
    op.execute(
        "CREATE INDEX ix_rivals_competitor_id ON opportunities.rivals (tenant_id, competitor_id, opportunity_id)"
    )


def _people() -> None:
    _child(
        "committee",
        """  contact_id uuid NOT NULL,
  role text NOT NULL,
  attitude text NOT NULL,
  is_primary boolean NOT NULL,
  note text""",
        "uq_committee_contact_id UNIQUE (tenant_id, opportunity_id, contact_id)",
        "ck_committee_role CHECK (role IN ('decision_maker', 'economic_buyer', 'technical_buyer', 'champion',"
        " 'influencer', 'user', 'gatekeeper', 'blocker', 'other'))",
        "ck_committee_attitude CHECK (attitude IN ('unknown', 'supporter', 'neutral', 'opponent'))",
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_committee_is_primary ON opportunities.committee (tenant_id, opportunity_id)"
        " WHERE is_primary"
    )
    op.execute("CREATE INDEX ix_committee_contact_id ON opportunities.committee (tenant_id, contact_id)")
    _child(
        "team_members",
        """  member_id uuid NOT NULL,
  role text NOT NULL,
  access text NOT NULL""",
        "uq_team_members_member_id UNIQUE (tenant_id, opportunity_id, member_id)",
        "ck_team_members_access CHECK (access IN ('read', 'write'))",
    )
    op.execute("CREATE INDEX ix_team_members_member_id ON opportunities.team_members (tenant_id, member_id)")
    _child(
        "splits",
        """  member_id uuid NOT NULL,
  kind text NOT NULL,
  percent numeric NOT NULL""",
        "uq_splits_member_id UNIQUE (tenant_id, opportunity_id, kind, member_id)",
        "ck_splits_kind CHECK (kind IN ('revenue', 'overlay'))",
        "ck_splits_percent CHECK (percent > 0 AND percent <= 100)",
        versioned=False,
    )


def _playbook_tasks() -> None:
    _child(
        "playbook_tasks",
        """  visit_id uuid NOT NULL,
  pipeline_id uuid NOT NULL,
  stage text NOT NULL,
  key text NOT NULL,
  activity_id uuid NOT NULL,
  created_at timestamptz NOT NULL""",
        "uq_playbook_tasks_key UNIQUE (tenant_id, visit_id, key)",
        "fk_playbook_tasks_visit_id FOREIGN KEY (tenant_id, visit_id)"
        " REFERENCES opportunities.stage_history (tenant_id, id) ON DELETE CASCADE",
        versioned=False,
    )
    op.execute(
        "CREATE INDEX ix_playbook_tasks_opportunity_id ON opportunities.playbook_tasks"
        " (tenant_id, opportunity_id, created_at, id)"
    )


def _costs() -> None:
    _child(
        "costs",
        """  kind text NOT NULL,
  incurred_on date NOT NULL,
  member_id uuid,
  hours numeric,
  rate numeric,
  amount bigint NOT NULL,
  currency text NOT NULL,
  note text""",
        "ck_costs_kind CHECK (kind IN ('travel', 'presales_hours', 'sample', 'other'))",
        "ck_costs_amount CHECK (amount >= 0)",
        "ck_costs_hours CHECK (hours > 0)",
        "ck_costs_rate CHECK ((hours IS NULL) = (rate IS NULL) AND rate >= 0)",
    )
    op.execute(
        "CREATE INDEX ix_costs_opportunity_id ON opportunities.costs (tenant_id, opportunity_id, incurred_on, id)"
    )


def _presales_requests() -> None:
    op.execute(
        f"""
CREATE TABLE opportunities.presales_requests (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  opportunity_id uuid NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  description text,
  status text NOT NULL,
  wanted_on date,
  answered_at timestamptz,
  answer_seconds bigint,
  finished_at timestamptz,
  hours numeric,
  handed_over_from uuid,
  decline_reason text,
  result text,
{record_columns()},
  CONSTRAINT pk_presales_requests PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_presales_requests_opportunity_id FOREIGN KEY (tenant_id, opportunity_id)
    REFERENCES opportunities.opportunities (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_presales_requests_kind CHECK (kind IN ('engineer', 'demo', 'seminar')),
  CONSTRAINT ck_presales_requests_status CHECK (status IN ('requested', 'accepted', 'done', 'declined')),
  CONSTRAINT ck_presales_requests_answered_at CHECK ((answered_at IS NULL) = (answer_seconds IS NULL)),
  CONSTRAINT ck_presales_requests_owner_id CHECK (status NOT IN ('accepted', 'done') OR owner_id IS NOT NULL),
  CONSTRAINT ck_presales_requests_decline_reason CHECK (status <> 'declined' OR decline_reason IS NOT NULL),
  CONSTRAINT ck_presales_requests_hours CHECK (hours > 0)
)"""
    )
    protect("opportunities.presales_requests", record=True)
    record_indexes("opportunities.presales_requests", ("name", "status", "wanted_on"))
    op.execute(
        "CREATE INDEX ix_presales_requests_opportunity_id ON opportunities.presales_requests"
        " (tenant_id, opportunity_id, created_at, id) WHERE deleted_at IS NULL"
    )
