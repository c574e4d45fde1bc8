"""The pages that visitors see: a form, thanks, and the link from a mail. No script, nothing from elsewhere.

Whatever a company or a visitor wrote is escaped where it is put in. Pages work by keyboard and with a screen
reader: each input has its label, errors are named first and at their field, and the language is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import HTMLResponse

from app.kernel.custom_fields.models import FieldType
from app.kernel.errors import FieldError
from app.kernel.forms.definitions import origin_of
from app.kernel.forms.kinds import CONSENT, CUSTOM, TOUCH_NAMES, name_of, text_of, visible
from app.kernel.forms.texts import TEXTS, message_for
from app.kernel.forms.visits import OpenForm
from app.kernel.pages.public import Look, alert, message_page, page
from app.kernel.pages.public import hidden as concealed

_TYPES: Final = {"email": "email", "phone": "tel", "website": "url"}
_COMPLETE: Final = {
    "name": "name", "company": "organization", "title": "organization-title", "email": "email", "phone": "tel",
    "website": "url", "country": "country-name", "region": "address-level1", "city": "address-level2",
    "address": "street-address",
}  # fmt: skip
"""What browsers may fill in by themselves (HTML, 4.10.18.7)."""
_CUSTOM_TYPES: Final = {
    FieldType.EMAIL: "email", FieldType.PHONE: "tel", FieldType.URL: "url", FieldType.DATE: "date",
}  # fmt: skip


def form_page(
    form: OpenForm[Any],
    *,
    look: Look,
    opened: str,
    token: str,
    types: Mapping[str, FieldType],
    values: Mapping[str, Any],
    errors: Sequence[FieldError] = (),
    problem: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The form, with what was filled in before and what is wrong with it."""
    row, language = form.row, form.visit.language
    texts, name = TEXTS[language], name_of(row, language)
    wrong = {error.pointer.removeprefix("/"): message_for(error.code, language) for error in errors}
    parts = [f"<h1>{escape(name)}</h1>", _alert(form, wrong, language, problem)]
    parts.append(f'<form method="post" action="{form.kind.page}/{quote(row.public_key)}" novalidate>')
    parts += [
        _field(found, types.get(found["name"]), language, values, wrong.get(found["name"]))
        for found in visible(form.fields)
    ]
    parts += [_consent(consent, language, values, wrong) for consent in form.consents]
    trap = escape(row.honeypot)
    parts.append(
        f'<p class="trap" aria-hidden="true"><label for="f-{trap}">{texts["leave_empty"]}</label>'
        f'<input id="f-{trap}" name="{trap}" tabindex="-1" autocomplete="off"></p>'
    )
    hidden = {"opened": opened, "token": token, "language": language}
    hidden |= {key: str(values[key]) for key in TOUCH_NAMES if values.get(key)}
    parts += [concealed(key, value) for key, value in hidden.items()]
    parts.append(f'<p><button type="submit">{texts["send"]}</button></p></form>')
    targets = [origin_of(row.redirect_url)] if row.redirect_url else []
    return page(name, "".join(parts), language, look=look, status=status, targets=targets)


def _alert(form: OpenForm[Any], wrong: Mapping[str, str], language: str, problem: str | None) -> str:
    """What is wrong, named before the form, with links to the fields."""
    if problem:
        return alert(problem)
    if not wrong:
        return ""
    labels = {found["name"]: text_of(found["label"], language) for found in visible(form.fields)}
    labels |= {CONSENT + one["channel"]: text_of(one["text"], language) for one in form.consents}
    findings = [(f"f-{name}", labels.get(name, name), message) for name, message in wrong.items()]
    return alert(TEXTS[language]["wrong"], findings)


def _attributes(name: str, required: bool, message: str | None, kind: FieldType | None) -> str:
    found = f'id="f-{escape(name)}" name="{escape(name)}"'
    if name in _COMPLETE:
        found += f' autocomplete="{_COMPLETE[name]}"'
    if kind in (FieldType.INTEGER, FieldType.DECIMAL):
        found += ' inputmode="decimal"'
    if required:
        found += " required"
    if message:
        found += f' aria-invalid="true" aria-describedby="e-{escape(name)}"'
    return found


def _field(
    found: Mapping[str, Any],
    kind: FieldType | None,
    language: str,
    values: Mapping[str, Any],
    message: str | None,
) -> str:
    name, texts = found["name"], TEXTS[language]
    value = str(values.get(name, found["default"] or ""))
    attributes = _attributes(name, found["required"], message, kind)
    hint = text_of(found["placeholder"], language)
    placeholder = f' placeholder="{escape(hint)}"' if hint else ""
    mark = f' <span class="must">({texts["required"]})</span>' if found["required"] else ""
    label = f'<label for="f-{escape(name)}">{escape(text_of(found["label"], language))}{mark}</label>'
    told = f'<span class="error" id="e-{escape(name)}">{escape(message)}</span>' if message else ""
    if kind is FieldType.BOOLEAN and not found["options"]:
        ticked = " checked" if value in ("true", "on") else ""
        return f'<p class="tick"><input type="checkbox" {attributes} value="true"{ticked}> {label}{told}</p>'
    if found["options"]:
        chosen = "".join(
            f'<option value="{escape(one["value"])}"{" selected" if one["value"] == value else ""}>'
            f"{escape(text_of(one['label'], language))}</option>"
            for one in found["options"]
        )
        nothing = f'<option value="">{texts["choose"]}</option>'
        return f"<p>{label}<select {attributes}>{nothing}{chosen}</select>{told}</p>"
    if name == "description" or kind is FieldType.LONG_TEXT:
        return f'<p>{label}<textarea rows="5" {attributes}{placeholder}>{escape(value)}</textarea>{told}</p>'
    attributes += f' type="{input_type(name, kind)}"{placeholder} value="{escape(value)}"'
    return f"<p>{label}<input {attributes}>{told}</p>"


def input_type(name: str, kind: FieldType | None) -> str:
    """The type of a one-line input."""
    return _CUSTOM_TYPES.get(kind, "text") if kind is not None else _TYPES.get(name, "text")


def _consent(
    consent: Mapping[str, Any], language: str, values: Mapping[str, Any], wrong: Mapping[str, str]
) -> str:
    name = CONSENT + consent["channel"]
    message = wrong.get(name)
    ticked = " checked" if values.get(name) else ""
    mark = f' <span class="must">({TEXTS[language]["required"]})</span>' if consent["required"] else ""
    told = f'<span class="error" id="e-{escape(name)}">{escape(message)}</span>' if message else ""
    attributes = _attributes(name, consent["required"], message, None)
    return (
        f'<p class="tick"><input type="checkbox" {attributes} value="on"{ticked}>'
        f' <label for="f-{escape(name)}">{escape(text_of(consent["text"], language))}{mark}</label>{told}</p>'
    )


def gone_page(language: str) -> HTMLResponse:
    """Alike for what never was, is closed, or belongs to a company that is suspended."""
    texts = TEXTS[language]
    return message_page(texts["gone_title"], texts["gone"], language, status=404)


def custom_types(known: Mapping[str, Any]) -> dict[str, FieldType]:
    """The types of a company's custom fields, by their names in forms."""
    return {CUSTOM + key: definition.type for key, definition in known.items()}
