"""Members with very many lots: what moves their points reads those it needs, and moves what reading all would."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import InsufficientPoints
from app.modules.membership.services import ledger as ledgers
from app.modules.membership.services.holdings import Holding, Lot, Posting
from app.modules.membership.services.ledger import Ledger
from tests.modules.membership.points import adds_up, again, balances, delivered, enrol, gave_back, programme
from tests.modules.support import acting
from tests.support.api import Company

Json = dict[str, Any]


@pytest.fixture
async def member(company: Company, account: Json) -> Json:
    return await enrol(company.owner, await programme(company.owner), account)


async def given(company: Company, member: Json, lots: int, points: int) -> None:
    """So many lots, each of which expires a day later than the one before."""
    async with acting(company) as uow:
        ledger = Ledger(uow)
        holding = (await ledger.hold([UUID(member["id"])]))[UUID(member["id"])]
        posting = ledger.post("adjust", holding, new_id())
        for place in range(lots):
            holding.credit(
                posting,
                points,
                day=ledger.today,
                today=ledger.today,
                expires_on=ledger.today + timedelta(days=400 + place),
            )
        await ledger.close()


async def remaining(company: Company, member: Json) -> list[int]:
    """Of each lot, in the order of spending."""
    async with acting(company) as uow:
        rows = await uow.fetch(
            "SELECT remaining FROM membership.lots WHERE tenant_id = $1 AND member_id = $2"
            " ORDER BY expires_on, earned_on, id",
            uow.tenant_id,
            UUID(member["id"]),
        )
    return [row["remaining"] for row in rows]


async def test_a_burn_reads_the_lots_that_it_takes_and_no_others(company: Company, member: Json) -> None:
    await given(company, member, 1_000, 10)
    id = UUID(member["id"])
    async with acting(company) as uow:
        ledger = Ledger(uow)
        holding = (await ledger.hold([id]))[id]
        assert (holding.points, holding.lots) == (10_000, [])
        await ledger.reach({id: 25})
        assert len(holding.lots) == ledgers.FIRST_LOTS
        await ledger.reach({id: 1_000})
        assert len(holding.lots) == 8 * ledgers.FIRST_LOTS
    made = await company.owner.ok("POST", f"/v1/loyalty-members/{id}/burns", json={"points": 1_005})
    assert made["points"] == 1_005
    assert await remaining(company, member) == [0] * 100 + [5] + [10] * 899
    assert await balances(company.owner, member) == (8_995, 0, 0, 0)
    refused = await company.owner.post(f"/v1/loyalty-members/{id}/burns", {"points": 8_996})
    assert (refused.json()["code"], refused.json()["available"]) == ("insufficient_points", 8_995)
    assert await remaining(company, member) == [0] * 100 + [5] + [10] * 899
    await company.owner.ok("POST", f"/v1/loyalty-members/{id}/burns", json={"points": 8_995})
    assert set(await remaining(company, member)) == {0}
    await adds_up(company)


async def test_lots_that_were_spent_in_memory_are_passed_over(company: Company, member: Json) -> None:
    await given(company, member, 100, 1)
    id = UUID(member["id"])
    async with acting(company) as uow:
        ledger = Ledger(uow)
        holding = (await ledger.hold([id]))[id]
        posting = ledger.post("adjust", holding, new_id())
        for points in (20, 20, 60):  # nothing is written in between
            await ledger.reach({id: points})
            holding.burn(posting, points, reserve=False)
        await ledger.reach({id: 1})  # there is nothing left
        assert (holding.points, len(holding.lots)) == (0, 100)
        await ledger.close()
    assert await remaining(company, member) == [0] * 100


async def test_what_is_taken_back_comes_out_of_other_lots_once_its_own_is_spent(
    company: Company, account: Json, member: Json
) -> None:
    order = await delivered(company, account)  # a hundred points, which never expire: they are spent last
    await given(company, member, 50, 10)
    await company.owner.ok("POST", f"/v1/loyalty-members/{member['id']}/burns", json={"points": 550})
    await given(company, member, 40, 2)
    await gave_back(company, order, (0, "1"))
    # Of its own lot 50 are left; the other 50 come out of lots of two, the first to expire before the rest.
    assert await balances(company.owner, member) == (30, 0, 0, 0)
    assert sum(await remaining(company, member)) == 30
    assert (await again(company.owner, member))["points"] == 30
    await adds_up(company)


def test_no_lot_is_spent_before_those_ahead_of_it_were_read() -> None:
    holding = Holding(new_id(), UUID(int=1), points=20, whole=False)
    holding.lots = [Lot(new_id(), None, date(2026, 1, 1), None, None, 10, 10)]
    with pytest.raises(RuntimeError, match="were not read"):
        holding.take(5)


@pytest.mark.parametrize("seed", range(6))
async def test_reading_some_lots_moves_points_as_reading_all_of_them_does(
    company: Company, member: Json, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(ledgers, "FIRST_LOTS", 2)
    random, id = Random(seed), UUID(member["id"])
    both = _Both(Holding(id, new_id()), [])
    async with acting(company) as uow:
        today = Ledger(uow).today
        for _ in range(40):
            today += timedelta(days=random.choice((0, 0, 0, 1, 6)))
            ledger = Ledger(uow)
            ledger.today = today
            real = (await ledger.hold([id]))[id]
            posting = ledger.post("adjust", real, new_id())
            aside = Posting(new_id(), both.whole.programme_id, "x", "x")
            both.whole.mature(aside, today)
            both.whole.expire(aside, today)
            await both.step(random, ledger, real, (posting, aside))
            await ledger.close()
            assert _balances(real) == _balances(both.whole)
        assert await _rows(uow, id) == [(one.expires_on, one.remaining) for one in both.whole.lots]


class _Both:
    """A holding whose lots are all in memory, and which of the database's lots is which of its own."""

    def __init__(self, whole: Holding, ids: list[UUID]) -> None:
        self.whole, self.ids = whole, ids

    async def step(
        self, random: Random, ledger: Ledger, real: Holding, postings: tuple[Posting, Posting]
    ) -> None:
        match random.choice(("earn", "earn", "earn", "burn", "reverse")):
            case "earn":
                self._earn(random, ledger.today, real, postings)
            case "burn":
                points = random.randint(1, 30)
                await ledger.reach({real.member_id: points} if points <= real.points else {})
                assert _refuses(real, postings[0], points) == _refuses(self.whole, postings[1], points)
            case "reverse" if self.ids:
                place = random.randrange(len(self.ids))
                own = self.whole.lots[place]
                points = min(random.randint(1, 9), own.points - own.reversed - own.expired)
                if points > 0:
                    await ledger.also(lot_ids=[self.ids[place]])
                    await ledger.reach({real.member_id: points})
                    lot = next(one for one in real.lots if one.id == self.ids[place])
                    assert real.reverse(postings[0], lot, points) == self.whole.reverse(
                        postings[1], own, points
                    )

    def _earn(self, random: Random, today: date, real: Holding, postings: tuple[Posting, Posting]) -> None:
        matures, expires = random.choice((None, None, 3)), random.choice((None, 2, 9, 30))
        points = random.randint(1, 9)
        for holding, posting in zip((real, self.whole), postings, strict=True):
            holding.credit(
                posting,
                points,
                day=today,
                today=today,
                matures_on=None if matures is None else today + timedelta(days=matures),
                expires_on=None if expires is None else today + timedelta(days=expires),
            )
        self.ids.append(real.lots[-1].id)


def _refuses(holding: Holding, posting: Posting, points: int) -> bool:
    try:
        holding.burn(posting, points, reserve=False)
    except InsufficientPoints:
        return True
    return False


def _balances(holding: Holding) -> tuple[int, int, int]:
    return holding.points, holding.pending, holding.debt


async def _rows(uow: UnitOfWork, member_id: UUID) -> list[tuple[date | None, int]]:
    rows = await uow.fetch(
        "SELECT expires_on, remaining FROM membership.lots WHERE tenant_id = $1 AND member_id = $2 ORDER BY id",
        uow.tenant_id,
        member_id,
    )
    return [(row["expires_on"], row["remaining"]) for row in rows]
