"""The accounts, contacts and opportunities that contracts name: they must be there and visible when written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.opportunities.interface import Opportunities

_NOUNS = {"account_id": "account", "contact_id": "contact", "opportunity_id": "opportunity"}


class References:
    """Checks references through the owners' interfaces, each record once per transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._known: dict[str, dict[UUID, str]] = {name: {} for name in _NOUNS}

    async def check(self, values: Mapping[str, Any], changed: Collection[str] | None = None) -> None:
        """Raises `Invalid` for what is not there; only `changed` references are looked at."""
        await self.check_each([values], changed, pointers=[""])

    async def check_each(
        self,
        many: Sequence[Mapping[str, Any]],
        changed: Collection[str] | None = None,
        *,
        pointers: Sequence[str],
    ) -> None:
        """The same for several, all refusals at once; `pointers` say where each lies in the request."""
        names = _NOUNS.keys() if changed is None else _NOUNS.keys() & set(changed)
        await self.learn([{name: values.get(name) for name in names} for values in many])
        errors = [
            FieldError(f"{pointer}/{name}", "unknown_reference", f"There is no {noun} with this id.")
            for values, pointer in zip(many, pointers, strict=True)
            for name, noun in _NOUNS.items()
            if name in names and values.get(name) is not None and values[name] not in self._known[name]
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)

    async def check_products(self, ids: Sequence[UUID | None], pointer: str) -> None:
        """Raises `Invalid` at `{pointer}/{index}/product_id` for products that are not there."""
        wanted = {id for id in ids if id is not None}
        found = await self._uow.of(Catalog).get_many(wanted, hold=True) if wanted else {}
        errors = [
            FieldError(
                f"{pointer}/{index}/product_id", "unknown_reference", "There is no product with this id."
            )
            for index, id in enumerate(ids)
            if id is not None and id not in found
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)

    async def learn(self, many: Iterable[Mapping[str, Any]]) -> None:
        """Look up what many rows name, in one statement for each kind."""
        rows = list(many)
        for name, known in self._known.items():
            wanted = {values[name] for values in rows if values.get(name) is not None} - known.keys()
            if wanted:
                known |= await self._found(name, wanted)

    def name_of(self, values: Mapping[str, Any]) -> str | None:
        """The name of the contact, else of the account, that `values` refer to and that was looked up."""
        for name in ("contact_id", "account_id"):
            if values.get(name) is not None:
                return self._known[name].get(values[name])
        return None

    async def _found(self, name: str, ids: Collection[UUID]) -> dict[UUID, str]:
        customers = self._uow.of(Customers)
        if name == "account_id":
            return {id: one.name for id, one in (await customers.get_many(ids, hold=True)).items()}
        if name == "contact_id":
            return {id: one.name for id, one in (await customers.get_contacts(ids, hold=True)).items()}
        found = await self._uow.of(Opportunities).get_many(ids)
        return {id: one.name for id, one in found.items()}
