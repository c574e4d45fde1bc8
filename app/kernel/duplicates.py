"""Duplicates: who looks like a record that is there already, and what the tenant does about it.

Records carry three compared forms: of the e-mail address, of the telephone number (E.164) and of the name.
Equal forms are found by index; similar names are sought among the neighbours in the order of names and, for
types that have that index, of names read backwards, so that a difference at one end is passed over at the other
(the sorted-neighbourhood method of Hernández and Stolfo, 1995). That costs the same in a table of any size,
where trigrams took 100 ms among 200,000 companies whose names share their words. Names are then scored; from 88
of 100 on they count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from rapidfuzz import fuzz
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.access import Scope, visible_rows
from app.kernel.contact import EmailInvalid, normalise_email, to_e164
from app.kernel.errors import Conflict
from app.kernel.listing import Ask, Bindings
from app.kernel.locks import lock_keys, lock_name, lock_text
from app.kernel.models import RecordTable
from app.kernel.records import RecordService, RecordType
from app.kernel.registry import Permission
from app.kernel.tokens import texts_of
from app.kernel.uow import UnitOfWork

M = TypeVar("M", bound=RecordTable)

NAME_THRESHOLD = 88.0
SHOWN = 10
_PER_KEY = 20
_KEYS = 5
_NEIGHBOURS = 5
_SEPARATOR = " | "
_JUDGED_BY = ("id", "created_at", "email_key", "phone_key", "name_key", "title")


PERMISSIONS = (
    Permission(
        "duplicate_rule:manage",
        "Say what happens to records that look like others.",
        {"owner": Scope.ALL, "admin": Scope.ALL},
    ),
    Permission(
        "duplicate_rule:override",
        "Make a record although the rule blocks it.",
        {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL},
    ),
)


class DuplicateAction(StrEnum):
    """What happens to a record that looks like another: refused, made and counted, or not looked at."""

    BLOCK = "block"
    WARN = "warn"
    ALLOW = "allow"


class DuplicateFound(Conflict):
    """Carries `candidates` that the actor may see and the number of `hidden` ones."""

    code = "duplicate_found"
    title = "This looks like a record that is there already"


DERIVED = {"derived": True}


class DuplicateColumns:
    """The compared forms on a record's table; computed on write, each indexed behind the tenant.

    The count is a number that only the rules know, for every other row of some files: imports tell it last (`late`).
    """

    email_key: Mapped[str | None] = mapped_column(sort_order=880, info=DERIVED)
    phone_key: Mapped[str | None] = mapped_column(sort_order=881, info=DERIVED)
    name_key: Mapped[str | None] = mapped_column(sort_order=882, info=DERIVED)
    duplicate_count: Mapped[int] = mapped_column(sort_order=883, info=DERIVED | {"late": True})


@dataclass(frozen=True)
class DuplicateSpec:
    """How one record type is compared.

    `name_key` builds the compared form of the name from a row's columns, or None when the name says too little;
    a scope that must agree as well (a contact's account, a lead's company) goes in front by `scoped`.
    `name_from` are the columns that it is built from, where all of them come from whoever writes the row.
    `exact` are further columns that are compared as they are. `both_ends` says that the table has the index of
    names read backwards.
    """

    name_key: Callable[[Mapping[str, Any]], str | None]
    name_from: tuple[str, ...] = ()
    emails: tuple[str, ...] = ("email",)
    phones: tuple[str, ...] = ("phone",)
    exact: tuple[str, ...] = ()
    exact_scope: bool = False
    both_ends: bool = False

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The columns that the compared forms come from, as far as whoever writes the row gives them."""
        return ("country", *self.emails, *self.phones, *self.exact, *self.name_from)

    def columns(self, values: Mapping[str, Any], country: str) -> dict[str, Any]:
        """The columns of `DuplicateColumns` for a row; the count is for the check to say."""
        emails, phones = self.keys(values, country)
        return {
            "email_key": emails[0] if emails else None,
            "phone_key": phones[0] if phones else None,
            "name_key": self.name_key(values),
        }

    def keys(self, values: Mapping[str, Any], country: str) -> tuple[list[str], list[str]]:
        """All addresses and all numbers of a row in compared form, the first ones first."""
        region = values.get("country") or country
        emails = [key for text in texts_of(values, self.emails) if (key := _email_key(text))]
        phones = [key for text in texts_of(values, self.phones) if (key := to_e164(text, region))]
        return _distinct(emails), _distinct(phones)


