"""Pools as settings: who may claim, within which limits, and what is recycled when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.people import People
from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.customers.interface import LastEnabledPool, PoolFact, PoolNotEmpty
from app.modules.customers.models import Pool, PoolMember
from app.modules.customers.services.pools.desk import Desk
from app.modules.customers.services.pools.schemas import PoolNamesRead, PoolRead, RecycleRule
from app.tenants.interface import Access

WON = "won"
_PEOPLE = ("admin_ids", "member_ids", "team_ids")
_COUNTED = 10_000
_POOLS = f"""
SELECT {", ".join(f"p.{name}" for name in columns_of(Pool))},
  ARRAY(SELECT member_id FROM customers.pool_members m WHERE m.tenant_id = $1 AND m.pool_id = p.id
    AND m.is_admin AND m.member_id IS NOT NULL ORDER BY m.id) AS admin_ids,
  ARRAY(SELECT member_id FROM customers.pool_members m WHERE m.tenant_id = $1 AND m.pool_id = p.id
    AND NOT m.is_admin AND m.member_id IS NOT NULL ORDER BY m.id) AS member_ids,
  ARRAY(SELECT team_id FROM customers.pool_members m WHERE m.tenant_id = $1 AND m.pool_id = p.id
    AND m.team_id IS NOT NULL ORDER BY m.id) AS team_ids
