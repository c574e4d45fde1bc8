"""Saved views: a list's filter, text, sort and columns under a name, for oneself, a team or everyone.

`GET /v1/leads?view=<id>` applies one; what the request says besides narrows it further. A view is checked when
it is saved by the same compiler that runs it, and again when it is used: fields may have gone meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ARRAY, any_, literal, or_
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped

from app.kernel.errors import Forbidden, Invalid, InvalidFilter, NotFound, StaleVersion
from app.kernel.listing import Bindings, Keyset, Query, compile_filter, query_from_body
from app.kernel.models import Json, Versioned
from app.kernel.people import People
from app.kernel.record_reads import field_set
from app.kernel.schemas import FilterTree, Input, Output, ShortText
from app.kernel.uow import UnitOfWork

Names = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]


class SharedWith(StrEnum):
    """Who sees a view besides its owner."""

    NOBODY = "nobody"
    TEAM = "team"
    EVERYONE = "everyone"


class SavedView(Versioned):
    """One named list."""

    __tablename__ = "saved_views"
    __table_args__ = ({"schema": "kernel"},)

    object: Mapped[str]
    name: Mapped[str]
    owner_id: Mapped[UUID]
    shared_with: Mapped[str]
    team_id: Mapped[UUID | None]
    filter: Mapped[Json | None]
    query: Mapped[str | None]
    sort: Mapped[list[str]]
    fields: Mapped[list[str]]


class SavedViewCreate(Input):
    object: str = Field(max_length=60, description="The record type, say `lead`.", examples=["lead"])
    name: ShortText
    filter: FilterTree | None = Field(None, description="As in `POST …/search`.")
    query: str | None = Field(None, max_length=200, description="Free text, as in `q`.")
    sort: Annotated[list[str], Field(max_length=3)] = Field(default_factory=list)
    fields: Names = Field(default_factory=list, description="Columns; empty means all.")
    shared_with: SharedWith = SharedWith.NOBODY
    team_id: UUID | None = Field(None, description="With `shared_with: team`.")


class SavedViewUpdate(Input):
    """A merge patch; the record type never changes."""

    name: ShortText | None = None
    filter: FilterTree | None = None
    query: str | None = Field(None, max_length=200)
    sort: Annotated[list[str], Field(max_length=3)] | None = None
    fields: Names | None = None
    shared_with: SharedWith | None = None
    team_id: UUID | None = None


class SavedViewRead(Output):
    id: UUID
    version: int
    object: str
    name: str
    owner_id: UUID
    shared_with: SharedWith
    team_id: UUID | None
    filter: dict[str, Any] | None
    query: str | None
    sort: list[str]
    fields: list[str]
    created_at: datetime
    updated_at: datetime


class SavedViews:
    """The views that an actor sees, and changes where they may."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.actor = uow.actor
        self.me = uow.actor.member_id or uow.actor.id

    async def list(self, object_name: str | None) -> list[SavedView]:
        """My views and those shared with me, by record type and name."""
        statement = self.uow.select(SavedView).where(self._visible())
        if object_name is not None:
            statement = statement.where(SavedView.object == self._record(object_name, "object").object)
        return await self.uow.all(statement.order_by(SavedView.object, SavedView.name, SavedView.id))

    async def get(self, id: UUID) -> SavedView:
        """One view that the actor sees. Raises: NotFound."""
        found = await self.uow.first(self.uow.select(SavedView).where(SavedView.id == id, self._visible()))
        if found is None:
            raise NotFound
        return found

    async def create(self, body: SavedViewCreate) -> SavedView:
        """Save a view. Raises: Invalid, InvalidFilter, Forbidden, DuplicateValue at `/name`."""
        record = self._record(body.object, "/object")
        values = body.model_dump(by_alias=True) | {"object": record.object}
        await self._check(values)
        await self._check_sharing(values)
        return await self.uow.insert(SavedView, audit="saved_view", owner_id=self.me, **values)

    async def update(self, id: UUID, body: SavedViewUpdate, *, expected_version: int) -> SavedView:
        """Change one's own view, or any with `saved_view:manage`. Raises also NotFound, StaleVersion."""
        row = await self._mine(id, expected_version)
        changes = body.model_dump(by_alias=True, exclude_unset=True)
        for name in ("name", "sort", "fields", "shared_with"):
            if name in changes and changes[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        if "shared_with" in changes and changes["shared_with"] != SharedWith.TEAM:
            changes.setdefault("team_id", None)
        planned = {**row.__dict__, **changes}
        await self._check(planned)
        if {"shared_with", "team_id"} & set(changes):
            await self._check_sharing(planned)
        return await self.uow.update(row, audit="saved_view", **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Remove one's own view, or any with `saved_view:manage`."""
        await self.uow.delete(await self._mine(id, expected_version), audit="saved_view")

    def _visible(self) -> Any:
        conditions = [SavedView.owner_id == self.me, SavedView.shared_with == SharedWith.EVERYONE.value]
        if self.actor.team_ids:
            mine = literal(list(self.actor.team_ids), ARRAY(postgresql.UUID(as_uuid=True)))
            conditions.append(SavedView.team_id == any_(mine))
        return or_(*conditions)

    async def _mine(self, id: UUID, expected_version: int) -> SavedView:
        row = await self.get(id)
        if row.owner_id != self.me:
            self.actor.require("saved_view:manage")
        if row.version != expected_version:
            raise StaleVersion(current_version=row.version)
        return row

    def _record(self, name: str, pointer: str) -> Any:
        record = self.uow.kernel.registry.record(name)
        if record is None or not self.actor.may(f"{record.object}:read"):
            raise Invalid.at(pointer, "unknown_object", f"There is no record type {name!r}.")
        return record

    async def _check(self, values: dict[str, Any]) -> None:
        """Compile the view as a list would. Raises: InvalidFilter."""
        record = self._record(values["object"], "/object")
        query = _query(values)
        fields = await field_set(self.uow, record)
        compile_filter(query.groups, fields, self.actor.tenant, self.uow.now, Bindings())
        Keyset.of(query.sort, record.default_sort, fields)
        for number, name in enumerate(values["fields"]):
            fields.get(name, f"/fields/{number}")

    async def _check_sharing(self, values: dict[str, Any]) -> None:
        shared = SharedWith(values["shared_with"])
        if (shared is SharedWith.TEAM) != (values["team_id"] is not None):
            raise Invalid.at("/team_id", "one_of", "team_id goes with shared_with: team, and only with it.")
        if shared is SharedWith.NOBODY:
            return
        self.actor.require("saved_view:share")
        if values["team_id"] is not None:
            await self.uow.of(People).require_teams([values["team_id"]], pointer="/team_id")
            if values["team_id"] not in (*self.actor.team_ids, *self.actor.team_ids_below) and not (
                self.actor.may("saved_view:manage")
            ):
                raise Forbidden("Share views with your own teams only.", permission="saved_view:manage")


def _query(values: dict[str, Any]) -> Query:
    return query_from_body({name: values[name] for name in ("filter", "query", "sort", "fields")})


def answer(row: SavedView) -> SavedViewRead:
    """A view as the API shows it."""
    return SavedViewRead.model_validate({name: row.__dict__[name] for name in SavedViewRead.model_fields})


async def apply_view(uow: UnitOfWork, object_name: str, view_id: str, query: Query) -> Query:
    """`query` with a saved view underneath: its filters hold as well, its sort and columns where none are named.

    Raises: InvalidFilter for a view that is not there, is of another record type, or has a text of its own
    beside the request's.
    """
    try:
        view = await SavedViews(uow).get(UUID(view_id))
    except (ValueError, NotFound):
        raise InvalidFilter("There is no such view.", parameter="view") from None
    if view.object != object_name:
        raise InvalidFilter(f"That view lists {view.object} records.", parameter="view")
    saved = _query(view.__dict__)
    if saved.text and query.text:
        raise InvalidFilter("The view has a search text already; leave q out.", parameter="q")
    return replace(
        query,
        groups=_both(saved.groups, query.groups),
        text=query.text or saved.text,
        sort=query.sort or saved.sort,
        fields=query.fields or saved.fields,
    )


def _both(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
    """(A or B) and (C or D) as (A and C) or (A and D) or (B and C) or (B and D)."""
    if not left or not right:
        return left or right
    return tuple((*a, *b) for a in left for b in right)
