"""What a visitor sent, checked against the form, with every finding at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.kernel.custom_fields.values import ValueRefused, from_text
from app.kernel.errors import FieldError, Invalid
from app.kernel.forms.kinds import CONSENT, CUSTOM, META_NAMES, Field, visible
from app.kernel.uow import UnitOfWork


def refuse_unknown(
    fields: Sequence[Field], consents: Sequence[Mapping[str, Any]], honeypot: str, sent: Mapping[str, Any]
) -> None:
    """Raises `Invalid` for every name that the form does not have."""
    known = {found["name"] for found in visible(fields)} | META_NAMES | {honeypot}
    known |= {CONSENT + consent["channel"] for consent in consents}
    unknown = [
        FieldError(f"/{name}", "unknown_field", "The form has no such field.")
        for name in sent
        if name not in known
    ]
    if unknown:
        raise Invalid("The form has no such field.", errors=unknown[:100])


def given_in(fields: Sequence[Field], sent: Mapping[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    """What fields have: blanks are nothing; hidden ones have their default."""
    given: dict[str, Any] = {}
    for found in fields:
        name = found["name"]
        value = found["default"] if found["hidden"] else sent.get(name)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            if found["required"] and not found["hidden"]:
                errors.append(FieldError(f"/{name}", "required", "Please fill this in."))
        elif found["options"] and value not in [option["value"] for option in found["options"]]:
            errors.append(FieldError(f"/{name}", "unknown_option", "Please choose one of the options."))
        else:
            given[name] = value
    return given


async def custom_in(
    uow: UnitOfWork, object_name: str, given: Mapping[str, Any], errors: list[FieldError]
) -> dict[str, Any]:
    """Values of custom fields; one that is out of use by now is left out."""
    known = (await uow.kernel.custom_fields.of(uow, object_name)).by_key
    checked: dict[str, Any] = {}
    for name, value in given.items():
        definition = known.get(name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else None
        if definition is None:
            continue
        if isinstance(value, str):
            value = from_text(definition.type, value, definition.option_names, uow.actor.tenant.currency)
        try:
            checked[definition.key] = definition.check(value)
        except ValueRefused as refused:
            errors.append(FieldError(f"/{name}", refused.code, refused.detail))
    return checked


def refuse(errors: Sequence[FieldError]) -> None:
    """Raises `Invalid` with all that is wrong, if anything is."""
    if errors:
        raise Invalid("; ".join(f"{error.pointer}: {error.detail}" for error in errors[:3]), errors=errors)
