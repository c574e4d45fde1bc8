"""Taking a merge back: what went comes back with all that pointed at it, but for what was changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.custom_fields.store import Cleaned
from app.kernel.errors import Conflict, NotFound
from app.kernel.holding import is_held, taken_over
from app.kernel.listing import Bindings
from app.kernel.merging.merge import write_survivor
from app.kernel.merging.models import Merge
from app.kernel.merging.ports import Merger, Merging, Moved
from app.kernel.merging.tombstones import survivors_of
from app.kernel.models import RecordTable
from app.kernel.records import RecordService, RecordType
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork

_MERGE = ", ".join(f"m.{name}" for name in columns_of(Merge))


class MergeNotUndoable(Conflict):
    """`reason` is undone, expired, survivor_merged (with `survivor_id`) or survivor_deleted."""

    code = "merge_not_undoable"
    title = "This merge cannot be undone"


@dataclass
class Undone:
    """What came back."""

    merge: Merge
    moved_back: dict[str, int] = field(default_factory=dict)
    restored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def visible_merges(uow: UnitOfWork, bind: Bindings) -> str:
    """SQL that is true for merges `m` whose surviving record the actor may read, also when that is gone."""
    clauses = []
    for name, record in uow.kernel.registry.records.items():
        if record.merge is not None and uow.actor.may(f"{name}:read"):
            seen = visible_rows(uow.actor, name, "read", bind)
            clauses.append(
                f"(m.object = '{name}' AND EXISTS (SELECT 1 FROM {record.table} t WHERE t.tenant_id = m.tenant_id"
                f" AND t.id = m.survivor_id{f' AND {seen}' if seen else ''}))"
            )
    return f"({' OR '.join(clauses)})" if clauses else "false"


async def get_merge(uow: UnitOfWork, id: UUID, *, lock: bool = False) -> Merge:
    """A merge whose surviving record the actor may read. Raises: `NotFound`."""
    bind = Bindings(uow.tenant_id, id)
    row = await uow.fetchrow(
        f"SELECT {_MERGE} FROM kernel.merges m WHERE m.tenant_id = $1 AND m.id = $2"
        f" AND {visible_merges(uow, bind)}{' FOR UPDATE OF m' if lock else ''}",
        *bind.values,
    )
    if row is None:
        raise NotFound
    return entity(Merge, row)


async def undo_merge(uow: UnitOfWork, id: UUID) -> Undone:
    """Take a merge back; all or nothing.

    Raises: `NotFound`, `Forbidden`, `MergeNotUndoable`; `DuplicateValue` where another record has meanwhile taken
    a value that only one may have; `PlanLimitReached` where others have taken the room that the merge made.
    """
    merge = await get_merge(uow, id, lock=True)
    record = uow.kernel.registry.records[merge.object]
    uow.actor.require(f"{record.object}:merge")
    if merge.undone_at is not None:
        raise MergeNotUndoable("It was undone already.", reason="undone")
    if merge.undo_until < uow.now:
        raise MergeNotUndoable(f"It could be undone until {merge.undo_until:%Y-%m-%d}.", reason="expired")
    return await _Undoing(uow, record, merge).run()


class _Undoing:
    """One merge being undone."""

    def __init__(self, uow: UnitOfWork, record: RecordType[Any], merge: Merge) -> None:
        self._uow, self._record, self._merge = uow, record, merge
        self._service: RecordService[Any] = record.service(uow)
        self._model = cast("type[RecordTable]", record.model)
        self._columns = ", ".join(columns_of(self._model))
        self._merging = Merging(merge.id, merge.object, merge.survivor_id, tuple(sorted(merge.merged_ids)))
        self._undone = Undone(merge)

    async def run(self) -> Undone:
        uow, merging = self._uow, self._merging
        await self._service.lock_merge()
        buried = await self._locked()
        survivor = await self._standing()
        survivor = await self._give_back(survivor)
        restored = await self._raise(buried)
        await self._move_back()
        await self._service.after_unmerge(survivor, list(merging.merged_ids))
        merge = await uow.update(self._merge, undone_at=uow.now, undone_by=uow.actor.member_id)
        uow.publish(
            self._record.merge_undone(
                id=survivor.id,
                version=survivor.version,
                merge_id=merge.id,
                merged_ids=restored,
                changed=self._undone.restored,
            )
        )
        self._undone.merge = merge
        return self._undone

    async def _locked(self) -> list[Any]:
        """Lock all rows of the merge in the order of their ids; those that were merged away."""
        ids = sorted({self._merge.survivor_id, *self._merging.merged_ids})
        rows = await self._uow.fetch(
            f"SELECT {self._columns} FROM {self._record.table} WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " ORDER BY id FOR UPDATE",
            self._uow.tenant_id,
            ids,
        )
        found = [entity(self._model, row) for row in rows]
        return [row for row in found if row.id != self._merge.survivor_id]

    async def _standing(self) -> Any:
        """The surviving record, which the actor may merge and change."""
        service, id = self._service, self._merge.survivor_id
        if id not in await service.get_many([id]):
            further = (await survivors_of(self._uow, self._record.object, [id])).get(id)
            if further is None:
                raise MergeNotUndoable("The record was deleted since.", reason="survivor_deleted")
            raise MergeNotUndoable(
                f"The record was itself merged into {further} since; undo that merge first.",
                reason="survivor_merged",
                survivor_id=str(further),
            )
        await service.get(id, action="merge")
        return await service.get(id, action="update")

    # -- the record that survived --------------------------------------------------------------------------

    async def _give_back(self, row: Any) -> Any:
        """Put back the fields that are as the merge left them."""
        kept = self._merge.changes
        before = await self._typed({name: pair[0] for name, pair in kept.items() if name != "custom"})
        after = await self._typed({name: pair[1] for name, pair in kept.items() if name != "custom"})
        changes = {name: before[name] for name in before if row.__dict__[name] == after[name]}
        done, stays = set(changes), set(before) - set(changes)
        custom = None
        if "custom" in kept:
            custom = await self._custom(row.custom, *kept["custom"])
            changes["custom"] = custom.stored
            whole = custom.stored == kept["custom"][0] or row.custom == kept["custom"][1]
            (done if whole else stays).add("custom")
        await self._service.complete_merge(row, (), changes)
        if is_held(self._record.model):
            changes |= taken_over(row.__dict__, changes, self._uow.now)
        followed = {name for name in before if name in changes and changes[name] != before[name]}
        done, stays = done - followed, stays | followed  # what follows from fields that stay
        shown = self._record.fields.keys() - self._uow.actor.hidden(self._record.object)
        self._undone.restored, self._undone.kept = sorted(done & shown), sorted(stays & shown)
        note = {"merged": [[str(id) for id in self._merge.merged_ids], None]}
        return await write_survivor(
            self._service, row, changes, custom=custom, action="merge_undone", note=note
        )

    async def _custom(
        self, current: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Cleaned:
        stored = dict(current)
        changed = []
        for key in sorted({*before, *after}):
            if before.get(key) == after.get(key) or current.get(key) != after.get(key):
                continue
            changed.append(key)
            stored.pop(key, None)
            if key in before:
                stored[key] = before[key]
        return await self._uow.kernel.custom_fields.as_stored(self._uow, self._record.object, stored, changed)

    async def _typed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values kept as JSON, as the columns have them."""
        found = await self._uow.fetchrow(
            f"SELECT (jsonb_populate_record(NULL::{self._record.table}, $1::jsonb)).*", dict(values)
        )
        return {} if found is None else {name: found[name] for name in values}

    # -- the records that went -----------------------------------------------------------------------------

    async def _raise(self, buried: Sequence[Any]) -> list[UUID]:
        """Let the records be there again, under their ids."""
        uow, record = self._uow, self._record
        ids = [row.id for row in buried]
        await uow.fetch(
            "DELETE FROM kernel.merged_records WHERE tenant_id = $1 AND object = $2"
            " AND record_id = ANY($3::uuid[]) AND merge_id = $4",
            uow.tenant_id,
            record.object,
            ids,
            self._merge.id,
        )
        rows = await uow.fetch(
            f"UPDATE {record.table} SET deleted_at = NULL, version = version + 1, updated_at = $3"
            f" WHERE tenant_id = $1 AND id = ANY($2::uuid[]) RETURNING {self._columns}",
            uow.tenant_id,
            ids,
            uow.now,
        )
        await uow.kernel.limits.check_records(uow, len(rows))
        back = sorted((entity(self._model, row) for row in rows), key=lambda row: row.id)
        fields = uow.kernel.custom_fields
        indexed = [
            (row.id, await fields.as_stored(uow, record.object, row.custom, list(row.custom))) for row in back
        ]
        for refusal in (await fields.index_many(uow, record.object, indexed)).values():
            raise refusal
        for row in back:
            note = {"merged_into": [self._merge.survivor_id, None]}
            uow.record_audit(record.object, row.id, "merge_undone", note)
            uow.publish_record(record.updated, row.id, row.version, record=record.render(row))
        return [row.id for row in back]

    async def _move_back(self) -> None:
        uow = self._uow
        rows = await uow.fetch(
            "DELETE FROM kernel.merge_moves WHERE tenant_id = $1 AND merge_id = $2"
            " RETURNING merger, row_id, former_id, detail, position",
            uow.tenant_id,
            self._merge.id,
        )
        moved: dict[str, list[Moved]] = {}
        for row in sorted(rows, key=lambda row: row["position"]):
            one = Moved(row["row_id"], row["former_id"], row["detail"])
            moved.setdefault(row["merger"], []).append(one)
        # The other way round: what was cleared away last is put back first.
        for merger in reversed(uow.ports(Merger)):
            if merger.name in moved:
                count = await merger.restore(self._merging, moved[merger.name])
                if count:
                    back = self._undone.moved_back
                    back[merger.kind] = back.get(merger.kind, 0) + count
