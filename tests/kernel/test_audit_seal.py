"""Whoever changes the audit log behind the product's back is found out, at the first place that is wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from app.kernel import audit_seal
from app.kernel.access import Actor
from app.kernel.audit import seal, verify
from app.kernel.clock import FixedClock
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from tests.support.events import company_actor, worker_kernel
from tests.support.waiting import PATIENCE


@pytest.fixture
async def kernel(own_database: str) -> AsyncIterator[Kernel]:
    async with worker_kernel(own_database, clock=FixedClock()) as found:
        yield found


@pytest.fixture
async def superuser(own_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_database)
    yield connection
    await connection.close()


async def write(kernel: Kernel, actor: Actor, count: int) -> None:
    for number in range(count):
        async with transaction(kernel, actor) as uow:
            uow.record_audit("lead", new_id(), "updated", {"status": ["new", f"state {number}"]})


async def seal_all(kernel: Kernel, count: int, *, batch: int = audit_seal.BATCH) -> None:
    """Seal until `count` entries are: other tests' transactions on this server hold the horizon back."""
    sealed = 0
    async with asyncio.timeout(PATIENCE):
        while sealed < count:
            sealed += await seal(kernel, batch=batch)
    assert sealed == count


async def entry_at(superuser: asyncpg.Connection, actor: Actor, sequence: int) -> UUID:
    found: UUID = await superuser.fetchval(
        "SELECT entry_id FROM kernel.audit_seals WHERE tenant_id = $1 AND sequence = $2",
        actor.tenant_id,
        sequence,
    )
    return found


async def test_an_untouched_log_verifies_and_counts_what_is_not_sealed_yet(kernel):
    actor, other = company_actor(), company_actor()
    await write(kernel, actor, 7)
    await write(kernel, other, 2)
    await seal_all(kernel, 9, batch=3)
    await write(kernel, actor, 2)
    report = await verify(kernel, actor.tenant_id)
    assert (report.intact, report.sealed, report.unsealed, report.checkpoints) == (True, 7, 2, 0)
    assert (await verify(kernel, other.tenant_id)).sealed == 2
    await seal_all(kernel, 2)
    assert (await verify(kernel, actor.tenant_id)).sealed == 9


async def test_a_changed_entry_is_named_as_the_first_break(kernel, superuser):
    actor = company_actor()
    await write(kernel, actor, 6)
    await seal_all(kernel, 6)
    for sequence in (5, 3):
        await superuser.execute(
            'UPDATE kernel.audit_entries SET changes = \'{"status": ["new", "forged"]}\' WHERE id = $1',
            await entry_at(superuser, actor, sequence),
        )
    report = await verify(kernel, actor.tenant_id)
    assert report.broken is not None
    assert (report.broken.kind, report.broken.sequence) == ("changed", 3)
    assert report.broken.entry_id == await entry_at(superuser, actor, 3)


@pytest.mark.parametrize("column", ["actor_name", "action", "object", "request_id", "reason"])
async def test_every_column_is_sealed(kernel, superuser, column):
    actor = company_actor()
    await write(kernel, actor, 2)
    await seal_all(kernel, 2)
    await superuser.execute(
        f"UPDATE kernel.audit_entries SET {column} = 'forged' WHERE id = $1",
        await entry_at(superuser, actor, 2),
    )
    report = await verify(kernel, actor.tenant_id)
    assert report.broken is not None
    assert (report.broken.kind, report.broken.sequence) == ("changed", 2)


async def test_a_deleted_entry_is_found(kernel, superuser):
    actor = company_actor()
    await write(kernel, actor, 4)
    await seal_all(kernel, 4)
    gone = await entry_at(superuser, actor, 2)
    await superuser.execute("DELETE FROM kernel.audit_entries WHERE id = $1", gone)
    report = await verify(kernel, actor.tenant_id)
    assert report.broken is not None
    assert (report.broken.kind, report.broken.sequence, report.broken.entry_id) == ("deleted", 2, gone)


async def test_an_entry_slipped_in_behind_the_head_is_found(kernel, superuser):
    actor = company_actor()
    await write(kernel, actor, 4)
    await seal_all(kernel, 4)
    forged = new_id()
    await superuser.execute(
        "INSERT INTO kernel.audit_entries SELECT tenant_id, $2, at, actor_kind, actor_id, actor_name, request_id,"
        " object, record_id, action, changes, reason, tx FROM kernel.audit_entries WHERE id = $1",
        await entry_at(superuser, actor, 2),
        forged,
    )
    report = await verify(kernel, actor.tenant_id)
    assert report.broken is not None
    assert (report.broken.kind, report.broken.entry_id) == ("inserted", forged)


async def test_what_slipped_in_is_looked_for_without_comparing_all_with_all(kernel, superuser):
    actor = company_actor()
    async with transaction(kernel, actor) as uow:
        for _ in range(2_000):
            uow.record_audit("lead", new_id(), "updated", {})
    await seal_all(kernel, 2_000)
    rows = await superuser.fetch(f"EXPLAIN ANALYZE {audit_seal.SLIPPED_IN}", actor.tenant_id)
    plan = "\n".join(row[0] for row in rows)
    assert "rows=2000.00" in plan
    assert sum(int(found) for found in re.findall(r"Rows Removed by Join Filter: (\d+)", plan)) < 10_000


