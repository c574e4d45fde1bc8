"""Forms of leads: what they ask for, and how their submissions are taken."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Final

from app.kernel.errors import Invalid
from app.kernel.forms import definitions
from app.kernel.forms.kinds import FormKind, thanks_of
from app.kernel.forms.texts import TEXTS
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.leads.models.capture import LeadForm
from app.modules.leads.schemas.capture import FormRead
from app.modules.leads.services.capture.limits import COUNTERS
from app.modules.leads.services.capture.texts import TEXTS as OWN_TEXTS

LEAD_FIELDS: Final = (
    "name", "company", "title", "email", "phone", "website", "industry", "country", "region", "city", "address",
    "description",
)  # fmt: skip
NAMING: Final = ("name", "company", "email", "phone")
"""What a lead can be called by, in this order."""


def _message(row: LeadForm, language: str) -> str:
    if row.double_opt_in:
        return OWN_TEXTS[language]["check_mail"]
    return thanks_of(row, language) or TEXTS[language]["thanks"]


KIND: Final = FormKind(
    model=LeadForm,
    audit="form",
    object="lead",
    page="/forms",
    api="/v1/forms",
    fields=LEAD_FIELDS,
    counters=COUNTERS,
    message=_message,
    consents_of=lambda row: row.consents,
)


class Forms(definitions.FormDefinitions[LeadForm]):
    """The forms of the tenant at hand."""

    KIND: ClassVar[FormKind[LeadForm]] = KIND

    def columns(self, given: dict[str, Any]) -> dict[str, Any]:
        values = super().columns(given)
        for consent in values.get("consents") or ():
            consent["channel"] = str(consent["channel"])
        return values

    async def check_references(self, given: dict[str, Any]) -> None:
        people = self.uow.of(People)
        if given.get("owner_id"):
            await people.require_members([given["owner_id"]], pointer="/owner_id")
        if given.get("team_id"):
            await people.require_teams([given["team_id"]], pointer="/team_id")

    def check(self, values: dict[str, Any]) -> None:
        super().check(values)
        fields = {found["name"]: found for found in values["fields"]}
        if not fields.keys() & set(NAMING):
            raise Invalid.at("/fields", "nameless", f"A form asks for one of {', '.join(NAMING)}.")
        email = fields.get("email")
        if values["double_opt_in"] and (email is None or not email["required"] or email["hidden"]):
            raise Invalid.at(
                "/double_opt_in", "needs_email", "Confirming an address needs the required field email."
            )
        channels = [consent["channel"] for consent in values["consents"]]
        if len(set(channels)) < len(channels):
            raise Invalid.at("/consents", "twice", "One consent per channel.")


def text_version(text: str) -> str:
    """The fingerprint of a consent's wording: another wording is another version."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def form_read(uow: UnitOfWork, row: LeadForm) -> FormRead:
    """A form as answered, with the addresses that follow from its key."""
    values = definitions.shown(uow, KIND, row)
    values["consents"] = [
        {**consent, "text_version": {k: v and text_version(v) for k, v in consent["text"].items()}}
        for consent in row.consents
    ]
    return FormRead.model_validate({name: values[name] for name in FormRead.model_fields})
