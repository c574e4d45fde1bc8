"""Writes docs/reference from the code: settings, errors, events, permissions.

python -m tools.reference            write the pages
python -m tools.reference --check    exit code 3 when a page is not what the code says
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from app.cli.local import variable_of
from app.kernel.access import Scope
from app.kernel.config import Settings
from app.kernel.errors import Problem, catalogue
from app.kernel.event_feed import description_of, event_types
from app.kernel.registry import Registry
from app.product import build_registry
from app.tenants.people.built_in_roles import BUILT_IN_ROLES, built_in_grants

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE: Final = "<!-- Written by `python -m tools.reference`; change the code, not this page. -->"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    registry = build_registry()
    list(registry.routers())  # with the errors that only they raise
    made = {
        "settings.md": _settings(),
        "errors.md": _errors(_of_the_product(catalogue())),
        "events.md": _events(registry),
        "permissions.md": _permissions(registry),
    }
    return {"README.md": _index(made)} | made


def _of_the_product(kinds: Iterable[type[Problem]]) -> list[type[Problem]]:
    return [kind for kind in kinds if kind.__module__.startswith("app.")]


def _index(made: Mapping[str, str]) -> str:
    lines = [f"* [{text.splitlines()[0].removeprefix('# ')}]({name})" for name, text in made.items()]
    more = [
        "Operations and their schemas: `/docs` on a running server, or `/openapi.json`.",
        "Commands: `rapport --help`.",
    ]
    return _page("Reference", "Written from the code.", *lines, "", *more)


def _settings() -> str:
    rows = [
        [f"`{variable_of(name)}`", _default(name), field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    return _page(
        "Settings",
        "Environment variables, or lines of a `.env` file in the folder where a process starts. Lists are JSON:",
        '`["https://app.example.com"]`. `rapport config` shows the values in force; secrets are shown as set or not.',
        "",
        *_table(["variable", "default", "meaning"], rows),
    )


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == []:
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _errors(kinds: Sequence[type[Problem]]) -> str:
    rows = [[str(kind.status), f"`{kind.code}`", f"{kind.title}.", _meaning(kind)] for kind in kinds]
    return _page(
        "Errors",
        "Every refusal is an `application/problem+json` document (RFC 9457). `code` is stable;",
        "titles and details are for people and may change. A running server describes each at `/problems/{code}`.",
        "[How to handle them](../guide/handle-errors-and-retries.md).",
        "",
        *_table(["status", "code", "title", "more"], rows),
    )


def _meaning(kind: type[Problem]) -> str:
    return " ".join((kind.__dict__.get("__doc__") or "").split("\n\n")[0].split())


def _events(registry: Registry) -> str:
    rows = [
        [f"`{name}`", f"`{kind.object}`", description_of(kind)]
        for name, kind in sorted(event_types(registry).items())
        if kind.__module__.startswith("app.")
    ]
    return _page(
        "Events",
        "Types of the event feed, webhooks and the live stream. A running server gives the JSON Schema of each one's",
        "data at `/v1/event-types/{type}`. [How to react to them](../guide/react-to-events.md).",
        "",
        *_table(["type", "object", "when"], rows),
    )


def _permissions(registry: Registry) -> str:
    roles = [role.key for role in BUILT_IN_ROLES]
    grants = {key: built_in_grants(registry, key) for key in roles}
    rows = [
        [
            f"`{name}`",
            registry.permissions[name].description,
            *(_reach(grants[key].get(name)) for key in roles),
        ]
        for name in sorted(registry.permissions)
    ]
    names = [f"* **{role.name}** (`{role.key}`): {role.description}" for role in BUILT_IN_ROLES]
    return _page(
        "Permissions and built-in roles",
        "What a role may grant, and how far each built-in role reaches: own records, those of one's teams, of teams",
        "below them too, or all. [Make roles of your own](../guide/sign-up-and-people.md#roles).",
        "",
        *names,
        "",
        *_table(["permission", "allows", *roles], rows),
    )


def _reach(scope: Scope | None) -> str:
    return "" if scope is None else scope.name.lower().replace("_", " ")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [_row(heads), _row(["---"] * len(heads)), *map(_row, cells)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _page(title: str, *lines: str) -> str:
    return "\n".join([f"# {title}", "", NOTE, "", *lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 3 when a page is old")
    options = parser.parse_args(arguments)
    made = pages()
    old = [name for name, text in made.items() if _stored(name) != text]
    if options.check:
        if old:
            print(f"Not what the code says: {', '.join(old)}. Run `python -m tools.reference` and commit.")
        return 3 if old else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in old:
        (FOLDER / name).write_text(made[name])
    print(f"Wrote {', '.join(old)}." if old else "All pages are up to date.")
    return 0


def _stored(name: str) -> str:
    path = FOLDER / name
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
