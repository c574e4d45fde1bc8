"""From rows to wire schemas, and from merge patches to changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel

from app.kernel.models import TenantOwned
from app.kernel.validation import refuse_nulls

R = TypeVar("R", bound=BaseModel)


def answer(schema: type[R], row: TenantOwned, **more: Any) -> R:
    """A row as its wire schema; `more` gives what is no column."""
    values = {name: row.__dict__[name] for name in schema.model_fields if name in row.__dict__}
    return schema.model_validate(values | more)


def changes_of(body: BaseModel, *, nullable: Collection[str] = ()) -> dict[str, Any]:
    """The fields that a merge patch names. Raises: Invalid for a null where none may be."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    refuse_nulls(changes, nullable)
    return changes
