"""Business calendars, absences and skills; rules, queues and territories that share out leads, and response times.

Revision ID: 0064
Revises: 0063
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect, refresh_read_view

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of working time and of assignment; members, teams and leads refer to them.

    New constraints of old tables are validated by the next migration, in a transaction of its own.
    """
    _calendars()
    _absences()
    op.execute("ALTER TABLE tenants.members ADD COLUMN calendar_id uuid")
    op.execute("ALTER TABLE tenants.members ADD COLUMN skills jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE tenants.teams ADD COLUMN calendar_id uuid")
    for table in ("members", "teams"):
        op.execute(
            f"ALTER TABLE tenants.{table} ADD CONSTRAINT fk_{table}_calendar_id"
            " FOREIGN KEY (tenant_id, calendar_id) REFERENCES tenants.calendars (tenant_id, id) NOT VALID"
        )
    _settings()
    _queues()
    _rules()
    _territories()
    _leads()
    _assignments()
    _response_clocks()


def _calendars() -> None:
    op.execute(
        """
CREATE TABLE tenants.calendars (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  time_zone text NOT NULL,
  days jsonb NOT NULL,
  country text,
  subdivision text,
  days_off jsonb NOT NULL DEFAULT '[]',
  work_days jsonb NOT NULL DEFAULT '[]',
  is_default boolean NOT NULL DEFAULT false,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_calendars PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_calendars_name UNIQUE (tenant_id, name),
  CONSTRAINT ck_calendars_subdivision CHECK (subdivision IS NULL OR country IS NOT NULL)
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_calendars_is_default ON tenants.calendars (tenant_id) WHERE is_default"
    )
    protect("tenants.calendars")


def _absences() -> None:
    op.execute(
        """
CREATE TABLE tenants.absences (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  reason text,
  stand_in_id uuid,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_absences PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_absences_member_id FOREIGN KEY (tenant_id, member_id)
    REFERENCES tenants.members (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT fk_absences_stand_in_id FOREIGN KEY (tenant_id, stand_in_id)
    REFERENCES tenants.members (tenant_id, id),
  CONSTRAINT ck_absences_ends_at CHECK (ends_at > starts_at),
  CONSTRAINT ck_absences_stand_in_id CHECK (stand_in_id <> member_id)
)"""
    )
    op.execute("CREATE INDEX ix_absences_member_id ON tenants.absences (tenant_id, member_id, ends_at)")
    op.execute("CREATE INDEX ix_absences_starts_at ON tenants.absences (tenant_id, starts_at, id)")
    op.execute("CREATE INDEX ix_absences_stand_in_id ON tenants.absences (tenant_id, stand_in_id)")
    protect("tenants.absences")


VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""
RESPONSE = """
  respond_within_seconds bigint,
  remind_before_seconds bigint,
  max_reassignments bigint NOT NULL DEFAULT 0,
  escalate_to text NOT NULL DEFAULT 'default_queue'"""


def _response_checks(table: str) -> str:
    return f"""
  CONSTRAINT ck_{table}_escalate_to CHECK (escalate_to IN ('nobody', 'manager', 'default_queue')),
  CONSTRAINT ck_{table}_respond_within_seconds CHECK (respond_within_seconds > 0),
  CONSTRAINT ck_{table}_remind_before_seconds
    CHECK (remind_before_seconds > 0 AND remind_before_seconds < respond_within_seconds),
  CONSTRAINT ck_{table}_max_reassignments CHECK (max_reassignments BETWEEN 0 AND 20)"""


def _settings() -> None:
    op.execute(
        f"""
CREATE TABLE leads.assignment_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  active boolean NOT NULL,{VERSIONED},
  CONSTRAINT pk_assignment_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_assignment_settings_tenant_id UNIQUE (tenant_id)
)"""
    )
    protect("leads.assignment_settings")
    op.execute(
        f"""
CREATE TABLE leads.assignees (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  capacity bigint NOT NULL,
  weight bigint NOT NULL,
  accepting boolean NOT NULL,{VERSIONED},
  CONSTRAINT pk_assignees PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_assignees_capacity CHECK (capacity BETWEEN 0 AND 100000),
  CONSTRAINT ck_assignees_weight CHECK (weight BETWEEN 0 AND 1000)
)"""
    )
    protect("leads.assignees")


def _queues() -> None:
    op.execute(
        f"""
CREATE TABLE leads.queues (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  is_default boolean NOT NULL DEFAULT false,
  team_id uuid,
  member_ids uuid[] NOT NULL DEFAULT '{{}}',
  team_ids uuid[] NOT NULL DEFAULT '{{}}',{RESPONSE},{VERSIONED},
  CONSTRAINT pk_queues PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_queues_name_en UNIQUE (tenant_id, name_en),{_response_checks("queues")}
)"""
    )
    op.execute("CREATE UNIQUE INDEX uq_queues_is_default ON leads.queues (tenant_id) WHERE is_default")
    protect("leads.queues")


def _rules() -> None:
    op.execute(
        f"""
CREATE TABLE leads.assignment_rules (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  position bigint NOT NULL,
  active boolean NOT NULL,
  filter jsonb,
  target text NOT NULL,
  target_id uuid,
  strategy text NOT NULL,
  presence text NOT NULL,
  skills jsonb NOT NULL DEFAULT '[]',
  within_territory boolean NOT NULL DEFAULT false,{RESPONSE},{VERSIONED},
  CONSTRAINT pk_assignment_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_assignment_rules_name UNIQUE (tenant_id, name),
  CONSTRAINT ck_assignment_rules_strategy
    CHECK (strategy IN ('round_robin', 'weighted', 'load', 'capacity', 'pull')),
  CONSTRAINT ck_assignment_rules_presence
    CHECK (presence IN ('working', 'not_absent', 'any')),{_response_checks("assignment_rules")}
)"""
    )
    protect("leads.assignment_rules")
    op.execute(
        """
CREATE TABLE leads.rotations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  rule_id uuid NOT NULL,
  member_id uuid NOT NULL,
  credit bigint NOT NULL,
  last_turn bigint NOT NULL,
  CONSTRAINT pk_rotations PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_rotations_member_id UNIQUE (tenant_id, rule_id, member_id),
  CONSTRAINT fk_rotations_rule_id FOREIGN KEY (tenant_id, rule_id)
    REFERENCES leads.assignment_rules (tenant_id, id) ON DELETE CASCADE
)"""
    )
    protect("leads.rotations")


def _territories() -> None:
    lists = ",\n".join(
        f"  {name} text[] NOT NULL DEFAULT '{{}}'"
        for name in ("countries", "regions", "cities", "industries", "sizes", "products")
    )
    op.execute(
        f"""
