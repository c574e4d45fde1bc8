"""What a record type does: visible reads, guarded writes, and hooks for the module's own rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID

from app.kernel.access import Scope, visible_rows
from app.kernel.errors import FieldError, Forbidden, Invalid, require_version
from app.kernel.holding import received, taken_over
from app.kernel.listing import Bindings
from app.kernel.merging.rules import MergeHooks
from app.kernel.merging.tombstones import refuse_absent
from app.kernel.models import RecordTable
from app.kernel.money import Money
from app.kernel.people import People
from app.kernel.quality.guard import guard_change, guard_create
from app.kernel.records.declaration import M, RecordType
from app.kernel.statements import Lock, entity, required_columns, rows_by_id
from app.kernel.uow import UnitOfWork


class RecordService(MergeHooks[M]):
    """What a record type does: visible reads, guarded writes, and hooks for the module's own rules."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.actor = uow.actor
        self._wrote: tuple[UUID, int, Mapping[str, Any]] | None = None
        self._rendered: tuple[M | None, Mapping[str, Any]] = (None, {})

    # -- hooks ---------------------------------------------------------------------------------------------

    async def before_create(self, values: dict[str, Any]) -> None:
        """Check and complete the columns of a new row; may change `values`."""

    async def after_create(self, row: M) -> None:
        """React in the same transaction."""

    async def before_update(self, row: M, changes: dict[str, Any]) -> None:
        """Check and complete changes; may change `changes`."""

    async def after_update(self, before: M, after: M) -> None:
        """React in the same transaction."""

    async def before_delete(self, row: M) -> None:
        """Refuse by raising, or clean up."""

    async def opened(self, id: UUID, pool_id: UUID) -> None:
        """Somebody looks at a record that lies in a pool: refuse by raising, or count."""

    # -- reading -------------------------------------------------------------------------------------------

    async def answer(self, row: M) -> dict[str, Any]:
        """One stored row as its own address answers it: with its parts, without what is hidden from the actor."""
        hidden = self.actor.hidden(self.record.object)
        known, rendered = self._rendered
        if row is not known:
            rendered = self.record.render(row, hidden)
        elif hidden:
            rendered = {name: value for name, value in rendered.items() if name not in hidden}
        return {**rendered, **await self.parts_of(row)}

    def _render(self, row: M) -> Mapping[str, Any]:
        """A row that was just written, for its event; whoever answers with it need not render it again."""
        self._rendered = (row, self.record.render(row))
        return self._rendered[1]

    async def parts_of(self, row: M) -> dict[str, Any]:
        """The parts of a stored row as the actor sees them, ready to be written; one statement at most."""
        record = self.record
        if not record.parts:
            return {}
        hidden = self.actor.hidden(record.object)
        if self._wrote is not None and self._wrote[:2] == (row.id, row.version):
            currency, known = row.__dict__.get("currency", ""), self._wrote[2]
            return {part.name: part.rendered(known[part.name], currency, hidden) for part in record.parts}
        columns = f"NULL{record.parts_columns(hidden)}"
        # What waits is written together, where reading would part it.
        found = await self.uow.flush_answering(row, columns)
        if found is None:
            found = await self.uow.fetchrow(
                f"SELECT {columns} FROM {record.table} t WHERE t.tenant_id = $1 AND t.id = $2",
                row.tenant_id,
                row.id,
            )
        return {} if found is None else record.parts_in(found, 1)

    def wrote_parts(self, row: M, **parts: Any) -> None:
        """Say what all parts of this version of a row are: to answer with it, nobody reads them again."""
        self._wrote = (row.id, row.version, parts)

    async def get(self, id: UUID, *, action: str = "read", lock: Lock = None) -> M:
        """A row that the actor may act on. Raises `NotFound` if not visible, `Forbidden` if only readable.

        To act on a record that was merged into another raises `RecordMerged`, which names that one.
        """
        found = await self.get_many([id], action=action, lock=lock)
        if id not in found:
            await refuse_absent(self, [id], writing=action != "read" or lock is not None)
        row = found[id]
        if action == "read" and self.record.held and row.__dict__["pool_id"] is not None:
            await self.opened(id, row.__dict__["pool_id"])
        return row

    async def get_many(
        self, ids: Sequence[UUID], *, action: str = "read", lock: Lock = None
    ) -> dict[UUID, M]:
        """Visible rows by id, in one statement; what is not visible is absent. Locks in id order."""
        model, object_name = self.record.model, self.record.object
        one = len(ids) == 1
        bind = Bindings(self.uow.tenant_id, ids[0] if one else list(ids))
        readable = visible_rows(self.actor, object_name, "read", bind)
        allowed = readable if action == "read" else visible_rows(self.actor, object_name, action, bind)
        rows = await self.uow.fetch(
            rows_by_id(cast("type[RecordTable]", model), readable, allowed, lock, one=one), *bind.values
        )
        if not all(row["allowed"] for row in rows):
            raise Forbidden(
                f"Your role lets you read this but not {action} it.", permission=f"{object_name}:{action}"
            )
        return {row["id"]: self._entity(row) for row in rows}

    def _entity(self, row: Any) -> M:
        values = dict(row)
        values.pop("allowed")
        found: M = entity(self.record.model, values)
        return found

    # -- writing -------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> M:
        """Create a record from validated fields; `explicit` are those the caller wrote, defaults left out.

        Raises: `Forbidden`, `Invalid`, `DuplicateValue` and whatever the module's rules refuse.
        """
        record = self.record
        self.require_creatable(given if explicit is None else explicit)
        values = self._columns(given)
        chooses_team = explicit is not None and "team_id" in explicit
        if chooses_team and values.get("team_id") not in (None, *self.actor.team_ids):
            self.actor.require(f"{record.object}:assign")
        await self._assign(values, creating=True)
        if record.held:
            values |= received(values["owner_id"], self.uow.now)
        custom = await self.uow.kernel.custom_fields.clean(self.uow, record.object, given.get("custom") or {})
        values["custom"] = custom.stored
        values["created_by"] = self.actor.member_id
        await self.before_create(values)
        await guard_create(self.uow, record, values)
        values["tokens"] = record.search.tokens(values)
        row: M = await self.uow.insert_last(record.model, audit=record.object, **values)
        if custom.indexed:
            await self.uow.kernel.custom_fields.index(self.uow, record.object, row.id, custom)
        self.uow.meter("records.created")
        self.uow.publish_record(record.created, row.id, row.version, record=self._render(row))
        await self.after_create(row)
        return row

    def require_creatable(self, given: Collection[str]) -> None:
        """Raises `Forbidden` for who may not create records, or not set one of these fields."""
        self.actor.require(f"{self.record.object}:create")
        self._check_field_rules(given)

    async def update(self, id: UUID, given: Mapping[str, Any], *, expected_version: int | None) -> M:
        """Apply a merge patch. Raises also `NotFound`, `StaleVersion` when `expected_version` is not current."""
        row = await self.get(id, action="update", lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return await self.change(row, given)

    async def change(self, row: M, given: Mapping[str, Any], *, action: str = "updated") -> M:
        """Apply changes to a locked row, with the module's rules, audit and event."""
        record = self.record
        self._check_field_rules(given)
        changes = self._columns(given)
        new_owner = "owner_id" in changes and changes["owner_id"] != row.owner_id
        new_team = "team_id" in changes and changes["team_id"] != row.team_id
        if (new_owner or new_team) and self.actor.require(f"{record.object}:assign") is not Scope.ALL:
            await self.get(row.id, action="assign")
        if new_owner:
            await self._assign(changes, creating=False)
        elif new_team and changes["team_id"] is not None:
            await self.uow.of(People).require_teams([changes["team_id"]], pointer="/team_id")
        custom = None
        if "custom" in given:
            custom = await self.uow.kernel.custom_fields.clean(
                self.uow, record.object, given["custom"] or {}, current=row.custom, record_id=row.id
            )
            changes["custom"] = custom.stored
        await self.before_update(row, changes)
        await guard_change(self.uow, record, row.__dict__, changes)
        return await self.write(row, changes, action=action, custom=custom)

    async def write(
        self,
        row: M,
        changes: dict[str, Any],
        *,
        action: str = "updated",
        custom: Any = None,
        reason: str | None = None,
    ) -> M:
        """Write checked columns: tokens, version, audit, index table and event follow by themselves."""
        record = self.record
        if record.held and "owner_id" in changes:
            changes |= taken_over(row.__dict__, changes, self.uow.now)
        if any(name in changes for name in record.search.columns):
            changes["tokens"] = record.search.tokens({**row.__dict__, **changes})
        after: M = await self.uow.update_last(
            row, audit=record.object, action=action, reason=reason, **changes
        )
        if after is row:
            return row
        if custom is not None and custom.indexed:
            await self.uow.kernel.custom_fields.index(self.uow, record.object, row.id, custom)
        old, new = row.__dict__, after.__dict__
        changed = [name for name in record.fields if old[name] != new[name]]
        changed = [name for name in changed if name not in ("version", "updated_at")]
        self.uow.publish_record(
            record.updated, row.id, after.version, changed=changed, record=self._render(after)
        )
        await self.after_update(row, after)
        return after

    async def delete(self, id: UUID, *, expected_version: int | None) -> None:
        """Soft-delete. Raises `NotFound`, `Forbidden`, `StaleVersion`, and what `before_delete` refuses."""
        row = await self.get(id, action="delete", lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        await self.before_delete(row)
        await self.uow.delete(row, audit=self.record.object)
        self.uow.publish_record(self.record.deleted, row.id, row.version + 1)

    def _check_field_rules(self, given: Collection[str]) -> None:
        refused = sorted(self.actor.readonly(self.record.object) & set(given))
        if refused:
            raise Forbidden(
                f"Your role may not change: {', '.join(refused)}.",
                errors=[
                    FieldError(f"/{name}", "readonly_field", "Your role may not change this.")
                    for name in refused
                ],
            )

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Wire values as columns: money in minor units beside its currency; enumerations as text."""
        values = dict(given)
        values.pop("custom", None)
        for name in required_columns(cast("type[RecordTable]", self.record.model)) & values.keys():
            if values[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        for name in self.record.money & values.keys():
            value = values[name]
            if isinstance(value, Money):
                values[name] = value.amount_minor
                values[self.record.currencies.get(name, "currency")] = value.currency
        return values

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        """Fill in owner and team, and check that those given exist."""
        owner: UUID | None = values.get("owner_id")
        if owner is None and creating:
            owner = values["owner_id"] = self.actor.member_id
        if owner is None:
            home = self.actor.home_team_id if creating else None
        elif owner == self.actor.member_id:
            home = self.actor.home_team_id
        else:
            if creating:
                self.actor.require(f"{self.record.object}:assign")
            home = (await self.uow.of(People).require_members([owner], pointer="/owner_id"))[owner]
        if values.get("team_id") is None:
            values["team_id"] = home
        elif values["team_id"] != home:
            await self.uow.of(People).require_teams([values["team_id"]], pointer="/team_id")
