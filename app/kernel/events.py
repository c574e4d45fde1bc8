"""Domain events: what happened, in the past tense, published with the rows that it describes.

An event class is its own contract: `type` is the CloudEvents type (`leads.lead.converted.v1`), its fields are
the payload. JSON Schemas of all declared events are exported to `openapi/events.json`.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

E = TypeVar("E", bound="Event")


class Event(BaseModel):
    """Something that happened to one record. Subclasses set `type`, `object` and add their payload."""

    model_config = ConfigDict(frozen=True, defer_build=True)
    type: ClassVar[str]
    object: ClassVar[str]

    id: UUID  # of the record that it happened to

    @property
    def record_id(self) -> UUID:
        return self.id


class RecordEvent(Event):
    """A generated event of a record type: created, updated, deleted."""

    version: int
    changed: list[str] = []
    record: dict[str, Any] | None = None


class MergeEvent(Event):
    """A generated event of a record type that others were merged into, or were separated from again."""

    version: int
    merge_id: UUID
    merged_ids: list[UUID]
    changed: list[str] = []


def record_event(module: str, object_name: str, verb: str) -> type[RecordEvent]:
    """The generated event class `<module>.<object>.<verb>.v1`."""
    return _generated(
        RecordEvent, module, object_name, verb, f"A {object_name.replace('_', ' ')} was {verb}."
    )


def merge_event(module: str, object_name: str, verb: str) -> type[MergeEvent]:
    """The same for `merged` and `merge_undone`; the event is the surviving record's."""
    noun = object_name.replace("_", " ")
    what = {"merged": "Others were merged into", "merge_undone": "A merge was undone of"}[verb]
    return _generated(MergeEvent, module, object_name, verb, f"{what} a record of type {noun}.")


def _generated(base: type[E], module: str, object_name: str, verb: str, doc: str) -> type[E]:
    name = f"{object_name}_{verb}".title().replace("_", "")
    return type(
        name,
        (base,),
        {
            "__doc__": doc,
            "__module__": f"app.modules.{module}",
            "type": f"{module}.{object_name}.{verb}.v1",
            "object": object_name,
            "__annotations__": {"type": ClassVar[str], "object": ClassVar[str]},
        },
    )


def declared_events() -> list[type[Event]]:
    """Every concrete event class, by type."""
    found: dict[str, type[Event]] = {}
    pending: list[type[Event]] = [Event]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if "type" in kind.__dict__:
            found[kind.type] = kind
    return [found[name] for name in sorted(found)]
