"""What a record type declares, and what follows from it: fields, events, permissions, the rendered record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson
from pydantic import BaseModel

from app.kernel.access import Scope
from app.kernel.events import Event, MergeEvent, RecordEvent, merge_event, record_event
from app.kernel.holding import is_held
from app.kernel.listing import Field, Kind
from app.kernel.merging.rules import MergeSpec
from app.kernel.models import RecordTable, qualified
from app.kernel.money import money_dict
from app.kernel.parts import Fact, Parts, select_list
from app.kernel.records.wire import ReadPlan, kind_of, to_json
from app.kernel.registry import Permission
from app.kernel.statements import picker
from app.kernel.tokens import record_tokens, texts_of

if TYPE_CHECKING:
    from app.kernel.records.service import RecordService

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
        return self.with_money(dict(zip(self.fields, self._picked(values), strict=True)), values)

    def with_money(self, answer: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Put amounts with their currencies, from a row's columns, where an answer has minor units."""
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
