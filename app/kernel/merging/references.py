"""Ready-made mergers: a column of a record type, a column of a link table, and the kernel's own references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from app.kernel.custom_fields.store import Cleaned
from app.kernel.merging.ports import Merging, Moved
from app.kernel.records import RecordType
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork


class RecordColumn:
    """A column of a record type that holds the ids of another type's records, or of its own.

    `also` is SQL that sets further columns from the new id, written as `{id}`. Rows that are merged away
    themselves are kept in step too, so that they come back with references that stand.
    """

    def __init__(
        self, uow: UnitOfWork, record: RecordType[Any], column: str, target: str, also: str = ""
    ) -> None:
        self._uow, self._record, self._column = uow, record, column
        self._also = f", {also}" if also else ""
        self._own = record.object == target
        self.name = f"{record.table}.{column}"
        self.kind = record.plural
        self.objects = frozenset({target})
        self.columns = frozenset({self.name})

    def present(self, merging: Merging) -> str:  # noqa: ARG002 - the column is the same for all
        live = f"EXISTS ({_LIVE.format(table=self._record.table, column=self._column)})"
        return f"({live} OR EXISTS ({self._buried(ids='$2')}))" if self._record.merge else live

    def _buried(self, *, ids: str) -> str:
        """The rows that name one of `ids` and are merged away themselves."""
        record = self._record
        return _BURIED.format(table=record.table, object=record.object, column=self._column, ids=ids)

    async def move(self, merging: Merging) -> list[Moved]:
        uow, record = self._uow, self._record
        place = {"table": record.table, "column": self._column, "also": self._also.format(id="$2")}
        arguments = (uow.tenant_id, merging.survivor_id, list(merging.merged_ids), uow.now)
        others = " AND t.id <> $2" if self._own else ""
        rows = await uow.fetch(_MOVE.format(others=others, **place), *arguments)
        if record.merge:
            buried = self._buried(ids="$3")
            rows = [*rows, *await uow.fetch(_MOVE_BURIED.format(buried=buried, **place), *arguments)]
        self._tell([(row, row["former"], merging.survivor_id) for row in rows], "moved")
        return [Moved(row["id"], row["former"], counts=not row["buried"]) for row in rows]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        uow = self._uow
        rows = await uow.fetch(
            _RESTORE.format(
                table=self._record.table, column=self._column, also=self._also.format(id="m.former")
            ),
            uow.tenant_id,
            merging.survivor_id,
            [one.row_id for one in moved],
            [one.former_id for one in moved],
            uow.now,
            list(merging.merged_ids),
        )
        self._tell([(row, merging.survivor_id, row["former"]) for row in rows], "moved_back")
        return sum(not row["buried"] for row in rows)

    def _tell(self, changes: Iterable[tuple[Any, UUID, UUID]], action: str) -> None:
        for row, before, after in changes:
            if not row["buried"]:
                object_name = self._record.object
                self._uow.record_audit(object_name, row["id"], action, {self._column: [before, after]})
                self._uow.publish_record(
                    self._record.updated, row["id"], row["version"], changed=[self._column]
                )


# Linear by any plan, also by one made while the table was empty: rows are met by the few ids that are merged.
# Joined with themselves, they were met by all pairs of those found and those of the company.
# Who changed the reference meanwhile has its way: the comparison is made again on the locked row.
_MOVE = """
UPDATE {table} t SET {column} = $2::uuid, version = t.version + 1, updated_at = $4{also}
FROM unnest($3::uuid[]) AS m(former)
WHERE t.tenant_id = $1 AND t.{column} = m.former AND t.deleted_at IS NULL{others}
RETURNING t.id, t.version, m.former, false AS buried"""

_MOVE_BURIED = f"""
WITH moving AS ({{buried}})
UPDATE {{table}} t SET {{column}} = $2::uuid, version = t.version + 1, updated_at = $4{{also}}
FROM {rows_of("moving", "id", "former")}
WHERE t.tenant_id = $1 AND t.id = moving.id AND t.{{column}} IS NOT DISTINCT FROM moving.former
RETURNING t.id, t.version, moving.former, true AS buried"""

_LIVE = (
    "SELECT 1 FROM {table} t WHERE t.tenant_id = $1 AND t.{column} = ANY($2::uuid[]) AND t.deleted_at IS NULL"
)

_BURIED = """
  SELECT t.id, t.{column} AS former FROM unnest(ARRAY(
    SELECT d.record_id FROM kernel.merged_records d WHERE d.tenant_id = $1 AND d.object = '{object}')) AS d(id)
  JOIN {table} t ON t.tenant_id = $1 AND t.id = d.id AND t.deleted_at IS NOT NULL
  WHERE t.{column} = ANY({ids}::uuid[])"""

_RESTORE = """
UPDATE {table} t SET {column} = m.former, version = t.version + 1, updated_at = $5{also}
FROM unnest($3::uuid[], $4::uuid[]) AS m(id, former)
WHERE t.tenant_id = $1 AND t.id = m.id AND t.{column} = $2
RETURNING t.id, t.version, m.former, t.deleted_at IS NOT NULL OR t.id = ANY($6::uuid[]) AS buried"""


def record_column(
    record: RecordType[Any], column: str, target: str, also: str = ""
) -> Callable[[UnitOfWork], RecordColumn]:
    """A `Merger` for a column of `record` that names records of type `target`, to register in `Module.ports`."""

    def bound(uow: UnitOfWork) -> RecordColumn:
        return RecordColumn(uow, record, column, target, also)

    return bound


class LinkColumn:
    """A column of a table that is no record type. `unique` is what else its rows are unique by, as SQL over `t`.

    Of rows that would become the same one stays; the others are kept with the merge. With `by_object` the table
    says in `object` which type of record is meant.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        table: str,
        column: str,
        *,
        kind: str,
        objects: Iterable[str],
        unique: str = "",
        by_object: bool = False,
    ) -> None:
        self._uow, self._table, self._column = uow, table, column
        self._unique, self._by_object = unique, by_object
        self.name = f"{table}.{column}"
        self.kind = kind
        self.objects = frozenset(objects)
        self.columns = frozenset({self.name})

    def present(self, merging: Merging) -> str:
        scope = f" AND t.object = '{merging.object}'" if self._by_object else ""
        return (
            f"EXISTS (SELECT 1 FROM {self._table} t WHERE t.tenant_id = $1"
            f" AND t.{self._column} = ANY($2::uuid[]){scope})"
        )

    async def move(self, merging: Merging) -> list[Moved]:
        uow = self._uow
        arguments: list[Any] = [uow.tenant_id, merging.survivor_id, list(merging.merged_ids)]
        scope = ""
        if self._by_object:
            scope = " AND {alias}.object = $4"
            arguments.append(merging.object)
        same = self._unique.replace("t.", "s.")
        sql = (_LINKS if self._unique else _PLAIN_LINKS).format(
            table=self._table,
            column=self._column,
            rest=self._unique,
            scope=scope.format(alias="t"),
            taken=f"s.tenant_id = $1 AND s.{self._column} = $2{scope.format(alias='s')} AND {same} = m.rest",
        )
        rows = await uow.fetch(sql, *arguments)
        return [Moved(row["id"], row["former"], row["detail"]) for row in rows]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        uow = self._uow
        kept = [one for one in moved if one.detail is None]
        rows = await uow.fetch(
            f"UPDATE {self._table} t SET {self._column} = m.former"
            " FROM unnest($3::uuid[], $4::uuid[]) AS m(id, former)"
            f" WHERE t.tenant_id = $1 AND t.id = m.id AND t.{self._column} = $2 RETURNING t.id",
            uow.tenant_id,
            merging.survivor_id,
            [one.row_id for one in kept],
            [one.former_id for one in kept],
        )
        return len(rows) + await insert_again(
            uow, self._table, [one.detail for one in moved if one.detail is not None]
        )


