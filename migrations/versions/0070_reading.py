"""What reading the business rests on: kept sums, passages through stages, targets, and forecasts week by week.

Opportunities and their stage history feed the sums by triggers, in the transaction that changes them. A sum is
kept as signed contributions, one row per change and group: writers only ever add rows, so that nobody waits for
anybody, and a schedule folds them. Readers add up whatever is there.

Revision ID: 0070
Revises: 0069
"""

from __future__ import annotations

from alembic import op

from migrations.support import protect

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None

# In sums nothing is null, so that groups compare by plain equality; an empty category is the stage's.
NOBODY = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"
DIMENSIONS = (
    "tenant_id, pipeline_id, stage, status, owner_id, team_id, currency, home_currency, category, month"
)


def upgrade() -> None:
    """Create the kept sums with their triggers, targets, submissions and snapshots."""
    _sums()
    _passages()
    _funnel()
    _triggers()
    _targets()
    _forecast()
    _indexes()


def _indexes() -> None:
    """Of tables that have rows; last, because it ends the transaction."""
    table = "opportunities.opportunities"
    with op.get_context().autocommit_block():
        op.execute(
            f"CREATE INDEX CONCURRENTLY ix_opportunities_closed ON {table} (tenant_id, closed_on, id)"
            " WHERE status <> 'open' AND deleted_at IS NULL"
        )
        op.execute(
            f"CREATE INDEX CONCURRENTLY ix_opportunities_board ON {table}"
            " (tenant_id, pipeline_id, stage, created_at, id) WHERE status = 'open' AND deleted_at IS NULL"
        )
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_stage_history_entered_at ON opportunities.stage_history"
            " (tenant_id, entered_at) INCLUDE (changed_by, opportunity_id)"
            " WHERE from_stage IS NOT NULL AND status = 'open'"
        )
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_activities_done ON activities.activities"
            " (tenant_id, completed_at, id) INCLUDE (owner_id, team_id, kind)"
            " WHERE status = 'done' AND deleted_at IS NULL"
        )


def _sums() -> None:
    op.execute(
        """
CREATE TABLE opportunities.sums (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  pipeline_id uuid NOT NULL,
  stage text NOT NULL,
  status text NOT NULL,
  owner_id uuid NOT NULL,
  team_id uuid NOT NULL,
  currency text NOT NULL,
  home_currency text NOT NULL,
  category text NOT NULL,
  month date NOT NULL,
  n bigint NOT NULL,
  amount numeric NOT NULL,
  weighted numeric NOT NULL,
  amount_home numeric NOT NULL,
  weighted_home numeric NOT NULL,
  missing bigint NOT NULL,
  folded boolean NOT NULL DEFAULT false,
  CONSTRAINT pk_sums PRIMARY KEY (tenant_id, id)
)"""
    )
    protect("opportunities.sums")
    op.execute("CREATE INDEX ix_sums_unfolded ON opportunities.sums (tenant_id) WHERE NOT folded")
    op.execute(
        "CREATE INDEX ix_sums_month ON opportunities.sums (tenant_id, month, pipeline_id, stage) INCLUDE (status,"
        " owner_id, team_id, currency, home_currency, category, n, amount, weighted, amount_home, weighted_home,"
        " missing)"
    )
    op.execute(
        """
CREATE TABLE opportunities.sums_built (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  built_at timestamptz NOT NULL,
  CONSTRAINT pk_sums_built PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_sums_built_tenant_id UNIQUE (tenant_id)
)"""
    )
    protect("opportunities.sums_built")


