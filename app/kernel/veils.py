"""Addresses and numbers shown in part only, row by row: enough to tell two apart, too little to use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Veil:
    """Places of a driver row that are shown in part, where the cell at `key` is one of `ids`."""

    places: tuple[int, ...]
    key: int
    ids: frozenset[UUID]

    def over(self, row: Any) -> Any:
        """The row with those places veiled."""
        if row[self.key] not in self.ids:
            return row
        cells = list(row)
        for place in self.places:
            value = cells[place]
            cells[place] = (
                [veiled_text(text) for text in value] if isinstance(value, list) else veiled_text(value)
            )
        return cells


def veiled_text(text: str | None) -> str | None:
    """An address or a number with enough left to tell two apart: `z***@example.com`, `******5678`."""
    if not text:
        return text
    local, at, domain = text.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else "******" + text[-4:]
