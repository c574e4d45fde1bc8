"""`rapport import` and `rapport export`: files in and out, through the public API."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.output import NO, AsJson, fail, out, print_facts, print_json, print_table, progress

if TYPE_CHECKING:
    from app.demo.client import Api

Url = Annotated[str, typer.Option("--url", envvar="RAPPORT_URL", help="Where the API is.")]
Key = Annotated[
    str, typer.Option("--api-key", envvar="RAPPORT_API_KEY", help="Who asks; `rapport up` prints one.")
]
Object = Annotated[str, typer.Option("--object", help="Record type: leads, accounts, contacts …")]
DEFAULT_URL = "http://127.0.0.1:8000"
COUNTS = ("total", "created", "updated", "unchanged", "failed")


def import_file(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, XLSX or NDJSON, any encoding."),
    ],
    object_name: Object,
    mode: Annotated[
        Literal["create", "update", "upsert"], typer.Option(help="What to do with rows whose key is known.")
    ] = "create",
    key: Annotated[
        str | None, typer.Option(help="The unique field by which update and upsert find records.")
    ] = None,
    duplicates: Annotated[
        Literal["block", "warn", "allow"] | None,
        typer.Option(
            help="What to do with rows that look like a known record.  [default: the company's rule]"
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=FIELD", help="What a column means; without a field it is left out."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find all errors, write nothing.")] = False,
    errors: Annotated[
        Path | None, typer.Option(help="Where refused rows go, with reasons.  [default: FILE-failed.csv]")
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Import a file of records; columns are recognised by their names, in English or Chinese.

    Rows that cannot be taken are written to a file with the reason in each, ready to be mended and imported
    again; the exit code is then 3. An import survives a restart of the server.
    """
    from app.demo.bulk import ImportOrder, follow_import, start_import

    order = ImportOrder(object_name, mode, key, duplicates, dry_run, _pairs(mapping or []))
    refused = _writable(errors or file.with_name(f"{file.stem}-failed.csv"), "--errors")

    async def work(api: Api) -> dict[str, Any]:
        with file.open("rb") as content:
            started = await start_import(api, order, file.name, content)
        if started["state"] == "uploaded":
            await _explain_mapping(api, started)
        with progress(quiet=as_json) as bar:
            task = bar.add_task(f"Importing {file.name}", total=None)
            ended = await follow_import(
                api, started, lambda done, total: bar.update(task, completed=done, total=total)
            )
        if ended["failed"]:
            await _fetch_failures(api, ended, refused)
        return ended

    _report(run(work, url, api_key), as_json=as_json, dry_run=dry_run)


