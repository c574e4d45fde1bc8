"""The limit: bare ASGI and asyncpg, no framework, no validation, no permission; same tables with the same RLS.

`BEGIN; SET LOCAL` in one message, one statement, COMMIT. Create and update write row, audit entry and event in one
CTE: the same row with the same search tokens and compared forms (its client sends them made), the same changes and
the same event. It answers the same JSON for the same lead, so that what the product adds is all that differs: what it
checks, makes and remembers. A record with parts is read with them, by the product's own select list: header and lines
in one statement of the limit's transaction. An order comes with its lines as rows of the tables, made and totalled by
the client, and so do other records (`LINES`): a case with its clocks, a coupon with its code, a quote with its lines
and first step, a deal with its first stage and the task that the demo company's playbook gives out for it, which has
its own link, audit entry and event. With a change its client sends the record that the event carries and, of a text
that finds the record, the search tokens: without them nobody would find it any more. Writing goes by generic plans,
as the product's does: planning the triggers' statements each time costs more than running them. The limit of pricing
is one statement that reads products.

It is not the least that can be done. Rows come as one JSON text per table, which the server takes apart; of a
record's own row the product sends the columns one by one, which is less work for the server. On the other side it
looks up and holds nothing that a record refers to, gives no numbers, counts no use, keeps no answers under
idempotency keys, and answers what it writes without parts.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn

from app.kernel.ids import new_id
from app.kernel.records import RecordType, to_json
from app.kernel.statements import split_tokens
from app.modules import MODULES
from app.modules.leads.services.leads import LEAD

RECORDS: dict[str, RecordType[Any]] = {record.path: record for module in MODULES for record in module.records}
_PLAN = LEAD.plan
_LIST = (
    f"SELECT {_PLAN.columns} FROM {LEAD.view} t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
    " AND t.status = $2 ORDER BY t.created_at DESC, t.id DESC LIMIT 51"
)
_NEWEST = "ORDER BY t.created_at DESC, t.id DESC LIMIT 51"
_SIDE = """, a AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, object, record_id, action, changes)
  SELECT $1, $3, now(), 'member', $2, 'bench', 'lead', t.id, 'created', $5::jsonb FROM t
), o AS (
  INSERT INTO kernel.outbox (tenant_id, id, at, actor_kind, actor_id, type, object, record_id, data)
  SELECT $1, $4, now(), 'member', $2, 'leads.lead.created.v1', 'lead', t.id, $6::jsonb FROM t
)"""
_CREATE = f"""WITH t AS (
  INSERT INTO {LEAD.table} (tenant_id, id, created_at, updated_at, first_touch_at, last_touch_at,
    name, company, email, status, tokens, email_key, name_key, owner_id)
  VALUES ($1, $2, now(), now(), now(), now(), $7, $8, $9, 'new', $10, $11, $12, $13) RETURNING *
){_SIDE} SELECT {_PLAN.columns} FROM t"""
_UPDATE = f"""WITH t AS (
  UPDATE {LEAD.table} SET title = $7, version = version + 1, updated_at = now()
  WHERE tenant_id = $1 AND id = $2 AND version = $8 RETURNING *
){_SIDE} SELECT {_PLAN.columns} FROM t"""
_ORDER = """WITH t AS (
  INSERT INTO orders.orders SELECT * FROM jsonb_populate_record(NULL::orders.orders, $3::jsonb) RETURNING *
), l AS (
  INSERT INTO orders.order_lines SELECT * FROM jsonb_populate_recordset(NULL::orders.order_lines, $4::jsonb)
), a AS (
  INSERT INTO kernel.audit_entries
    (tenant_id, id, at, actor_kind, actor_id, actor_name, object, record_id, action, changes)
  SELECT $1, $2, now(), 'member', $1, 'bench', 'order', t.id, 'created', $5::jsonb FROM t
), o AS (
  INSERT INTO kernel.outbox (tenant_id, id, at, actor_kind, actor_id, type, object, record_id, data)
  SELECT $1, $2, now(), 'member', $1, 'orders.order.created.v1', 'order', t.id, $6::jsonb FROM t
) SELECT 1"""
_TASKS = "SELECT activity_id FROM opportunities.playbook_tasks WHERE tenant_id = $1 AND opportunity_id = $2"
LINES: dict[str, tuple[tuple[str, str], ...]] = {
    "cases": (("after_sales.case_clocks", "case_id = $2"),),
    "coupons": (("membership.coupon_codes", "coupon_id = $2"),),
    "quotes": (("quotes.quote_lines", "quote_id = $2"), ("quotes.quote_steps", "quote_id = $2")),
    "opportunities": (
        ("opportunities.stage_history", "opportunity_id = $2"),
        ("activities.activities", f"id IN ({_TASKS})"),
        ("activities.links", "object = 'opportunity' AND record_id = $2"),
        ("opportunities.playbook_tasks", "opportunity_id = $2"),
        ("kernel.audit_entries", f"object = 'activity' AND record_id IN ({_TASKS})"),
        ("kernel.outbox", f"object = 'activity' AND record_id IN ({_TASKS})"),
    ),
}
"""The tables whose rows come into being with a record, and which of their rows are those of one (`$2`)."""
_PRODUCTS = "SELECT * FROM catalog.products WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
_EMPTY: dict[str, Any] = dict.fromkeys(_PLAN.names)
COLUMNS = """
SELECT string_agg(attname, ', ' ORDER BY attnum) AS columns FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> 'tx'"""
"""A table's columns but those that the database fills in."""


