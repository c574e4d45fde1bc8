"""What the calendar does to members: points mature and expire, tiers end, groups are computed anew.

Each step takes a batch per transaction and only what is due, so that it may be stopped at any point and run again.
Days are those of the company's own calendar.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.kernel.schedules import ScheduledRun
from app.modules.membership.models.programmes import Programme
from app.modules.membership.schemas.rewards import OccasionRule
from app.modules.membership.services.classifying import classify
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.occasions import Occasions
from app.modules.membership.services.programmes import ProgrammeRules, ProgrammeService
from app.modules.membership.services.referrals import Referrals
from app.modules.membership.services.rewards import RewardSettingsService
from app.modules.membership.services.tiers import TierService
from app.modules.membership.services.wallet.ledger import WalletLedger

CALENDAR_EVERY: Final = timedelta(minutes=30)
CLASSES_EVERY: Final = timedelta(days=1)
BATCH: Final = 500


async def follow_calendar(run: ScheduledRun) -> None:
    """Do everything that has fallen due since the last run."""
    await settle_points(run)
    await look_at_tiers(run)
    await expire_bonuses(run)
    await reward_referrals(run)
    await grant_benefits(run)


async def reward_referrals(run: ScheduledRun) -> None:
    """Whoever brought somebody in has what was promised once the order cannot come back."""
    while True:
        async with run.transaction() as uow:
            count = await Referrals(uow).settle(BATCH)
        if count < BATCH:
            return


async def grant_benefits(run: ScheduledRun) -> None:
    """Birthdays and anniversaries that have begun where the members are."""
    async with run.transaction() as uow:
        settings = await RewardSettingsService(uow).all()
        programmes = await ProgrammeService(uow).get_many(
            [id for id, rewards in settings.items() if rewards.occasions]
        )
    for id, programme in programmes.items():
        if programme.row.active:
            for rule in settings[id].occasions:
                await _grant(run, programme, rule)


async def _grant(run: ScheduledRun, programme: ProgrammeRules, rule: OccasionRule) -> None:
    after: UUID | None = None
    while True:
        async with run.transaction() as uow:
            after = await Occasions(uow).grant(programme, rule, after=after, limit=BATCH)
        if after is None:
            return


async def expire_bonuses(run: ScheduledRun) -> None:
    """Bonus money past its last day is gone."""
    while True:
        async with run.transaction() as uow:
            ledger = WalletLedger(uow)
            rows = await uow.fetch(_EXPIRED_BONUSES, uow.tenant_id, ledger.today, BATCH)
            if rows:
                await ledger.hold([row["wallet_id"] for row in rows])
                await ledger.close()
        if len(rows) < BATCH:
            return


async def settle_points(run: ScheduledRun) -> None:
    """What has matured can be spent, and what is past its last day is gone."""
    while True:
        async with run.transaction() as uow:
            ledger = Ledger(uow)
            rows = await uow.fetch(_DUE, uow.tenant_id, ledger.today, BATCH)
            if rows:
                await ledger.hold([row["member_id"] for row in rows])
                await ledger.close()
        if len(rows) < BATCH:
            return


async def look_at_tiers(run: ScheduledRun) -> None:
    """Tiers whose period and grace are over are renewed or lowered."""
    while True:
        async with run.transaction() as uow:
            count = await TierService(uow).look_again(BATCH)
        if count < BATCH:
            return


async def classify_members(run: ScheduledRun) -> None:
    """Group the members of every programme, each in a transaction of its own."""
    async with run.transaction() as uow:
        programmes = await uow.all(uow.select(Programme).where(Programme.active))
    for programme in programmes:
        async with run.transaction() as uow:
            await classify(uow, programme)


# Members who are gone have no lots: only who never moved a point can be deleted.
_DUE: Final = """
SELECT member_id FROM (
  (SELECT DISTINCT member_id FROM membership.lots
   WHERE tenant_id = $1 AND remaining > 0 AND matures_on IS NOT NULL AND matures_on <= $2 LIMIT $3)
  UNION
  (SELECT DISTINCT member_id FROM membership.lots
   WHERE tenant_id = $1 AND remaining > 0 AND expires_on IS NOT NULL AND expires_on < $2 AND matures_on IS NULL
   LIMIT $3)
) due ORDER BY member_id LIMIT $3"""

_EXPIRED_BONUSES: Final = """
SELECT DISTINCT wallet_id FROM membership.wallet_lots
WHERE tenant_id = $1 AND remaining > 0 AND expires_on IS NOT NULL AND expires_on < $2
ORDER BY wallet_id LIMIT $3"""
