"""What becomes of those whom members brought in: both get what was promised once the first order is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.log_pages import NEWEST, select_page
from app.kernel.statements import entities, rows_of
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import (
    MemberNotActive,
    ReferralDecided,
    ReferralQualified,
    ReferralRejected,
    ReferralRewarded,
)
from app.modules.membership.models.programmes import LoyaltyMember, MemberStatus
from app.modules.membership.models.rewards import Referral, ReferralCode, ReferralStatus
from app.modules.membership.schemas.rewards import (
    ReferralCodeRead,
    ReferralPage,
    ReferralRead,
    ReferralRejection,
)
from app.modules.membership.services.coupons.codes import secret_code
from app.modules.membership.services.granting import Gift, Granting
from app.modules.membership.services.programmes import ProgrammeService
from app.modules.membership.services.rewards import stored_rewards

_OBJECT: Final = "loyalty_member"
_DECIDED: Final = (ReferralStatus.REWARDED, ReferralStatus.REJECTED)


async def referral_code(uow: UnitOfWork, member: LoyaltyMember) -> ReferralCodeRead:
    """The member's code, made when it is first asked for: of all codes there are, it is the only one.

    Raises: MemberNotActive.
    """
    if member.status != MemberStatus.ACTIVE:
        raise MemberNotActive(f"It is {member.status}.", state=member.status)
    row = await uow.find(ReferralCode, member.id)
    while row is None:
        code = secret_code()
        await uow.fetch(_MAKE_CODE, uow.tenant_id, member.id, code)
        row = await uow.find(ReferralCode, member.id)
    return ReferralCodeRead(code=row.code)


class Referrals:
    """What becomes of those who were brought in."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._today = uow.actor.tenant.day_of(uow.now)

    async def qualify(self, order_ids: Sequence[UUID]) -> None:
        """Orders have earned: those who were brought in qualify by the first of which they kept enough."""
        rows = await self._uow.fetch(_QUALIFY, self._uow.tenant_id, list(order_ids))
        for row in sorted(rows, key=lambda row: (row["place"], row["id"])):
            self._uow.publish(
                ReferralQualified(
                    id=row["referrer_id"],
                    referral_id=row["id"],
                    referred_id=row["referred_id"],
                    due_on=row["due_on"],
                )
            )

    async def settle(self, limit: int) -> int:
        """Reward what is past its order's return window, or reject it; how many, at most `limit`."""
        rows = await self._uow.fetch(_DUE, self._uow.tenant_id, self._today, limit)
        if not rows:
            return 0
        due = entities(Referral, rows)
        programmes = await ProgrammeService(self._uow).get_many({one.programme_id for one in due})
        gifts: list[Gift] = []
        for one, row in zip(due, rows, strict=True):
            if row["why"] is not None:
                await self._reject(one, row["why"])
                continue
            for member_id, side in ((one.referrer_id, "referrer"), (one.referred_id, "referred")):
                promised = tuple(stored_rewards(one.rewards[side]))
                key = f"referral:{one.id}:{side}"
                gifts.append(Gift(member_id, programmes[one.programme_id], promised, key, "referral"))
            await self._uow.update(one, status=ReferralStatus.REWARDED.value, decided_at=self._uow.now)
            self._uow.publish(
                ReferralRewarded(id=one.referrer_id, referral_id=one.id, referred_id=one.referred_id)
            )
        await Granting(self._uow).give([gift for gift in gifts if gift.rewards])
        return len(rows)

    async def _reject(self, one: Referral, reason: str) -> Referral:
        after = await self._uow.update(
            one, status=ReferralStatus.REJECTED.value, reason=reason, decided_at=self._uow.now
        )
        self._uow.publish(
            ReferralRejected(
                id=one.referrer_id, referral_id=one.id, referred_id=one.referred_id, reason=reason
            )
        )
        return after

    async def reject(self, member_id: UUID, id: UUID, body: ReferralRejection) -> ReferralRead:
        """By hand. Raises `NotFound`, `ReferralDecided`."""
        row = await self._uow.find(Referral, id, lock="update")
        if row is None or row.referrer_id != member_id:
            raise NotFound
        if row.status in _DECIDED:
            raise ReferralDecided(f"It is {row.status}.", state=row.status)
        after = await self._reject(row, body.reason)
        changes = {"status": [row.status, after.status]}
        self._uow.record_audit(_OBJECT, member_id, "referral_rejected", changes, reason=body.reason)
        return read_referral(after)

    async def page(self, member_id: UUID, *, limit: int, cursor: str | None) -> ReferralPage:
        """Whom a member brought in, newest first. Raises `InvalidCursor`."""
        brought_in = self._uow.select(Referral).where(Referral.referrer_id == member_id)
        name = f"referrals:{member_id}"
        found = await select_page(self._uow, brought_in, NEWEST, name=name, limit=limit, cursor=cursor)
        return ReferralPage(data=[read_referral(row) for row in found.rows], **found.onward)


