"""What a wallet holds: random histories against a list of coins, each of which is worth one minor unit."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.ids import new_id
from app.modules.membership.interface import InsufficientStoredValue
from app.modules.membership.services.holdings import RESTORED_FOR
from app.modules.membership.services.wallet.purse import Part, Purse, latest_first

FIRST = date(2026, 1, 1)
FOREVER = date.max
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay_in"), st.integers(1, 50), st.none()),
        st.tuples(st.just("grant"), st.integers(1, 50), st.none() | st.integers(0, 40)),
        st.tuples(st.just("pay"), st.integers(1, 80), st.none()),
        st.tuples(st.just("withdraw"), st.integers(1, 80), st.none()),
        st.tuples(st.just("give_back"), st.integers(1, 80), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 30), st.none()),
    ),
    max_size=25,
)


class Coins:
    """The reference: a bonus coin is its last day and its age, a coin of principal is None."""

    def __init__(self) -> None:
        self.bonus: list[tuple[date, int]] = []
        self.principal = 0
        self.age = 0
        self.paid: list[list[tuple[date, int] | None]] = []

    def grant(self, amount: int, last: date) -> None:
        self.age += 1
        self.bonus += [(last, self.age)] * amount

    def expire(self, today: date) -> None:
        self.bonus = [coin for coin in self.bonus if coin[0] >= today]

    def pay(self, amount: int) -> bool:
        if amount > self.principal + len(self.bonus):
            return False
        self.bonus.sort()
        taken, self.bonus = self.bonus[:amount], self.bonus[amount:]
        self.principal -= amount - len(taken)
        self.paid.append([*taken, *[None] * (amount - len(taken))])
        return True

    def give_back(self, which: int, amount: int, today: date) -> int:
        payment = self.paid[which]
        back = [payment.pop() for _ in range(min(amount, len(payment)))]
        self.principal += back.count(None)
        late: dict[tuple[date, int], int] = {}
        for coin in back:
            if coin is not None and coin[0] >= today:
                self.bonus.append(coin)
            elif coin is not None:
                late[coin] = late.get(coin, 0) + 1
        for count in late.values():
            self.grant(count, today + RESTORED_FOR)
        return len(back)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_wallet_is_what_its_coins_are(steps: list[tuple[str, int, int | None]]) -> None:
    purse, coins, today = Purse(new_id(), new_id(), "USD", "active"), Coins(), FIRST
    payments: list[tuple[list[Part], list[int]]] = []
    for name, amount, extra in steps:
        movement = purse.post(name)
        if name == "wait":
            today += timedelta(days=amount)
            purse.expire(movement, today)
            coins.expire(today)
        elif name == "pay_in":
            purse.pay_in(movement, amount)
            coins.principal += amount
        elif name == "grant":
            last = None if extra is None else today + timedelta(days=extra)
            purse.grant(movement, amount, last)
            coins.grant(amount, last or FOREVER)
        elif name == "pay" and coins.pay(amount):
            parts = purse.pay(movement, amount)
            payments.append((parts, [0] * len(parts)))
        elif name == "pay":
            with pytest.raises(InsufficientStoredValue):
                purse.pay(movement, amount)
        elif name == "withdraw" and amount <= coins.principal:
            purse.withdraw(movement, amount)
            coins.principal -= amount
        elif name == "withdraw":
            with pytest.raises(InsufficientStoredValue):
                purse.withdraw(movement, amount)
        elif payments:
            which = (extra or 0) % len(payments)
            parts, restored = payments[which]
            wanted = min(amount, sum(part.amount for part in parts) - sum(restored))
            back = latest_first(list(zip(parts, restored, strict=True)), wanted)
            for place, part in back:
                restored[place] += part.amount
            purse.give_back(movement, [part for _, part in back], today)
            assert coins.give_back(which, wanted, today) == wanted
        assert (purse.principal, purse.bonus) == (coins.principal, len(coins.bonus))
        assert min(purse.principal, purse.bonus, *(lot.remaining for lot in purse.lots), 0) == 0
        assert sum(movement.wallet.values()) + sum(movement.company.values()) == 0
    for account, kept in (("principal", purse.principal), ("bonus", purse.bonus)):
        assert sum(one.wallet[account] for one in purse.movements) == kept
