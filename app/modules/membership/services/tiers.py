"""Tiers: reached at once, kept to the end of the period and its grace, then looked at again.

A tier that was reached on a day is kept until the calendar year ends, or for as many months as its rolling period
has. When that and the grace are over, what the member did in the period decides: of a calendar year the one that
ended, or the one that runs if that is more; of a rolling period the months until that day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import TierChanged
from app.modules.membership.models.programmes import Tier, TierChange, TierPeriod, TierReason
from app.modules.membership.services.programmes import ProgrammeRules, ProgrammeService

_Change = tuple[Any, Tier | None, TierReason]


class TierService:
    """Moves members between tiers, many in a bounded number of statements."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._today = uow.actor.tenant.day_of(uow.now)

    async def raise_those_who_qualify(self, member_ids: Collection[UUID]) -> None:
        """Held members who have come to a higher tier have it from now on."""
        members = await self._members(member_ids)
        programmes = await self._programmes(members)
        if not any(programme.tiers for programme in programmes.values()):
            return
        best = await self._best(member_ids, programmes)
        changes: list[_Change] = []
        for member in members:
            programme = programmes[member["programme_id"]]
            reached = best.get(member["id"])
            if reached is not None and reached.position > _position(programme, member["tier"]):
                changes.append((member, reached, TierReason.QUALIFIED))
        await self._write(changes)

    async def look_again(self, limit: int) -> int:
        """Members whose period and grace are over are renewed or lowered; how many, at most `limit`."""
        rows = await self._uow.fetch(_ENDED, self._uow.tenant_id, self._today, limit)
        ids = [row["id"] for row in rows]
        programmes = await self._programmes(rows)
        best = await self._best(ids, programmes)
        years = {row["id"]: row["tier_until"] for row in rows}
        ended = await self._best(ids, programmes, calendar_days=years)
        changes: list[_Change] = []
        for member in rows:
            programme = programmes[member["programme_id"]]
            candidates = [one for one in (best.get(member["id"]), ended.get(member["id"])) if one is not None]
            reached = max(candidates, key=lambda tier: tier.position, default=None)
            kept = reached is not None and reached.position >= _position(programme, member["tier"])
            changes.append((member, reached, TierReason.RENEWED if kept else TierReason.PERIOD_ENDED))
        await self._write(changes)
        return len(rows)

    async def _members(self, ids: Collection[UUID]) -> list[Any]:
        return await self._uow.fetch(_MEMBERS, self._uow.tenant_id, list(ids))

    async def _programmes(self, members: Iterable[Any]) -> Mapping[UUID, ProgrammeRules]:
        return await ProgrammeService(self._uow).get_many({row["programme_id"] for row in members})

    async def _best(
        self,
        ids: Collection[UUID],
        programmes: Mapping[UUID, ProgrammeRules],
        *,
        calendar_days: Mapping[UUID, date] | None = None,
    ) -> dict[UUID, Tier]:
        """The highest tier whose threshold each member has come to; of calendar years those of `calendar_days`.

        One statement.
        """
        tiers = {
            tier.id: tier
            for programme in programmes.values()
            for tier in programme.tiers
            if calendar_days is None or tier.period == TierPeriod.CALENDAR_YEAR
        }
        if not tiers or not ids:
            return {}
        members, wanted, starts, ends = [], [], [], []
        for row in await self._members(ids):
            for tier in tiers.values():
                if tier.programme_id != row["programme_id"]:
                    continue
                last = self._today if calendar_days is None else calendar_days[row["id"]]
                members.append(row["id"])
                wanted.append(tier.id)
                starts.append(_first_day(tier, last))
                ends.append(last)
        found: dict[UUID, Tier] = {}
        sql, tenant = _MEASURES, self._uow.tenant_id
        for row in await self._uow.fetch(sql, tenant, members, wanted, starts, ends):
            tier = tiers[row["tier_id"]]
            known = found.get(row["member_id"])
            if row[tier.qualify_by] >= tier.threshold and (known is None or known.position < tier.position):
                found[row["member_id"]] = tier
        return found

    async def _write(self, changes: list[_Change]) -> None:
        if not changes:
            return
        uow = self._uow
        untils = [None if tier is None else self._until(tier) for _, tier, _ in changes]
        await uow.fetch(
            _WRITE,
            uow.tenant_id,
            [member["id"] for member, _, _ in changes],
            [None if tier is None else tier.key for _, tier, _ in changes],
            untils,
            self._today,
            uow.now,
        )
        rows = []
        for (member, tier, reason), until in zip(changes, untils, strict=True):
            to = None if tier is None else tier.key
            rows.append(
                {"member_id": member["id"], "from_tier": member["tier"], "to_tier": to}
                | {"reason": reason.value, "until": until, "at": uow.now}
            )
            if to != member["tier"]:
                uow.record_audit(
                    "loyalty_member", member["id"], "tier_changed", {"tier": [member["tier"], to]}
                )
                uow.publish(
                    TierChanged(id=member["id"], from_tier=member["tier"], to_tier=to, reason=reason.value)
                )
        await uow.insert_many(TierChange, rows)

    def _until(self, tier: Tier) -> date:
        """The last day of the period that begins on the day a tier is reached."""
        if tier.period == TierPeriod.CALENDAR_YEAR:
            return date(self._today.year, 12, 31)
        return add_months(self._today, tier.period_months or 0)


