"""Tenants, the people in them, and how they prove who they are.

Revision ID: 0010
Revises: 0004
"""

from __future__ import annotations

from alembic import op

from migrations.support import create_schema, protect

revision = "0010"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema `tenants`."""
    create_schema("tenants")
    _directory()
    _identities()
    _people()
    _sessions()
    _invitations()
    # Sign-up, sign-in and invitations work across tenants, and write audit, events and mail jobs like all others.
    op.execute("GRANT INSERT ON kernel.idempotency_keys, kernel.jobs TO rapport_control")


def _control_table(name: str, privileges: str) -> None:
    """A table across tenants: only `rapport_control` reaches it, row-level security denies everyone else."""
    op.execute(f"ALTER TABLE tenants.{name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE tenants.{name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY control ON tenants.{name} TO rapport_control USING (true) WITH CHECK (true)")
    op.execute(f"GRANT {privileges} ON tenants.{name} TO rapport_control")


def _directory() -> None:
    # A tenant owns its own row, so that settings are read, changed and audited like any other row.
    op.execute(
        """
CREATE TABLE tenants.tenants (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  slug text NOT NULL,
  status text NOT NULL,
  locale text NOT NULL,
  time_zone text NOT NULL,
  currency text NOT NULL,
  country text NOT NULL,
  fiscal_year_start_month bigint NOT NULL DEFAULT 1,
  business_calendar jsonb NOT NULL,
  sign_up_key bytea,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_tenants PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_tenants_own_row CHECK (id = tenant_id),
  CONSTRAINT ck_tenants_status
    CHECK (status IN ('trialing', 'active', 'past_due', 'suspended', 'cancelled', 'erased')),
  CONSTRAINT ck_tenants_fiscal_year_start_month CHECK (fiscal_year_start_month BETWEEN 1 AND 12)
)"""
    )
    op.execute("CREATE UNIQUE INDEX uq_tenants_slug ON tenants.tenants (slug)")
    op.execute("CREATE UNIQUE INDEX uq_tenants_sign_up_key ON tenants.tenants (sign_up_key)")
    protect("tenants.tenants", control="SELECT, INSERT, UPDATE")
    op.execute("REVOKE INSERT, DELETE ON tenants.tenants FROM rapport_app")


def _identities() -> None:
    op.execute(
        """
CREATE TABLE tenants.users (
  id uuid NOT NULL,
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  locale text NOT NULL,
  password_hash text,
  password_changed_at timestamptz,
  email_verified_at timestamptz,
  totp_secret bytea,
  totp_confirmed_at timestamptz,
  totp_last_step bigint,
  recovery_codes bytea[] NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_users PRIMARY KEY (id),
  CONSTRAINT uq_users_email_key UNIQUE (email_key)
)"""
    )
    _control_table("users", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE tenants.email_tokens (
  token_hash bytea NOT NULL,
  purpose text NOT NULL,
  user_id uuid,
  tenant_id uuid,
  invitation_id uuid,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_email_tokens PRIMARY KEY (token_hash),
  CONSTRAINT fk_email_tokens_user_id FOREIGN KEY (user_id) REFERENCES tenants.users (id) ON DELETE CASCADE,
  CONSTRAINT ck_email_tokens_purpose CHECK (purpose IN ('verification', 'password_reset', 'invitation'))
)"""
    )
    op.execute("CREATE INDEX ix_email_tokens_user_id ON tenants.email_tokens (user_id, purpose)")
    op.execute("CREATE INDEX ix_email_tokens_invitation_id ON tenants.email_tokens (invitation_id)")
    op.execute("CREATE INDEX ix_email_tokens_expires_at ON tenants.email_tokens (expires_at)")
    _control_table("email_tokens", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE tenants.signing_keys (
  kid text NOT NULL,
  private_key bytea NOT NULL,
  created_at timestamptz NOT NULL,
  active_from timestamptz NOT NULL,
  CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
)"""
    )
    _control_table("signing_keys", "SELECT, INSERT, DELETE")
    op.execute(
        """
CREATE TABLE tenants.attempts (
  key bytea NOT NULL,
  window_started_at timestamptz NOT NULL,
  count bigint NOT NULL,
  CONSTRAINT pk_attempts PRIMARY KEY (key)
)"""
    )
    op.execute("CREATE INDEX ix_attempts_window_started_at ON tenants.attempts (window_started_at)")
    _control_table("attempts", "SELECT, INSERT, UPDATE, DELETE")


def _people() -> None:
    op.execute(
        """
CREATE TABLE tenants.roles (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  key text NOT NULL,
  name text NOT NULL,
  description text NOT NULL DEFAULT '',
  built_in boolean NOT NULL DEFAULT false,
  grants jsonb NOT NULL DEFAULT '{}',
  field_rules jsonb NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_roles PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_roles_key UNIQUE (tenant_id, key),
  CONSTRAINT uq_roles_name UNIQUE (tenant_id, name)
)"""
    )
    protect("tenants.roles", control="SELECT, INSERT, UPDATE")
    op.execute(
        """
CREATE TABLE tenants.members (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  title text,
  status text NOT NULL,
  role_ids uuid[] NOT NULL,
  team_ids uuid[] NOT NULL DEFAULT '{}',
  manager_id uuid,
  joined_at timestamptz NOT NULL,
  deactivated_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_members PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_members_user_id UNIQUE (tenant_id, user_id),
  CONSTRAINT uq_members_email UNIQUE (tenant_id, email_key),
  CONSTRAINT fk_members_manager_id FOREIGN KEY (tenant_id, manager_id) REFERENCES tenants.members (tenant_id, id),
  CONSTRAINT ck_members_status CHECK (status IN ('active', 'deactivated')),
  CONSTRAINT ck_members_role_ids CHECK (cardinality(role_ids) BETWEEN 1 AND 20),
  CONSTRAINT ck_members_manager_id CHECK (manager_id <> id)
)"""
    )
    op.execute("CREATE INDEX ix_members_name ON tenants.members (tenant_id, name, id)")
    op.execute("CREATE INDEX ix_members_manager_id ON tenants.members (tenant_id, manager_id)")
    # Sign-in asks for the memberships of one person, in whichever tenant.
    op.execute("CREATE INDEX ix_members_user_id ON tenants.members (user_id)")
    protect("tenants.members", control="SELECT, INSERT, UPDATE")
    op.execute(
        """
CREATE TABLE tenants.teams (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  name text NOT NULL,
  parent_id uuid,
  manager_id uuid,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_teams PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_teams_name UNIQUE (tenant_id, name),
  CONSTRAINT fk_teams_parent_id FOREIGN KEY (tenant_id, parent_id) REFERENCES tenants.teams (tenant_id, id),
  CONSTRAINT fk_teams_manager_id FOREIGN KEY (tenant_id, manager_id) REFERENCES tenants.members (tenant_id, id),
  CONSTRAINT ck_teams_parent_id CHECK (parent_id <> id)
)"""
    )
    op.execute("CREATE INDEX ix_teams_parent_id ON tenants.teams (tenant_id, parent_id)")
    op.execute("CREATE INDEX ix_teams_manager_id ON tenants.teams (tenant_id, manager_id)")
    protect("tenants.teams", control="SELECT, INSERT, UPDATE")


def _sessions() -> None:
    op.execute(
        """
CREATE TABLE tenants.sessions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  member_id uuid NOT NULL,
  device text NOT NULL,
  user_agent text NOT NULL,
  ip text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  revoked_because text,
  CONSTRAINT pk_sessions PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_sessions_member_id FOREIGN KEY (tenant_id, member_id) REFERENCES tenants.members (tenant_id, id)
)"""
    )
    op.execute("CREATE INDEX ix_sessions_member_id ON tenants.sessions (tenant_id, member_id, created_at)")
    op.execute("CREATE INDEX ix_sessions_user_id ON tenants.sessions (user_id)")
    op.execute("CREATE INDEX ix_sessions_expires_at ON tenants.sessions (expires_at)")
    protect("tenants.sessions", control="SELECT, INSERT, UPDATE, DELETE")
    op.execute("REVOKE INSERT, DELETE ON tenants.sessions FROM rapport_app")
    # Every token of a session, also the used ones: one of those coming back means that somebody copied it.
    op.execute(
        """
