"""The unit of work: one request or job, one transaction, everything written together or not at all.

Rows, audit entries, events, usage and the idempotency record commit in one transaction that only the route or
the job runner ends. Services read typed rows, write through `insert`, `update` and `delete`, and reach other
modules through `uow.of(Interface)`, which answers in the same transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import asyncpg
from sqlalchemy import Select, select
from sqlalchemy.sql import ClauseElement

from app.kernel import db, statements
from app.kernel.access import Actor
from app.kernel.db import Connection, compile_statement
from app.kernel.errors import NotFound, StaleVersion
from app.kernel.events import Event, RecordEvent
from app.kernel.ids import new_id, new_id_text
from app.kernel.models import TenantOwned, Versioned, qualified
from app.kernel.statements import LateWrite, Lock, audited_columns, columns_of, entity, required_columns

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

M = TypeVar("M", bound=TenantOwned)
V = TypeVar("V", bound=Versioned)
T = TypeVar("T")

REDACTED = "[redacted]"
_MOST_TOGETHER = 8  # so that the statements that a process prepares stay few


@dataclass(slots=True)
class _Pending:
    """What will be written beside the rows when the transaction ends."""

    audit: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    idempotency: dict[str, Any] | None = None
    jobs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Late:
    """Rows that wait to be written together with the side effects."""

    write: LateWrite
    values: list[Any]

    def changes(self, row: TenantOwned) -> bool:
        """Whether this changes that very row."""
        write = self.write
        return (
            write.build is statements.update_one
            and write.model is type(row)
            and self.values[1] == row.__dict__["id"]
        )

    def answering(self) -> _Late:
        """The same, with the row that it changes as an answer."""
        return replace(self, write=replace(self.write, build=statements.update_whole))


class UnitOfWork:
    """One transaction of one actor. Not for concurrent use: one task owns it."""

    def __init__(
        self,
        kernel: Kernel,
        connection: Connection,
        actor: Actor,
        *,
        request_id: str = "",
        read_only: bool = False,
        begun: bool = True,
    ) -> None:
        self.kernel = kernel
        self._connection = connection
        self._begun = begun
        self._late: list[_Late] = []
        self.actor = actor
        self.request_id = request_id
        self.read_only = read_only
        self.now: datetime = kernel.clock.now()
        self.statements = 0
        self._pending = _Pending()
        self._interfaces: dict[type[Any], Any] = {}

    @property
    def tenant_id(self) -> UUID:
        return self.actor.tenant.id

    @property
    def connection(self) -> Connection:
        """The driver connection, for COPY and cursors; what went before is written by then."""
        if self._late or not self._begun:
            raise RuntimeError("a row still waits for the commit: `await uow.settle()` first")
        return self._connection

    async def settle(self) -> None:
        """Begin, if that was put off, and write the rows that wait for the commit; every statement does so."""
        if not self._begun:
            self._begun = True
            await db.begin(self._connection, self.tenant_id, read_only=self.read_only)
        if self._late:
            await self._write_all()

    async def _write_all(
        self,
        present: tuple[tuple[str, bool], ...] = (),
        arguments: Sequence[Any] = (),
        answer: str = "1",
    ) -> asyncpg.Record:
        """Write the rows that wait, and the side effects that are `present`, in one statement; its `answer`."""
        late, self._late = self._late, []
        sql = statements.side_effects(present, tuple(one.write for one in late), answer)
        values = list(arguments)
        for one in late:
            values += one.values
        self.statements += 1
        return _required(await self._connection.fetch(sql, *values))

    async def begin_writing(self) -> None:
        """Let a read leave a trace: what was read stays as it was read, and from here on this may write."""
        if self.read_only:
            if self._begun:
                await self._connection.execute("COMMIT")
            self._begun = True
            await db.begin(self._connection, self.tenant_id, point_work=True)
            self.read_only = False

    async def enter(self, actor: Actor) -> None:
        """Bind a control transaction to a tenant from here on: sign-up and invitations need it."""
        self.actor = actor
        await self._connection.execute(f"SET LOCAL app.tenant_id = '{actor.tenant.id}'")

    # -- other modules -------------------------------------------------------------------------------------

    def of(self, interface: type[T]) -> T:
        """The implementation of another module's interface, bound to this transaction."""
        found = self._interfaces.get(interface)
        if found is None:
            found = self._interfaces[interface] = self.kernel.registry.provide(interface, self)
        return cast("T", found)

    def ports(self, port: type[T]) -> list[T]:
        """All implementations that higher modules registered for a port, bound to this transaction."""
        return self.kernel.registry.implementations(port, self)

    # -- reading -------------------------------------------------------------------------------------------

    def select(self, model: type[M], *, deleted: bool = False) -> Select[M]:
        """`SELECT` of a mapped class with the tenant filter, and without soft-deleted rows unless asked."""
        statement = select(model).where(model.tenant_id == self.tenant_id)
        if not deleted and "deleted_at" in columns_of(model):
            statement = statement.where(model.__table__.c.deleted_at.is_(None))
        return statement

    async def get(self, model: type[M], id: UUID, *, lock: Lock = None, deleted: bool = False) -> M:
        """The row with this id. Raises `NotFound`."""
        found = await self.find(model, id, lock=lock, deleted=deleted)
        if found is None:
            raise NotFound
        return found

    async def find(self, model: type[M], id: UUID, *, lock: Lock = None, deleted: bool = False) -> M | None:
        """The row with this id, or None."""
        row = await self.fetchrow(statements.point_read(model, lock, deleted), self.tenant_id, id)
        return None if row is None else entity(model, row)

    async def all(self, statement: Select[M]) -> list[M]:
        """The rows of a `select(Model)`."""
        model = cast("type[M]", statement.column_descriptions[0]["entity"])
        return [entity(model, row) for row in await self.rows(statement)]

    async def first(self, statement: Select[M]) -> M | None:
        """The first row of a `select(Model)`, or None."""
        found = await self.all(statement.limit(1))
        return found[0] if found else None

    async def rows(self, statement: ClauseElement) -> list[asyncpg.Record]:
        """Run any SQLAlchemy statement; plain records by column name."""
        sql, arguments = compile_statement(statement)
        return await self.fetch(sql, *arguments)

    async def scalar(self, statement: ClauseElement) -> Any:
        """The first column of the first row, or None."""
        found = await self.rows(statement)
        return found[0][0] if found else None

    async def execute(self, statement: ClauseElement) -> int:
        """Run a statement for its effect; the number of rows it touched. Not audited: for internals only."""
        await self.settle()
        sql, arguments = compile_statement(statement)
        self.statements += 1
        status = await self._connection.execute(sql, *arguments)
        tail = status.rsplit(" ", 1)[-1]
        return int(tail) if tail.isdigit() else 0

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run SQL text of this module's own tables."""
        await self.settle()
        self.statements += 1
        return await self._connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        await self.settle()
        self.statements += 1
        return await self._connection.fetchrow(sql, *arguments)

    async def fetchone(self, sql: str, *arguments: Any) -> asyncpg.Record:
        """The row of a statement that always has one: of an aggregate, of what is inserted or else updated."""
        row = await self.fetchrow(sql, *arguments)
        if row is None:
            raise RuntimeError(f"no row where one always is: {sql}")
        return row

    async def fetchrow_alone(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """As `fetchrow`, for the only statement of a request whose transaction has not begun: without one.

        `sql` is a SELECT that ends in a condition; its first argument is the tenant (`db.lone_read`).
        """
        if self._begun:
            return await self.fetchrow(sql, *arguments)
        self.statements += 1
        return await self._connection.fetchrow(db.lone_read(sql), *arguments)

    async def fetch_alone(self, sql: str, tail: str, order: str, *arguments: Any) -> list[asyncpg.Record]:
        """As `fetchrow_alone`, of many rows: `tail` follows the condition, and says the `order` of its columns."""
        if self._begun:
            return await self.fetch(sql + tail, *arguments)
        self.statements += 1
        return await self._connection.fetch(db.lone_read(sql, tail, order), *arguments)

    # -- writing -------------------------------------------------------------------------------------------

    async def insert(self, model: type[M], *, audit: str | None = None, **values: Any) -> M:
        """Insert one row and return it as stored.

        `tenant_id`, `id`, `version` and the timestamps are filled when absent. `audit` names the object for the
        audit log; without it nothing is logged (for link tables and internals).
        """
        values = self._with_defaults(model, values)
        row = await self.fetchrow(statements.insert_returning(model, tuple(values)), *values.values())
        stored = entity(model, cast("asyncpg.Record", row))
        if audit:
            audited = audited_columns(model)
            changes = {n: [None, v] for n, v in values.items() if v is not None and n in audited}
            self.record_audit(audit, stored.id, "created", changes)
        return stored

    async def insert_last(self, model: type[M], *, audit: str, **values: Any) -> M:
        """As `insert`, but the row travels with the side effects, in one round trip less.

        For the row that a request is about, and for those that come into being with it: they are written by the next
        statement at the latest, and what a constraint refuses shows then. Where the database fills in a column
        itself, this is `insert`.
        """
        given = self._with_defaults(model, values)
        if not required_columns(model) <= given.keys():
            return await self.insert(model, audit=audit, **given)
        if not self._may_join:
            await self.settle()
        values = dict.fromkeys(columns_of(model)) | given
        for name in statements.moment_columns(model):
            values[name] = statements.in_utc(values[name])
        arguments = statements.insert_arguments(values)
        write = LateWrite(statements.insert_one, model, tuple(values), len(arguments))
        self._late.append(_Late(write, arguments))
        audited = audited_columns(model)
        changes = {n: [None, v] for n, v in values.items() if v is not None and n in audited}
        self.record_audit(audit, values["id"], "created", changes)
        return entity(model, values)

    async def insert_many(self, model: type[M], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows of one shape, unaudited, in one statement per 1,000: for lines and link tables."""
        for start in range(0, len(rows), 1_000):
            full = self._filled_in(model, rows[start : start + 1_000])
            await self.settle()
            self.statements += 1
            await self._connection.execute(statements.insert_many(model, tuple(full[0])), full)

    async def insert_many_last(self, model: type[M], rows: Sequence[Mapping[str, Any]]) -> None:
        """As `insert_many`, but travelling with the side effects and with the row that waits for them.

        For the lines of the row that a request is about; what a constraint refuses shows with the next statement.
        """
        if len(rows) > 1_000:
            await self.insert_many(model, rows)
        elif rows:
            full = self._filled_in(model, rows)
            self._late.append(_Late(LateWrite(statements.insert_many, model, tuple(full[0]), 1), [full]))

    @property
    def _may_join(self) -> bool:
        """Whether a new row may be written together with all that waits.

        New rows do not touch each other, and what refers to one is looked at when all are there. A row that changes
        goes first: the order within one statement is not ours to say.
        """
        return (
            self._begun and len(self._late) < _MOST_TOGETHER and all(one.write.inserts for one in self._late)
        )

    def _filled_in(self, model: type[M], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows of one shape with what `insert` would fill in."""
        given = self._with_defaults(model, {})
        full = [{**given, **row} for row in rows]
        if "id" in given and "id" not in rows[0]:
            for row in full:
                row["id"] = new_id()
        if any(row.keys() != full[0].keys() for row in full):
            raise ValueError("rows of different shapes")
        for name in statements.binary_columns(model) & full[0].keys():
            for row in full:
                row[name] = None if row[name] is None else f"\\x{row[name].hex()}"
        return full

    async def update(self, row: M, *, audit: str | None = None, action: str = "updated", **changes: Any) -> M:
        """Change a row that was read in this transaction; returns it as stored.

        Only real differences are written; a versioned row gets the next version and `updated_at`. Raises
        `StaleVersion` when someone else changed it meanwhile.
        """
        model = type(row)
        before = row.__dict__
        changed = {name: value for name, value in changes.items() if before[name] != value}
        if not changed:
            return row
        names = tuple(changed)
        arguments: list[Any] = [row.tenant_id, row.id, *changed.values()]
        if isinstance(row, Versioned):
            arguments += [row.version, self.now]
        stored = await self.fetchrow(statements.update_returning(model, names), *arguments)
        if stored is None:
            raise StaleVersion
        if audit:
            audited = audited_columns(model)
            diff = {n: [before[n], v] for n, v in changed.items() if n in audited}
            self.record_audit(audit, row.id, action, diff)
        return entity(model, stored)

    async def update_last(
        self, row: M, *, audit: str, action: str = "updated", reason: str | None = None, **changes: Any
    ) -> M:
        """As `update`, but travelling with the side effects as in `insert_last`. The row must be locked."""
        model, before = type(row), row.__dict__
        changed = {name: value for name, value in changes.items() if before[name] != value}
        if not changed:
            return row
        await self.settle()
        audited = audited_columns(model)
        diff = {n: [before[n], v] for n, v in changed.items() if n in audited}
        self.record_audit(audit, row.id, action, diff, reason=reason)
        names = tuple(changed)
        values = [row.tenant_id, row.id, *map(statements.in_utc, changed.values())]
        after = {**before, **dict(zip(names, values[2:], strict=True))}
        if isinstance(row, Versioned):
            values += [row.version, self.now]
            after |= {"version": row.version + 1, "updated_at": self.now}
        self._late = [_Late(LateWrite(statements.update_one, model, names, len(values)), values)]
        return entity(model, after)

    async def delete(self, row: M, *, audit: str | None = None) -> None:
        """Delete a row: softly where the table has `deleted_at`, else for good."""
        model = type(row)
        if "deleted_at" in columns_of(model):
            await self.update(row, audit=audit, action="deleted", deleted_at=self.now)
            return
        await self.settle()
        self.statements += 1
        await self._connection.execute(
            f"DELETE FROM {qualified(model)} WHERE tenant_id = $1 AND id = $2", row.tenant_id, row.id
        )
        if audit:
            audited = audited_columns(model)
            gone = {n: [v, None] for n, v in row.__dict__.items() if v is not None and n in audited}
            self.record_audit(audit, row.id, "deleted", gone)

    def _with_defaults(self, model: type[TenantOwned], values: dict[str, Any]) -> dict[str, Any]:
        values.setdefault("tenant_id", self.tenant_id)
        known = columns_of(model)
        if "id" in known:
            values.setdefault("id", new_id())
        for name, value in (("version", 1), ("created_at", self.now), ("updated_at", self.now)):
            if name in known:
                values.setdefault(name, value)
        return values

    # -- beside the rows -----------------------------------------------------------------------------------

    def record_audit(
        self,
        object_name: str,
        record_id: UUID,
        action: str,
        changes: Mapping[str, list[Any]] | None = None,
        *,
        reason: str | None = None,
    ) -> None:
        """Say who did what to which record; committed with the rows. `changes` is field → [before, after]."""
        self._pending.audit.append(
            {
                "id": new_id_text(),
                "object": object_name,
                "record_id": record_id,
                "action": action,
                "changes": dict(changes or {}),
                "reason": reason,
            }
        )

    def publish(self, event: Event) -> None:
        """Publish an event with the rows that it describes; delivered at least once after the commit."""
        self._publish(type(event), event.record_id, event.model_dump(mode="json"))

    def publish_record(
        self,
        kind: type[RecordEvent],
        record_id: UUID,
        version: int,
        *,
        changed: Sequence[str] = (),
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish a generated event of a rendered record; as `publish`, without building what is known to fit."""
        data = {"id": record_id, "version": version, "changed": changed, "record": record}
        self._publish(kind, record_id, data)

    def _publish(self, kind: type[Event], record_id: UUID, data: Mapping[str, Any]) -> None:
        self._pending.events.append(
            {
                "id": new_id_text(),
                "type": kind.type,
                "object": kind.object,
                "record_id": record_id,
                "data": data,
            }
        )

    def meter(self, metric: str, quantity: int = 1) -> None:
        """Count usage in the same transaction as the metered act."""
        self._pending.usage[metric] = self._pending.usage.get(metric, 0) + quantity

    def enqueue(
        self,
        name: str,
        payload: Mapping[str, Any],
        *,
        job_id: UUID | None = None,
        run_at: datetime | None = None,
    ) -> UUID:
        """Start a background job when this transaction commits; returns its id."""
        job_id = job_id or new_id()
        job = {"id": job_id, "name": name, "payload": dict(payload), "run_at": run_at or self.now}
        if self.actor.kind == "impersonation":
            job["session_id"] = self.actor.session_id
        self._pending.jobs.append(job)
        return job_id

    def remember_answer(self, record: dict[str, Any]) -> None:
        """Store the answer under its idempotency key, with the effect."""
        self._pending.idempotency = record

    async def within_limits(self) -> None:
        """Refuse records that go beyond a hard limit of the plan; so does `flush`. Raises: PlanLimitReached."""
        made = self._pending.usage.get("records.created")
        if made:
            await self.kernel.limits.check_records(self, made)

    async def flush(self) -> None:
        """Write what is pending beside the rows, in one statement. Raises: PlanLimitReached."""
        await self.within_limits()
        await self._flush("1")

    async def flush_answering(self, row: TenantOwned, columns: str) -> asyncpg.Record | None:
        """As `flush`; answers a select list of the row `t`, as it is once the change of it that waits is written.

        None where that is not all that waits: then it has to be read. Other tables are seen as they were before.
        """
        await self.within_limits()  # which may write what waits
        if len(self._late) != 1 or not self._late[0].changes(row):
            await self._flush("1")
            return None
        self._late = [self._late[0].answering()]
        return await self._flush(columns)

    async def _flush(self, answer: str) -> asyncpg.Record | None:
        """Write what is pending, within the limits; what its statement answers, None without one."""
        pending, self._pending = self._pending, _Pending()
        parts: dict[str, Sequence[Mapping[str, Any]]] = {
            "audit": pending.audit,
            "events": pending.events,
            "usage": [
                {"id": new_id_text(), "metric": name, "quantity": quantity}
                for name, quantity in pending.usage.items()
            ],
            "answers": [pending.idempotency] if pending.idempotency else [],
            "jobs": pending.jobs,
        }
        present = tuple((name, len(rows) == 1) for name, rows in parts.items() if rows)
        if not present and not self._begun:
            return None
        if not present or not self._begun:
            await self.settle()
        if not present:
            return None
        actor = self.actor
        arguments: list[Any] = [self.tenant_id, self.now, actor.kind, actor.id, actor.name, self.request_id]
        for name, _ in present:
            arguments += statements.side_arguments(name, parts[name])
        return await self._write_all(present, arguments, answer)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Try something that may fail without losing the rest: rows and pending effects roll back together."""
        await self.settle()
        kept = self._pending
        self._pending = _Pending()
        await self._connection.execute("SAVEPOINT s")
        try:
            yield
            await self.settle()
        except BaseException:
            self._pending, self._late = kept, []
            await self._connection.execute("ROLLBACK TO SAVEPOINT s; RELEASE SAVEPOINT s")
            raise
        await self._connection.execute("RELEASE SAVEPOINT s")
        tried, self._pending = self._pending, kept
        kept.audit += tried.audit
        kept.events += tried.events
        kept.jobs += tried.jobs
        for metric, quantity in tried.usage.items():
            kept.usage[metric] = kept.usage.get(metric, 0) + quantity

    async def commit(self) -> None:
        """End the transaction; only the route and the job runner call this."""
        await self.flush()
        if self._begun:
            await self._connection.execute("COMMIT")

    async def rollback(self) -> None:
        if self._begun and not self._connection.is_closed():
            await self._connection.execute("ROLLBACK")


@asynccontextmanager
async def transaction(
    kernel: Kernel, actor: Actor, *, request_id: str = "", read_only: bool = False, point_work: bool = False
) -> AsyncIterator[UnitOfWork]:
    """A unit of work from BEGIN to COMMIT, for jobs, reactions and tests. Routes have their own.

    `point_work` as for `db.begin`.
    """
    async with kernel.database.acquire() as connection:
        await db.begin(connection, actor.tenant.id, read_only=read_only, point_work=point_work)
        uow = UnitOfWork(kernel, connection, actor, request_id=request_id, read_only=read_only)
        try:
            yield uow
            await uow.flush()
        except BaseException:
            await uow.rollback()
            raise
        await connection.execute("COMMIT")


def _required(rows: Sequence[asyncpg.Record]) -> asyncpg.Record:
    if not rows:
        raise StaleVersion
    return rows[0]
