"""The clocks of a case: started, held, met and measured anew with the case whose row is held.

Every step answers with the columns of the case that follow from its clocks, to be written with the step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseStatus, SlaBreached
from app.modules.after_sales.models.cases import Case, SlaTarget
from app.modules.after_sales.models.sla import CaseClock
from app.modules.after_sales.services.sla.book import SlaBook
from app.modules.after_sales.services.sla.engine import earliest
from app.modules.after_sales.services.sla.standing import COLUMNS, Pledge, Standing, newest_first

FIRST, NEXT, RESOLUTION = SlaTarget.FIRST_RESPONSE, SlaTarget.NEXT_RESPONSE, SlaTarget.RESOLUTION
Columns = dict[str, Any]


class CaseClocks:
    """The clocks of cases that are held by this transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.book = SlaBook(uow)
        self._begun: list[Standing] = []

    # -- a new case ----------------------------------------------------------------------------------------

    async def opening(self, values: Mapping[str, Any]) -> Columns:
        """The clocks of a case that is about to be stored; `opened` stores them."""
        [pledges] = await self.book.pledges([values])
        self._begun = [
            Standing.begin(new_id(), values["id"], target.value, pledges[target], values["opened_at"])
            for target in (FIRST, RESOLUTION)
            if target in pledges
        ]
        for clock in self._begun:
            answered = values["first_response_at"] if clock.target == FIRST else None
            met = min((at for at in (answered, values["resolved_at"]) if at is not None), default=None)
            if met is not None:
                self._end_then(clock, pledges[SlaTarget(clock.target)], met)
        return shown(self._begun)

    def _end_then(self, clock: Standing, pledge: Pledge, met: datetime) -> None:
        """A promise of the past: kept or missed, and nobody is warned of it."""
        clock.fail_if_late(pledge.calendar, (), met)
        clock.end(pledge.calendar, pledge.warn_percent, met)

    async def opened(self) -> list[Columns]:
        """Store the clocks of the case that is stored, together with it; as a case answers them."""
        begun, self._begun = self._begun, []
        await self._uow.insert_many_last(CaseClock, [clock.stored() for clock in begun])
        return [clock.told() for clock in newest_first(begun)]

    async def importing(self, many: Sequence[dict[str, Any]]) -> None:
        """Clocks of cases that are brought in, which are filled in: of what is over none, of the rest from now on."""
        for values in many:
            values |= shown([])
        alive = [values for values in many if values.get("resolved_at") is None]
        for values, pledges in zip(alive, await self.book.pledges(alive), strict=True):
            answered = values.get("first_response_at") is not None
            begun = [
                Standing.begin(new_id(), values["id"], target.value, pledges[target], self._uow.now)
                for target in (FIRST, RESOLUTION)
                if target in pledges and not (answered and target is FIRST)
            ]
            values |= shown(begun)
            self._begun += begun

    async def imported(self, case_ids: Collection[UUID]) -> None:
        """Store the clocks of those cases that have been stored."""
        begun, self._begun = [one for one in self._begun if one.case_id in case_ids], []
        if begun:
            await store(self._uow, begun)

    # -- what happens to it ----------------------------------------------------------------------------------

    async def held(self, row: Case) -> Columns:
        """It is the customer's turn: nothing runs."""
        clocks = await self._open(row)
        for clock in clocks:
            clock.pause(self._uow.now)
        return await self._write(row, clocks)

    async def resumed(self, row: Case) -> Columns:
        """It is our turn again: everything goes on."""
        clocks = await self._open(row)
        for clock in clocks:
            pledge = await self._behind(clock)
            clock.resume(pledge.calendar, pledge.warn_percent, self._uow.now)
        return await self._write(row, clocks)

    async def answered(self, row: Case) -> Columns:
        """The customer got an answer: what was promised about that is met."""
        return await self._met(row, (FIRST, NEXT))

    async def asked(self, row: Case) -> Columns:
        """The customer wrote: what was held goes on, and from here on they wait for an answer.

        While the first answer is awaited, or the one to what they wrote before, that clock is the one that counts.
        """
        clocks = await self._open(row)
        for clock in clocks:
            pledge = await self._behind(clock)
            clock.resume(pledge.calendar, pledge.warn_percent, self._uow.now)
        waits = any(clock.target in (FIRST, NEXT) for clock in clocks)
        if not waits:
            [pledges] = await self.book.pledges([row.__dict__])
            if NEXT in pledges:
                clocks.append(Standing.begin(new_id(), row.id, NEXT.value, pledges[NEXT], self._uow.now))
        return await self._write(row, clocks)

    async def solved(self, row: Case) -> Columns:
        """Everything that was promised is met."""
        return await self._met(row, (FIRST, NEXT, RESOLUTION))

    async def reopened(self, row: Case) -> Columns:
        """It was not solved: that promise goes on where it stopped."""
        found = await self._uow.fetchrow(_LAST_RESOLUTION, self._uow.tenant_id, row.id)
        if found is None:
            return {}
        clock = Standing.of(dict(found))
        pledge = await self._behind(clock)
        clock.reopen(pledge.calendar, pledge.warn_percent, self._uow.now)
        return await self._write(row, [clock])

    async def repledged(self, row: Case, values: Mapping[str, Any]) -> Columns:
        """The case is told otherwise, and other promises may hold for it as `values` will have it."""
        [pledges] = await self.book.pledges([values])
        clocks = await self._open(row, failing=False)
        kept = [clock for clock in clocks if clock.breached_at is not None or clock.target in pledges]
        for clock in kept:
            if clock.target in pledges:
                clock.repledge(pledges[SlaTarget(clock.target)])
        known = {clock.target for clock in clocks}
        for target in (FIRST, RESOLUTION):
            late = target is FIRST and row.first_response_at is not None
            if target in pledges and target not in known and not late:
                kept.append(self._begin_late(row, target, pledges[target]))
        await self._drop([clock.id for clock in clocks if clock not in kept])
        return await self._write(row, kept)

    def _begin_late(self, row: Case, target: SlaTarget, pledge: Pledge) -> Standing:
        clock = Standing.begin(new_id(), row.id, target.value, pledge, row.opened_at)
        if row.status == CaseStatus.PENDING_CUSTOMER:
            clock.pause(self._uow.now)
        return clock

    # -- rows ------------------------------------------------------------------------------------------------

    async def _met(self, row: Case, targets: Sequence[SlaTarget]) -> Columns:
        clocks = await self._open(row)
        for clock in clocks:
            if clock.target in targets:
                pledge = await self._behind(clock)
                clock.end(pledge.calendar, pledge.warn_percent, self._uow.now)
        return await self._write(row, clocks)

    async def _open(self, row: Case, *, failing: bool = True) -> list[Standing]:
        """The clocks that have not ended; those whose deadline has passed fail before anything else happens."""
        rows = await self._uow.fetch(_OPEN, self._uow.tenant_id, row.id)
        clocks = [Standing.of(dict(found)) for found in rows]
        for clock in clocks if failing else ():
            pledge = await self._behind(clock)
            if clock.fail_if_late(pledge.calendar, pledge.chain, self._uow.now):
                self._uow.publish(breach(clock, row.owner_id))
        return clocks

    async def _behind(self, clock: Standing) -> Pledge:
        return await self.book.behind(clock.policy_id, clock.calendar_id)

    async def _write(self, row: Case, clocks: Sequence[Standing]) -> Columns:
        if clocks:
            await store(self._uow, clocks)
        columns = shown(clocks)
        columns["sla_failed"] = row.sla_failed or columns["sla_failed"]
        return columns

    async def _drop(self, ids: Sequence[UUID]) -> None:
        if ids:
            await self._uow.fetch(
                "DELETE FROM after_sales.case_clocks WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
                self._uow.tenant_id,
                list(ids),
            )


