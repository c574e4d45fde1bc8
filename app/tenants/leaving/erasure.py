"""Erasing a company: table by table in small steps, begun anew wherever it was interrupted, proved by a certificate.

The company's status says `erased` first, which ends its sessions and lets nobody begin anything. Then whoever was
still writing is waited for, its audit log is sealed for the last time, and the rows of every table of the catalogue
go, children before parents, then the files; a pass that finds nothing any more is the proof. Each step counts what it
deleted in the transaction that deletes it, so that the counts are exact however often the process was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from app.kernel.access import system_actor
from app.kernel.audit_seal import seal_tenant
from app.kernel.catalogue import children_first, references, tenant_tables
from app.kernel.errors import NotFound, Unavailable
from app.kernel.ids import new_id
from app.kernel.registry import Schedule
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.kernel.signatures import Signatures
from app.kernel.uow import UnitOfWork
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.control import access_changed, control_transaction
from app.tenants.billing import metering
from app.tenants.billing.issuing import Issuer
from app.tenants.billing.locks import hold_billing, hold_usage
from app.tenants.interface import MovedBy
from app.tenants.leaving import erase_list
from app.tenants.leaving.certificates import PURPOSE, statement
from app.tenants.leaving.payment_customers import forget_customers, note_customers
from app.tenants.lifecycle.moves import move
from app.tenants.models import Tenant, TenantStatus

log = structlog.get_logger(__name__)

BATCH: Final = 5_000
WRITERS_SECONDS: Final = 60.0
SWEPT_FOR: Final = timedelta(days=2)
KEPT: Final[Mapping[str, str]] = {
    "tenants.erasures": "the certificate itself: who, when, how much, and no word of the company",
    "tenants.operator_acts": "what operators did with the account, for whoever controls them",
    "tenants.bills": "the law demands that issued bills are kept; they name the company, and none of its people",
    "tenants.bill_payments": "the law demands that the books are kept",
    "tenants.bill_credit_notes": "the law demands that the books are kept",
    "tenants.billing_transactions": "the law demands that the books are kept",
    "tenants.billing_entries": "the law demands that the books are kept",
}
"""Tables that keep rows with the company's id, each with its reason; the certificate repeats them."""
_LAST: Final = "tenants.tenants"


@dataclass(frozen=True, slots=True)
class Request:
    """Who had a company erased, when and why."""

    requested_by: str
    reason: str
    requested_at: datetime


async def request(uow: UnitOfWork, *, requested_by: str, reason: str, by: MovedBy) -> UUID:
    """Have the company at hand erased, whatever its status, in a control transaction; the erasure's id.

    What it used and did not pay for is billed first, for afterwards nobody could say what it was. From the commit on
    nobody signs in or changes anything; there is no way back.
    """
    await hold_billing(uow)
    await hold_usage(uow)  # before its sums are: whoever reports usage holds this when they add to those
    await metering.roll_tenant(uow)
    tenant = await uow.get(Tenant, uow.tenant_id, lock="update")
    if tenant.status not in (TenantStatus.CANCELLED, TenantStatus.ERASED):
        tenant = await move(uow, TenantStatus.CANCELLED, reason=reason, by=by)
    if tenant.status != TenantStatus.ERASED:
        await uow.flush()
        await Issuer(uow).settle_account()
        await move(uow, TenantStatus.ERASED, reason=reason, by=by)
    await uow.settle()
    return await _record(uow.connection, uow.tenant_id, Request(requested_by, reason, uow.now))


