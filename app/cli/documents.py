"""`rapport openapi export`: the committed API document is what the code serves, and CI checks that."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.output import NO, fail, out

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "openapi" / "openapi.json"
EVENTS: Final = "events.json"  # beside it: the JSON Schema of every event's data
app = typer.Typer(help="The document that describes the API.", no_args_is_help=True)


@app.callback()
def _group() -> None: ...


@app.command()
def export(
    target: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write it; `-` prints it.", show_default=False)
    ] = DOCUMENT,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; fail (3) when the file is not what the code serves."),
    ] = False,
) -> None:
    """Write openapi/openapi.json, and events.json beside it, from the code."""
    text, events = serialised(build()), serialised(build_events())
    if check:
        known = target.with_name(EVENTS)
        if not known.exists() or known.read_text() != events:
            fail(
                f"{EVENTS} is not what the code publishes.",
                "Run `rapport openapi export`, look at the difference and commit the file.",
                exit_code=NO,
            )
        before = target.read_text() if target.exists() else ""
        if before != text:
            changes = differences(json.loads(before or "{}"), json.loads(text))
            fail(
                f"{target.name} is not what the code serves:\n" + "\n".join(f"  {line}" for line in changes),
                "Look at the changes, then run `rapport openapi export` and commit the file.",
                exit_code=NO,
            )
        out.print(f"{target.name} is up to date.")
        return
    if str(target) == "-":
        out.out(text, end="")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.with_name(EVENTS).write_text(events)
    out.print(f"Wrote {target}.")


@cache
def build() -> dict[str, Any]:
    """The document, without a database; nobody changes it, and it takes seconds to write."""
    from app.kernel.config import Settings
    from app.main import create_app

    return create_app(Settings(environment="development", database_url="postgresql://unused")).openapi()


def build_events() -> dict[str, Any]:
    """The JSON Schema of every event's data by type, as `GET /v1/event-types` answers them."""
    from app.kernel.event_feed import event_schemas
    from app.product import build_registry

    registry = build_registry()
    list(registry.routers())  # with the events that only they publish
    return event_schemas(registry)


def serialised(document: dict[str, Any]) -> str:
    """Stable text: the order of the code, two blanks, a newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differences(before: dict[str, Any], after: dict[str, Any], limit: int = 20) -> list[str]:
    """What changed, by operation and schema."""
    found = []
    for title, old, new in (
        ("operation", _operations(before), _operations(after)),
        ("schema", _schemas(before), _schemas(after)),
    ):
        found += [f"{title} {name}: gone" for name in old if name not in new]
        found += [f"{title} {name}: new" for name in new if name not in old]
        found += [f"{title} {name}: changed" for name in new if name in old and new[name] != old[name]]
    if not found:
        found = ["the general part, or the order"]
    return found[:limit] + ([f"and {len(found) - limit} more"] if len(found) > limit else [])


def _operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document.get("paths", {}).items()
        for method, operation in methods.items()
    }


def _schemas(document: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    return schemas
