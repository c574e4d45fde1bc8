"""Leads from business cards: each card for itself, so that a bad one does not stop the others."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from app.kernel.countries import country_code
from app.kernel.errors import FieldError, Invalid, Problem
from app.kernel.schemas import BatchItemError
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.leads.schemas import LeadCreate
from app.modules.leads.schemas.capture import CardResult, CardsAnswer
from app.modules.leads.services.capture.intake import METER
from app.modules.leads.services.capture.vcard import Card, CardInvalid, lead_of, read_cards
from app.modules.leads.services.leads import LeadService

SOURCE: Final = "business_card"


async def leads_from_cards(uow: UnitOfWork, raw: bytes) -> CardsAnswer:
    """A lead per card, with the rights of the caller. Raises `Invalid` for what is no vCard file."""
    try:
        cards = read_cards(raw)
    except CardInvalid as error:
        raise Invalid.at("/text", "invalid_vcard", str(error)) from None
    service = LeadService(uow)
    results = [await _one(uow, service, card) for card in cards]
    succeeded = sum(result.status == 201 for result in results)
    return CardsAnswer(results=results, succeeded=succeeded, failed=len(results) - succeeded)


async def _one(uow: UnitOfWork, service: LeadService, card: Card) -> CardResult:
    name = card.first("FN", "N")
    try:
        new = _new_lead(card)
        name = new.name
        async with uow.savepoint():
            row = await service.create(fields_of(new), explicit=new.model_fields_set)
    except Problem as problem:
        if problem.status >= 500:
            raise
        errors: list[dict[str, Any]] = problem.document(instance="", request_id="").get("errors", [])
        refusal = BatchItemError(code=problem.code, detail=problem.detail, errors=errors)
        return CardResult(name=name, status=problem.status, lead_id=None, error=refusal)
    uow.meter(METER)
    return CardResult(name=name, status=201, lead_id=row.id, error=None)


def _new_lead(card: Card) -> LeadCreate:
    try:
        fields = lead_of(card)
    except CardInvalid as error:
        raise Invalid.at("", "invalid_vcard", str(error)) from None
    country = fields.get("country")
    if country and country_code(country) is None:  # as it stands on the card, rather than not at all
        fields["address"] = ", ".join(filter(None, (fields.get("address"), fields.pop("country"))))
    try:
        return LeadCreate.model_validate(fields | {"source": SOURCE})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors = [FieldError(f"/{one['loc'][0]}", str(one["type"]), str(one["msg"])) for one in found]
        raise Invalid(errors[0].detail, errors=errors) from None
