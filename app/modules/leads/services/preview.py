"""What a conversion would do, field by field, without doing it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.duplicates import Candidate
from app.kernel.money import Money
from app.kernel.schemas import DuplicateCandidate
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import AccountRef, ContactRef, Customers
from app.modules.leads.models import LeadStatus
from app.modules.leads.schemas import (
    ConversionPlan,
    ConversionPreview,
    FieldPreview,
    OpportunityPreview,
    RecordPreview,
)
from app.modules.leads.services.conversion import Converter, Draft
from app.modules.leads.services.leads import LeadService, refuse_converted
from app.modules.leads.services.states import MACHINE
from app.modules.opportunities.interface import Opportunities

_ASSIGNED = frozenset({"owner_id", "team_id"})


async def preview(uow: UnitOfWork, id: UUID, plan: ConversionPlan) -> ConversionPreview:
    """What `convert` would do. Raises as it does, but for duplicates: those it shows."""
    row = await LeadService(uow).get(id, action="convert")
    refuse_converted(row)
    MACHINE.next(LeadStatus(row.status), "convert")
    draft = await Converter(uow).draft(row, plan)
    found = await uow.of(Customers).preview(draft.request)
    hidden = uow.actor.hidden("lead")
    contact_fields = draft.request.contact or {}
    return ConversionPreview(
        lead_id=row.id,
        owner_id=draft.owner_id,
        account=_record(
            found.account,
            "account" in found.undecided,
            found.account_candidates,
            found.account_hidden,
            _fields(draft.request.account, draft.account_origin, found.account, found.account_filled, hidden),
        ),
        contact=_record(
            found.contact,
            "contact" in found.undecided,
            found.contact_candidates,
            found.contact_hidden,
            _fields(contact_fields, draft.contact_origin, found.contact, found.contact_filled, hidden),
        ),
        opportunity=await _opportunity(uow, draft),
    )


def _record(
    taken: AccountRef | ContactRef | None,
    undecided: bool,
    candidates: Sequence[Candidate],
    hidden: int,
    fields: list[FieldPreview],
) -> RecordPreview:
    return RecordPreview(
        outcome="undecided" if undecided else "match" if taken else "create",
        id=taken.id if taken else None,
        name=taken.name if taken else None,
        candidates=[DuplicateCandidate.model_validate(found.wire()) for found in candidates],
        hidden=hidden,
        fields=fields,
    )


def _fields(
    given: Mapping[str, Any],
    origin: Mapping[str, str],
    taken: AccountRef | ContactRef | None,
    filled: Collection[str],
    hidden: frozenset[str],
) -> list[FieldPreview]:
    flat = {name: value for name, value in given.items() if name != "custom" and name not in _ASSIGNED}
    flat |= {f"custom.{key}": value for key, value in (given.get("custom") or {}).items()}
    return [
        FieldPreview(
            field=name,
            from_field=origin.get(name),
            value=None if (origin.get(name) or "").partition(".")[0] in hidden else _plain(value),
            written=taken is None or name in filled or ("custom" in filled and name.startswith("custom.")),
        )
        for name, value in flat.items()
    ]


async def _opportunity(uow: UnitOfWork, draft: Draft) -> OpportunityPreview | None:
    new = draft.opportunity
    if new is None:
        return None
    uow.actor.require("opportunity:create")
    place = await uow.of(Opportunities).place(new)
    shown = {
        name: getattr(new, name)
        for name in (
            "name",
            "amount",
            "expected_close_on",
            "source",
            "product_name",
            "next_step",
            "description",
        )
    }
    given = {name: value for name, value in shown.items() if value is not None} | {"custom": dict(new.custom)}
    return OpportunityPreview(
        name=new.name,
        pipeline=place.pipeline,
        stage=place.stage,
        probability=place.probability,
        fields=_fields(given, draft.opportunity_origin, None, (), uow.actor.hidden("lead")),
    )


def _plain(value: Any) -> Any:
    return value.to_wire() if isinstance(value, Money) else value