def all_forms(object_name: str) -> str:
    """The lock over every compared form of a record type, by name."""
    return f"{object_name} duplicates"


async def hold_all_forms(
    uow: UnitOfWork, object_name: str, *, shared: bool = False, always: bool = False
) -> None:
    """Hold every compared form of a record type until the transaction ends, where duplicates are blocked or `always`.

    For who writes many records, before they hold any: so nobody waits in a circle. Those that hold the forms `shared`
    let each other be.
    """
    lock = f"pg_advisory_xact_lock{'_shared' if shared else ''}(hashtextextended($1::text, 0))"
    sql = f"SELECT {lock}"
    arguments: list[Any] = [lock_text(uow, all_forms(object_name))]
    if not always:
        sql += " FROM kernel.duplicate_rules WHERE tenant_id = $2 AND object = $3 AND action = 'block'"
        arguments += [uow.tenant_id, object_name]
    await uow.fetch(sql, *arguments)


def scoped(scope: object, name: str) -> str:
    """A name's compared form within a scope."""
    return f"{scope}{_SEPARATOR}{name}"


def _distinct(keys: list[str]) -> list[str]:
    return keys if len(keys) < 2 else list(dict.fromkeys(keys))


def _email_key(text: str) -> str | None:
    try:
        return normalise_email(text)
    except EmailInvalid:
        return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that looks like the one at hand; `reasons` from email, phone, name and the exact columns."""

    id: UUID
    name: str
    reasons: tuple[str, ...]
    score: float
    created_at: datetime

    def wire(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "reasons": list(self.reasons),
            "score": self.score,
        }


@dataclass(frozen=True, slots=True)
class Beside:
    """What else is to be known of a new row, read together with its duplicates, and who is told it.

    `told` comes before any duplicate is spoken of, and may refuse by raising.
    """

    ask: Ask
    told: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates that the actor may see, likeliest first, and how many there are beside them."""

    candidates: tuple[Candidate, ...] = ()
    hidden: int = 0
    action: DuplicateAction = DuplicateAction.WARN

    @property
    def count(self) -> int:
        return len(self.candidates) + self.hidden


