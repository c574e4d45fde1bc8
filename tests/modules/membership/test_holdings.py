"""Random histories against a model in which every single point is an object of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.ids import new_id
from app.modules.membership.interface import InsufficientPoints
from app.modules.membership.services.holdings import RESTORED_FOR, Holding, Lot, Posting, Taken

START = date(2026, 1, 1)


@dataclass
class Point:
    """One point: where it is, and what it was earned as."""

    lot: int
    born: date
    expires: date | None
    matures: date | None = None
    state: str = "available"  # pending, available, spent, expired, taken


@dataclass
class Model:
    """A member's points, one by one. `owed` counts what a reversal could not find."""

    points: list[Point] = field(default_factory=list)
    owed: int = 0
    lots: int = 0

    def of(self, state: str) -> list[Point]:
        return [point for point in self.points if point.state == state]

    def earn(self, count: int, born: date, matures: date | None, expires: date | None) -> int:
        self.lots += 1
        made = [Point(self.lots, born, expires, matures) for _ in range(count)]
        for point in made:
            point.state = "pending" if matures is not None else "available"
        self.points += made
        if matures is None:
            self.settle(made)
        return self.lots

    def settle(self, came_in: list[Point]) -> None:
        for point in came_in:
            if self.owed:
                self.owed -= 1
                point.state = "spent"

    def day(self, today: date) -> None:
        for lot in sorted({point.lot for point in self.of("pending")}):
            due = [
                p for p in self.of("pending") if p.lot == lot and p.matures is not None and p.matures <= today
            ]
            for point in due:
                point.state = "available"
            self.settle(due)
        for point in self.of("available"):
            if point.expires is not None and point.expires < today:
                point.state = "expired"

    def spend(self, count: int) -> list[Point] | None:
        found = self.of("available")
        if len(found) < count:
            return None
        found.sort(key=lambda p: (p.expires is None, p.expires or date.min, p.born, p.lot))
        for point in found[:count]:
            point.state = "spent"
        return found[:count]

    def reverse(self, lot: int, count: int) -> None:
        own = [p for p in self.points if p.lot == lot]
        left = [p for p in own if p.state in ("pending", "available")][:count]
        for point in left:
            point.state = "taken"
        spent = [p for p in own if p.state == "spent"][: count - len(left)]
        for point in spent:
            point.state = "taken"
        got = min(len(spent), len(self.of("available")))
        self.spend(got)
        self.owed += len(spent) - got

    def balance(self) -> tuple[int, int, int]:
        return len(self.of("available")), len(self.of("pending")), self.owed


@dataclass
class Pair:
    """The real thing beside the model."""

    real: Holding = field(default_factory=lambda: Holding(new_id(), UUID(int=1)))
    model: Model = field(default_factory=Model)
    lots: dict[int, tuple[UUID, int]] = field(default_factory=dict)

    def lot(self, number: int) -> Lot:
        id, _ = self.lots[number]
        return next(lot for lot in self.real.lots if lot.earning_id == id)


Step = tuple[Any, ...]

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("earn"),
            st.integers(0, 1),
            st.integers(1, 9),
            st.sampled_from([None, 3, 10]),
            st.sampled_from([0, 4]),
        ),
        st.tuples(st.just("burn"), st.integers(0, 1), st.integers(1, 12)),
        st.tuples(st.just("return"), st.integers(0, 1), st.integers(0, 5), st.integers(1, 9)),
        st.tuples(st.just("transfer"), st.integers(0, 1), st.integers(1, 6)),
        st.tuples(st.just("adjust"), st.integers(0, 1), st.integers(-6, 6)),
        st.tuples(st.just("days"), st.integers(1, 5)),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_any_history_comes_to_what_single_points_come_to(steps: list[Step]) -> None:
    pairs, today, totals = [Pair(), Pair()], START, Counter[tuple[UUID | None, str, str]]()
    for step in steps:
        posting = Posting(new_id(), UUID(int=1), step[0], "x")
        today = take(step, pairs, posting, today)
        sums = Counter[str]()
        for (_, _, currency), points in posting.entries.items():
            sums[currency] += points
        assert not any(sums.values())
        totals.update(dict.fromkeys(posting.entries, 0))
        for key, points in posting.entries.items():
            totals[key] += points
        for pair in pairs:
            real = pair.real
            assert (real.points, real.pending, real.debt) == pair.model.balance(), step
            assert min(real.points, real.pending, real.debt) >= 0
            found = tuple(
                totals[real.member_id, account, "spendable"] for account in ("available", "pending", "debt")
            )
            assert found == (real.points, real.pending, -real.debt)
            assert sum(lot.remaining for lot in real.lots) == real.points + real.pending


