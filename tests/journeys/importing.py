"""Files that go in through the import of a record type, and what its result files say of them."""

from __future__ import annotations

import csv
import io

import httpx
import orjson

from app.kernel.jobs import JobRunner
from app.kernel.tabular.writers import FailedRowsWriter
from tests.support.api import Company

Row = dict[str, str]


async def imported(
    company: Company, object_name: str, content: str, mapping: dict[str, str | None]
) -> tuple[list[Row], list[Row]]:
    """(rows that went in, rows that did not) of a file: what the import's own result files say."""
    owner, kernel = company.owner, company.app.kernel
    assert kernel is not None
    answer = await owner.post(
        "/v1/imports",
        data={"object": object_name, "mapping": orjson.dumps(mapping).decode()},
        files={"file": ("file.csv", content.encode(), "text/csv")},
    )
    assert (answer.status_code, answer.json()["state"]) == (202, "validating"), answer.text
    await JobRunner(kernel).run_due()
    done = await owner.ok("GET", answer.headers["Location"])
    assert done["state"] in ("completed", "completed_with_errors"), done
    successful, failed = [_csv(await owner.get(done["results"][kind])) for kind in ("successful", "failed")]
    assert (len(successful), len(failed)) == (done["created"], done["failed"])
    return successful, failed


def _csv(answer: httpx.Response) -> list[Row]:
    return list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"), newline="")))


def written(rows: list[Row]) -> str:
    """Rows as a CSV file, without the columns that an import added to those it gave back."""
    text = io.StringIO(newline="")
    names = [name for name in rows[0] if name not in FailedRowsWriter.COLUMNS]
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
