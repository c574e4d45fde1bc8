"""Imports of files that a test writes, and what their undo gave back."""

from __future__ import annotations

from typing import Any

from app.kernel.jobs import JobRunner
from tests.support.api import Client, Company

Json = dict[str, Any]


async def custom_field(
    owner: Client, key: str, kind: str = "text", object_name: str = "account", **more: Any
) -> Json:
    """A custom field, declared."""
    body = {"object": object_name, "key": key, "type": kind, "labels": {"en": key}}
    made: Json = await owner.ok("POST", "/v1/custom-fields", json=body | more)
    return made


async def imported(company: Company, plural: str, text: str, name: str = "f.csv", **form: str) -> Json:
    """The import of a file, when it has ended."""
    answer = await company.owner.post(
        "/v1/imports", data={"object": plural} | form, files={"file": (name, text.encode())}
    )
    assert answer.status_code == 202, answer.text
    await JobRunner(company.kernel).run_due()
    done: Json = await company.owner.ok("GET", answer.headers["Location"])
    return done


async def changed(company: Company, plural: str, text: str, *, changes: int) -> Json:
    """An import that changes records by their external ids, when it has ended."""
    done = await imported(company, plural, text, mode="update")
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
