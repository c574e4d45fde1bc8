"""Where everything that is captured arrives: a touch on a lead that is open, or a new lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Conflict, Forbidden, Invalid
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.activities.interface import Activities, Subject
from app.modules.leads.models import Lead, LeadStatus
from app.modules.leads.models.capture import SubmissionStatus
from app.modules.leads.schemas import LeadCreate
from app.modules.leads.services.leads import LeadService, touched
from app.tenants.interface import Members, Teams

METER: Final = "leads.captured"
_OVER: Final = frozenset({LeadStatus.CONVERTED, LeadStatus.DISQUALIFIED})
_MESSAGE: Final = "description"


@dataclass(frozen=True, slots=True)
class Capture:
    """Somebody who came in: the lead's fields as they are checked, and where they came from now and at first."""

    lead: Mapping[str, Any]
    custom: Mapping[str, Any] = field(default_factory=dict)
    touch: Mapping[str, Any] = field(default_factory=dict)
    first_touch: Mapping[str, Any] | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of it; `reason` says why it was refused."""

    status: SubmissionStatus
    lead_id: UUID | None = None
    reason: str | None = None


class Intake:
    """Takes in one capture after the other, in the transaction and with the rights of its actor."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.service = LeadService(uow)

    async def land(self, capture: Capture, *, touch_open: bool) -> Landed:
        """Make the lead, or touch the open one with the same e-mail address or number.

        Two at once wait for each other, so that the second finds the first one's lead. What the company's rules
        refuse (duplicates, values that have to be unique or are missing) is `refused`, and nothing is written.
        """
        new = LeadCreate.model_validate({**capture.lead, **(capture.first_touch or capture.touch)})
        await self.service.finder.lock(fields_of(new))
        found = await self._open_lead(fields_of(new)) if touch_open else None
        if found is not None:
            try:
                async with self.uow.savepoint():
                    await self._touch(found, capture)
            except (Conflict, Invalid) as refusal:
                return Landed(SubmissionStatus.REFUSED, reason=refusal.code)
            return Landed(SubmissionStatus.TOUCHED, found.id)
        try:
            async with self.uow.savepoint():
                row = await self._create(new, capture)
        except (Conflict, Invalid) as refusal:
            return Landed(SubmissionStatus.REFUSED, reason=refusal.code)
        self.uow.meter(METER)
        return Landed(SubmissionStatus.CREATED, row.id)

    async def _create(self, new: LeadCreate, capture: Capture) -> Lead:
        given = fields_of(new) | {
            "custom": dict(capture.custom),
            "owner_id": await self._active_member(capture.owner_id),
            "team_id": await self._known_team(capture.team_id),
        }
        row = await self.service.create(given, explicit={*capture.lead, *capture.touch})
        if capture.first_touch is None or capture.first_touch == capture.touch:
            return row
        return await self.service.write(row, touched(capture.touch, self.uow.now), action="touched")

    async def _open_lead(self, values: Mapping[str, Any]) -> Lead | None:
        """The open lead with this address, else with this number, locked; the latest of several."""
        keys = self.service.duplicates.columns(values, self.uow.actor.tenant.country)
        if not self.uow.actor.may("lead:update"):
            return None
        rows = await self.uow.fetch(
            "SELECT id FROM leads.leads WHERE tenant_id = $1 AND deleted_at IS NULL"
            " AND status <> ALL($4::text[]) AND (email_key = $2 OR phone_key = $3)"
            " ORDER BY email_key = $2 DESC NULLS LAST, created_at DESC, id DESC LIMIT 5",
            self.uow.tenant_id,
            keys["email_key"],
            keys["phone_key"],
            sorted(_OVER),
        )
        for row in rows:
            try:
                found = (await self.service.get_many([row["id"]], action="update", lock="update")).get(
                    row["id"]
                )
            except Forbidden:  # somebody else's, which the actor only reads
                continue
            if found is not None and found.status not in _OVER:  # it may have moved on while we waited
                return found
        return None

    async def _touch(self, row: Lead, capture: Capture) -> None:
        """The last touch is this one; fields that were empty are filled; a message becomes a note."""
        fill = {
            name: value
            for name, value in capture.lead.items()
            if name != _MESSAGE and value is not None and getattr(row, name) is None
        }
        custom = {key: value for key, value in capture.custom.items() if key not in row.custom}
        changes = touched(capture.touch, self.uow.now) | fill | ({"custom": custom} if custom else {})
        await self.service.change(row, changes, action="touched")
        message = capture.lead.get(_MESSAGE)
        if message:
            await self.uow.of(Activities).add_note([Subject("lead", row.id)], message)

    async def _active_member(self, id: UUID | None) -> UUID | None:
        """The form's owner while they work here; a visitor is not refused because somebody left."""
        if id is None:
            return None
        found = (await self.uow.of(Members).get_many([id])).get(id)
        return id if found is not None and found.active else None

    async def _known_team(self, id: UUID | None) -> UUID | None:
        return id if id is not None and id in await self.uow.of(Teams).get_many([id]) else None