async def _record(connection: Any, tenant_id: UUID, asked: Request) -> UUID:
    """The tombstone of a company whose erasure begins, and the end of its jobs; again changes nothing.

    Nothing is deleted before the leases of running jobs are over: by then their workers have noticed.
    """
    leases = await connection.fetchval(
        "WITH cut AS (UPDATE kernel.jobs SET cancel_requested = true,"
        " locked_by = CASE WHEN state = 'running' THEN 'erasure' ELSE locked_by END,"
        " state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END"
        " WHERE tenant_id = $1 AND state IN ('queued', 'running') RETURNING locked_until)"
        " SELECT max(locked_until) FROM cut",
        tenant_id,
    )
    found: UUID | None = await connection.fetchval(
        "INSERT INTO tenants.erasures (id, tenant_id, requested_at, requested_by, reason, not_before)"
        " VALUES ($1, $2, $3::timestamptz, $4, $5, greatest($3::timestamptz, $6::timestamptz))"
        " ON CONFLICT (tenant_id) DO NOTHING RETURNING id",
        new_id(),
        tenant_id,
        asked.requested_at,
        asked.requested_by,
        asked.reason,
        leases,
    )
    if found is None:
        found = await connection.fetchval("SELECT id FROM tenants.erasures WHERE tenant_id = $1", tenant_id)
    return found


