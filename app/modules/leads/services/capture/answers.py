"""From what a visitor sent to what a lead is made of: checked against the form, with every finding at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import ValidationError

from app.kernel.custom_fields.values import ValueRefused, from_text
from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.leads.models.capture import LeadForm
from app.modules.leads.schemas import LeadCreate
from app.modules.leads.services.capture.forms import CUSTOM, META_NAMES, NAMING, TOUCH_NAMES, text_version

CONSENT: Final = "consent."
_LONG: Final = frozenset({"referrer", "landing_page"})
_TICKED: Final = frozenset({"on", "true", "1", "yes"})
MAX_TOKEN: Final = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """Checked answers: fields of the lead, custom ones apart, both touches, and the consents given."""

    lead: dict[str, Any]
    custom: dict[str, Any]
    touch: dict[str, str]
    first_touch: dict[str, str] | None
    consents: list[dict[str, str]]

    def stored(self) -> dict[str, Any]:
        """As kept with the submission."""
        return asdict(self)

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> Answers:
        return cls(**stored)


def visible_fields(form: LeadForm) -> list[dict[str, Any]]:
    """The fields that a visitor is asked for."""
    return [found for found in form.fields if not found["hidden"]]


def refuse_unknown(form: LeadForm, sent: Mapping[str, Any]) -> None:
    """Raises `Invalid` for every name that the form does not have."""
    known = {found["name"] for found in visible_fields(form)} | META_NAMES | {form.honeypot}
    known |= {CONSENT + consent["channel"] for consent in form.consents}
    unknown = [
        FieldError(f"/{name}", "unknown_field", "The form has no such field.")
        for name in sent
        if name not in known
    ]
    if unknown:
        raise Invalid("The form has no such field.", errors=unknown[:100])


async def read_answers(uow: UnitOfWork, form: LeadForm, sent: Mapping[str, Any], language: str) -> Answers:
    """Raises `Invalid` with all that is wrong, at `/<field>`."""
    errors: list[FieldError] = []
    given = _given(form, sent, errors)
    custom = await _custom(uow, given, errors)
    lead = _lead(form, {name: value for name, value in given.items() if not name.startswith(CUSTOM)}, errors)
    consents = _consents(form, sent, language, errors)
    if errors:
        raise Invalid("; ".join(f"{error.pointer}: {error.detail}" for error in errors[:3]), errors=errors)
    first = sent.get("first_touch")
    touch = _touch(form, sent)
    return Answers(
        lead, custom, touch, _touch(form, first) if isinstance(first, Mapping) and first else None, consents
    )


def _given(form: LeadForm, sent: Mapping[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    """What fields have: blanks are nothing; hidden ones have their default."""
    given: dict[str, Any] = {}
    for found in form.fields:
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


async def _custom(uow: UnitOfWork, given: Mapping[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    """Values of custom fields; one that is out of use by now is left out."""
    known = (await uow.kernel.custom_fields.of(uow, "lead")).by_key
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


def _lead(form: LeadForm, given: dict[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    """The lead's own fields as stored. Without a name it is called by its company, address or number."""
    nameless = next((given[name] for name in NAMING if given.get(name)), None)
    if nameless is None:
        if not errors:
            asked = next(found["name"] for found in visible_fields(form) if found["name"] in NAMING)
            errors.append(FieldError(f"/{asked}", "required", "Please fill this in."))
        return {}
    try:
        checked = LeadCreate.model_validate({**given, "name": given.get("name") or str(nameless)[:200]})
    except ValidationError as error:
        for finding in error.errors(include_url=False, include_context=False, include_input=False):
            name = str(finding["loc"][0])
            if name in given:
                errors.append(FieldError(f"/{name}", str(finding["type"]), str(finding["msg"])))
        return {}
    return {name: getattr(checked, name) for name in {*given, "name"}}


def _consents(
    form: LeadForm, sent: Mapping[str, Any], language: str, errors: list[FieldError]
) -> list[dict[str, str]]:
    given: list[dict[str, str]] = []
    for consent in form.consents:
        name = CONSENT + consent["channel"]
        said = sent.get(name)
        if said is True or (isinstance(said, str) and said.strip().lower() in _TICKED):
            shown = "zh" if language == "zh" and consent["text"]["zh"] else "en"
            text = consent["text"][shown]
            given.append(
                {
                    "channel": consent["channel"],
                    "text": text,
                    "text_version": text_version(text),
                    "language": shown,
                }
            )
        elif consent["required"]:
            errors.append(FieldError(f"/{name}", "consent_required", "Please agree to this."))
    return given


def _touch(form: LeadForm, sent: Mapping[str, Any]) -> dict[str, str]:
    """Where the visit came from. What a link says is cut, never refused: the visitor did not write it."""
    touch: dict[str, str] = {}
    for name in TOUCH_NAMES:
        value = sent.get(name)
        if isinstance(value, str):
            text = "".join(char for char in value if char.isprintable())[
                : 2_048 if name in _LONG else 200
            ].strip()
            touch |= {name: text} if text else {}
    if "utm_medium" in touch:
        touch["medium"] = touch["utm_medium"]
    for name in ("source", "channel"):
        default = getattr(form, name)
        touch |= {name: default} if default else {}
    campaign = touch.get("utm_campaign") or form.campaign
    return touch | ({"campaign": campaign} if campaign else {})
