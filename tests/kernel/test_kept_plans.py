"""Requests that write keep their plans: one made while a table was small must serve when it has grown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel import db
from app.kernel.ids import new_id
from app.kernel.statements import rows_by_id
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