FROM customers.pools p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL"""


class PoolService:
    """Makes, changes and deletes pools."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def all(self, object_name: str | None) -> list[PoolRead]:
        """All pools, or those of one kind of record, oldest first; one statement."""
        rows = await self.uow.fetch(
            f"{_POOLS} AND ($2::text IS NULL OR p.object = $2) ORDER BY p.id", self.uow.tenant_id, object_name
        )
        return [_read(row) for row in rows]

    async def get(self, id: UUID) -> PoolRead:
        """Raises `NotFound`."""
        row = await self.uow.fetchrow(f"{_POOLS} AND p.id = $2", self.uow.tenant_id, id)
        if row is None:
            raise NotFound
        return _read(row)

    async def create(self, given: Mapping[str, Any]) -> PoolRead:
        """A new pool. Raises `Invalid` for unknown people, rules and exemptions."""
        values = dict(given)
        await self._check(values["object"], values)
        people = {name: values.pop(name) for name in _PEOPLE}
        made = await self.uow.insert(Pool, audit="pool", **_columns(values))
        await self._write_people(made.id, people, {})
        await self.uow.of(Access).changed()
        return await self.get(made.id)

    async def update(self, id: UUID, given: Mapping[str, Any], *, expected_version: int) -> PoolRead:
        """Raises `NotFound`, `StaleVersion`, `Invalid`; `LastEnabledPool` when none would be left enabled."""
        row = await self._locked(id, expected_version)
        values = dict(given)
        refuse_nulls(values, {name for name in values if columns_nullable(name)})
        await self._check(row.object, values)
        if row.is_enabled and values.get("is_enabled") is False:
            await self._require_another(row)
        before = await self.get(id)
        people = {name: values.pop(name) for name in _PEOPLE if name in values}
        after = await self.uow.update(row, audit="pool", **_columns(values))
        changed = await self._write_people(id, people, {name: getattr(before, name) for name in people})
        if after is row and changed:
            await self._bump(row)
        await self.uow.of(Access).changed()
        return await self.get(id)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`, `PoolNotEmpty`."""
        # Stronger than what whoever puts records in holds: they come before, and are counted, or find no pool.
        await self.uow.fetch(
            "SELECT 1 FROM customers.pools WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            self.uow.tenant_id,
            id,
        )
        row = await self._locked(id, expected_version)
        found = await self.uow.fetchrow(
            f"SELECT count(*) FROM (SELECT 1 FROM {self.desk.record(row.object).table} WHERE tenant_id = $1"
            f" AND pool_id = $2 AND deleted_at IS NULL LIMIT {_COUNTED}) counted",
            self.uow.tenant_id,
            id,
        )
        if found is not None and found[0]:
            raise PoolNotEmpty(f"{found[0]} records lie in this pool.", records=found[0])
        # Records that were deleted or merged away while they lay here come back, if they do, out of every pool.
        await self.uow.fetch(
            f"UPDATE {self.desk.record(row.object).table} SET pool_id = NULL, pooled_at = NULL"
            " WHERE tenant_id = $1 AND pool_id = $2 AND deleted_at IS NOT NULL",
            self.uow.tenant_id,
            id,
        )
        await self.uow.delete(row, audit="pool")
        await self.uow.of(Access).changed()

    # -- parts ---------------------------------------------------------------------------------------------

    async def _locked(self, id: UUID, expected_version: int) -> Pool:
        row = await self.uow.get(Pool, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _require_another(self, row: Pool) -> None:
        """Pools of a kind are switched off one at a time, so that two at once do not leave none."""
        rows = await self.uow.fetch(
            "SELECT id, is_enabled FROM customers.pools WHERE tenant_id = $1 AND object = $2 AND deleted_at IS NULL"
            " ORDER BY id FOR NO KEY UPDATE",
            row.tenant_id,
            row.object,
        )
        if not any(other["is_enabled"] and other["id"] != row.id for other in rows):
            raise LastEnabledPool

    async def _bump(self, row: Pool) -> None:
        """The people are part of the pool's state, so its version moves with them."""
        await self.uow.fetch(
            "UPDATE customers.pools SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2",
            row.tenant_id,
            row.id,
            self.uow.now,
        )

    async def _write_people(
        self, id: UUID, people: Mapping[str, Sequence[UUID]], before: Mapping[str, Sequence[UUID]]
    ) -> bool:
        """Replace the lists that differ; whether any did."""
        wanted = {name: list(dict.fromkeys(ids)) for name, ids in people.items()}
        wanted = {name: ids for name, ids in wanted.items() if ids != list(before.get(name, ()))}
        for name, ids in wanted.items():
            await self.uow.fetch(
                "DELETE FROM customers.pool_members WHERE tenant_id = $1 AND pool_id = $2 AND is_admin = $3"
                " AND (team_id IS NOT NULL) = $4",
                self.uow.tenant_id,
                id,
                name == "admin_ids",
                name == "team_ids",
            )
            column, other = ("team_id", "member_id") if name == "team_ids" else ("member_id", "team_id")
            await self.uow.insert_many(
                PoolMember,
                [{"pool_id": id, "is_admin": name == "admin_ids", column: one, other: None} for one in ids],
            )
        if wanted:
            pairs = {
                name: [[str(one) for one in before.get(name, ())], [str(one) for one in ids]]
                for name, ids in wanted.items()
            }
            pairs = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
            if pairs:
                self.uow.record_audit("pool", id, "people_changed", pairs)
        return bool(wanted)

    async def _check(self, object_name: str, values: Mapping[str, Any]) -> None:
        """That people, levels and exemptions exist."""
        people = self.uow.of(People)
        for name in ("admin_ids", "member_ids"):
            await people.require_members(values.get(name) or [], pointer=f"/{name}")
        await people.require_teams(values.get("team_ids") or [], pointer="/team_ids")
        for place, rule in enumerate(values.get("recycle_rules") or ()):
            self._check_levels(object_name, rule, f"/recycle_rules/{place}")
        known = {WON, *(fact.name for fact in self.uow.ports(PoolFact))}
        for place, name in enumerate(values.get("recycle_exemptions") or ()):
            if name not in known:
                detail = f"There is no exemption {name!r}: {', '.join(sorted(known))}."
                raise Invalid.at(f"/recycle_exemptions/{place}", "unknown_exemption", detail)

    def _check_levels(self, object_name: str, rule: RecycleRule, pointer: str) -> None:
        if rule.level_field is None:
            return
        levels = self.desk.kind(object_name).levels
        known = levels.get(rule.level_field)
        if known is None:
            detail = f"Days may differ by: {', '.join(levels)}."
            raise Invalid.at(f"{pointer}/level_field", "unknown_level_field", detail)
        for value in rule.levels:
            if value not in known:
                detail = f"{rule.level_field} is one of: {', '.join(known)}."
                raise Invalid.at(f"{pointer}/levels/{value}", "unknown_level", detail)


def columns_nullable(name: str) -> bool:
    """Whether a field of a pool may be cleared."""
    column = Pool.__table__.columns.get(name)
    return column is not None and bool(column.nullable)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Wire values as columns."""
    found = dict(values)
    names = found.pop("name", None)
    if names is not None:
        found |= {"name_en": names.en, "name_zh": names.zh}
    if "recycle_rules" in found:
        found["recycle_rules"] = [rule.model_dump(mode="json") for rule in found["recycle_rules"]]
    return found


def _read(row: Any) -> PoolRead:
    values = {name: row[name] for name in PoolRead.model_fields if name != "name"}
    return PoolRead(**values, name=PoolNamesRead(en=row["name_en"], zh=row["name_zh"]))
