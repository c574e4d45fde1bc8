"""What `rapport db distribute` does: the plan comes from the catalogue, so a new table needs no list.

A table is distributed when `tenant_id` leads its primary key, is part of every unique key, and the table is only
ever worked on for one tenant. The rest stays on the coordinator: identities and key hashes are found without a
tenant, queues are claimed across tenants (Citus has no SKIP LOCKED across shards), triggers count what a statement
changed (Citus has no transition tables), and a foreign key keeps both of its ends on the same side. Triggers that
count records for the limits of plans are dropped where they are in the way: the nightly count goes on without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Final

import asyncpg

# Claimed or read across tenants by the worker; docs/ADR and ARCHITECTURE "Tenancy in the database".
QUEUES: Final = frozenset({"kernel.outbox", "kernel.jobs", "kernel.schedule_runs"})
COUNTERS: Final = ("record_deleted", "record_gone", "records_made")
"""Triggers that count records (migration 0280)."""
_TABLES: Final = """
SELECT n.nspname || '.' || c.relname AS name,
       (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisprimary) = 'tenant_id' AS by_tenant,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
             AND g.tgname <> ALL ($1)) AS has_triggers,
       ARRAY(SELECT g.tgname::text FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = ANY ($1)
             ORDER BY 1) AS counters,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
             AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                             AND a.attnum = ANY (i.indkey::smallint[]))) AS unique_across_tenants,
       ARRAY(SELECT (f.relnamespace::regnamespace || '.' || f.relname) FROM pg_constraint k
             JOIN pg_class f ON f.oid = k.confrelid WHERE k.conrelid = c.oid AND k.contype = 'f'
             AND k.confrelid <> c.oid) AS refers_to
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'public')
  AND n.nspname NOT LIKE 'citus%' AND pg_get_userbyid(c.relowner) = 'rapport_owner'
ORDER BY 1
"""


@dataclass
class Plan:
    """What would be done. `citus` is the version installed, None without; `available` whether it can be."""

    citus: str | None
    available: bool
    preloaded: bool
    distribute: list[str] = field(default_factory=list)
    local: dict[str, str] = field(default_factory=dict)  # table → why
    counters: dict[str, list[str]] = field(default_factory=dict)  # table → triggers that are dropped

    def statements(self) -> dict[str, list[str]]:
        """The statements for each table, those first that others refer to."""
        found = {}
        for number, table in enumerate(self.distribute):
            beside = f", colocate_with => '{self.distribute[0]}'" if number else ""
            dropped = [f"DROP TRIGGER {name} ON {table}" for name in self.counters.get(table, ())]
            found[table] = [*dropped, f"SELECT create_distributed_table('{table}', 'tenant_id'{beside})"]
        return found

    def sql(self) -> str:
        """The statements as a script, with what stays where it is in comments."""
        lines = ["CREATE EXTENSION IF NOT EXISTS citus;"] if self.citus is None else []
        lines += [f"{statement};" for statements in self.statements().values() for statement in statements]
        lines += [f"-- stays on the coordinator: {table} ({why})" for table, why in self.local.items()]
        return "\n".join(lines) + "\n"

    def missing(self) -> str:
        """What an operator has to do before this can run."""
        steps = []
        if not self.available:
            steps.append("Install the Citus package for this PostgreSQL on the coordinator and every worker.")
        if not self.preloaded:
            steps.append("Put citus first in shared_preload_libraries and restart PostgreSQL.")
        steps.append("As superuser: CREATE EXTENSION citus; SELECT citus_set_coordinator_host('…', 5432);")
        steps.append("For each worker: SELECT citus_add_node('…', 5432); then run this command again.")
        steps.append("`rapport db distribute --dry-run` prints what it will do.")
        return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))

    async def execute(self, url: str) -> None:
        """Distribute the tables that are not distributed yet, one after the other."""
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT logicalrel::text AS name FROM pg_dist_partition")
            done = {row["name"] for row in rows}
            for table, statements in self.statements().items():
                if table not in done:
                    await connection.execute("; ".join(statements))
        finally:
            await connection.close()


async def plan(url: str) -> Plan:
    """Read the catalogue of the database at `url`."""
    connection = await asyncpg.connect(url)
    try:
        version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'citus'")
        available = await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'citus')"
        )
        preloaded = "citus" in str(await connection.fetchval("SHOW shared_preload_libraries"))
        rows = await connection.fetch(_TABLES, list(COUNTERS))
    finally:
        await connection.close()
    found = Plan(version, bool(available), preloaded)
    refers = {row["name"]: set(row["refers_to"]) for row in rows}
    why = {row["name"]: reason for row in rows if (reason := _reason(row))}
    staying = _closed(refers, set(why))
    found.local = {name: why.get(name, "tied to one of these by a foreign key") for name in sorted(staying)}
    names = refers.keys() - staying
    order = TopologicalSorter({name: sorted(refers[name] & names) for name in sorted(names)})
    found.distribute = list(order.static_order())
    found.counters = {
        row["name"]: row["counters"] for row in rows if row["name"] in names and row["counters"]
    }
    return found


def _reason(row: asyncpg.Record) -> str | None:
    """Why a table cannot be distributed; None if it can."""
    if row["name"] in QUEUES:
        return "worked on across tenants"
    if not row["by_tenant"]:
        return "its primary key does not begin with tenant_id"
    if row["has_triggers"]:
        return "triggers keep sums of it"
    return "a value is unique across tenants" if row["unique_across_tenants"] else None


def _closed(refers: dict[str, set[str]], start: set[str]) -> set[str]:
    """Those of `start` and all that foreign keys tie to them, in either direction."""
    staying = set(start)
    while True:
        tied = {one for one, others in refers.items() if others & staying} | {
            other for one in staying for other in refers.get(one, ())
        }
        if tied <= staying:
            return staying
        staying |= tied
