"""Reading record types: point reads, lists and search as SQL text, straight from driver rows to JSON bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from app.kernel.access import Reach, visible_rows
from app.kernel.errors import InvalidFilter, NotFound
from app.kernel.listing import (
    COUNT_CAP,
    Bindings,
    Field,
    FieldSet,
    Keyset,
    Query,
    compile_filter,
    read_cursor,
    sign_cursor,
)
from app.kernel.records import ReadPlan, RecordType, to_json
from app.kernel.text_pages import ids_of_page
from app.kernel.tokens import found_by, query_tokens, squeeze
from app.kernel.uow import UnitOfWork

_UNEVEN = frozenset({"has_any", "has_all", "contains", "starts_with"})
EXPORT_BATCH = 2_000


async def read_one(uow: UnitOfWork, record: RecordType[Any], id: UUID) -> tuple[bytes, str]:
    """JSON and ETag of one visible record. Raises `NotFound`."""
    plan = record.plan_of(_visible_names(uow, record))
    parts = record.parts_columns(uow.actor.hidden(record.object))
    bind = Bindings(uow.tenant_id, id)
    visible = visible_rows(uow.actor, record.object, "read", bind)
    held = ", t.pool_id" if record.held else ""
    row = await uow.fetchrow_alone(
        f"SELECT {plan.columns}{parts}{held}, t.version, {f't.{record.moves_etag}' if record.moves_etag else 'NULL'}"
        f" FROM {record.table} t"
        f" WHERE t.tenant_id = $1 AND t.id = $2 AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}",
        *bind.values,
    )
    if row is None:
        raise NotFound
    if held and row[-3] is not None:
        await record.service(uow).opened(id, row[-3])
    computed_at = row[-1]
    moved = f"-{int(computed_at.timestamp() * 1e6):x}" if computed_at is not None else ""
    answer = plan.render(row)
    if record.parts:
        answer |= record.parts_in(row, plan.width)
    return to_json(answer), f'"{row[-2]}{moved}"'


async def visible_of(uow: UnitOfWork, object_name: str, sql: str, *arguments: Any, **names: str) -> list[Any]:
    """What a module's own SQL finds of records that the actor may read, nothing without the right to.

    `{visible}` stands behind its conditions on the records `t`; `$1` is the tenant, `arguments` follow, `names` are
    filled in as well.
    """
    if not uow.actor.may(f"{object_name}:read"):
        return []
    bind = Bindings(uow.tenant_id, *arguments)
    visible = visible_rows(uow.actor, object_name, "read", bind)
    return await uow.fetch(sql.format(visible=f" AND {visible}" if visible else "", **names), *bind.values)


def _visible_names(uow: UnitOfWork, record: RecordType[Any]) -> tuple[str, ...]:
    hidden = uow.actor.hidden(record.object)
    return tuple(name for name in record.fields if name not in hidden) if hidden else tuple(record.fields)


@dataclass(frozen=True)
class Selection:
    """A compiled list: what to select, from where, in which order. `$1` is the tenant."""

    record: RecordType[Any]
    plan: ReadPlan
    keyset: Keyset
    where: str
    bind: Bindings
    walked: str = ""
    """`where` of a search by a text, for rows that are read without the index of the words: cheaper for each."""
    filtered: bool = False
    """Whether a search has conditions beside its words."""

    def statement(self, limit: int | None = None, extra: str = "") -> str:
        """The rows in their order: the plan's columns, then the cursor."""
        return (
            f"SELECT {self.plan.columns}, {self.keyset.columns} FROM {self.record.view} t"
            f" WHERE {self.where}{extra} ORDER BY {self.keyset.order_by}"
            f"{'' if limit is None else f' LIMIT {int(limit)}'}"
        )

    def beyond(self, position: Sequence[str | None] | None, bind: Bindings) -> str:
        """A further condition: the rows behind a position; none from the start."""
        return "" if position is None else f" AND {self.keyset.after(position, bind)}"

    def of(self, ids: Sequence[UUID]) -> Selection:
        """Just these rows, which are known to be selected, in the same order."""
        bind = Bindings(self.bind.values[0])
        return replace(self, where=f"t.tenant_id = $1 AND t.id = ANY({bind(ids)}::uuid[])", bind=bind)

    async def page(self, uow: UnitOfWork, limit: int, extra: str = "") -> list[Any]:
        """The first rows; nothing else needs to have been asked before."""
        keyset = self.keyset
        return await uow.fetch_alone(
            f"SELECT {self.plan.columns}, {keyset.named}, {keyset.columns} FROM {self.record.view} t"
            f" WHERE {self.where}{extra}",
            f" ORDER BY {keyset.order_by} LIMIT {int(limit)}",
            f" ORDER BY {keyset.order_of_named}",
            *self.bind.values,
        )


