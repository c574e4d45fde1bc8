"""References in files: texts of a column that stand for ids, looked up for a whole chunk at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.kernel.imports.rules import ImportColumn, ImportRow


def texts_of(rows: Sequence[ImportRow], column: ImportColumn) -> set[str]:
    """What the rows say in a column, without those that say nothing."""
    return {row.extras.get(column.name, "").strip() for row in rows} - {""}


def place_ids(rows: Sequence[ImportRow], column: ImportColumn, name: str, found: Mapping[str, UUID]) -> None:
    """Put ids into the field `name` where the column has texts; refuse rows whose text is not among those found."""
    for row in rows:
        text = row.extras.get(column.name, "").strip()
        if not text:
            continue
        if text not in found:
            detail = f"There is no {column.name} {text!r}, or several have that name."
            row.refuse(column.name, "unknown_reference", detail)
            continue
        row.values[name] = found[text]
        row.given = row.given | {name}
        row.missing = [fault for fault in row.missing if fault.column != name]
