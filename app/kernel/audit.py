"""Reading the audit log: a record's history, the tenant's whole log, and how far it is sealed.

Entries are written by the unit of work with the rows that they describe; nobody can change or delete them
through the API, and the sealer (app/kernel/audit_seal.py) makes changes behind its back provable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import orjson

from app.kernel.audit_seal import VerifyReport, seal, verify
from app.kernel.errors import InvalidCursor
from app.kernel.listing import (
    Bindings,
    Field,
    FieldSet,
    Kind,
    Query,
    compile_filter,
    query_from_parameters,
    read_cursor,
    sign_cursor,
)
from app.kernel.records import to_json
from app.kernel.uow import UnitOfWork

__all__ = ["AUDIT_FIELDS", "VerifyReport", "audit_page", "history_page", "seal", "verify"]


class Parameters(Protocol):
    """Query parameters as Starlette has them."""

    def multi_items(self) -> list[tuple[str, str]]: ...


AUDIT_FIELDS = FieldSet(
    {
        found.name: found
        for found in (
            Field("at", Kind.DATETIME, "t.at", nullable=False),
            Field("object", Kind.TEXT, "t.object", nullable=False),
            Field("record_id", Kind.UUID, "t.record_id", nullable=False),
            Field("actor_id", Kind.UUID, "t.actor_id", nullable=False),
            Field("actor_kind", Kind.TEXT, "t.actor_kind", nullable=False),
            Field("action", Kind.TEXT, "t.action", nullable=False),
            Field("request_id", Kind.TEXT, "t.request_id", nullable=False),
        )
    }
)
"""What the tenant's log can be filtered by."""

_COLUMNS = "t.id, t.at, t.actor_kind, t.actor_id, t.actor_name, t.action, t.changes, t.reason, t.request_id"


async def history_page(uow: UnitOfWork, object_name: str, record_id: UUID, query_params: Parameters) -> bytes:
    """Who changed what on one record, newest first, as the JSON of `Page[HistoryEntry]`.

    The caller has checked that the actor may see the record; fields hidden from the actor are left out.
    Raises: `InvalidCursor`, `InvalidFilter`.
    """
    query = query_from_parameters(query_params.multi_items())
    list_name = f"history:{object_name}:{record_id}"
    bind = Bindings(uow.tenant_id, object_name, record_id)
    where = "t.object = $2 AND t.record_id = $3"
    rows = await _newest(uow, where, bind, query, list_name)
    hidden = uow.actor.hidden(object_name)
    entries = [_entry(row, hidden) for row in rows[: query.limit]]
    return _page(uow, entries, query, list_name, more=len(rows) > query.limit)


async def audit_page(uow: UnitOfWork, query_params: Parameters) -> bytes:
    """The tenant's log, newest first, filtered by `AUDIT_FIELDS`, as the JSON of `Page[AuditEntry]`.

    Raises: `InvalidCursor`, `InvalidFilter`.
    """
    query = query_from_parameters(query_params.multi_items())
    bind = Bindings(uow.tenant_id)
    where = compile_filter(query.groups, AUDIT_FIELDS, uow.actor.tenant, uow.now, bind) or "true"
    rows = await _newest(uow, where, bind, query, "audit", ", t.object, t.record_id")
    entries = []
    for row in rows[: query.limit]:
        entry = _entry(row, _hidden(uow, row["object"]))
        entries.append(entry | {"object": row["object"], "record_id": row["record_id"]})
    return _page(uow, entries, query, "audit", more=len(rows) > query.limit)


def _hidden(uow: UnitOfWork, object_name: str) -> Collection[str]:
    """What the log may not tell of an object; of a part, also what repeats a hidden field of its record."""
    hidden = uow.actor.hidden(object_name)
    record, follows = uow.kernel.registry.parts.get(object_name, (object_name, {}))
    of_record = uow.actor.hidden(record)
    return hidden | {name for name, followed in follows.items() if followed in of_record}


async def _newest(
    uow: UnitOfWork, where: str, bind: Bindings, query: Query, list_name: str, more_columns: str = ""
) -> Sequence[Any]:
    if query.cursor is not None:
        values = read_cursor(uow.kernel.secrets, uow.tenant_id, list_name, query)
        if len(values) != 1 or values[0] is None:
            raise InvalidCursor
        where += f" AND t.id < {bind(UUID(values[0]))}"
    return await uow.fetch(
        f"SELECT {_COLUMNS}{more_columns} FROM kernel.audit_entries t WHERE t.tenant_id = $1 AND {where}"
        f" ORDER BY t.id DESC LIMIT {query.limit + 1}",
        *bind.values,
    )


def _entry(row: Mapping[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    entry = {name: row[name] for name in _ENTRY_FIELDS}
    if hidden:
        entry["changes"] = {name: pair for name, pair in row["changes"].items() if name not in hidden}
    return entry


_ENTRY_FIELDS = (
    "id", "at", "actor_kind", "actor_id", "actor_name", "action", "changes", "reason", "request_id",
)  # fmt: skip


def _page(
    uow: UnitOfWork, entries: list[dict[str, Any]], query: Query, list_name: str, *, more: bool
) -> bytes:
    cursor = None
    if more:
        position = orjson.dumps([str(entries[-1]["id"])]).decode()
        cursor = sign_cursor(uow.kernel.secrets, uow.tenant_id, list_name, query, position)
    return to_json(
        {"data": entries, "next_cursor": cursor, "has_more": more, "total": None, "total_is_estimate": None}
    )


async def seal_status(uow: UnitOfWork) -> dict[str, Any]:
    """How far the tenant's log is sealed: cheap, and no proof (`rapport audit verify` is)."""
    row = await uow.fetchrow(
        "SELECT sequence, hash, checkpoint_sequence, checkpoint_at, tx::text AS tx, entry_id"
        " FROM kernel.audit_heads WHERE tenant_id = $1",
        uow.tenant_id,
    )
    after = "" if row is None else " AND (tx, id) > ($2::text::xid8, $3)"
    waiting = await uow.fetchrow(
        "SELECT count(*) AS count FROM (SELECT 1 FROM kernel.audit_entries"
        f" WHERE tenant_id = $1{after} LIMIT 10000) w",
        *([uow.tenant_id] if row is None else [uow.tenant_id, row["tx"], row["entry_id"]]),
    )
    signed = row is not None and row["checkpoint_sequence"] > 0
    return {
        "sealed": row["sequence"] if row else 0,
        "head": row["hash"].hex() if row else None,
        "waiting": waiting["count"] if waiting else 0,
        "signed": row["checkpoint_sequence"] if row else 0,
        "signed_at": row["checkpoint_at"] if row and signed else None,
    }