class Erasures:
    """Every erasure of the installation that is not over."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    async def adopt(self) -> None:
        """Take up companies whose status says that they are to be erased, as the clock leaves them."""
        async with self.kernel.database.control() as connection:
            rows = await connection.fetch(
                "SELECT t.id FROM tenants.tenants t LEFT JOIN tenants.erasures e ON e.tenant_id = t.id"
                " WHERE t.status = 'erased' AND e.id IS NULL"
            )
            asked = Request("schedule", "the export window is over", self.kernel.clock.now())
            for row in rows:
                await _record(connection, row["id"], asked)

    async def open(self) -> list[UUID]:
        """Those that may go on by now, the oldest first."""
        async with self.kernel.database.control() as connection:
            rows = await connection.fetch(
                "SELECT id FROM tenants.erasures WHERE completed_at IS NULL AND not_before <= $1"
                " ORDER BY requested_at",
                self.kernel.clock.now(),
            )
        return [row["id"] for row in rows]

    async def reapply(self) -> list[UUID]:
        """Begin again what the list outside of the database says was erased and a restore brought back."""
        missing = await erase_list.unapplied(self.kernel)
        for tenant_id, line in missing.items():
            asked = Request(line.document["requested_by"], line.document["reason"], line.requested_at)
            async with control_transaction(self.kernel) as uow:
                await _bring_down(uow, tenant_id)
                await _record(uow.connection, tenant_id, asked)
        return list(missing)


async def _bring_down(uow: UnitOfWork, tenant_id: UUID) -> None:
    """Say of a restored company that it is erased, whatever its status was in the backup."""
    row = await uow.fetchrow(f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t WHERE t.id = $1", tenant_id)
    if row is None or row["tenant_status"] == TenantStatus.ERASED:
        return
    actor = uow.actor
    await uow.enter(system_actor(profile_of(row)))
    for step in (TenantStatus.CANCELLED, TenantStatus.ERASED):
        await move(uow, step, reason="erased before the restore", by=MovedBy.SCHEDULE)
    await uow.flush()
    await uow.enter(actor)


class Erasure:
    """One erasure, from wherever it stands to its certificate. Several processes may run it: each step is whole."""

    def __init__(self, kernel: Kernel, id: UUID, *, batch: int = BATCH) -> None:
        self.kernel = kernel
        self.id = id
        self.batch = batch

    async def run(self) -> dict[str, Any]:
        """Erase, and certify. Raises: NotFound; Unavailable while somebody still writes."""
        row = await self._row()
        if row["completed_at"] is not None:
            return dict(row["certificate"])
        if row["not_before"] > self.kernel.clock.now():
            raise Unavailable("Jobs of the company are still being stopped; try again in a minute.")
        tenant_id: UUID = row["tenant_id"]
        await self._list(row)
        await self._wait_for_writers()
        await self._seal(tenant_id)
        await note_customers(self.kernel, self.id)
        await self._erase_people(tenant_id)
        await self._erase_files(tenant_id)
        await self._pass(tenant_id)
        await self._wait_for_writers()
        while await self._pass(tenant_id) + await self._erase_files(tenant_id):
            await self._wait_for_writers()
        await forget_customers(self.kernel, self.id)
        return await self._certify()

    async def sweep(self) -> int:
        """Delete what a process still wrote of its memory (usage it had counted) after the end; how many rows."""
        return await self._pass((await self._row())["tenant_id"])

    async def _row(self) -> asyncpg.Record:
        async with self.kernel.database.control() as connection:
            row = await connection.fetchrow("SELECT * FROM tenants.erasures WHERE id = $1", self.id)
        if row is None:
            raise NotFound
        return row

    async def _list(self, row: asyncpg.Record) -> None:
        """Name the company on the list outside of the database, before anything is deleted."""
        if row["listed_at"] is not None:
            return
        document = {
            "tenant_id": str(row["tenant_id"]),
            "requested_at": row["requested_at"].isoformat(),
            "requested_by": row["requested_by"],
            "reason": row["reason"],
        }
        await asyncio.to_thread(erase_list.append, self.kernel, erase_list.BEGUN, document)
        async with self.kernel.database.control() as connection:
            await connection.execute(
                "UPDATE tenants.erasures SET listed_at = $2 WHERE id = $1", self.id, self.kernel.clock.now()
            )

    async def _wait_for_writers(self) -> None:
        """Until every transaction has ended that was writing when this was called. Raises: Unavailable."""
        async with self.kernel.database.control() as connection:
            mine = await connection.fetchval("SELECT pg_current_xact_id()::text")
        deadline = asyncio.get_running_loop().time() + WRITERS_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            async with self.kernel.database.control() as connection:
                if await connection.fetchval(
                    "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8", mine
                ):
                    return
            await asyncio.sleep(0.05)
        raise Unavailable("A transaction has been writing for a minute; the erasure goes on after it.")

    async def _seal(self, tenant_id: UUID) -> None:
        """Chain what was audited last, and remember where the chain ended."""
        await seal_tenant(self.kernel, tenant_id)
        async with self.kernel.database.control() as connection:
            await connection.execute(
                "UPDATE tenants.erasures e SET audit_sequence = h.sequence, audit_hash = h.hash"
                " FROM kernel.audit_heads h WHERE e.id = $1 AND h.tenant_id = $2 AND e.audit_sequence IS NULL",
                self.id,
                tenant_id,
            )

    async def _erase_people(self, tenant_id: UUID) -> None:
        """People who belong to no other company, with their passwords, mailed links and sessions."""
        async with self.kernel.database.control() as connection:
            # Held first, and judged by a statement of its own: somebody may be founding another company just now.
            await connection.execute(
                "SELECT 1 FROM tenants.users u JOIN tenants.members m ON m.user_id = u.id"
                " WHERE m.tenant_id = $1 ORDER BY u.id FOR UPDATE OF u",
                tenant_id,
            )
            await connection.execute(
                "WITH gone AS (DELETE FROM tenants.users u WHERE u.id IN (SELECT m.user_id FROM tenants.members m"
                " WHERE m.tenant_id = $2) AND NOT EXISTS (SELECT 1 FROM tenants.members o WHERE o.user_id = u.id"
                " AND o.tenant_id <> $2) RETURNING 1)"
                " UPDATE tenants.erasures SET users = users + (SELECT count(*) FROM gone) WHERE id = $1",
                self.id,
                tenant_id,
            )

    async def _erase_files(self, tenant_id: UUID) -> int:
        """Every file of the company; how many there were."""
        files = self.kernel.files
        keys, sizes = [], 0
        async for found in files.of_tenant(tenant_id):
            keys.append(found.key)
            sizes += found.size
        async with self.kernel.database.control() as connection:
            # What is counted first is what there was: a second start finds only the rest.
            await connection.execute(
                "UPDATE tenants.erasures SET files = coalesce(files, $2), file_bytes = coalesce(file_bytes, $3)"
                " WHERE id = $1",
                self.id,
                len(keys),
                sizes,
            )
        for key in keys:
            await files.delete(key)
        return len(keys)

    async def _pass(self, tenant_id: UUID) -> int:
        """Delete the rows of every table; how many there were. A table that others still refer to waits for them."""
        async with self.kernel.database.control() as connection:
            names = [table.name for table in await tenant_tables(connection) if table.name not in KEPT]
            order = children_first(names, await references(connection))
        waiting = [*(name for name in order if name != _LAST), _LAST]
        deleted, held = 0, len(waiting) + 1
        while waiting and len(waiting) < held:
            held, referred = len(waiting), []
            for name in waiting:
                try:
                    deleted += await self._table(tenant_id, name)
                except asyncpg.ForeignKeyViolationError:
                    referred.append(name)
            waiting = referred
        if waiting:
            raise Unavailable(f"Rows of {', '.join(waiting)} are referred to by rows that are kept.")
        return deleted

    async def _table(self, tenant_id: UUID, name: str) -> int:
        """Delete a table's rows until there are none: rows that refer to each other go in several rounds."""
        total, deleted = 0, 1
        while deleted:
            async with self.kernel.database.control() as connection:
                deleted = await connection.fetchval(
                    "SELECT tenants.erase_rows($1, $2, $3)", tenant_id, name, self.batch
                )
                if deleted:
                    await connection.execute(
                        "UPDATE tenants.erasures SET counts = jsonb_set(counts, ARRAY[$2],"
                        " to_jsonb(coalesce((counts ->> $2)::bigint, 0) + $3::bigint)) WHERE id = $1",
                        self.id,
                        name,
                        deleted,
                    )
            total += deleted
        return total

    async def _certify(self) -> dict[str, Any]:
        row = await self._row()
        document = _document(row, self.kernel.clock.now())
        key_id, signature = Signatures(self.kernel.secrets, PURPOSE).sign(statement(document))
        await asyncio.to_thread(erase_list.append, self.kernel, erase_list.CERTIFIED, document)
        async with control_transaction(self.kernel) as uow:
            await access_changed(uow, row["tenant_id"])  # what processes remember of its people is over, too
            await uow.connection.execute(
                "UPDATE tenants.erasures SET completed_at = $2, certificate = $3, key_id = $4, signature = $5,"
                " payment_customers = '[]'"
                " WHERE id = $1 AND completed_at IS NULL",
                self.id,
                datetime.fromisoformat(document["completed_at"]),
                document,
                key_id,
                signature,
            )
        return dict((await self._row())["certificate"])