CREATE TABLE tenants.refresh_tokens (
  token_hash bytea NOT NULL,
  tenant_id uuid NOT NULL,
  session_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_refresh_tokens PRIMARY KEY (token_hash),
  CONSTRAINT fk_refresh_tokens_session_id FOREIGN KEY (tenant_id, session_id)
    REFERENCES tenants.sessions (tenant_id, id) ON DELETE CASCADE
)"""
    )
    op.execute("CREATE INDEX ix_refresh_tokens_session_id ON tenants.refresh_tokens (tenant_id, session_id)")
    _control_table("refresh_tokens", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        """
CREATE TABLE tenants.api_keys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  name text NOT NULL,
  hint text NOT NULL,
  grants jsonb NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_api_keys PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_api_keys_member_id FOREIGN KEY (tenant_id, member_id) REFERENCES tenants.members (tenant_id, id)
)"""
    )
    op.execute("CREATE INDEX ix_api_keys_member_id ON tenants.api_keys (tenant_id, member_id)")
    protect("tenants.api_keys", control="SELECT, INSERT, UPDATE")
    op.execute(
        """
CREATE TABLE tenants.api_key_hashes (
  key_hash bytea NOT NULL,
  tenant_id uuid NOT NULL,
  api_key_id uuid NOT NULL,
  CONSTRAINT pk_api_key_hashes PRIMARY KEY (key_hash),
  CONSTRAINT fk_api_key_hashes_api_key_id FOREIGN KEY (tenant_id, api_key_id)
    REFERENCES tenants.api_keys (tenant_id, id) ON DELETE CASCADE
)"""
    )
    op.execute("CREATE INDEX ix_api_key_hashes_api_key_id ON tenants.api_key_hashes (tenant_id, api_key_id)")
    _control_table("api_key_hashes", "SELECT, INSERT, DELETE")


def _invitations() -> None:
    op.execute(
        """
CREATE TABLE tenants.invitations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  role_ids uuid[] NOT NULL,
  team_ids uuid[] NOT NULL DEFAULT '{}',
  status text NOT NULL,
  invited_by uuid NOT NULL,
  member_id uuid,
  expires_at timestamptz NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_invitations PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_invitations_invited_by FOREIGN KEY (tenant_id, invited_by)
    REFERENCES tenants.members (tenant_id, id),
  CONSTRAINT ck_invitations_status CHECK (status IN ('pending', 'accepted', 'revoked'))
)"""
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_invitations_email ON tenants.invitations (tenant_id, email_key)"
        " WHERE status = 'pending'"
    )
    op.execute("CREATE INDEX ix_invitations_created_at ON tenants.invitations (tenant_id, created_at, id)")
    protect("tenants.invitations", control="SELECT, INSERT, UPDATE")