def take(step: Step, pairs: list[Pair], posting: Posting, today: date) -> date:
    name, *rest = step
    numbers: list[int] = [0 if one is None else int(one) for one in rest]
    if name == "days":
        today += timedelta(days=numbers[0])
        for pair in pairs:
            pair.real.mature(posting, today)
            pair.real.expire(posting, today)
            pair.model.day(today)
        return today
    pair, other = pairs[numbers[0]], pairs[1 - numbers[0]]
    real, model = pair.real, pair.model
    if name == "earn":
        expires = None if rest[2] is None else today + timedelta(days=numbers[2])
        matures = today + timedelta(days=numbers[3]) if numbers[3] else None
        id = new_id()
        real.credit(
            posting, numbers[1], day=today, today=today, matures_on=matures, expires_on=expires, earning_id=id
        )
        pair.lots[model.earn(numbers[1], today, matures, expires)] = (id, numbers[1])
    elif name == "return" and pair.lots:
        lot = list(pair.lots)[numbers[1] % len(pair.lots)]
        id, left = pair.lots[lot]
        count = min(numbers[2], left)
        if count:
            real.reverse(posting, pair.lot(lot), count)
            model.reverse(lot, count)
            pair.lots[lot] = (id, left - count)
    elif name == "burn":
        spend(pair, numbers[1], lambda: real.burn(posting, numbers[1], reserve=False))
    elif name == "transfer":
        moved = spend(pair, numbers[1], lambda: real.transfer(posting, numbers[1], other.real, today=today))
        arrive(other.model, moved, today)
    elif name == "adjust" and numbers[1] < 0:
        spend(pair, -numbers[1], lambda: real.adjust(posting, numbers[1], today=today, expires_on=None))
    elif name == "adjust" and numbers[1] > 0:
        real.adjust(posting, numbers[1], today=today, expires_on=None)
        model.earn(numbers[1], today, None, None)
    return today


def spend(pair: Pair, points: int, act: object) -> list[Point]:
    """Both refuse, or both do it."""
    taken = pair.model.spend(points)
    try:
        act()  # type: ignore[operator]
    except InsufficientPoints:
        assert taken is None
        return []
    assert taken is not None
    return taken


def arrive(model: Model, moved: list[Point], today: date) -> None:
    for lot in dict.fromkeys(point.lot for point in moved):
        part = [point for point in moved if point.lot == lot]
        model.earn(len(part), today, None, part[0].expires)


@given(st.integers(1, 30), st.integers(0, 30), st.booleans())
def test_what_was_burned_comes_back_whole(points: int, burned: int, expired: bool) -> None:
    holding, today = Holding(new_id(), UUID(int=1)), START
    posting = Posting(new_id(), UUID(int=1), "x", "x")
    for days in (10, 20):
        holding.credit(posting, points, day=today, today=today, expires_on=today + timedelta(days=days))
    burned = min(burned, 2 * points)
    taken = holding.burn(posting, burned, reserve=False)
    if expired:
        today += timedelta(days=15)
        holding.expire(posting, today)
    left = holding.points
    holding.give_back(posting, reversed(taken), today, reserved=False)
    assert holding.points == left + burned
    late = [lot for lot in holding.lots if lot.expires_on == today + RESTORED_FOR]
    assert sum(lot.remaining for lot in late) == (min(burned, points) if expired else 0)
    assert sum(lot.remaining for lot in holding.lots) == holding.points
    assert all(lot.remaining + lot.expired + lot.reversed <= lot.points for lot in holding.lots)


def test_points_of_a_lot_that_was_reversed_come_back_as_a_lot_of_their_own() -> None:
    holding = Holding(new_id(), UUID(int=1))
    posting = Posting(new_id(), UUID(int=1), "x", "x")
    holding.credit(posting, 10, day=START, today=START, earning_id=UUID(int=7))
    (lot,) = holding.lots
    taken = holding.burn(posting, 10, reserve=False)
    assert holding.reverse(posting, lot, 10) == 10
    holding.give_back(posting, [Taken(lot, taken[0].points)], START, reserved=False)
    assert (holding.points, holding.debt, lot.remaining, lot.reversed) == (0, 0, 0, 10)
