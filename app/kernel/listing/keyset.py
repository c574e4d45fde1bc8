"""Keyset pages: the order of a list, and signed cursors that hold a position in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from app.kernel.errors import InvalidCursor, InvalidFilter
from app.kernel.listing.fields import PG_TYPES, Bindings, Field, FieldSet, Kind
from app.kernel.listing.queries import Query
from app.kernel.secrets import KeyRing, SignatureInvalid


@dataclass(frozen=True, slots=True)
class Keyset:
    """The order of a list: its sort fields and then the id, which makes it total."""

    keys: tuple[tuple[Field, bool], ...]

    @classmethod
    def of(
        cls, sort: Sequence[tuple[str, bool]], default: Sequence[tuple[str, bool]], fields: FieldSet
    ) -> Keyset:
        keys: list[tuple[Field, bool]] = []
        for name, descending in sort or default:
            found = fields.get(name, "sort")
            if not found.sortable:
                raise InvalidFilter(f"{name!r} cannot be sorted by.", parameter="sort")
            keys.append((found, descending))
        if not any(found.name == "id" for found, _ in keys):
            keys.append((fields.fields.get("id", ID_FIELD), keys[-1][1] if keys else False))
        return cls(tuple(keys))

    @property
    def order_by(self) -> str:
        return ", ".join(f"{key.sql}{' DESC' if descending else ''}" for key, descending in self.keys)

    @property
    def named(self) -> str:
        """The keys as columns `k0` and so on, for an order of what was selected: `order_of_named`."""
        return ", ".join(f"{key.sql} AS k{place}" for place, (key, _) in enumerate(self.keys))

    @property
    def order_of_named(self) -> str:
        return ", ".join(
            f"k{place}{' DESC' if falling else ''}" for place, (_, falling) in enumerate(self.keys)
        )

    @property
    def by_creation(self) -> bool:
        """Whether this is the order of creation or its reverse, of which every record type has an index."""
        return [(key.name, falling) for key, falling in self.keys] in _BY_CREATION

    @property
    def columns(self) -> str:
        """The values a cursor holds, as one JSON array of texts."""
        return "jsonb_build_array(" + ", ".join(f"({key.sql})::text" for key, _ in self.keys) + ")::text"

    def after(self, values: Sequence[str | None], bind: Bindings) -> str:
        """SQL that is true for the rows behind a position."""
        if len(values) != len(self.keys):
            raise InvalidCursor
        directions = {descending for _, descending in self.keys}
        if len(directions) == 1 and all(not key.nullable for key, _ in self.keys):
            return self._compared("<" if directions.pop() else ">", values, bind)
        return self._expanded(values, bind)

    def _compared(self, operator: str, values: Sequence[str | None], bind: Bindings) -> str:
        left = ", ".join(key.sql for key, _ in self.keys)
        right = ", ".join(
            self._bound(key, value, bind) for (key, _), value in zip(self.keys, values, strict=True)
        )
        return f"({left}) {operator} ({right})"

    def _expanded(self, values: Sequence[str | None], bind: Bindings) -> str:
        """The same for mixed directions and NULLs (first when descending, last when ascending)."""
        alternatives: list[str] = []
        equal: list[str] = []
        for (key, descending), value in zip(self.keys, values, strict=True):
            if value is None:
                beyond = f"{key.sql} IS NOT NULL" if descending else "false"
                same = f"{key.sql} IS NULL"
            else:
                bound = self._bound(key, value, bind)
                beyond = f"{key.sql} {'<' if descending else '>'} {bound}"
                if key.nullable and not descending:
                    beyond = f"({beyond} OR {key.sql} IS NULL)"
                same = f"{key.sql} = {bound}"
            alternatives.append(" AND ".join([*equal, beyond]))
            equal.append(same)
        return "(" + " OR ".join(f"({part})" for part in alternatives) + ")"

    @staticmethod
    def _bound(key: Field, value: str | None, bind: Bindings) -> str:
        return f"{bind(value)}::text::{PG_TYPES[key.kind]}"


_BY_CREATION = tuple([("created_at", falling), ("id", falling)] for falling in (True, False))
ID_FIELD = Field("id", Kind.UUID, "t.id", nullable=False)


def sign_cursor(keys: KeyRing, tenant_id: UUID, list_name: str, query: Query, values: str) -> str:
    """An opaque position, bound to tenant, list, filters and sort."""
    return keys.sign(_binding(tenant_id, list_name, query) + values.encode(), purpose="cursor")


def read_cursor(keys: KeyRing, tenant_id: UUID, list_name: str, query: Query) -> list[str | None]:
    """The position in a cursor. Raises `InvalidCursor`: forged, of another tenant, or of other filters."""
    bound_to = _binding(tenant_id, list_name, query)
    try:
        payload = keys.unsign(query.cursor or "", purpose="cursor")
    except SignatureInvalid:
        payload = b""
    if not payload.startswith(bound_to):
        raise InvalidCursor("The cursor belongs to another list, filter or sort; start again without it.")
    values: list[str | None] = orjson.loads(payload[len(bound_to) :])
    return values


def _binding(tenant_id: UUID, list_name: str, query: Query) -> bytes:
    return hashlib.blake2b(f"{tenant_id}{list_name}{query.shape}".encode(), digest_size=12).digest()