async def field_set(uow: UnitOfWork, record: RecordType[Any]) -> FieldSet:
    """The fields the actor may filter, sort and choose: declared and custom ones, hidden ones left out."""
    hidden = uow.actor.hidden(record.object)
    custom: Mapping[str, Field] = {}
    if "custom" not in hidden:
        custom = await uow.kernel.custom_fields.listing_fields(uow, record.object)
    return FieldSet({name: f for name, f in {**record.fields, **custom}.items() if name not in hidden})


async def select_records(uow: UnitOfWork, record: RecordType[Any], query: Query) -> Selection:
    """Compile a list request for this actor. Raises `InvalidFilter`, `Forbidden`."""
    fields = await field_set(uow, record)
    bind = Bindings(uow.tenant_id)
    clauses = ["t.tenant_id = $1", "t.deleted_at IS NULL"]
    visible = visible_rows(uow.actor, record.object, "read", bind)
    if visible:
        clauses.append(visible)
    condition = compile_filter(query.groups, fields, uow.actor.tenant, uow.now, bind)
    if condition:
        clauses.append(condition)
    plan = _plan(record, fields, query)
    reach = uow.actor.reach.get(record.object)
    if reach is not None and reach.veiled and record.contact_fields:
        plan = plan.veiled(record.contact_fields, reach.column, reach.veiled)
        clauses += _behind_the_veil(record, query, reach, bind)
    where = walked = " AND ".join(clauses)
    filtered = len(clauses) > 2  # more than the tenant's living records
    if query.text:
        tokens, recheck = _text_conditions(record, query.text, bind, uow.actor.hidden(record.object))
        where, walked = (
            f"{where} AND {found_by(tokens)}{recheck}",
            f"{where} AND t.tokens @> {tokens}{recheck}",
        )
    return Selection(
        record, plan, Keyset.of(query.sort, record.default_sort, fields), where, bind, walked, filtered
    )


def _behind_the_veil(record: RecordType[Any], query: Query, reach: Reach, bind: Bindings) -> Sequence[str]:
    """What is veiled is not found by either: who may guess often enough would read it.

    A text with digits or an @ may be a number or an address, so there it must stand in the names themselves.
    """
    used = {condition.field for group in query.groups for condition in group} | {n for n, _ in query.sort}
    by_value = not used.isdisjoint(record.contact_fields)
    by_text = query.text is not None and any(sign.isdigit() or sign == "@" for sign in query.text)
    if not by_value and not by_text:
        return []
    column = f"t.{reach.column}"
    open_to_view = f"({column} IS NULL OR {column} <> ALL({bind(list(reach.veiled))}::uuid[]))"
    if by_value or not record.search.names:
        return [open_to_view]
    names = _squeezed(record.search.names)
    return [f"({open_to_view} OR position({bind(squeeze(query.text or ''))}::text IN {names}) > 0)"]


def _squeezed(columns: Sequence[str]) -> str:
    """SQL of the texts of some columns as `squeeze` makes them."""
    texts = ", ".join(f"t.{name}" for name in columns) or "''"
    return f"regexp_replace(lower(normalize(concat_ws('', {texts}), NFKC)), '[^[:alnum:]]', '', 'g')"