async def test_a_log_whose_end_was_cut_off_is_found(kernel, superuser):
    actor = company_actor()
    await write(kernel, actor, 4)
    await seal_all(kernel, 4)
    last = await entry_at(superuser, actor, 4)
    await superuser.execute("DELETE FROM kernel.audit_entries WHERE id = $1", last)
    await superuser.execute("DELETE FROM kernel.audit_seals WHERE entry_id = $1", last)
    report = await verify(kernel, actor.tenant_id)
    assert report.broken is not None
    assert (report.broken.kind, report.broken.sequence) == ("cut", 4)


async def test_a_chain_computed_anew_does_not_fit_its_signed_checkpoint(kernel, superuser):
    actor = company_actor()
    await write(kernel, actor, 4)
    await seal_all(kernel, 4)
    kernel.clock.advance(audit_seal.CHECKPOINT_EVERY)
    await seal(kernel)
    report = await verify(kernel, actor.tenant_id)
    assert (report.intact, report.checkpoints, report.signed_to) == (True, 1, 4)

    # A forger with all rights in the database, who knows how the chain is made but has no key.
    await superuser.execute(
        "UPDATE kernel.audit_entries SET reason = 'forged' WHERE id = $1", await entry_at(superuser, actor, 3)
    )
    digest = audit_seal.GENESIS
    for row in await superuser.fetch(
        f"SELECT s.sequence, {audit_seal._ENTRY} FROM kernel.audit_seals s JOIN kernel.audit_entries e"
        " ON e.id = s.entry_id WHERE s.tenant_id = $1 ORDER BY s.sequence",
        actor.tenant_id,
    ):
        digest = audit_seal.link(digest, actor.tenant_id, row)
        await superuser.execute(
            "UPDATE kernel.audit_seals SET hash = $3 WHERE tenant_id = $1 AND sequence = $2",
            actor.tenant_id,
            row["sequence"],
            digest,
        )
    await superuser.execute(
        "UPDATE kernel.audit_heads SET hash = $2 WHERE tenant_id = $1", actor.tenant_id, digest
    )
    broken = (await verify(kernel, actor.tenant_id)).broken
    assert broken is not None
    assert (broken.kind, broken.sequence) == ("checkpoint_differs", 4)

    await superuser.execute("UPDATE kernel.audit_checkpoints SET hash = $1", digest)
    broken = (await verify(kernel, actor.tenant_id)).broken
    assert broken is not None
    assert (broken.kind, broken.sequence) == ("checkpoint_forged", 4)


async def test_a_thousand_entries_are_signed_at_once(kernel):
    actor = company_actor()
    async with transaction(kernel, actor) as uow:
        for number in range(1_000):
            uow.record_audit("lead", new_id(), "imported", {"row": [None, number]})
    await seal_all(kernel, 1_000)
    report = await verify(kernel, actor.tenant_id)
    assert (report.intact, report.sealed, report.signed_to) == (True, 1_000, 1_000)


async def test_an_entry_that_commits_late_is_sealed_later_and_never_skipped(kernel):
    actor = company_actor()
    async with transaction(kernel, actor) as slow:
        slow.record_audit("lead", new_id(), "slow")
        await slow.flush()
        await write(kernel, actor, 3)
        assert await seal(kernel) == 0  # younger than a transaction that still runs
    await seal_all(kernel, 4)
    assert (await verify(kernel, actor.tenant_id)).intact


async def test_two_workers_cannot_fork_the_chain(kernel):
    actor = company_actor()
    for _ in range(5):
        await write(kernel, actor, 10)
        await asyncio.gather(*(seal(kernel, batch=4) for _ in range(4)))
    async with asyncio.timeout(PATIENCE):
        while (await verify(kernel, actor.tenant_id)).unsealed:
            await seal(kernel, batch=4)
    report = await verify(kernel, actor.tenant_id)
    assert (report.intact, report.sealed, report.unsealed) == (True, 50, 0)


async def test_the_role_that_serves_requests_cannot_touch_the_chain(kernel):
    actor = company_actor()
    await write(kernel, actor, 1)
    await seal_all(kernel, 1)
    for statement in (
        "UPDATE kernel.audit_entries SET reason = 'forged'",
        "DELETE FROM kernel.audit_entries",
        "UPDATE kernel.audit_seals SET hash = ''",
        "DELETE FROM kernel.audit_seals",
        "INSERT INTO kernel.audit_seals SELECT tenant_id, 9, entry_id, hash FROM kernel.audit_seals",
        "UPDATE kernel.audit_heads SET sequence = 0",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with kernel.database.tenant(actor.tenant_id) as connection:
                await connection.execute(statement)
    assert (await verify(kernel, actor.tenant_id)).sealed == 1


async def test_an_idle_chain_is_signed_when_its_time_has_come(kernel):
    actor = company_actor()
    await write(kernel, actor, 1)
    await seal_all(kernel, 1)
    kernel.clock.advance(audit_seal.CHECKPOINT_EVERY - timedelta(seconds=1))
    await seal(kernel)
    assert (await verify(kernel, actor.tenant_id)).checkpoints == 0
    kernel.clock.advance(seconds=1)
    await seal(kernel)
    await seal(kernel)
    assert (await verify(kernel, actor.tenant_id)).checkpoints == 1
