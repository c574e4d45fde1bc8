"""What a programme gives beside points for orders: reading the settings, and keeping them right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.coupons import Coupon, Distribution
from app.modules.membership.models.programmes import Programme
from app.modules.membership.models.rewards import RewardSettings
from app.modules.membership.schemas.rewards import (
    OccasionRule,
    OccasionRuleRead,
    ReferralRule,
    ReferralRuleRead,
    RewardInput,
    RewardRead,
    RewardSettingsRead,
    RewardSettingsWrite,
)

_AUDIT = "loyalty_programme"


@dataclass(frozen=True, slots=True)
class ProgrammeRewards:
    """What is set of a programme, amounts in minor units of its currency; without a row nothing is."""

    wallet_limit: int | None = None
    referral: ReferralRule | None = None
    occasions: tuple[OccasionRule, ...] = ()


class RewardSettingsService:
    """The settings of programmes."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(self, programme_id: UUID) -> ProgrammeRewards:
        """One programme's."""
        row = await self._uow.find(RewardSettings, programme_id)
        return ProgrammeRewards() if row is None else _rewards(row)

    async def all(self) -> dict[UUID, ProgrammeRewards]:
        """Of all programmes that say something. One statement."""
        rows = await self._uow.all(self._uow.select(RewardSettings))
        return {row.id: _rewards(row) for row in rows}

    async def get(self, programme_id: UUID) -> RewardSettingsRead:
        """Raises `NotFound`."""
        programme = await self._uow.get(Programme, programme_id)
        return _read(await self._uow.find(RewardSettings, programme_id), programme.currency)

    async def set(
        self, programme_id: UUID, body: RewardSettingsWrite, *, expected_version: int
    ) -> RewardSettingsRead:
        """Raises `NotFound`, `StaleVersion`, `Invalid`. What was promised to those brought in stays as it was."""
        programme = await self._uow.get(Programme, programme_id, lock="update")
        row = await self._uow.find(RewardSettings, programme_id)
        require_version(row.version if row else 0, expected=expected_version)
        limit, rule = body.wallet_adjustment_limit, body.referral
        _require_currency(limit, programme.currency, "/wallet_adjustment_limit")
        if rule is not None:
            _require_currency(rule.minimum_spend, programme.currency, "/referral/minimum_spend")
            await self._check(rule.referrer, "/referral/referrer")
            await self._check(rule.referred, "/referral/referred")
        for place, one in enumerate(body.occasions):
            await self._check(one.rewards, f"/occasions/{place}/rewards")
        values: dict[str, Any] = {
            "wallet_limit": None if limit is None else limit.amount_minor,
            "referral": None if rule is None else rule.model_dump(mode="json"),
            "occasions": [one.model_dump(mode="json") for one in body.occasions],
        }
        if row is None:
            after = await self._uow.insert(RewardSettings, audit=_AUDIT, id=programme_id, **values)
        else:
            after = await self._uow.update(row, audit=_AUDIT, **values)
        return _read(after, programme.currency)

    async def _check(self, rewards: Iterable[RewardInput], pointer: str) -> None:
        """Coupons are there, and given out to single members. Raises `Invalid`."""
        for place, one in enumerate(rewards):
            if one.coupon_id is None:
                continue
            coupon = await self._uow.find(Coupon, one.coupon_id)
            if coupon is None or coupon.distribution != Distribution.PERSONAL:
                at = f"{pointer}/{place}/coupon_id"
                raise Invalid.at(at, "unknown_reference", "There is no such coupon for single members.")


def _require_currency(amount: Money | None, currency: str, pointer: str) -> None:
    if amount is not None and amount.currency != currency:
        raise Invalid.at(f"{pointer}/currency", "other_currency", f"The programme is in {currency}.")


def _rewards(row: RewardSettings) -> ProgrammeRewards:
    return ProgrammeRewards(
        row.wallet_limit,
        None if row.referral is None else ReferralRule.model_validate(row.referral),
        tuple(OccasionRule.model_validate(one) for one in row.occasions),
    )


def _read(row: RewardSettings | None, currency: str) -> RewardSettingsRead:
    if row is None:
        return RewardSettingsRead(version=0, wallet_adjustment_limit=None, referral=None, occasions=[])
    found = _rewards(row)
    rule = found.referral
    return RewardSettingsRead(
        version=row.version,
        wallet_adjustment_limit=None if row.wallet_limit is None else Money(row.wallet_limit, currency),
        referral=None
        if rule is None
        else ReferralRuleRead(
            active=rule.active,
            referrer=read_rewards(rule.referrer),
            referred=read_rewards(rule.referred),
            minimum_spend=rule.minimum_spend,
            max_per_month=rule.max_per_month,
        ),
        occasions=[
            OccasionRuleRead(
                occasion=one.occasion, rewards=read_rewards(one.rewards), catch_up_days=one.catch_up_days
            )
            for one in found.occasions
        ],
    )


def read_rewards(rewards: Iterable[RewardInput]) -> list[RewardRead]:
    """The wire form."""
    return [RewardRead(**{name: getattr(one, name) for name in RewardRead.model_fields}) for one in rewards]


def stored_rewards(stored: Iterable[Any]) -> list[RewardInput]:
    """Rewards as they were promised or given."""
    return [RewardInput.model_validate(one) for one in stored]
