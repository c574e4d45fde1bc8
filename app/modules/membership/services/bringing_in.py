"""Members bring in others, who join with a code of theirs.

Whatever looks like fraud does not keep anybody from joining: what it would have brought is rejected, for a reason
that can be seen. Nobody joins past the month's limit of a code, for whoever joins holds it until the commit.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.membership.interface import ReferralMade
from app.modules.membership.models.programmes import LoyaltyMember
from app.modules.membership.models.rewards import Referral, ReferralStatus
from app.modules.membership.schemas.rewards import ReferralRule
from app.modules.membership.services.rewards import RewardSettingsService


class BringingIn:
    """Notes who brought in whom."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._today = uow.actor.tenant.day_of(uow.now)

    async def joined(self, member: LoyaltyMember, code: str) -> None:
        """A new member joined with a code. Raises `Invalid` for one that is not there, or brings nothing here."""
        uow = self._uow
        found = await uow.fetchrow(_HOLD_CODE, uow.tenant_id, code, member.programme_id)
        rule = (await RewardSettingsService(uow).of(member.programme_id)).referral
        if found is None or found["id"] == member.id or rule is None or not rule.active:
            raise Invalid.at(
                "/referral_code", "unknown_reference", "There is no such code in this programme."
            )
        reason = await self._fraud(member, found, rule)
        status = ReferralStatus.PENDING if reason is None else ReferralStatus.REJECTED
        made = await uow.insert(
            Referral,
            programme_id=member.programme_id,
            referrer_id=found["id"],
            referred_id=member.id,
            referred_holder=_holder(member),
            status=status.value,
            reason=reason,
            made_on=self._today,
            minimum_spend=rule.minimum_spend.amount_minor if rule.minimum_spend is not None else 0,
            rewards={
                "referrer": [one.model_dump(mode="json") for one in rule.referrer],
                "referred": [one.model_dump(mode="json") for one in rule.referred],
            },
            decided_at=None if reason is None else uow.now,
        )
        uow.publish(
            ReferralMade(
                id=made.referrer_id,
                referral_id=made.id,
                referred_id=member.id,
                status=status.value,
                reason=reason,
            )
        )

    async def _fraud(self, member: LoyaltyMember, referrer: Any, rule: ReferralRule) -> str | None:
        """Why this brings nothing, if it does not. The referrer's code is held."""
        mine, theirs = _holder(member), referrer["account_id"] or referrer["contact_id"]
        reached = await self._uow.of(Customers).reachable([mine, theirs])
        one, other = reached.get(mine), reached.get(theirs)
        if mine == theirs or one is None or other is None:
            return "same_person"
        if one.emails & other.emails or one.phones & other.phones or one.account_ids & other.account_ids:
            return "same_person"
        first = self._today.replace(day=1)
        row = await self._uow.fetchone(
            _LIMITS,
            self._uow.tenant_id,
            member.programme_id,
            referrer["id"],
            mine,
            theirs,
            first,
            add_months(first, 1),
        )
        if row["before"]:
            return "brought_in_before"
        if row["cycle"]:
            return "cycle"
        if rule.max_per_month is not None and row["count"] >= rule.max_per_month:
            return "monthly_limit"
        return None


def _holder(member: LoyaltyMember) -> UUID:
    """The account or contact that is the member."""
    holder = member.account_id or member.contact_id
    assert holder is not None  # noqa: S101 - it is one of the two
    return holder


_HOLD_CODE: Final = """
SELECT m.id, m.account_id, m.contact_id FROM membership.referral_codes c
JOIN membership.loyalty_members m ON m.tenant_id = c.tenant_id AND m.id = c.id
WHERE c.tenant_id = $1 AND c.code = $2 AND m.programme_id = $3 AND m.status = 'active' AND m.deleted_at IS NULL
FOR UPDATE OF c"""
# By whom the referrer was brought in, and so on upwards, as far as anybody was.
_LIMITS: Final = """
WITH RECURSIVE above (holder, depth) AS (
  SELECT $5::uuid, 0
  UNION
  SELECT coalesce(m.account_id, m.contact_id), a.depth + 1 FROM above a
  JOIN membership.referrals r ON r.tenant_id = $1 AND r.programme_id = $2 AND r.referred_holder = a.holder
    AND r.status <> 'rejected'
  JOIN membership.loyalty_members m ON m.tenant_id = r.tenant_id AND m.id = r.referrer_id
  WHERE a.depth < 1000
)
SELECT
  EXISTS (SELECT 1 FROM membership.referrals r WHERE r.tenant_id = $1 AND r.programme_id = $2
    AND r.referred_holder = $4 AND r.status <> 'rejected') AS before,
  EXISTS (SELECT 1 FROM above WHERE holder = $4) AS cycle,
  (SELECT count(*) FROM membership.referrals r WHERE r.tenant_id = $1 AND r.referrer_id = $3
    AND r.status <> 'rejected' AND r.made_on >= $6 AND r.made_on < $7) AS count"""