def _passages() -> None:
    """One row per opportunity and stage it was in; the view says what the rows should be."""
    op.execute(
        """
CREATE TABLE opportunities.passages (
  tenant_id uuid NOT NULL,
  opportunity_id uuid NOT NULL,
  stage text NOT NULL,
  pipeline_id uuid NOT NULL,
  owner_id uuid NOT NULL,
  team_id uuid NOT NULL,
  month date NOT NULL,
  outcome text NOT NULL,
  won boolean NOT NULL,
  days bigint NOT NULL,
  CONSTRAINT pk_passages PRIMARY KEY (tenant_id, opportunity_id, stage),
  CONSTRAINT ck_passages_outcome CHECK (outcome IN ('here', 'moved', 'lost'))
)"""
    )
    protect("opportunities.passages")
    op.execute(
        "CREATE INDEX ix_passages_owner_id ON opportunities.passages (tenant_id, owner_id, pipeline_id)"
        " INCLUDE (stage, team_id, month, outcome, won, days)"
    )
    op.execute(
        f"""
CREATE VIEW opportunities.passages_recomputed WITH (security_invoker = true) AS
SELECT o.tenant_id, o.id AS opportunity_id, h.to_stage AS stage, o.pipeline_id,
  coalesce(o.owner_id, {NOBODY}) AS owner_id, coalesce(o.team_id, {NOBODY}) AS team_id,
  date_trunc('month', min(h.entered_at) AT TIME ZONE tenants.zone_of(o.tenant_id))::date AS month,
  CASE WHEN o.status = 'lost' AND h.to_stage = coalesce(o.last_open_stage, o.stage) THEN 'lost'
       WHEN o.stage = h.to_stage THEN 'here' ELSE 'moved' END AS outcome,
  o.status = 'won' AS won,
  CASE WHEN o.status = 'open' AND o.stage = h.to_stage THEN -1
       ELSE coalesce(div(sum(h.duration_seconds) FILTER (WHERE h.status = 'open'), 86400), -1) END::bigint AS days
FROM opportunities.opportunities o
JOIN opportunities.stage_history h ON h.tenant_id = o.tenant_id AND h.opportunity_id = o.id
WHERE o.deleted_at IS NULL
GROUP BY o.tenant_id, o.id, h.to_stage"""
    )
    op.execute("GRANT SELECT ON opportunities.passages_recomputed TO rapport_app")
    op.execute(
        """
CREATE FUNCTION opportunities.keep_passages(tenants uuid[], ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM opportunities.passages p
  WHERE p.tenant_id = ANY(tenants) AND p.opportunity_id = ANY(ids) AND NOT EXISTS (
    SELECT 1 FROM opportunities.opportunities o
    JOIN opportunities.stage_history h ON h.tenant_id = o.tenant_id AND h.opportunity_id = o.id
    WHERE o.tenant_id = p.tenant_id AND o.id = p.opportunity_id AND o.deleted_at IS NULL AND h.to_stage = p.stage);
  INSERT INTO opportunities.passages AS p
    (tenant_id, opportunity_id, stage, pipeline_id, owner_id, team_id, month, outcome, won, days)
  SELECT r.tenant_id, r.opportunity_id, r.stage, r.pipeline_id, r.owner_id, r.team_id, r.month, r.outcome, r.won,
    r.days
  FROM opportunities.passages_recomputed r
  WHERE r.tenant_id = ANY(tenants) AND r.opportunity_id = ANY(ids)
  ORDER BY r.opportunity_id, r.stage
  ON CONFLICT (tenant_id, opportunity_id, stage) DO UPDATE SET pipeline_id = excluded.pipeline_id,
    owner_id = excluded.owner_id, team_id = excluded.team_id, month = excluded.month, outcome = excluded.outcome,
    won = excluded.won, days = excluded.days
  WHERE (p.pipeline_id, p.owner_id, p.team_id, p.month, p.outcome, p.won, p.days) IS DISTINCT FROM
    (excluded.pipeline_id, excluded.owner_id, excluded.team_id, excluded.month, excluded.outcome, excluded.won,
     excluded.days);
END $$"""
    )


def _funnel() -> None:
    owned = "owner_id uuid NOT NULL, team_id uuid NOT NULL, month date NOT NULL,"
    for table, columns in (
        ("funnel_sums", f"{owned} outcome text NOT NULL, won boolean NOT NULL"),
        ("funnel_days", "team_id uuid NOT NULL, month date NOT NULL, days bigint NOT NULL"),
    ):
        op.execute(
            f"""
CREATE TABLE opportunities.{table} (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  pipeline_id uuid NOT NULL,
  stage text NOT NULL,
  {columns},
  n bigint NOT NULL,
  folded boolean NOT NULL DEFAULT false,
  CONSTRAINT pk_{table} PRIMARY KEY (tenant_id, id)
)"""
        )
        protect(f"opportunities.{table}")
        op.execute(f"CREATE INDEX ix_{table}_unfolded ON opportunities.{table} (tenant_id) WHERE NOT folded")
    op.execute(
        "CREATE INDEX ix_funnel_sums_pipeline_id ON opportunities.funnel_sums (tenant_id, pipeline_id, month)"
        " INCLUDE (stage, owner_id, team_id, outcome, won, n)"
    )
    op.execute(
        "CREATE INDEX ix_funnel_days_pipeline_id ON opportunities.funnel_days"
        " (tenant_id, pipeline_id, stage, days) INCLUDE (team_id, month, n)"
    )


