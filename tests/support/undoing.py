"""Imports that change records, and what their undo gave back."""

from __future__ import annotations

from typing import Any

from app.kernel.jobs import JobRunner
from tests.support.api import Company

Json = dict[str, Any]


async def changed(company: Company, object_name: str, text: str, *, changes: int) -> Json:
    """An import that changes records by their external ids, when it has ended."""
    answer = await company.owner.post(
        "/v1/imports",
        data={"object": object_name, "mode": "update"},
        files={"file": ("changes.csv", text.encode(), "text/csv")},
    )
    assert answer.status_code == 202, answer.text
    await JobRunner(company.kernel).run_due()
    done: Json = await company.owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["updated"]) == ("completed", changes)
    return done


async def undo(company: Company, done: Json) -> tuple[Json, list[str]]:
    """The counts of the undo, and (line, reason) of what it left."""
    await company.owner.ok("POST", f"/v1/imports/{done['id']}/undo")
    await JobRunner(company.kernel).run_due()
    undone = await company.owner.ok("GET", f"/v1/imports/{done['id']}")
    kept = (await company.owner.get(undone["results"]["not_undone"])).text.splitlines()[1:]
    return undone["undo"], [f"{line.split(',')[0]}: {line.split(',', 2)[2]}" for line in kept]


def counted(*, restored: int, kept: int) -> Json:
    return {"state": "completed", "deleted": 0, "restored": restored, "kept": kept}
