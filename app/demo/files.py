"""The demo's rows as a CSV file, the way somebody would upload them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any


def csv_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """UTF-8 with one column per field that any row has, named as the field."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in flat)
    return text.getvalue().encode()


def _flat(row: Mapping[str, Any]) -> dict[str, str]:
    """Money becomes two columns, lists of words one cell, lists of objects JSON."""
    cells: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            cells[name], cells["currency"] = value["amount"], value["currency"]
        elif isinstance(value, list):
            structured = any(isinstance(item, dict) for item in value)
            cells[name] = json.dumps(value) if structured else ";".join(value)
        elif value is not None:
            cells[name] = str(value)
    return cells