def _plan(record: RecordType[Any], fields: FieldSet, query: Query) -> ReadPlan:
    if query.fields is None:
        return record.plan_of(tuple(name for name in record.fields if name in fields.fields))
    chosen: list[Field] = [fields.get(name, "fields") for name in dict.fromkeys(("id", *query.fields))]
    if all(field.name in record.fields for field in chosen):
        return record.plan_of(tuple(field.name for field in chosen))
    return ReadPlan.of(chosen)


def _text_conditions(
    record: RecordType[Any], text: str, bind: Bindings, hidden: frozenset[str]
) -> tuple[str, str]:
    """The tokens that a text asks for, and a further condition or nothing, as SQL."""
    if "\0" in text or len(text) > 200:
        raise InvalidFilter("A search text has at most 200 characters.", parameter="q")
    tokens, recheck = query_tokens(text)
    if not tokens:
        raise InvalidFilter("There is nothing to search for in that text.", parameter="q")
    wanted = f"{bind(tokens)}::text[]"
    seen = [name for name in record.search.columns if name not in hidden]
    if len(seen) < len(record.search.columns):
        recheck = squeeze(text)  # the tokens are of hidden texts too: only what can be seen may be found
    if not recheck or not record.search.columns:
        return wanted, ""
    # Pairs of characters in another order, and half-typed addresses: few rows reach this.
    return wanted, f" AND position({bind(recheck)}::text IN {_squeezed(seen)}) > 0"


async def list_records(uow: UnitOfWork, record: RecordType[Any], query: Query) -> bytes:
    """One page as JSON bytes: `{"data": […], "next_cursor": …, "has_more": …}`."""
    selection = await select_records(uow, record, query)
    if query.text or any(condition.op in _UNEVEN for group in query.groups for condition in group):
        # How many rows such a condition leaves differs a thousandfold with its value: a plan that does not know
        # the value reads the tenant in order (measured: 700 ms instead of 3 for a name that is not there).
        await uow.settle()
        await uow.connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    counted = await _count(uow, selection) if query.total else None
    position = None
    if query.cursor is not None:
        position = read_cursor(uow.kernel.secrets, uow.tenant_id, record.object, query)
    ids = None
    if query.text:
        ids = await ids_of_page(uow, selection, query.limit + 1, position)
        if selection.keyset.by_creation:
            selection = replace(selection, where=selection.walked)
    if ids is None:
        rows = await selection.page(uow, query.limit + 1, selection.beyond(position, selection.bind))
    else:
        rows = await selection.of(ids).page(uow, query.limit + 1)
    has_more = len(rows) > query.limit
    rows = rows[: query.limit]
    cursor = (
        sign_cursor(uow.kernel.secrets, uow.tenant_id, record.object, query, rows[-1][-1])
        if has_more
        else None
    )
    answer: dict[str, Any] = {
        "data": [selection.plan.render(row) for row in rows],
        "next_cursor": cursor,
        "has_more": has_more,
        "total": None if counted is None else min(counted, COUNT_CAP),
        "total_is_estimate": None if counted is None else counted > COUNT_CAP,
    }
    return to_json(answer)


async def _count(uow: UnitOfWork, selection: Selection) -> int:
    row = await uow.fetchrow(
        f"SELECT count(*) FROM (SELECT 1 FROM {selection.record.view} t WHERE {selection.where}"
        f" LIMIT {COUNT_CAP + 1}) counted",
        *selection.bind.values,
    )
    return int(row[0]) if row else 0


async def stream_records(
    uow: UnitOfWork, record: RecordType[Any], query: Query
) -> AsyncIterator[tuple[ReadPlan, Sequence[Any]]]:
    """All rows of a list in batches by a server-side cursor, for exports: memory stays flat."""
    selection = await select_records(uow, record, query)
    cursor = await uow.connection.cursor(selection.statement(), *selection.bind.values)
    while True:
        rows = await cursor.fetch(EXPORT_BATCH)
        if not rows:
            return
        yield selection.plan, rows