def export_file(
    object_name: Object,
    format_name: Annotated[
        Literal["csv", "ndjson", "xlsx"], typer.Option("--format", help="xlsx opens in every spreadsheet.")
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write.  [default: OBJECT.FORMAT]")
    ] = None,
    fields: Annotated[str | None, typer.Option(help="Only these fields, by comma.")] = None,
    query: Annotated[str | None, typer.Option(help="Free text, as in search.")] = None,
    filter_json: Annotated[
        str | None,
        typer.Option("--filter", help='As in search: {"or": [{"and": [{"field": …, "op": …, "value": …}]}]}'),
    ] = None,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Column names for people; else field names.")
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Export records to a file that `rapport import` takes again."""
    target = _writable(output or Path(f"{object_name}.{format_name}"), "--output")
    order: dict[str, Any] = {"object": object_name, "format": format_name}
    if fields:
        order["fields"] = [name.strip() for name in fields.split(",") if name.strip()]
    if query:
        order["query"] = query
    if filter_json:
        order["filter"] = _parsed(filter_json)
    if language:
        order["language"] = language
    size = run(lambda api: _export(api, order, target, quiet=as_json), url, api_key)
    if as_json:
        print_json({"file": str(target), "bytes": size})
    else:
        out.print(f"Wrote {target} ({size:,} bytes).")


def _writable(target: Path, option: str) -> Path:
    """The file, if it can be written; asked before any work is done for it."""
    if target.is_dir():
        fail(f"{target} is a folder.", f"Name a file with {option}.")
    if not target.parent.is_dir():
        fail(f"There is no folder {target.parent}.", f"Make it, or name another file with {option}.")
    if not os.access(target.parent, os.W_OK):
        fail(f"The folder {target.parent} cannot be written to.", f"Name another file with {option}.")
    return target


async def _export(api: Api, order: dict[str, Any], target: Path, *, quiet: bool) -> int:
    """Fetch an export, a workbook from a job and anything else as a stream; how many bytes."""
    from app.demo.bulk import await_job, download

    if order["format"] != "xlsx":
        return await download(api, "/v1/exports/stream", target, method="POST", json=order, timeout=600)
    with progress(quiet=quiet) as bar:
        task = bar.add_task("Exporting", total=None)
        job = await api.post("/v1/exports", order)
        job = await await_job(api, job["id"], lambda done, _: bar.update(task, completed=done))
    if job["state"] != "completed":
        fail(f"The export {job['state']}: {job['last_error'] or 'no reason given'}", "Run it again.")
    return await download(api, job["result"]["content"], target, timeout=600)


def run(work: Callable[[Api], Awaitable[Any]], url: str, api_key: str) -> Any:
    """Do something with the API; refusals and silence become failures that say what to do."""
    import httpx

    from app.demo.client import Api, ApiFailure

    if not api_key:
        fail(
            "No API key.", "Set RAPPORT_API_KEY; `rapport up` prints the demo's, POST /v1/api-keys makes one."
        )

    async def go() -> Any:
        async with Api(url, api_key) as api:
            return await work(api)

    try:
        return asyncio.run(go())
    except ApiFailure as failure:
        if failure.status == 401:
            fail(
                "The API does not know this key.", "Look at RAPPORT_API_KEY: was it copied whole, or revoked?"
            )
        fail(str(failure))
    except httpx.TransportError:
        fail(f"Nobody answers at {url}.", "Start it with `rapport up`, or name another address: RAPPORT_URL.")


async def _explain_mapping(api: Api, waiting: dict[str, Any]) -> None:
    """Say which columns are understood and which fields there are, and stop."""
    known = (await api.get("/v1/imports/fields", object=waiting["object"]))["data"]
    mapped = {column["field"] for column in waiting["columns"]}
    missing = [one["field"] for one in known if one["required"] and one["field"] not in mapped]
    rows = [
        [column["column"], column["field"] or "left out", ", ".join(filter(None, column["samples"]))[:60]]
        for column in waiting["columns"]
    ]
    print_table(["Column", "Is taken for", "Samples"], rows)
    fail(
        f"No column could be taken for {', '.join(missing)}, which every row needs.",
        "Say it: --map COLUMN=FIELD. Fields: " + ", ".join(one["field"] for one in known),
        exit_code=NO,
    )


async def _fetch_failures(api: Api, ended: dict[str, Any], target: Path) -> None:
    from app.demo.bulk import download

    await download(api, ended["results"]["failed"], target)
    ended["failed_rows_file"] = str(target)


def _report(ended: dict[str, Any], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({name: ended.get(name) for name in ("id", "state", *COUNTS, "error", "failed_rows_file")})
        if ended["state"] != "completed":
            raise typer.Exit(NO if ended["state"] == "completed_with_errors" else 1)
        return
    if ended["state"] in ("failed", "cancelled"):
        error = ended["error"] or {}
        where = f" (line {error['line']})" if error.get("line") else ""
        fail(f"The import {ended['state']}{where}: {error.get('detail', 'somebody stopped it')}")
    print_facts({name.capitalize(): f"{ended[name] or 0:,}" for name in COUNTS})
    if dry_run:
        out.print("Nothing was written: it was a dry run.")
    if ended["failed"]:
        fail(
            f"{ended['failed']:,} rows were not taken.",
            f"They are in {ended['failed_rows_file']}, with reasons; mend and import that file.",
            exit_code=NO,
        )
    if not dry_run:
        out.print(f"To take it back: POST /v1/imports/{ended['id']}/undo")


def _pairs(given: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for pair in given:
        column, separator, name = pair.rpartition("=")
        if not separator:
            raise typer.BadParameter(f"{pair!r} is not COLUMN=FIELD", param_hint="--map")
        found[column] = name or None
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"is no JSON: {error}", param_hint="--filter") from None