def _difference(rows: str, sign: int) -> str:
    return f"SELECT *, {sign} AS sign FROM {rows}"


def _triggers() -> None:
    """Statement triggers: what a statement changed is added up once, however many rows it touched."""
    _trigger_function(
        "count_opportunities",
        {
            "INSERT": _sums_of(_difference("new_rows", 1)),
            "DELETE": _sums_of(_difference("old_rows", -1)) + _passages_of("old_rows"),
            "UPDATE": _sums_of(f"{_difference('new_rows', 1)} UNION ALL {_difference('old_rows', -1)}")
            + _passages_of(
                "new_rows n JOIN old_rows o USING (tenant_id, id)"
                " WHERE (n.pipeline_id, n.stage, n.status, n.last_open_stage, n.owner_id, n.team_id, n.deleted_at)"
                " IS DISTINCT FROM"
                " (o.pipeline_id, o.stage, o.status, o.last_open_stage, o.owner_id, o.team_id, o.deleted_at)"
            ),
        },
    )
    _trigger_function(
        "count_visits",
        {
            "INSERT": _passages_of("new_rows", "opportunity_id"),
            "DELETE": _passages_of("old_rows", "opportunity_id"),
            "UPDATE": _passages_of("new_rows", "opportunity_id"),
        },
    )
    _trigger_function(
        "count_passages",
        {
            "INSERT": _funnel_of(_difference("new_rows", 1)),
            "DELETE": _funnel_of(_difference("old_rows", -1)),
            "UPDATE": _funnel_of(f"{_difference('new_rows', 1)} UNION ALL {_difference('old_rows', -1)}"),
        },
    )
    for table, function in (
        ("opportunities", "count_opportunities"),
        ("stage_history", "count_visits"),
        ("passages", "count_passages"),
    ):
        for event, tables in (
            ("INSERT", "NEW TABLE AS new_rows"),
            ("DELETE", "OLD TABLE AS old_rows"),
            ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ):
            op.execute(
                f"CREATE TRIGGER {function}_{event.lower()} AFTER {event} ON opportunities.{table}"
                f" REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION opportunities.{function}()"
            )


def _trigger_function(name: str, bodies: dict[str, str]) -> None:
    branches = "".join(
        f"  {'IF' if number == 0 else 'ELSIF'} TG_OP = '{event}' THEN\n{body}"
        for number, (event, body) in enumerate(bodies.items())
    )
    op.execute(
        f"CREATE FUNCTION opportunities.{name}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"DECLARE tenants uuid[]; ids uuid[];\nBEGIN\n{branches}  END IF;\n  RETURN NULL;\nEND $$"
    )


def _sums_of(rows: str) -> str:
    return f"""
    INSERT INTO opportunities.sums ({DIMENSIONS}, n, amount, weighted, amount_home, weighted_home, missing)
    SELECT * FROM (
      SELECT t.tenant_id, t.pipeline_id, t.stage, t.status, coalesce(t.owner_id, {NOBODY}) AS owner_id,
        coalesce(t.team_id, {NOBODY}) AS team_id, coalesce(t.currency, '') AS currency,
        coalesce(t.home_currency, '') AS home_currency, '' AS category,
        coalesce(date_trunc('month', coalesce(t.closed_on, t.expected_close_on))::date, '-infinity') AS month,
        sum(t.sign) AS n,
        coalesce(sum(t.sign * t.amount), 0) AS amount,
        coalesce(sum(t.sign * t.amount::numeric * t.probability), 0) AS weighted,
        coalesce(sum(t.sign * t.amount_home), 0) AS amount_home,
        coalesce(sum(t.sign * t.amount_home::numeric * t.probability), 0) AS weighted_home,
        coalesce(sum(t.sign) FILTER (WHERE t.amount IS NOT NULL AND t.amount_home IS NULL), 0) AS missing
      FROM ({rows}) t WHERE t.deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    ) d WHERE (d.n, d.amount, d.weighted, d.amount_home, d.weighted_home, d.missing) <> (0, 0, 0, 0, 0, 0);
"""


def _passages_of(rows: str, id: str = "id") -> str:
    return f"""
    SELECT array_agg(DISTINCT tenant_id), array_agg(DISTINCT {id}) INTO tenants, ids FROM {rows};
    IF ids IS NOT NULL THEN PERFORM opportunities.keep_passages(tenants, ids); END IF;
"""


