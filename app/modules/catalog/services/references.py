"""What products name: units, tax classes and categories must be there, and stay, when they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.services.measures import ensure_measures

_NOUNS = {"unit": "unit", "tax_class": "tax class", "category_id": "category"}


class References:
    """Looks each up once per transaction; all that is unknown in one statement."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._known: set[tuple[str, str]] = set()

    async def learn(self, many: Iterable[Mapping[str, Any]]) -> None:
        """Look up what many rows name."""
        wanted = {pair for values in many for pair in _named(values)} - self._known
        if not wanted:
            return
        await self._look_up(wanted)
        if any(kind != "category_id" for kind, _ in wanted - self._known):
            await ensure_measures(self._uow)
            await self._look_up(wanted)

    async def check(self, values: Mapping[str, Any]) -> None:
        """Raises `Invalid`, with everything that is unknown."""
        await self.learn([values])
        unknown = [kind for kind, key in _named(values) if (kind, key) not in self._known]
        if unknown:
            errors = [
                FieldError(f"/{kind}", "unknown_reference", f"There is no such {_NOUNS[kind]}.")
                for kind in unknown
            ]
            raise Invalid(errors[0].detail, errors=errors)

    async def _look_up(self, wanted: Iterable[tuple[str, str]]) -> None:
        keys: dict[str, list[str]] = {kind: [] for kind in _NOUNS}
        for kind, key in wanted:
            keys[kind].append(key)
        rows = await self._uow.fetch(_FIND, self._uow.tenant_id, *keys.values())
        self._known |= {(row["kind"], row["key"]) for row in rows}


def _named(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(kind, str(values[kind])) for kind in _NOUNS if values.get(kind) is not None]


_FIND = """
WITH units AS (
  SELECT code FROM catalog.units WHERE tenant_id = $1 AND code = ANY($2::text[]) ORDER BY code FOR KEY SHARE
), classes AS (
  SELECT code FROM catalog.tax_classes WHERE tenant_id = $1 AND code = ANY($3::text[]) ORDER BY code FOR KEY SHARE
), categories AS (
  SELECT id FROM catalog.categories WHERE tenant_id = $1 AND id = ANY($4::text[]::uuid[]) AND deleted_at IS NULL
  ORDER BY id FOR KEY SHARE
)
SELECT 'unit' AS kind, code AS key FROM units
UNION ALL SELECT 'tax_class', code FROM classes
UNION ALL SELECT 'category_id', id::text FROM categories"""