def _document(row: asyncpg.Record, now: datetime) -> dict[str, Any]:
    return {
        "version": 1,
        "tenant_id": str(row["tenant_id"]),
        "requested_at": row["requested_at"].isoformat(),
        "requested_by": row["requested_by"],
        "reason": row["reason"],
        "completed_at": now.isoformat(),
        "rows": dict(sorted(row["counts"].items())),
        "users": row["users"],
        "files": row["files"],
        "file_bytes": row["file_bytes"],
        "payment_customers": [
            {"provider": one["provider"], "outcome": one["outcome"]} for one in row["payment_customers"]
        ],
        "audit": {
            "entries": row["audit_sequence"],
            "hash": row["audit_hash"].hex() if row["audit_hash"] is not None else None,
        },
        "kept": dict(KEPT),
    }


class WhenDue:
    """Implements `TenantErasure`: the status says it, and the schedule below takes it up."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def begin(self, *, reason: str) -> None:
        await move(self._uow, TenantStatus.ERASED, reason=reason, by=MovedBy.SCHEDULE)


async def erase_due(run: ScheduledRun) -> None:
    """Take every erasure as far as it goes; one that cannot go on keeps no other from its end."""
    erasures = Erasures(run.kernel)
    await erasures.adopt()
    for id in await erasures.open():
        try:
            await Erasure(run.kernel, id).run()
        except Unavailable as waiting:
            log.info("erasure waits", erasure_id=str(id), reason=waiting.detail)
        except Exception as error:  # the others go on; this one is tried again at the next run
            log.error("erasure failed", erasure_id=str(id), exc_info=error)


async def sweep_erased(run: ScheduledRun) -> None:
    """Look once more after companies that were erased of late."""
    since = run.kernel.clock.now() - SWEPT_FOR
    async with run.kernel.database.control() as connection:
        rows = await connection.fetch("SELECT id FROM tenants.erasures WHERE completed_at > $1", since)
    for row in rows:
        await Erasure(run.kernel, row["id"]).sweep()


SWEEP: Final = Schedule("tenants.sweep_erased", timedelta(hours=1), sweep_erased)
SCHEDULE: Final = Schedule("tenants.erase", timedelta(minutes=1), erase_due)