def _funnel_of(rows: str) -> str:
    return f"""
    INSERT INTO opportunities.funnel_sums
      (tenant_id, pipeline_id, stage, owner_id, team_id, month, outcome, won, n)
    SELECT t.tenant_id, t.pipeline_id, t.stage, t.owner_id, t.team_id, t.month, t.outcome, t.won, sum(t.sign)
    FROM ({rows}) t GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(t.sign) <> 0;
    INSERT INTO opportunities.funnel_days (tenant_id, pipeline_id, stage, team_id, month, days, n)
    SELECT t.tenant_id, t.pipeline_id, t.stage, t.team_id, t.month, t.days, sum(t.sign)
    FROM ({rows}) t WHERE t.days >= 0 GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(t.sign) <> 0;
"""


def _targets() -> None:
    op.execute(
        """
CREATE TABLE opportunities.targets (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  subject text NOT NULL,
  subject_id uuid NOT NULL,
  period text NOT NULL,
  starts_on date NOT NULL,
  measure text NOT NULL,
  amount bigint,
  currency text,
  quantity bigint,
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT pk_targets PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_targets_measure UNIQUE (tenant_id, period, starts_on, measure, subject, subject_id),
  CONSTRAINT ck_targets_subject CHECK (subject IN ('member', 'team', 'tenant')),
  CONSTRAINT ck_targets_period CHECK (period IN ('month', 'quarter', 'year')),
  CONSTRAINT ck_targets_measure
    CHECK (measure IN ('won_amount', 'won_count', 'new_opportunities', 'activities')),
  CONSTRAINT ck_targets_amount CHECK ((measure = 'won_amount') = (amount IS NOT NULL)
    AND (measure = 'won_amount') = (quantity IS NULL) AND (amount IS NULL) = (currency IS NULL)),
  CONSTRAINT ck_targets_positive CHECK (coalesce(amount, quantity) > 0)
)"""
    )
    protect("opportunities.targets")


def _forecast() -> None:
    op.execute(
        """
CREATE TABLE opportunities.forecast_submissions (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  period text NOT NULL,
  starts_on date NOT NULL,
  category text NOT NULL,
  kind text NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  note text,
  submitted_by uuid,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_forecast_submissions PRIMARY KEY (tenant_id, id),
  CONSTRAINT ck_forecast_submissions_period CHECK (period IN ('month', 'quarter', 'year')),
  CONSTRAINT ck_forecast_submissions_category CHECK (category IN ('closed', 'commit', 'best_case', 'pipeline')),
  CONSTRAINT ck_forecast_submissions_kind CHECK (kind IN ('submission', 'override')),
  CONSTRAINT ck_forecast_submissions_note CHECK (kind <> 'override' OR note IS NOT NULL),
  CONSTRAINT ck_forecast_submissions_amount CHECK (amount >= 0)
)"""
    )
    protect("opportunities.forecast_submissions", append_only=True)
    op.execute(
        "CREATE INDEX ix_forecast_submissions_starts_on ON opportunities.forecast_submissions"
        " (tenant_id, period, starts_on, member_id, category, kind, created_at, id)"
    )
    op.execute(
        """
CREATE TABLE opportunities.forecast_weeks (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  starts_on date NOT NULL,
  taken_at timestamptz NOT NULL,
  currency text NOT NULL,
  CONSTRAINT pk_forecast_weeks PRIMARY KEY (tenant_id, id),
  CONSTRAINT uq_forecast_weeks_starts_on UNIQUE (tenant_id, starts_on)
)"""
    )
    protect("opportunities.forecast_weeks", append_only=True)
    op.execute(
        """
CREATE TABLE opportunities.forecast_lines (
  tenant_id uuid NOT NULL,
  week_id uuid NOT NULL,
  month date NOT NULL,
  category text NOT NULL,
  owner_id uuid NOT NULL,
  team_id uuid NOT NULL,
  n bigint NOT NULL,
  amount_home numeric NOT NULL,
  weighted_home numeric NOT NULL,
  missing bigint NOT NULL,
  CONSTRAINT pk_forecast_lines PRIMARY KEY (tenant_id, week_id, month, category, owner_id, team_id),
  CONSTRAINT fk_forecast_lines_week_id FOREIGN KEY (tenant_id, week_id)
    REFERENCES opportunities.forecast_weeks (tenant_id, id)
)"""
    )
    protect("opportunities.forecast_lines", append_only=True)
