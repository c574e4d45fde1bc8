"""The surveys of a company: what is asked, when, and what follows."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.interface import SurveyInUse
from app.modules.after_sales.models.surveys import Survey, SurveyKind
from app.modules.after_sales.schemas.surveys import SurveyCreate, SurveyRead, SurveyUpdate

AUDITED_AS: Final = "survey"
SCALES: Final = {SurveyKind.CSAT: (1, 5), SurveyKind.NPS: (0, 10), SurveyKind.CES: (1, 7)}
ALERTS: Final = {SurveyKind.CSAT: 2, SurveyKind.NPS: 6, SurveyKind.CES: 3}
_MAY_BE_NULL: Final = frozenset({"question_en", "question_zh"})


class SurveyService:
    """Definitions of surveys."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> list[Survey]:
        """In the order in which they are tried."""
        return await self._uow.all(self._uow.select(Survey).order_by(Survey.position, Survey.id))

    async def active(self) -> list[Survey]:
        statement = self._uow.select(Survey).where(Survey.is_active)
        return await self._uow.all(statement.order_by(Survey.position, Survey.id))

    async def get(self, id: UUID) -> Survey:
        """Raises `NotFound`."""
        return await self._uow.get(Survey, id)

    async def create(self, body: SurveyCreate) -> Survey:
        """Raises `DuplicateValue`, `Invalid`."""
        values = body.model_dump() | {"kind": body.kind.value}
        if values["alert_at"] is None:
            values["alert_at"] = ALERTS[body.kind]
        _check_alert(values["alert_at"], body.kind)
        return await self._uow.insert(Survey, audit=AUDITED_AS, **values)

    async def update(self, id: UUID, body: SurveyUpdate, *, expected_version: int) -> Survey:
        """Raises `NotFound`, `StaleVersion`, `DuplicateValue`, `Invalid`."""
        row = await self._uow.get(Survey, id, lock="update")
        require_version(row.version, expected=expected_version)
        changes: dict[str, Any] = body.model_dump(include=body.model_fields_set)
        refuse_nulls(changes, _MAY_BE_NULL)
        if "alert_at" in changes:
            _check_alert(changes["alert_at"], SurveyKind(row.kind))
        return await self._uow.update(row, audit=AUDITED_AS, **changes)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`; `SurveyInUse` where somebody was asked."""
        row = await self._uow.get(Survey, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        used = await self._uow.fetchrow(
            "SELECT 1 FROM after_sales.survey_invitations WHERE tenant_id = $1 AND survey_id = $2 LIMIT 1",
            row.tenant_id,
            id,
        )
        if used is not None:
            raise SurveyInUse
        await self._uow.delete(row, audit=AUDITED_AS)


def read_survey(row: Survey) -> SurveyRead:
    return SurveyRead.model_validate({name: getattr(row, name) for name in SurveyRead.model_fields})


def _check_alert(score: int, kind: SurveyKind) -> None:
    least, most = SCALES[kind]
    if not least <= score <= most:
        raise Invalid.at("/alert_at", "out_of_range", f"Scores of {kind} go from {least} to {most}.")
