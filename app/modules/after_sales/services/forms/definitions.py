"""Forms of cases: what they ask for, and where their cases go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.attempts import Attempts
from app.kernel.errors import Invalid
from app.kernel.forms import definitions
from app.kernel.forms.kinds import Field, FormKind, thanks_of
from app.kernel.forms.texts import TEXTS
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.forms import CaseForm
from app.modules.after_sales.schemas.forms import CaseAnswers, CaseFormRead
from app.modules.after_sales.services.cases.ports import QueueSource
from app.modules.catalog.interface import Catalog, ProductRef

COUNTERS: Final = Attempts("after_sales.case_form_attempts", timedelta(hours=1))
PRODUCT: Final = "product_id"
_SAYS_WHAT: Final = frozenset({"subject", "description"})
_SAYS_WHO: Final = frozenset({"email", "phone"})


async def _fields_of(uow: UnitOfWork, row: CaseForm) -> list[Field]:
    """The products to choose from are named as they are called just now; those that are gone are left out."""
    if not any(found["name"] == PRODUCT and not found["options"] for found in row.fields):
        return row.fields
    products = await uow.of(Catalog).get_many(row.product_ids)
    options = [_option(products[id]) for id in row.product_ids if id in products]
    return [found | {"options": options} if found["name"] == PRODUCT else found for found in row.fields]


def _option(product: ProductRef) -> dict[str, Any]:
    return {"value": str(product.id), "label": {"en": product.name_en or product.name, "zh": product.name}}


KIND: Final = FormKind(
    model=CaseForm,
    audit="case_form",
    object="case",
    page="/case-forms",
    api="/v1/case-forms",
    fields=tuple(CaseAnswers.model_fields),
    counters=COUNTERS,
    message=lambda row, language: thanks_of(row, language) or TEXTS[language]["thanks"],
    fields_of=_fields_of,
)


class CaseForms(definitions.FormDefinitions[CaseForm]):
    """The forms of the tenant at hand."""

    KIND: ClassVar[FormKind[CaseForm]] = KIND

    def columns(self, given: dict[str, Any]) -> dict[str, Any]:
        values = super().columns(given)
        return values | ({"priority": str(values["priority"])} if "priority" in values else {})

    async def check_references(self, given: dict[str, Any]) -> None:
        if given.get("owner_id"):
            await self.uow.of(People).require_members([given["owner_id"]], pointer="/owner_id")
        if given.get("queue_id"):
            await self._check_queue(given["queue_id"])
        if given.get("product_ids"):
            await self._check_products(given["product_ids"])

    async def _check_queue(self, id: UUID) -> None:
        for port in self.uow.ports(QueueSource):
            if id in await port.queues([id]):
                return
        raise Invalid.at("/queue_id", "unknown_reference", "There is no queue with this id.")

    async def _check_products(self, ids: Collection[UUID]) -> None:
        known = await self.uow.of(Catalog).get_many(ids)
        for at, id in enumerate(ids):
            if id not in known:
                raise Invalid.at(
                    f"/product_ids/{at}", "unknown_reference", "There is no product with this id."
                )

    def check(self, values: dict[str, Any]) -> None:
        super().check(values)
        fields = {found["name"]: found for found in values["fields"]}
        asked = {name for name, found in fields.items() if not found["hidden"]}
        if not asked & _SAYS_WHAT:
            raise Invalid.at("/fields", "says_nothing", "A form asks for the subject or the description.")
        if not asked & _SAYS_WHO:
            raise Invalid.at("/fields", "nobody_to_answer", "A form asks for email or phone.")
        if PRODUCT in fields and (fields[PRODUCT]["hidden"] or fields[PRODUCT]["options"]):
            raise Invalid.at("/fields", "unfit_field", "The products to choose from are said in product_ids.")
        if (PRODUCT in fields) != bool(values["product_ids"]):
            raise Invalid.at("/product_ids", "not_asked_for", "Products go with the field product_id.")


def form_read(uow: UnitOfWork, row: CaseForm) -> CaseFormRead:
    """A form as answered, with the addresses that follow from its key."""
    values = definitions.shown(uow, KIND, row)
    return CaseFormRead.model_validate({name: values[name] for name in CaseFormRead.model_fields})