class DuplicateFinder:
    """Looks for duplicates of one record type in this transaction."""

    def __init__(self, uow: UnitOfWork, record: RecordType[Any], spec: DuplicateSpec) -> None:
        self._uow, self._record, self._spec = uow, record, spec

    async def check(
        self,
        values: Mapping[str, Any],
        *,
        id: UUID | None = None,
        allow: bool = False,
        beside: Beside | None = None,
    ) -> int:
        """How many records look like this one. Raises `DuplicateFound` where the tenant blocks, unless `allow`.

        Where it blocks, writers of the same address, number or name wait for each other, so that of two at
        once exactly one gets through.
        """
        found = await self.find(values, id=id, beside=beside)
        if found.action is DuplicateAction.ALLOW:
            return 0
        if found.action is DuplicateAction.BLOCK and not allow:
            if not found.count:
                await self.lock(values)
                found = await self.find(values, id=id)
            if found.count:
                raise duplicate_found(found)
        return found.count

    async def lock(self, values: Mapping[str, Any]) -> None:
        """Hold every compared form of a row until this transaction ends; what is read after this is current.

        Chunks of imports that block hold all forms there are.
        """
        await lock_name(self._uow, all_forms(self._record.object), shared=True)
        emails, phones = self._spec.keys(values, self._uow.actor.tenant.country)
        keys = [f"e{key}" for key in emails] + [f"p{key}" for key in phones]
        keys += [f"x{name}{values[name]}" for name in self._spec.exact if values.get(name)]
        name = self._spec.name_key(values)
        keys += [f"n{name}"] if name else []
        await lock_keys(self._uow, self._record.object, keys)

    async def find(
        self, values: Mapping[str, Any], *, id: UUID | None = None, beside: Beside | None = None
    ) -> Found:
        """Candidates for a row, given by its columns, with the tenant's rule; `id` is the row itself."""
        emails, phones = self._spec.keys(values, self._uow.actor.tenant.country)
        wanted = _Wanted(
            tuple(emails),
            tuple(phones),
            self._spec.name_key(values),
            {column: values[column] for column in self._spec.exact if values.get(column)},
        )
        bind = Bindings(self._uow.tenant_id)
        parts = self._parts(bind, wanted)
        name = bind(self._record.object)
        rule = (
            f"(SELECT action FROM kernel.duplicate_rules WHERE tenant_id = $1 AND object = {name}) AS action"
        )
        if beside is not None:
            rule += f", {beside.ask(bind)} AS beside"
        if not parts:
            rows = await self._uow.fetch(f"SELECT {rule}, NULL AS id", *bind.values)
        else:
            own = f" WHERE t.id <> {bind(id)}" if id else ""
            rows = await self._uow.fetch(
                f"SELECT r.*, d.* FROM (SELECT {rule}) r LEFT JOIN LATERAL ("
                f" SELECT {', '.join([*_JUDGED_BY, *self._spec.exact])}, {self._visible(bind)} AS visible"
                f" FROM ({' UNION ALL '.join(parts)}) t{own}) d ON true",
                *bind.values,
            )
        if beside is not None:
            beside.told(rows[0]["beside"])
        return self._judged(rows, wanted)

    def _visible(self, bind: Bindings) -> str:
        object_name = self._record.object
        if not self._uow.actor.may(f"{object_name}:read"):
            return "false"
        return visible_rows(self._uow.actor, object_name, "read", bind) or "true"

    def _parts(self, bind: Bindings, wanted: _Wanted) -> list[str]:
        """One cheap index look-up per form; a row may come up in several."""
        columns = [
            "tenant_id",
            "id",
            "owner_id",
            "team_id",
            "created_at",
            "email_key",
            "phone_key",
            "name_key",
        ]
        if reach := self._uow.actor.reach.get(self._record.object):
            columns.append(reach.column)
        selected = ", ".join(f"h.{column}" for column in (*columns, *self._spec.exact))
        what = f"SELECT {selected}, h.{self._record.title} AS title FROM"
        live = "h WHERE h.tenant_id = $1 AND h.deleted_at IS NULL AND"
        source = f"{what} {self._record.table} {live}"
        conditions = [f"h.email_key = {bind(key)}" for key in wanted.emails[:_KEYS]]
        conditions += [f"h.phone_key = {bind(key)}" for key in wanted.phones[:_KEYS]]
        conditions += [f"h.{column} = {bind(value)}" for column, value in wanted.exact.items()]
        parts = [f"({source} {condition} LIMIT {_PER_KEY})" for condition in conditions]
        if wanted.name:
            name = bind(wanted.name)
            parts += [
                f"({source} h.name_key >= {name} ORDER BY h.name_key LIMIT {_NEIGHBOURS})",
                f"({source} h.name_key < {name} ORDER BY h.name_key DESC LIMIT {_NEIGHBOURS})",
            ]
            if self._spec.both_ends:
                # An expression is not leakproof: only behind the read view does it reach its index.
                source, key = f"{what} {self._record.view} {live}", "reverse(h.name_key)"
                parts += [
                    f"({source} {key} > reverse({name}) ORDER BY {key} LIMIT {_NEIGHBOURS})",
                    f"({source} {key} < reverse({name}) ORDER BY {key} DESC LIMIT {_NEIGHBOURS})",
                ]
        return parts

    def _judged(self, rows: Sequence[Any], wanted: _Wanted) -> Found:
        action = DuplicateAction(rows[0]["action"] or DuplicateAction.WARN)
        seen: list[Candidate] = []
        hidden = 0
        for row in {row["id"]: row for row in rows if row["id"] is not None}.values():
            reasons, score = self._likeness(row, wanted)
            if not reasons:
                continue
            if row["visible"]:
                seen.append(Candidate(row["id"], row["title"], reasons, score, row["created_at"]))
            else:
                hidden += 1
        seen.sort(key=lambda candidate: (-len(candidate.reasons), -candidate.score, candidate.created_at))
        return Found(tuple(seen), hidden, action)

    def _likeness(self, row: Any, wanted: _Wanted) -> tuple[tuple[str, ...], float]:
        reasons: list[str] = []
        if row["email_key"] in wanted.emails:
            reasons.append("email")
        if row["phone_key"] in wanted.phones:
            reasons.append("phone")
        reasons += [column for column, value in wanted.exact.items() if row[column] == value]
        score = 100.0 if reasons else 0.0
        if wanted.name and row["name_key"]:
            likeness = name_likeness(
                wanted.name, row["name_key"], exact_scope=self._spec.exact_scope, least=NAME_THRESHOLD
            )
            if likeness >= NAME_THRESHOLD:
                reasons.append("name")
                score = max(score, likeness)
        return tuple(reasons), score


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The compared forms that are looked for."""

    emails: tuple[str, ...]
    phones: tuple[str, ...]
    name: str | None
    exact: Mapping[str, Any]


def name_likeness(one: str, other: str, *, exact_scope: bool = False, least: float = 0.0) -> float:
    """How alike two compared forms are, 0 to 100; with scopes, the less alike part decides.

    What is less alike than `least` may be answered with 0: that is known after a few characters.
    """
    scope, _, name = one.rpartition(_SEPARATOR)
    other_scope, _, other_name = other.rpartition(_SEPARATOR)
    if 200 * min(len(name), len(other_name)) < least * (len(name) + len(other_name)):
        return 0.0  # so different in length that no two texts can be as alike
    likeness = max(
        fuzz.ratio(name, other_name, score_cutoff=least),
        fuzz.token_sort_ratio(name, other_name, score_cutoff=least),
    )
    if likeness < least:
        return 0.0
    if scope == other_scope:
        return round(likeness, 1)
    if exact_scope or not scope or not other_scope:
        return 0.0
    return round(min(likeness, fuzz.ratio(scope, other_scope, score_cutoff=least)), 1)


def duplicate_found(found: Found) -> DuplicateFound:
    """The refusal that shows what the actor may see of the candidates."""
    return DuplicateFound(
        f"{found.count} {'record looks' if found.count == 1 else 'records look'} like this one.",
        candidates=[candidate.wire() for candidate in found.candidates[:SHOWN]],
        hidden=found.hidden,
    )


class DuplicateAware(RecordService[M]):
    """A record service whose creates are checked. The create schema has `allow_duplicates: bool = False`.

    Subclasses that override `before_create` or `before_update` call these first.
    """

    duplicates: ClassVar[DuplicateSpec]
    _allow_duplicates: bool = False

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> M:
        """As every record. Raises `DuplicateFound` where the tenant's rule blocks and nobody overrides it."""
        allow = bool(given.get("allow_duplicates", False))
        if allow:
            self.actor.require("duplicate_rule:override")
        return await self._create(given, explicit, allow=allow)

    async def create_knowingly(
        self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None
    ) -> M:
        """Create although it looks like another: for callers that have looked and decided themselves."""
        return await self._create(given, explicit, allow=True)

    async def _create(self, given: Mapping[str, Any], explicit: Collection[str] | None, *, allow: bool) -> M:
        self._allow_duplicates = allow
        try:
            return await super().create(given, explicit=explicit)
        finally:
            self._allow_duplicates = False

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = super()._columns(given)
        values.pop("allow_duplicates", None)
        return values

    @property
    def finder(self) -> DuplicateFinder:
        return DuplicateFinder(self.uow, self.record, self.duplicates)

    async def before_create(self, values: dict[str, Any]) -> None:
        values.update(self.duplicates.columns(values, self.actor.tenant.country))
        values["duplicate_count"] = await self.finder.check(
            values, allow=self._allow_duplicates, beside=self.beside_duplicates(values)
        )

    def beside_duplicates(self, values: Mapping[str, Any]) -> Beside | None:  # noqa: ARG002 - for subclasses
        """What else is to be known of a new row, in the statement that looks for its duplicates."""
        return None

    async def before_update(self, row: M, changes: dict[str, Any]) -> None:
        """Keep the compared forms in step; an edit is counted again but never refused."""
        after = {**row.__dict__, **changes}
        forms = self.duplicates.columns(after, self.actor.tenant.country)
        forms |= {name: after[name] for name in self.duplicates.exact}
        if any(row.__dict__[name] != value for name, value in forms.items()):
            found = await self.finder.find(after, id=row.id)
            changes |= forms
            changes["duplicate_count"] = 0 if found.action is DuplicateAction.ALLOW else found.count

    async def complete_merge(self, row: M, merged: Sequence[M], changes: dict[str, Any]) -> None:
        """Keep the compared forms in step, and count again: those merged away are no duplicates any more."""
        after = {**row.__dict__, **changes}
        changes |= self.duplicates.columns(after, self.actor.tenant.country)
        if merged:
            found = await self.finder.find({**after, **changes}, id=row.id)
            changes["duplicate_count"] = 0 if found.action is DuplicateAction.ALLOW else found.count

    async def duplicates_of(self, id: UUID) -> Found:
        """Candidates for a visible record. Raises `NotFound`."""
        row = await self.get(id)
        return await self.finder.find(row.__dict__, id=id)
