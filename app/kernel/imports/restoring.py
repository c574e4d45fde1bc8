"""Whether what a record held before an import can still be put back: what it named may have gone since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from app.kernel.errors import Invalid
from app.kernel.models import RecordTable
from app.kernel.people import People
from app.kernel.records import RecordType
from app.kernel.uow import UnitOfWork


class References:
    """The columns of a record type that name other records, and the people that hold it."""

    def __init__(self, uow: UnitOfWork, record: RecordType[Any], targets: Mapping[str, str]) -> None:
        self._uow = uow
        self._record = record
        self._targets = targets

    @classmethod
    async def of(cls, uow: UnitOfWork, record: RecordType[Any]) -> References:
        """Read the table's foreign keys; references to other modules are declared (`module_ref`)."""
        records = {one.table for one in uow.kernel.registry.records.values()}
        rows = await uow.fetch(_FOREIGN_KEYS, record.table)
        targets = {row["name"]: row["target"] for row in rows if row["target"] in records}
        for column in cast("type[RecordTable]", record.model).__table__.columns:
            if column.info.get("on_delete") == "restrict" and column.info["module_ref"] in records:
                targets[column.name] = column.info["module_ref"]
        return cls(uow, record, targets)

    async def require(self, row: Any, before: Mapping[str, Any]) -> None:
        """Hold what the former values name until the transaction ends. Raises `Invalid` where it is gone."""
        again = {n: value for n, value in before.items() if value is not None and value != getattr(row, n)}
        if self._record.held:
            people = self._uow.of(People)
            await people.require_members([again[n] for n in again if n == "owner_id"], pointer="/owner_id")
            await people.require_teams([again[n] for n in again if n == "team_id"], pointer="/team_id")
        for name in sorted(again.keys() & self._targets.keys()):
            found = await self._uow.fetchrow(
                f"SELECT 1 FROM {self._targets[name]} WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL"
                " FOR KEY SHARE",
                self._uow.tenant_id,
                again[name],
            )
            if found is None:
                raise Invalid.at(f"/{name}", "unknown_reference", f"What {name} named is deleted.")


_FOREIGN_KEYS = """
SELECT a.attname::text AS name, format('%s.%s', n.nspname, c.relname) AS target
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey) AND a.attname <> 'tenant_id'
WHERE k.contype = 'f' AND k.conrelid = $1::text::regclass"""
