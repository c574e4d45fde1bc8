"""Conversion: a lead becomes an account, a contact and, if asked, an opportunity, in one transaction.

The lead is locked first, so that of any number of conversions at once the first one does it and the others
answer with its result. Matched records are only filled where they are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.people import People
from app.kernel.quality.guard import guard_change
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.customers.interface import Customers, Matched, MatchRequest, OnDuplicate
from app.modules.leads.interface import LeadConverted
from app.modules.leads.models import Lead, LeadStatus
from app.modules.leads.schemas import Conversion, ConversionPlan, ConvertedOpportunity, ConvertedRecord, Side
from app.modules.leads.services.capture.listing import consents_given
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.mapping import Carry, ConversionMappings, carried
from app.modules.leads.services.states import CONVERTED, MACHINE
from app.modules.opportunities.interface import NewOpportunity, Opportunities, OpportunityRef

PERSON_FIELDS = ("title", "email", "phone", "country", "region", "city", "address", "source", "description")
COMPANY_FIELDS = ("website", "industry", "size", "country", "region", "city", "address", "source", "rating")
# What conversion itself decides about a new account or contact, whatever the actor's role may set.
_DECIDED = frozenset({"name", "kind", "lifecycle_stage"})


@dataclass(frozen=True)
class Draft:
    """What a lead would become: the fields of each record, and of which lead field each came."""

    owner_id: UUID
    request: MatchRequest
    account_origin: Mapping[str, str]
    contact_origin: Mapping[str, str]
    opportunity: NewOpportunity | None
    opportunity_origin: Mapping[str, str]


class Converter:
    """Converts leads, and says beforehand what that would do."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._leads = LeadService(uow)

    async def convert(self, id: UUID, plan: ConversionPlan, *, expected_version: int) -> Conversion:
        """Convert a lead; one that is converted already answers with what it became.

        Raises: `NotFound`, `Forbidden`, `StaleVersion`, `InvalidTransition` for a disqualified lead, `Invalid`
        for a lead without an owner to be, `DuplicateFound` where the plan asks and it is unclear who is meant.
        """
        row = await self._leads.get(id, action="convert", lock="update")
        if row.status == CONVERTED:
            return Conversion.model_validate(row.conversion)
        require_version(row.version, expected=expected_version)
        MACHINE.next(LeadStatus(row.status), "convert")
        draft = await self.draft(row, plan)
        matched = await self._uow.of(Customers).match_or_create(draft.request)
        await self._uow.of(Customers).advance(matched.account.id, "qualified")
        if matched.contact is not None:
            given = await consents_given(self._uow, row.id)
            await self._uow.of(Customers).consented(matched.contact.id, given)
        opportunity = await self._open(draft, matched)
        moved = await self._uow.of(Activities).move(Subject("lead", row.id), _subjects(matched, opportunity))
        return await self._finish(row, draft, matched, opportunity, moved)

    async def draft(self, row: Lead, plan: ConversionPlan) -> Draft:
        """The records that a lead would become by this plan; writes nothing."""
        owner, team = await self._owner(row, plan)
        carries = await ConversionMappings(self._uow).carries()
        assigned = {"owner_id": owner, "team_id": team}
        account, account_origin = self._settable("account", *account_fields(row, carries))
        contact, contact_origin = self._settable("contact", *contact_fields(row, carries))
        side = {"ask": OnDuplicate.ASK, "match": OnDuplicate.MATCH, "create": OnDuplicate.CREATE}
        decided = side[plan.duplicates]
        request = MatchRequest(
            account=_overridden(account | assigned, plan.account.create if plan.account else None),
            contact=_overridden(contact | assigned, plan.contact.create if plan.contact else None),
            account_id=plan.account.id if plan.account else None,
            contact_id=plan.contact.id if plan.contact else None,
            on_duplicate_account=OnDuplicate.CREATE if _makes(plan.account) else decided,
            on_duplicate_contact=OnDuplicate.CREATE if _makes(plan.contact) else decided,
            overwrite_source=plan.overwrite_source,
            account_given=_given(plan.account),
            contact_given=_given(plan.contact),
        )
        opportunity, origin = _opportunity(row, plan, carries, owner, team)
        return Draft(
            owner_id=owner,
            request=request,
            account_origin=_without(account_origin, plan.account.create if plan.account else None),
            contact_origin=_without(contact_origin, plan.contact.create if plan.contact else None),
            opportunity=opportunity,
            opportunity_origin=origin,
        )

    def _settable(
        self, object_name: str, fields: dict[str, Any], origin: dict[str, str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """What a lead brings along, without the fields that the actor's role may not set."""
        refused = self._uow.actor.readonly(object_name) - _DECIDED
        kept = {name: value for name, value in fields.items() if name not in refused}
        return kept, {name: came for name, came in origin.items() if name.partition(".")[0] in kept}

    async def _owner(self, row: Lead, plan: ConversionPlan) -> tuple[UUID, UUID | None]:
        """Who owns what the lead becomes: its owner, else the one that the plan names, else the actor."""
        if row.owner_id is not None:
            return row.owner_id, row.team_id
        actor = self._uow.actor
        owner = plan.owner_id or actor.member_id
        if owner is None:
            raise Invalid.at("/owner_id", "owner_required", "Nobody owns this lead; say who gets it.")
        if owner == actor.member_id:
            return owner, row.team_id or actor.home_team_id
        actor.require("lead:assign")
        teams = await self._uow.of(People).require_members([owner], pointer="/owner_id")
        return owner, row.team_id or teams[owner]

    async def _open(self, draft: Draft, matched: Matched) -> OpportunityRef | None:
        if draft.opportunity is None:
            return None
        contact_id = matched.contact.id if matched.contact else None
        new = draft.opportunity.placed(matched.account.id, contact_id)
        return await self._uow.of(Opportunities).open(new)

    async def _finish(
        self,
        row: Lead,
        draft: Draft,
        matched: Matched,
        opportunity: OpportunityRef | None,
        moved: int,
    ) -> Conversion:
        """Make the lead read-only, pointing at what it became, and say so."""
        now = self._uow.now
        contact = matched.contact
        result = Conversion(
            lead_id=row.id,
            converted_at=now,
            owner_id=draft.owner_id,
            account=_account(matched),
            contact=_contact(matched),
            opportunity=_opened(opportunity),
            activities_moved=moved,
        )
        changes: dict[str, Any] = {
            "status": CONVERTED.value,
            "converted_at": now,
            "converted_account_id": matched.account.id,
            "converted_contact_id": contact.id if contact else None,
            "converted_opportunity_id": opportunity.id if opportunity else None,
            "conversion": result.model_dump(mode="json"),
            "qualified_at": row.qualified_at or now,
            "first_response_at": row.first_response_at or now,
            "owner_id": draft.owner_id,
        }
        if row.stage is not None:
            changes["stage"] = None
        await guard_change(self._uow, LEAD, row.__dict__, changes)
        await self._leads.write(row, changes, action="converted")
        self._uow.publish(_converted(row, matched, opportunity, draft.owner_id))
        return result


def _converted(
    row: Lead, matched: Matched, opportunity: OpportunityRef | None, owner_id: UUID
) -> LeadConverted:
    return LeadConverted(
        id=row.id,
        account_id=matched.account.id,
        account_created=matched.account_created,
        contact_id=matched.contact.id if matched.contact else None,
        contact_created=matched.contact_created,
        opportunity_id=opportunity.id if opportunity else None,
        owner_id=owner_id,
        source=row.source,
    )


def _account(matched: Matched) -> ConvertedRecord:
    return ConvertedRecord(
        id=matched.account.id,
        name=matched.account.name,
        created=matched.account_created,
        filled=list(matched.account_filled),
    )


def _contact(matched: Matched) -> ConvertedRecord | None:
    if matched.contact is None:
        return None
    return ConvertedRecord(
        id=matched.contact.id,
        name=matched.contact.name,
        created=matched.contact_created,
        filled=list(matched.contact_filled),
    )


def _opened(opportunity: OpportunityRef | None) -> ConvertedOpportunity | None:
    if opportunity is None:
        return None
    return ConvertedOpportunity(
        id=opportunity.id, name=opportunity.name, stage=opportunity.stage, amount=opportunity.amount
    )


def account_fields(row: Lead, carries: list[Carry]) -> tuple[dict[str, Any], dict[str, str]]:
    """The account's fields from the lead's: its company, or the person themselves where there is none.

    A person's address and number do not go to their company, where they would pass for everybody's.
    """
    values = row.__dict__
    names = COMPANY_FIELDS if row.company else (*COMPANY_FIELDS, "email", "phone")
    fields: dict[str, Any] = {name: values[name] for name in names if values[name] is not None}
    origin = {name: name for name in fields}
    fields |= {"name": row.company or row.name, "kind": "company" if row.company else "person"}
    origin["name"] = "company" if row.company else "name"
    more, carried_from = carried(carries, "account", values)
    return {"lifecycle_stage": "qualified", **fields, **more}, origin | carried_from


def contact_fields(row: Lead, carries: list[Carry]) -> tuple[dict[str, Any], dict[str, str]]:
    """The contact's fields from the lead's; its title becomes theirs."""
    values = row.__dict__
    fields = {name: values[name] for name in ("name", *PERSON_FIELDS) if values[name] is not None}
    origin = {name: name for name in fields}
    more, carried_from = carried(carries, "contact", values)
    return {**fields, **more}, origin | carried_from


def _opportunity(
    row: Lead, plan: ConversionPlan, carries: list[Carry], owner: UUID, team: UUID | None
) -> tuple[NewOpportunity | None, dict[str, str]]:
    wanted = plan.opportunity
    if wanted is None:
        return None, {}
    more, origin = carried(carries, "opportunity", row.__dict__)
    fields: dict[str, Any] = {
        "source": row.source,
        "description": row.description,
        **{name: value for name, value in more.items() if name in _CARRIED},
    }
    origin = {"source": "source", "description": "description"} | origin
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    fields |= {name: value for name, value in given.items() if value is not None}
    origin = {name: came for name, came in origin.items() if given.get(name) is None}
    if not fields.get("name"):
        fields["name"] = row.company or row.name
        origin["name"] = "company" if row.company else "name"
    new = NewOpportunity(
        **fields, account_id=None, lead_id=row.id, owner_id=owner, team_id=team, custom=more.get("custom", {})
    )
    return new, origin


_CARRIED = frozenset({"product_name", "next_step", "description", "source", "expected_close_on", "amount"})


def _overridden(fields: dict[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The caller's fields go before the lead's; custom ones key by key."""
    if given is None:
        return fields
    custom = {**fields.get("custom", {}), **(given.get("custom") or {})}
    return {**fields, **given, **({"custom": custom} if custom else {})}


def _without(origin: Mapping[str, str], given: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: came for name, came in origin.items() if given is None or name not in given}


def _given(side: Side | None) -> frozenset[str]:
    return frozenset(side.create or ()) if side is not None else frozenset()


def _makes(side: Any) -> bool:
    return side is not None and side.create is not None


def _subjects(matched: Matched, opportunity: OpportunityRef | None) -> list[Subject]:
    """Where the lead's activities go."""
    found = [Subject("account", matched.account.id)]
    if matched.contact is not None:
        found.append(Subject("contact", matched.contact.id))
    if opportunity is not None:
        found.append(Subject("opportunity", opportunity.id))
    return found
