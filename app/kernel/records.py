"""Record types: declare a table, its wire schemas and what is searched; everything generic follows.

From one `RecordType` come lists and search, reads, create, merge patch, delete, batches, history, sharing,
transfer, custom fields, import, export, events, audit, permissions and their tests. A module adds its rules by
subclassing `RecordService` and overriding the hooks.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel

from app.kernel.access import Scope, visible_rows
from app.kernel.errors import FieldError, Forbidden, Invalid, require_version
from app.kernel.events import Event, MergeEvent, RecordEvent, merge_event, record_event
from app.kernel.holding import is_held, received, taken_over
from app.kernel.listing import Bindings, Field, Kind
from app.kernel.merging.rules import MergeHooks, MergeSpec
from app.kernel.merging.tombstones import refuse_absent
from app.kernel.models import RecordTable, qualified
from app.kernel.money import Money, money_dict
from app.kernel.parts import Fact, Parts, select_list
from app.kernel.people import People
from app.kernel.quality.guard import guard_change, guard_create
from app.kernel.registry import Permission
from app.kernel.statements import Lock, entity, picker, required_columns, rows_by_id
from app.kernel.tokens import record_tokens, texts_of
from app.kernel.uow import UnitOfWork
from app.kernel.veils import Veil

M = TypeVar("M", bound=RecordTable)

ACTIONS = ("read", "create", "update", "delete", "assign", "share", "import", "export", "merge")


@dataclass(frozen=True)
class Search:
    """Columns whose words, addresses and numbers find the record."""

    names: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.names + self.emails + self.phones

    def tokens(self, values: Mapping[str, Any]) -> list[str]:
        """The search tokens of a row."""
        return record_tokens(
            texts_of(values, self.names),
            emails=texts_of(values, self.emails),
            phones=texts_of(values, self.phones),
        )


@dataclass(frozen=True)
class RecordType(Generic[M]):
    """One kind of record. `read`'s fields are columns of `model`, by name.

    A `Money` field `amount` is the bigint column `amount` with the text column named in `currencies`
    (default `currency`).
    """

    object: str
    plural: str
    module: str
    model: type[M]
    read: type[BaseModel]
    create: type[BaseModel]
    update: type[BaseModel]
    service: type[RecordService[M]]
    title: str = "name"
    search: Search = field(default_factory=Search)
    default_sort: tuple[tuple[str, bool], ...] = (("created_at", True),)
    upsert_keys: tuple[str, ...] = ("external_id",)
    currencies: Mapping[str, str] = field(default_factory=dict)
    follows: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Field → the field, or those, whose hiding hides it too; `object.field` is one of another record type."""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)  # field → names in files, en and zh
    contact_fields: tuple[str, ...] = ()  # addresses and numbers, which a `Reach` may veil
    importable: bool = True
    moves_etag: str | None = None
    """A time that also moves the ETag: of columns that are computed and change without a new version."""
    default_scopes: Mapping[str, Mapping[str, Scope]] = field(default_factory=dict)
    merge: MergeSpec | None = None  # how several become one; None: they cannot
    detail: type[BaseModel] | None = None
    """What one record answers where that is more than `read`: `parts` beside it."""
    parts: tuple[Parts | Fact, ...] = ()

    @property
    def path(self) -> str:
        return self.plural.replace("_", "-")

    @cached_property
    def created(self) -> type[RecordEvent]:
        return record_event(self.module, self.object, "created")

    @cached_property
    def updated(self) -> type[RecordEvent]:
        return record_event(self.module, self.object, "updated")

    @cached_property
    def deleted(self) -> type[RecordEvent]:
        return record_event(self.module, self.object, "deleted")

    @cached_property
    def merged(self) -> type[MergeEvent]:
        return merge_event(self.module, self.object, "merged")

    @cached_property
    def merge_undone(self) -> type[MergeEvent]:
        return merge_event(self.module, self.object, "merge_undone")

    @property
    def events(self) -> tuple[type[Event], ...]:
        """All generated events of this type."""
        of_merging = (self.merged, self.merge_undone) if self.merge is not None else ()
        return (self.created, self.updated, self.deleted, *of_merging)

    @cached_property
    def table(self) -> str:
        return qualified(self.model)

    @cached_property
    def view(self) -> str:
        """The read view that lists and searches go through."""
        return f"{self.table}_read"

    @cached_property
    def held(self) -> bool:
        """Whether the table says who has a record since when, and its pool."""
        return is_held(self.model)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The declared fields by name, in the order of the answer."""
        return {name: self._field(name, info.annotation) for name, info in self.read.model_fields.items()}

    def _field(self, name: str, annotation: Any) -> Field:
        kind, nullable, choices = kind_of(annotation)
        if kind is Kind.MONEY:
            currency = f"t.{self.currencies.get(name, 'currency')}"
            return Field(name, kind, f"t.{name}", nullable, currency=currency)
        plain = kind not in (Kind.JSON, Kind.TEXT_LIST, Kind.UUID_LIST)
        return Field(
            name, kind, f"t.{name}", nullable, sortable=plain, filterable=name != "custom", choices=choices
        )

    @cached_property
    def money(self) -> frozenset[str]:
        """The fields that hold money."""
        return frozenset(name for name, found in self.fields.items() if found.kind is Kind.MONEY)

    def permissions(self) -> list[Permission]:
        """`lead:read` … with the scopes that the built-in roles start with."""
        noun = self.object.replace("_", " ")
        found = []
        for action in ACTIONS:
            if (action == "import" and not self.importable) or (action == "merge" and self.merge is None):
                continue
            defaults = self.default_scopes.get(action) or _default_scopes(action)
            found.append(
                Permission(f"{self.object}:{action}", f"{action.title()} {noun} records.", dict(defaults))
            )
        return found

    # -- rendering: the one representation of a record -------------------------------------------------------

    @cached_property
    def plan(self) -> ReadPlan:
        return self.plan_of(tuple(self.fields))

    def plan_of(self, names: tuple[str, ...]) -> ReadPlan:
        """How to select and render these fields; made once per choice of fields."""
        found = self._plans.get(names)
        if found is None:
            if len(self._plans) > 500:
                self._plans.clear()
            found = self._plans[names] = ReadPlan.of([self.fields[name] for name in names])
        return found

    @cached_property
    def _plans(self) -> dict[tuple[str, ...], ReadPlan]:
        return {}

    def render(self, row: M, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
        """A stored row as its answer; `orjson` writes what is not text yet."""
        answer = self.rendered(row.__dict__)
        return {name: value for name, value in answer.items() if name not in hidden} if hidden else answer

    def rendered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same, of a row's columns."""
        answer = dict(zip(self.fields, self._picked(values), strict=True))
        for name in self.money:
            if answer[name] is not None:
                answer[name] = money_dict(answer[name], values[self.currencies.get(name, "currency")])
        return answer

    _picked = cached_property(lambda self: picker(tuple(self.fields)))

    def parts_columns(self, hidden: frozenset[str]) -> str:
        """A select list of all parts, which begins with a comma."""
        return select_list(self.parts, hidden)

    def parts_in(self, row: Any, at: int) -> dict[str, Any]:
        """The parts that a driver row has from column `at` on."""
        return {part.name: orjson.Fragment(row[place]) for place, part in enumerate(self.parts, at)}

    def dump(self, row: M, hidden: frozenset[str] = frozenset()) -> bytes:
        """The JSON of a stored row."""
        return to_json(self.render(row, hidden))

    def snapshot(self, row: M) -> dict[str, Any]:
        """A record as it stands in an event."""
        found: dict[str, Any] = orjson.loads(self.dump(row))
        return found