def shown(clocks: Sequence[Standing]) -> Columns:
    """What a case says of its clocks: the earliest deadline that runs, and whether one was missed."""
    due_at, target = earliest((c.due_at, c.target) for c in clocks if c.runs and c.due_at is not None)
    failed = any(clock.breached_at is not None for clock in clocks)
    return {"due_at": due_at, "due_target": target, "sla_failed": failed}


def breach(clock: Standing, owner_id: UUID | None) -> SlaBreached:
    """The event of a missed deadline."""
    assert clock.breached_at is not None  # noqa: S101 - it has just failed
    return SlaBreached(id=clock.case_id, target=clock.target, due_at=clock.breached_at, owner_id=owner_id)


async def store(uow: UnitOfWork, clocks: Sequence[Standing]) -> None:
    """Write clocks as they stand, new ones too, in one statement."""
    rows = [{"tenant_id": uow.tenant_id, **clock.stored()} for clock in clocks]
    await uow.fetch(_STORE, rows)


_CHANGING: Final = [name for name in COLUMNS if name not in ("id", "case_id", "target", "started_at")]
_STORE: Final = (
    "INSERT INTO after_sales.case_clocks AS k"
    " SELECT * FROM jsonb_populate_recordset(NULL::after_sales.case_clocks, $1::jsonb)"
    " ON CONFLICT (tenant_id, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CHANGING)
    + f" WHERE ({', '.join(f'k.{name}' for name in _CHANGING)})"
    f" IS DISTINCT FROM ({', '.join(f'excluded.{name}' for name in _CHANGING)})"
)
_OPEN: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM after_sales.case_clocks"
    " WHERE tenant_id = $1 AND case_id = $2 AND ended_at IS NULL ORDER BY id"
)
_LAST_RESOLUTION: Final = (
    f"SELECT {', '.join(COLUMNS)} FROM after_sales.case_clocks WHERE tenant_id = $1 AND case_id = $2"
    " AND target = 'resolution' AND ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT 1"
)