_PLAIN_LINKS = """
UPDATE {table} t SET {column} = $2 FROM unnest($3::uuid[]) AS m(former)
WHERE t.tenant_id = $1 AND t.{column} = m.former{scope}
RETURNING t.id, m.former, NULL::jsonb AS detail"""

_LINKS = f"""
WITH moving AS (
  SELECT t.id, t.{{column}} AS former, {{rest}} AS rest, row_number() OVER (
    PARTITION BY {{rest}} ORDER BY array_position($3::uuid[], t.{{column}})) AS place
  FROM {{table}} t WHERE t.tenant_id = $1 AND t.{{column}} = ANY($3::uuid[]){{scope}}
), judged AS (
  SELECT m.id, m.former, m.place > 1 OR EXISTS (SELECT 1 FROM {{table}} s WHERE {{taken}}) AS taken FROM moving m
), dropped AS (
  DELETE FROM {{table}} t USING {rows_of("judged", "id", "former", "taken")}
  WHERE t.tenant_id = $1 AND t.id = judged.id AND judged.taken
  RETURNING t.id, judged.former, to_jsonb(t) AS detail
), moved AS (
  UPDATE {{table}} t SET {{column}} = $2 FROM {rows_of("judged", "id", "former", "taken")}
  WHERE t.tenant_id = $1 AND t.id = judged.id AND NOT judged.taken
  RETURNING t.id, judged.former
)
SELECT id, former, NULL::jsonb AS detail FROM moved UNION ALL SELECT id, former, detail FROM dropped"""


async def insert_again(uow: UnitOfWork, table: str, rows: Sequence[dict[str, Any]]) -> int:
    """Put rows back as `to_jsonb` gave them; how many were not there already."""
    if not rows:
        return 0
    made = await uow.fetch(
        f"INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)"
        " ON CONFLICT DO NOTHING RETURNING id",
        list(rows),
    )
    return len(made)