CREATE TABLE leads.territories (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  parent_id uuid,
{lists},
  member_ids uuid[] NOT NULL DEFAULT '{{}}',
  team_ids uuid[] NOT NULL DEFAULT '{{}}',{VERSIONED},
  CONSTRAINT pk_territories PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_territories_name UNIQUE (tenant_id, name),
  CONSTRAINT fk_territories_parent_id FOREIGN KEY (tenant_id, parent_id)
    REFERENCES leads.territories (tenant_id, id),
  CONSTRAINT ck_territories_parent_id CHECK (parent_id <> id)
)"""
    )
    op.execute("CREATE INDEX ix_territories_parent_id ON leads.territories (tenant_id, parent_id)")
    protect("leads.territories")


def _leads() -> None:
    for column in ("size text", "product_name text", "queue_id uuid"):
        op.execute(f"ALTER TABLE leads.leads ADD COLUMN {column}")
    for column in ("queued_at", "assigned_at", "response_due_at"):
        op.execute(f"ALTER TABLE leads.leads ADD COLUMN {column} timestamptz")
    refresh_read_view("leads.leads")
    op.execute(
        "ALTER TABLE leads.leads ADD CONSTRAINT fk_leads_queue_id FOREIGN KEY (tenant_id, queue_id)"
        " REFERENCES leads.queues (tenant_id, id) NOT VALID"
    )
    op.execute(
        "ALTER TABLE leads.leads ADD CONSTRAINT ck_leads_queue_id"
        " CHECK (queue_id IS NULL OR (owner_id IS NULL AND queued_at IS NOT NULL)) NOT VALID"
    )


def _assignments() -> None:
    op.execute(
        """
CREATE TABLE leads.assignments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  lead_id uuid NOT NULL,
  at timestamptz NOT NULL,
  cause text NOT NULL,
  run_id uuid,
  rule_id uuid,
  rule_name text,
  target text,
  target_id uuid,
  strategy text,
  territory_id uuid,
  former_owner_id uuid,
  member_id uuid,
  queue_id uuid,
  reason text NOT NULL,
  passed jsonb NOT NULL DEFAULT '[]',
  candidates jsonb NOT NULL DEFAULT '[]',
  CONSTRAINT pk_assignments PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_assignments_lead_id FOREIGN KEY (tenant_id, lead_id)
    REFERENCES leads.leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_assignments_cause
    CHECK (cause IN ('created', 'imported', 'run', 'pulled', 'overdue', 'escalated'))
)"""
    )
    op.execute("CREATE INDEX ix_assignments_lead_id ON leads.assignments (tenant_id, lead_id, at, id)")
    op.execute("CREATE INDEX ix_assignments_member_id ON leads.assignments (tenant_id, member_id, at)")
    op.execute(
        "CREATE INDEX ix_assignments_run_id ON leads.assignments (tenant_id, run_id, lead_id)"
        " WHERE run_id IS NOT NULL"
    )
    protect("leads.assignments", append_only=True)


def _response_clocks() -> None:
    op.execute(
        """
CREATE TABLE leads.response_clocks (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  rule_id uuid,
  queue_id uuid,
  respond_within_seconds bigint NOT NULL,
  remind_before_seconds bigint,
  max_reassignments bigint NOT NULL,
  escalate_to text NOT NULL,
  started_at timestamptz NOT NULL,
  due_at timestamptz NOT NULL,
  remind_at timestamptz,
  reassignments bigint NOT NULL DEFAULT 0,
  tried uuid[] NOT NULL DEFAULT '{}',
  state text NOT NULL,
  CONSTRAINT pk_response_clocks PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_response_clocks_id FOREIGN KEY (tenant_id, id)
    REFERENCES leads.leads (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_response_clocks_state CHECK (state IN ('running', 'met', 'missed', 'stopped')),
  CONSTRAINT ck_response_clocks_escalate_to CHECK (escalate_to IN ('nobody', 'manager', 'default_queue'))
)"""
    )
    op.execute(
        "CREATE INDEX ix_response_clocks_due_at ON leads.response_clocks (tenant_id, due_at, id)"
        " WHERE state = 'running'"
    )
    op.execute(
        "CREATE INDEX ix_response_clocks_remind_at ON leads.response_clocks (tenant_id, remind_at, id)"
        " WHERE state = 'running' AND remind_at IS NOT NULL"
    )
    protect("leads.response_clocks")
