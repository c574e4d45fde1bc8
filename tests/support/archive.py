"""The archive of a whole company, as somebody would read it who has left: by the standard library alone."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

from app.kernel.jobs import JobRunner
from app.main import Application
from tests.support.api import Client

EXPORT = "/v1/tenant/export"


class Opened:
    """An archive, read back with nothing but the standard library."""

    def __init__(self, content: bytes) -> None:
        self.packed = zipfile.ZipFile(io.BytesIO(content))
        self.manifest: dict[str, Any] = json.loads(self.packed.read("manifest.json"))
        self.tables = {one["table"]: one for one in self.manifest["tables"]}

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.packed.read(self.tables[table]["file"]).splitlines()]

    def files(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.packed.read("files.ndjson").splitlines()]


async def exported(client: Client, app: Application) -> Opened:
    assert app.kernel is not None
    begun = await client.ok("POST", EXPORT)
    assert begun["state"] in ("queued", "running")
    await JobRunner(app.kernel).run_due()
    done = await client.ok("GET", EXPORT)
    assert (done["id"], done["state"], done["last_error"]) == (begun["id"], "completed", None)
    answer = await client.get(done["content"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (done["size"], done["sha256"])
    opened = Opened(answer.content)
    assert sum(one["rows"] for one in opened.manifest["tables"]) == done["rows"]
    assert len(opened.tables) == done["tables"]
    return opened
