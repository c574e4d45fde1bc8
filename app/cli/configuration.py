"""`rapport config`: every setting with the value in force; secrets are shown as set or not set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli.local import load_settings, variable_of, without_password
from app.cli.output import AsJson, out, print_json, print_table
from app.kernel.config import Settings

_SECRET = frozenset({"secret_keys"})
_ADDRESSES = frozenset({"database_url", "database_app_url", "database_control_url", "mail_url", "files_url"})


def config(
    as_json: AsJson = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Print a new key for RAPPORT_SECRET_KEYS and do nothing else.")
    ] = False,
) -> None:
    """Show every setting: environment variable, value in force, meaning. `.env` in the folder is read too."""
    if new_key:
        from app.kernel.secrets import KeyRing

        out.print(KeyRing.generate())
        return
    rows = settings_table(load_settings())
    if as_json:
        print_json(rows)
        return
    print_table(
        ["Variable", "Value", "Meaning"],
        [[row["variable"], _shown(row), row["description"]] for row in rows],
    )


def settings_table(settings: Settings) -> list[dict[str, Any]]:
    """One entry per setting, ready to be shown: without secrets and without passwords in addresses."""
    return [
        {
            "setting": name,
            "variable": variable_of(name),
            "value": _safe(name, getattr(settings, name)),
            "is_default": name not in settings.model_fields_set,
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def _safe(name: str, value: Any) -> Any:
    if name in _SECRET:
        return "set" if value else "not set"
    if name in _ADDRESSES and value:
        return without_password(value)
    return value if isinstance(value, bool | int | list) or value is None else str(value)


def _shown(row: dict[str, Any]) -> str:
    value = row["value"]
    if value is None:
        return "not set"
    text = ", ".join(value) or "none" if isinstance(value, list) else str(value)
    return text if row["is_default"] else f"{text} *"