@dataclass(frozen=True)
class ReadPlan:
    """The select list of some fields and how a driver row becomes an answer."""

    names: tuple[str, ...]
    columns: str
    fixups: tuple[tuple[str, Callable[[Any, Any], Any], int], ...]  # (name, fix(value, row), extra column)
    width: int  # columns of a row
    veil: Veil | None = None

    @classmethod
    def of(cls, fields: Sequence[Field]) -> ReadPlan:
        columns: list[str] = []
        extras: list[str] = []
        fixups: list[tuple[str, Callable[[Any, Any], Any], int]] = []
        for found in fields:
            if found.kind is Kind.UUID:
                # Text from the server is cheaper than a UUID object that is written as text anyway.
                columns.append(f"({found.sql})::text")
            elif found.kind is Kind.JSON:
                columns.append(f"({found.sql})::text")
                fixups.append((found.name, _fragment, -1))
            elif found.kind is Kind.UUID_LIST:
                columns.append(f"({found.sql})::text[]")
            else:
                columns.append(found.sql)
                if found.kind is Kind.MONEY:
                    fixups.append((found.name, money_dict, len(fields) + len(extras)))
                    extras.append(found.currency or "NULL")
        selected = columns + extras
        return cls(tuple(f.name for f in fields), ", ".join(selected), tuple(fixups), len(selected))

    def veiled(self, names: Collection[str], column: str, ids: Collection[UUID]) -> ReadPlan:
        """This plan, with the texts of some fields shown in part only where `column` is one of `ids`."""
        places = tuple(place for place, name in enumerate(self.names) if name in names)
        if not places:
            return self
        veil = Veil(places, self.width, frozenset(ids))
        return replace(self, columns=f"{self.columns}, t.{column}", width=self.width + 1, veil=veil)

    def shown(self, row: Any) -> Any:
        """A driver row as it may be shown."""
        return row if self.veil is None else self.veil.over(row)

    def render(self, row: Any) -> dict[str, Any]:
        if self.veil is not None:
            row = self.veil.over(row)
        answer = dict(zip(self.names, row, strict=False))
        for name, fix, extra in self.fixups:
            value = answer[name]
            if value is not None:
                answer[name] = fix(value, row[extra])
        return answer