def _position(programme: ProgrammeRules, key: str | None) -> int:
    tier = programme.tier(key)
    return -1 if tier is None else tier.position


def _first_day(tier: Tier, last: date) -> date:
    """The first day that counts towards a tier on a day."""
    if tier.period == TierPeriod.CALENDAR_YEAR:
        return date(last.year, 1, 1)
    return add_months(last, -(tier.period_months or 0)) + timedelta(days=1)


_MEMBERS = """
SELECT id, programme_id, tier, tier_until FROM membership.loyalty_members
WHERE tenant_id = $1 AND id = ANY($2::uuid[])"""
_ENDED = """
SELECT m.id, m.programme_id, m.tier, m.tier_until FROM membership.loyalty_members m
LEFT JOIN membership.tiers t ON t.tenant_id = m.tenant_id AND t.programme_id = m.programme_id AND t.key = m.tier
WHERE m.tenant_id = $1 AND m.deleted_at IS NULL AND m.tier IS NOT NULL AND m.tier_until < $2
  AND m.tier_until + coalesce(t.grace_days, 0)::int < $2
ORDER BY m.id LIMIT $3 FOR UPDATE OF m SKIP LOCKED"""
_MEASURES = """
SELECT w.member_id, w.tier_id, coalesce(sum(e.amount - e.amount_returned), 0)::bigint AS amount,
  coalesce(sum(e.qualifying - e.qualifying_reversed), 0)::bigint AS points,
  coalesce(sum(e.visits), 0)::bigint AS visits
FROM unnest($2::uuid[], $3::uuid[], $4::date[], $5::date[]) AS w(member_id, tier_id, first_day, last_day)
LEFT JOIN membership.earnings e ON e.tenant_id = $1 AND e.member_id = w.member_id
  AND e.earned_on BETWEEN w.first_day AND w.last_day
GROUP BY w.member_id, w.tier_id"""
_WRITE = """
UPDATE membership.loyalty_members m SET tier = n.tier, tier_until = n.until,
  tier_since = CASE WHEN n.tier IS NULL THEN NULL WHEN m.tier IS NOT DISTINCT FROM n.tier THEN m.tier_since
    ELSE $5 END,
  version = m.version + 1, updated_at = $6
FROM unnest($2::uuid[], $3::text[], $4::date[]) AS n(id, tier, until)
WHERE m.tenant_id = $1 AND m.id = n.id"""
