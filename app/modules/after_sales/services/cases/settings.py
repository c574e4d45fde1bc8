"""How the company wants its cases to end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.case_work import CaseSettings
from app.modules.after_sales.schemas.case_work import CaseSettingsRead, CaseSettingsWrite
from app.modules.after_sales.services.cases.ports import QueueSource

REOPEN_DAYS: Final = 14
CLOSE_AFTER_DAYS: Final = 14
"""Until somebody says otherwise."""


class CaseSettingsService:
    """The one set of settings of the tenant."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get(self) -> CaseSettingsRead:
        row = await self._row()
        if row is None:
            return CaseSettingsRead(
                version=0,
                reopen_days=REOPEN_DAYS,
                close_after_days=CLOSE_AFTER_DAYS,
                mail_comments=True,
                mail_queue_id=None,
            )
        return _read(row)

    async def reopenable_until(self, now: datetime) -> datetime:
        """Until when a case that is resolved now can be opened again."""
        return now + timedelta(days=(await self.get()).reopen_days)

    async def set(self, body: CaseSettingsWrite, *, expected_version: int) -> CaseSettingsRead:
        """Cases that are resolved already keep the window they have. Raises: StaleVersion; Invalid."""
        await lock_name(self._uow, "case_settings")
        row = await self._row()
        require_version(row.version if row else 0, expected=expected_version)
        if body.mail_queue_id is not None:
            await self._check_queue(body.mail_queue_id)
        values = body.model_dump()
        if row is None:
            return _read(await self._uow.insert(CaseSettings, audit="case_settings", **values))
        return _read(await self._uow.update(row, audit="case_settings", **values))

    async def _check_queue(self, id: UUID) -> None:
        for port in self._uow.ports(QueueSource):
            if id in await port.queues([id]):
                return
        raise Invalid.at("/mail_queue_id", "unknown_reference", "There is no queue with this id.")

    async def _row(self) -> CaseSettings | None:
        return await self._uow.first(self._uow.select(CaseSettings))


def _read(row: CaseSettings) -> CaseSettingsRead:
    return CaseSettingsRead.model_validate(
        {name: row.__dict__[name] for name in CaseSettingsRead.model_fields}
    )
