"""Imports and exports through the public API: send a file, follow its progress, fetch what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

from app.demo.client import Api

Told = Callable[[int, int], None]
ENDED: Final = frozenset({"completed", "completed_with_errors", "failed", "cancelled"})
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What to do with the file. `mapping` names fields by column; what it leaves out is guessed."""

    object: str
    mode: str = "create"
    key: str | None = None
    duplicate_rule: str | None = None
    dry_run: bool = False
    mapping: Mapping[str, str | None] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def form(self) -> dict[str, str]:
        """The fields of the upload form."""
        form = {"object": self.object, "mode": self.mode, "dry_run": json.dumps(self.dry_run)}
        if self.key:
            form["key"] = self.key
        if self.duplicate_rule:
            form["duplicate_rule"] = self.duplicate_rule
        for name, value in (("mapping", self.mapping), ("options", self.options)):
            if value:
                form[name] = json.dumps(value)
        return form


async def start_import(
    api: Api, order: ImportOrder, name: str, content: bytes | BinaryIO, *, key: str | None = None
) -> dict[str, Any]:
    """Upload a file; the import as the API describes it, started if its columns could be mapped.

    The same `key` with the same file answers with the import that it started before.
    """
    files = {"file": (name, content)}
    answer = await api.send(
        "POST", "/v1/imports", key=key or str(uuid4()), data=order.form(), files=files, timeout=600
    )
    made: dict[str, Any] = answer.json()
    return made


async def follow_import(api: Api, started: Mapping[str, Any], told: Told) -> dict[str, Any]:
    """Wait for the end of a started import; `told(rows done, rows in all)` hears how far it is."""
    pause = _FIRST_LOOK
    while True:
        found: dict[str, Any] = await api.get(f"/v1/imports/{started['id']}")
        if found["total"]:
            told(found["processed"], found["total"])
        if found["state"] in ENDED:
            return found
        await asyncio.sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 1.5)


async def download(api: Api, path: str, target: Path, *, method: str = "GET", **options: Any) -> int:
    """Write an answer to a file as it comes, replaced only when it is whole; the number of bytes."""
    unfinished = target.with_name(target.name + ".part")
    size = 0
    try:
        with unfinished.open("wb") as file:
            async for piece in api.pieces(method, path, **options):
                size += file.write(piece)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


async def await_job(api: Api, id: str, told: Told) -> dict[str, Any]:
    """Wait for a job's end; the job as it ended."""
    pause = _FIRST_LOOK
    while True:
        job: dict[str, Any] = await api.get(f"/v1/jobs/{id}")
        progress = job["progress"]
        told(int(progress.get("done") or 0), int(progress.get("total") or 0))
        if job["state"] in ("completed", "failed", "cancelled"):
            return job
        await asyncio.sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 1.5)
