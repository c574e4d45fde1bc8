"""Gives rewards to members, many at once: points, bonus money, coupons. A source gives once, whatever happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from app.kernel.periods import add_months
from app.kernel.uow import UnitOfWork
from app.modules.membership.interface import PointsEarned
from app.modules.membership.models.coupons import Coupon, CouponStatus
from app.modules.membership.models.wallets import WalletKind
from app.modules.membership.schemas.rewards import RewardInput, RewardKind
from app.modules.membership.services.coupons.codes import Coupons
from app.modules.membership.services.ledger import Ledger
from app.modules.membership.services.programmes import ProgrammeRules
from app.modules.membership.services.wallet.ledger import WalletLedger

SOURCE = "benefit"


@dataclass(frozen=True, slots=True)
class Gift:
    """What one member gets; `key` says what for, once for ever."""

    member_id: UUID
    programme: ProgrammeRules
    rewards: tuple[RewardInput, ...]
    key: str
    note: str

    def of(self, kind: RewardKind) -> list[RewardInput]:
        return [one for one in self.rewards if one.kind is kind]


class Granting:
    """Gives in one transaction: members are held first, then coupons, then wallets, each by their ids."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._ledger = Ledger(uow)

    async def give(self, gifts: Sequence[Gift]) -> None:
        """Give all of it. Coupons that are not given out any more are left out."""
        held = await self._ledger.hold({gift.member_id for gift in gifts})
        there = [gift for gift in gifts if gift.member_id in held]
        for gift in there:
            self._points(gift)
        await self._ledger.close()
        await self._coupons(there)
        await self._money(there)

    def _points(self, gift: Gift) -> None:
        points = sum(one.points or 0 for one in gift.of(RewardKind.POINTS))
        if not points:
            return
        today, months = self._ledger.today, gift.programme.row.expiry_months
        holding = self._ledger.held(gift.member_id)
        posting = self._ledger.post("benefit", holding, gift.key, note=gift.note)
        expires_on = None if months is None else add_months(today, months)
        holding.credit(posting, points, day=today, today=today, expires_on=expires_on)
        self._uow.publish(PointsEarned(id=gift.member_id, points=points, order_id=None, pending_until=None))

    async def _coupons(self, gifts: Sequence[Gift]) -> None:
        """Of a coupon that a member gets several times, as many codes: one for each in each turn."""
        wanted: dict[tuple[UUID, int | None], list[dict[UUID, str | None]]] = defaultdict(list)
        for gift in gifts:
            for place, one in enumerate(gift.of(RewardKind.COUPON)):
                if one.coupon_id is not None:
                    turns = wanted[one.coupon_id, one.valid_days]
                    turn = next((turn for turn in turns if gift.member_id not in turn), None)
                    if turn is None:
                        turns.append(turn := {})
                    turn[gift.member_id] = f"{gift.key}:{place}"
        found = await self._live({id for id, _ in wanted})
        for (id, days), turns in sorted(wanted.items(), key=lambda one: (one[0][0], one[0][1] or 0)):
            until = None if days is None else self._last_day(days)
            for references in turns if id in found else ():
                await Coupons(self._uow).issue_to_many(found[id], references, valid_until=until)

    async def _live(self, ids: Collection[UUID]) -> dict[UUID, Coupon]:
        found = {}
        for id in sorted(ids):
            coupon = await self._uow.find(Coupon, id, lock="update")
            if coupon is not None and coupon.status == CouponStatus.ACTIVE:
                found[id] = coupon
        return found

    async def _money(self, gifts: Sequence[Gift]) -> None:
        by_currency: dict[str, list[tuple[Gift, list[RewardInput]]]] = defaultdict(list)
        for gift in gifts:
            money = gift.of(RewardKind.WALLET)
            for currency in sorted({one.amount.currency for one in money if one.amount is not None}):
                mine = [one for one in money if one.amount is not None and one.amount.currency == currency]
                by_currency[currency].append((gift, mine))
        for currency, parts in sorted(by_currency.items()):
            ledger = WalletLedger(self._uow)
            purses = await ledger.open([gift.member_id for gift, _ in parts], currency)
            for gift, rewards in parts:
                purse = purses[gift.member_id]
                movement = purse.post(WalletKind.BENEFIT)
                movement.source, movement.reference = SOURCE, f"{gift.key}:{currency}"
                movement.note = gift.note
                for one in rewards:
                    if one.amount is not None:
                        last = None if one.valid_days is None else self._last_day(one.valid_days)
                        purse.grant(movement, one.amount.amount_minor, last)
            await ledger.close()

    def _last_day(self, days: int) -> date:
        """Today is the first of so many days."""
        return self._ledger.today + timedelta(days=days - 1)
