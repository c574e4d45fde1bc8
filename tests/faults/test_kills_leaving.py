"""An erasure that is killed goes on where it was: nothing is left, and each row was counted once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import orjson

from app.tenants.leaving.erasure import KEPT
from tests.support.api import running, sign_up
from tests.support.copying import rows_of
from tests.support.postgres import ROOT


def rapport(url: str, data_dir: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DATABASE_URL": url,
        "RAPPORT_DATA_DIR": str(data_dir),
        "RAPPORT_LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "tenants", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_an_erasure_killed_in_the_middle_is_finished_by_the_next(own_database: str, tmp_path: Path):
    async with running(own_database, tmp_path) as app:
        company = await sign_up(app)
        for number in range(5):
            await company.owner.ok("POST", "/v1/accounts", json={"name": f"Account {number}"})
        tenant = await company.owner.ok("GET", "/v1/tenant")
    look = await asyncpg.connect(own_database)
    before = await rows_of(look, company.tenant_id)
    erase = (
        "erase",
        str(company.tenant_id),
        "--slug",
        tenant["slug"],
        "--reason",
        "Asked for",
        "--step",
        "1",
    )

    first = rapport(own_database, tmp_path, *erase)
    while not await look.fetchval(
        "SELECT sum(v::bigint) >= 5 FROM tenants.erasures, jsonb_each_text(counts) c(k, v)"
    ):
        assert first.poll() is None, first.communicate()[0].decode()
        await asyncio.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert await look.fetchval("SELECT completed_at IS NULL FROM tenants.erasures")
    assert (await rows_of(look, company.tenant_id))["tenants.tenants"] == 1

    second = rapport(own_database, tmp_path, *erase)
    said = (await asyncio.to_thread(second.communicate))[0].decode()
    assert (second.returncode, "is erased" in said) == (0, True), said
    assert (await rows_of(look, company.tenant_id)).keys() <= KEPT.keys()
    counts = orjson.loads(await look.fetchval("SELECT counts::text FROM tenants.erasures"))
    for name in ("customers.accounts", "tenants.members", "tenants.roles", "tenants.sessions"):
        assert counts[name] == before[name], name
    await look.close()

    check = rapport(own_database, tmp_path, "certificate", str(company.tenant_id), "--json")
    shown = orjson.loads((await asyncio.to_thread(check.communicate))[0])
    assert (check.returncode, shown["valid"], shown["certificate"]["users"]) == (0, True, 1)
