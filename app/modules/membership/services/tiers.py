"""Tiers: reached at once, kept to the end of the period and its grace, then looked at again.

A tier that was reached on a day is kept until the calendar year ends, or for as many months as its rolling period
has. When that and the grace are over, what the member did in the period decides: of a calendar year the one that
ended, or the one that runs if that is more; of a rolling period the months until that day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import TierChanged
from app.modules.membership.models.programmes import QualifyBy, Tier, TierChange, TierPeriod, TierReason
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

    async def rising(self, member_ids: Collection[UUID]) -> Rising:
        """What held members have come to, to go on from in memory. Four statements at most."""
        members = await self._members(member_ids)
        programmes = await self._programmes(members)
        tiers = [tier for programme in programmes.values() for tier in programme.tiers]
        days = {row["id"]: self._today for row in members}
        measures = await self._measures(members, tiers, days)
        return Rising(self, self._today, members, programmes, measures)

    async def _best(
        self,
        ids: Collection[UUID],
        programmes: Mapping[UUID, ProgrammeRules],
        *,
        calendar_days: Mapping[UUID, date] | None = None,
    ) -> dict[UUID, Tier]:
        """The highest tier whose threshold each member has come to; of calendar years those of `calendar_days`.

        Two statements.
        """
        tiers = {
            tier.id: tier
            for programme in programmes.values()
            for tier in programme.tiers
            if calendar_days is None or tier.period == TierPeriod.CALENDAR_YEAR
        }
        if not tiers or not ids:
            return {}
        members = await self._members(ids)
        days = calendar_days or {row["id"]: self._today for row in members}
        measures = await self._measures(members, list(tiers.values()), days)
        found: dict[UUID, Tier] = {}
        for (member_id, tier_id), measure in measures.items():
            tier, known = tiers[tier_id], found.get(member_id)
            if measure[tier.qualify_by] >= tier.threshold and (
                known is None or known.position < tier.position
            ):
                found[member_id] = tier
        return found

    async def _measures(
        self, members: Iterable[Any], tiers: Sequence[Tier], days: Mapping[UUID, date]
    ) -> dict[tuple[UUID, UUID], dict[str, int]]:
        """What counts towards each tier of members in the period that ends on a day, by member and tier."""
        ids, wanted, starts, ends = [], [], [], []
        for row in members:
            for tier in tiers:
                if tier.programme_id == row["programme_id"]:
                    last = days[row["id"]]
                    ids.append(row["id"])
                    wanted.append(tier.id)
                    starts.append(_first_day(tier, last))
                    ends.append(last)
        if not ids:
            return {}
        rows = await self._uow.fetch(_MEASURES, self._uow.tenant_id, ids, wanted, starts, ends)
        names = (QualifyBy.AMOUNT.value, QualifyBy.POINTS.value, QualifyBy.VISITS.value)
        return {(row["member_id"], row["tier_id"]): {name: row[name] for name in names} for row in rows}

    async def _write(self, changes: list[_Change]) -> None:
        for change in changes:
            self.tell(change)
        await self.store(changes)

    def tell(self, change: _Change) -> None:
        """Log and publish a change, if it is one."""
        member, tier, reason = change
        to = None if tier is None else tier.key
        if to != member["tier"]:
            self._uow.record_audit(
                "loyalty_member", member["id"], "tier_changed", {"tier": [member["tier"], to]}
            )
            self._uow.publish(
                TierChanged(id=member["id"], from_tier=member["tier"], to_tier=to, reason=reason.value)
            )

    async def store(self, changes: Sequence[_Change]) -> None:
        """Write changes and their history. Of several changes of a member the last one stays. Two statements."""
        if not changes:
            return
        uow = self._uow
        steps = Counter(member["id"] for member, _, _ in changes)
        last = {member["id"]: tier for member, tier, _ in changes}
        await uow.fetch(
            _WRITE,
            uow.tenant_id,
            list(last),
            [None if tier is None else tier.key for tier in last.values()],
            [None if tier is None else self._until(tier) for tier in last.values()],
            self._today,
            uow.now,
            [steps[id] for id in last],
        )
        rows = [
            {
                "member_id": member["id"],
                "from_tier": member["tier"],
                "to_tier": None if tier is None else tier.key,
                "reason": reason.value,
                "until": None if tier is None else self._until(tier),
                "at": uow.now,
            }
            for member, tier, reason in changes
        ]
        await uow.insert_many(TierChange, rows)

    def _until(self, tier: Tier) -> date:
        """The last day of the period that begins on the day a tier is reached."""
        if tier.period == TierPeriod.CALENDAR_YEAR:
            return date(self._today.year, 12, 31)
        return add_months(self._today, tier.period_months or 0)


class Rising:
    """Held members on their way up, in memory: what counts towards their tiers grows, and they rise at once."""

    def __init__(
        self,
        service: TierService,
        today: date,
        members: Iterable[Any],
        programmes: Mapping[UUID, ProgrammeRules],
        measures: dict[tuple[UUID, UUID], dict[str, int]],
    ) -> None:
        self._service = service
        self._today = today
        self._members = {row["id"]: dict(row) for row in members}
        self._programmes = programmes
        self._measures = measures
        self._changes: list[_Change] = []

    def programme(self, member_id: UUID) -> ProgrammeRules:
        return self._programmes[self._members[member_id]["programme_id"]]

    def multiplier(self, member_id: UUID) -> Decimal:
        """By what the member's tier multiplies points."""
        tier = self.programme(member_id).tier(self._members[member_id]["tier"])
        return Decimal(1) if tier is None else tier.multiplier

    def add(self, member_id: UUID, earned: Mapping[str, int], day: date) -> None:
        """What the member earned on a day, by what tiers are measured by: it may raise them."""
        member, programme = self._members[member_id], self.programme(member_id)
        reached: Tier | None = None
        for tier in programme.tiers:
            measure = self._measures[member_id, tier.id]
            if _first_day(tier, self._today) <= day <= self._today:
                for name in measure:
                    measure[name] += earned[name]
            if measure[tier.qualify_by] >= tier.threshold:
                reached = tier
        if reached is not None and reached.position > _position(programme, member["tier"]):
            change = (member, reached, TierReason.QUALIFIED)
            self._service.tell(change)
            self._changes.append(change)
            self._members[member_id] = member | {"tier": reached.key}

    async def write(self) -> None:
        """Write who has risen."""
        await self._service.store(self._changes)
        self._changes = []


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
SELECT w.member_id, w.tier_id, e.*
FROM unnest($2::uuid[], $3::uuid[], $4::date[], $5::date[]) AS w(member_id, tier_id, first_day, last_day)
CROSS JOIN LATERAL (
  SELECT coalesce(sum(e.amount - e.amount_returned), 0)::bigint AS amount,
    coalesce(sum(e.qualifying - e.qualifying_reversed), 0)::bigint AS points,
    coalesce(sum(e.visits), 0)::bigint AS visits
  FROM membership.earnings e WHERE e.tenant_id = $1 AND e.member_id = w.member_id
    AND e.earned_on BETWEEN w.first_day AND w.last_day) e"""
_WRITE = """
UPDATE membership.loyalty_members m SET tier = n.tier, tier_until = n.until,
  tier_since = CASE WHEN n.tier IS NULL THEN NULL WHEN m.tier IS NOT DISTINCT FROM n.tier THEN m.tier_since
    ELSE $5 END,
  version = m.version + n.steps, updated_at = $6
FROM unnest($2::uuid[], $3::text[], $4::date[], $7::int[]) AS n(id, tier, until, steps)
WHERE m.tenant_id = $1 AND m.id = n.id"""
