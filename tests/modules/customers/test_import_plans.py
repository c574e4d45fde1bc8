"""Imports tell the planner of what they look up: an id, and a unique custom field, by their own indexes."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from app.kernel.imports.run import IMPORT_JOB
from app.kernel.registry import Module
from tests.support.api import running, sign_up
from tests.support.importing import custom_field, imported

LOOK_UPS = {
    "uuid, uuid": "SELECT version FROM customers.accounts WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
    "uuid, uuid, text": (
        "SELECT record_id FROM kernel.custom_values WHERE tenant_id = $1 AND field_id = $2 AND unique_key = $3"
    ),
}


async def test_what_was_imported_is_found_by_its_own_index_before_autovacuum_comes(
    own_database: str, tmp_path: Path
) -> None:
    jobs = Module(name="jobs", jobs=(IMPORT_JOB,))
    superuser = await asyncpg.connect(own_database, server_settings={"plan_cache_mode": "force_generic_plan"})
    try:
        await superuser.execute("SET enable_seqscan = off")
        async with running(own_database, tmp_path, (jobs,)) as app:
            company = await sign_up(app)
            await custom_field(company.owner, "code", unique=True)
            rows = "".join(f"A{n},Works {n},C{n}\n" for n in range(700))
            done = await imported(company, "accounts", f"external_id,name,custom.code\n{rows}", start="true")
            assert (done["state"], done["created"]) == ("completed", 700)
        plans = []
        for number, (types, look_up) in enumerate(LOOK_UPS.items()):
            await superuser.execute(f"PREPARE look_{number}({types}) AS {look_up}")
            nothing = ", ".join("NULL" for _ in types.split(","))
            found = await superuser.fetch(f"EXPLAIN EXECUTE look_{number}({nothing})")
            plans.append("\n".join(line for (line,) in found))
    finally:
        await superuser.close()
    assert "using pk_accounts" in plans[0]
    assert "using uq_custom_values_unique_key" in plans[1]
