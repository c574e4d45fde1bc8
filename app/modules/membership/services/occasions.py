"""Birthdays and anniversaries: when they are where the member is, and what they bring, once in a year for ever.

What was given in a year is kept for ever: whatever happens to clocks, birthdays and schedules, it is given once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.ids import new_id
from app.kernel.log_pages import NEWEST, select_page
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import BenefitGranted
from app.modules.membership.models.rewards import BenefitGrant, Occasion
from app.modules.membership.schemas.rewards import BenefitGrantPage, BenefitGrantRead, OccasionRule
from app.modules.membership.services.days import candidates, due_day
from app.modules.membership.services.granting import Gift, Granting
from app.modules.membership.services.programmes import ProgrammeRules
from app.modules.membership.services.rewards import read_rewards, stored_rewards


class Occasions:
    """Grants what has fallen due."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def grant(
        self, programme: ProgrammeRules, rule: OccasionRule, *, after: UUID | None, limit: int
    ) -> UUID | None:
        """To the next `limit` members in the order of their ids; the last one looked at, None at the end."""
        uow = self._uow
        days, years = candidates(uow.now, rule.catch_up_days)
        column = "birthday" if rule.occasion is Occasion.BIRTHDAY else "since"
        rows = await uow.fetch(
            _CANDIDATES.format(column=column),
            uow.tenant_id,
            programme.row.id,
            days,
            years,
            rule.occasion.value,
            after,
            limit,
        )
        due = {row["id"]: day for row in rows if (day := self._due(row, rule)) is not None}
        await self._give(programme, rule, due)
        return rows[-1]["id"] if len(rows) == limit else None

    def _due(self, row: Any, rule: OccasionRule) -> date | None:
        zone = ZoneInfo(row["time_zone"]) if row["time_zone"] else self._uow.actor.tenant.zone
        return due_day(
            row["of"],
            now=self._uow.now,
            zone=zone,
            catch_up_days=rule.catch_up_days,
            occasion=rule.occasion,
            since=row["since"],
        )

    async def _give(self, programme: ProgrammeRules, rule: OccasionRule, due: Mapping[UUID, date]) -> None:
        if not due:
            return
        uow, ids = self._uow, sorted(due)
        new = await uow.fetch(
            _GRANT,
            uow.tenant_id,
            [new_id() for _ in ids],
            ids,
            [due[id] for id in ids],
            rule.occasion.value,
            [one.model_dump(mode="json") for one in rule.rewards],
            uow.now,
        )
        gifts = [
            Gift(
                row["member_id"],
                programme,
                tuple(rule.rewards),
                f"{rule.occasion}:{row['member_id']}:{row['day'].year}",
                rule.occasion.value,
            )
            for row in new
        ]
        await Granting(uow).give(gifts)
        rewards = [one.model_dump(mode="json") for one in read_rewards(rule.rewards)]
        for row in new:
            uow.publish(
                BenefitGranted(
                    id=row["member_id"], occasion=rule.occasion.value, day=row["day"], rewards=rewards
                )
            )


async def benefits_of(
    uow: UnitOfWork, member_id: UUID, *, limit: int, cursor: str | None
) -> BenefitGrantPage:
    """What a member got, newest first. Raises `InvalidCursor`."""
    granted = uow.select(BenefitGrant).where(BenefitGrant.member_id == member_id)
    name = f"benefit_grants:{member_id}"
    found = await select_page(uow, granted, NEWEST, name=name, limit=limit, cursor=cursor)
    return BenefitGrantPage(
        data=[
            BenefitGrantRead(
                id=row.id,
                occasion=Occasion(row.occasion),
                year=row.year,
                day=row.day,
                rewards=read_rewards(stored_rewards(row.rewards)),
                granted_at=row.granted_at,
            )
            for row in found.rows
        ],
        **found.onward,
    )


_CANDIDATES: Final = """
SELECT m.id, m.{column} AS of, m.since, m.time_zone
FROM unnest($3::date[], $4::bigint[]) AS c(day, year)
JOIN membership.loyalty_members m ON m.tenant_id = $1 AND m.{column} = c.day
WHERE m.programme_id = $2 AND m.deleted_at IS NULL AND m.status = 'active' AND ($6::uuid IS NULL OR m.id > $6)
  AND NOT EXISTS (SELECT 1 FROM membership.benefit_grants g
    WHERE g.tenant_id = $1 AND g.member_id = m.id AND g.occasion = $5 AND g.year = c.year)
ORDER BY m.id LIMIT $7"""
_GRANT: Final = """
INSERT INTO membership.benefit_grants (tenant_id, id, member_id, occasion, year, day, rewards, granted_at)
SELECT $1, n.id, n.member_id, $5, extract(year FROM n.day)::bigint, n.day, $6, $7
FROM unnest($2::uuid[], $3::uuid[], $4::date[]) AS n(id, member_id, day)
ON CONFLICT (tenant_id, member_id, occasion, year) DO NOTHING RETURNING member_id, day"""
