"""Requests that write keep their plans: one made while a table was small must serve when it has grown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.kernel import db
from app.kernel.ids import new_id
from app.kernel.statements import rows_by_id, rows_of
from app.kernel.uow import transaction
from tests.support.bulk import Bench, bench
from tests.support.toy import Toy

FEW, MANY = 10, 3_000


async def _fill(toys: Bench, count: int) -> UUID:
    """Make toys; the id of the last one."""
    plain: dict[str, Any] = {
        "colour": "red", "price": None, "currency": None, "email": None, "phone": None, "pieces": None, "fragile": False,
        "sold_on": None, "seen_at": None, "account_id": None, "external_id": None, "owner_id": None, "team_id": None,
        "tags": [], "custom": {}, "tokens": [], "created_by": None, "deleted_at": None,
    }  # fmt: skip
    rows: list[dict[str, Any]] = [{"id": new_id(), "name": f"Toy {n}", **plain} for n in range(count)]
    async with transaction(toys.kernel, toys.actor) as uow:
        await uow.insert_many(Toy, rows)
    last: UUID = rows[-1]["id"]
    return last


async def test_one_record_is_found_by_its_key_though_few_were_there_when_that_was_planned(
    own_database: str, tmp_path: Path
) -> None:
    async with bench(own_database, tmp_path) as toys:
        superuser = await asyncpg.connect(own_database)
        try:
            last = await _fill(toys, FEW)
            await superuser.execute("ANALYZE toys.toys")
            find = rows_by_id(Toy, None, None, "update", one=True)
            tenant = toys.actor.tenant.id
            await db.begin(superuser, tenant, point_work=True)
            await superuser.execute(f"PREPARE find(uuid, uuid) AS {find}")
            assert len(await superuser.fetch(f"EXECUTE find('{tenant}', '{last}')")) == 1
            await superuser.execute("COMMIT")
            last = await _fill(toys, MANY)
            await db.begin(superuser, tenant, point_work=True)
            explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE"
            plan = json.loads(await superuser.fetchval(f"{explain} find('{tenant}', '{last}')"))[0]["Plan"]
        finally:
            await superuser.close()
    assert plan["Actual Rows"] == 1
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 10  # of the table's hundred and more


_CHANGE = f"""
WITH found AS (
  SELECT id, account_id AS former FROM toys.toys WHERE tenant_id = $1 AND account_id = $2 ORDER BY id FOR NO KEY UPDATE
)
UPDATE toys.toys t SET account_id = $3 FROM {rows_of("found", "id", "former")}
WHERE t.tenant_id = $1 AND t.id = found.id AND t.account_id IS NOT DISTINCT FROM found.former
RETURNING t.id, found.former"""


@pytest.mark.parametrize("known", ["nothing", "one row", "others' rows"])
async def test_rows_that_were_found_are_changed_one_by_one_though_none_were_there_when_that_was_planned(
    own_database: str, tmp_path: Path, known: str
) -> None:
    before, after = new_id(), new_id()
    async with bench(own_database, tmp_path) as toys:
        superuser = await asyncpg.connect(own_database)
        tenant = toys.actor.tenant.id
        change = f"EXECUTE change('{tenant}', '{before}', '{after}')"
        try:
            await superuser.execute("CREATE INDEX ON toys.toys (tenant_id, account_id)")
            await superuser.execute("ALTER TABLE toys.toys SET (autovacuum_enabled = off)")
            if known != "nothing":
                await _fill(toys, 1)
                if known == "others' rows":
                    for _ in range(FEW):
                        await superuser.execute(_SCATTER)
                await superuser.execute("ANALYZE toys.toys")
            await db.begin(superuser, tenant, point_work=True)
            await superuser.execute(f"PREPARE change(uuid, uuid, uuid) AS {_CHANGE}")
            assert await superuser.fetch(change) == []
            await superuser.execute("COMMIT")
            await _fill(toys, MANY)
            await superuser.execute(
                "UPDATE toys.toys SET account_id = $1 WHERE tenant_id = $2", before, tenant
            )
            await db.begin(superuser, tenant, point_work=True)
            explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {change}"
            plan = json.loads(await superuser.fetchval(explain))[0]["Plan"]
        finally:
            await superuser.close()
    assert plan["Actual Rows"] >= MANY
    assert _looked_at(plan) < 20 * MANY


_SCATTER = (
    "INSERT INTO toys.toys SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(),"
    " 'tenant_id', gen_random_uuid()))).* FROM toys.toys t LIMIT 10"
)


def _looked_at(plan: dict[str, Any]) -> float:
    """Rows and pairs of rows that a plan, or part of one, went through."""
    seen = sum(plan.get(name, 0) for name in ("Actual Rows", *_REMOVED)) * plan["Actual Loops"]
    return float(seen) + sum(_looked_at(part) for part in plan.get("Plans", ()))


_REMOVED = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
