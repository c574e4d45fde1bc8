"""Events as the outside sees them: CloudEvents, the feed that misses nothing, and a JSON Schema per type.

The feed reads by (transaction, id) below the oldest running transaction: an event that commits late appears
later in the feed, never behind a reader's cursor. A serial id or a timestamp as a watermark would lose it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from app.kernel.access import Actor, Scope
from app.kernel.errors import InvalidCursor
from app.kernel.events import Event, RecordEvent, declared_events
from app.kernel.listing import Bindings, Query, read_cursor, sign_cursor
from app.kernel.records import to_json
from app.kernel.registry import Registry
from app.kernel.uow import UnitOfWork

EVENT_COLUMNS = (
    "o.tenant_id, o.id, o.tx::text AS tx, o.at, o.actor_kind, o.actor_id, o.request_id, o.type, o.object,"
    " o.record_id, o.data"
)


def cloud_event(row: Mapping[str, Any], hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """One outbox row as a CloudEvent 1.0 in structured JSON; fields hidden from the reader are left out.

    Attribute names are lower-case letters and digits, as the specification asks (§3.1).
    """
    return {
        "specversion": "1.0",
        "id": row["id"],
        "source": f"/v1/tenants/{row['tenant_id']}",
        "type": row["type"],
        "subject": f"{row['object']}/{row['record_id']}",
        "time": row["at"],
        "datacontenttype": "application/json",
        "dataschema": f"/v1/event-types/{row['type']}",
        "actorkind": row["actor_kind"],
        "actorid": row["actor_id"],
        "requestid": row["request_id"],
        "data": _visible(row["data"], hidden) if hidden else row["data"],
    }


def _visible(data: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    """The payload of an event without a record's hidden fields."""
    shown = dict(data)
    if isinstance(shown.get("changed"), list):
        shown["changed"] = [name for name in shown["changed"] if name not in hidden]
    if isinstance(shown.get("record"), dict):
        shown["record"] = {name: value for name, value in shown["record"].items() if name not in hidden}
    for name, value in shown.items():
        if isinstance(value, list) and name != "changed":
            shown[name] = [_part(one, hidden) for one in value]  # lines have the fields of their record
    return {name: value for name, value in shown.items() if name not in hidden or name in _EVENT_FIELDS}


def _part(value: Any, hidden: frozenset[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in hidden}


_EVENT_FIELDS = frozenset(RecordEvent.model_fields)


def unreadable_objects(actor: Actor, registry: Registry) -> list[str]:
    """Record types of which the actor may not read every record; their events stay out of the actor's feed."""
    return [name for name in registry.records if actor.scope(f"{name}:read") is not Scope.ALL]


async def events_page(
    uow: UnitOfWork,
    *,
    limit: int,
    cursor: str | None,
    type_pattern: str | None = None,
    object_name: str | None = None,
    record_id: UUID | None = None,
    since: datetime | None = None,
) -> bytes:
    """The tenant's events, oldest first, as the JSON of `EventPage`; `next_cursor` goes on from any end.

    `type_pattern` is a type or has `*` for any rest. Raises: `InvalidCursor`.
    """
    filters = orjson.dumps([type_pattern, object_name, record_id, since], default=str).decode()
    query = Query(groups=(), text=filters, limit=limit, cursor=cursor)
    bind = Bindings(uow.tenant_id)
    clauses = ["o.tenant_id = $1", "o.tx < kernel.tx_horizon()"]
    clauses += _wanted(bind, type_pattern, object_name, record_id, since)
    position = _position(uow, query)
    if cursor is not None:
        clauses.append(f"(o.tx, o.id) > ({bind(position[0])}::text::xid8, {bind(UUID(position[1]))})")
    hidden_objects = unreadable_objects(uow.actor, uow.kernel.registry)
    if hidden_objects:
        clauses.append(f"o.object <> ALL({bind(hidden_objects)}::text[])")
    rows = await uow.fetch(
        f"SELECT {EVENT_COLUMNS} FROM kernel.outbox o WHERE {' AND '.join(clauses)}"
        f" ORDER BY o.tx, o.id LIMIT {limit + 1}",
        *bind.values,
    )
    shown = rows[:limit]
    if shown:
        position = [shown[-1]["tx"], str(shown[-1]["id"])]
    return to_json(
        {
            "data": [cloud_event(dict(row), uow.actor.hidden(row["object"])) for row in shown],
            "next_cursor": sign_cursor(
                uow.kernel.secrets, uow.tenant_id, "events", query, orjson.dumps(position).decode()
            ),
            "has_more": len(rows) > limit,
        }
    )


def _position(uow: UnitOfWork, query: Query) -> list[str | None]:
    """Transaction and id of the event behind which a page begins. Raises: `InvalidCursor`."""
    if query.cursor is None:
        return ["0", str(UUID(int=0))]
    position = read_cursor(uow.kernel.secrets, uow.tenant_id, "events", query)
    if len(position) != 2:
        raise InvalidCursor
    return position


def _wanted(
    bind: Bindings,
    type_pattern: str | None,
    object_name: str | None,
    record_id: UUID | None,
    since: datetime | None,
) -> list[str]:
    """SQL that is true for the events `o` that were asked for."""
    clauses = []
    if type_pattern is not None and "*" in type_pattern:
        pattern = type_pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
        clauses.append(f"o.type LIKE {bind(pattern)}")
    elif type_pattern is not None:
        clauses.append(f"o.type = {bind(type_pattern)}")
    if object_name is not None:
        clauses.append(f"o.object = {bind(object_name)}")
    if record_id is not None:
        clauses.append(f"o.record_id = {bind(record_id)}")
    if since is not None:
        clauses.append(f"o.at >= {bind(since)}")
    return clauses


# -- schemas -------------------------------------------------------------------------------------------------


def event_types(registry: Registry | None = None) -> dict[str, type[Event]]:
    """Every event class of the product by type; those of record types are made when they are asked for."""
    if registry is not None:
        for record in registry.records.values():
            _ = record.events
    kinds = {kind.type: kind for kind in declared_events()}
    if registry is None:
        return kinds
    modules = {"kernel", *(module.name for module in registry.modules)}
    return {name: kind for name, kind in kinds.items() if name.partition(".")[0] in modules}


def description_of(kind: type[Event]) -> str:
    """What an event type says; from its name where its class says nothing."""
    if kind.__doc__:
        return kind.__doc__.strip()
    verb = kind.type.split(".")[-2]
    return f"{kind.object} {verb}.".replace("_", " ").capitalize()


def event_schemas(registry: Registry | None = None) -> dict[str, Any]:
    """A JSON Schema (2020-12) of the `data` of every event type, as `openapi/events.json` holds them."""
    records = {} if registry is None else {record.object: record for record in registry.records.values()}
    found: dict[str, Any] = {}
    for name, kind in event_types(registry).items():
        schema = kind.model_json_schema(mode="serialization")
        record = records.get(kind.object)
        if issubclass(kind, RecordEvent) and record is not None:
            body = record.read.model_json_schema(mode="serialization")
            schema.setdefault("$defs", {}).update(body.pop("$defs", {}))
            schema["properties"]["record"] = {"anyOf": [body, {"type": "null"}]}
        found[name] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"/v1/event-types/{name}",
            **schema,
            "title": name,
        }
    return found
