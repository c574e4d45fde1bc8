"""Forms as settings: what they ask for, where they may stand, and where they are found."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Generic
from urllib.parse import urlsplit
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.forms.kinds import CUSTOM, CUSTOM_TYPES, META_NAMES, FormKind, Row
from app.kernel.forms.models import WebForm
from app.kernel.links import new_key
from app.kernel.uow import UnitOfWork
from app.kernel.validation import set_fields_of

_PAIRS: Final = ("name", "thanks")


class FormDefinitions(Generic[Row]):
    """The forms of one kind of the tenant at hand."""

    KIND: ClassVar[FormKind[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def all(self) -> list[Row]:
        """Every form, the newest first."""
        model: type[Row] = self.KIND.model
        return await self.uow.all(self.uow.select(model).order_by(model.created_at.desc(), model.id.desc()))

    async def get(self, id: UUID) -> Row:
        """Raises `NotFound`."""
        model: type[Row] = self.KIND.model
        return await self.uow.get(model, id)

    async def create(self, body: Any) -> Row:
        """Raises `Invalid` for a field, reference or address that does not fit."""
        values = self.columns(body.model_dump())
        await self._check_references(values)
        self.check(values)
        key = new_key(self.uow.tenant_id)
        model: type[Row] = self.KIND.model
        return await self.uow.insert(model, audit=self.KIND.audit, public_key=key, **values)

    async def update(self, id: UUID, body: Any, *, expected_version: int) -> Row:
        """A merge patch. Raises `NotFound`, `StaleVersion`, `Invalid`."""
        row = await self._locked(id, expected_version)
        changes = self.columns(body.model_dump(include=set(set_fields_of(body))))
        await self._check_references(changes)
        self.check({**row.__dict__, **changes})
        return await self.uow.update(row, audit=self.KIND.audit, **changes)

    async def rotate(self, id: UUID, *, expected_version: int) -> Row:
        """A new public key: what was sent with the old one finds nothing from now on."""
        row = await self._locked(id, expected_version)
        key = new_key(self.uow.tenant_id)
        return await self.uow.update(row, audit=self.KIND.audit, action="key_rotated", public_key=key)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """The form and its submissions go; what was made of them stays."""
        await self.uow.delete(await self._locked(id, expected_version), audit=self.KIND.audit)

    async def _locked(self, id: UUID, expected_version: int) -> Row:
        model: type[Row] = self.KIND.model
        row = await self.uow.get(model, id, lock="update")
        require_version(row.version, expected=expected_version)
        return row

    # -- what a kind adds --------------------------------------------------------------------------------------

    def columns(self, given: dict[str, Any]) -> dict[str, Any]:
        """Columns of what was given: texts in two languages are two columns."""
        values = dict(given)
        for name in _PAIRS:
            if name in values:
                pair = values.pop(name)
                values |= {f"{name}_en": pair["en"], f"{name}_zh": pair["zh"]}
        return values

    async def check_references(self, given: dict[str, Any]) -> None:
        """That what is named exists. Raises `Invalid`."""

    def check(self, values: dict[str, Any]) -> None:
        """That the parts of a form fit together. Raises `Invalid`."""
        names = [found["name"] for found in values["fields"]]
        if values["honeypot"] in names or values["honeypot"] in META_NAMES:
            raise Invalid.at("/honeypot", "name_taken", "The form has a field of this name.")
        if values["redirect_url"] and origin_of(values["redirect_url"]) not in values["allowed_origins"]:
            raise Invalid.at("/redirect_url", "origin_not_allowed", "It lies on none of the allowed origins.")

    async def _check_references(self, given: dict[str, Any]) -> None:
        """What is given now has to exist now; what went out of use since does not stop other changes."""
        await self.check_references(given)
        if given.get("fields"):
            await self._check_fields(given["fields"])

    async def _check_fields(self, fields: list[dict[str, Any]]) -> None:
        known = (await self.uow.kernel.custom_fields.of(self.uow, self.KIND.object)).by_key
        seen: set[str] = set()
        for at, found in enumerate(fields):
            name, pointer = found["name"], f"/fields/{at}/name"
            custom = known.get(name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else None
            if custom is None and name not in self.KIND.fields:
                raise Invalid.at(
                    pointer, "unknown_field", f"This form has no field {name!r} that it can ask for."
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


def origin_of(url: str) -> str:
    """The origin of a web address, as browsers write it."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, default) else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def shown(uow: UnitOfWork, kind: FormKind[Any], row: WebForm) -> dict[str, Any]:
    """A form's columns as answered, with the addresses that follow from its key."""
    base = uow.kernel.settings.address_of("")
    page = f"{base}{kind.page}/{row.public_key}"
    return row.__dict__ | {
        "name": {"en": row.name_en, "zh": row.name_zh},
        "thanks": {"en": row.thanks_en, "zh": row.thanks_zh},
        "page_url": page,
        "submit_url": f"{base}{kind.api}/{row.public_key}/submissions",
        "snippet": f'<script src="{page}/embed.js" async></script>',
    }
