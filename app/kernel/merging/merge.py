"""Merging records of one type: one transaction, all rows locked in the order of their ids, set-based throughout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from app.kernel.access import Scope
from app.kernel.custom_fields.store import Cleaned
from app.kernel.errors import FieldError, Forbidden, Invalid, StaleVersion
from app.kernel.holding import is_held, taken_over
from app.kernel.ids import new_id
from app.kernel.merging.choice import CUSTOM, Choosable, Outcome, choose, filled
from app.kernel.merging.models import MasterRule, Merge
from app.kernel.merging.ports import Merger, Merging, Moved
from app.kernel.merging.schemas import MergeRequest
from app.kernel.merging.tombstones import refuse_absent
from app.kernel.models import RecordTable
from app.kernel.records import RecordService, RecordType
from app.kernel.statements import audited_columns, entity, update_returning

UNDO_FOR: Final = timedelta(days=30)
_NOT_KEPT = frozenset({"tokens", "version", "updated_at"})
_ASSIGNMENT = ("owner_id", "team_id")


@dataclass(frozen=True)
class Merged:
    """A merge as it is stored, the record that survived, and where its values came from."""

    merge: Merge
    survivor: Any
    outcome: Outcome


class _NotMeant(Exception):
    """Ends a preview, and with it everything that it wrote."""


class RecordMerging:
    """Merges records of one type for the actor at hand."""

    def __init__(self, service: RecordService[Any]) -> None:
        self._service = service
        self._record = service.record
        self._uow = service.uow
        self._what = Choosable.of(service.record)

    async def merge(self, request: MergeRequest) -> Merged:
        """Merge records into one of them; all or nothing.

        Raises: `NotFound`, `Forbidden` without merging and changing each or deleting those merged away,
        `RecordMerged`, `StaleVersion`, `Invalid` for choices that do not fit, and what the module's rules refuse.
        """
        uow = self._uow
        rows = await self._locked(request)
        outcome = await self._decide(request, rows)
        master, others = rows[0], rows[1:]
        merging = Merging(
            merge_id=new_id(),
            object=self._record.object,
            survivor_id=master.id,
            merged_ids=tuple(row.id for row in others),
            rows=tuple(rows),
        )
        await self._bury(merging, others, request.reason)
        survivor = await self._write(merging, outcome, request.reason)
        merge = await self._store(merging, request, survivor)
        merge = await uow.update(merge, moved=await self._move(merging))
        await self._service.after_merge(survivor, others)
        uow.publish(
            self._record.merged(
                id=master.id,
                version=survivor.version,
                merge_id=merge.id,
                merged_ids=list(merging.merged_ids),
                changed=fields_of(self._record, merge),
            )
        )
        return Merged(merge, survivor, outcome)

    async def preview(self, request: MergeRequest) -> Merged:
        """What `merge` would do, refusals included: it is done and taken back."""
        found: Merged | None = None
        try:
            async with self._uow.savepoint():
                found = await self.merge(request)
                raise _NotMeant
        except _NotMeant:
            assert found is not None  # noqa: S101 - it was set before the exception was raised
            return found

    # -- what is merged ------------------------------------------------------------------------------------

    async def _locked(self, request: MergeRequest) -> list[Any]:
        """The rows, the one that survives first and the others as they were named."""
        service, ids = self._service, [one.id for one in request.records]
        await service.lock_merge()
        rows = await service.get_many(ids, lock="exclusive")
        absent = [id for id in ids if id not in rows]
        if absent:
            await refuse_absent(service, absent, writing=True, listed=True)
        await service.get_many(ids, action="merge")
        await service.get_many(ids, action="update")
        master_id = self._master(request, [rows[id] for id in ids])
        await service.get_many([id for id in ids if id != master_id], action="delete")
        stale = {
            one.id: rows[one.id].version for one in request.records if one.version != rows[one.id].version
        }
        if stale:
            raise StaleVersion(
                f"Changed since you read them: {', '.join(map(str, stale))}.",
                current_versions={str(id): version for id, version in stale.items()},
            )
        ordered = [rows[master_id], *(rows[id] for id in ids if id != master_id)]
        await service.before_merge(ordered)
        return ordered

    def _master(self, request: MergeRequest, rows: Sequence[Any]) -> UUID:
        if request.master_id is not None:
            if request.master_id not in {row.id for row in rows}:
                raise Invalid.at("/master_id", "not_merged", "The master is one of the records.")
            return request.master_id
        return by_rule(self._what, request.master_rule or MasterRule.OLDEST, rows)

    # -- what it becomes -----------------------------------------------------------------------------------

    async def _decide(self, request: MergeRequest, rows: Sequence[Any]) -> Outcome:
        record, actor = self._record, self._uow.actor
        fixed = set(actor.readonly(record.object))
        await self._check_choices(request.fields, rows, fixed)
        if any(name in request.fields for name in _ASSIGNMENT):
            await self._service.get(rows[0].id, action="assign")
        elif actor.scope(f"{record.object}:assign") is not Scope.ALL:
            fixed.update(_ASSIGNMENT)
        return choose(
            self._what,
            [row.__dict__ for row in rows],
            chosen=request.fields,
            preferred=self._service.merge_preferences(rows),
            fixed=fixed,
        )

    async def _check_choices(
        self, chosen: Mapping[str, UUID], rows: Sequence[Any], fixed: Collection[str]
    ) -> None:
        """Raises: `Invalid` for what is no choice, `Forbidden` for fields that the actor may not change."""
        record, ids = self._record, {row.id for row in rows}
        known = {name for name in record.update.model_fields if name in self._what.columns}
        if any(name.startswith(CUSTOM) for name in chosen):
            fields = await self._uow.kernel.custom_fields.of(self._uow, record.object)
            known |= {
                f"{CUSTOM}{key}" for key in (*fields.by_key, *(key for row in rows for key in row.custom))
            }
        errors = [
            FieldError(f"/fields/{name}", "unknown_field", f"{name} is no field that can be chosen.")
            for name in chosen
            if name not in known
        ]
        errors += [
            FieldError(f"/fields/{name}", "not_merged", "The value comes from one of the records.")
            for name, id in chosen.items()
            if id not in ids
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors[:100])
        refused = [name for name in chosen if (CUSTOM[:-1] if name.startswith(CUSTOM) else name) in fixed]
        if refused:
            raise Forbidden(
                f"Your role may not change: {', '.join(sorted(refused))}.",
                errors=[
                    FieldError(f"/fields/{name}", "readonly_field", "Your role may not change this.")
                    for name in sorted(refused)
                ],
            )

    async def _write(self, merging: Merging, outcome: Outcome, reason: str | None) -> Any:
        master, others = merging.rows[0], merging.rows[1:]
        changes = dict(outcome.changes)
        custom = await self._custom(merging, outcome)
        if custom is not None:
            changes["custom"] = custom.stored
        await self._service.complete_merge(master, others, changes)
        if is_held(self._record.model):
            changes |= taken_over(master.__dict__, changes, self._uow.now)
        note = {"merged": [None, [str(id) for id in merging.merged_ids]]}
        return await write_survivor(
            self._service, master, changes, custom=custom, action="merged", note=note, reason=reason
        )

    async def _custom(self, merging: Merging, outcome: Outcome) -> Cleaned | None:
        """The custom values that change, with their index rows; none of them names a record that goes away."""
        before: dict[str, Any] = merging.rows[0].custom
        gone = {str(id) for id in merging.merged_ids}
        stored = {key: value for key, value in outcome.custom.items() if not _names(value, gone)}
        changed = [key for key in {*before, *stored} if before.get(key) != stored.get(key)]
        if not changed:
            return None
        return await self._uow.kernel.custom_fields.as_stored(
            self._uow, self._record.object, stored, sorted(changed)
        )

    # -- what goes along -----------------------------------------------------------------------------------

    async def _bury(self, merging: Merging, others: Sequence[Any], reason: str | None) -> None:
        """Take the other records away and leave behind where they went."""
        uow, record = self._uow, self._record
        ids = [row.id for row in others]
        await uow.fetch(
            f"UPDATE {record.table} SET deleted_at = $3, version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            uow.tenant_id,
            ids,
            uow.now,
        )
        for row in others:
            note = {"merged_into": [None, merging.survivor_id]}
            uow.record_audit(record.object, row.id, "merged", note, reason=reason)
            uow.publish_record(record.deleted, row.id, row.version + 1)

    async def _store(self, merging: Merging, request: MergeRequest, survivor: Any) -> Merge:
        """Keep what was merged, what that changed on the surviving record, and where the others went."""
        uow, before = self._uow, merging.rows[0].__dict__
        merge = await uow.insert(
            Merge,
            id=merging.merge_id,
            object=merging.object,
            survivor_id=merging.survivor_id,
            merged_ids=list(merging.merged_ids),
            master_rule=request.master_rule,
            changes={
                name: [before[name], value]
                for name, value in survivor.__dict__.items()
                if name not in _NOT_KEPT and before[name] != value
            },
            moved={},
            reason=request.reason,
            undo_until=uow.now + UNDO_FOR,
            created_by=uow.actor.member_id,
        )
        await uow.fetch(
            "INSERT INTO kernel.merged_records (tenant_id, object, record_id, survivor_id, merge_id)"
            " SELECT $1, $2, id, $3, $4 FROM unnest($5::uuid[]) AS id",
            uow.tenant_id,
            merging.object,
            merging.survivor_id,
            merging.merge_id,
            list(merging.merged_ids),
        )
        return merge

    async def _move(self, merging: Merging) -> dict[str, int]:
        """Let every module move its references, and keep which ones; how many by kind."""
        uow, counts = self._uow, dict[str, int]()
        kept: list[tuple[str, Moved]] = []
        for merger in await self._concerned(merging):
            moved = await merger.move(merging)
            kept += [(merger.name, one) for one in moved]
            counts[merger.kind] = counts.get(merger.kind, 0) + sum(one.counts for one in moved)
        if kept:
            await uow.fetch(
                _KEEP_MOVES,
                uow.tenant_id,
                merging.merge_id,
                [name for name, _ in kept],
                [one.row_id for _, one in kept],
                [one.former_id for _, one in kept],
                [one.detail for _, one in kept],
                uow.now + UNDO_FOR,
            )
        return {kind: number for kind, number in counts.items() if number}

    async def _concerned(self, merging: Merging) -> list[Merger]:
        """The mergers with something to move: the merged records are locked, so that nothing is added meanwhile."""
        found = [merger for merger in self._uow.ports(Merger) if merging.object in merger.objects]
        asked = ", ".join(merger.present(merging) for merger in found)
        row = await self._uow.fetchrow(f"SELECT {asked}", self._uow.tenant_id, list(merging.merged_ids))
        return [merger for merger, there in zip(found, row or (), strict=True) if there]


_KEEP_MOVES = """
INSERT INTO kernel.merge_moves (tenant_id, merge_id, position, merger, row_id, former_id, detail, undo_until)
SELECT $1, $2, m.position, m.merger, m.row_id, m.former_id, m.detail, $7
FROM unnest($3::text[], $4::uuid[], $5::uuid[], $6::jsonb[]) WITH ORDINALITY
  AS m(merger, row_id, former_id, detail, position)"""


def by_rule(what: Choosable, rule: MasterRule, rows: Sequence[Any]) -> UUID:
    """The record that survives by a rule; among equals the oldest, then the smallest id."""
    keys: dict[MasterRule, Any] = {
        MasterRule.OLDEST: lambda _: 0,
        MasterRule.NEWEST: lambda row: -row.created_at.timestamp(),
        MasterRule.MOST_COMPLETE: lambda row: -filled(what, row.__dict__),
        MasterRule.LAST_UPDATED: lambda row: -row.updated_at.timestamp(),
    }
    found: UUID = min(rows, key=lambda row: (keys[rule](row), row.created_at, row.id)).id
    return found


def fields_of(record: RecordType[Any], merge: Merge, hidden: frozenset[str] = frozenset()) -> list[str]:
    """The fields of the surviving record that a merge changed, by name."""
    return sorted(name for name in merge.changes if name in record.fields and name not in hidden)


def _names(value: Any, ids: set[str]) -> bool:
    return isinstance(value, str) and value in ids


async def write_survivor(
    service: RecordService[Any],
    row: Any,
    changes: dict[str, Any],
    *,
    custom: Cleaned | None,
    action: str,
    note: Mapping[str, list[Any]],
    reason: str | None = None,
) -> Any:
    """Write checked columns of a locked row with tokens, index, audit and event; a new version in any case."""
    uow, record = service.uow, service.record
    model = cast("type[RecordTable]", record.model)
    if any(name in changes for name in record.search.columns):
        changes["tokens"] = record.search.tokens({**row.__dict__, **changes})
    changed = {name: value for name, value in changes.items() if row.__dict__[name] != value}
    stored = await uow.fetchrow(
        update_returning(model, tuple(changed)),
        row.tenant_id,
        row.id,
        *changed.values(),
        row.version,
        uow.now,
    )
    if stored is None:
        raise StaleVersion
    after = entity(model, stored)
    if custom is not None and custom.indexed:
        await uow.kernel.custom_fields.index(uow, record.object, row.id, custom)
    audited = audited_columns(model)
    diff = {name: [row.__dict__[name], value] for name, value in changed.items() if name in audited}
    uow.record_audit(record.object, row.id, action, diff | dict(note), reason=reason)
    uow.publish_record(
        record.updated,
        row.id,
        after.version,
        changed=[name for name in record.fields if name in changed],
        record=record.render(after),
    )
    return after
