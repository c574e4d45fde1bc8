"""What a programme gives beside points for orders: reading the settings, and keeping them right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.programmes import Programme
from app.modules.membership.models.rewards import RewardSettings
from app.modules.membership.schemas.rewards import RewardSettingsRead, RewardSettingsWrite

_AUDIT = "loyalty_programme"


@dataclass(frozen=True, slots=True)
class Rewards:
    """What is set of a programme, in minor units of its currency; without a row nothing is."""

    wallet_limit: int | None = None


class RewardSettingsService:
    """The settings of programmes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(self, programme_id: UUID) -> Rewards:
        """One programme's."""
        row = await self._uow.find(RewardSettings, programme_id)
        return Rewards() if row is None else Rewards(row.wallet_limit)

    async def get(self, programme_id: UUID) -> RewardSettingsRead:
        """Raises `NotFound`."""
        programme = await self._uow.get(Programme, programme_id)
        return _read(await self._uow.find(RewardSettings, programme_id), programme.currency)

    async def set(
        self, programme_id: UUID, body: RewardSettingsWrite, *, expected_version: int
    ) -> RewardSettingsRead:
        """Raises `NotFound`, `StaleVersion`, `Invalid`."""
        programme = await self._uow.get(Programme, programme_id, lock="update")
        row = await self._uow.find(RewardSettings, programme_id)
        require_version(row.version if row else 0, expected=expected_version)
        limit = body.wallet_adjustment_limit
        if limit is not None and limit.currency != programme.currency:
            pointer = "/wallet_adjustment_limit/currency"
            raise Invalid.at(pointer, "other_currency", f"The programme is in {programme.currency}.")
        values: dict[str, Any] = {"wallet_limit": None if limit is None else limit.amount_minor}
        if row is None:
            after = await self._uow.insert(RewardSettings, audit=_AUDIT, id=programme_id, **values)
        else:
            after = await self._uow.update(row, audit=_AUDIT, **values)
        return _read(after, programme.currency)


def _read(row: RewardSettings | None, currency: str) -> RewardSettingsRead:
    if row is None:
        return RewardSettingsRead(version=0, wallet_adjustment_limit=None)
    limit = None if row.wallet_limit is None else Money(row.wallet_limit, currency)
    return RewardSettingsRead(version=row.version, wallet_adjustment_limit=limit)
