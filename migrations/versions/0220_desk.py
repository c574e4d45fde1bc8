"""The service desk: queues of cases, agents with their presence, calls.

Revision ID: 0220
Revises: 0211
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect

revision = "0220"
down_revision = "0211"
branch_labels = None
depends_on = None

VERSIONED = """
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL"""


def upgrade() -> None:
    """Create the tables of the desk; cases name queues that are there."""
    create_schema("after_sales")
    _queues()
    _agents()
    _calls()
    _cases()
    _phones()


def _queues() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.queues (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name_en text NOT NULL,
  name_zh text,
  routing text NOT NULL,
  member_ids uuid[] NOT NULL DEFAULT '{{}}',
  team_ids uuid[] NOT NULL DEFAULT '{{}}',
  skills jsonb NOT NULL DEFAULT '[]',
  optional_for_seconds bigint NOT NULL,{VERSIONED},
  CONSTRAINT pk_queues PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_queues_name_en UNIQUE (tenant_id, name_en),
  CONSTRAINT ck_queues_routing CHECK (routing IN ('pull', 'push')),
  CONSTRAINT ck_queues_optional_for_seconds CHECK (optional_for_seconds BETWEEN 0 AND 2592000)
)"""
    )
    protect("after_sales.queues")


def _agents() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.desk_settings (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  capacity bigint NOT NULL,
  weights jsonb NOT NULL,{VERSIONED},
  CONSTRAINT pk_desk_settings PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_desk_settings_tenant_id UNIQUE (tenant_id),
  CONSTRAINT ck_desk_settings_capacity CHECK (capacity BETWEEN 1 AND 1000)
)"""
    )
    protect("after_sales.desk_settings")
    op.execute(
        f"""
CREATE TABLE after_sales.agents (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  status text NOT NULL,
  status_since timestamptz NOT NULL,
  capacity bigint,
  last_taken_at timestamptz,{VERSIONED},
  CONSTRAINT pk_agents PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_agents_status CHECK (status IN ('online', 'away', 'offline')),
  CONSTRAINT ck_agents_capacity CHECK (capacity BETWEEN 0 AND 1000)
)"""
    )
    op.execute("CREATE INDEX ix_agents_online ON after_sales.agents (tenant_id, id) WHERE status = 'online'")
    protect("after_sales.agents")


def _calls() -> None:
    op.execute(
        f"""
CREATE TABLE after_sales.calls (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text,
  e164 text,
  direction text NOT NULL,
  agent_id uuid NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  duration_seconds bigint,
  outcome text,
  about jsonb NOT NULL DEFAULT '[]',
  activity_id uuid,
  created_by uuid,{VERSIONED},
  CONSTRAINT pk_calls PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_calls_direction CHECK (direction IN ('inbound', 'outbound')),
  CONSTRAINT ck_calls_ended CHECK ((ended_at IS NULL) = (duration_seconds IS NULL)),
  CONSTRAINT ck_calls_duration CHECK (duration_seconds >= 0)
)"""
    )
    op.execute("CREATE INDEX ix_calls_started_at ON after_sales.calls (tenant_id, started_at, id)")
    op.execute("CREATE INDEX ix_calls_agent_id ON after_sales.calls (tenant_id, agent_id, started_at, id)")
    op.execute(
        "CREATE INDEX ix_calls_live ON after_sales.calls (tenant_id, agent_id, started_at)"
        " WHERE ended_at IS NULL"
    )
    protect("after_sales.calls")


def _cases() -> None:
    """Cases wait in queues that are there; the next migration validates that and makes the indexes."""
    op.execute(
        "ALTER TABLE after_sales.cases ADD CONSTRAINT fk_cases_queue_id FOREIGN KEY (tenant_id, queue_id)"
        " REFERENCES after_sales.queues (tenant_id, id) NOT VALID"
    )


def _phones() -> None:
    """The last digits of numbers: an account's further ones are found by them."""
    op.execute(
        r"""
CREATE FUNCTION customers.phone_endings(numbers text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
  SELECT right(regexp_replace(
    regexp_replace(n, '\s?(ext\.?|x|#|转|分机)\s?[0-9]{1,7}$', '', 'i'), '[^0-9]', '', 'g'), 6)
  FROM unnest(numbers) AS n
)"""
    )