def shares(uow: UnitOfWork) -> LinkColumn:
    """With whom merged records were shared; the surviving one's own shares stay as they are."""
    return LinkColumn(
        uow,
        "kernel.shares",
        "record_id",
        kind="shares",
        objects=[name for name, record in uow.kernel.registry.records.items() if record.merge],
        unique="coalesce(t.member_id, t.team_id)",
        by_object=True,
    )


class CustomReferences:
    """Custom fields of type `record`, of whatever record type.

    Where such a field is unique and two records would come to name the same one, the merge is refused.
    """

    name = "kernel.custom_fields"
    kind = "custom_fields"
    columns: frozenset[str] = frozenset()

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.objects = frozenset(name for name, record in uow.kernel.registry.records.items() if record.merge)

    def present(self, merging: Merging) -> str:  # noqa: ARG002 - the fields are asked for one by one
        return "true"

    async def move(self, merging: Merging) -> list[Moved]:
        """A few statements for each such field, whatever the number of records. Raises: `DuplicateValue`."""
        moved: list[Moved] = []
        for field in await self._fields(merging.object):
            record = self._uow.kernel.registry.records[field["object"]]
            own = merging.survivor_id if record.object == merging.object else None
            found = await self._found(record, field["key"], merging.merged_ids, own)
            changed = [(row["id"], UUID(row["value"]), merging.survivor_id) for row in found]
            done = await self._write(record, field["key"], changed, "moved")
            detail = {"object": record.object, "key": field["key"]}
            moved += [Moved(id, former, detail) for id, former, _ in changed if id in done]
        return moved

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        count = 0
        for field in await self._fields(merging.object):
            record = self._uow.kernel.registry.records[field["object"]]
            detail = {"object": record.object, "key": field["key"]}
            changed = [(m.row_id, merging.survivor_id, m.former_id) for m in moved if m.detail == detail]
            count += len(await self._write(record, field["key"], changed, "moved_back"))
        return count

    async def _fields(self, object_name: str) -> list[Any]:
        record = self._uow.kernel.registry.records[object_name]
        rows = await self._uow.fetch(
            "SELECT object, key FROM kernel.custom_fields WHERE tenant_id = $1 AND type = 'record'"
            " AND reference = ANY($2::text[]) ORDER BY object, key",
            self._uow.tenant_id,
            [record.object, record.plural],
        )
        return [row for row in rows if row["object"] in self._uow.kernel.registry.records]

    async def _found(
        self, record: RecordType[Any], key: str, ids: Sequence[UUID], but: UUID | None
    ) -> list[Any]:
        """Through the read view, where the index of custom values serves."""
        conditions = " OR ".join(f"t.custom @> ${number}::jsonb" for number in range(4, 4 + len(ids)))
        return await self._uow.fetch(
            f"SELECT t.id, t.custom->>$2 AS value FROM {record.view} t WHERE t.tenant_id = $1"
            " AND t.deleted_at IS NULL AND t.custom <> '{}' AND t.id IS DISTINCT FROM $3::uuid"
            f" AND ({conditions}) ORDER BY t.id",
            self._uow.tenant_id,
            key,
            but,
            *[{key: str(id)} for id in ids],
        )

    async def _write(
        self,
        record: RecordType[Any],
        key: str,
        changed: Sequence[tuple[UUID, UUID, UUID]],
        action: str,
    ) -> set[UUID]:
        if not changed:
            return set()
        uow = self._uow
        ids, before, after = (list(part) for part in zip(*changed, strict=True))
        texts = [str(id) for id in before], [str(id) for id in after]
        rows = await uow.fetch(
            f"UPDATE {record.table} t SET custom = jsonb_set(t.custom, ARRAY[$5::text], to_jsonb(m.after)),"
            " version = t.version + 1, updated_at = $6"
            " FROM unnest($2::uuid[], $3::text[], $4::text[]) AS m(id, before, after)"
            " WHERE t.tenant_id = $1 AND t.id = m.id AND t.custom->>$5 = m.before"
            " RETURNING t.id, t.version, m.before, m.after",
            uow.tenant_id,
            ids,
            *texts,
            key,
            uow.now,
        )
        await self._index(record, key, rows)
        for row in rows:
            uow.record_audit(
                record.object, row["id"], action, {f"custom.{key}": [row["before"], row["after"]]}
            )
            uow.publish_record(record.updated, row["id"], row["version"], changed=["custom"])
        return {row["id"] for row in rows}

    async def _index(self, record: RecordType[Any], key: str, rows: Sequence[Any]) -> None:
        fields = self._uow.kernel.custom_fields
        definition = (await fields.of(self._uow, record.object)).by_key.get(key)
        if definition is None or not definition.indexed:
            return
        values = [(row["id"], Cleaned({}, [definition.index_row(row["after"])])) for row in rows]
        for refusal in (await fields.index_many(self._uow, record.object, values)).values():
            raise refusal
