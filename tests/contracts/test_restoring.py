"""A database that was dumped before an erasure and restored after it: replaying the list of erasures leaves nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.kernel.ids import new_id
from app.kernel.postgres_host import wheel
from app.main import Application
from app.tenants.leaving.certificates import certificate_of
from app.tenants.leaving.erase_list import ErasuresNotReapplied
from app.tenants.leaving.erasure import KEPT
from tests.contracts.test_leaving import credentials
from tests.contracts.world import World
from tests.faults.test_kills_leaving import rapport
from tests.support import toy
from tests.support.api import running
from tests.support.copying import copy_company, rows_of
from tests.support.fingerprint import changes, fingerprint
from tests.support.postgres import TestServer
from tests.tenants.leaving.support import erased
from tests.tenants.people import Look

BINARIES = Path(os.environ.get("RAPPORT_PG_BIN") or wheel() / "pginstall" / "bin")
COUNTED_MEANWHILE = {"kernel.usage_records"}  # calls are written by the minute, also while the dump is taken
SEALED = {"kernel.audit_seals", "kernel.audit_heads", "kernel.audit_checkpoints"}


async def program(name: str, *arguments: str) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([BINARIES / name, *arguments], capture_output=True, text=True, check=False)

    done = await asyncio.to_thread(run)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def restored(postgres: TestServer) -> Iterator[str]:
    """The address of an empty database, to restore into."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)


@pytest.mark.slow
async def test_a_restored_dump_is_not_served_before_the_list_of_erasures_is_replayed(
    ours: World,
    theirs: World,
    app: Application,
    look: Look,
    worker_database: str,
    restored: str,
    tmp_path: Path,
) -> None:
    assert app.kernel is not None
    gone, data, dump = new_id(), app.settings.data_dir, str(tmp_path / "backup.dump")
    await copy_company(look.connection, ours.company.tenant_id, gone)
    await credentials(look, gone)
    before = await rows_of(look.connection, gone)
    await program("pg_dump", "--format=custom", "--compress=0", f"--file={dump}", worker_database)
    await erased(app.kernel, gone)

    await program("pg_restore", "--jobs=2", f"--dbname={restored}", dump)
    there = await asyncpg.connect(restored)
    back = await rows_of(there, gone)
    assert {n: c for n, c in back.items() if n not in COUNTED_MEANWHILE} == {
        n: c for n, c in before.items() if n not in COUNTED_MEANWHILE
    }
    assert len(back) > 100
    neighbours = await fingerprint(there, ours.company.tenant_id, theirs.company.tenant_id)
    with pytest.raises(ErasuresNotReapplied):
        async with running(restored, data, (toy.MODULE,)):
            raise AssertionError("it serves")
    replay = rapport(restored, data, "reapply-erasures")
    said = (await asyncio.to_thread(replay.communicate))[0].decode()
    assert (replay.returncode, f"{gone} is erased again." in said) == (0, True), said

    left = await rows_of(there, gone)
    assert left.keys() <= KEPT.keys(), "table by table of the catalogue"
    assert await there.fetchval("SELECT count(*) FROM tenants.users WHERE name = 'Only Here'") == 0
    after = await fingerprint(there, ours.company.tenant_id, theirs.company.tenant_id)
    assert changes(neighbours, after).keys() <= SEALED
    await there.close()
    async with running(restored, data, (toy.MODULE,)) as again:
        assert again.kernel is not None
        found = await certificate_of(again.kernel, gone)
        assert (found.valid, found.document["users"]) == (True, 1)
