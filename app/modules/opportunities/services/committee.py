"""The buyer's committee: which contacts have a say in the deal, and on whose side they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, NotFound, require_version
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.opportunities.models.selling import Attitude, CommitteeRole, CommitteeSeat
from app.modules.opportunities.schemas.selling import CommitteeRead, SeatInput, SeatRead, SeatUpdate
from app.modules.opportunities.services.opportunities import OpportunityService

AUDITED_AS = "opportunity_contact"
_ORDER = tuple(CommitteeRole)


class CommitteeService:
    """The contacts of one opportunity."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._opportunities = OpportunityService(uow)

    async def all(self, opportunity_id: UUID) -> CommitteeRead:
        """By role, then by when they came in. Raises `NotFound` for an opportunity that is not visible."""
        await self._opportunities.get(opportunity_id)
        statement = self._uow.select(CommitteeSeat).where(CommitteeSeat.opportunity_id == opportunity_id)
        seats = await self._uow.all(statement.order_by(CommitteeSeat.id))
        seats.sort(key=lambda seat: _ORDER.index(CommitteeRole(seat.role)))
        return CommitteeRead(data=await self._read(seats))

    async def add(self, opportunity_id: UUID, body: SeatInput) -> SeatRead:
        """Raises `NotFound`, `Forbidden`, `Invalid`; `DuplicateValue` for one that is there."""
        await self._opportunities.get(opportunity_id, action="update", lock="update")
        if body.contact_id not in await self._uow.of(Customers).get_contacts([body.contact_id]):
            raise Invalid.at("/contact_id", "unknown_reference", "There is no contact with this id.")
        if body.is_primary:
            await self._unset_primary(opportunity_id)
        made = await self._uow.insert(
            CommitteeSeat,
            audit=AUDITED_AS,
            opportunity_id=opportunity_id,
            contact_id=body.contact_id,
            role=body.role.value,
            attitude=body.attitude.value,
            is_primary=body.is_primary,
            note=body.note,
        )
        self._note(made, "contact_added", [None, made.role])
        return (await self._read([made]))[0]

    async def update(
        self, opportunity_id: UUID, seat_id: UUID, body: SeatUpdate, *, expected_version: int
    ) -> SeatRead:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self._current(opportunity_id, seat_id, expected_version)
        if body.is_primary and not row.is_primary:
            await self._unset_primary(opportunity_id)
        changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        after = await self._uow.update(row, audit=AUDITED_AS, **changes)
        if after is not row:
            self._note(after, "contact_changed", [row.role, after.role])
        return (await self._read([after]))[0]

    async def remove(self, opportunity_id: UUID, seat_id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self._current(opportunity_id, seat_id, expected_version)
        await self._uow.delete(row, audit=AUDITED_AS)
        self._note(row, "contact_removed", [row.role, None])

    async def _unset_primary(self, opportunity_id: UUID) -> None:
        statement = self._uow.select(CommitteeSeat).where(
            CommitteeSeat.opportunity_id == opportunity_id, CommitteeSeat.is_primary
        )
        former = await self._uow.first(statement)
        if former is not None:
            await self._uow.update(former, audit=AUDITED_AS, is_primary=False)

    async def _current(self, opportunity_id: UUID, seat_id: UUID, expected_version: int) -> CommitteeSeat:
        await self._opportunities.get(opportunity_id, action="update", lock="update")
        row = await self._uow.get(CommitteeSeat, seat_id)
        if row.opportunity_id != opportunity_id:
            raise NotFound
        require_version(row.version, expected=expected_version)
        return row

    async def _read(self, seats: Sequence[CommitteeSeat]) -> list[SeatRead]:
        names = await self._uow.of(Customers).contact_names([seat.contact_id for seat in seats])
        return [
            SeatRead(
                id=seat.id,
                version=seat.version,
                contact_id=seat.contact_id,
                contact_name=names.get(seat.contact_id),
                role=CommitteeRole(seat.role),
                attitude=Attitude(seat.attitude),
                is_primary=seat.is_primary,
                note=seat.note,
            )
            for seat in seats
        ]

    def _note(self, seat: CommitteeSeat, action: str, change: list[Any]) -> None:
        self._uow.record_audit(
            "opportunity", seat.opportunity_id, action, {f"contacts.{seat.contact_id}": change}
        )
