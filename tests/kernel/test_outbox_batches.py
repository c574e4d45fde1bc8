"""Reactions that take many events at once: once in effect, in order of each record, and none kept by another's fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from app.kernel import outbox
from app.kernel.ids import new_id
from app.kernel.outbox import Relay
from app.kernel.registry import Module, Subscription
from app.kernel.uow import UnitOfWork
from tests.kernel.test_outbox import LampSwitched, Switched, note, noticed, running, state, switch
from tests.support.events import company_actor

Many = Callable[[UnitOfWork, Sequence[Switched]], Awaitable[None]]


def lamps(many: Many) -> Module:
    """One reaction takes many events, another one each."""
    return Module(
        name="lamps",
        subscriptions=[
            Subscription(LampSwitched.type, Switched, many, "lamps.many", batch=True),
            Subscription(LampSwitched.type, Switched, _each, "lamps.each"),
        ],
    )


async def _each(uow: UnitOfWork, event: Switched) -> None:
    await note(uow, event.model_copy(update={"number": -event.number}))


class _Noting:
    """Notes what it is given; how many it was given, each time."""

    def __init__(self, broken: int | None = None) -> None:
        self.sizes: list[tuple[UUID, str, int]] = []
        self.broken = broken

    async def __call__(self, uow: UnitOfWork, events: Sequence[Switched]) -> None:
        self.sizes.append((uow.tenant_id, uow.request_id, len(events)))
        for event in events:
            await note(uow, event)
            if event.number == self.broken:
                raise RuntimeError("the bulb is gone")


async def test_events_of_a_company_are_handled_together_and_those_of_a_record_in_order(own_database):
    many = _Noting()
    async with running(own_database, lamps(many)) as kernel:
        actor, other = company_actor(), company_actor()
        lamp = new_id()
        await switch(kernel, actor, lamp, 1)
        for number in (2, 3):
            await switch(kernel, actor, new_id(), number)
        await switch(kernel, actor, lamp, 4)
        await switch(kernel, other, new_id(), 5)
        assert await Relay(kernel).run_once() == 5
        assert await Relay(kernel).run_once() == 0
        # The lamp's second event comes after its first; a request's id is kept where there is one.
        assert many.sizes[0] == (actor.tenant_id, "", 3)
        assert sorted(many.sizes[1:]) == sorted(
            [(other.tenant_id, "request-5", 1), (actor.tenant_id, "request-4", 1)]
        )
        assert sorted(await noticed(kernel, actor)) == [-4, -3, -2, -1, 1, 2, 3, 4]
        assert sorted(await noticed(kernel, other)) == [-5, 5]


async def test_one_that_fails_keeps_none_of_the_others(own_database):
    many = _Noting(broken=2)
    async with running(own_database, lamps(many)) as kernel:
        actor = company_actor()
        for number in (1, 2, 3):
            await switch(kernel, actor, new_id(), number)
        await Relay(kernel).run_once()
        assert [size for _, _, size in many.sizes] == [3, 1, 1, 1]
        assert sorted(await noticed(kernel, actor)) == [-3, -2, -1, 1, 3]
        assert [published for _, published, _, _ in await state(kernel, actor)] == [True, False, True]
        # What failed comes again alone, and drags no newer ones along.
        for number in (4, 5):
            await switch(kernel, actor, new_id(), number)
        kernel.clock.advance(timedelta(seconds=outbox.RETRY_AFTER[0]))
        await Relay(kernel).run_once()
        assert [size for _, _, size in many.sizes[4:]] == [2, 1]
        many.broken = None
        kernel.clock.advance(timedelta(seconds=outbox.RETRY_AFTER[1]))
        await Relay(kernel).run_once()
        assert sorted(await noticed(kernel, actor)) == [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]


async def test_a_batch_handed_out_twice_takes_effect_once(own_database):
    many = _Noting()
    async with running(own_database, lamps(many)) as kernel:
        actor = company_actor()
        for number in range(1, 21):
            await switch(kernel, actor, new_id(), number)
        first = (await Relay(kernel)._claim()).loud
        kernel.clock.advance(outbox.LEASE + timedelta(seconds=1))
        for number in (21, 22):
            await switch(kernel, actor, new_id(), number)

        async def late() -> None:
            relay = Relay(kernel)
            await relay._at_once(first)
            await asyncio.gather(*(relay._in_order([event]) for event in first))

        await asyncio.gather(late(), Relay(kernel).run_once())
        assert sorted(await noticed(kernel, actor)) == sorted([*range(-22, 0), *range(1, 23)])
