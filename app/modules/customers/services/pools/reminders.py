"""Warning owners before their records are recycled: an event for each record, one task for each owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.customers.models import Pool
from app.modules.customers.services.pools.desk import Desk
from app.tenants.interface import Members

_ABOUT = 20  # as many records as an activity may be about
_NOUNS = {"account": ("accounts", "个客户"), "lead": ("leads", "条线索")}


@dataclass(frozen=True, slots=True)
class Reminder:
    """A record that will be recycled at `due_at`."""

    record_id: UUID
    owner_id: UUID
    title: str
    rule: str
    due_at: datetime


class Reminders:
    """Sends each reminder once; another follows only after the record's clock has started anew."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.desk = Desk(uow)

    async def send(self, pool: Pool, reminders: Sequence[Reminder]) -> int:
        """Note, tell and give tasks; the number of records whose owners were reminded."""
        rows = await self.uow.fetch(
            f"UPDATE {self.desk.record(pool.object).table} t SET recycle_reminded_at = $4"
            " FROM unnest($2::uuid[], $3::uuid[]) AS r(id, owner_id)"
            " WHERE t.tenant_id = $1 AND t.id = r.id AND t.owner_id = r.owner_id RETURNING t.id",
            self.uow.tenant_id,
            [reminder.record_id for reminder in reminders],
            [reminder.owner_id for reminder in reminders],
            self.uow.now,
        )
        noted = {row["id"] for row in rows}
        told = [reminder for reminder in reminders if reminder.record_id in noted]
        event = self.desk.kind(pool.object).reminded
        for reminder in told:
            self.uow.publish(
                event(
                    id=reminder.record_id,
                    pool_id=pool.id,
                    owner_id=reminder.owner_id,
                    rule=reminder.rule,
                    due_at=reminder.due_at,
                )
            )
        await self._give_tasks(pool, told)
        return len(told)

    async def _give_tasks(self, pool: Pool, told: Sequence[Reminder]) -> None:
        by_owner: dict[UUID, list[Reminder]] = {}
        for reminder in sorted(told, key=lambda one: (one.due_at, one.record_id)):
            by_owner.setdefault(reminder.owner_id, []).append(reminder)
        members = await self.uow.of(Members).get_many(by_owner)
        for owner, theirs in by_owner.items():
            if owner not in members or not members[owner].active:
                continue
            await self.uow.of(Activities).add_task(
                [Subject(pool.object, one.record_id) for one in theirs[:_ABOUT]],
                self._subject(pool, theirs),
                owner_id=owner,
                due_at=theirs[0].due_at,
                body="\n".join(f"{one.title} · {one.due_at:%Y-%m-%d}" for one in theirs[:200]),
            )

    def _subject(self, pool: Pool, theirs: Sequence[Reminder]) -> str:
        """In the company's language."""
        count, (en, zh) = len(theirs), _NOUNS[pool.object]
        day = self.uow.actor.tenant.day_of(theirs[0].due_at)
        if self.uow.actor.tenant.language == "zh":
            return f"{count} {zh}将从 {day} 起回收到公海「{(pool.name_zh or pool.name_en)[:100]}」"
        noun = en if count > 1 else en.removesuffix("s")
        return f"{count} {noun} will go back to the pool “{pool.name_en[:100]}” from {day} on"
