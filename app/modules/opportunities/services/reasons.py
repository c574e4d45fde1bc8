"""The reasons that a company gives for winning and losing. While it has set none, any will do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.statements import Lock
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import OpportunityStatus
from app.modules.opportunities.models.work import Outcome, OutcomeReason
from app.modules.opportunities.schemas import OTHER, NamesRead
from app.modules.opportunities.schemas.work import ReasonCreate, ReasonRead, ReasonUpdate

_FIELDS: Mapping[str, tuple[Outcome, str]] = {
    OpportunityStatus.WON: (Outcome.WIN, "win_reason"),
    OpportunityStatus.LOST: (Outcome.LOSS, "loss_reason"),
}


class OutcomeReasons:
    """Keeps the lists, and holds outcomes against them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._known: list[OutcomeReason] | None = None

    async def check(self, values: Mapping[str, Any]) -> None:
        """Raises `Invalid` for a reason that is not on the company's list, or that wants a note and has none."""
        if values["status"] not in _FIELDS:
            return
        outcome, field = _FIELDS[values["status"]]
        given = values.get(field)
        if given is None or given == OTHER:
            return
        listed = [reason for reason in await self.all() if reason.outcome == outcome and reason.is_active]
        if not listed:
            return
        found = next((reason for reason in listed if reason.key == given), None)
        if found is None:
            known = ", ".join(reason.key for reason in listed)
            raise Invalid.at(
                f"/{field}", "unknown_reason", f"{given!r} is none of the reasons: {known}, {OTHER}."
            )
        if found.requires_note and not (values.get("outcome_note") or "").strip():
            raise Invalid.at("/outcome_note", "required", f"The reason {given!r} wants a note.")

    async def all(self) -> list[OutcomeReason]:
        """Both lists in their order, read once per transaction."""
        if self._known is None:
            statement = self._uow.select(OutcomeReason)
            order = (OutcomeReason.outcome, OutcomeReason.position, OutcomeReason.id)
            self._known = await self._uow.all(statement.order_by(*order))
        return self._known

    async def get(self, id: UUID, *, lock: Lock = None) -> OutcomeReason:
        """Raises `NotFound`."""
        return await self._uow.get(OutcomeReason, id, lock=lock)

    async def create(self, body: ReasonCreate) -> OutcomeReason:
        """Add a reason. Raises `DuplicateValue` for a key that its list has."""
        position = body.position
        if position is None:
            position = sum(reason.outcome == body.outcome for reason in await self.all())
        return await self._uow.insert(
            OutcomeReason,
            audit="outcome_reason",
            outcome=body.outcome.value,
            key=body.key,
            name_en=body.name.en,
            name_zh=body.name.zh,
            position=position,
            requires_note=body.requires_note,
            is_active=True,
        )

    async def update(self, id: UUID, body: ReasonUpdate, *, expected_version: int) -> OutcomeReason:
        """Raises `NotFound`, `StaleVersion`."""
        row = await self._current(id, expected_version)
        changes = {name: getattr(body, name) for name in body.model_fields_set - {"name"}}
        if body.name is not None:
            changes |= {"name_en": body.name.en, "name_zh": body.name.zh}
        return await self._uow.update(row, audit="outcome_reason", **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Opportunities that were closed with it keep its key. Raises `NotFound`, `StaleVersion`."""
        await self._uow.delete(await self._current(id, expected_version), audit="outcome_reason")

    async def _current(self, id: UUID, expected_version: int) -> OutcomeReason:
        row = await self.get(id, lock="update")
        require_version(row.version, expected=expected_version)
        return row


def read_reason(row: OutcomeReason) -> ReasonRead:
    """The wire form."""
    return ReasonRead(
        id=row.id,
        version=row.version,
        outcome=Outcome(row.outcome),
        key=row.key,
        name=NamesRead(en=row.name_en, zh=row.name_zh),
        position=row.position,
        requires_note=row.requires_note,
        is_active=row.is_active,
    )