def read_referral(row: Referral) -> ReferralRead:
    """The wire form."""
    plain = {name: getattr(row, name) for name in ReferralRead.model_fields if name != "status"}
    return ReferralRead(**plain, status=ReferralStatus(row.status))


_MAKE_CODE: Final = """
INSERT INTO membership.referral_codes (tenant_id, id, code) SELECT $1, $2, $3
WHERE NOT EXISTS (SELECT 1 FROM membership.coupon_codes c WHERE c.tenant_id = $1 AND c.code = $3)
ON CONFLICT DO NOTHING"""
_QUALIFY: Final = f"""
WITH first AS (
  SELECT DISTINCT ON (r.id) r.id, o.place, e.order_id, e.earned_on FROM (
    SELECT DISTINCT o.id, o.place, s.member_id FROM unnest($2::uuid[]) WITH ORDINALITY AS o(id, place)
    CROSS JOIN LATERAL (
      SELECT s.member_id FROM membership.order_shares s WHERE s.tenant_id = $1 AND s.order_id = o.id OFFSET 0) s) o
  CROSS JOIN LATERAL (
    SELECT * FROM membership.earnings e
    WHERE e.tenant_id = $1 AND e.order_id = o.id AND e.member_id = o.member_id OFFSET 0) e
  JOIN membership.referrals r ON r.tenant_id = $1 AND r.referred_id = e.member_id AND r.status = 'pending'
  WHERE e.visits > 0 AND e.amount - e.amount_returned >= r.minimum_spend
  ORDER BY r.id, o.place
)
UPDATE membership.referrals r SET status = 'qualified', order_id = first.order_id,
  due_on = first.earned_on + p.return_window_days::int
FROM {rows_of("first", "id", "place", "order_id", "earned_on")}, membership.programmes p
WHERE r.tenant_id = $1 AND r.id = first.id AND r.status = 'pending' AND p.tenant_id = $1 AND p.id = r.programme_id
RETURNING r.id, r.referrer_id, r.referred_id, r.due_on, first.place"""
_DUE: Final = """
SELECT r.*, CASE
  WHEN e.id IS NULL OR e.visits = 0 OR e.amount - e.amount_returned < r.minimum_spend THEN 'order_returned'
  WHEN a.status <> 'active' OR a.deleted_at IS NOT NULL THEN 'referrer_not_active'
  WHEN b.status <> 'active' OR b.deleted_at IS NOT NULL THEN 'referred_not_active' END AS why
FROM membership.referrals r
JOIN membership.loyalty_members a ON a.tenant_id = r.tenant_id AND a.id = r.referrer_id
JOIN membership.loyalty_members b ON b.tenant_id = r.tenant_id AND b.id = r.referred_id
LEFT JOIN membership.earnings e
  ON e.tenant_id = r.tenant_id AND e.member_id = r.referred_id AND e.order_id = r.order_id
WHERE r.tenant_id = $1 AND r.status = 'qualified' AND r.due_on <= $2
ORDER BY r.id LIMIT $3 FOR UPDATE OF r SKIP LOCKED"""
