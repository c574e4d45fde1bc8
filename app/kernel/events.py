"""Domain events: what happened, in the past tense, published with the rows that it describes.

An event class is its own contract: `type` is the CloudEvents type (`leads.lead.converted.v1`), its fields are
the payload. JSON Schemas of all declared events are exported to `openapi/events.json`.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """Something that happened to one record. Subclasses set `type`, `object` and add their payload."""

    model_config = ConfigDict(frozen=True)
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


def record_event(module: str, object_name: str, verb: str) -> type[RecordEvent]:
    """The generated event class `<module>.<object>.<verb>.v1`."""
    name = f"{object_name.title().replace('_', '')}{verb.title()}"
    return type(
        name,
        (RecordEvent,),
        {
            "__doc__": f"A {object_name.replace('_', ' ')} was {verb}.",
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
