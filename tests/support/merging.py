"""What tests of merging share: a request body, and sending it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.api import Client


def merge_body(records: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A request to merge records as they were read; the first one survives unless something else is said."""
    if not {"master_id", "master_rule"} & fields.keys():
        fields["master_id"] = records[0]["id"]
    return {"records": [{"id": r["id"], "version": r["version"]} for r in records], **fields}


async def merge(
    client: Client, plural: str, records: Sequence[dict[str, Any]], **fields: Any
) -> dict[str, Any]:
    """Merge records; it must succeed."""
    made: dict[str, Any] = await client.ok(
        "POST", f"/v1/{plural}/merge", json=merge_body(records, **fields)
    )
    return made
