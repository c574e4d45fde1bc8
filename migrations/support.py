"""What every new table needs, in one call: row-level security, grants, and the read view of a record type.

A table that is not protected fails `tests/architecture`, which walks the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alembic import op

OWNER = "rapport_owner"
ERASED_TENANT = "tenant_id = nullif(current_setting('app.erasing', true), '')::uuid"


def create_schema(name: str) -> None:
    """A module's schema, usable by the application roles."""
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
    op.execute(f"GRANT USAGE ON SCHEMA {name} TO rapport_app, rapport_control, rapport_reader, rapport_owner")


def protect(table: str, *, record: bool = False, control: str = "", append_only: bool = False) -> None:
    """Tenant isolation for `schema.table`.

    `record` also makes the read view `<table>_read` that lists go through. `control` are the privileges of
    `rapport_control`, which works across tenants (`"SELECT, UPDATE"`). `append_only` tables cannot be changed.
    """
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant ON {table} TO rapport_app"
        " USING (tenant_id = kernel.tenant()) WITH CHECK (tenant_id = kernel.tenant())"
    )
    op.execute(f"GRANT SELECT, INSERT{'' if append_only else ', UPDATE, DELETE'} ON {table} TO rapport_app")
    if control:
        op.execute(f"CREATE POLICY control ON {table} TO rapport_control USING (true) WITH CHECK (true)")
        op.execute(f"GRANT {control} ON {table} TO rapport_control")
    erasable(table)
    if record:
        read_view(table)


def erasable(table: str) -> None:
    """Let `tenants.erase_rows` reach the rows of the one tenant that it erases, and no others (0285).

    Row-level security is forced on the owner too, who otherwise sees nothing.
    """
    op.execute(f"CREATE POLICY erasure ON {table} TO {OWNER} USING ({ERASED_TENANT})")
    op.execute(f"GRANT SELECT, DELETE ON {table} TO {OWNER}")


def read_view(table: str) -> None:
    """A plain view owned by the no-login reader: PostgreSQL may use every index behind it (ARCHITECTURE, tenancy).

    The reader's own policy is `true`, so no security barrier hides the indexes; the view's WHERE isolates.
    """
    op.execute(f"CREATE POLICY reader ON {table} FOR SELECT TO rapport_reader USING (true)")
    op.execute(f"GRANT SELECT ON {table} TO rapport_reader")
    op.execute(f"CREATE VIEW {table}_read AS SELECT * FROM {table} WHERE tenant_id = kernel.tenant()")
    schema = table.partition(".")[0]
    op.execute(f"GRANT CREATE ON SCHEMA {schema} TO rapport_reader")
    op.execute(f"ALTER VIEW {table}_read OWNER TO rapport_reader")
    op.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM rapport_reader")
    op.execute(f"GRANT SELECT ON {table}_read TO rapport_app")
    # The triggers that count a company's records are younger than the first record tables, which have them from 0280.
    op.execute(
        "DO $$ BEGIN IF to_regproc('kernel.count_records') IS NOT NULL THEN"
        f" PERFORM kernel.count_records('{table}'); END IF; END $$"
    )


def refresh_read_view(table: str) -> None:
    """Show columns that were added to a record table in its read view too; older readers are not disturbed."""
    op.execute(
        f"CREATE OR REPLACE VIEW {table}_read AS SELECT * FROM {table} WHERE tenant_id = kernel.tenant()"
    )


def record_columns() -> str:
    """The columns of `RecordTable`, for CREATE TABLE in SQL text; put it last, before the constraints."""
    return """
  external_id text,
  owner_id uuid,
  team_id uuid,
  tags text[] NOT NULL DEFAULT '{}',
  custom jsonb NOT NULL DEFAULT '{}',
  tokens text[] NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  created_by uuid,
  deleted_at timestamptz
"""


@dataclass(frozen=True)
class SparseIndex:
    """An index of a column in which most records hold nothing: only of those that hold something."""

    name: str
    keys: str

    def on(self, table: str, column: str) -> str:
        """What follows CREATE INDEX."""
        where = f"deleted_at IS NULL AND {column} <> '{{}}'"
        name = f"ix_{table.partition('.')[2]}_{self.name}"
        return f"{name} ON {table} USING gin (tenant_id, {self.keys}) WHERE {where}"


SPARSE = {"tags": SparseIndex("tagged", "tags"), "custom": SparseIndex("customised", "custom jsonb_path_ops")}


def search_index(table: str) -> str:
    """What follows CREATE INDEX, for the index that searches by tokens go through (docs/adr/0006)."""
    name = f"ix_{table.partition('.')[2]}_search"
    return f"{name} ON {table} USING gin (kernel.search_keys(tenant_id, tokens)) WHERE deleted_at IS NULL"


def record_indexes(table: str, sorts: Iterable[str] = ()) -> None:
    """The indexes that lists, search, sharing scopes and upserts of a record type rely on."""
    name = table.partition(".")[2]
    live = "WHERE deleted_at IS NULL"
    op.execute(f"CREATE INDEX ix_{name}_created_at ON {table} (tenant_id, created_at, id) {live}")
    op.execute(f"CREATE INDEX ix_{name}_updated_at ON {table} (tenant_id, updated_at, id) {live}")
    op.execute(f"CREATE INDEX ix_{name}_owner_id ON {table} (tenant_id, owner_id, created_at, id) {live}")
    op.execute(f"CREATE INDEX ix_{name}_team_id ON {table} (tenant_id, team_id, created_at, id) {live}")
    op.execute(
        f"CREATE UNIQUE INDEX uq_{name}_external_id ON {table} (tenant_id, external_id) {live}"
        " AND external_id IS NOT NULL"
    )
    # The keys of search tokens are younger than the first record tables, which have this index from 0358.
    op.execute(
        "DO $$ BEGIN IF to_regproc('kernel.search_keys') IS NOT NULL THEN"
        f" CREATE INDEX {search_index(table)}; END IF; END $$"
    )
    for column, index in SPARSE.items():
        op.execute(f"CREATE INDEX {index.on(table, column)}")
    for column in sorts:
        op.execute(f"CREATE INDEX ix_{name}_{column} ON {table} (tenant_id, {column}, created_at, id) {live}")
