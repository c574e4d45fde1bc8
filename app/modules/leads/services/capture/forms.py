"""Forms: what they ask for, where they may stand, and how their submissions are taken."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from app.kernel.custom_fields.models import FieldType
from app.kernel.errors import Invalid, require_version
from app.kernel.links import new_key
from app.kernel.people import People
from app.kernel.record_router import set_fields_of
from app.kernel.uow import UnitOfWork
from app.modules.leads.models.capture import LeadForm
from app.modules.leads.schemas.capture import FormCreate, FormRead

LEAD_FIELDS: Final = (
    "name", "company", "title", "email", "phone", "website", "industry", "country", "region", "city", "address",
    "description",
)  # fmt: skip
NAMING: Final = ("name", "company", "email", "phone")
"""What a lead can be called by, in this order."""
CUSTOM: Final = "custom."
CUSTOM_TYPES: Final = frozenset(
    {
        FieldType.TEXT, FieldType.LONG_TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.DATE,
        FieldType.BOOLEAN, FieldType.SELECT, FieldType.URL, FieldType.EMAIL, FieldType.PHONE,
    }
)  # fmt: skip
"""Types of custom fields that one input of a form can hold."""
TOUCH_NAMES: Final = (
    "referrer", "landing_page", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
)  # fmt: skip
META_NAMES: Final = frozenset({*TOUCH_NAMES, "language", "token", "opened", "seconds", "first_touch"})
"""What a submission may hold beside the form's fields."""
_PAIRS: Final = ("name", "thanks")


class Forms:
    """The forms of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def all(self) -> list[LeadForm]:
        """Every form, the newest first."""
        statement = self.uow.select(LeadForm).order_by(LeadForm.created_at.desc(), LeadForm.id.desc())
        return await self.uow.all(statement)

    async def get(self, id: UUID) -> LeadForm:
        """Raises `NotFound`."""
        return await self.uow.get(LeadForm, id)

    async def create(self, body: FormCreate) -> LeadForm:
        """Raises `Invalid` for a field, owner or address that does not fit."""
        values = _columns(body.model_dump())
        await self._check_references(values)
        _check(values)
        key = new_key(self.uow.tenant_id)
        return await self.uow.insert(LeadForm, audit="form", public_key=key, **values)

    async def update(self, id: UUID, body: Any, *, expected_version: int) -> LeadForm:
        """A merge patch. Raises `NotFound`, `StaleVersion`, `Invalid`."""
        row = await self._locked(id, expected_version)
        given = body.model_dump(include=set(set_fields_of(body)))
        changes = _columns(given)
        await self._check_references(changes)
        _check({**row.__dict__, **changes})
        return await self.uow.update(row, audit="form", **changes)

    async def rotate(self, id: UUID, *, expected_version: int) -> LeadForm:
        """A new public key: what was sent with the old one finds nothing from now on."""
        row = await self._locked(id, expected_version)
        key = new_key(self.uow.tenant_id)
        return await self.uow.update(row, audit="form", action="key_rotated", public_key=key)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """The form and its submissions go; the leads that it made, and their consents, stay."""
        await self.uow.delete(await self._locked(id, expected_version), audit="form")

    async def _locked(self, id: UUID, expected_version: int) -> LeadForm:
        row = await self.uow.get(LeadForm, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    async def _check_references(self, given: dict[str, Any]) -> None:
        """What is given now has to exist now; what went out of use since does not stop other changes."""
        people = self.uow.of(People)
        if given.get("owner_id"):
            await people.require_members([given["owner_id"]], pointer="/owner_id")
        if given.get("team_id"):
            await people.require_teams([given["team_id"]], pointer="/team_id")
        await self._check_fields(given.get("fields", []))

    async def _check_fields(self, fields: list[dict[str, Any]]) -> None:
        known = (await self.uow.kernel.custom_fields.of(self.uow, "lead")).by_key
        seen: set[str] = set()
        for at, found in enumerate(fields):
            name, pointer = found["name"], f"/fields/{at}/name"
            custom = known.get(name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else None
            if custom is None and name not in LEAD_FIELDS:
                raise Invalid.at(
                    pointer, "unknown_field", f"Leads have no field {name!r} that a form can ask for."
                )
            if custom is not None and custom.type not in CUSTOM_TYPES:
                raise Invalid.at(
                    pointer, "unfit_field", f"A form cannot ask for a field of type {custom.type.value}."
                )
            if name in seen:
                raise Invalid.at(pointer, "twice", f"{name} is asked for twice.")
            if found["hidden"] and found["default"] is None:
                raise Invalid.at(f"/fields/{at}/default", "required", "A hidden field has a default.")
            seen.add(name)


def _check(values: dict[str, Any]) -> None:
    """That the parts of a form fit together. Raises `Invalid`."""
    names = [found["name"] for found in values["fields"]]
    if values["honeypot"] in names or values["honeypot"] in META_NAMES:
        raise Invalid.at("/honeypot", "name_taken", "The form has a field of this name.")
    if not set(NAMING) & set(names):
        raise Invalid.at("/fields", "nameless", f"A form asks for one of {', '.join(NAMING)}.")
    email = next((found for found in values["fields"] if found["name"] == "email"), None)
    if values["double_opt_in"] and (email is None or not email["required"] or email["hidden"]):
        raise Invalid.at(
            "/double_opt_in", "needs_email", "Confirming an address needs the required field email."
        )
    if values["redirect_url"] and origin_of(values["redirect_url"]) not in values["allowed_origins"]:
        raise Invalid.at("/redirect_url", "origin_not_allowed", "It lies on none of the allowed origins.")
    channels = [consent["channel"] for consent in values["consents"]]
    if len(set(channels)) < len(channels):
        raise Invalid.at("/consents", "twice", "One consent per channel.")


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    """Columns of what was given: texts in two languages are two columns."""
    values = dict(given)
    for name in _PAIRS:
        if name in values:
            pair = values.pop(name)
            values |= {f"{name}_en": pair["en"], f"{name}_zh": pair["zh"]}
    for consent in values.get("consents") or ():
        consent["channel"] = str(consent["channel"])
    return values


def origin_of(url: str) -> str:
    """The origin of a web address, as browsers write it."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, default) else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def text_version(text: str) -> str:
    """The fingerprint of a consent's wording: another wording is another version."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def form_read(uow: UnitOfWork, row: LeadForm) -> FormRead:
    """A form as answered, with the addresses that follow from its key."""
    base = uow.kernel.settings.address_of("")
    page = f"{base}/forms/{row.public_key}"
    values = {name: value for name, value in row.__dict__.items() if name in FormRead.model_fields}
    values["consents"] = [
        {**consent, "text_version": {k: v and text_version(v) for k, v in consent["text"].items()}}
        for consent in row.consents
    ]
    return FormRead.model_validate(
        values
        | {
            "name": {"en": row.name_en, "zh": row.name_zh},
            "thanks": {"en": row.thanks_en, "zh": row.thanks_zh},
            "page_url": page,
            "submit_url": f"{base}/v1/forms/{row.public_key}/submissions",
            "snippet": f'<script src="{page}/embed.js" async></script>',
        }
    )