def _fragment(text: str, _: Any) -> orjson.Fragment:
    return orjson.Fragment(text)


def to_json(value: Any) -> bytes:
    """JSON bytes of an answer: times end in Z, ids and decimals are text."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _text(value: Any) -> str:
    """Decimals in plain notation: a hundred-millionth is no `1E-8` on the wire."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_PLAIN_KINDS: dict[Any, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    bool: Kind.BOOLEAN,
    float: Kind.DECIMAL,
    Decimal: Kind.DECIMAL,
    UUID: Kind.UUID,
    datetime: Kind.DATETIME,
    AwareDatetime: Kind.DATETIME,
    date: Kind.DATE,
    Money: Kind.MONEY,
}


def kind_of(annotation: Any) -> tuple[Kind, bool, tuple[str, ...]]:
    """(kind, nullable, choices) of a read field's annotation."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        kind, _, choices = kind_of(inner[0])
        return kind, len(inner) < len(typing.get_args(annotation)), choices
    if origin is typing.Literal:
        return Kind.TEXT, False, tuple(map(str, typing.get_args(annotation)))
    if origin is list:
        inner_kind, _, _ = kind_of(typing.get_args(annotation)[0])
        lists = {Kind.TEXT: Kind.TEXT_LIST, Kind.UUID: Kind.UUID_LIST}
        return lists.get(inner_kind, Kind.JSON), False, ()
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Kind.TEXT, False, tuple(kind.value for kind in annotation)
    return _PLAIN_KINDS.get(annotation, Kind.JSON), False, ()


def _default_scopes(action: str) -> dict[str, Scope]:
    """Owners and admins everything; managers their teams; salespeople read their teams and change their own."""
    all_of_it = {"owner": Scope.ALL, "admin": Scope.ALL}
    if action in ("assign", "share", "import", "export"):
        return all_of_it | {
            "manager": Scope.TEAM_AND_BELOW,
            "salesperson": Scope.OWN if action == "share" else Scope.NONE,
        }
    if action == "read":
        return all_of_it | {"manager": Scope.TEAM_AND_BELOW, "salesperson": Scope.TEAM, "viewer": Scope.ALL}
    if action == "create":
        return all_of_it | {"manager": Scope.ALL, "salesperson": Scope.ALL}
    if action in ("delete", "merge"):
        return all_of_it | {"manager": Scope.TEAM_AND_BELOW}
    return all_of_it | {"manager": Scope.TEAM_AND_BELOW, "salesperson": Scope.OWN}


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
        await self.uow.flush()  # what waits is written together, where reading would part it
        found = await self.uow.fetchrow(
            f"SELECT NULL{record.parts_columns(hidden)} FROM {record.table} t"
            " WHERE t.tenant_id = $1 AND t.id = $2",
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
        bind = Bindings(self.uow.tenant_id, list(ids))
        readable = visible_rows(self.actor, object_name, "read", bind)
        allowed = readable if action == "read" else visible_rows(self.actor, object_name, action, bind)
        rows = await self.uow.fetch(
            rows_by_id(cast("type[RecordTable]", model), readable, allowed, lock), *bind.values
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
        self.actor.require(f"{record.object}:create")
        self._check_field_rules(given if explicit is None else explicit)
        values = self._columns(given)
        if explicit is not None and values.get("team_id") not in (None, *self.actor.team_ids):
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
        changed = [name for name in record.fields if getattr(row, name) != getattr(after, name)]
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
