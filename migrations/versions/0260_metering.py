"""Seats and usage: who occupied a seat from when to when, and what was used in each hour.

Revision ID: 0260
Revises: 0250
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0260"
down_revision = "0250"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of metering in schema `tenants`, and let seats follow members."""
    _seats()
    _usage()


def _seats() -> None:
    op.execute(
        """
CREATE TABLE tenants.seat_changes (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  at timestamptz NOT NULL,
  member_id uuid NOT NULL,
  change bigint NOT NULL,
  CONSTRAINT pk_seat_changes PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_seat_changes_change CHECK (change IN (-1, 1))
)"""
    )
    op.execute("CREATE INDEX ix_seat_changes_at ON tenants.seat_changes (tenant_id, at, id)")
    protect("tenants.seat_changes", append_only=True, control="SELECT, INSERT")
    # A trigger, so that no way of changing a member can forget it (docs/adr/0009 has the reasons for kept sums).
    op.execute(
        """
CREATE FUNCTION tenants.takes_seat(tenant uuid, status text, roles uuid[]) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT status = 'active' AND EXISTS (
    SELECT 1 FROM tenants.roles r WHERE r.tenant_id = tenant AND r.id = ANY (roles) AND r.key <> 'viewer')
$$"""
    )
    op.execute(
        """
CREATE FUNCTION tenants.follow_seat() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before boolean := TG_OP = 'UPDATE' AND tenants.takes_seat(OLD.tenant_id, OLD.status, OLD.role_ids);
  after boolean := tenants.takes_seat(NEW.tenant_id, NEW.status, NEW.role_ids);
BEGIN
  IF before <> after THEN
    INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)
    VALUES (NEW.tenant_id, gen_random_uuid(), NEW.updated_at, NEW.id,
      CASE WHEN after THEN 1 ELSE -1 END);
  END IF;
  RETURN NULL;
END $$"""
    )
    op.execute(
        "CREATE TRIGGER follow_seat AFTER INSERT OR UPDATE OF status, role_ids ON tenants.members"
        " FOR EACH ROW EXECUTE FUNCTION tenants.follow_seat()"
    )
    op.execute(
        "INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)"
        " SELECT m.tenant_id, gen_random_uuid(), m.joined_at, m.id, 1 FROM tenants.members m"
        " WHERE tenants.takes_seat(m.tenant_id, m.status, m.role_ids)"
    )


def _usage() -> None:
    # Whatever is ever reported stays, so that the same event counts once for ever.
    op.execute(
        """
CREATE TABLE tenants.usage_events (
  tenant_id uuid NOT NULL,
  source text NOT NULL,
  event_id text NOT NULL,
  hash bytea NOT NULL,
  metric text NOT NULL,
  at timestamptz NOT NULL,
  value numeric NOT NULL,
  subject text,
  received_at timestamptz NOT NULL,
  CONSTRAINT pk_usage_events PRIMARY KEY (tenant_id, source, event_id)
)"""
    )
    op.execute(
        "CREATE INDEX ix_usage_events_metric ON tenants.usage_events (tenant_id, metric, at, source, event_id)"
    )
    protect("tenants.usage_events", append_only=True)
    # One row per metric and hour says whatever is asked of a period of whole hours: no figure reads events.
    op.execute(
        """
CREATE TABLE tenants.usage_hours (
  tenant_id uuid NOT NULL,
  metric text NOT NULL,
  hour timestamptz NOT NULL,
  count bigint NOT NULL,
  sum numeric NOT NULL,
  max numeric NOT NULL,
  latest numeric NOT NULL,
  latest_at timestamptz NOT NULL,
  moment numeric NOT NULL,
  CONSTRAINT pk_usage_hours PRIMARY KEY (tenant_id, metric, hour)
)"""
    )
    protect("tenants.usage_hours", control="SELECT, INSERT, UPDATE")
    op.execute(
        """
CREATE TABLE tenants.usage_subjects (
  tenant_id uuid NOT NULL,
  metric text NOT NULL,
  hour timestamptz NOT NULL,
  subject text NOT NULL,
  CONSTRAINT pk_usage_subjects PRIMARY KEY (tenant_id, metric, hour, subject)
)"""
    )
    protect("tenants.usage_subjects")
    op.execute("REVOKE DELETE ON tenants.usage_hours, tenants.usage_subjects FROM rapport_app")
    # What the product counts of itself is added up by the hour and then done with.
    op.execute("GRANT DELETE ON kernel.usage_records TO rapport_control")