def _beside(record: RecordType[Any], verb: str) -> str:
    """The audit entry and the event of a record, as of a lead."""
    kind = f"'{record.module}.{record.object}.{verb}.v1', '{record.object}'"
    side = _SIDE.replace("'leads.lead.created.v1', 'lead'", kind)
    return side.replace("'lead', t.id, 'created'", f"'{record.object}', t.id, '{verb}'")


class Raw:
    """The smallest server that does the job."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], tenant_id: UUID) -> None:
        self._pool = pool
        self._tenant = tenant_id
        self._inserts: dict[str, str] = {}
        self._begin = f"BEGIN; SET LOCAL app.tenant_id = '{tenant_id}'"
        self._begin_writing = f"{self._begin}; SET LOCAL plan_cache_mode = force_generic_plan"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if method == "GET":
            body = await self._read(path, scope["query_string"])
        else:
            given = orjson.loads(await _body(receive))
            if path == "/v1/orders":
                body = await self._order(given)
            elif path == "/v1/prices/resolve":
                body = await self._price(given)
            elif not path.startswith("/v1/leads"):
                body = await self._record(method, scope, given)
            else:
                body = await self._lead(method, scope, given)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lead(self, method: str, scope: Any, given: dict[str, Any]) -> bytes:
        made = given.pop("made", None)
        side = (
            new_id(),
            new_id(),
            orjson.dumps({name: [None, value] for name, value in given.items()}).decode(),
            orjson.dumps({"record": _EMPTY | given}).decode(),
        )
        if method == "POST":
            rows = await self._run(
                _CREATE, self._tenant, new_id(), *side, given["name"], given["company"], given["email"],
                made["tokens"], made["email_key"], made["name_key"], self._tenant, writes=True,
            )  # fmt: skip
        else:
            version = int(dict(scope["headers"])[b"if-match"].strip(b'"'))
            id = UUID(scope["path"][10:])
            rows = await self._run(_UPDATE, self._tenant, id, *side, given["title"], version, writes=True)
        return to_json(_PLAN.render(rows[0]))

    async def _record(self, method: str, scope: Any, given: dict[str, Any]) -> bytes:
        """Any other record: a whole row as its client made it, or one changed column."""
        _, _, plural, *rest = scope["path"].split("/")
        record = RECORDS[plural]
        if method == "POST":
            row = given["row"]
            changes = {name: [None, value] for name, value in row.items() if value is not None}
            sql = await self._insert(record)
            values: list[Any] = [UUID(row["id"]), *_told(changes, row), orjson.dumps(row).decode()]
            values += [orjson.dumps(lines).decode() for lines in given["lines"]]
        else:
            made = given.pop("made")
            ((name, value),) = given.items()
            version = int(dict(scope["headers"])[b"if-match"].strip(b'"'))
            found_by = f", tokens = {split_tokens('$9')}" if "tokens" in made else ""
            sql = (
                f"WITH t AS (UPDATE {record.table} SET {name} = $7, version = version + 1, updated_at = now()"
                f"{found_by} WHERE tenant_id = $1 AND id = $2 AND version = $8 RETURNING *)"
                f"{_beside(record, 'updated')} SELECT {record.plan.columns} FROM t"
            )
            values = [UUID(rest[0]), *_told({name: [None, value]}, made["record"]), value, version]
            values += [made["tokens"]] if "tokens" in made else []
        rows = await self._run(sql, self._tenant, *values, writes=True)
        return to_json(record.plan.render(rows[0]))

    async def _insert(self, record: RecordType[Any]) -> str:
        if record.path not in self._inserts:
            columns = await self._columns(record.table)
            lines = ""
            for place, (table, _) in enumerate(LINES.get(record.path, ())):
                names = await self._columns(table)
                rows = f"SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, ${8 + place}::jsonb)"
                lines += f", l{place} AS (INSERT INTO {table} ({names}) {rows})"
            self._inserts[record.path] = (
                f"WITH t AS (INSERT INTO {record.table} ({columns}) SELECT {columns}"
                f" FROM jsonb_populate_record(NULL::{record.table}, $7::jsonb) RETURNING *){lines}"
                f"{_beside(record, 'created')} SELECT {record.plan.columns} FROM t"
            )
        return self._inserts[record.path]

    async def _columns(self, table: str) -> str:
        """Its columns but those that the database fills in."""
        return str((await self._run(COLUMNS, table))[0]["columns"])

    async def _order(self, given: dict[str, Any]) -> bytes:
        order, lines = given["order"], given["lines"]
        changes = to_json({name: [None, value] for name, value in order.items()}).decode()
        event = to_json({"record": order}).decode()
        rows = (to_json(order).decode(), to_json(lines).decode())
        await self._run(_ORDER, self._tenant, new_id(), *rows, changes, event, writes=True)
        return to_json({**order, "lines": lines})

    async def _price(self, given: dict[str, Any]) -> bytes:
        ids = [UUID(line["product_id"]) for line in given["lines"]]
        return to_json([dict(row) for row in await self._run(_PRODUCTS, self._tenant, ids)])

    async def _read(self, path: str, query: bytes) -> bytes:
        """One record, or the 50 newest of its kind; of leads the new ones, where any filter is asked for."""
        _, _, plural, *rest = path.split("/")
        record = RECORDS[plural]
        plan = record.plan
        if rest:
            parts = record.parts_columns(frozenset())
            sql = f"SELECT {plan.columns}{parts} FROM {record.table} t WHERE t.tenant_id = $1 AND t.id = $2"
            rows = await self._run(f"{sql} AND t.deleted_at IS NULL", self._tenant, UUID(rest[0]))
            return to_json(plan.render(rows[0]) | record.parts_in(rows[0], plan.width))
        if b"status" in query:
            rows = await self._run(_LIST, self._tenant, "new")
        else:
            sql = f"SELECT {plan.columns} FROM {record.view} t WHERE t.tenant_id = $1"
            rows = await self._run(f"{sql} AND t.deleted_at IS NULL {_NEWEST}", self._tenant)
        return to_json({"data": [plan.render(row) for row in rows[:50]], "next_cursor": None})

    async def _run(self, sql: str, *arguments: Any, writes: bool = False) -> list[asyncpg.Record]:
        async with self._pool.acquire() as connection:
            await connection.execute(self._begin_writing if writes else self._begin)
            rows = await connection.fetch(sql, *arguments)
            await connection.execute("COMMIT")
        return rows


def _told(changes: dict[str, Any], record: dict[str, Any]) -> tuple[UUID, UUID, str, str]:
    """Ids and contents of the audit entry and the event."""
    return new_id(), new_id(), orjson.dumps(changes).decode(), orjson.dumps({"record": record}).decode()


async def _body(receive: Any) -> bytes:
    """All of a request's body: a long one comes in parts."""
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)


async def serve(url: str, tenant_id: UUID, port: int) -> None:
    """Serve on loopback until killed."""
    from app.kernel.db import _Connection

    pool = await asyncpg.create_pool(
        url, min_size=16, max_size=16, connection_class=_Connection,
        server_settings={"role": "rapport_app", "jit": "off"}, max_cached_statement_lifetime=0,
    )  # fmt: skip
    config = uvicorn.Config(
        Raw(pool, tenant_id),
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    from app.kernel.startup import settle_memory

    settle_memory()
    uvloop.run(
        serve(os.environ["BENCH_URL"], UUID(os.environ["BENCH_TENANT"]), int(os.environ["BENCH_PORT"]))
    )
