"""From what a visitor sent to what a lead is made of: checked against the form, with every finding at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import ValidationError

from app.kernel.errors import FieldError
from app.kernel.forms.answers import custom_in, given_in, refuse
from app.kernel.forms.kinds import CONSENT, CUSTOM, TOUCH_NAMES, visible
from app.kernel.uow import UnitOfWork
from app.modules.leads.models.capture import LeadForm
from app.modules.leads.schemas import LeadCreate
from app.modules.leads.services.capture.forms import NAMING, text_version

_LONG: Final = frozenset({"referrer", "landing_page"})
_TICKED: Final = frozenset({"on", "true", "1", "yes"})


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


async def read_answers(uow: UnitOfWork, form: LeadForm, sent: Mapping[str, Any], language: str) -> Answers:
    """Raises `Invalid` with all that is wrong, at `/<field>`."""
    errors: list[FieldError] = []
    given = given_in(form.fields, sent, errors)
    custom = await custom_in(uow, "lead", given, errors)
    lead = _lead(form, {name: value for name, value in given.items() if not name.startswith(CUSTOM)}, errors)
    consents = _consents(form, sent, language, errors)
    refuse(errors)
    first = sent.get("first_touch")
    touch = _touch(form, sent)
    return Answers(
        lead, custom, touch, _touch(form, first) if isinstance(first, Mapping) and first else None, consents
    )


def _lead(form: LeadForm, given: dict[str, Any], errors: list[FieldError]) -> dict[str, Any]:
    """The lead's own fields as stored. Without a name it is called by its company, address or number."""
    nameless = next((given[name] for name in NAMING if given.get(name)), None)
    if nameless is None:
        if not errors:
            asked = next(found["name"] for found in visible(form.fields) if found["name"] in NAMING)
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
